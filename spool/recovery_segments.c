#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/quarantine.h"
#include "spool/recovery_parts.h"

/* Between what is known and what is given out, while a segment is there of which nothing is known:
 * its generation is not to be met again when it can be read. More than a run uses. */
#define GENERATION_GAP (1u << 16)

bool recovery_is_zero(struct slice bytes)
{
    return bytes.len == 0 ||
           (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.len - 1) == 0);
}

/* The header is gone. The first record says the same, and no peer can have put it there: the
 * first block of the first batch is cleared whenever a segment is released. */
static void use_first_record(struct spool_recovery *r, struct spool_recovered_segment *s,
                             struct slice head, uint32_t file_bytes)
{
    struct spool_record first;

    s->is_broken = true;
    s->is_damaged = true;
    s->header = (struct spool_segment_header){ .bytes = file_bytes };
    if (head.len > SPOOL_BLOCK_BYTES &&
        spool_record_decode(slice_after(head, SPOOL_BLOCK_BYTES), &first) == STATUS_OK &&
        first.batch_start == SPOOL_BLOCK_BYTES) {
        s->header.generation = first.generation;
        s->header.salt = first.salt;
        s->header.log_id = first.log_id;
    }
    recovery_report(r, &(struct spool_damage){
                           .kind = SPOOL_DAMAGE_HEADER,
                           .segment = s->number,
                           .bytes = SPOOL_BLOCK_BYTES,
                       });
}

/* A file is as long as its header says before it has one: somebody has cut off what was behind, and
 * nobody knows whether that were records. */
static void report_cut(struct spool_recovery *r, struct spool_recovered_segment *s,
                       uint32_t file_bytes)
{
    s->is_damaged = true;
    recovery_report(r, &(struct spool_damage){
                           .kind = SPOOL_DAMAGE_RECORD,
                           .segment = s->number,
                           .offset = file_bytes,
                           .bytes = s->header.bytes - file_bytes,
                       });
}

/* The first two blocks, each for itself. False: the device does not give all that is there; what it
 * keeps is zeros here. */
static bool read_head(int fd, char head[static 2 * SPOOL_BLOCK_BYTES], size_t *got_out)
{
    bool is_whole = true;
    size_t got = 0;

    memset(head, 0, 2 * SPOOL_BLOCK_BYTES);
    *got_out = 0;
    for (size_t at = 0; at < 2 * SPOOL_BLOCK_BYTES; at += SPOOL_BLOCK_BYTES) {
        if (recovery_read_at(fd, head + at, SPOOL_BLOCK_BYTES, (off_t)at, &got) != STATUS_OK) {
            is_whole = false;
            got = SPOOL_BLOCK_BYTES;
            memset(head + at, 0, got);
        }
        *got_out += got;
    }
    return is_whole;
}

/* What is known of the segment without reading it: a MID, and how it begins. */
static void note_first_record(struct spool_recovery *r, struct spool_recovered_segment *s,
                              struct slice head)
{
    struct slice batch;
    struct spool_record first;

    if (s->header.is_free || head.len < 2 * SPOOL_BLOCK_BYTES)
        return;
    batch = slice_after(head, SPOOL_BLOCK_BYTES);
    s->starts_blank = recovery_is_zero(batch);
    if (s->starts_blank || spool_record_decode(batch, &first) != STATUS_OK ||
        first.generation != s->header.generation)
        return;
    s->begins_era = spool_batch_begins_era(first.batch);
    if (first.mid > r->mid_seen)
        r->mid_seen = first.mid;
}

static enum status read_header(struct spool_recovery *r, struct spool_recovered_segment *s)
{
    char head[2 * SPOOL_BLOCK_BYTES];
    bool is_whole;
    struct stat info;
    enum status status;
    uint32_t bytes;
    size_t got = 0;
    int fd;

    TRY(spool_segment_open(r->directory, s->number, O_RDONLY, &fd));
    if (fstat(fd, &info) != 0) {
        status = status_from_errno(errno);
        (void)close(fd);
        return status;
    }
    is_whole = read_head(fd, head, &got);
    (void)close(fd);

    bytes =
        info.st_size < SPOOL_SEGMENT_BYTES_MAX ? (uint32_t)info.st_size : SPOOL_SEGMENT_BYTES_MAX;
    status = spool_segment_header_decode((struct slice){ head, got }, &s->header);
    if (status == STATUS_OK && s->header.bytes != bytes && s->header.is_free)
        s->header.bytes = 0; /* not to be used again */
    if (status == STATUS_OK && s->header.bytes > bytes)
        report_cut(r, s, bytes);
    if (status == STATUS_OK && is_whole)
        note_first_record(r, s, (struct slice){ head, got });
    if (status != STATUS_CORRUPT)
        return status;
    /* What the device does not give is no zeros: the segment may hold mail. */
    if (is_whole && recovery_is_zero((struct slice){ head, got }) && info.st_size >= (off_t)got) {
        /* A crash came while the segment was being made: it never got a header. */
        s->header = (struct spool_segment_header){ .bytes = 0 };
        s->is_free = true;
        return STATUS_OK;
    }
    use_first_record(r, s, (struct slice){ head, got }, bytes);
    return STATUS_OK;
}

static int by_generation(const void *a, const void *b)
{
    const struct spool_recovered_segment *x = a, *y = b;

    if (x->is_free != y->is_free)
        return x->is_free ? -1 : 1;
    if (x->header.generation != y->header.generation)
        return x->header.generation < y->header.generation ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* A header may say any generation: none is given out behind the highest there can be. */
static uint64_t behind(uint64_t generation, uint64_t distance)
{
    return generation < UINT64_MAX - distance ? generation + distance : UINT64_MAX;
}

/* It holds what nobody knows, and is left alone. All else is read. */
static void report_unreadable(struct spool_recovery *r, uint32_t number)
{
    recovery_report(r,
                    &(struct spool_damage){ .kind = SPOOL_DAMAGE_UNREADABLE, .segment = number });
    r->segments_count--;
    r->generation_gap = GENERATION_GAP;
}

static enum status add_file(struct spool_recovery *r, const char *name)
{
    struct spool_recovered_segment *s;
    uint32_t number;
    enum status status;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return STATUS_OK;
    if (!spool_segment_number(name, &number)) {
        recovery_report(r, &(struct spool_damage){ .kind = SPOOL_DAMAGE_FOREIGN_FILE });
        return STATUS_OK;
    }
    if (r->segments_count == SPOOL_SEGMENTS_MAX)
        return STATUS_LIMIT;
    s = &r->segments[r->segments_count++];
    *s = (struct spool_recovered_segment){ .number = number };
    if (number >= r->number_next)
        r->number_next = number + 1;
    status = read_header(r, s);
    if (status == STATUS_IO || status == STATUS_NOT_FOUND) {
        report_unreadable(r, number);
        return STATUS_OK;
    }
    /* One that may not be opened is a matter for a person, who may well be able to change that. */
    if (status != STATUS_OK) {
        r->failed_segment = number;
        return status;
    }
    s->is_free = s->is_free || s->header.is_free;
    if (s->header.generation >= r->generation_next)
        r->generation_next = behind(s->header.generation, 1);
    /* Nothing is known of it: it was reported, and is left alone. */
    if (!s->is_free && s->header.generation == 0) {
        r->segments_count--;
        r->generation_gap = GENERATION_GAP;
    }
    return STATUS_OK;
}

/* Somebody copied a file: two segments of one generation. The lower number is taken. */
static void drop_copies(struct spool_recovery *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];

        if (kept > 0 && !s->is_free && !r->segments[kept - 1].is_free &&
            r->segments[kept - 1].header.generation == s->header.generation) {
            recovery_report(r, &(struct spool_damage){
                                   .kind = SPOOL_DAMAGE_HEADER,
                                   .segment = s->number,
                                   .bytes = SPOOL_BLOCK_BYTES,
                               });
            continue;
        }
        r->segments[kept++] = *s;
    }
    r->segments_count = kept;
}

/* What lies there keeps its number, so that no other segment can come under the same one; and while
 * it is not known whether anything does, no body may be unlinked. */
static enum status look_at_quarantine(struct spool_recovery *r)
{
    uint32_t numbers[SPOOL_QUARANTINE_MAX];

    r->quarantine_failed = true;
    TRY(spool_quarantine_list(r->directory, numbers, &r->quarantined));
    r->quarantine_failed = false;
    if (r->quarantined > 0 && numbers[r->quarantined - 1] >= r->number_next)
        r->number_next = numbers[r->quarantined - 1] + 1;
    return STATUS_OK;
}

enum status recovery_list_segments(struct recovery_work *w)
{
    struct spool_recovery *r = w->r;
    enum status status = STATUS_OK;
    struct dirent *entry;
    DIR *folder;
    int fd;

    r->segments = calloc(SPOOL_SEGMENTS_MAX, sizeof *r->segments);
    if (r->segments == NULL)
        return STATUS_NO_MEMORY;
    TRY(look_at_quarantine(r));
    fd = openat(r->directory->segments_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return status_from_errno(errno);
    folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return STATUS_NO_MEMORY;
    }
    errno = 0;
    while (status == STATUS_OK && (entry = readdir(folder)) != NULL) {
        status = add_file(r, entry->d_name);
        errno = 0;
    }
    if (status == STATUS_OK && errno != 0)
        status = status_from_errno(errno);
    (void)closedir(folder);
    if (r->segments_count > 0)
        qsort(r->segments, r->segments_count, sizeof *r->segments, by_generation);
    drop_copies(r);
    r->generation_next = behind(r->generation_next, r->generation_gap);
    return status;
}
