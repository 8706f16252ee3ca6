#include "spool/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "spool/recovery_parts.h"

struct spool_recovered_message *recovery_find(const struct spool_recovery *r, uint64_t mid)
{
    struct table_node *n = table_find(&r->messages, hash_number(mid));

    for (; n != NULL; n = table_find_next(n)) {
        struct spool_recovered_message *m = CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->mid == mid)
            return m;
    }
    return NULL;
}

/* --- logs that must stay together ------------------------------------------------------------ */

static uint32_t leader_of(const struct recovery_work *w, uint32_t log_id)
{
    ASSERT(log_id < SPOOL_LOGS_MAX);
    while (w->leaders[log_id] != log_id)
        log_id = w->leaders[log_id];
    return log_id;
}

/* The lowest id leads, so that a leader's chain only goes down. */
static void join_logs(struct recovery_work *w, uint32_t a, uint32_t b)
{
    uint32_t leader_a = leader_of(w, a), leader_b = leader_of(w, b);

    if (leader_a < leader_b)
        w->leaders[leader_b] = leader_a;
    else
        w->leaders[leader_a] = leader_b;
}

/* A record in segment `index` speaks of a message. */
static void note_reference(struct recovery_work *w, const struct spool_recovered_message *m,
                           size_t index)
{
    join_logs(w, w->r->segments[m->segment].header.log_id, w->r->segments[index].header.log_id);
}

/* --- records --------------------------------------------------------------------------------- */

static void report_nonsense(struct recovery_work *w, size_t index, const struct spool_scan *scan)
{
    w->r->segments[index].is_damaged = true;
    recovery_report(w->r, &(struct spool_damage){
                              .kind = SPOOL_DAMAGE_MESSAGE,
                              .segment = w->r->segments[index].number,
                              .offset = scan->offset,
                              .bytes = scan->item_bytes,
                              .mid = scan->record.mid,
                          });
}

/* Of a record that is at hand. */
static enum status make_message(struct recovery_work *w, uint64_t mid, struct slice payload,
                                struct spool_recovered_message **message_out)
{
    struct spool_recovery_keeper *keeper = w->r->keeper;
    struct spool_recovered_message *m = NULL;
    void *kept = NULL;
    bool is_lodged;

    if (keeper != NULL)
        TRY(keeper->keep(keeper, mid, payload, &kept));
    is_lodged = keeper != NULL && keeper->room != NULL;
    m = is_lodged ? keeper->room(keeper, kept) : malloc(sizeof *m);
    if (m == NULL) {
        if (kept != NULL)
            keeper->drop(keeper, kept);
        return STATUS_NO_MEMORY;
    }
    *m = (struct spool_recovered_message){ .mid = mid, .kept = kept, .is_lodged = is_lodged };
    table_insert(&w->r->messages, &m->node, hash_number(mid));
    if (!is_lodged) {
        *w->last = m;
        w->last = &m->next;
    }
    *message_out = m;
    return STATUS_OK;
}

static enum status take_message(struct recovery_work *w, size_t index,
                                const struct spool_scan *scan)
{
    uint64_t mid = scan->record.mid;
    struct spool_recovered_message *m = recovery_find(w->r, mid);
    struct spool_message_facts facts;

    if (spool_message_check(mid, scan->payload, &facts) != STATUS_OK ||
        (m != NULL && m->recipients_count != facts.recipients_count)) {
        report_nonsense(w, index, scan);
        return STATUS_OK;
    }
    /* Segments come by generation: this is a copy that compaction has made. As long as the old
     * place is there, the message lives at it: behind the copy its results may not have been said
     * again, and the segments that hold them are released before the copy's. */
    if (m != NULL) {
        note_reference(w, m, index);
        return STATUS_OK;
    }
    TRY(make_message(w, mid, scan->payload, &m));
    m->recipients_count = facts.recipients_count;
    m->segment = (uint32_t)index;
    m->offset = (uint32_t)scan->offset;
    m->bytes = (uint32_t)scan->item_bytes;
    m->body_in_file = facts.body_in_file;
    m->body_bytes = facts.body_bytes;
    return STATUS_OK;
}

static enum status take_results(struct recovery_work *w, size_t index,
                                const struct spool_scan *scan)
{
    struct spool_recovered_message *m = recovery_find(w->r, scan->record.mid);
    struct slice rest = scan->payload;

    if (m == NULL) /* its segment was recycled, or its record is lost and reported */
        return STATUS_OK;
    note_reference(w, m, index);
    if (m->results == NULL) {
        m->results = calloc(m->recipients_count, sizeof *m->results);
        if (m->results == NULL)
            return STATUS_NO_MEMORY;
        for (uint32_t rid = 0; rid < m->recipients_count; rid++)
            m->results[rid].rid = rid;
    }
    while (rest.len > 0) {
        struct spool_result said;

        if (spool_result_decode(rest, &said) != STATUS_OK || said.rid >= m->recipients_count) {
            report_nonsense(w, index, scan);
            return STATUS_OK;
        }
        spool_result_merge(&m->results[said.rid], &said);
        rest = slice_after(rest, SPOOL_RESULT_BYTES);
    }
    return STATUS_OK;
}

/* A DONE has been read: nothing is kept of it, but it is not forgotten. */
static enum status bury(struct recovery_work *w, struct spool_recovered_message *m)
{
    struct spool_recovered_message *dead = m;
    void *kept = m->kept;

    if (m->is_lodged) {
        dead = malloc(sizeof *dead);
        if (dead == NULL)
            return STATUS_NO_MEMORY;
        table_remove(&w->r->messages, &m->node);
        *dead = *m;
        dead->is_lodged = false;
        m->results = NULL;
        table_insert(&w->r->messages, &dead->node, hash_number(dead->mid));
    }
    dead->is_done = true;
    dead->kept = NULL;
    if (kept != NULL)
        w->r->keeper->drop(w->r->keeper, kept);
    return STATUS_OK;
}

static enum status take_record(struct recovery_work *w, size_t index, const struct spool_scan *scan)
{
    struct spool_recovered_message *m;

    if (scan->record.mid > w->r->mid_highest)
        w->r->mid_highest = scan->record.mid;
    w->r->segments[index].records++;
    if (w->r->mid_limit > 0 && scan->record.mid >= w->r->mid_limit) {
        report_nonsense(w, index, scan);
        return STATUS_OK;
    }
    switch (scan->record.type) {
    case SPOOL_RECORD_MESSAGE: return take_message(w, index, scan);
    case SPOOL_RECORD_RESULT: return take_results(w, index, scan);
    case SPOOL_RECORD_DONE:
        m = recovery_find(w->r, scan->record.mid);
        if (m == NULL)
            return STATUS_OK;
        note_reference(w, m, index);
        return bury(w, m);
    case SPOOL_RECORD_PAD: return STATUS_OK;
    }
    UNREACHABLE();
}

static enum status scan_segment(struct recovery_work *w, size_t index)
{
    struct spool_recovered_segment *s = &w->r->segments[index];
    struct spool_scan scan;
    struct slice bytes;
    enum status status = recovery_read_segment(w, index, &bytes);

    if (status == STATUS_NO_MEMORY || status == STATUS_LIMIT)
        return STATUS_BUSY;
    if (status != STATUS_OK) { /* it has gone since it was listed, or cannot be opened */
        s->is_damaged = true;
        recovery_report(w->r, &(struct spool_damage){ .kind = SPOOL_DAMAGE_UNREADABLE,
                                                      .segment = s->number,
                                                      .bytes = s->header.bytes });
        return STATUS_OK;
    }
    spool_scan_init(&scan, bytes, s->header.generation, s->header.salt);
    for (;;) {
        enum spool_scan_item item = spool_scan_next(&scan);

        if (item == SPOOL_SCAN_END)
            break;
        if (s->batch_first == 0)
            s->batch_first = item == SPOOL_SCAN_RECORD ? scan.record.batch : scan.hole_batch;
        if (item == SPOOL_SCAN_RECORD)
            TRY(take_record(w, index, &scan));
        else
            TRY(recovery_add_hole(w, index, &scan));
    }
    s->batch_last = scan.batch;
    s->fill = (uint32_t)(scan.batch_end < bytes.len ? scan.batch_end : bytes.len);
    return STATUS_OK;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void count_messages(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    TABLE_FOR_EACH (n, &r->messages) {
        struct spool_recovered_message *m = CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->is_done) {
            r->messages_dead++;
            continue;
        }
        r->messages_living++;
        r->segments[m->segment].messages_living++;
    }
    for (size_t i = 0; i < r->segments_count; i++)
        r->segments[i].home = leader_of(w, r->segments[i].header.log_id);
}

static void tell_progress(const struct recovery_work *w)
{
    struct spool_recovery_watch *watch = w->options.watch;

    if (watch != NULL)
        watch->progress(watch, w->r->segments_read, w->r->segments_count);
}

/* The records of a run are in segments of later generations than all that it found. A log's first
 * era is the first of these, and with each further era of the run it has a further segment, so an
 * era is never above the generation of a segment it lies in: this one is new, whatever the
 * segments hold. So are the sequence numbers, of which no segment holds 2^32. */
static enum status begin_era(struct spool_recovery *r)
{
    if (r->generation_next > UINT32_MAX)
        return STATUS_LIMIT;
    r->batch_next = r->generation_next * SPOOL_BATCH_ERA + 1;
    r->sequence_next = r->batch_next;
    return STATUS_OK;
}

static enum status begin(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    TRY(table_init(&r->messages));
    r->damage = calloc(SPOOL_DAMAGE_LISTED_MAX, sizeof *r->damage);
    if (r->damage == NULL)
        return STATUS_NO_MEMORY;
    TRY(recovery_list_segments(w));
    return begin_era(r);
}

/* Frees everything and keeps what a message to the user needs. */
static enum status fail(struct spool_recovery *r, enum status status)
{
    uint32_t unsupported = r->unsupported_segment;

    ASSERT(status != STATUS_OK);
    spool_recovery_finish(r);
    r->unsupported_segment = unsupported;
    return status;
}

enum status spool_recovery_begin(struct spool_recovery *r, const struct spool_directory *d,
                                 const struct spool_recovery_options *options)
{
    struct recovery_work *w = calloc(1, sizeof *w);
    enum status status;

    *r = (struct spool_recovery){
        .directory = d, .generation_next = 1, .number_next = 1, .keeper = options->keeper, .work = w
    };
    if (w == NULL)
        return STATUS_NO_MEMORY;
    w->r = r;
    w->options = *options;
    w->last = &r->walk;
    for (uint32_t i = 0; i < SPOOL_LOGS_MAX; i++)
        w->leaders[i] = i;
    status = begin(w);
    return status == STATUS_OK ? STATUS_OK : fail(r, status);
}

/* All segments were read. */
static enum status conclude(struct recovery_work *w)
{
    recovery_judge(w);
    TRY(recovery_check_bodies(w));
    count_messages(w);
    return STATUS_OK;
}

static void free_work(struct spool_recovery *r)
{
    if (r->work != NULL)
        free(r->work->holes);
    free(r->work);
    r->work = NULL;
    free(r->buffer);
    r->buffer = NULL;
    r->buffer_bytes = 0;
}

static enum status step(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    while (r->segments_read < r->segments_count && r->segments[r->segments_read].is_free)
        r->segments_read++;
    tell_progress(w);
    if (r->segments_read < r->segments_count) {
        TRY(scan_segment(w, r->segments_read));
        r->segments_read++;
        return STATUS_OK;
    }
    TRY(conclude(w));
    free_work(r);
    return STATUS_OK;
}

enum status spool_recovery_step(struct spool_recovery *r)
{
    enum status status;

    ASSERT(!spool_recovery_is_over(r));
    status = step(r->work);
    return status == STATUS_OK || status == STATUS_BUSY ? status : fail(r, status);
}

bool spool_recovery_is_over(const struct spool_recovery *r)
{
    return r->work == NULL;
}

enum status spool_recover(struct spool_recovery *r, const struct spool_directory *d,
                          const struct spool_recovery_options *options)
{
    TRY(spool_recovery_begin(r, d, options));
    while (!spool_recovery_is_over(r)) {
        enum status status = spool_recovery_step(r);

        if (status == STATUS_BUSY)
            return fail(r, STATUS_NO_MEMORY);
        TRY(status);
    }
    return STATUS_OK;
}

static void free_message(struct spool_recovery *r, struct spool_recovered_message *m)
{
    bool is_lodged = m->is_lodged;
    void *kept = m->kept;

    if (is_lodged && kept == NULL)
        return; /* it was taken, with its results */
    free(m->results);
    m->results = NULL;
    if (kept != NULL)
        r->keeper->drop(r->keeper, kept);
    if (!is_lodged)
        free(m);
}

void spool_recovery_drop_messages(struct spool_recovery *r)
{
    for (size_t i = 0; i < r->messages.buckets_count; i++) {
        struct table_node *n = r->messages.buckets[i], *next;

        for (; n != NULL; n = next) {
            struct spool_recovered_message *m =
                CONTAINER_OF(n, struct spool_recovered_message, node);

            next = n->next;
            free_message(r, m);
        }
    }
    table_finish(&r->messages);
    r->walk = NULL;
}

void spool_recovery_finish(struct spool_recovery *r)
{
    spool_recovery_drop_messages(r);
    free_work(r);
    free(r->segments);
    free(r->damage);
    free(r->buffer);
    *r = (struct spool_recovery){ .directory = NULL };
}

struct spool_recovered_message *spool_recovery_next(struct spool_recovery *r)
{
    struct spool_recovered_message *m = r->walk;

    while (m != NULL && m->is_done)
        m = m->next;
    r->walk = m != NULL ? m->next : NULL;
    return m;
}

enum status spool_recovery_load(struct spool_recovery *r, const struct spool_recovered_message *m,
                                struct spool_message **message_out)
{
    const struct spool_recovered_segment *s = &r->segments[m->segment];
    ssize_t got;
    int fd;

    TRY(recovery_need_buffer(r, m->bytes));
    TRY(spool_segment_open(r->directory, s->number, O_RDONLY, &fd));
    do {
        got = pread(fd, r->buffer, m->bytes, (off_t)m->offset);
    } while (got < 0 && errno == EINTR);
    (void)close(fd);
    if (got < 0)
        return STATUS_IO;
    return spool_message_from_record(m->mid, s->header.generation,
                                     (struct slice){ r->buffer, (size_t)got }, message_out);
}

struct spool_result spool_recovery_result(const struct spool_recovered_message *m, uint32_t rid)
{
    ASSERT(rid < m->recipients_count);
    if (m->results != NULL)
        return m->results[rid];
    return (struct spool_result){ .rid = rid, .state = SPOOL_RESULT_WAITING };
}

void *spool_recovery_take_kept(struct spool_recovered_message *m, struct spool_result **results_out)
{
    void *kept = m->kept;

    *results_out = m->results;
    m->kept = NULL;
    m->results = NULL;
    return kept;
}
