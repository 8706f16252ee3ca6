/* gateway/process.h - what the workers of one gateway share.
 *
 * Filled by the supervisor before the first worker starts and torn down after the last has
 * ended. Everything in it is immutable, atomic, or has a contract of its own for many threads.
 */
#pragma once
#include <stdatomic.h>

#include "base/rates.h"
#include "engine/helper.h"
#include "gateway/generation.h"
#include "gateway/listing.h"
#include "gateway/peer_count.h"
#include "observe/maillog.h"
#include "spool/files.h"
#include "spool/ids.h"
#include "spool/pool.h"
#include "tls/tickets.h"

struct gateway_mta_sts_io;
struct gateway_recovery;
struct gateway_worker;
struct gateway_alerts;
struct gateway_tls_reports;

#define GATEWAY_LISTENER_LOADS_MAX (4 * CONFIG_LISTENERS_MAX)

/* The connections of one listening endpoint, which a reload does not reset. */
struct gateway_listener_load {
    struct ip_endpoint endpoint; /* changed by the supervisor only while connections is 0 */
    bool is_open;                /* for the supervisor: the workers listen there */
    _Atomic unsigned connections;
    _Atomic unsigned
        rejected; /* of these, sessions that the HAT rejected: not held against others */
    _Atomic unsigned waiting; /* of these, sessions of hosts that are looked up */
    _Atomic unsigned tls_connections;
};

struct gateway_process {
    struct observe_log *log;
    struct tls_tickets *tickets;
    struct gateway_peer_count *peers;
    struct rates_table *rates; /* of clients and senders: gateway/rate_limits.h */
    struct hash_seed seed;
    struct gateway_listing listing;          /* for threads that are no workers */
    struct gateway_alerts *alerts;           /* gateway/alerts.h; NULL: nobody is told of trouble */
    struct gateway_tls_reports *tls_reports; /* gateway/tls_reports.h; NULL: nothing is gathered */
    uint64_t started_ms;                     /* monotonic */
    struct gateway_worker *workers;          /* array */
    unsigned workers_count;

    unsigned inbound_max; /* connections of one worker, by the descriptors there are */
    unsigned lookups_max; /* and questions to the DNS */

    struct spool_directory directory;
    struct spool_ids ids;
    struct spool_pool pool;             /* touched by the one thread of `segments` */
    struct gateway_recovery *recovery;  /* gateway/recovery.h */
    bool spool_is_direct;               /* O_DIRECT and RWF_DSYNC work there */
    bool bodies_are_direct;             /* the same of the folder of body files */
    struct engine_helper *segments;     /* one thread: prepares and releases segments */
    struct engine_helper *readers;      /* two threads, for the recovery */
    struct engine_helper *committer;    /* writes and syncs where the ring cannot; else NULL */
    struct gateway_mta_sts_io *mta_sts; /* its files and fetches, on threads of their own */

    struct gateway_listener_load loads[GATEWAY_LISTENER_LOADS_MAX];
    _Atomic unsigned connections; /* over all listeners */
    _Atomic unsigned tls_connections;
    _Atomic uint64_t message_bytes; /* of messages in memory and on their way in */
    _Atomic uint64_t queue_bytes; /* of what is in memory of every message, wherever the rest is */
    _Atomic uint64_t segment_bytes;  /* on disk: segment files that are not free */
    _Atomic int64_t reload_failed_s; /* the last reload was refused then; 0: it was not */
    _Atomic uint64_t body_bytes;     /* on disk: body files, those under way included */
    _Atomic size_t quarantined;      /* segments in the spool's quarantine */
    _Atomic bool spool_is_low;       /* at spool.max_size or spool.min_free: MAIL gets 452 */
    _Atomic bool spool_is_silent;    /* its disk does not answer */
    _Atomic bool spool_is_gone;      /* its folder is not in its place: MAIL gets 451 */
    _Atomic unsigned workers_running;
    _Atomic bool has_failed;   /* it cannot go on: it is to stop, and to say so to who started it */
    _Atomic bool nobody_posts; /* all workers and helpers have ended: loops may go */
};
