#include "spool/log.h"

#include <stdlib.h>

#include "spool/log_parts.h"

static bool options_fit(const struct spool_log_options *o)
{
    return o->log_id < SPOOL_LOGS_MAX && o->segment_bytes >= SPOOL_SEGMENT_BYTES_MIN &&
           o->segment_bytes <= SPOOL_SEGMENT_BYTES_MAX &&
           o->segment_bytes % SPOOL_BLOCK_BYTES == 0 && o->record_bytes_max >= SPOOL_BLOCK_BYTES &&
           o->record_bytes_max <= SPOOL_RECORD_BYTES_MAX &&
           o->record_bytes_max % SPOOL_BLOCK_BYTES == 0 &&
           o->record_bytes_max <= o->segment_bytes / 2 && o->batch_first > 0 &&
           o->sequence_first > 0;
}

enum status spool_log_init(struct spool_log *log, struct spool_storage *storage,
                           const struct spool_log_options *options)
{
    struct spool_log_options o = *options;

    if (o.segment_bytes == 0)
        o.segment_bytes = SPOOL_SEGMENT_BYTES;
    if (o.record_bytes_max == 0) {
        o.record_bytes_max = o.segment_bytes / 4 < SPOOL_RECORD_BYTES_MAX ? o.segment_bytes / 4
                                                                          : SPOOL_RECORD_BYTES_MAX;
        o.record_bytes_max &= ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
    }
    if (!options_fit(&o))
        return STATUS_INVALID;

    *log = (struct spool_log){
        .storage = storage,
        .options = o,
        .state = SPOOL_LOG_STARTING,
        .is_adopting = o.is_adopting,
        .batch_next = o.batch_first,
        .sequence_next = o.sequence_first,
    };
    list_init(&log->chain);
    list_init(&log->spares);
    list_init(&log->waiting);
    list_init(&log->laid_out);
    list_init(&log->writing);
    list_init(&log->committed);
    list_init(&log->dones);
    buffer_init(&log->results, SPOOL_RESULTS_BYTES_MAX);
    return STATUS_OK;
}

static void drop_segments(struct list *segments)
{
    struct list_node *n;

    while ((n = list_take_first(segments)) != NULL)
        free(CONTAINER_OF(n, struct spool_segment, node));
}

static void drop_tickets(struct list *tickets)
{
    while (list_take_first(tickets) != NULL)
        ;
}

void spool_log_finish(struct spool_log *log)
{
    if (log->storage == NULL)
        return;
    ASSERT(spool_log_is_quiet(log));
    drop_segments(&log->chain);
    drop_segments(&log->spares);
    drop_tickets(&log->waiting);
    drop_tickets(&log->laid_out);
    drop_tickets(&log->committed);
    drop_tickets(&log->dones);
    buffer_finish(&log->results);
    free(log->next.bytes);
    free(log->flight.bytes);
    *log = (struct spool_log){ .storage = NULL };
}

void log_raise(struct spool_log *log, enum spool_log_event event)
{
    log->events |= 1u << event;
}

static void fail_all(struct spool_log *log, struct list *tickets, enum status status)
{
    struct list_node *n;

    ASSERT(status != STATUS_OK);
    while ((n = list_take_first(tickets)) != NULL) {
        CONTAINER_OF(n, struct spool_ticket, node)->status = status;
        list_append(&log->committed, n);
    }
}

void log_fail_waiting(struct spool_log *log, enum status status)
{
    fail_all(log, &log->laid_out, status);
    fail_all(log, &log->waiting, status);
    log->next_bytes = 0;
    log->waiting_messages = 0;
    log->waiting_bytes = 0;
}

void log_fail_awaiting(struct spool_log *log, enum status status)
{
    LIST_FOR_EACH (n, &log->dones) {
        struct spool_ticket *t = CONTAINER_OF(n, struct spool_ticket, node);

        if (t->kind != SPOOL_TICKET_RESULTS)
            continue;
        list_remove(n);
        t->status = status;
        list_append(&log->committed, n);
    }
}

void spool_log_run(struct spool_log *log)
{
    log_want_segments(log);
    log_lay_out(log);
    log_start_batch(log);
    /* Again, because a segment may have been opened, and a batch has room. */
    log_want_segments(log);
    log_lay_out(log);
    log_release_head(log);
    if (log->waiting_messages == 0)
        log_trim_buffers(log);
}

/* --- appending ------------------------------------------------------------------------------- */

static bool space_is_there(const struct spool_log *log, size_t more)
{
    size_t capacity = log_capacity(log, 1);
    size_t promised = log->reserved_bytes + log->waiting_bytes;

    return promised <= capacity && more <= capacity - promised;
}

bool spool_log_reserve(struct spool_log *log, struct spool_reservation *reservation, size_t bytes)
{
    size_t blocks;

    if (log->state != SPOOL_LOG_READY || bytes > log->options.record_bytes_max)
        return false;
    blocks = log_blocks(bytes);
    if (blocks <= reservation->bytes)
        return true;
    if (!space_is_there(log, blocks - reservation->bytes))
        return false;
    log->reserved_bytes += blocks - reservation->bytes;
    reservation->bytes = blocks;
    return true;
}

void spool_log_unreserve(struct spool_log *log, struct spool_reservation *reservation)
{
    ASSERT(log->reserved_bytes >= reservation->bytes);
    log->reserved_bytes -= reservation->bytes;
    reservation->bytes = 0;
}

enum status spool_log_append_message(struct spool_log *log, const struct spool_message *message,
                                     struct spool_reservation *reservation,
                                     struct spool_ticket *ticket)
{
    size_t blocks = log_blocks(spool_message_record_bytes(message));
    size_t reserved = reservation != NULL ? reservation->bytes : 0;

    if (log->state == SPOOL_LOG_STOPPED)
        return STATUS_IO;
    if (blocks > log->options.record_bytes_max)
        return STATUS_LIMIT;
    if (blocks > reserved && !space_is_there(log, blocks - reserved))
        return STATUS_NO_SPACE;
    if (reservation != NULL)
        spool_log_unreserve(log, reservation);
    *ticket = (struct spool_ticket){
        .kind = SPOOL_TICKET_MESSAGE,
        .message = message,
        .mid = spool_message_mid(message),
    };
    list_append(&log->waiting, &ticket->node);
    log->waiting_messages++;
    log->waiting_bytes += blocks;
    return STATUS_OK;
}

/* Queues one entry; results are taken in encoded form. */
static bool queue_results(struct spool_log *log, uint64_t mid, const struct spool_result *results,
                          size_t count)
{
    struct log_result_head head = { .mid = mid, .count = (uint32_t)count };
    size_t bytes = sizeof head + count * SPOOL_RESULT_BYTES;
    char *room;

    ASSERT(mid != 0 && count <= SPOOL_RESULTS_RECORD_MAX);
    if (buffer_reserve(&log->results, bytes, &room) != STATUS_OK) {
        log->counters.results_lost++;
        log_raise(log, SPOOL_LOG_EVENT_RESULTS_LOST);
        return false;
    }
    memcpy(room, &head, sizeof head);
    for (size_t i = 0; i < count; i++)
        spool_result_encode(&results[i], room + sizeof head + i * SPOOL_RESULT_BYTES);
    buffer_commit(&log->results, bytes);
    log->results_appended += bytes;
    log->entries++;
    return true;
}

void spool_log_append_results(struct spool_log *log, uint64_t mid,
                              const struct spool_result *results, size_t count)
{
    while (count > 0) {
        size_t now = count < SPOOL_RESULTS_RECORD_MAX ? count : SPOOL_RESULTS_RECORD_MAX;

        if (!queue_results(log, mid, results, now))
            return;
        results += now;
        count -= now;
    }
}

void spool_log_forget(struct spool_log *log, const struct spool_location *location)
{
    (void)log;
    ASSERT(location->segment != NULL && location->segment->messages > 0);
    location->segment->messages--;
}

/* It comes back when what was appended so far is durable. */
static void await(struct spool_log *log, struct spool_ticket *ticket, enum spool_ticket_kind kind,
                  uint64_t mid)
{
    *ticket = (struct spool_ticket){ .kind = kind, .mid = mid, .position = log->results_appended };
    list_append(&log->dones, &ticket->node);
}

void spool_log_append_done(struct spool_log *log, uint64_t mid,
                           const struct spool_location *location, struct spool_ticket *ticket)
{
    bool queued = queue_results(log, mid, NULL, 0);

    if (location != NULL) {
        if (queued)
            location->segment->dones = log->results_appended;
        spool_log_forget(log, location);
    }
    if (ticket == NULL)
        return;
    if (queued) {
        await(log, ticket, SPOOL_TICKET_DONE, mid);
        return;
    }
    *ticket =
        (struct spool_ticket){ .kind = SPOOL_TICKET_DONE, .mid = mid, .status = STATUS_LIMIT };
    list_append(&log->committed, &ticket->node);
}

void spool_log_await_results(struct spool_log *log, uint64_t mid, struct spool_ticket *ticket)
{
    if (log->state != SPOOL_LOG_STOPPED && buffer_len(&log->results) > 0) {
        await(log, ticket, SPOOL_TICKET_RESULTS, mid);
        spool_log_flush(log);
        return;
    }
    *ticket = (struct spool_ticket){
        .kind = SPOOL_TICKET_RESULTS,
        .mid = mid,
        .status = log->state == SPOOL_LOG_STOPPED ? STATUS_IO : STATUS_OK,
    };
    list_append(&log->committed, &ticket->node);
}

void spool_log_flush(struct spool_log *log)
{
    log->is_flushing = spool_log_has_lazy(log);
}

/* --- answers --------------------------------------------------------------------------------- */

void spool_log_written(struct spool_log *log, enum status status)
{
    log_finish_batch(log, status);
    if (status == STATUS_OK) {
        if (log->state != SPOOL_LOG_STOPPED)
            log->failures_in_row = 0;
        return;
    }
    log->counters.write_failures++;
    log->failures_in_row++;
    log_seal_segment(log);
    if (log->state != SPOOL_LOG_STOPPED) /* no message was in the batch else */
        log_raise(log, SPOOL_LOG_EVENT_WRITE_FAILED);
    log->is_holding = log->failures_in_row >= SPOOL_WRITE_FAILURES;
    if (!log->is_holding || log->state == SPOOL_LOG_STOPPED)
        return;
    log->state = SPOOL_LOG_STOPPED;
    log_fail_waiting(log, STATUS_IO);
    log_fail_awaiting(log, STATUS_IO);
    log_raise(log, SPOOL_LOG_EVENT_STOPPED);
}

struct spool_ticket *spool_log_take_committed(struct spool_log *log)
{
    struct list_node *n = list_take_first(&log->committed);

    return n != NULL ? CONTAINER_OF(n, struct spool_ticket, node) : NULL;
}

enum spool_log_event spool_log_take_event(struct spool_log *log)
{
    unsigned event;

    if (log->events == 0)
        return SPOOL_LOG_EVENT_NONE;
    event = (unsigned)__builtin_ctz(log->events);
    log->events &= ~(1u << event);
    return (enum spool_log_event)event;
}

enum spool_log_state spool_log_state(const struct spool_log *log)
{
    return log->state;
}

const struct spool_log_counters *spool_log_counters(const struct spool_log *log)
{
    return &log->counters;
}

unsigned spool_log_segments_count(const struct spool_log *log)
{
    return log->segments_count;
}

uint32_t spool_log_segment_bytes(const struct spool_log *log)
{
    return log->options.segment_bytes;
}

bool spool_log_has_lazy(const struct spool_log *log)
{
    return buffer_len(&log->results) > log->results_in_flight || log_wants_confirmation(log);
}

size_t spool_log_results_waiting(const struct spool_log *log)
{
    return log->entries;
}

bool spool_log_is_holding(const struct spool_log *log)
{
    return log->is_holding;
}

bool spool_log_is_quiet(const struct spool_log *log)
{
    return !log->is_writing && log->preparing == NULL && !log->is_releasing;
}

void spool_log_retry(struct spool_log *log)
{
    log->prepare_waits = false;
    log->release_waits = false;
}

void spool_log_rescue(struct spool_log *log)
{
    if (!log->is_holding)
        return;
    log->is_holding = false;
    spool_log_flush(log);
}

void spool_log_resume(struct spool_log *log)
{
    if (log->state != SPOOL_LOG_STOPPED)
        return;
    log->failures_in_row = 0;
    log->is_holding = false;
    spool_log_retry(log);
    log->state = SPOOL_LOG_STARTING;
    log_check_ready(log);
}
