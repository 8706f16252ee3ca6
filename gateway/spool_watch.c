#include "gateway/spool_watch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/quarantine.h"

/* --- looking --------------------------------------------------------------------------------- */

/* Where the folder lies that we have open; its descriptor goes with it wherever it is moved. */
static void find_place(struct gateway_spool_watch *watch)
{
    char link[64];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", watch->process->directory.path_fd);
    len = readlink(link, watch->place, sizeof(watch->place) - 1);
    watch->place[len > 0 ? len : 0] = '\0';
}

static bool is_same(const char *folder, const char *name, int fd)
{
    char path[PATH_MAX + 16];
    struct stat there, ours;

    (void)snprintf(path, sizeof(path), "%s%s", folder, name);
    return stat(path, &there) == 0 && fstat(fd, &ours) == 0 && there.st_dev == ours.st_dev &&
           there.st_ino == ours.st_ino;
}

/* A spool that was moved or deleted is still written to, and the next start will not find it. */
static bool is_gone(struct gateway_spool_watch *watch)
{
    const struct spool_directory *d = &watch->process->directory;

    if (watch->place[0] == '\0')
        find_place(watch);
    return watch->place[0] != '\0' && !(is_same(watch->place, "", d->path_fd) &&
                                        is_same(watch->place, "/segments", d->segments_fd) &&
                                        is_same(watch->place, "/bodies", d->bodies_fd));
}

/* While it is low results and bounces are still written, which may take a segment or two more for
 * each worker. */
static bool is_low(struct gateway_spool_watch *watch)
{
    struct gateway_process *p = watch->process;
    uint64_t used = atomic_load(&p->segment_bytes) + atomic_load(&p->body_bytes);
    uint64_t max_bytes, free_bytes;
    struct statvfs disk;

    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    max_bytes = watch->max_bytes;
    free_bytes = watch->free_bytes;
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    if (used >= max_bytes && max_bytes > 0)
        return true;
    /* A file system without a size (ramfs) has no room to tell of. */
    return fstatvfs(p->directory.path_fd, &disk) == 0 && disk.f_blocks > 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < free_bytes;
}

static void look(struct gateway_spool_watch *watch, struct gateway_spool_facts *facts)
{
    struct gateway_process *p = watch->process;
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    size_t quarantined;

    facts->is_gone = is_gone(watch);
    atomic_store(&p->spool_is_gone, facts->is_gone);
    facts->is_low = is_low(watch);
    atomic_store(&p->spool_is_low, facts->is_low);
    facts->ids_failed = spool_ids_need_extend(&p->ids) && spool_ids_extend(&p->ids) != STATUS_OK;
    /* A person may empty it at any time, so it is counted anew. */
    if (spool_quarantine_list(&p->directory, numbers, &quarantined) == STATUS_OK)
        facts->quarantined = quarantined;
    atomic_store(&p->quarantined, facts->quarantined);
}

static void look_once(struct gateway_spool_watch *watch)
{
    struct gateway_spool_facts facts;

    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    facts = watch->found;
    watch->began_ms = clock_monotonic_ms();
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    watch->look(watch, &facts);
    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    watch->found = facts;
    watch->began_ms = 0;
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* Of the monotonic clock. */
static struct timespec in_ms(uint64_t ms)
{
    uint64_t at_ms = clock_monotonic_ms() + ms;

    return (struct timespec){ .tv_sec = (time_t)(at_ms / 1000),
                              .tv_nsec = (long)(at_ms % 1000) * 1000000 };
}

/* False: it is to end. */
static bool rest(struct gateway_spool_watch *watch)
{
    struct timespec until = in_ms(watch->rest_ms);
    int error = 0;
    bool goes_on;

    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    while (!watch->is_ending && error == 0)
        error = pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
    goes_on = !watch->is_ending;
    watch->has_ended = watch->is_ending;
    if (watch->has_ended)
        ASSERT(pthread_cond_broadcast(&watch->wake) == 0);
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    return goes_on;
}

static void run(struct engine_thread *thread)
{
    struct gateway_spool_watch *watch = CONTAINER_OF(thread, struct gateway_spool_watch, thread);

    while (rest(watch))
        look_once(watch);
}

void gateway_spool_watch_init(struct gateway_spool_watch *watch, struct gateway_process *process,
                              void (*another)(struct gateway_spool_watch *watch,
                                              struct gateway_spool_facts *facts))
{
    pthread_condattr_t attributes;

    *watch = (struct gateway_spool_watch){ .process = process,
                                           .look = another != NULL ? another : look,
                                           .rest_ms = GATEWAY_SPOOL_LOOK_MS };
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_mutex_init(&watch->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&watch->wake, &attributes) == 0);
    ASSERT(pthread_condattr_destroy(&attributes) == 0);
}

void gateway_spool_watch_set_limits(struct gateway_spool_watch *watch, uint64_t max_bytes,
                                    uint64_t free_bytes)
{
    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    watch->max_bytes = max_bytes;
    watch->free_bytes = free_bytes;
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
}

enum status gateway_spool_watch_start(struct gateway_spool_watch *watch)
{
    look_once(watch);
    return engine_thread_start(&watch->thread, "spool watch", ENGINE_THREAD_ANY_CPU, run);
}

struct gateway_spool_facts gateway_spool_watch_facts(struct gateway_spool_watch *watch,
                                                     uint64_t now_ms)
{
    struct gateway_spool_facts facts;

    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    facts = watch->found;
    facts.is_silent = watch->began_ms > 0 && now_ms > watch->began_ms &&
                      now_ms - watch->began_ms > GATEWAY_SPOOL_SILENT_MS;
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    return facts;
}

bool gateway_spool_watch_stop(struct gateway_spool_watch *watch, unsigned wait_ms)
{
    struct timespec until = in_ms(wait_ms);
    int error = 0;
    bool has_ended;

    if (!watch->thread.started)
        return true;
    ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    watch->is_ending = true;
    ASSERT(pthread_cond_broadcast(&watch->wake) == 0);
    while (!watch->has_ended && error == 0)
        error = pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
    has_ended = watch->has_ended;
    ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    if (has_ended)
        engine_thread_join(&watch->thread);
    return has_ended;
}

void gateway_spool_watch_finish(struct gateway_spool_watch *watch)
{
    ASSERT(pthread_cond_destroy(&watch->wake) == 0);
    ASSERT(pthread_mutex_destroy(&watch->lock) == 0);
}
