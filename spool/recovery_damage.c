#include <stdlib.h>

#include "spool/recovery_parts.h"

#define HOLES_MAX (1u << 20)

const char *spool_damage_text(enum spool_damage_kind kind)
{
    switch (kind) {
    case SPOOL_DAMAGE_RECORD: return "damaged record";
    case SPOOL_DAMAGE_TORN: return "torn batch, never acknowledged";
    case SPOOL_DAMAGE_HEADER: return "damaged segment header";
    case SPOOL_DAMAGE_BATCHES: return "batches missing at the end of the segment";
    case SPOOL_DAMAGE_MESSAGE: return "record with impossible contents";
    case SPOOL_DAMAGE_BODY: return "body file missing or too short";
    case SPOOL_DAMAGE_UNREADABLE: return "the device could not read it";
    case SPOOL_DAMAGE_BODIES: return "the folder of body files could not be read";
    case SPOOL_DAMAGE_FOREIGN_FILE: return "foreign file";
    case SPOOL_DAMAGE_KIND_COUNT: break;
    }
    UNREACHABLE();
}

void recovery_report(struct spool_recovery *r, const struct spool_damage *damage)
{
    ASSERT(damage->kind < SPOOL_DAMAGE_KIND_COUNT);
    r->damage_counts[damage->kind]++;
    if (r->damage_listed < SPOOL_DAMAGE_LISTED_MAX)
        r->damage[r->damage_listed++] = *damage;
}

static void report_hole(const struct recovery_work *w, const struct recovery_hole *h,
                        enum spool_damage_kind kind)
{
    struct spool_recovered_segment *s = &w->r->segments[h->segment];

    s->is_damaged = s->is_damaged || kind != SPOOL_DAMAGE_TORN;
    recovery_report(w->r, &(struct spool_damage){
                              .kind = kind,
                              .segment = s->number,
                              .offset = h->offset,
                              .bytes = h->bytes,
                              .mid = h->mid,
                          });
}

enum status recovery_add_hole(struct recovery_work *w, size_t segment,
                              const struct spool_scan *scan)
{
    struct recovery_hole hole = {
        .segment = segment,
        .offset = scan->offset,
        .bytes = scan->item_bytes,
        .batch = scan->hole_batch,
        .mid = scan->hole_mid,
        .is_spoilt = scan->hole_is_spoilt,
    };

    if (w->holes_count == w->holes_capacity) {
        size_t capacity = w->holes_capacity > 0 ? 2 * w->holes_capacity : 64;
        struct recovery_hole *holes;

        if (w->holes_count >= HOLES_MAX) {
            /* Whether it is a torn write is not found out: it counts as damage. */
            report_hole(w, &hole, SPOOL_DAMAGE_RECORD);
            return STATUS_OK;
        }
        holes = realloc(w->holes, capacity * sizeof *holes);
        if (holes == NULL)
            return STATUS_NO_MEMORY;
        w->holes = holes;
        w->holes_capacity = capacity;
    }
    w->holes[w->holes_count++] = hole;
    return STATUS_OK;
}

/* Fills next_of_log: the next segment of the same log that holds anything; segments_count when
 * there is none. */
static enum status find_next_of_log(struct recovery_work *w)
{
    const struct spool_recovery *r = w->r;
    size_t *next = calloc(r->segments_count + 1, sizeof *next);
    size_t seen[SPOOL_LOGS_MAX];

    if (next == NULL)
        return STATUS_NO_MEMORY;
    for (size_t id = 0; id < SPOOL_LOGS_MAX; id++)
        seen[id] = r->segments_count;
    for (size_t i = r->segments_count; i-- > 0;) {
        next[i] = seen[r->segments[i].header.log_id];
        if (r->segments[i].batch_first != 0)
            seen[r->segments[i].header.log_id] = i;
    }
    w->next_of_log = next;
    return STATUS_OK;
}

/* Whether a later batch of the same era proves that this segment's last batch was completed. */
static bool last_batch_is_confirmed(const struct recovery_work *w, size_t index)
{
    const struct spool_recovery *r = w->r;
    size_t next = w->next_of_log[index];

    if (next == r->segments_count)
        return false;
    return (r->segments[next].batch_first & SPOOL_BATCH_ERA_MASK) ==
           (r->segments[index].batch_last & SPOOL_BATCH_ERA_MASK);
}

static void judge_hole(const struct recovery_work *w, const struct recovery_hole *h)
{
    bool is_last = h->batch >= w->r->segments[h->segment].batch_last;
    bool torn = is_last && !h->is_spoilt && !last_batch_is_confirmed(w, h->segment);

    report_hole(w, h, torn ? SPOOL_DAMAGE_TORN : SPOOL_DAMAGE_RECORD);
}

static void report_missing(struct spool_recovery *r, struct spool_recovered_segment *s)
{
    s->is_damaged = true;
    recovery_report(r, &(struct spool_damage){
                           .kind = SPOOL_DAMAGE_BATCHES,
                           .segment = s->number,
                       });
}

/* What is missing may be at the end of this segment, or all of those of its log between it and the
 * next one that holds anything: no segment is passed over within an era. */
static void judge_end(const struct recovery_work *w, size_t index)
{
    struct spool_recovery *r = w->r;
    struct spool_recovered_segment *s = &r->segments[index];
    size_t next;

    if (s->batch_first == 0 || !last_batch_is_confirmed(w, index))
        return;
    next = w->next_of_log[index];
    if (r->segments[next].batch_first == s->batch_last + 1)
        return;
    for (size_t i = index; i < next; i++)
        if (r->segments[i].header.log_id == s->header.log_id && !r->segments[i].is_free)
            report_missing(r, &r->segments[i]);
}

enum status recovery_judge(struct recovery_work *w)
{
    TRY(find_next_of_log(w));
    for (size_t i = 0; i < w->holes_count; i++)
        judge_hole(w, &w->holes[i]);
    for (size_t i = 0; i < w->r->segments_count; i++)
        judge_end(w, i);
    return STATUS_OK;
}
