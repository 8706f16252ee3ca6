/* engine/socket_core.h - the inside of a socket. For engine/socket.c and engine/socket_send.c only.
 *
 * socket.c receives, connects and closes; socket_send.c sends.
 */
#pragma once
#include <stdalign.h>

#include "engine/core.h"
#include "engine/socket.h"

enum engine_socket_state {
    STATE_NEW,
    STATE_CONNECTING,
    STATE_OPEN,
    STATE_CLOSING,
    STATE_CLOSE_PUSHED, /* nothing is in flight but the close */
    STATE_CLOSED
};

/* Bits of struct engine_socket.flags. */
enum engine_socket_flag {
    FLAG_RECEIVING = 1 << 0,   /* a receive is armed, or waits for a buffer */
    FLAG_CONNECTING = 1 << 1,  /* a connect is in the kernel */
    FLAG_CONNECTED = 1 << 2,   /* `connected` has come, or was not needed */
    FLAG_ENDED = 1 << 3,       /* the peer's FIN or an error was read */
    FLAG_SHUT = 1 << 4,        /* our FIN is on its way */
    FLAG_HURRY = 1 << 5,       /* closing: cancel what is in flight */
    FLAG_CANCEL_RECV = 1 << 6, /* these are asked for once */
    FLAG_CANCEL_SEND = 1 << 7,
    FLAG_CANCEL_CONNECT = 1 << 8,
    FLAG_TLS = 1 << 9,          /* kernel TLS is on */
    FLAG_TLS_RECEIVE = 1 << 10, /* it has a key to receive */
    FLAG_BROKEN = 1 << 11       /* a record was read that does not open: nothing more will be */
};

/* What the kernel reads while a send or the connect is in flight. */
struct engine_send {
    struct msghdr message; /* its parts begin with the first byte not yet sent */
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint8_t))];
    union {
        struct iovec parts[ENGINE_SEND_PARTS_MAX];
        struct sockaddr_storage address;
    };
};

static inline bool engine_socket_has(const struct engine_socket *s, unsigned flag)
{
    return (s->flags & flag) != 0;
}

static inline void engine_socket_set(struct engine_socket *s, unsigned flag)
{
    s->flags = (uint16_t)(s->flags | flag);
}

static inline void engine_socket_clear(struct engine_socket *s, unsigned flag)
{
    s->flags = (uint16_t)(s->flags & ~flag);
}

static inline bool engine_socket_has_slot(const struct engine_socket *s)
{
    return s->slot != ENGINE_SLOT_NONE;
}

/* Hands over a request of the socket's. token_op: what its completion is known by. */
void engine_socket_push(struct engine_socket *s, struct engine_request *r, enum engine_op token_op);

/* A record was met that does not open. The kernel tells of it by whatever is done next, and holds
 * it against every send; the alert is to leave all the same. */
void engine_socket_broke(struct engine_socket *s);
bool engine_socket_is_record_error(int error);

void engine_socket_release_send(struct engine_socket *s);
void engine_socket_send_done(struct engine_socket *s, int result);

/* The task of s->late. */
void engine_socket_run_late(struct engine_task *task);
