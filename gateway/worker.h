/* gateway/worker.h - one thread, one ring, one share of the connections and of the queue.
 *
 * A worker owns its listeners' sockets, its inbound and outbound connections, the messages it
 * has accepted or recovered (gateway/message.h), its part of the spool (gateway/store.h) and the
 * destinations that hash to it (gateway/dispatch.h). Other threads reach it by message only.
 *
 * Stopping, in steps: listeners close; sessions without a transaction get 421, the others when
 * theirs has ended; deliveries in flight end; what is left of the queue stays in the spool; the
 * last results are committed. After the grace time all connections are reset.
 */
#pragma once
#include "base/list.h"
#include "engine/loop.h"
#include "engine/mailbox.h"
#include "engine/thread.h"
#include "engine/timer.h"
#include "gateway/alert_sources.h"
#include "gateway/call_ahead.h"
#include "gateway/compaction.h"
#include "gateway/dispatch.h"
#include "gateway/host_marks.h"
#include "gateway/kernel_tls.h"
#include "gateway/mta_sts.h"
#include "gateway/names.h"
#include "gateway/original.h"
#include "gateway/process.h"
#include "gateway/shelf.h"
#include "gateway/store.h"
#include "gateway/tls_gatherer.h"
#include "observe/counters.h"
#include "tls/resumption.h"

#define GATEWAY_WORKER_BEAT_MS   5000
#define GATEWAY_WORKER_SILENT_MS 20000 /* a worker that did not beat for so long hangs */

#define GATEWAY_WORKER_LAST_COMMIT_MS 10000

#define GATEWAY_WORKER_RESUMPTIONS_MAX 2048 /* each takes about 10 KiB */

#define GATEWAY_WORKER_BROKEN_MS  86400000u /* what a host stumbled over is kept from it so long */
#define GATEWAY_WORKER_CLEARED_MS 600000u   /* for the connection that follows a failed handshake */

struct gateway_port;

enum gateway_worker_state {
    GATEWAY_WORKER_RUNNING,
    GATEWAY_WORKER_DRAINING, /* sessions and deliveries are ending */
    GATEWAY_WORKER_DRAINED,  /* waits for the other workers, whose reports may still come */
    GATEWAY_WORKER_LAST_COMMIT,
    GATEWAY_WORKER_DONE
};

enum gateway_worker_start {
    GATEWAY_WORKER_STARTING,
    GATEWAY_WORKER_RUNS,
    GATEWAY_WORKER_READY, /* and accepts connections */
    GATEWAY_WORKER_FAILED,
    GATEWAY_WORKER_ENDED
};

struct gateway_worker {
    struct engine_thread thread;
    struct gateway_process *process;
    unsigned index;
    struct engine_loop *loop;
    struct gateway_view *view;   /* the current one */
    struct gateway_names *names; /* whom new questions are put to; NULL: nobody */
    struct observe_log_writer *log;
    struct observe_counters counters;
    struct gateway_store store;
    struct gateway_dispatch dispatch;
    struct gateway_call_ahead *call_ahead;
    struct gateway_mta_sts *mta_sts;
    struct list ports;   /* listening sockets */
    struct list inbound; /* connections */
    unsigned inbound_count;
    bool is_capped;             /* at process->inbound_max: no connection is accepted */
    struct list outbound;       /* connections */
    struct slim_list messages;  /* at home here, in memory */
    struct gateway_lanes lanes; /* of all that are at home here */
    struct gateway_compaction compaction;
    uint64_t living_bytes;      /* of the records of those messages */
    struct gateway_shelf shelf; /* those that are on disk only */
    struct gateway_originals originals;
    struct engine_timer grace;
    struct engine_timer heart;
    uint64_t accept_pauses_said;
    _Atomic uint64_t beat_ms; /* when the loop last ran, for the watchdog */
    enum gateway_worker_state state;
    bool has_begun;                    /* it has had its first view */
    bool is_late;                      /* the last commit takes too long */
    struct gateway_host_marks shunned; /* changed their key where this kernel cannot follow: OpenSSL
                                          makes their records, or their mail would never leave */
    struct gateway_host_marks classic; /* stumbled over a post-quantum key share */
    struct gateway_host_marks unchunked; /* offer CHUNKING, and do not understand BDAT */
    struct gateway_host_marks cleared; /* failed a handshake, and may have the mail in the clear */
    struct tls_resumption *resumption; /* TLS sessions of hosts that were as they should be */
    struct gateway_alert_domains alert_domains;
    struct gateway_tls_gatherer tls_gatherer;
    char reply_text[POLICY_REPLY_EXPANDED_MAX]; /* of the reply that is being given */
    uint64_t random;                            /* state of the jitter source */
    _Atomic int start;                          /* enum gateway_worker_start */
    _Atomic uint64_t generation;                /* of the view that new sessions get */
    struct engine_reason start_reason;          /* read after it failed */
};

/* The supervisor's part. init: everything but the thread. view is the worker's from then on. */
MUST_USE enum status gateway_worker_init(struct gateway_worker *w, struct gateway_process *process,
                                         unsigned index, struct gateway_view *view);

/* Starts the thread; w->start says what became of it. */
MUST_USE enum status gateway_worker_run(struct gateway_worker *w);

/* Waits for the thread's end. */
void gateway_worker_join(struct gateway_worker *w);

/* After all workers have ended: frees what is left. */
void gateway_worker_finish(struct gateway_worker *w);

/* A new configuration, or the first one (then listeners open and recovered mail starts to
 * move). The worker takes the view. doors: one for each listener of the view's settings; fd -1:
 * the worker listens there already, else it takes the fd. It is taken when w->generation says so.
 * names: whom it asks from then on, which it takes; NULL: as before. STATUS_NO_MEMORY: nothing
 * happened. */
struct gateway_door {
    struct gateway_listener_load *load;
    int fd;
};
MUST_USE enum status gateway_worker_post_view(struct gateway_worker *w, struct gateway_view *view,
                                              const struct gateway_door *doors,
                                              struct gateway_names *names);
MUST_USE enum status gateway_worker_post_stop(struct gateway_worker *w, uint64_t grace_ms);

/* For other threads: the worker that showed a sign of life last; NULL when none takes mail (yet, or
 * any more). */
struct gateway_worker *gateway_worker_choose(const struct gateway_process *process);

/* The worker's own thread, from here on. */
time_t gateway_worker_now_s(const struct gateway_worker *w);
uint64_t gateway_worker_now_ms(const struct gateway_worker *w);
uint64_t gateway_worker_random(struct gateway_worker *w);

/* For the store: the first segment is there or could not be had; connections may come. */
void gateway_worker_store_settled(struct gateway_worker *w);

/* For inbound connections: one more, one less. At the cap, new ones wait in the backlog. */
void gateway_worker_inbound_opened(struct gateway_worker *w);
void gateway_worker_inbound_closed(struct gateway_worker *w);
bool gateway_worker_is_accepting(const struct gateway_worker *w);

/* Called by whatever ends while the worker stops. */
void gateway_worker_check_drained(struct gateway_worker *w);
static inline bool gateway_worker_is_stopping(const struct gateway_worker *w)
{
    return w->state != GATEWAY_WORKER_RUNNING;
}
