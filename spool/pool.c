#include "spool/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/quarantine.h"

#define ZERO_CHUNK (1u << 20)

enum status spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                            uint32_t segment_bytes, uint64_t generation_next, uint32_t number_next,
                            size_t files_count, size_t free_kept_max)
{
    uint32_t *numbers = calloc(2 * (size_t)SPOOL_SEGMENTS_MAX, sizeof *numbers);

    ASSERT(generation_next > 0 && number_next > 0);
    ASSERT(segment_bytes % SPOOL_BLOCK_BYTES == 0);
    if (numbers == NULL)
        return STATUS_NO_MEMORY;
    *p = (struct spool_pool){
        .directory = d,
        .segment_bytes = segment_bytes,
        .generation_next = generation_next,
        .number_next = number_next,
        .files_count = files_count,
        .free_numbers = numbers,
        .damaged_numbers = numbers + SPOOL_SEGMENTS_MAX,
        .free_kept_max = free_kept_max < SPOOL_SEGMENTS_MAX ? free_kept_max : SPOOL_SEGMENTS_MAX,
    };
    return STATUS_OK;
}

void spool_pool_finish(struct spool_pool *p)
{
    free(p->free_numbers);
    *p = (struct spool_pool){ .directory = NULL };
}

static enum status write_at(int fd, const char *data, size_t bytes, off_t offset)
{
    while (bytes > 0) {
        ssize_t done = pwrite(fd, data, bytes, offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return status_from_errno(errno);
        if (done == 0)
            return STATUS_IO;
        data += done;
        bytes -= (size_t)done;
        offset += done;
    }
    return STATUS_OK;
}

static enum status sync_fd(int fd)
{
    return fsync(fd) == 0 ? STATUS_OK : status_from_errno(errno);
}

/* Overwrites one block and makes it durable. */
static enum status write_block(int fd, const char *block, off_t offset)
{
    TRY(write_at(fd, block, SPOOL_BLOCK_BYTES, offset));
    return sync_fd(fd);
}

static enum status write_header(int fd, const struct spool_segment_header *h)
{
    char block[SPOOL_BLOCK_BYTES];

    spool_segment_header_encode(h, block);
    return write_block(fd, block, 0);
}

/* Writes every block once, so that a later write touches no metadata (no unwritten extents). */
static enum status fill_with_zeros(int fd, uint32_t bytes)
{
    enum status status = STATUS_OK;
    char *zeros;
    int error = posix_fallocate(fd, 0, (off_t)bytes);

    if (error != 0 && error != EOPNOTSUPP && error != EINVAL)
        return status_from_errno(error);
    zeros = calloc(1, ZERO_CHUNK);
    if (zeros == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t at = 0; at < bytes && status == STATUS_OK;) {
        uint32_t now = bytes - at < ZERO_CHUNK ? bytes - at : ZERO_CHUNK;

        status = write_at(fd, zeros, now, (off_t)at);
        at += now;
    }
    free(zeros);
    return status;
}

/* The folder is not synced: a name that comes back after a power cut is that of a segment that is
 * free, or that nothing was ever written to. A sync that failed here would make a release fail
 * which has been done, and which can not be done again without the file. */
static enum status unlink_segment(struct spool_pool *p, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    if (unlinkat(p->directory->segments_fd, spool_segment_name(number, name), 0) != 0)
        return status_from_errno(errno);
    ASSERT(p->files_count > 0);
    p->files_count--;
    return STATUS_OK;
}

enum status spool_pool_add_free(struct spool_pool *p, uint32_t number, uint32_t bytes)
{
    if (bytes != p->segment_bytes || p->free_count >= p->free_kept_max)
        return unlink_segment(p, number);
    p->free_numbers[p->free_count++] = number;
    return STATUS_OK;
}

void spool_pool_forget(struct spool_pool *p, size_t files)
{
    ASSERT(files <= p->files_count);
    p->files_count -= files;
}

static enum status make_salt(uint64_t *salt_out)
{
    if (getrandom(salt_out, sizeof *salt_out, 0) != (ssize_t)sizeof *salt_out)
        return STATUS_IO;
    return STATUS_OK;
}

/* A new file: zeros, durably, then the header, then the name in the directory. */
static enum status make_file(struct spool_pool *p, const struct spool_segment_header *h,
                             uint32_t number)
{
    enum status status;
    int fd;

    TRY(spool_segment_open(p->directory, number, O_RDWR | O_CREAT | O_EXCL, &fd));
    p->files_count++;
    status = fill_with_zeros(fd, h->bytes);
    /* A header vouches for the length: a file that is shorter has lost something. */
    if (status == STATUS_OK)
        status = sync_fd(fd);
    if (status == STATUS_OK)
        status = write_header(fd, h);
    if (status == STATUS_OK)
        status = sync_fd(p->directory->segments_fd);
    (void)close(fd);
    if (status != STATUS_OK && unlink_segment(p, number) != STATUS_OK)
        return STATUS_IO;
    return status;
}

static enum status begin_anew(struct spool_pool *p, const struct spool_segment_header *h,
                              uint32_t number)
{
    enum status status;
    int fd;

    TRY(spool_segment_open(p->directory, number, O_RDWR, &fd));
    status = write_header(fd, h);
    (void)close(fd);
    return status;
}

/* The free file that was freed last. One that could not be used stays free, and is the last to be
 * tried again; one that has gone is forgotten. */
static enum status reuse_file(struct spool_pool *p, const struct spool_segment_header *h,
                              uint32_t *number_out)
{
    uint32_t number;
    enum status status;

    ASSERT(p->free_count > 0);
    number = p->free_numbers[p->free_count - 1];
    status = begin_anew(p, h, number);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        p->free_count--;
    if (status == STATUS_OK) {
        *number_out = number;
    } else if (status == STATUS_NOT_FOUND) {
        ASSERT(p->files_count > 0);
        p->files_count--;
    } else {
        memmove(p->free_numbers + 1, p->free_numbers,
                (p->free_count - 1) * sizeof *p->free_numbers);
        p->free_numbers[0] = number;
    }
    return status;
}

/* A file name is used for one new file only, even when making it fails. */
static enum status new_file(struct spool_pool *p, const struct spool_segment_header *h,
                            uint32_t *number_out)
{
    uint32_t number;

    if (p->files_count >= SPOOL_SEGMENTS_MAX || p->number_next > SPOOL_SEGMENT_NUMBER_MAX)
        return STATUS_LIMIT;
    number = p->number_next++;
    TRY(make_file(p, h, number));
    *number_out = number;
    return STATUS_OK;
}

enum status spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                               struct spool_segment_file *file_out)
{
    struct spool_segment_header h = {
        .generation = p->generation_next,
        .log_id = log_id,
        .bytes = p->segment_bytes,
    };
    uint32_t number;

    TRY(make_salt(&h.salt));
    p->generation_next++;
    if (p->free_count == 0) {
        TRY(new_file(p, &h, &number));
    } else if (reuse_file(p, &h, &number) != STATUS_OK) {
        /* A file that cannot be used is no reason to have none. Another generation: nobody knows
         * what became of the header with this one. */
        h.generation = p->generation_next++;
        TRY(new_file(p, &h, &number));
    }
    *file_out = (struct spool_segment_file){
        .generation = h.generation,
        .salt = h.salt,
        .number = number,
        .handle = -1,
    };
    return STATUS_OK;
}

/* The header first: from then on nothing in the segment counts. Then the first batch's first
 * block, so that no old record is found where a reader looks when a header is unreadable. */
static enum status mark_free(struct spool_pool *p, const struct spool_segment_file *file,
                             uint32_t *bytes_out)
{
    static const char zeros[SPOOL_BLOCK_BYTES];
    struct spool_segment_header h = {
        .generation = file->generation,
        .salt = file->salt,
        .is_free = true,
    };
    enum status status;
    struct stat info;
    int fd;

    TRY(spool_segment_open(p->directory, file->number, O_RDWR, &fd));
    if (fstat(fd, &info) != 0) {
        status = status_from_errno(errno);
        (void)close(fd);
        return status;
    }
    /* A damaged file may have any size; one that fits no header is not to be used again. */
    h.bytes = p->segment_bytes;
    *bytes_out = info.st_size == (off_t)p->segment_bytes ? p->segment_bytes : 0;
    status = write_header(fd, &h);
    if (status == STATUS_OK)
        status = write_block(fd, zeros, SPOOL_BLOCK_BYTES);
    (void)close(fd);
    return status;
}

/* Its place; damaged_count when it is not among them. */
static size_t find_damaged(const struct spool_pool *p, uint32_t number)
{
    size_t i = 0;

    while (i < p->damaged_count && p->damaged_numbers[i] != number)
        i++;
    return i;
}

void spool_pool_add_damaged(struct spool_pool *p, uint32_t number)
{
    if (spool_pool_is_damaged(p, number))
        return;
    ASSERT(p->damaged_count < SPOOL_SEGMENTS_MAX);
    p->damaged_numbers[p->damaged_count++] = number;
}

bool spool_pool_is_damaged(const struct spool_pool *p, uint32_t number)
{
    return find_damaged(p, number) < p->damaged_count;
}

/* No such file is among ours any more. */
static void forget_file(struct spool_pool *p, uint32_t number)
{
    size_t place = find_damaged(p, number);

    ASSERT(p->files_count > 0);
    p->files_count--;
    if (place < p->damaged_count)
        p->damaged_numbers[place] = p->damaged_numbers[--p->damaged_count];
}

/* Frees it, or puts it aside when it is damaged. */
static enum status let_go(struct spool_pool *p, const struct spool_segment_file *file)
{
    uint32_t bytes = 0;

    if (spool_pool_is_damaged(p, file->number)) {
        TRY(spool_quarantine_take(p->directory, file->number));
        forget_file(p, file->number);
        return STATUS_OK;
    }
    TRY(mark_free(p, file, &bytes));
    return spool_pool_add_free(p, file->number, bytes);
}

enum status spool_pool_release(struct spool_pool *p, const struct spool_segment_file *file)
{
    enum status status = let_go(p, file);

    if (status != STATUS_NOT_FOUND)
        return status;
    forget_file(p, file->number);
    return STATUS_OK;
}

uint64_t spool_pool_bytes_in_use(const struct spool_pool *p)
{
    ASSERT(p->files_count >= p->free_count);
    return (uint64_t)(p->files_count - p->free_count) * p->segment_bytes;
}
