/* engine/socket.h - a TCP connection as events.
 *
 *     init -> adopt (an accepted fd) ----------> receive / send ... -> close -> `closed`
 *          -> connect -> `connected` (0) ------>
 *                     -> `connected` (errno) -----------------------> close -> `closed`
 *
 * A socket is embedded in its connection and is small: an idle one holds no buffer. It receives
 * once per engine_socket_receive(), into a buffer that is chosen when bytes arrive, so nothing
 * comes that was not asked for. It has at most one send in flight.
 *
 * All events come from engine_loop_turn(), never from inside a call. Any call may be made from
 * any handler. After engine_socket_close() the only event is `closed`, and the connection may be
 * freed only there (or before adopt and connect): until then the kernel may use its memory.
 */
#pragma once
#include <sys/uio.h>

#include "base/ip.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "engine/loop.h"
#include "engine/owner.h"

#define ENGINE_SEND_PARTS_MAX 8

/* A graceful close lets the peer read what was sent to it: input that it goes on sending is read
 * and dropped within these bounds, because closing with unread input makes the kernel send a
 * reset that can overtake and destroy the last reply (RFC 1122 4.2.2.13). */
#define ENGINE_CLOSE_DRAIN_MS    2000
#define ENGINE_CLOSE_DRAIN_BYTES 65536

enum engine_close {
    ENGINE_CLOSE_GRACEFUL, /* finish the send, FIN, drain what still comes, close */
    ENGINE_CLOSE_RESET     /* drop everything at once; the peer sees a reset */
};

struct engine_socket;

struct engine_socket_handlers {
    /* Answers one engine_socket_receive(); bytes.len > 0, valid during the call only. */
    void (*received)(struct engine_socket *s, struct slice bytes);

    /* Answers one engine_socket_receive(): no more bytes will come. 0: the peer's FIN, else an
     * errno. With EIO on a socket whose receive side the kernel decrypts, a TLS record that is
     * not data is waiting: the owner takes it with engine_socket_tls_record(), and may receive
     * again. */
    void (*ended)(struct engine_socket *s, int error);

    /* Answers engine_socket_send(): everything is in the kernel, or it failed (an errno). EBADMSG,
     * EMSGSIZE and EINVAL on a socket with a key to receive: the kernel met a record that does not
     * open, and what was sent may be on its way. */
    void (*sent)(struct engine_socket *s, int error);

    /* Answers engine_socket_connect(); NULL for a socket that never connects. */
    void (*connected)(struct engine_socket *s, int error);

    /* The last event: nothing is in flight, the fd is closed, the socket may be freed. */
    void (*closed)(struct engine_socket *s);
};

struct engine_socket {       /* Fields are private; it is open so that a connection can embed it. */
    struct engine_task late; /* an event that comes without a completion */
    struct engine_linger *linger;
    struct list_node starved;  /* waits for a receive buffer */
    struct engine_owner owner; /* from here on it is hot */
    struct engine_loop *loop;
    const struct engine_socket_handlers *handlers;
    struct engine_send *send;
    int fd;
    uint32_t slot;
    uint16_t flags;
    uint16_t recv_bytes_max;
    uint8_t error; /* errno of a connect or send that failed before it began */
    uint8_t state;
    uint8_t group;
    uint8_t in_flight; /* requests of which the completion has not come */
};

_Static_assert(sizeof(struct engine_socket) <= 96, "idle sockets come by the ten thousand");

/* Borrows loop and handlers. No system call, cannot fail, nothing to undo. */
void engine_socket_init(struct engine_socket *s, struct engine_loop *loop,
                        const struct engine_socket_handlers *handlers);

/* Takes an accepted fd (non-blocking, close-on-exec). On failure (STATUS_NO_MEMORY, STATUS_LIMIT)
 * the fd is closed and s is as after init. */
MUST_USE enum status engine_socket_adopt(struct engine_socket *s, int fd);

/* Opens a socket and connects it, from the given local address unless NULL (a port of 0: any).
 * Every outcome is reported by `connected`; there is no timeout but the kernel's: close it. */
void engine_socket_connect(struct engine_socket *s, const struct ip_endpoint *remote,
                           const struct ip_endpoint *local_or_null);

/* Arms one receive; none may be armed, and `ended` must not have come. When the group has no
 * buffer left the receive waits for one, first come first served; the caller does not notice. */
void engine_socket_receive(struct engine_socket *s, enum engine_buffers group);

/* The same, for no more than bytes_max (> 0): what is behind them stays in the socket. */
void engine_socket_receive_most(struct engine_socket *s, enum engine_buffers group,
                                size_t bytes_max);
bool engine_socket_is_receiving(const struct engine_socket *s);

/* Sends all parts, however often the kernel takes less. None may be in flight. The array is
 * copied; the bytes stay pinned until `sent` or `closed`. 1 <= count <= ENGINE_SEND_PARTS_MAX,
 * and at least one byte in all. */
void engine_socket_send(struct engine_socket *s, const struct iovec *parts, unsigned count);
bool engine_socket_is_sending(const struct engine_socket *s);

/* Kernel TLS. Gives the kernel the key of a direction, or the next one: key is the value of the
 * socket option TLS_TX or TLS_RX, key_bytes of it. Nothing may be in flight in that direction. 0 or
 * an errno; the socket then goes on as before. ENOTCONN: the peer has said its FIN already. */
int engine_socket_tls_key(struct engine_socket *s, enum engine_tls_direction direction,
                          const void *key, unsigned key_bytes);

/* Takes the record that `ended` with EIO was about, all of it when room is ENGINE_TLS_RECORD_BYTES.
 * The record's bytes, or a negated errno. */
#define ENGINE_TLS_RECORD_BYTES 16384
int engine_socket_tls_record(struct engine_socket *s, uint8_t *type_out, char *into, size_t room);

/* engine_socket_send() of one part as a TLS record of that type, on a socket with a key to send. */
void engine_socket_send_record(struct engine_socket *s, uint8_t type, struct iovec part);

/* May be called at any time after adopt or connect; calling it again changes nothing, except
 * that RESET after GRACEFUL hurries the close. */
void engine_socket_close(struct engine_socket *s, enum engine_close how);
bool engine_socket_is_closing(const struct engine_socket *s);

/* For socket options; never to read, write or close. -1 when there is none. */
int engine_socket_fd(const struct engine_socket *s);

bool engine_socket_local(const struct engine_socket *s, struct ip_endpoint *local_out);
struct engine_loop *engine_socket_loop(const struct engine_socket *s);
