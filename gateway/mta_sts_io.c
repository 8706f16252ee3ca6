#include "gateway/mta_sts_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/worker.h"
#include "spool/files.h"

#define FOLDER    "mta-sts"
#define TEMPORARY "~new" /* no name of a domain has a "~" */

#define TIDY_LOOKS_MAX (4 * GATEWAY_MTA_STS_FILES_MAX)

struct gateway_mta_sts_io {
    struct engine_helper *files, *fetches;
    int folder_fd;
    atomic_bool is_stopped;
    /* Of the thread of the files: */
    size_t files_count;
    uint64_t tidied_s;
    bool is_tidied;
    char room[GATEWAY_MTA_STS_RECORD_BYTES_MAX + 1]; /* one more byte shows that a file is longer */
};

/* --- the thread of the files ----------------------------------------------------------------- */

/* Whether the file is to stay. */
static bool is_worth_keeping(struct gateway_mta_sts_io *io, const char *name, uint64_t now_s)
{
    struct gateway_mta_sts_record record;
    size_t len;

    return spool_file_read(io->folder_fd, name, io->room, sizeof(io->room), &len) == STATUS_OK &&
           gateway_mta_sts_record_read((struct slice){ io->room, len }, &record) &&
           slice_equal(record.domain, slice_from(name)) && record.expires_s > now_s;
}

/* Counts what stays. A folder that cannot be read is as good as empty: nothing comes of it but a
 * file too many. */
static void tidy(struct gateway_mta_sts_io *io, uint64_t now_s)
{
    int fd = openat(io->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    io->is_tidied = true;
    io->tidied_s = now_s;
    io->files_count = 0;
    for (size_t i = 0; folder != NULL && i < TIDY_LOOKS_MAX; i++) {
        entry = readdir(folder);
        if (entry == NULL)
            break;
        if (entry->d_name[0] == '.')
            continue;
        if (is_worth_keeping(io, entry->d_name, now_s))
            io->files_count++;
        else
            (void)unlinkat(io->folder_fd, entry->d_name, 0);
    }
    if (folder != NULL)
        (void)closedir(folder);
    else if (fd >= 0)
        (void)close(fd);
}

static enum status load(struct gateway_mta_sts_io *io, struct gateway_mta_sts_file *file)
{
    size_t len;

    TRY(spool_file_read(io->folder_fd, file->domain, io->room, sizeof(io->room), &len));
    return buffer_append(&file->bytes, (struct slice){ io->room, len });
}

/* Whether what is on disk was fetched later than what is to take its place. Each worker has its own
 * view of a domain, and may be behind. There is one thread of the files, so that nothing changes
 * between this look and what follows. A time that is still to come is of a clock that was wrong. */
static bool is_outdated(struct gateway_mta_sts_io *io, const struct gateway_mta_sts_file *file,
                        uint64_t now_s)
{
    struct gateway_mta_sts_record r;
    size_t len;

    return spool_file_read(io->folder_fd, file->domain, io->room, sizeof(io->room), &len) ==
               STATUS_OK &&
           gateway_mta_sts_record_read((struct slice){ io->room, len }, &r) &&
           slice_equal(r.domain, slice_from(file->domain)) && r.expires_s > now_s &&
           r.fetched_s > file->fetched_s && r.fetched_s <= now_s;
}

static enum status store(struct gateway_mta_sts_io *io, const struct gateway_mta_sts_file *file,
                         uint64_t now_s)
{
    bool is_new = faccessat(io->folder_fd, file->domain, F_OK, 0) != 0;

    if (is_new && io->files_count >= GATEWAY_MTA_STS_FILES_MAX &&
        now_s - io->tidied_s >= GATEWAY_MTA_STS_TIDY_S)
        tidy(io, now_s);
    if (is_new && io->files_count >= GATEWAY_MTA_STS_FILES_MAX)
        return STATUS_LIMIT;
    TRY(spool_file_replace(io->folder_fd, file->domain, TEMPORARY, buffer_contents(&file->bytes)));
    io->files_count += is_new;
    return STATUS_OK;
}

/* What is gone after a crash may be there again: then a policy is applied until it expires, or
 * until its host is asked. */
static enum status unlink_file(struct gateway_mta_sts_io *io,
                               const struct gateway_mta_sts_file *file)
{
    if (unlinkat(io->folder_fd, file->domain, 0) != 0)
        return errno == ENOENT ? STATUS_OK : status_from_errno(errno);
    io->files_count -= io->files_count > 0;
    return STATUS_OK;
}

void gateway_mta_sts_io_file(struct gateway_mta_sts_io *io, struct gateway_mta_sts_file *file,
                             uint64_t now_s)
{
    ASSERT(dns_name_is_valid(slice_from(file->domain)));
    if (!io->is_tidied)
        tidy(io, now_s);
    switch (file->verb) {
    case GATEWAY_MTA_STS_LOAD: file->status = load(io, file); break;
    case GATEWAY_MTA_STS_STORE:
        file->status = is_outdated(io, file, now_s) ? STATUS_OK : store(io, file, now_s);
        break;
    case GATEWAY_MTA_STS_REMOVE:
        file->status = is_outdated(io, file, now_s) ? STATUS_OK : unlink_file(io, file);
        break;
    }
}

static void run_file(struct engine_job *job)
{
    struct gateway_mta_sts_file *file = CONTAINER_OF(job, struct gateway_mta_sts_file, job);

    gateway_mta_sts_io_file(file->io, file, (uint64_t)clock_wall_s());
}

/* --- for the workers ------------------------------------------------------------------------- */

static void on_file(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_mta_sts_file *file = CONTAINER_OF(job, struct gateway_mta_sts_file, job);

    (void)loop;
    file->done(file);
}

static enum status submit_file(struct gateway_worker *w, struct gateway_mta_sts_file *file)
{
    struct gateway_mta_sts_io *io = w->process->mta_sts;

    file->io = io;
    file->job.run = run_file;
    file->job.done = on_file;
    return engine_helper_submit(io->files, w->loop, &file->job);
}

static void run_fetch(struct engine_job *job)
{
    gateway_mta_sts_fetch_run(CONTAINER_OF(job, struct gateway_mta_sts_fetch, job));
}

static void on_fetch(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_mta_sts_fetch *fetch = CONTAINER_OF(job, struct gateway_mta_sts_fetch, job);

    (void)loop;
    fetch->done(fetch);
}

static enum status submit_fetch(struct gateway_worker *w, struct gateway_mta_sts_fetch *fetch)
{
    struct gateway_mta_sts_io *io = w->process->mta_sts;

    fetch->is_stopped = &io->is_stopped;
    fetch->job.run = run_fetch;
    fetch->job.done = on_fetch;
    return engine_helper_submit(io->fetches, w->loop, &fetch->job);
}

/* A reload may replace the worker's names: the old ones stay until they are released. */
static struct dns_source *find_source(struct gateway_worker *w, struct gateway_names **names_out)
{
    if (w->names == NULL)
        return NULL;
    *names_out = gateway_names_acquire(w->names);
    return gateway_names_source(w->names);
}

const struct gateway_mta_sts_ops gateway_mta_sts_ops_real = { .source = find_source,
                                                              .file = submit_file,
                                                              .fetch = submit_fetch };

/* --- birth and death ------------------------------------------------------------------------- */

static enum status open_folder(struct gateway_mta_sts_io *io, int spool_fd)
{
    if (mkdirat(spool_fd, FOLDER, 0700) != 0 && errno != EEXIST)
        return status_from_errno(errno);
    io->folder_fd = openat(spool_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (io->folder_fd < 0 || fsync(spool_fd) != 0)
        return status_from_errno(errno);
    return STATUS_OK;
}

enum status gateway_mta_sts_io_create(int spool_fd, struct gateway_mta_sts_io **io_out)
{
    struct gateway_mta_sts_io *io = calloc(1, sizeof(*io));
    enum status status;

    if (io == NULL)
        return STATUS_NO_MEMORY;
    io->folder_fd = -1;
    status = open_folder(io, spool_fd);
    if (status == STATUS_OK)
        status = engine_helper_create(1, GATEWAY_MTA_STS_JOBS_MAX, &io->files);
    if (status == STATUS_OK)
        status = engine_helper_create(GATEWAY_MTA_STS_FETCH_THREADS, GATEWAY_MTA_STS_JOBS_MAX,
                                      &io->fetches);
    if (status != STATUS_OK) {
        gateway_mta_sts_io_destroy(io);
        return status;
    }
    *io_out = io;
    return STATUS_OK;
}

void gateway_mta_sts_io_destroy(struct gateway_mta_sts_io *io)
{
    if (io == NULL)
        return;
    atomic_store(&io->is_stopped, true);
    engine_helper_destroy(io->fetches);
    engine_helper_destroy(io->files);
    if (io->folder_fd >= 0)
        (void)close(io->folder_fd);
    free(io);
}
