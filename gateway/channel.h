/* gateway/channel.h - one connection's byte stream, in the clear or through TLS.
 *
 * Joins an engine socket, an optional TLS session and the output of one connection, so that the
 * SMTP side above cannot tell a clear connection from an encrypted one. Embedded in its owner,
 * which gets events through a table of handlers:
 *
 *     input    plain bytes; returns how many were taken. To take fewer than all, the owner must
 *              have called gateway_channel_pause() first; the rest is kept and comes again
 *              after gateway_channel_resume().
 *     drained  everything put out so far has been handed to the kernel
 *     secured  the TLS handshake ended, well or not
 *     settled  who makes the TLS records of each direction, OpenSSL or the kernel, is decided
 *              (tls/kernel.h), or the session ends; once after a handshake. May be NULL.
 *     expired  the deadline that the owner set has passed
 *     ended    no more input will come: the peer's FIN or close_notify (0) or an errno value
 *     closed   the last event; nothing is in flight, the owner may free itself
 *
 * Receiving is never armed while the channel is paused or closing, and one receive at a time
 * otherwise: back-pressure, and the reason why STARTTLS needs no cancellation. Output is
 * gathered until gateway_channel_flush(), one send in flight. No handler runs inside any call
 * but `input` and `ended`, which may run inside gateway_channel_resume() (but not inside
 * `input`), `secured`, which may run inside gateway_channel_secure() when it failed, and `settled`,
 * which may run inside flush and resume and calls nothing of the channel but the getters.
 */
#pragma once
#include "base/buffer.h"
#include "base/ip.h"
#include "engine/socket.h"
#include "engine/timer.h"
#include "tls/session.h"

#define GATEWAY_CHANNEL_OUTPUT_BYTES_MAX (256 * 1024) /* replies and ciphertext waiting */
#define GATEWAY_CHANNEL_INPUT_BYTES_MAX  (256 * 1024) /* input kept while paused */
#define GATEWAY_CHANNEL_CLOSE_MS         10000        /* for the last bytes to leave */

struct gateway_channel;

struct gateway_channel_handlers {
    size_t (*input)(struct gateway_channel *channel, struct slice bytes);
    void (*drained)(struct gateway_channel *channel);
    void (*connected)(struct gateway_channel *channel, int error);
    void (*secured)(struct gateway_channel *channel, bool success);
    void (*settled)(struct gateway_channel *channel);
    void (*expired)(struct gateway_channel *channel);
    void (*ended)(struct gateway_channel *channel, int error);
    void (*closed)(struct gateway_channel *channel);
};

enum gateway_channel_state {
    GATEWAY_CHANNEL_CONNECTING,
    GATEWAY_CHANNEL_OPEN,      /* clear, or TLS after its handshake */
    GATEWAY_CHANNEL_UPGRADING, /* the last clear bytes are leaving; the handshake follows */
    GATEWAY_CHANNEL_SHAKING,   /* handshake bytes only */
    GATEWAY_CHANNEL_FLUSHING,  /* closing: the last output is leaving */
    GATEWAY_CHANNEL_CLOSED     /* the engine has been told to close */
};

/* What passes through a channel. An idle one has none: it is taken when there is something to say
 * or to keep, and goes back when all of it is empty. */
struct gateway_channel_traffic {
    struct buffer output;  /* plain, not yet handed to TLS or to the engine */
    struct buffer cipher;  /* ciphertext, not yet handed to the engine */
    struct buffer sending; /* either of them; pinned while a send is in flight */
    struct buffer kept;    /* plain input that the paused owner has not taken */
};

struct gateway_channel { /* Fields are private. */
    struct engine_socket socket;
    struct engine_timer deadline;
    const struct gateway_channel_handlers *handlers;
    struct tls_session *tls; /* owned; NULL in the clear */
    struct gateway_channel_traffic
        *traffic;        /* from the thread's pool; NULL: nothing is under way */
    const char *body;    /* borrowed plain bytes that follow its output */
    uint32_t body_bytes; /* 0: none */
    uint8_t ended_error; /* an errno */
    uint8_t state;       /* enum gateway_channel_state */
    bool paused : 1;
    bool sending_now : 1;
    bool bulk : 1;
    bool floods : 1; /* the last bulk was as much as the buffer held, or more than it would have */
    bool input_ended : 1;
    bool secured : 1;    /* the handshake is done and close_notify is not yet sent */
    bool undrained : 1;  /* output was given since the last `drained` */
    bool delivering : 1; /* inside the owner's input handler */
    bool taking : 1;     /* inside on_received(), with bytes that are not all taken yet */
    bool settled : 1;
    bool rekeys : 1; /* the record that is being sent announces a new key */
};

/* The channel takes fd, an accepted socket, and starts paused. On failure (STATUS_NO_MEMORY,
 * STATUS_LIMIT) fd is closed and no event follows. */
MUST_USE enum status gateway_channel_adopt(struct gateway_channel *c, struct engine_loop *loop,
                                           const struct gateway_channel_handlers *handlers, int fd);

/* Starts to connect; `connected` tells the end of it. The channel starts paused. */
void gateway_channel_connect(struct gateway_channel *c, struct engine_loop *loop,
                             const struct gateway_channel_handlers *handlers,
                             const struct ip_endpoint *remote);

void gateway_channel_pause(struct gateway_channel *c);
void gateway_channel_resume(struct gateway_channel *c);
bool gateway_channel_is_paused(const struct gateway_channel *c);

/* Large receive buffers for message bodies, and huge ones while more comes than they hold; small
 * ones for commands (the default). */
void gateway_channel_expect_bulk(struct gateway_channel *c, bool bulk);

/* Plain output; append to it, then flush. It is bounded by GATEWAY_CHANNEL_OUTPUT_BYTES_MAX, and
 * takes nothing when memory is short. Valid until the next flush, resume, secure or close; inside
 * `input` until that returns. */
struct buffer *gateway_channel_output(struct gateway_channel *c);

/* Queues bytes, fewer than 4 GiB, behind the output without copying them. Borrowed until `drained`;
 * only one body at a time, and no output may be appended before `drained`. */
void gateway_channel_send_body(struct gateway_channel *c, struct slice body);
void gateway_channel_flush(struct gateway_channel *c);

/* Sends what is queued in the clear, then runs the handshake; `secured` tells the end of it.
 * Takes the session. No input may be kept (bytes behind STARTTLS are an attack that the owner
 * has refused before). The channel is paused until the owner resumes it. */
void gateway_channel_secure(struct gateway_channel *c, struct tls_session *session);
bool gateway_channel_is_secure(const struct gateway_channel *c);
const struct tls_session *gateway_channel_tls(const struct gateway_channel *c);

/* (Re)starts the deadline; 0 stops it. Without effect once the channel is closing. */
void gateway_channel_set_deadline(struct gateway_channel *c, uint64_t delay_ms);

/* Sends what is queued (for at most GATEWAY_CHANNEL_CLOSE_MS), a close_notify under TLS, and
 * closes; or resets at once. No event but `closed` follows. May be called in any handler. */
void gateway_channel_close(struct gateway_channel *c);
void gateway_channel_reset(struct gateway_channel *c);
bool gateway_channel_is_closing(const struct gateway_channel *c);
