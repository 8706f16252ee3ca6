/* cli/spool_open.h - a spool opened by a reader, with what recovery finds in it.
 *
 *     init -> open -> read (may be repeated) -> close
 *
 * Nothing is locked or changed. A gateway may be using it: then segments are written, released and
 * used again while they are read. What fails because of that is tried again, and what it looks
 * like is for the caller to mind (is_in_use).
 */
#pragma once
#include <limits.h>

#include "cli/options.h"
#include "spool/recovery.h"

struct cli_spool_reader {
    const char *command; /* for messages: "spool list" */
    char path[PATH_MAX];
    struct spool_directory directory;
    struct spool_recovery recovery;
    bool is_open;
    bool is_in_use; /* a gateway held its lock when it was opened */
};

/* Opens PATH, or where it is NULL the spool of the configuration. False: it has been told why.
 * Close it in any case. */
MUST_USE bool cli_spool_open(struct cli_spool_reader *s, const char *command, const char *config,
                             const char *path);

/* Reads everything, instead of what was read before; with progress on standard error, if that is a
 * terminal. False: it has been told why. */
MUST_USE bool cli_spool_read(struct cli_spool_reader *s);
void cli_spool_close(struct cli_spool_reader *s); /* accepts a zeroed one */

/* "postern: spool PATH: a gateway is using it: ..." on standard error, if one is. */
void cli_spool_tell_use(const struct cli_spool_reader *s);

/* The message, living or dead; NULL: recovery has not found it. */
const struct spool_recovered_message *cli_spool_find(const struct cli_spool_reader *s,
                                                     uint64_t mid);

/* The segment with this number; NULL: nothing is known of it. */
const struct spool_recovered_segment *cli_spool_segment(const struct cli_spool_reader *s,
                                                        uint32_t number);

/* Whether a line of /proc/locks says that somebody holds a file exclusively by flock(2). Device
 * numbers are compared where has_device; some file systems show others there than stat(2). */
struct cli_spool_lock {
    uint64_t inode;
    unsigned major, minor;
    bool has_device;
};
bool cli_spool_lock_is_held(const struct cli_spool_lock *lock, struct slice line);
