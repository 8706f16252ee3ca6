#include "cli/load_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/load_message.h"
#include "cli/load_session.h"
#include "tls/context.h"

#define NS_PER_MS 1000000u

static struct load_worker *worker_of(struct cli_hand *hand)
{
    return CONTAINER_OF(hand, struct load_worker, hand);
}

static uint64_t elapsed_ms(const struct load_worker *w)
{
    return (cli_now_ns() - w->run->start_ns) / NS_PER_MS;
}

bool load_worker_take_ticket(struct load_worker *w, uint64_t *ticket_out)
{
    const struct load_options *o = w->run->options;
    uint64_t ticket;

    if (w->is_stopping || (o->duration_ms > 0 && elapsed_ms(w) >= o->duration_ms) ||
        atomic_load_explicit(&w->run->tickets, memory_order_relaxed) >= o->messages_max)
        return false;
    ticket = atomic_fetch_add_explicit(&w->run->tickets, 1, memory_order_relaxed);
    if (ticket >= o->messages_max)
        return false;
    *ticket_out = ticket;
    return true;
}

bool load_worker_is_due(struct load_worker *w, uint64_t ticket, uint64_t *wait_ms_out)
{
    const struct load_options *o = w->run->options;
    uint64_t now_ms = elapsed_ms(w), due_ms = 0;

    if (o->rate > 0)
        due_ms = ticket / o->rate * 1000 + ticket % o->rate * 1000 / o->rate;
    *wait_ms_out = due_ms > now_ms ? due_ms - now_ms : 0;
    return o->duration_ms == 0 || (due_ms < o->duration_ms && now_ms < o->duration_ms);
}

static void run_queue(struct load_worker *w)
{
    while (w->connecting < LOAD_CONNECTING_MAX && !list_is_empty(&w->queue)) {
        struct list_node *node = list_take_first(&w->queue);

        w->connecting++;
        load_session_connect(CONTAINER_OF(node, struct load_session, node));
    }
}

void load_worker_queue(struct load_worker *w, struct load_session *s)
{
    list_append(&w->queue, &s->node);
    run_queue(w);
}

void load_worker_opened(struct load_worker *w)
{
    ASSERT(w->connecting > 0);
    w->connecting--;
    run_queue(w);
}

/* A file's write hardly ever waits, and there is no other work that it could keep from peers of
 * ours: this is a tool. */
static void write_ledger(struct load_worker *w)
{
    while (buffer_len(&w->ledger) > 0) {
        struct slice lines = buffer_contents(&w->ledger);
        ssize_t written = write(w->run->ledger, lines.data, lines.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            atomic_store(&w->run->ledger_error, written < 0 ? errno : ENOSPC);
            buffer_clear(&w->ledger);
            return;
        }
        buffer_consume(&w->ledger, (size_t)written);
    }
}

void load_worker_accepted(struct load_worker *w, uint64_t ticket, uint64_t bytes)
{
    char id[LOAD_MESSAGE_ID_MAX];

    atomic_fetch_add_explicit(&w->stats.tallies.accepted, 1, memory_order_relaxed);
    w->stats.bytes += bytes;
    if (w->run->ledger < 0)
        return;
    load_message_id(w->run->id, ticket, id);
    if (buffer_room(&w->ledger) < sizeof(id) + 1)
        write_ledger(w);
    if (buffer_printf(&w->ledger, "%s\n", id) != STATUS_OK)
        atomic_store(&w->run->ledger_error, ENOMEM);
}

void load_worker_finished(struct load_worker *w)
{
    w->sessions_finished++;
    ASSERT(w->sessions_finished <= w->sessions_count);
}

struct slice load_worker_date(struct load_worker *w)
{
    time_t now_s = engine_loop_wall_s(w->hand.loop);

    if (now_s != w->date_s) {
        w->date_s = now_s;
        (void)clock_format_mail(now_s, w->date);
    }
    return slice_from(w->date);
}

/* --- as a hand of the crew ------------------------------------------------------------------- */

static void begin(struct cli_hand *hand)
{
    struct load_worker *w = worker_of(hand);

    for (uint32_t i = 0; i < w->sessions_count; i++)
        load_session_begin(&w->sessions[i], w, i);
}

static void turned(struct cli_hand *hand)
{
    write_ledger(worker_of(hand));
}

static void stop(struct cli_hand *hand, bool at_once)
{
    struct load_worker *w = worker_of(hand);

    w->is_stopping = true;
    for (uint32_t i = 0; i < w->sessions_count; i++)
        load_session_stop(&w->sessions[i], at_once);
}

static bool is_done(const struct cli_hand *hand)
{
    const struct load_worker *w = CONTAINER_OF(hand, const struct load_worker, hand);

    return w->sessions_finished == w->sessions_count;
}

const struct cli_hand_handlers load_worker_handlers = {
    .begin = begin,
    .turned = turned,
    .stop = stop,
    .is_done = is_done,
};

enum status load_worker_init(struct load_worker *w, struct load_run *run, uint32_t count)
{
    const struct load_options *o = run->options;
    uint32_t ms = o->timeout_ms;

    *w = (struct load_worker){ .run = run, .sessions_count = count };
    w->smtp_options = (struct smtp_client_options){
        .hostname = o->hostname,
        .greeting_ms_max = ms,
        .command_ms_max = ms,
        .data_ms_max = ms,
        .body_ms_max = ms,
        .final_ms_max = ms,
    };
    list_init(&w->queue);
    buffer_init(&w->ledger, LOAD_LEDGER_BYTES_MAX);
    w->sessions = calloc(count, sizeof(*w->sessions));
    return w->sessions != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void load_worker_finish(struct load_worker *w)
{
    for (uint32_t i = 0; w->sessions != NULL && i < w->sessions_count; i++)
        load_session_finish(&w->sessions[i]);
    free(w->sessions);
    w->sessions = NULL;
    buffer_finish(&w->ledger);
    tls_context_destroy(w->tls);
    w->tls = NULL;
}
