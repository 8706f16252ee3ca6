/* gateway/mta_sts_io.h - the disk and the network of MTA-STS, on threads that may block.
 *
 * One for the process: a thread for the files of SPOOL/mta-sts (gateway/mta_sts_record.h), and a
 * few that fetch policies (gateway/mta_sts_fetch.h), so that a policy host that does not answer
 * keeps no file waiting. gateway/mta_sts.h reaches them, and the DNS, by a table of operations,
 * which a test replaces.
 *
 * A policy on disk is never replaced, nor removed, for one that was fetched earlier: workers have
 * views of their own, and may be behind. Where that is so, to store and to remove do nothing.
 *
 * The folder is tidied before the first file is touched, and when it is full: files that are
 * damaged or expired go, and what a crash left of writing one.
 */
#pragma once
#include "dns/query.h"
#include "gateway/mta_sts_fetch.h"
#include "gateway/mta_sts_record.h"
#include "gateway/names.h"

#define GATEWAY_MTA_STS_FETCH_THREADS 8
#define GATEWAY_MTA_STS_JOBS_MAX      8192  /* that wait for a thread, of either kind */
#define GATEWAY_MTA_STS_FILES_MAX     20000 /* policies on disk; no more are kept */
#define GATEWAY_MTA_STS_TIDY_S        3600  /* a full folder is not read more often */

struct gateway_worker;
struct gateway_mta_sts_io; /* private */

enum gateway_mta_sts_file_verb {
    GATEWAY_MTA_STS_LOAD,  /* the file into bytes; STATUS_NOT_FOUND */
    GATEWAY_MTA_STS_STORE, /* bytes into the file, durably: a crash leaves the old or the new one */
    GATEWAY_MTA_STS_REMOVE /* also when it was not there */
};

struct gateway_mta_sts_file {
    struct engine_job job; /* private, as the next one */
    struct gateway_mta_sts_io *io;
    void (*done)(struct gateway_mta_sts_file *file);
    enum gateway_mta_sts_file_verb verb;
    char domain[DNS_NAME_MAX]; /* a name in lower case, without a final dot */
    uint64_t fetched_s;        /* since 1970: the policy that is stored, or that says to remove */
    struct buffer bytes;       /* GATEWAY_MTA_STS_RECORD_BYTES_MAX */
    enum status status;        /* what came of it */
};

/* How a worker's MTA-STS reaches the world. The last two answer with done(), once, later, on the
 * worker's loop; what they are given stays where it is until then, or until the loop and the
 * helper threads have ended. STATUS_LIMIT: too much waits, nothing happens. */
struct gateway_mta_sts_ops {
    /* Whom to ask the DNS, and what to release when that is done (may be NULL). NULL: nobody. */
    struct dns_source *(*source)(struct gateway_worker *w, struct gateway_names **names_out);
    MUST_USE enum status (*file)(struct gateway_worker *w, struct gateway_mta_sts_file *file);
    MUST_USE enum status (*fetch)(struct gateway_worker *w, struct gateway_mta_sts_fetch *fetch);
};

/* Of the worker's names and its process's io. */
extern const struct gateway_mta_sts_ops gateway_mta_sts_ops_real;

/* spool_fd: the spool's folder, borrowed for the call. For the supervisor, before any worker runs.
 * STATUS_DENIED and others: the folder cannot be had; errno is set. */
MUST_USE enum status gateway_mta_sts_io_create(int spool_fd, struct gateway_mta_sts_io **io_out);

/* Waits for the threads: fetches end within a second, files are written. The loops of the workers
 * must still be there. Accepts NULL. */
void gateway_mta_sts_io_destroy(struct gateway_mta_sts_io *io);

/* Blocking: what the thread of the files does, for its test. now_s: since 1970. */
void gateway_mta_sts_io_file(struct gateway_mta_sts_io *io, struct gateway_mta_sts_file *file,
                             uint64_t now_s);
