#include "gateway/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/file.h"
#include "gateway/alert_sources.h"
#include "gateway/bounce.h"
#include "gateway/compaction.h"
#include "gateway/outbound.h"
#include "gateway/worker.h"

#define SHELVED  ((int16_t)-1) /* in place of the number of readers */
#define TEXT_MAX 128

struct gateway_fetch {
    struct engine_file_request request;
    struct gateway_message *message;
    struct list_node node;  /* waits for its turn */
    struct list loans;      /* struct gateway_loan, for which it is read */
    struct list reports;    /* struct gateway_report, the same */
    bool is_for_compaction; /* as well */
    char name[SPOOL_SEGMENT_NAME_MAX];
    int fd;
    char *bytes; /* whole blocks around the record */
    size_t skip; /* in front of it */
    size_t blocks_bytes;
    uint64_t generation; /* of the segment, and offset: where it is read */
    uint32_t offset;
};

/* --- readers --------------------------------------------------------------------------------- */

bool gateway_message_hold(struct gateway_message *m)
{
    int16_t readers = atomic_load(&m->readers);

    while (readers != SHELVED)
        if (atomic_compare_exchange_weak(&m->readers, &readers, (int16_t)(readers + 1)))
            return true;
    return false;
}

void gateway_message_let_go(struct gateway_message *m)
{
    int16_t readers = atomic_fetch_sub(&m->readers, 1);

    ASSERT(readers > 0);
}

static bool is_shelved(const struct gateway_message *m)
{
    return atomic_load(&m->readers) == SHELVED;
}

/* --- in and out ------------------------------------------------------------------------------ */

void gateway_shelf_init(struct gateway_shelf *shelf, struct gateway_worker *worker)
{
    *shelf = (struct gateway_shelf){ .worker = worker };
    slim_list_init(&shelf->messages);
    list_init(&shelf->waiting);
}

/* The message is in memory from now on. */
static void load(struct gateway_message *m, struct spool_message *spool)
{
    ASSERT(m->spool == NULL); /* and nobody reads it any more */
    m->spool = spool;
    atomic_fetch_add(&m->home->process->message_bytes, spool_message_memory_bytes(spool));
    slim_list_remove(&m->node);
    slim_list_append(&m->home->messages, &m->node);
}

static void unload(struct gateway_message *m)
{
    atomic_fetch_sub(&m->home->process->message_bytes, spool_message_memory_bytes(m->spool));
    spool_message_destroy(m->spool);
    m->spool = NULL;
}

/* --- putting away ---------------------------------------------------------------------------- */

static uint64_t percent_of_budget(const struct gateway_worker *w, unsigned percent)
{
    return gateway_view_settings(w->view)->memory_message_bytes / 100 * percent;
}

static bool is_above(const struct gateway_worker *w, unsigned percent)
{
    return atomic_load(&w->process->message_bytes) > percent_of_budget(w, percent);
}

bool gateway_shelf_is_high(const struct gateway_worker *worker)
{
    return is_above(worker, GATEWAY_SHELF_HIGH_PERCENT);
}

/* False: somebody reads it. */
static bool put_away(struct gateway_shelf *shelf, struct gateway_message *m)
{
    int16_t nobody = 0;

    if (!atomic_compare_exchange_strong(&m->readers, &nobody, SHELVED))
        return false;
    unload(m);
    slim_list_append(&shelf->messages, &m->node);
    return true;
}

void gateway_shelf_enter(struct gateway_message *m, struct spool_message *spool)
{
    load(m, spool);
    atomic_store(&m->readers, 1);
}

void gateway_shelf_keep(struct gateway_message *m, const struct spool_message *view,
                        uint64_t budget)
{
    _Atomic uint64_t *used = &m->home->process->message_bytes;
    uint64_t share = budget / 100 * GATEWAY_SHELF_RECOVERED_PERCENT;

    if (atomic_load(used) + spool_message_memory_bytes(view) > share ||
        spool_message_decode(m->mid, spool_message_payload(view), &m->spool) != STATUS_OK) {
        atomic_store(&m->readers, SHELVED);
        return;
    }
    atomic_fetch_add(used, spool_message_memory_bytes(m->spool));
}

void gateway_shelf_settle(struct gateway_message *m)
{
    slim_list_append(is_shelved(m) ? &m->home->shelf.messages : &m->home->messages, &m->node);
}

static void on_pause(struct engine_timer *timer)
{
    gateway_shelf_check(CONTAINER_OF(timer, struct gateway_shelf, pause)->worker);
}

static void on_sweep(struct engine_task *task)
{
    struct gateway_shelf *shelf = CONTAINER_OF(task, struct gateway_shelf, sweep);
    struct gateway_worker *w = shelf->worker;
    unsigned freed = 0;

    for (unsigned i = 0; i < GATEWAY_SHELF_STEPS_MAX; i++) {
        struct slim_node *first;

        if (!is_above(w, GATEWAY_SHELF_LOW_PERCENT))
            return;
        first = slim_list_take_first(&w->messages);
        if (first == NULL)
            return;
        if (put_away(shelf, CONTAINER_OF(first, struct gateway_message, node)))
            freed++;
        else
            slim_list_append(&w->messages, first);
    }
    if (freed > 0)
        engine_loop_defer(w->loop, &shelf->sweep, on_sweep);
    else if (!engine_timer_is_running(&shelf->pause))
        engine_timer_start(w->loop, &shelf->pause, GATEWAY_SHELF_PAUSE_MS, on_pause);
}

void gateway_shelf_check(struct gateway_worker *worker)
{
    if (is_above(worker, GATEWAY_SHELF_HIGH_PERCENT))
        engine_loop_defer(worker->loop, &worker->shelf.sweep, on_sweep);
}

/* --- fetching -------------------------------------------------------------------------------- */

static void start_next(struct gateway_shelf *shelf);

static void fetch_destroy(struct gateway_fetch *fetch)
{
    struct list_node *n;

    while ((n = list_take_first(&fetch->reports)) != NULL)
        gateway_report_destroy(CONTAINER_OF(n, struct gateway_report, node));
    list_remove(&fetch->node);
    if (fetch->fd >= 0)
        (void)close(fetch->fd);
    free(fetch->bytes);
    free(fetch);
}

void gateway_shelf_leave(struct gateway_message *m)
{
    slim_list_remove(&m->node);
    if (!is_shelved(m))
        unload(m);
    else if (m->fetch != NULL) /* when no worker runs any more */
        fetch_destroy(m->fetch);
}

static void on_retry(struct engine_timer *timer)
{
    struct gateway_report *report = CONTAINER_OF(timer, struct gateway_report, retry);

    gateway_shelf_begin_bounce(gateway_item_message(report->item), report);
}

static void answer_item(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_loan *loan = CONTAINER_OF(post, struct gateway_loan, post);
    struct gateway_item *item = loan->item;
    struct gateway_outbound *out = loan->wanted_by;
    enum status status = loan->fetched;

    loan->is_fetching = false;
    loan->wanted_by = NULL;
    if (out != NULL)
        gateway_outbound_fetched(out, item, status);
    else if (status == STATUS_OK)
        gateway_message_let_go(gateway_item_message(item));
    gateway_item_give_back(item, here); /* last: the report that ends it may have waited */
}

static void answer_loan(struct gateway_loan *loan, enum status status)
{
    struct gateway_message *m = gateway_item_message(loan->item);

    loan->fetched = status;
    if (status == STATUS_OK && !gateway_message_hold(m))
        UNREACHABLE(); /* it is put away by this thread only */
    loan->post.deliver = answer_item;
    engine_mailbox_post(loan->item->lane->owner->loop, m->home->loop, &loan->post);
}

/* For those that are to be told of: the message may be over, and gone, with the last of them. */
static void answer_reports(struct gateway_message *m, struct list *reports, enum status status)
{
    struct list_node *n;

    while ((n = list_take_first(reports)) != NULL) {
        struct gateway_report *report = CONTAINER_OF(n, struct gateway_report, node);

        if (status == STATUS_OK)
            gateway_shelf_begin_bounce(m, report);
        else
            engine_timer_start(m->home->loop, &report->retry, GATEWAY_SHELF_RETRY_MS, on_retry);
    }
}

static void complain(const struct gateway_message *m, enum status status)
{
    char what[TEXT_MAX];

    (void)snprintf(what, sizeof(what), "cannot be read from segment %u: %s",
                   spool_segment_file(m->location.segment)->number, status_text(status));
    gateway_alert_unreadable(m->home, m->mid, what);
}

/* The end of every fetch. Takes spool. The next one may begin. */
static void finish(struct gateway_fetch *fetch, enum status said, struct spool_message *spool)
{
    struct gateway_message *m = fetch->message;
    struct gateway_shelf *shelf = &m->home->shelf;
    /* That its segment is not there, or may not be read, is as bad as a read that fails, and no
     * worse: somebody may put it back. NOT_FOUND is the answer for what was put aside. */
    enum status status = said == STATUS_NOT_FOUND || said == STATUS_DENIED ? STATUS_IO : said;
    bool moves = fetch->is_for_compaction;
    struct list loans, reports;
    struct list_node *n;

    list_init(&loans);
    list_init(&reports);
    list_take_all(&loans, &fetch->loans);
    list_take_all(&reports, &fetch->reports);
    m->fetch = NULL;
    fetch_destroy(fetch);
    shelf->reading--;
    if (status == STATUS_OK) {
        load(m, spool);
        atomic_store(&m->readers, 1);
    } else {
        complain(m, status);
    }
    while ((n = list_take_first(&loans)) != NULL)
        answer_loan(CONTAINER_OF(n, struct gateway_loan, node), status);
    if (moves) /* takes what is held */
        gateway_compaction_fetched(m, status);
    else if (status == STATUS_OK)
        gateway_message_let_go(m);
    answer_reports(m, &reports, status);
    gateway_shelf_check(shelf->worker);
}

static void start(struct gateway_fetch *fetch);

/* Compaction has taken the message elsewhere meanwhile, and the old place may be another's by now:
 * whatever came of it, it is read there. */
static bool has_moved(const struct gateway_fetch *fetch)
{
    const struct spool_location *location = &fetch->message->location;

    return spool_segment_generation(location->segment) != fetch->generation ||
           location->offset != fetch->offset;
}

static void start_again(struct gateway_fetch *fetch)
{
    if (fetch->fd >= 0)
        (void)close(fetch->fd);
    fetch->fd = -1;
    free(fetch->bytes);
    fetch->bytes = NULL;
    fetch->message->home->shelf.reading--;
    start(fetch);
}

static void on_read(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_fetch *fetch = CONTAINER_OF(request, struct gateway_fetch, request);
    struct gateway_message *m = fetch->message;
    struct gateway_shelf *shelf = &m->home->shelf;
    struct spool_message *spool = NULL;
    struct slice got = { fetch->bytes, bytes };

    if (has_moved(fetch)) {
        start_again(fetch);
        start_next(shelf); /* it may have ended, for want of memory */
        return;
    }
    if (status == STATUS_OK && bytes < fetch->skip + m->location.bytes)
        status = STATUS_CORRUPT;
    if (status == STATUS_OK)
        status = spool_message_from_record(
            m->mid, spool_segment_generation(m->location.segment),
            (struct slice){ slice_after(got, fetch->skip).data, m->location.bytes }, &spool);
    finish(fetch, status, spool);
    start_next(shelf);
}

static void on_open(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_fetch *fetch = CONTAINER_OF(request, struct gateway_fetch, request);
    const struct gateway_message *m = fetch->message;
    struct gateway_shelf *shelf = &m->home->shelf;

    if (status == STATUS_OK)
        fetch->fd = (int)bytes;
    if (has_moved(fetch)) {
        start_again(fetch);
        start_next(shelf);
        return;
    }
    if (status != STATUS_OK) {
        finish(fetch, status, NULL);
        start_next(shelf);
        return;
    }
    engine_file_read(m->home->loop, &fetch->request, fetch->fd, fetch->bytes, fetch->blocks_bytes,
                     m->location.offset - fetch->skip, on_read);
}

/* Past the page cache, as it was written: what was read ahead before the write may be old. */
static void start(struct gateway_fetch *fetch)
{
    struct gateway_message *m = fetch->message;
    struct gateway_process *process = m->home->process;
    size_t end = (size_t)m->location.offset + m->location.bytes;

    fetch->generation = spool_segment_generation(m->location.segment);
    fetch->offset = m->location.offset;
    fetch->skip = m->location.offset % SPOOL_BLOCK_BYTES;
    fetch->blocks_bytes = (end - (m->location.offset - fetch->skip) + SPOOL_BLOCK_BYTES - 1) /
                          SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
    fetch->bytes = aligned_alloc(SPOOL_BLOCK_BYTES, fetch->blocks_bytes);
    m->home->shelf.reading++;
    if (fetch->bytes == NULL) {
        finish(fetch, STATUS_NO_MEMORY, NULL);
        return;
    }
    (void)spool_segment_name(spool_segment_file(m->location.segment)->number, fetch->name);
    engine_file_open(m->home->loop, &fetch->request, process->directory.segments_fd, fetch->name,
                     O_RDONLY | (process->spool_is_direct ? O_DIRECT : 0), 0, on_open);
}

static void start_next(struct gateway_shelf *shelf)
{
    struct gateway_worker *w = shelf->worker;

    while (shelf->reading < GATEWAY_SHELF_FETCHES_MAX && !list_is_empty(&shelf->waiting)) {
        if (shelf->reading > 0 && is_above(w, 100))
            return;
        start(CONTAINER_OF(list_take_first(&shelf->waiting), struct gateway_fetch, node));
    }
}

/* NULL: no memory. */
static struct gateway_fetch *fetch_of(struct gateway_message *m)
{
    struct gateway_fetch *fetch = m->fetch;

    ASSERT(is_shelved(m));
    if (fetch != NULL)
        return fetch;
    fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL)
        return NULL;
    fetch->message = m;
    fetch->fd = -1;
    list_init(&fetch->loans);
    list_init(&fetch->reports);
    list_append(&m->home->shelf.waiting, &fetch->node);
    m->fetch = fetch;
    return fetch;
}

void gateway_shelf_fetch_for_compaction(struct gateway_message *m)
{
    struct gateway_fetch *fetch = fetch_of(m);

    if (fetch == NULL) {
        gateway_compaction_fetched(m, STATUS_NO_MEMORY);
        return;
    }
    fetch->is_for_compaction = true;
    start_next(&m->home->shelf);
}

void gateway_shelf_begin_bounce(struct gateway_message *m, struct gateway_report *report)
{
    struct gateway_fetch *fetch;

    if (gateway_message_hold(m)) {
        gateway_bounce_start(m, report);
        return;
    }
    if (m->is_aside) {
        gateway_message_not_told(m, report);
        return;
    }
    fetch = fetch_of(m);
    if (fetch == NULL) {
        engine_timer_start(m->home->loop, &report->retry, GATEWAY_SHELF_RETRY_MS, on_retry);
        return;
    }
    list_append(&fetch->reports, &report->node);
    start_next(&m->home->shelf);
}

/* --- items ----------------------------------------------------------------------------------- */

static void take_request(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_loan *loan = CONTAINER_OF(post, struct gateway_loan, post);
    struct gateway_message *m = gateway_item_message(loan->item);
    struct gateway_fetch *fetch;

    ASSERT(m->home->loop == here);
    if (!is_shelved(m)) {
        answer_loan(loan, STATUS_OK);
        return;
    }
    if (m->is_aside) {
        answer_loan(loan, STATUS_NOT_FOUND);
        return;
    }
    fetch = gateway_worker_is_stopping(m->home) ? NULL : fetch_of(m);
    if (fetch == NULL) {
        answer_loan(loan, STATUS_NO_MEMORY);
        return;
    }
    list_append(&fetch->loans, &loan->node);
    start_next(&m->home->shelf);
}

enum status gateway_item_fetch(struct gateway_item *item, struct engine_loop *from,
                               struct gateway_outbound *wanted_by)
{
    struct gateway_loan *loan;

    TRY(gateway_item_borrow(item)); /* it does not end before the answer */
    loan = item->tries->loan;
    ASSERT(loan->wanted_by == NULL);
    loan->wanted_by = wanted_by;
    if (loan->is_fetching) {
        gateway_item_give_back(item, from); /* that one has borrowed as well */
        return STATUS_OK;
    }
    loan->is_fetching = true;
    loan->post.deliver = take_request;
    engine_mailbox_post(gateway_item_message(item)->home->loop, from, &loan->post);
    return STATUS_OK;
}

void gateway_item_forget_fetch(struct gateway_item *item)
{
    item->tries->loan->wanted_by = NULL;
}
