#include "gateway/compaction.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/alert_sources.h"
#include "gateway/worker.h"

#define RESULTS_AT_ONCE 64u
#define TEXT_MAX        192

static void on_run(struct engine_task *task);

void gateway_compaction_init(struct gateway_compaction *c, struct gateway_worker *worker)
{
    *c = (struct gateway_compaction){ .worker = worker };
}

static bool is_worth_it(const struct gateway_worker *w)
{
    uint64_t segment = spool_log_segment_bytes(&w->store.log);
    uint64_t chain = spool_log_segments_count(&w->store.log) * segment;
    uint64_t spared = GATEWAY_COMPACTION_SEGMENTS_FREE * segment;

    return chain > 2 * w->living_bytes + spared;
}

void gateway_compaction_check(struct gateway_worker *worker)
{
    struct gateway_compaction *c = &worker->compaction;
    struct spool_segment *head = spool_log_head(&worker->store.log);

    if (c->head != NULL || gateway_worker_is_stopping(worker) || !is_worth_it(worker))
        return;
    if (head == NULL || spool_segment_messages(head) == 0 ||
        (spool_segment_generation(head) == c->failed_generation &&
         gateway_worker_now_ms(worker) < c->failed_until_ms))
        return;
    c->head = head;
    c->generation = spool_segment_generation(head);
    c->pass++;
    if (c->pass == 0) /* that is what a message has which was never looked at */
        c->pass = 1;
    c->moved = 0;
    c->unreadable = 0;
    c->is_last_pass = spool_segment_generation(head) == c->failed_generation &&
                      c->unreadable_passes >= GATEWAY_COMPACTION_UNREADABLE_PASSES;
    c->is_walked = false;
    engine_loop_defer(worker->loop, &c->run, on_run);
}

/* --- one message ----------------------------------------------------------------------------- */

static void end_copy(struct gateway_message *m)
{
    struct gateway_compaction *c = &m->home->compaction;

    gateway_message_end_errand(m);
    ASSERT(c->copies > 0);
    c->copies--;
    engine_loop_defer(m->home->loop, &c->run, on_run);
    gateway_message_moved(m);
}

/* The message lives at its new place only. */
static void take_new_place(struct gateway_message *m)
{
    spool_log_forget(&m->home->store.log, &m->location);
    m->location = m->errand->new_location;
    m->home->compaction.moved++;
    observe_count(&m->home->counters, OBSERVE_MESSAGES_COMPACTED, 1);
    end_copy(m);
}

/* The copy is of no use: the old place counts. */
static void keep_old_place(struct gateway_message *m)
{
    if (m->errand->new_location.segment != NULL)
        spool_log_forget(&m->home->store.log, &m->errand->new_location);
    end_copy(m);
}

static bool has_results(const struct gateway_message *m)
{
    const struct gateway_known *known = gateway_message_known(m);

    for (unsigned rid = 0; rid < m->recipients_count; rid++)
        if (known[rid].state != SPOOL_RESULT_WAITING)
            return true;
    return false;
}

/* What is the same for all recipients of an item; it says nothing else of them. */
static void append_item(struct gateway_message *m, const struct gateway_item *item)
{
    const uint16_t *all = gateway_item_all(item);
    struct spool_result some = { .state = SPOOL_RESULT_DEFERRED,
                                 .warned_wall_s = *gateway_item_warned_wall_s(item),
                                 .holds = atomic_load(&item->holds) };

    if (some.holds == 0 && some.warned_wall_s == 0)
        return;
    for (unsigned i = 0; i < item->all_count; i++) {
        some.rid = all[i];
        gateway_store_results(&m->home->store, m->mid, &some, 1);
    }
}

/* False: there was no room for all of them. */
static bool append_results(struct gateway_message *m)
{
    const struct gateway_known *known = gateway_message_known(m);
    struct gateway_store *store = &m->home->store;
    uint64_t lost = spool_log_counters(&store->log)->results_lost;
    struct spool_result some[RESULTS_AT_ONCE];
    unsigned count = 0;

    for (unsigned rid = 0; rid < m->recipients_count; rid++) {
        if (known[rid].state != SPOOL_RESULT_WAITING)
            some[count++] = gateway_known_result(&known[rid], rid);
        if (count == RESULTS_AT_ONCE) {
            gateway_store_results(store, m->mid, some, count);
            count = 0;
        }
    }
    if (count > 0)
        gateway_store_results(store, m->mid, some, count);
    for (unsigned i = 0; i < m->items_count; i++)
        append_item(m, &m->items[i]);
    return spool_log_counters(&store->log)->results_lost == lost;
}

/* Its results, behind the copy. */
static void say_results_again(struct gateway_message *m)
{
    if (!has_results(m))
        take_new_place(m);
    else if (append_results(m))
        gateway_store_await_results(&m->home->store, m->mid, &m->errand->ticket);
    else
        keep_old_place(m);
}

void gateway_compaction_ticket_back(struct gateway_message *m)
{
    const struct spool_ticket *ticket = &m->errand->ticket;
    bool is_copied = ticket->kind == SPOOL_TICKET_MESSAGE;

    if (is_copied)
        gateway_message_let_go(m);
    if (ticket->status != STATUS_OK) {
        keep_old_place(m);
    } else if (is_copied) {
        m->errand->new_location = ticket->location;
        say_results_again(m);
    } else {
        take_new_place(m);
    }
}

/* m is held, and counted in c->copies. */
static void copy(struct gateway_message *m)
{
    if (gateway_store_append(&m->home->store, m->spool, NULL, &m->errand->ticket) == STATUS_OK)
        return;
    gateway_message_let_go(m);
    keep_old_place(m); /* no room, or the log has stopped */
}

static unsigned open_recipients(const struct gateway_message *m)
{
    unsigned open = m->recipients_count;

    for (unsigned rid = 0; rid < m->recipients_count; rid++)
        open -= gateway_message_known(m)[rid].state > SPOOL_RESULT_DEFERRED;
    return open;
}

/* It gives its place up, so that the segment can go to the quarantine with it. */
static void put_aside(struct gateway_message *m)
{
    struct gateway_worker *w = m->home;
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof(text),
                       "Spool: MID %llu cannot be read and is put aside, %u of its %u recipients "
                       "have not got it; see postern spool quarantine show %u",
                       (unsigned long long)m->mid, open_recipients(m), m->recipients_count,
                       spool_segment_file(m->location.segment)->number);

    observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w), "%s", text);
    gateway_alert_raise(w, OBSERVE_ALERT_SPOOL, SLICE("messages"), OBSERVE_SEVERITY_CRITICAL,
                        (struct slice){ text, (size_t)len });
    gateway_store_damaged(&w->store, m->location.segment);
    spool_log_forget(&w->store.log, &m->location);
    w->living_bytes -= m->location.bytes;
    m->location = (struct spool_location){ 0 };
    m->is_aside = true;
    w->compaction.moved++;
}

void gateway_compaction_fetched(struct gateway_message *m, enum status status)
{
    struct gateway_compaction *c = &m->home->compaction;

    if (status == STATUS_OK) {
        copy(m);
        return;
    }
    if (status == STATUS_CORRUPT || status == STATUS_IO) {
        c->unreadable++;
        if (c->is_last_pass)
            put_aside(m);
    }
    keep_old_place(m);
}

/* Of one that is there. */
static bool is_being_emptied(const struct gateway_compaction *c,
                             const struct spool_segment *segment)
{
    return segment == c->head && spool_segment_generation(segment) == c->generation;
}

static bool is_to_move(const struct gateway_compaction *c, const struct gateway_message *m)
{
    return is_being_emptied(c, m->location.segment) && !gateway_message_is_moved(m) &&
           !gateway_message_is_over(m);
}

static void move(struct gateway_compaction *c, struct gateway_message *m)
{
    if (m->errand == NULL && gateway_message_begin_errand(m) != STATUS_OK)
        return;
    m->errand->is_move = true;
    m->errand->new_location = (struct spool_location){ 0 };
    c->copies++;
    if (gateway_message_hold(m))
        copy(m);
    else
        gateway_shelf_fetch_for_compaction(m);
}

/* --- the walk -------------------------------------------------------------------------------- */

/* The next one that was not looked at in this pass; it goes to the end of its list. */
static struct gateway_message *next_of(const struct gateway_compaction *c,
                                       struct slim_list *messages)
{
    struct gateway_message *m;

    if (slim_list_is_empty(messages))
        return NULL;
    m = CONTAINER_OF(slim_list_first(messages), struct gateway_message, node);
    if (m->compaction_pass == c->pass)
        return NULL;
    m->compaction_pass = c->pass;
    slim_list_remove(&m->node);
    slim_list_append(messages, &m->node);
    return m;
}

/* What lives there could not be moved: unreadable, or there was no memory, or no room. Said once.
 */
static void stop_at_head(struct gateway_compaction *c)
{
    struct gateway_worker *w = c->worker;
    bool is_said = c->failed_generation == spool_segment_generation(c->head);
    bool is_unreadable = c->unreadable == spool_segment_messages(c->head);

    c->unreadable_passes = is_unreadable ? (is_said ? c->unreadable_passes : 0) + 1 : 0;
    c->failed_generation = spool_segment_generation(c->head);
    c->failed_until_ms = gateway_worker_now_ms(w) + GATEWAY_COMPACTION_RETRY_MS;
    if (is_said)
        return;
    observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                     "Spool: log %u: segment %u cannot be emptied now: %zu messages stay in it",
                     w->index, spool_segment_file(c->head)->number,
                     spool_segment_messages(c->head));
}

static void end_pass(struct gateway_compaction *c)
{
    struct gateway_worker *w = c->worker;
    const struct spool_segment *head = spool_log_head(&w->store.log);

    if (head != NULL && is_being_emptied(c, head) && spool_segment_messages(head) > 0 &&
        c->moved == 0 && !gateway_worker_is_stopping(w))
        stop_at_head(c);
    c->head = NULL;
    gateway_compaction_check(w);
}

static void on_run(struct engine_task *task)
{
    struct gateway_compaction *c = CONTAINER_OF(task, struct gateway_compaction, run);
    struct gateway_worker *w = c->worker;

    if (c->head == NULL)
        return;
    for (unsigned i = 0; !c->is_walked; i++) {
        struct gateway_message *m;

        if (c->copies >= GATEWAY_COMPACTION_COPIES_MAX)
            return; /* a copy that ends goes on */
        if (i == GATEWAY_COMPACTION_STEPS_MAX) {
            engine_loop_defer(w->loop, &c->run, on_run);
            return;
        }
        m = next_of(c, &w->messages);
        if (m == NULL)
            m = next_of(c, &w->shelf.messages);
        if (m == NULL || gateway_worker_is_stopping(w))
            c->is_walked = true;
        else if (is_to_move(c, m))
            move(c, m);
    }
    if (c->copies == 0)
        end_pass(c);
}
