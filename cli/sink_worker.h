/* cli/sink_worker.h - one thread of the test receiver, with its sockets and sessions. */
#pragma once
#include <stdatomic.h>

#include "base/list.h"
#include "cli/crew.h"
#include "cli/sink_options.h"
#include "engine/listener.h"
#include "smtp/server.h"

struct sink_worker;
struct tls_context;

/* What all workers share. */
struct sink_run {
    const struct sink_options *options;
    struct smtp_server_options smtp_options;
    int store;                  /* the directory; -1: none */
    _Atomic uint64_t judged;    /* messages of which --fail-rate has decided */
    _Atomic uint64_t accepted;  /* messages, against --max-messages */
    _Atomic uint64_t next_file; /* its name */
};

/* Written by one worker, read by the supervisor at any time. */
struct sink_tallies {
    _Atomic uint64_t connections;
    _Atomic uint64_t open;    /* connections now */
    _Atomic uint64_t tls;     /* handshakes that succeeded */
    _Atomic uint64_t resumed; /* of these */
    _Atomic uint64_t messages;
    _Atomic uint64_t recipients; /* of accepted messages */
    _Atomic uint64_t bytes;      /* of accepted messages */
    _Atomic uint64_t failed;     /* messages answered 4xx at their end */
    _Atomic uint64_t rejected;   /* recipients */
    _Atomic uint64_t dropped;    /* transactions that ended without a message */
};

static inline void sink_count(_Atomic uint64_t *tally, uint64_t amount)
{
    atomic_fetch_add_explicit(tally, amount, memory_order_relaxed);
}

struct sink_door { /* one listening socket */
    struct engine_listener listener;
    struct sink_worker *worker;
    int fd; /* until it is started */
};

struct sink_worker {
    struct cli_hand hand;
    struct sink_run *run;
    struct tls_context *tls; /* NULL: STARTTLS is not offered */
    struct sink_tallies tallies;
    struct sink_door doors[SINK_LISTENERS_MAX];
    size_t doors_open;
    struct list sessions;
    bool is_stopping;
    _Atomic bool has_failed; /* a door could not be opened */
};

/* The part before the thread starts; then the supervisor sets tls, and fd of each door. */
void sink_worker_init(struct sink_worker *w, struct sink_run *run);
void sink_worker_finish(struct sink_worker *w); /* closes what was not started */

extern const struct cli_hand_handlers sink_worker_handlers;
