/* cli/sink_session.h - one connection to the test receiver: takes what comes, and says 250. */
#pragma once
#include "cli/sink_store.h"
#include "gateway/channel.h"
#include "smtp/server.h"

#define SINK_OUTPUT_HIGH    ((size_t)32 * 1024) /* unsent replies; then input waits */
#define SINK_HANDSHAKE_MS   30000
#define SINK_RECIPIENTS_MAX 100000       /* of a message */
#define SINK_ENVELOPE_BYTES (256 * 1024) /* recipients that the store writes down */

struct sink_worker;

enum sink_wait {
    SINK_WAIT_NONE,
    SINK_WAIT_DELAY, /* --reply-delay */
    SINK_WAIT_DRAIN  /* the peer does not read its replies */
};

struct sink_session { /* Fields are private, but for node. */
    struct gateway_channel channel;
    struct smtp_server smtp;
    struct list_node node;
    struct engine_timer delay;
    struct sink_worker *worker;
    struct sink_store store;
    struct buffer sender;     /* of the transaction, for log and store */
    struct buffer recipients; /* of the transaction, for the store */
    uint64_t bytes;           /* of the message whose reply is delayed */
    uint8_t wait;             /* enum sink_wait */
    bool is_stopping;
};

/* Takes fd; what goes wrong closes it. */
void sink_session_accept(struct sink_worker *worker, int fd);

/* Lets a transaction end first, unless at once. */
void sink_session_stop(struct sink_session *s, bool at_once);
