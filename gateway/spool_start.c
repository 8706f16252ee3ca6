#include "gateway/spool_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/alerts.h"
#include "gateway/message.h"
#include "spool/record.h"

#define FREE_SEGMENTS_PER_WORKER 4
#define PROBE_BYTES              4096
#define PROBE_NAME               "probe.tmp"
#define TEXT_MAX                 256

/* Whether O_DIRECT and RWF_DSYNC work here: some file systems (tmpfs, overlays) refuse them. */
static bool is_direct(const struct spool_directory *d)
{
    char *block = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
    int fd =
        openat(d->path_fd, PROBE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    struct iovec part = { .iov_base = block, .iov_len = PROBE_BYTES };
    bool works = false;

    if (block != NULL && fd >= 0) {
        memset(block, 0, PROBE_BYTES);
        works = pwritev2(fd, &part, 1, 0, RWF_DSYNC) == PROBE_BYTES;
    }
    if (fd >= 0)
        (void)close(fd);
    (void)unlinkat(d->path_fd, PROBE_NAME, 0);
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

static enum status open_parts(struct gateway_process *process,
                              const struct config_settings *settings,
                              struct spool_recovery *recovery)
{
    struct spool_recovery_options options = { .is_reader = false };
    enum status status = spool_recover(recovery, &process->directory, &options);

    if (status != STATUS_OK)
        return complain(settings, "cannot be read", status);
    status =
        spool_pool_init(&process->pool, &process->directory, SPOOL_SEGMENT_BYTES,
                        recovery->generation_next, recovery->number_next, recovery->segments_count,
                        FREE_SEGMENTS_PER_WORKER * (size_t)process->workers_count);
    if (status == STATUS_OK)
        status = spool_ids_open(&process->ids, &process->directory, recovery->mid_highest);
    if (status != STATUS_OK) {
        spool_pool_finish(&process->pool);
        spool_recovery_finish(recovery);
        return complain(settings, "identifiers", status);
    }
    return STATUS_OK;
}

enum status gateway_spool_open(struct gateway_process *process,
                               const struct config_settings *settings,
                               struct spool_recovery *recovery)
{
    enum status status = spool_directory_open(&process->directory, settings->spool_path, false);

    if (status != STATUS_OK)
        return complain(settings, process->directory.step, status);
    process->spool_is_direct = is_direct(&process->directory);
    status = open_parts(process, settings, recovery);
    if (status != STATUS_OK)
        spool_directory_close(&process->directory);
    return status;
}

/* A CRITICAL line, and an alert. */
static void complain_of(struct gateway_process *process, struct observe_log_writer *log,
                        time_t now_s, const char *text)
{
    const struct observe_alert alert = {
        .kind = OBSERVE_ALERT_SPOOL,
        .severity = OBSERVE_SEVERITY_CRITICAL,
        .subject = SLICE("recovery"),
        .text = slice_from(text),
    };

    observe_log_line(log, OBSERVE_CRITICAL, now_s, "%s", text);
    gateway_alerts_raise(process->alerts, &alert);
}

static void log_damage(struct gateway_process *process, const struct spool_recovery *r,
                       struct observe_log_writer *log, time_t now_s)
{
    char text[TEXT_MAX];

    for (unsigned kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++) {
        (void)snprintf(text, sizeof(text), "Spool: recovery found %llu of: %s",
                       (unsigned long long)r->damage_counts[kind],
                       spool_damage_text((enum spool_damage_kind)kind));
        if (r->damage_counts[kind] > 0 && kind == SPOOL_DAMAGE_TORN)
            observe_log_line(log, OBSERVE_INFO, now_s, "%s", text); /* a crash leaves that */
        else if (r->damage_counts[kind] > 0)
            complain_of(process, log, now_s, text);
    }
    observe_log_line(log, OBSERVE_INFO, now_s, "Spool: recovered %zu messages from %zu segments",
                     r->messages_living, r->segments_count);
}

static enum status adopt_segments(struct gateway_process *process, struct spool_recovery *r,
                                  struct spool_segment **adopted)
{
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];
        struct gateway_worker *w = &process->workers[s->home % process->workers_count];
        struct spool_segment_file file = { .generation = s->header.generation,
                                           .salt = s->header.salt,
                                           .number = s->number,
                                           .handle = -1 };

        if (s->is_free)
            TRY(spool_pool_add_free(&process->pool, s->number, s->header.bytes));
        else
            TRY(spool_log_adopt(&w->store.log, &file, s->messages_living, &adopted[i]));
        if (s->is_damaged)
            spool_pool_add_damaged(&process->pool, s->number);
    }
    return STATUS_OK;
}

static enum status adopt_messages(struct gateway_process *process, struct spool_recovery *r,
                                  struct spool_segment *const *adopted,
                                  struct observe_log_writer *log, time_t now_s)
{
    const struct spool_recovered_message *m;
    char text[TEXT_MAX];

    while ((m = spool_recovery_next(r)) != NULL) {
        const struct spool_recovered_segment *s = &r->segments[m->segment];
        struct gateway_worker *w = &process->workers[s->home % process->workers_count];
        struct spool_location location = { .segment = adopted[m->segment],
                                           .offset = m->offset,
                                           .bytes = m->bytes };
        struct spool_message *spool;
        enum status status = spool_recovery_load(r, m, &spool);

        if (status != STATUS_OK) {
            /* It stays where it is: its segment is not recycled while it lives there. */
            (void)snprintf(text, sizeof(text),
                           "Spool: MID %llu cannot be read and stays in its segment: %s",
                           (unsigned long long)m->mid, status_text(status));
            complain_of(process, log, now_s, text);
            continue;
        }
        TRY(gateway_message_recover(w, spool, &location, m, now_s));
    }
    return STATUS_OK;
}

enum status gateway_spool_adopt(struct gateway_process *process, struct spool_recovery *recovery,
                                struct observe_log_writer *log, time_t now_s)
{
    struct spool_segment **adopted =
        calloc(recovery->segments_count + 1, sizeof(struct spool_segment *));
    enum status status;

    if (adopted == NULL)
        return STATUS_NO_MEMORY;
    log_damage(process, recovery, log, now_s);
    observe_log_line(log, OBSERVE_INFO, now_s, "Spool: %s",
                     process->spool_is_direct
                         ? "written with O_DIRECT and RWF_DSYNC"
                         : "O_DIRECT or RWF_DSYNC is refused here, a thread writes and syncs");
    status = adopt_segments(process, recovery, adopted);
    if (status == STATUS_OK)
        status = adopt_messages(process, recovery, adopted, log, now_s);
    free(adopted);
    return status;
}

void gateway_spool_close(struct gateway_process *process)
{
    spool_pool_finish(&process->pool);
    spool_directory_close(&process->directory);
}

bool gateway_spool_has_turned(struct gateway_process *process,
                              const struct config_settings *settings, bool *is_low_out)
{
    uint64_t used = atomic_load(&process->segment_bytes) + atomic_load(&process->body_bytes);
    bool is_low = used >= settings->spool_max_bytes && settings->spool_max_bytes > 0;
    struct statvfs disk;

    /* A file system without a size (ramfs) has no room to tell of. */
    if (fstatvfs(process->directory.path_fd, &disk) == 0 && disk.f_blocks > 0)
        is_low = is_low || (uint64_t)disk.f_bavail * disk.f_frsize < settings->spool_free_bytes;
    *is_low_out = is_low;
    return atomic_exchange(&process->spool_is_low, is_low) != is_low;
}
