#include <stdlib.h>

#include "spool/log_parts.h"

static_assert(SPOOL_RECORD_HEADER + SPOOL_RESULTS_RECORD_MAX * SPOOL_RESULT_BYTES +
                      2 * SPOOL_BLOCK_BYTES <=
                  SPOOL_SEGMENT_BYTES_MIN,
              "results fit any segment");

/* A batch: the messages that are laid out, and behind them so many results. */
struct plan {
    size_t results; /* bytes of log->results */
    size_t entries; /* of these bytes */
    size_t records; /* bytes of all records, messages included */
    size_t bytes;   /* of the batch; above 0 without records only where it confirms */
};

static struct log_result_head result_head(const struct spool_log *log, size_t at)
{
    struct log_result_head head;
    struct slice results = buffer_contents(&log->results);

    ASSERT(results.len - at >= sizeof head);
    memcpy(&head, results.data + at, sizeof head);
    return head;
}

static size_t result_entry_bytes(const struct log_result_head *head)
{
    return sizeof *head + (size_t)head->count * SPOOL_RESULT_BYTES;
}

static struct spool_ticket *ticket_of(struct list_node *n)
{
    return CONTAINER_OF(n, struct spool_ticket, node);
}

/* --- messages, while a write may be in flight --------------------------------------------------
 */

/* For `bytes`; the first `used` of them are kept. Twice as much each time, but not more than the
 * usual batch needs as long as it is one. */
static bool make_room(struct spool_log_buffer *buffer, size_t used, size_t bytes)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : SPOOL_BATCH_BYTES_FIRST;
    char *larger;

    ASSERT(used <= buffer->capacity && bytes % SPOOL_BLOCK_BYTES == 0);
    if (bytes <= buffer->capacity)
        return true;
    while (capacity < bytes)
        capacity *= 2;
    if (bytes <= SPOOL_BATCH_BYTES_KEPT && capacity > SPOOL_BATCH_BYTES_KEPT)
        capacity = SPOOL_BATCH_BYTES_KEPT;
    larger = aligned_alloc(SPOOL_BLOCK_BYTES, capacity);
    if (larger == NULL)
        return false;
    if (used > 0)
        memcpy(larger, buffer->bytes, used);
    free(buffer->bytes);
    *buffer = (struct spool_log_buffer){ larger, capacity };
    return true;
}

static void trim(struct spool_log_buffer *buffer)
{
    if (buffer->capacity <= SPOOL_BATCH_BYTES_KEPT)
        return;
    free(buffer->bytes);
    *buffer = (struct spool_log_buffer){ NULL, 0 };
}

void log_trim_buffers(struct spool_log *log)
{
    if (log->next_bytes == 0)
        trim(&log->next);
    if (!log->is_writing)
        trim(&log->flight);
}

/* What the next batch may take in all. Its first record decides into which segment it goes: where
 * the current one has no room for that, it is the next one. */
static size_t next_room(const struct spool_log *log)
{
    size_t room = log_room(log);

    return log_blocks(log->next_bytes) <= room ? room
                                               : log->options.segment_bytes - SPOOL_BLOCK_BYTES;
}

static bool joins_next(const struct spool_log *log, size_t bytes)
{
    size_t sum = log->next_bytes + bytes;

    return log->next_bytes == 0 || (sum <= SPOOL_BATCH_BYTES && log_blocks(sum) <= next_room(log));
}

/* The payloads are copied and their checksums taken. Headers say where in which segment a record
 * lies and in which batch: a write that fails changes all of that, so they are written last. */
void log_lay_out(struct spool_log *log)
{
    while (!list_is_empty(&log->waiting)) {
        struct list_node *n = log->waiting.head.next;
        const struct spool_message *message = ticket_of(n)->message;
        size_t bytes = spool_message_record_bytes(message);

        if (!joins_next(log, bytes))
            return;
        if (!make_room(&log->next, log->next_bytes, log_blocks(log->next_bytes + bytes))) {
            /* Peers get an answer they can come back for, unless what is on its way leaves a
             * buffer to those who wait. */
            if (log->next_bytes == 0 && !log->is_writing)
                log_fail_waiting(log, STATUS_NO_MEMORY);
            return;
        }
        bytes = spool_record_encode_payload(spool_message_payload(message),
                                            log->next.bytes + log->next_bytes);
        list_remove(n);
        list_append(&log->laid_out, n);
        log->next_bytes += bytes;
    }
}

/* --- a batch -----------------------------------------------------------------------------------
 */

/* Lazy records may use what is not promised to messages. */
static size_t lazy_allowance(const struct spool_log *log)
{
    size_t promised = log->reserved_bytes + log->waiting_bytes;
    size_t capacity = log_capacity(log, 0);

    if (promised == 0)
        return log_room(log);
    return capacity > promised ? capacity - promised : 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool log_wants_confirmation(const struct spool_log *log)
{
    return log->is_unconfirmed && smaller(log_room(log), lazy_allowance(log)) >= SPOOL_BLOCK_BYTES;
}

static struct plan plan_batch(const struct spool_log *log)
{
    struct plan p = { .records = log->next_bytes };
    size_t len = buffer_len(&log->results);
    /* In whole blocks, because that is what the batch will take. */
    size_t blocks = log_blocks(log->next_bytes);
    size_t limit =
        smaller(log_room(log), blocks + smaller(SPOOL_BATCH_BYTES_LAZY, lazy_allowance(log)));

    ASSERT(blocks <= log_room(log));
    while (p.results < len) {
        struct log_result_head head = result_head(log, p.results);
        size_t bytes = spool_record_bytes((size_t)head.count * SPOOL_RESULT_BYTES);

        if (log_blocks(p.records + bytes) > limit)
            break;
        p.records += bytes;
        p.results += result_entry_bytes(&head);
        p.entries++;
    }
    p.bytes = log_blocks(p.records);
    if (p.bytes == 0 && log_wants_confirmation(log))
        p.bytes = SPOOL_BLOCK_BYTES;
    return p;
}

/* A record of the batch about to be written. */
static struct spool_record record_template(const struct spool_log *log, size_t batch_bytes)
{
    return (struct spool_record){
        .generation = log->current->file.generation,
        .salt = log->current->file.salt,
        .batch = log->batch_next,
        .batch_start = log->current->fill,
        .batch_bytes = (uint32_t)batch_bytes,
        .log_id = log->options.log_id,
    };
}

/* From here on the messages that are laid out have their place. */
static size_t complete_messages(struct spool_log *log, struct spool_record *r)
{
    size_t fill = 0;

    r->type = SPOOL_RECORD_MESSAGE;
    LIST_FOR_EACH (n, &log->laid_out) {
        struct spool_ticket *t = ticket_of(n);
        size_t bytes;

        r->mid = t->mid;
        r->sequence = log->sequence_next++;
        bytes = spool_record_encode_header(r, log->next.bytes + fill);
        ASSERT(bytes == spool_message_record_bytes(t->message));
        t->location = (struct spool_location){
            .segment = log->current,
            .offset = (uint32_t)(log->current->fill + fill),
            .bytes = (uint32_t)bytes,
        };
        fill += bytes;
        ASSERT(log->waiting_messages > 0 && log->waiting_bytes >= log_blocks(bytes));
        log->waiting_messages--;
        log->waiting_bytes -= log_blocks(bytes);
    }
    ASSERT(fill == log->next_bytes);
    return fill;
}

static size_t add_results(struct spool_log *log, struct spool_record *r, size_t bytes, size_t fill)
{
    struct slice results = buffer_contents(&log->results);

    for (size_t at = 0; at < bytes;) {
        struct log_result_head head = result_head(log, at);
        struct slice payload = { results.data + at + sizeof head,
                                 (size_t)head.count * SPOOL_RESULT_BYTES };

        r->type = head.count > 0 ? SPOOL_RECORD_RESULT : SPOOL_RECORD_DONE;
        r->mid = head.mid;
        r->sequence = log->sequence_next++;
        fill += spool_record_encode(r, payload, log->next.bytes + fill);
        at += result_entry_bytes(&head);
        log->counters.results++;
    }
    return fill;
}

static void add_padding(struct spool_log *log, struct spool_record *r, size_t fill, size_t end)
{
    static const char zeros[SPOOL_BLOCK_BYTES];
    size_t rest = end - fill;

    ASSERT(rest <= SPOOL_BLOCK_BYTES);
    if (rest < SPOOL_RECORD_HEADER) {
        memset(log->next.bytes + fill, 0, rest);
        return;
    }
    r->type = SPOOL_RECORD_PAD;
    r->mid = 0;
    r->sequence = 0;
    fill += spool_record_encode(r, (struct slice){ zeros, rest - SPOOL_RECORD_HEADER },
                                log->next.bytes + fill);
    ASSERT(fill == end);
}

static void swap_buffers(struct spool_log *log)
{
    struct spool_log_buffer buffer = log->next;

    log->next = log->flight;
    log->flight = buffer;
}

static void write_batch(struct spool_log *log, const struct plan *p)
{
    struct spool_record r = record_template(log, p->bytes);
    struct spool_write w;
    size_t fill;

    ASSERT(p->bytes > 0 && p->bytes <= log_room(log) && p->bytes <= log->next.capacity);
    fill = complete_messages(log, &r);
    fill = add_results(log, &r, p->results, fill);
    ASSERT(fill == p->records);
    add_padding(log, &r, fill, p->bytes);

    ASSERT(list_is_empty(&log->writing));
    list_take_all(&log->writing, &log->laid_out);
    swap_buffers(log);
    log->flight_bytes = p->bytes;
    log->next_bytes = 0;
    w = (struct spool_write){
        .file = log->current->file,
        .data = log->flight.bytes,
        .bytes = p->bytes,
        .offset = log->current->fill,
    };
    log->current->fill += (uint32_t)p->bytes;
    log->results_in_flight = p->results;
    log->entries_in_flight = p->entries;
    if (p->results == buffer_len(&log->results))
        log->is_flushing = false;
    log->batch_next++;
    log->is_writing = true;
    log->storage->ops->segment_write(log->storage, &w);
}

bool log_next_fits(const struct spool_log *log)
{
    size_t needed = 0;

    if (log->next_bytes > 0) {
        needed = log->next_bytes;
    } else if (!list_is_empty(&log->waiting)) {
        needed = spool_message_record_bytes(ticket_of(log->waiting.head.next)->message);
    } else if (buffer_len(&log->results) > 0) {
        struct log_result_head head = result_head(log, 0);

        needed = spool_record_bytes((size_t)head.count * SPOOL_RESULT_BYTES);
    }
    return log_room(log) >= log_blocks(needed);
}

void log_start_batch(struct spool_log *log)
{
    bool lazy = log->is_flushing && spool_log_has_lazy(log);
    struct plan p;

    if (log->is_writing || log->is_holding)
        return;
    if (log->next_bytes == 0 && !lazy)
        return;
    if (!log_next_fits(log) && !log_open_segment(log))
        return;
    p = plan_batch(log);
    /* Without memory results stay where they are; messages have the room they are laid out in. */
    if (!make_room(&log->next, log->next_bytes, p.bytes))
        p = (struct plan){ .records = log->next_bytes, .bytes = log_blocks(log->next_bytes) };
    if (p.bytes > 0)
        write_batch(log, &p);
}

static void complete_tickets(struct spool_log *log, enum status status)
{
    struct list_node *n;

    while ((n = list_take_first(&log->writing)) != NULL) {
        struct spool_ticket *t = ticket_of(n);

        t->status = status;
        if (status == STATUS_OK) {
            t->location.segment->messages++;
            log->counters.messages++;
        }
        list_append(&log->committed, n);
    }
}

static void complete_results(struct spool_log *log)
{
    ASSERT(log->entries >= log->entries_in_flight);
    buffer_consume(&log->results, log->results_in_flight);
    log->entries -= log->entries_in_flight;
    log->results_committed += log->results_in_flight;
    LIST_FOR_EACH (n, &log->dones) {
        struct spool_ticket *t = ticket_of(n);

        if (t->position > log->results_committed)
            return;
        list_remove(n);
        t->status = STATUS_OK;
        list_append(&log->committed, n);
    }
}

void log_finish_batch(struct spool_log *log, enum status status)
{
    ASSERT(log->is_writing);
    log->is_writing = false;
    /* No later batch of this era comes behind one that failed. */
    log->is_unconfirmed = status == STATUS_OK && !list_is_empty(&log->writing);
    /* Who never has two batches at once needs one buffer, and it is warm. */
    if (log->next_bytes == 0)
        swap_buffers(log);
    complete_tickets(log, status);
    if (status == STATUS_OK) {
        complete_results(log);
        log->counters.batches++;
        log->counters.batch_bytes += log->flight_bytes;
    } else {
        /* Tells recovery that this batch was never acknowledged. */
        log->batch_next = spool_batch_next_era(log->batch_next);
        log->is_flushing = buffer_len(&log->results) > 0;
    }
    log->results_in_flight = 0;
    log->entries_in_flight = 0;
}
