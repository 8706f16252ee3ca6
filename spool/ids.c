#include "spool/ids.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/bytes.h"
#include "spool/crc32c.h"

#define NAME        "ids"
#define TEMPORARY   "ids.new"
#define IDS_MAGIC   "POSTIDS\n"
#define IDS_BYTES   48
#define IDS_CRC_AT  44
#define IDS_ID_MAX  (UINT64_MAX / 2)
#define IDS_VERSION 1

static_assert(IDS_BYTES <= 512, "in one sector");
static_assert(16 + 8 * SPOOL_ID_COUNT <= IDS_CRC_AT, "the counters fit");

/* One that was damaged may be longer, and would stay so: damaged, at every start. */
static enum status cut_off(int fd)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return status_from_errno(errno);
    if (info.st_size <= IDS_BYTES || ftruncate(fd, IDS_BYTES) == 0)
        return STATUS_OK;
    return status_from_errno(errno);
}

/* Needs no room. The bytes lie in one sector, so that a crash leaves the old ones or the new. */
static enum status write_over(const struct spool_directory *d, struct slice bytes)
{
    int fd = openat(d->path_fd, NAME, O_WRONLY | O_CLOEXEC);
    enum status status = STATUS_OK;

    if (fd < 0)
        return STATUS_NO_SPACE; /* there is none: a new spool on a full disk */
    errno = 0;
    if (pwrite(fd, bytes.data, bytes.len, 0) != (ssize_t)bytes.len)
        status = errno != 0 ? status_from_errno(errno) : STATUS_IO;
    if (status == STATUS_OK)
        status = cut_off(fd);
    if (status == STATUS_OK && fsync(fd) != 0)
        status = status_from_errno(errno);
    (void)close(fd);
    return status;
}

static enum status write_ids(const struct spool_directory *d, const uint64_t *reserved)
{
    char bytes[IDS_BYTES] = { 0 };
    enum status status;

    memcpy(bytes, IDS_MAGIC, 8);
    spool_put_u32(bytes + 8, IDS_VERSION);
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
        spool_put_u64(bytes + 16 + 8 * kind, reserved[kind]);
    spool_put_u32(bytes + IDS_CRC_AT, spool_crc32c(0, bytes, IDS_CRC_AT));
    status = spool_file_replace(d->path_fd, NAME, TEMPORARY, (struct slice){ bytes, sizeof bytes });
    if (status != STATUS_NO_SPACE)
        return status;
    /* A start must be possible on a full disk: what it delivers makes room. */
    (void)unlinkat(d->path_fd, TEMPORARY, 0);
    return write_over(d, (struct slice){ bytes, sizeof bytes });
}

static enum status read_ids(const struct spool_directory *d, uint64_t *reserved_out)
{
    char bytes[IDS_BYTES + 1];
    size_t len = 0;

    TRY(spool_file_read(d->path_fd, NAME, bytes, sizeof bytes, &len));
    if (len != IDS_BYTES || memcmp(bytes, IDS_MAGIC, 8) != 0 ||
        spool_get_u32(bytes + IDS_CRC_AT) != spool_crc32c(0, bytes, IDS_CRC_AT))
        return STATUS_CORRUPT;
    if (spool_get_u32(bytes + 8) != IDS_VERSION)
        return STATUS_UNSUPPORTED;
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++) {
        reserved_out[kind] = spool_get_u64(bytes + 16 + 8 * kind);
        if (reserved_out[kind] == 0 || reserved_out[kind] > IDS_ID_MAX)
            return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

enum status spool_ids_look(const struct spool_directory *d, uint64_t *mid_out)
{
    uint64_t reserved[SPOOL_ID_COUNT];

    TRY(read_ids(d, reserved));
    *mid_out = reserved[SPOOL_ID_MID];
    return STATUS_OK;
}

/* By the time: a number of blocks that was never reached. STATUS_CORRUPT for a clock that cannot be
 * right. */
static enum status begin_far_ahead(int64_t now_s, uint64_t *first_out)
{
    if (now_s < 1 || (uint64_t)now_s >= IDS_ID_MAX / SPOOL_IDS_BLOCK)
        return STATUS_CORRUPT;
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
        first_out[kind] = (uint64_t)now_s * SPOOL_IDS_BLOCK;
    return STATUS_OK;
}

enum status spool_ids_open(struct spool_ids *ids, const struct spool_directory *d,
                           uint64_t mid_highest, int64_t now_s)
{
    uint64_t first[SPOOL_ID_COUNT], reserved[SPOOL_ID_COUNT];
    enum status status = read_ids(d, first);

    if (status == STATUS_NOT_FOUND) {
        for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
            first[kind] = 1;
        status = STATUS_OK;
    }
    ids->was_damaged = status == STATUS_CORRUPT;
    /* To begin again behind mid_highest would be wrong: records of messages that are over may still
     * speak of higher ones, and strike out new mail. To refuse would keep the mail that waits. */
    if (status == STATUS_CORRUPT)
        status = begin_far_ahead(now_s, first);
    if (status != STATUS_OK)
        return status;
    if (mid_highest >= IDS_ID_MAX)
        return STATUS_CORRUPT;
    if (first[SPOOL_ID_MID] <= mid_highest)
        first[SPOOL_ID_MID] = mid_highest + 1;
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
        reserved[kind] = first[kind] + SPOOL_IDS_BLOCK;
    TRY(write_ids(d, reserved));

    ids->directory = d;
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++) {
        atomic_init(&ids->next[kind], first[kind]);
        atomic_init(&ids->reserved[kind], reserved[kind]);
    }
    return STATUS_OK;
}

static bool is_low(const struct spool_ids *ids, int kind)
{
    uint64_t next = atomic_load_explicit(&ids->next[kind], memory_order_relaxed);
    uint64_t reserved = atomic_load_explicit(&ids->reserved[kind], memory_order_relaxed);

    return next >= reserved || reserved - next < SPOOL_IDS_BLOCK / 2;
}

bool spool_ids_need_extend(const struct spool_ids *ids)
{
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
        if (is_low(ids, kind))
            return true;
    return false;
}

enum status spool_ids_extend(struct spool_ids *ids)
{
    uint64_t reserved[SPOOL_ID_COUNT];

    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++) {
        uint64_t next = atomic_load_explicit(&ids->next[kind], memory_order_relaxed);

        reserved[kind] = atomic_load_explicit(&ids->reserved[kind], memory_order_relaxed);
        if (is_low(ids, kind)) /* next may have run past while the block was used up */
            reserved[kind] = (next > reserved[kind] ? next : reserved[kind]) + SPOOL_IDS_BLOCK;
    }
    TRY(write_ids(ids->directory, reserved));
    for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
        atomic_store_explicit(&ids->reserved[kind], reserved[kind], memory_order_release);
    return STATUS_OK;
}
