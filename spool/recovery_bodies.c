#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/body_file.h"
#include "spool/recovery_parts.h"

/* Only the form that spool_body_name() writes. */
static bool body_mid(const char *name, uint64_t *mid_out)
{
    char again[SPOOL_BODY_NAME_MAX];
    uint64_t mid = 0;

    if (strlen(name) != SPOOL_BODY_NAME_MAX - 1)
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (!ascii_is_digit(*c) && (*c < 'a' || *c > 'f'))
            return false;
        mid = mid << 4 | (uint64_t)(ascii_is_digit(*c) ? *c - '0' : *c - 'a' + 10);
    }
    *mid_out = mid;
    return strcmp(name, spool_body_name(mid, again)) == 0;
}

static bool records_were_damaged(const struct spool_recovery *r)
{
    return r->damage_counts[SPOOL_DAMAGE_RECORD] > 0 || r->damage_counts[SPOOL_DAMAGE_HEADER] > 0 ||
           r->damage_counts[SPOOL_DAMAGE_BATCHES] > 0 ||
           r->damage_counts[SPOOL_DAMAGE_MESSAGE] > 0 ||
           r->damage_counts[SPOOL_DAMAGE_UNREADABLE] > 0;
}

static void check_body(struct recovery_work *w, const char *name)
{
    struct spool_recovery *r = w->r;
    struct spool_recovered_message *m;
    struct stat info;
    uint64_t mid;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (!body_mid(name, &mid)) {
        recovery_report(r, &(struct spool_damage){ .kind = SPOOL_DAMAGE_FOREIGN_FILE });
        return;
    }
    if (r->mid_limit > 0 && mid >= r->mid_limit) /* of this run */
        return;
    m = spool_recovery_find(r, mid);
    if (m != NULL && !m->is_done && m->body_in_file) {
        /* One that cannot be looked at, or has gone this moment, is as good as missing. */
        if (fstatat(r->directory->bodies_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            m->body_missing && S_ISREG(info.st_mode) && (uint64_t)info.st_size >= m->body_bytes) {
            m->body_missing = false;
            w->bodies_missing--;
        }
        return;
    }
    if (w->options.is_reader || records_were_damaged(r) || r->quarantined > 0) {
        r->bodies_kept++;
        return;
    }
    /* What cannot be unlinked (a folder of that name, a disk that fails) is in nobody's way. */
    if (unlinkat(r->directory->bodies_fd, name, 0) == 0)
        r->bodies_unlinked++;
    else if (errno != ENOENT)
        r->bodies_kept++;
}

static void report_missing(struct spool_recovery *r)
{
    TABLE_FOR_EACH (n, &r->messages) {
        struct spool_recovered_message *m = CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->body_missing)
            recovery_report(r, &(struct spool_damage){
                                   .kind = SPOOL_DAMAGE_BODY,
                                   .segment = r->segments[m->segment].number,
                                   .offset = m->offset,
                                   .bytes = m->body_bytes,
                                   .mid = m->mid,
                               });
    }
}

/* STATUS_BUSY: not now. */
static enum status open_bodies(struct recovery_work *w)
{
    int fd = openat(w->r->directory->bodies_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? STATUS_BUSY
                                                                     : status_from_errno(errno);
    w->bodies = fdopendir(fd);
    if (w->bodies != NULL)
        return STATUS_OK;
    (void)close(fd);
    return STATUS_BUSY; /* no memory, for now */
}

/* Mail is delivered all the same: a body is opened by its name, and whether it is there shows
 * then. */
static void give_up(struct recovery_work *w)
{
    recovery_leave_bodies(w);
    TABLE_FOR_EACH (n, &w->r->messages) {
        CONTAINER_OF(n, struct spool_recovered_message, node)->body_missing = false;
    }
    w->bodies_missing = 0;
    recovery_report(w->r, &(struct spool_damage){ .kind = SPOOL_DAMAGE_BODIES });
}

void recovery_leave_bodies(struct recovery_work *w)
{
    if (w->bodies != NULL)
        (void)closedir(w->bodies);
    w->bodies = NULL;
}

enum status recovery_check_bodies(struct recovery_work *w)
{
    enum status status = w->bodies == NULL ? open_bodies(w) : STATUS_OK;

    if (status == STATUS_BUSY)
        return status;
    if (status != STATUS_OK) {
        give_up(w);
        return STATUS_OK;
    }
    for (unsigned i = 0; i < RECOVERY_BODIES_STEP; i++) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(w->bodies);
        if (entry == NULL && errno != 0) {
            give_up(w);
            return STATUS_OK;
        }
        if (entry == NULL) {
            recovery_leave_bodies(w);
            if (w->bodies_missing > 0)
                report_missing(w->r);
            return STATUS_OK;
        }
        check_body(w, entry->d_name);
    }
    return STATUS_LIMIT;
}
