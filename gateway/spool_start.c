#include "gateway/spool_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/recovery.h"
#include "spool/record.h"

#define FREE_SEGMENTS_PER_WORKER 4
#define PROBE_BYTES              4096
#define PROBE_NAME               "probe.tmp"
#define STEP_MAX                 64

/* What has been found out of one file system is not known of another that is mounted there. */
static bool are_alike(int folder_fd, int other_fd)
{
    struct stat one, other;

    return fstat(folder_fd, &one) == 0 && fstat(other_fd, &other) == 0 &&
           one.st_dev == other.st_dev;
}

/* Whether O_DIRECT and RWF_DSYNC work where the segments are: some file systems (tmpfs, overlays)
 * refuse them. A disk without room for the probe has not refused them: who refuses O_DIRECT does so
 * when a file is opened, and one that is there already needs no room. */
static bool is_direct(const struct spool_directory *d)
{
    char *block = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
    int fd =
        openat(d->segments_fd, PROBE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    struct iovec part = { .iov_base = block, .iov_len = PROBE_BYTES };
    bool works = false;

    /* A segment folder holds nothing else when it is read. */
    if (fd >= 0)
        (void)unlinkat(d->segments_fd, PROBE_NAME, 0);
    if (fd < 0 && errno == ENOSPC && are_alike(d->path_fd, d->segments_fd)) {
        fd = openat(d->path_fd, "format", O_RDWR | O_DIRECT | O_CLOEXEC);
        works = fd >= 0;
    } else if (block != NULL && fd >= 0) {
        memset(block, 0, PROBE_BYTES);
        errno = 0;
        works = pwritev2(fd, &part, 1, 0, RWF_DSYNC) == PROBE_BYTES || errno == ENOSPC;
    }
    if (fd >= 0)
        (void)close(fd);
    free(block);
    return works;
}

static enum status complain(const struct config_settings *settings, const char *step,
                            enum status status)
{
    fprintf(stderr, "postern: spool %s: %s: %s\n", settings->spool_path, step,
            status == STATUS_BUSY ? "another instance is using it" : status_text(status));
    return status;
}

/* Without its file, or with one that is older than the spool, the identifiers that were given out
 * are known from the records only. */
static enum status find_mids(struct gateway_process *process, uint64_t *highest_out)
{
    struct spool_recovery reader;
    uint64_t next;

    if (spool_ids_look(&process->directory, &next) == STATUS_OK &&
        next > gateway_recovery_spool(process->recovery)->mid_seen) {
        *highest_out = 0;
        return STATUS_OK;
    }
    TRY(spool_recover(&reader, &process->directory,
                      &(struct spool_recovery_options){ .is_reader = true }));
    *highest_out = reader.mid_highest;
    spool_recovery_finish(&reader);
    return STATUS_OK;
}

static enum status open_ids(struct gateway_process *process)
{
    uint64_t highest;

    TRY(find_mids(process, &highest));
    TRY(spool_ids_open(&process->ids, &process->directory, highest, clock_wall_s()));
    gateway_recovery_spool(process->recovery)->mid_limit =
        atomic_load(&process->ids.next[SPOOL_ID_MID]);
    return STATUS_OK;
}

static enum status open_pool(struct gateway_process *process)
{
    const struct spool_recovery *r = gateway_recovery_spool(process->recovery);

    TRY(spool_pool_init(&process->pool, &process->directory, SPOOL_SEGMENT_BYTES,
                        r->generation_next, r->number_next, r->segments_count,
                        FREE_SEGMENTS_PER_WORKER * (size_t)process->workers_count));
    for (size_t i = 0; i < r->segments_count; i++)
        if (r->segments[i].is_free)
            TRY(spool_pool_add_free(&process->pool, r->segments[i].number,
                                    r->segments[i].header.bytes));
    return STATUS_OK;
}

static enum status open_parts(struct gateway_process *process,
                              const struct config_settings *settings)
{
    enum status status = gateway_recovery_create(process, settings);
    char part[SPOOL_RECOVERY_PART_MAX] = "", step[STEP_MAX];

    if (process->recovery != NULL)
        (void)spool_recovery_failed_part(gateway_recovery_spool(process->recovery), part);
    (void)snprintf(step, sizeof(step), "%s%scannot be read", part, part[0] != '\0' ? " " : "");
    if (status != STATUS_OK)
        return complain(settings, step, status);
    status = open_pool(process);
    if (status != STATUS_OK)
        return complain(settings, "segments", status);
    status = open_ids(process);
    if (status != STATUS_OK)
        return complain(settings, "identifiers", status);
    return STATUS_OK;
}

enum status gateway_spool_open(struct gateway_process *process,
                               const struct config_settings *settings)
{
    enum status status = spool_directory_open(&process->directory, settings->spool_path, false);

    if (status != STATUS_OK)
        return complain(settings, process->directory.step, status);
    process->spool_is_direct = is_direct(&process->directory);
    process->bodies_are_direct =
        process->spool_is_direct &&
        are_alike(process->directory.segments_fd, process->directory.bodies_fd);
    status = open_parts(process, settings);
    if (status != STATUS_OK)
        gateway_spool_close(process);
    return status;
}

void gateway_spool_close(struct gateway_process *process)
{
    gateway_recovery_destroy(process->recovery);
    process->recovery = NULL;
    spool_pool_finish(&process->pool);
    spool_directory_close(&process->directory);
}
