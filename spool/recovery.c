#include "spool/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "spool/recovery_parts.h"

#define MIDS_TOGETHER_BITS 10

/* MIDs are given out in order, and records of one segment have them close together: these lie side
 * by side in the table, 1024 of them, so that most look-ups find their bucket in a cache. Where
 * such a run lies is left to chance. */
static uint64_t hash_mid(uint64_t mid)
{
    return hash_number(mid >> MIDS_TOGETHER_BITS) << MIDS_TOGETHER_BITS |
           (mid & ((1u << MIDS_TOGETHER_BITS) - 1));
}

struct spool_recovered_message *spool_recovery_find(const struct spool_recovery *r, uint64_t mid)
{
    struct table_node *n = table_find(&r->messages, hash_mid(mid));

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

/* Of a record that is at hand. Linked, and counted as living. */
static enum status add_message(struct recovery_work *w, size_t index, const struct spool_scan *scan)
{
    struct spool_recovery_keeper *keeper = w->r->keeper;
    struct spool_recovered_message *m, found = {
        .mid = scan->record.mid,
        .segment = (uint32_t)index,
        .offset = (uint32_t)scan->offset,
        .bytes = (uint32_t)scan->item_bytes,
        .recipients_count = spool_message_recipients_count(w->view),
        .body_bytes = spool_message_body_bytes(w->view),
        .body_in_file = spool_message_body_in_file(w->view),
        .body_missing = spool_message_body_in_file(w->view), /* until it is found */
        .is_lodged = keeper != NULL && keeper->room != NULL,
    };

    if (keeper != NULL)
        TRY(keeper->keep(keeper, &found, w->view, &found.kept));
    m = found.is_lodged ? keeper->room(keeper, found.kept) : malloc(sizeof *m);
    if (m == NULL) {
        if (found.kept != NULL)
            keeper->drop(keeper, found.kept);
        return STATUS_NO_MEMORY;
    }
    *m = found;
    table_insert(&w->r->messages, &m->node, hash_mid(m->mid));
    if (!m->is_lodged) {
        *w->last = m;
        w->last = &m->next;
    }
    w->bodies_missing += m->body_missing;
    w->r->messages_living++;
    w->r->segments[index].messages_living++;
    return STATUS_OK;
}

static enum status take_message(struct recovery_work *w, size_t index,
                                const struct spool_scan *scan)
{
    uint64_t mid = scan->record.mid;
    struct spool_recovered_message *m = spool_recovery_find(w->r, mid);
    enum status status = spool_message_view(w->view, mid, scan->payload);

    if (status == STATUS_CORRUPT ||
        (status == STATUS_OK && m != NULL &&
         m->recipients_count != spool_message_recipients_count(w->view))) {
        report_nonsense(w, index, scan);
        return STATUS_OK;
    }
    TRY(status);
    /* Segments come by generation: this is a copy that compaction has made. As long as the old
     * place is there, the message lives at it: behind the copy its results may not have been said
     * again, and the segments that hold them are released before the copy's. */
    if (m != NULL) {
        note_reference(w, m, index);
        return STATUS_OK;
    }
    return add_message(w, index, scan);
}

static enum status take_results(struct recovery_work *w, size_t index,
                                const struct spool_scan *scan)
{
    struct spool_recovered_message *m = spool_recovery_find(w->r, scan->record.mid);
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

/* Nothing is kept of it, but it is not forgotten. */
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
        table_insert(&w->r->messages, &dead->node, hash_mid(dead->mid));
    }
    dead->is_done = true;
    dead->kept = NULL;
    w->r->messages_living--;
    w->r->messages_dead++;
    w->r->segments[dead->segment].messages_living--;
    w->bodies_missing -= dead->body_missing;
    dead->body_missing = false;
    if (kept != NULL)
        w->r->keeper->drop(w->r->keeper, kept);
    return STATUS_OK;
}

static enum status take_done(struct recovery_work *w, size_t index, const struct spool_scan *scan)
{
    struct spool_recovered_message *m = spool_recovery_find(w->r, scan->record.mid);

    if (m == NULL)
        return STATUS_OK;
    note_reference(w, m, index);
    return m->is_done ? STATUS_OK : bury(w, m);
}

static enum status take_record(struct recovery_work *w, size_t index, const struct spool_scan *scan)
{
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
    case SPOOL_RECORD_DONE: return take_done(w, index, scan);
    case SPOOL_RECORD_PAD: return STATUS_OK;
    }
    UNREACHABLE();
}

static enum status scan_records(struct recovery_work *w, size_t index, struct slice bytes)
{
    struct spool_recovered_segment *s = &w->r->segments[index];
    struct spool_scan scan;

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

/* What a scan only adds to. Messages, their results and their end it finds again as they are. */
struct tally {
    struct spool_recovered_segment segment;
    size_t holes_count;
    size_t damage_listed;
    uint64_t damage_counts[SPOOL_DAMAGE_KIND_COUNT];
};

static struct tally tally_of(const struct recovery_work *w, size_t index)
{
    struct tally t = { .segment = w->r->segments[index],
                       .holes_count = w->holes_count,
                       .damage_listed = w->r->damage_listed };

    memcpy(t.damage_counts, w->r->damage_counts, sizeof t.damage_counts);
    return t;
}

static void restore(struct recovery_work *w, size_t index, const struct tally *t)
{
    size_t messages_living = w->r->segments[index].messages_living;

    w->r->segments[index] = t->segment;
    w->r->segments[index].messages_living = messages_living;
    w->holes_count = t->holes_count;
    w->r->damage_listed = t->damage_listed;
    memcpy(w->r->damage_counts, t->damage_counts, sizeof t->damage_counts);
}

static enum status scan_segment(struct recovery_work *w, size_t index)
{
    struct spool_recovered_segment *s = &w->r->segments[index];
    const struct tally before = tally_of(w, index);
    struct slice bytes;
    enum status status = recovery_read_segment(w, index, &bytes);

    if (status == STATUS_LIMIT)
        return STATUS_BUSY;
    if (status == STATUS_OK) {
        status = scan_records(w, index, bytes);
    } else if (status != STATUS_NO_MEMORY) {
        /* It has gone since it was listed, or cannot be opened. */
        s->is_damaged = true;
        recovery_report(w->r, &(struct spool_damage){ .kind = SPOOL_DAMAGE_UNREADABLE,
                                                      .segment = s->number,
                                                      .bytes = s->header.bytes });
        status = STATUS_OK;
    }
    if (status != STATUS_NO_MEMORY)
        return status;
    restore(w, index, &before);
    return STATUS_BUSY;
}

/* --- the whole ------------------------------------------------------------------------------- */

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

/* The first ones are. */
static void skip_free(struct spool_recovery *r)
{
    while (r->segments_read < r->segments_count && r->segments[r->segments_read].is_free)
        r->segments_read++;
}

static enum status begin(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    TRY(table_init(&r->messages));
    r->damage = calloc(SPOOL_DAMAGE_LISTED_MAX, sizeof *r->damage);
    w->view = spool_message_view_create();
    if (r->damage == NULL || w->view == NULL)
        return STATUS_NO_MEMORY;
    TRY(recovery_list_segments(w));
    skip_free(r);
    w->ahead_next = r->segments_read;
    recovery_begin_blanks(w);
    return begin_era(r);
}

/* Frees everything and keeps what a message to the user needs. */
static enum status fail(struct spool_recovery *r, enum status status)
{
    uint32_t segment = r->failed_segment;
    bool quarantine_failed = r->quarantine_failed;

    ASSERT(status != STATUS_OK);
    spool_recovery_finish(r);
    r->failed_segment = segment;
    r->quarantine_failed = quarantine_failed;
    return status;
}

const char *spool_recovery_failed_part(const struct spool_recovery *r,
                                       char text[static SPOOL_RECOVERY_PART_MAX])
{
    text[0] = '\0';
    if (r->failed_segment > 0)
        (void)snprintf(text, SPOOL_RECOVERY_PART_MAX, "segment %08u", r->failed_segment);
    else if (r->quarantine_failed)
        (void)snprintf(text, SPOOL_RECOVERY_PART_MAX, "quarantine");
    return text;
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
    for (size_t i = 0; i < RECOVERY_INPUTS; i++)
        w->inputs[i].index = SIZE_MAX;
    for (uint32_t i = 0; i < SPOOL_LOGS_MAX; i++)
        w->leaders[i] = i;
    status = begin(w);
    return status == STATUS_OK ? STATUS_OK : fail(r, status);
}

static void free_work(struct spool_recovery *r)
{
    struct recovery_work *w = r->work;

    if (w == NULL)
        return;
    for (size_t i = 0; i < RECOVERY_INPUTS; i++)
        recovery_buffer_finish(&w->inputs[i].buffer);
    recovery_leave_bodies(w);
    spool_message_destroy(w->view);
    free(w->next_of_log);
    free(w->holes);
    free(w);
    r->work = NULL;
}

/* All segments were read. STATUS_LIMIT: there is more to do. */
static enum status conclude(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    if (!w->is_judged) {
        if (recovery_judge(w) != STATUS_OK)
            return STATUS_BUSY; /* no memory: nothing was judged */
        w->is_judged = true;
        return STATUS_LIMIT;
    }
    TRY(recovery_check_bodies(w));
    for (size_t i = 0; i < r->segments_count; i++)
        r->segments[i].home = leader_of(w, r->segments[i].header.log_id);
    free_work(r);
    return STATUS_OK;
}

static enum status step(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;
    enum status status;

    if (recovery_has_blanks(w)) {
        recovery_look_at_blank(w);
        /* The step behind the last one reads by itself, so that nobody reads the same. */
        w->ahead_next = r->segments_read + 1;
        return STATUS_OK;
    }
    if (!w->is_judged)
        tell_progress(w);
    if (r->segments_read < r->segments_count) {
        TRY(scan_segment(w, r->segments_read));
        r->segments_read++;
        return STATUS_OK;
    }
    status = conclude(w);
    return status == STATUS_LIMIT ? STATUS_OK : status;
}

enum status spool_recovery_step(struct spool_recovery *r)
{
    ASSERT(!spool_recovery_is_over(r));
    return step(r->work);
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

        if (status != STATUS_OK)
            return fail(r, status == STATUS_BUSY ? STATUS_NO_MEMORY : status);
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
    recovery_buffer_finish(&r->buffer);
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

    TRY(recovery_buffer_need(&r->buffer, m->bytes));
    TRY(spool_segment_open(r->directory, s->number, O_RDONLY, &fd));
    do {
        got = pread(fd, r->buffer.bytes, m->bytes, (off_t)m->offset);
    } while (got < 0 && errno == EINTR);
    (void)close(fd);
    if (got < 0)
        return STATUS_IO;
    return spool_message_from_record(m->mid, s->header.generation,
                                     (struct slice){ r->buffer.bytes, (size_t)got }, message_out);
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
