#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spool/recovery_parts.h"

#define READ_CHUNK        (4u << 20)
#define READ_CHUNK_DIRECT (16u << 20)
#define HUGE_PAGE         ((size_t)2 << 20)

enum status recovery_read_at(int fd, char *to, size_t bytes, off_t offset, size_t *got_out)
{
    size_t fill = 0;

    while (fill < bytes) {
        ssize_t got = pread(fd, to + fill, bytes - fill, offset + (off_t)fill);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_from_errno(errno);
        if (got == 0)
            break;
        fill += (size_t)got;
    }
    *got_out = fill;
    return STATUS_OK;
}

void recovery_buffer_finish(struct spool_recovery_buffer *b)
{
    free(b->bytes);
    *b = (struct spool_recovery_buffer){ .bytes = NULL };
}

enum status recovery_buffer_need(struct spool_recovery_buffer *b, size_t bytes)
{
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : SPOOL_BLOCK_BYTES; /* O_DIRECT wants blocks */
    size_t rounded = (bytes + align - 1) & ~(align - 1);
    char *fresh;

    if (bytes <= b->capacity)
        return STATUS_OK;
    fresh = aligned_alloc(align, rounded);
    if (fresh == NULL)
        return STATUS_NO_MEMORY;
    /* It is filled and walked for each segment: fewer faults and misses. Refused, it is as well. */
    if (align == HUGE_PAGE)
        (void)madvise(fresh, rounded, MADV_HUGEPAGE);
    recovery_buffer_finish(b);
    *b = (struct spool_recovery_buffer){ .bytes = fresh, .capacity = rounded };
    return STATUS_OK;
}

/* A chunk that fails is read again block by block: as much as possible is to be saved. */
static size_t read_blocks(struct recovery_work *w, int fd, struct spool_recovered_segment *s,
                          char *to, size_t bytes, off_t offset)
{
    size_t fill = 0, got = 0;

    while (fill < bytes) {
        size_t now = bytes - fill < SPOOL_BLOCK_BYTES ? bytes - fill : SPOOL_BLOCK_BYTES;

        if (recovery_read_at(fd, to + fill, now, offset + (off_t)fill, &got) != STATUS_OK) {
            memset(to + fill, 0, now);
            got = now;
            s->is_damaged = true;
            recovery_report(w->r, &(struct spool_damage){
                                      .kind = SPOOL_DAMAGE_UNREADABLE,
                                      .segment = s->number,
                                      .offset = (uint64_t)offset + fill,
                                      .bytes = now,
                                  });
        }
        if (got == 0)
            break;
        fill += got;
    }
    return fill;
}

/* The disk has something to do while the records of this one are looked at. */
static void advise_next(const struct spool_recovery *r, size_t index)
{
    int fd;

    if (index == r->segments_count ||
        spool_segment_open(r->directory, r->segments[index].number, O_RDONLY, &fd) != STATUS_OK)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    (void)close(fd);
}

enum status recovery_read_segment(struct recovery_work *w, size_t index, struct slice *bytes_out)
{
    struct spool_recovered_segment *s = &w->r->segments[index];
    struct recovery_input *in = &w->inputs[index % RECOVERY_INPUTS];
    size_t fill = 0, got = 0;
    enum status status;
    int fd;

    if (in->is_read && in->index == index) {
        *bytes_out = (struct slice){ in->buffer.bytes, s->header.bytes };
        return STATUS_OK;
    }
    TRY(recovery_buffer_need(&in->buffer, s->header.bytes));
    TRY(spool_segment_open(w->r->directory, s->number, O_RDONLY, &fd));
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (fill < s->header.bytes) {
        size_t now = s->header.bytes - fill < READ_CHUNK ? s->header.bytes - fill : READ_CHUNK;

        status = recovery_read_at(fd, in->buffer.bytes + fill, now, (off_t)fill, &got);
        if (status != STATUS_OK)
            got = read_blocks(w, fd, s, in->buffer.bytes + fill, now, (off_t)fill);
        fill += got;
        if (got < now)
            break;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    if (in->index != index) /* else somebody reads ahead, maybe at this moment */
        advise_next(w->r, index + 1);
    *bytes_out = (struct slice){ in->buffer.bytes, fill };
    return STATUS_OK;
}

/* --- ahead ----------------------------------------------------------------------------------- */

/* What was written past the page cache is read past it: nobody reads it there again soon, and the
 * copy takes as long as what is done with it. */
static enum status open_ahead(const struct spool_directory *d, uint32_t number, int *fd_out)
{
    if (spool_segment_open(d, number, O_RDONLY | O_DIRECT, fd_out) == STATUS_OK)
        return STATUS_OK;
    return spool_segment_open(d, number, O_RDONLY, fd_out);
}

/* Whether all of it came. */
static bool read_all(int fd, char *to, size_t bytes)
{
    size_t fill = 0, got = 0;

    while (fill < bytes) {
        size_t now = bytes - fill < READ_CHUNK_DIRECT ? bytes - fill : READ_CHUNK_DIRECT;

        if (recovery_read_at(fd, to + fill, now, (off_t)fill, &got) != STATUS_OK || got < now)
            return false;
        fill += now;
    }
    return true;
}

/* Into its buffer. */
static bool read_past_cache(struct recovery_work *w, size_t index)
{
    const struct spool_recovered_segment *s = &w->r->segments[index];
    struct recovery_input *in = &w->inputs[index % RECOVERY_INPUTS];
    bool is_read;
    int fd;

    if (recovery_buffer_need(&in->buffer, s->header.bytes) != STATUS_OK ||
        open_ahead(w->r->directory, s->number, &fd) != STATUS_OK)
        return false;
    is_read = read_all(fd, in->buffer.bytes, s->header.bytes);
    (void)close(fd);
    return is_read;
}

bool recovery_read_whole(struct recovery_work *w, size_t index, struct slice *bytes_out)
{
    if (!read_past_cache(w, index))
        return false;
    *bytes_out = (struct slice){ w->inputs[index % RECOVERY_INPUTS].buffer.bytes,
                                 w->r->segments[index].header.bytes };
    return true;
}

bool spool_recovery_has_more(const struct spool_recovery *r)
{
    return r->work != NULL && !recovery_has_blanks(r->work) &&
           r->work->ahead_next < r->segments_count;
}

void spool_recovery_read_ahead(struct spool_recovery *r)
{
    struct recovery_work *w = r->work;
    size_t index = w->ahead_next++;
    struct recovery_input *in = &w->inputs[index % RECOVERY_INPUTS];

    ASSERT(index < r->segments_count && !recovery_has_blanks(w));
    *in = (struct recovery_input){ .buffer = in->buffer, .index = index };
    in->is_read = read_past_cache(w, index);
}
