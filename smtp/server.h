/* smtp/server.h - the server side of one SMTP session, without I/O, clock or randomness.
 *
 * Bytes go in, one event comes out; replies are appended to the caller's buffer. The caller acts
 * on each event before it feeds again, so the session never runs ahead of what was decided.
 *
 *     init -> greet or reject
 *     feed -> MORE       everything was consumed; wait for bytes
 *          -> REPLIED    a reply was appended; feed the rest
 *          -> ASK_*      decide on event.command, then smtp_server_answer()
 *          -> BODY       store event.body, feed the rest
 *          -> END        commit the message, then smtp_server_answer()
 *          -> STARTTLS   send the 220; bytes left in the input are an attack (RFC 3207 4.2:
 *                        nothing said before the handshake may count after it): end the session.
 *                        Else shake hands, then smtp_server_tls_started()
 *          -> XCLIENT    a proxy says who its client is, event.xclient: either refuse it with
 *                        smtp_server_answer(), or smtp_server_restart(), then greet or reject
 *                        the client anew
 *          -> CLOSE      send what was appended, end the connection; only finish may follow
 *
 * Replies are appended whole or not at all. When the buffer is full or memory is short the event
 * is CLOSE with SMTP_CLOSE_NO_MEMORY. `out` needs room for one reply per call, about 600 bytes
 * for our own texts; feed again only when the peer has taken most of what was written, which is
 * the back-pressure.
 *
 * Owns an unfinished line and the peer's name, nothing else. An idle session holds only the name.
 */
#pragma once
#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "smtp/xclient.h"

enum smtp_server_tls { SMTP_SERVER_TLS_OFF, SMTP_SERVER_TLS_PREFERRED, SMTP_SERVER_TLS_REQUIRED };

enum smtp_server_bare_newlines {
    SMTP_SERVER_BARE_NEWLINES_REFUSE, /* a lone CR or LF ends the session: 554 5.5.2 */
    SMTP_SERVER_BARE_NEWLINES_ACCEPT  /* in bodies they are content; they never end a line */
};

#define SMTP_SERVER_COMMAND_MS         (5 * 60 * 1000) /* RFC 5321 4.5.3.2.7 */
#define SMTP_SERVER_BODY_MS            (3 * 60 * 1000) /* RFC 5321 4.5.3.2.5 */
#define SMTP_SERVER_RECIPIENTS_MAX     1000            /* at least 100, RFC 5321 4.5.3.1.8 */
#define SMTP_SERVER_MESSAGES_MAX       1000
#define SMTP_SERVER_COMMANDS_MAX       100000
#define SMTP_SERVER_ERRORS_MAX         10
#define SMTP_SERVER_MESSAGE_BYTES      (20ull * 1024 * 1024)
#define SMTP_SERVER_RECEIVED_LINES_MAX 100 /* RFC 5321 6.3 */
#define SMTP_SERVER_OVERSIZE_FACTOR    2   /* a body above this many times the limit is cut off */

/* What the caller decided. All zero means accepted, with the usual words. */
struct smtp_answer {
    uint16_t code;        /* 0: accepted, else 400..599; 421 also closes */
    const char *enhanced; /* "4.7.1", or NULL */
    struct slice text;    /* may have several lines (\n); for END, when accepted, the words behind
                             "250 2.0.0 "; empty: the usual words */
};

#define SMTP_ANSWER_ACCEPTED ((struct smtp_answer){ .code = 0 })

/* Immutable while a session borrows it. Zero in a number means its default above. */
struct smtp_server_options {
    struct slice hostname;
    struct slice banner;      /* behind "220 hostname "; "ESMTP" when empty */
    struct slice banner_name; /* in place of the host name there, where has_banner_name; may be
                                 empty: none is said */
    uint16_t banner_code;     /* 0: 220 */
    bool has_banner_name;
    uint64_t message_bytes_max; /* advertised as SIZE */
    uint32_t recipients_max;    /* in a message */
    uint32_t messages_max;      /* accepted on a connection; then MAIL is refused */
    uint32_t commands_max;      /* on a connection; then 421 */
    uint32_t errors_max;        /* below 65535: commands wrong in syntax or order; then 421 */
    uint32_t command_ms_max;
    uint32_t body_ms_max;
    enum smtp_server_tls tls;
    enum smtp_server_bare_newlines bare_newlines;
    /* What is said when a limit is reached; code 0: the usual words. 421 ends the session. */
    struct smtp_answer messages_reply;
    struct smtp_answer recipients_reply;
    struct smtp_answer size_reply;
    struct smtp_answer bad_sender_reply; /* to MAIL whose address is none; code 0: 501 5.1.7 */
    bool xclient;    /* the peer is a proxy that is believed: XCLIENT is offered and served. Without
                        it the command is unknown. */
    bool offers_dsn; /* RFC 3461: command.ret, .envid, .notify and .orcpt may be given */
    bool offers_require_tls; /* RFC 8689: command.require_tls may be; offered under TLS only */
};

enum smtp_server_event_kind {
    SMTP_SERVER_MORE,
    SMTP_SERVER_REPLIED,
    SMTP_SERVER_ASK_MAIL,
    SMTP_SERVER_ASK_RCPT,
    SMTP_SERVER_ASK_DATA,
    SMTP_SERVER_BODY,
    SMTP_SERVER_END,
    SMTP_SERVER_STARTTLS,
    SMTP_SERVER_XCLIENT,
    SMTP_SERVER_CLOSE
};

enum smtp_close_reason {
    SMTP_CLOSE_NONE,
    SMTP_CLOSE_QUIT,
    SMTP_CLOSE_ANSWER,   /* the caller answered 421, or rejected with it */
    SMTP_CLOSE_ERRORS,   /* errors_max */
    SMTP_CLOSE_COMMANDS, /* commands_max */
    SMTP_CLOSE_MESSAGES, /* messages_max */
    SMTP_CLOSE_BARE_NEWLINE,
    SMTP_CLOSE_ENDLESS_LINE,
    SMTP_CLOSE_OVERSIZE, /* the body went on beyond SMTP_SERVER_OVERSIZE_FACTOR */
    SMTP_CLOSE_TIMEOUT,
    SMTP_CLOSE_SHUTDOWN,
    SMTP_CLOSE_NO_MEMORY
};

struct smtp_server_event {
    enum smtp_server_event_kind kind;
    enum smtp_close_reason reason; /* of CLOSE */
    uint16_t code;                 /* of the reply that was appended; 0 when there was none */
    bool is_bad_sender;            /* MAIL was refused because its address is none */
    bool transaction_dropped;      /* there was a transaction, and it ended without acceptance */
    enum smtp_verb verb;           /* the command that was read; UNKNOWN when there was none */
    union {
        struct smtp_command command; /* ASK_MAIL, ASK_RCPT, ASK_DATA. For REPLIED, what
                                        is_bad_sender speaks of. Its texts may lie in the input:
                                        whoever answers later keeps a copy (smtp/address.h). */
        struct smtp_xclient xclient; /* XCLIENT; until the next call */
        struct slice body;           /* BODY: borrows from input or constant memory */
        struct smtp_body end;        /* END: size, 8-bit, longest line... */
    };
};

enum smtp_server_state {
    SMTP_SERVER_STATE_NEW,      /* nothing said yet, or TLS has just started */
    SMTP_SERVER_STATE_READY,    /* greeted, no transaction */
    SMTP_SERVER_STATE_MAIL,     /* sender accepted */
    SMTP_SERVER_STATE_RCPT,     /* one or more recipients accepted */
    SMTP_SERVER_STATE_BODY,     /* after 354 */
    SMTP_SERVER_STATE_SWALLOW,  /* after 354, and the message is refused at its end */
    SMTP_SERVER_STATE_ASK_MAIL, /* these five wait for smtp_server_answer() */
    SMTP_SERVER_STATE_ASK_RCPT,
    SMTP_SERVER_STATE_ASK_DATA,
    SMTP_SERVER_STATE_ASK_END,
    SMTP_SERVER_STATE_ASK_XCLIENT,
    SMTP_SERVER_STATE_TLS,      /* after the 220 of STARTTLS */
    SMTP_SERVER_STATE_REJECTED, /* 554 at the start: only QUIT is served, RFC 5321 3.1 */
    SMTP_SERVER_STATE_CLOSED,
    SMTP_SERVER_STATES_COUNT
};

/* What the session keeps of an XCLIENT that waits for its answer. */
struct smtp_server_xclient { /* Fields are private. */
    struct buffer memory;    /* its decoded texts */
    char *helo;              /* as that of the session */
    uint8_t before;          /* the state to which a refusal leads */
};

struct smtp_server { /* Fields are private; it is open so that a connection can embed it. */
    const struct smtp_server_options *options;
    union {
        struct smtp_line line;              /* while commands are read */
        struct smtp_body body;              /* in BODY, SWALLOW and ASK_END */
        struct smtp_server_xclient xclient; /* in ASK_XCLIENT */
    };
    uint32_t messages_count;
    uint32_t commands_count;
    uint32_t recipients_count;
    uint16_t errors_count;
    uint8_t state; /* enum smtp_server_state */
    bool esmtp : 1;
    bool tls : 1;
    bool tls_unavailable : 1;
    bool smtputf8 : 1;     /* of the transaction */
    bool mail_refused : 1; /* the last MAIL; what was pipelined behind it is no mistake */
    char *helo;            /* from the thread's pool, NUL at its end; NULL: none was given */
};

/* Borrows options until finish. */
void smtp_server_init(struct smtp_server *s, const struct smtp_server_options *options);
void smtp_server_finish(struct smtp_server *s); /* accepts a finished one */

/* Appends the 220. REPLIED, or CLOSE when there is no memory. */
struct smtp_server_event smtp_server_greet(struct smtp_server *s, struct buffer *out);

/* In place of greet: code is 421 (CLOSE at once) or 554 (REPLIED; then QUIT is served and all
 * else is answered 503; the caller may as well close at once). Text may have several lines. */
struct smtp_server_event smtp_server_reject(struct smtp_server *s, unsigned code, struct slice text,
                                            struct buffer *out);

/* Consumes at most one command or one run of body. Not to be called while an answer is awaited,
 * between STARTTLS and tls_started, or after CLOSE. */
struct smtp_server_event smtp_server_feed(struct smtp_server *s, struct slice input,
                                          size_t *used_out, struct buffer *out);

/* Answers ASK_* or END, or refuses XCLIENT. REPLIED or CLOSE. A refused DATA or END drops the
 * transaction. */
struct smtp_server_event smtp_server_answer(struct smtp_server *s, const struct smtp_answer *answer,
                                            struct buffer *out);

/* The handshake after STARTTLS is done: everything said before is forgotten (RFC 3207 4.2). */
void smtp_server_tls_started(struct smtp_server *s);

/* In place of an answer to XCLIENT: the session begins anew as that of the proxy's client, with
 * what the policy has for it, and waits for smtp_server_greet() or smtp_server_reject() as after
 * init. Forgotten are the greeting (but a HELO that was given is kept until the client says its
 * own), accepted messages and errors; TLS goes on, as does the count of commands, which bounds the
 * connection. What the proxy has sent behind XCLIENT counts. The attributes of several commands add
 * up, which is the caller's to do; for that `options` has to allow XCLIENT again. Borrows options
 * until finish, those of before no longer. */
void smtp_server_restart(struct smtp_server *s, const struct smtp_server_options *options);

/* While unavailable, STARTTLS is answered 454 4.7.0 (RFC 3207 section 4), not 220. May be changed
 * at any time; it counts when the command is read. */
void smtp_server_tls_set_unavailable(struct smtp_server *s, bool unavailable);

/* How long the peer may now be silent; 0 while it is our turn (an answer or a handshake). */
uint32_t smtp_server_timeout_ms(const struct smtp_server *s);

/* That time is over: CLOSE with 421 4.4.2. May be called whenever feed may. */
struct smtp_server_event smtp_server_expire(struct smtp_server *s, struct buffer *out);

/* The server wants to stop: CLOSE with 421 4.3.2 when there is no transaction (RFC 5321 3.8);
 * else MORE: not yet, ask again after the next reply. */
struct smtp_server_event smtp_server_shutdown(struct smtp_server *s, struct buffer *out);

struct slice smtp_server_helo(const struct smtp_server *s); /* empty before EHLO or HELO, and the
                                                              one of XCLIENT until then */
bool smtp_server_is_esmtp(const struct smtp_server *s);
bool smtp_server_is_tls(const struct smtp_server *s);
bool smtp_server_in_transaction(const struct smtp_server *s);
bool smtp_server_is_smtputf8(const struct smtp_server *s);          /* of the transaction */
uint32_t smtp_server_messages_count(const struct smtp_server *s);   /* accepted so far */
uint32_t smtp_server_recipients_count(const struct smtp_server *s); /* in this transaction */

/* "quit", "too many errors"..., for logs; never NULL. */
const char *smtp_close_reason_text(enum smtp_close_reason reason);
