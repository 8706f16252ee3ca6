#include <stdlib.h>

#include "spool/log_parts.h"

/* What lazy records may take of a batch that also carries messages. */
#define BATCH_LAZY_BYTES (SPOOL_BATCH_BYTES / 4)

static_assert(SPOOL_RECORD_HEADER + SPOOL_RESULTS_RECORD_MAX * SPOOL_RESULT_BYTES +
                      2 * SPOOL_BLOCK_BYTES <=
                  SPOOL_SEGMENT_BYTES_MIN,
              "results fit any segment");

struct plan {
    size_t results;  /* bytes of log->results */
    size_t entries;  /* of these bytes */
    size_t records;  /* bytes of all records */
    size_t messages; /* tickets */
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

static void plan_results(const struct spool_log *log, struct plan *p, size_t limit)
{
    size_t len = buffer_len(&log->results);

    limit = smaller(limit, BATCH_LAZY_BYTES);
    limit = smaller(limit, lazy_allowance(log));
    while (p->results < len) {
        struct log_result_head head = result_head(log, p->results);
        size_t bytes = spool_record_bytes((size_t)head.count * SPOOL_RESULT_BYTES);

        /* In whole blocks, because that is what the batch will take. */
        if (log_blocks(p->records + bytes) > limit)
            return;
        p->records += bytes;
        p->results += result_entry_bytes(&head);
        p->entries++;
    }
}

static void plan_messages(const struct spool_log *log, struct plan *p, size_t room)
{
    LIST_FOR_EACH (n, &log->waiting) {
        size_t bytes = spool_message_record_bytes(ticket_of(n)->message);
        size_t sum = p->records + bytes;

        if (log_blocks(sum) > room || (p->records > 0 && sum > SPOOL_BATCH_BYTES))
            return;
        p->records = sum;
        p->messages++;
    }
}

static struct plan plan_batch(const struct spool_log *log)
{
    struct plan p = { 0 };
    size_t room = log_room(log);

    plan_results(log, &p, room);
    plan_messages(log, &p, room);
    /* A message that does not fit behind the results goes alone, and they ride later. */
    if (p.messages == 0 && !list_is_empty(&log->waiting)) {
        struct plan alone = { 0 };

        plan_messages(log, &alone, room);
        if (alone.messages > 0)
            return alone;
    }
    return p;
}

/* A buffer for so many bytes; what was in it before does not matter. */
static bool batch_make_room(struct spool_log *log, size_t bytes)
{
    size_t capacity = SPOOL_BATCH_BYTES_FIRST;
    char *batch;

    if (bytes <= log->batch_capacity)
        return true;
    while (capacity < bytes)
        capacity *= 2;
    batch = aligned_alloc(SPOOL_BLOCK_BYTES, capacity);
    if (batch == NULL)
        return false;
    free(log->batch);
    log->batch = batch;
    log->batch_capacity = capacity;
    return true;
}

void log_trim_batch(struct spool_log *log)
{
    if (log->is_writing || log->batch_capacity <= SPOOL_BATCH_BYTES)
        return;
    free(log->batch);
    log->batch = NULL;
    log->batch_capacity = 0;
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

static size_t lay_out_results(struct spool_log *log, struct spool_record *r, size_t bytes,
                              size_t fill)
{
    struct slice results = buffer_contents(&log->results);

    for (size_t at = 0; at < bytes;) {
        struct log_result_head head = result_head(log, at);
        struct slice payload = { results.data + at + sizeof head,
                                 (size_t)head.count * SPOOL_RESULT_BYTES };

        r->type = head.count > 0 ? SPOOL_RECORD_RESULT : SPOOL_RECORD_DONE;
        r->mid = head.mid;
        r->sequence = log->sequence_next++;
        fill += spool_record_encode(r, payload, log->batch + fill);
        at += result_entry_bytes(&head);
        log->counters.results++;
    }
    return fill;
}

static size_t lay_out_messages(struct spool_log *log, struct spool_record *r, size_t count,
                               size_t fill)
{
    for (size_t i = 0; i < count; i++) {
        struct list_node *n = list_take_first(&log->waiting);
        struct spool_ticket *t = ticket_of(n);
        size_t bytes;

        r->type = SPOOL_RECORD_MESSAGE;
        r->mid = t->mid;
        r->sequence = log->sequence_next++;
        bytes = spool_record_encode(r, spool_message_payload(t->message), log->batch + fill);
        t->location = (struct spool_location){
            .segment = log->current,
            .offset = (uint32_t)(log->current->fill + fill),
            .bytes = (uint32_t)bytes,
        };
        fill += bytes;
        ASSERT(log->waiting_messages > 0 && log->waiting_bytes >= log_blocks(bytes));
        log->waiting_messages--;
        log->waiting_bytes -= log_blocks(bytes);
        list_append(&log->writing, n);
    }
    return fill;
}

static void lay_out_padding(struct spool_log *log, struct spool_record *r, size_t fill, size_t end)
{
    static const char zeros[SPOOL_BLOCK_BYTES];
    size_t rest = end - fill;

    ASSERT(rest < SPOOL_BLOCK_BYTES);
    if (rest < SPOOL_RECORD_HEADER) {
        memset(log->batch + fill, 0, rest);
        return;
    }
    r->type = SPOOL_RECORD_PAD;
    r->mid = 0;
    r->sequence = 0;
    fill += spool_record_encode(r, (struct slice){ zeros, rest - SPOOL_RECORD_HEADER },
                                log->batch + fill);
    ASSERT(fill == end);
}

static void write_batch(struct spool_log *log, const struct plan *p)
{
    size_t bytes = log_blocks(p->records), fill = 0;
    struct spool_record r = record_template(log, bytes);
    struct spool_write w;

    ASSERT(bytes > 0 && bytes <= log_room(log) && bytes <= log->batch_capacity);
    fill = lay_out_results(log, &r, p->results, fill);
    fill = lay_out_messages(log, &r, p->messages, fill);
    ASSERT(fill == p->records);
    lay_out_padding(log, &r, fill, bytes);

    w = (struct spool_write){
        .file = log->current->file,
        .data = log->batch,
        .bytes = bytes,
        .offset = log->current->fill,
    };
    log->current->fill += (uint32_t)bytes;
    log->results_in_flight = p->results;
    log->entries_in_flight = p->entries;
    if (p->results == buffer_len(&log->results))
        log->is_flushing = false;
    log->batch_bytes = bytes;
    log->batch_next++;
    log->is_writing = true;
    log->storage->ops->segment_write(log->storage, &w);
}

bool log_next_fits(const struct spool_log *log)
{
    size_t needed = 0;

    if (!list_is_empty(&log->waiting)) {
        needed = spool_message_record_bytes(ticket_of(log->waiting.head.next)->message);
    } else if (buffer_len(&log->results) > 0) {
        struct log_result_head head = result_head(log, 0);

        needed = spool_record_bytes((size_t)head.count * SPOOL_RESULT_BYTES);
    }
    return log_room(log) >= log_blocks(needed);
}

void log_start_batch(struct spool_log *log)
{
    bool lazy = log->is_flushing && buffer_len(&log->results) > 0;
    struct plan p;

    if (log->is_writing || log->is_holding)
        return;
    if (list_is_empty(&log->waiting) && !lazy)
        return;
    if (!log_next_fits(log) && !log_open_segment(log))
        return;
    p = plan_batch(log);
    if (p.records == 0)
        return;
    if (!batch_make_room(log, log_blocks(p.records))) {
        /* Peers get an answer they can come back for; results stay where they are. */
        log_fail_waiting(log, STATUS_NO_MEMORY);
        return;
    }
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
    complete_tickets(log, status);
    if (status == STATUS_OK) {
        complete_results(log);
        log->counters.batches++;
        log->counters.batch_bytes += log->batch_bytes;
    } else {
        /* Tells recovery that this batch was never acknowledged. */
        log->batch_next = spool_batch_next_era(log->batch_next);
        log->is_flushing = buffer_len(&log->results) > 0;
    }
    log->results_in_flight = 0;
    log->entries_in_flight = 0;
}
