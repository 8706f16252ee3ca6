#include <fcntl.h>
#include <unistd.h>

#include "spool/recovery_parts.h"

/* Nothing was written behind its header, as far as its first block tells, nor can have been lost:
 * the log went on elsewhere with a new era, or nowhere. Within an era no segment is passed over. */
static bool is_candidate(const struct recovery_work *w, const struct spool_recovered_segment *s)
{
    return s->starts_blank && !s->is_free && !s->is_damaged && !w->is_continued[s->header.log_id];
}

static void pass_over(struct recovery_work *w, const struct spool_recovered_segment *s)
{
    w->is_continued[s->header.log_id] = !s->begins_era;
}

/* Goes down to the next one to look at. */
static void find_next(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;

    while (w->blanks_end > r->segments_read && !is_candidate(w, &r->segments[w->blanks_end - 1])) {
        w->blanks_end--;
        pass_over(w, &r->segments[w->blanks_end]);
    }
    w->has_blanks = w->blanks_end > r->segments_read;
}

void recovery_begin_blanks(struct recovery_work *w)
{
    w->blanks_end = w->options.is_reader ? w->r->segments_read : w->r->segments_count;
    find_next(w);
}

bool recovery_has_blanks(const struct recovery_work *w)
{
    return w->has_blanks; /* asked while another thread makes the steps behind them */
}

/* All of it: zeros, or in a file that was used before, with another generation, no record of this
 * one. */
static bool is_blank(struct recovery_work *w, size_t index)
{
    const struct spool_segment_header *h = &w->r->segments[index].header;
    struct spool_scan scan;
    struct slice bytes;

    if (!recovery_read_whole(w, index, &bytes))
        return false;
    if (recovery_is_zero(slice_after(bytes, SPOOL_BLOCK_BYTES)))
        return true;
    spool_scan_init(&scan, bytes, h->generation, h->salt);
    return spool_scan_next(&scan) == SPOOL_SCAN_END;
}

/* Its folder is not synced: a name that comes back after a power cut is looked at again. */
static bool unlink_blank(const struct spool_recovery *r, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    return unlinkat(r->directory->segments_fd, spool_segment_name(number, name), 0) == 0;
}

void recovery_look_at_blank(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;
    size_t index;

    ASSERT(recovery_has_blanks(w));
    index = --w->blanks_end;
    if (is_blank(w, index) && unlink_blank(r, r->segments[index].number)) {
        r->segments_count--;
        memmove(&r->segments[index], &r->segments[index + 1],
                (r->segments_count - index) * sizeof *r->segments);
        r->blanks_unlinked++;
    } else {
        pass_over(w, &r->segments[index]); /* it begins no era, as far as is known */
    }
    find_next(w);
}
