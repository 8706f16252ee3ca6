#include "cli/spool_region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the device does not give is left as zeros, block by block. */
static void read_bytes(int fd, char *to, size_t bytes, uint64_t offset)
{
    size_t fill = 0;

    while (fill < bytes) {
        size_t rest = bytes - fill;
        size_t now = SPOOL_BLOCK_BYTES - (offset + fill) % SPOOL_BLOCK_BYTES;
        ssize_t got;

        now = now < rest ? now : rest;
        got = pread(fd, to + fill, now, (off_t)(offset + fill));
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return;
        fill += got > 0 ? (size_t)got : now;
    }
}

static enum status read_region(struct cli_spool_region *region, int fd, uint64_t offset,
                               size_t bytes)
{
    *region = (struct cli_spool_region){ .offset = offset };
    region->bytes = calloc(1, bytes > 0 ? bytes : 1);
    if (region->bytes == NULL)
        return STATUS_NO_MEMORY;
    read_bytes(fd, region->bytes, bytes, offset);
    region->salvage.bytes = (struct slice){ region->bytes, bytes };
    return STATUS_OK;
}

enum status cli_spool_region_of_file(struct cli_spool_region *region, int fd)
{
    struct spool_segment_header header;
    struct stat info;
    struct slice all;
    uint64_t salt;

    *region = (struct cli_spool_region){ .bytes = NULL };
    if (fstat(fd, &info) != 0)
        return status_from_errno(errno);
    if (info.st_size > SPOOL_SEGMENT_BYTES_MAX)
        return STATUS_LIMIT;
    TRY(read_region(region, fd, 0, (size_t)info.st_size));
    all = region->salvage.bytes;
    if (spool_segment_header_decode(all, &header) == STATUS_OK)
        salt = header.salt;
    else if (!spool_salvage_salt(all, &salt))
        all.len = 0; /* nothing in it can be told from what somebody wrote to us */
    spool_salvage_init(&region->salvage, all, all.len > 0 ? salt : 0);
    return STATUS_OK;
}

static bool is_of_bytes(const struct spool_damage *damage)
{
    return damage->segment != 0 && damage->bytes > 0 &&
           (damage->kind == SPOOL_DAMAGE_RECORD || damage->kind == SPOOL_DAMAGE_TORN ||
            damage->kind == SPOOL_DAMAGE_HEADER);
}

bool cli_spool_region_of_damage(struct cli_spool_region *region, const struct cli_spool_reader *s,
                                const struct spool_damage *damage)
{
    const struct spool_recovered_segment *segment = cli_spool_segment(s, damage->segment);
    enum status status;
    int fd;

    *region = (struct cli_spool_region){ .bytes = NULL };
    if (!is_of_bytes(damage) || damage->bytes > SPOOL_SEGMENT_BYTES_MAX)
        return false;
    if (segment != NULL && damage->kind == SPOOL_DAMAGE_HEADER)
        return false; /* its records were read all the same */
    if (spool_segment_open(&s->directory, damage->segment, O_RDONLY, &fd) != STATUS_OK)
        return false;
    if (segment == NULL)
        status = cli_spool_region_of_file(region, fd);
    else
        status = read_region(region, fd, damage->offset, (size_t)damage->bytes);
    (void)close(fd);
    if (status != STATUS_OK) {
        cli_spool_region_finish(region);
        return false;
    }
    if (segment != NULL)
        spool_salvage_init(&region->salvage, region->salvage.bytes, segment->header.salt);
    return true;
}

bool cli_spool_region_next(struct cli_spool_region *region, const struct cli_spool_reader *s)
{
    while (spool_salvage_next(&region->salvage))
        if (cli_spool_find(s, region->salvage.mid) == NULL)
            return true;
    return false;
}

void cli_spool_region_finish(struct cli_spool_region *region)
{
    free(region->bytes);
    *region = (struct cli_spool_region){ .bytes = NULL };
}
