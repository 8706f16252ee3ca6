/* smtp/client.h - the client side of one SMTP session, without I/O, clock or randomness.
 *
 *     init
 *     feed -> MORE         everything was consumed; send what is in `out`, wait for bytes
 *          -> READY        greeted: starttls(), send(), verify() or quit() may be called
 *          -> TLS_GO       220 seen. Bytes left in the input are an attack (RFC 3207 section 6):
 *                          end the session. Else shake hands, then tls_started()
 *          -> TLS_REFUSED  event.reply; the session is ready as it was
 *          -> RECIPIENT    event.recipient was accepted or refused: event.reply
 *          -> BODY_WANTED  354: send the body (dot-stuffed, ending in CRLF) by a way of one's own,
 *                          then body_sent(). With event.by_bdat: not dot-stuffed, exactly
 *                          message_bytes of it. Feed meanwhile, a server may give up
 *          -> DONE         the message is dealt with, or the question: event.stage, event.reply,
 *                          for the first event.recipients_sent of the recipients. The others the
 *                          server did not want in this transaction: send them in the next. The
 *                          session is ready for it
 *          -> BYE          QUIT was answered
 *          -> FAILED       event.failure: of no use any more, close; a message that was in flight
 *                          was not accepted, unless event.in_doubt
 *
 * Feed until MORE comes, also when all input was used: one reply may bring two events.
 *
 * DATA or BDAT (RFC 3030): a message that may_chunk goes by BDAT to a server that offers CHUNKING,
 * and all else by DATA. It is all in one chunk, which follows the replies to RCPT, not RCPT itself:
 * a round trip less than DATA takes, and no body is sent for nobody (RFC 3030 section 4.2). What
 * the caller has to put in or take off a body that is kept in the other form: smtp/stuffing.h.
 *
 * Whatever a server says out of turn or out of shape is FAILED, never an assertion. READY comes
 * once for each EHLO; after DONE and TLS_REFUSED it is not repeated.
 */
#pragma once
#include "smtp/client_capabilities.h"
#include "smtp/dsn.h"
#include "smtp/reply_parser.h"

/* RFC 5321 4.5.3.2: what a client should wait at least. */
#define SMTP_CLIENT_GREETING_MS   (5 * 60 * 1000)
#define SMTP_CLIENT_COMMAND_MS    (5 * 60 * 1000)
#define SMTP_CLIENT_DATA_MS       (2 * 60 * 1000)
#define SMTP_CLIENT_BODY_MS       (3 * 60 * 1000)
#define SMTP_CLIENT_FINAL_MS      (10 * 60 * 1000)
#define SMTP_CLIENT_QUIT_MS       (10 * 1000)
#define SMTP_CLIENT_PIPELINED_MAX 100 /* commands sent ahead of their replies, RFC 2920 */

/* Immutable while a session borrows it. Zero in a time means its default above. */
struct smtp_client_options {
    struct slice hostname; /* for EHLO */
    uint32_t greeting_ms_max;
    uint32_t command_ms_max; /* EHLO, STARTTLS, MAIL, RCPT, RSET */
    uint32_t data_ms_max;    /* until 354 */
    uint32_t body_ms_max;    /* between two pieces of the body that the peer takes */
    uint32_t final_ms_max;   /* after the final dot */
    uint32_t quit_ms_max;
};

struct smtp_client_recipient {
    struct slice address; /* without brackets */
    struct slice orcpt;   /* of RFC 3461, as coded; empty: none */
    unsigned notify;      /* of enum smtp_notify; 0: nothing was said */
};

/* RET, ENVID, NOTIFY and ORCPT go to servers that offer DSN; the others do not hear of them. */
struct smtp_client_envelope {
    struct slice sender;                            /* without brackets; empty: <> */
    const struct smtp_client_recipient *recipients; /* best in the order of their domains */
    size_t recipients_count;                        /* 1.. */
    uint64_t message_bytes; /* without what stuffing adds: for SIZE=, and for BDAT */
    struct slice envid;     /* as coded; empty: none */
    enum smtp_ret ret;
    bool has_8bit;        /* bytes above 127 are in it: what was declared is of less interest */
    bool eight_bit_as_is; /* then it is sent as it is to servers without 8BITMIME, too, instead of
                             being refused as RFC 6152 section 3 demands */
    bool smtputf8;        /* an address, or the header, needs RFC 6531 */
    bool may_chunk;       /* by BDAT, where it is offered: message_bytes is exact */
    bool require_tls;     /* RFC 8689: never to a server that does not offer REQUIRETLS */
};

enum smtp_client_event_kind {
    SMTP_CLIENT_MORE,
    SMTP_CLIENT_READY,
    SMTP_CLIENT_TLS_GO,
    SMTP_CLIENT_TLS_REFUSED,
    SMTP_CLIENT_RECIPIENT,
    SMTP_CLIENT_BODY_WANTED,
    SMTP_CLIENT_DONE,
    SMTP_CLIENT_BYE,
    SMTP_CLIENT_FAILED
};

/* Which part of a message a result belongs to. */
enum smtp_client_stage {
    SMTP_CLIENT_STAGE_NONE,  /* no message in flight */
    SMTP_CLIENT_STAGE_LOCAL, /* not sent: the server lacks what it needs; reply is ours, and
                                holds for all recipients */
    SMTP_CLIENT_STAGE_MAIL,  /* the sender was refused. After verify() without a recipient: the
                                reply to the sender, whatever it is */
    SMTP_CLIENT_STAGE_RCPT,  /* no recipient was accepted; reply is the first refusal. After
                                verify(): the reply to the recipient, whatever it is */
    SMTP_CLIENT_STAGE_DATA,  /* DATA was refused */
    SMTP_CLIENT_STAGE_BODY,  /* FAILED only: before the final dot */
    SMTP_CLIENT_STAGE_FINAL  /* the reply to the message: 2xx means that it was accepted */
};

enum smtp_client_failure {
    SMTP_CLIENT_FAILURE_NONE,
    SMTP_CLIENT_FAILURE_BAD_REPLY, /* not SMTP, or not in its turn */
    SMTP_CLIENT_FAILURE_GREETING,  /* event.reply: a refusal in place of 220 */
    SMTP_CLIENT_FAILURE_EHLO,      /* event.reply: neither EHLO nor HELO was taken */
    SMTP_CLIENT_FAILURE_CLOSING,   /* event.reply: 421 */
    SMTP_CLIENT_FAILURE_EARLY,     /* event.reply: a refusal while the body was still being sent */
    SMTP_CLIENT_FAILURE_ENDED,     /* the peer closed the connection */
    SMTP_CLIENT_FAILURE_TIMEOUT,
    SMTP_CLIENT_FAILURE_NO_MEMORY
};

struct smtp_client_event {
    enum smtp_client_event_kind kind;
    enum smtp_client_stage stage;     /* DONE, FAILED */
    enum smtp_client_failure failure; /* FAILED */
    bool in_doubt;           /* FAILED: the last of the message was sent, or by BDAT may have been,
                                and not answered: nobody knows */
    bool by_bdat;            /* BODY_WANTED */
    size_t recipient;        /* RECIPIENT: its index */
    size_t recipients_sent;  /* DONE: those from the first on that it holds for */
    struct smtp_reply reply; /* code 0 when there is none; valid until the next call */
};

enum smtp_client_state {
    SMTP_CLIENT_STATE_GREETING,
    SMTP_CLIENT_STATE_EHLO,
    SMTP_CLIENT_STATE_HELO,
    SMTP_CLIENT_STATE_READY,
    SMTP_CLIENT_STATE_STARTTLS,
    SMTP_CLIENT_STATE_TLS,      /* between TLS_GO and tls_started() */
    SMTP_CLIENT_STATE_ENVELOPE, /* RSET, MAIL, RCPT, DATA, by their numbers */
    SMTP_CLIENT_STATE_BODY,     /* between BODY_WANTED and body_sent() */
    SMTP_CLIENT_STATE_FINAL,
    SMTP_CLIENT_STATE_DISCARD, /* a lone dot was sent for a message without recipients */
    SMTP_CLIENT_STATE_QUIT,
    SMTP_CLIENT_STATE_ENDED, /* BYE or FAILED was returned */
    SMTP_CLIENT_STATES_COUNT
};

struct smtp_client { /* Fields are private; it is open so that a connection can embed it. */
    const struct smtp_client_options *options;
    const struct smtp_client_envelope *envelope; /* borrowed while a message is in flight */
    struct smtp_reply_parser parser;
    struct smtp_client_capabilities capabilities;
    size_t commands_sent;     /* of the envelope: see client_transaction.c */
    size_t commands_answered; /* the same, by replies */
    size_t recipients_sent;   /* how many of the envelope's are in this transaction */
    size_t recipients_accepted;
    uint32_t transactions_count; /* messages and questions */
    struct buffer verdict_text;  /* the refusal that DONE will report */
    struct smtp_reply verdict;   /* its text is in verdict_text */
    enum smtp_client_stage verdict_stage;
    uint8_t state; /* enum smtp_client_state */
    bool needs_rset : 1;
    bool has_rset : 1;      /* the envelope in flight begins with RSET */
    bool is_question : 1;   /* the envelope in flight ends before DATA */
    bool is_first_line : 1; /* of the reply to EHLO */
    bool is_tls : 1;
    bool is_by_bdat : 1;         /* the envelope in flight */
    bool is_line_masked : 1;     /* see smtp_client_line_is_masked() */
    bool is_greeting_masked : 1; /* the same */
};

/* Borrows options until finish. The first reply that is expected is the greeting. */
void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options);
void smtp_client_finish(struct smtp_client *c); /* accepts a finished one */

/* Takes bytes up to one event; commands are appended to out. Not to be called between TLS_GO and
 * tls_started(), or after BYE or FAILED. */
struct smtp_client_event smtp_client_feed(struct smtp_client *c, struct slice input,
                                          size_t *used_out, struct buffer *out);

/* What EHLO told; valid from READY on. */
const struct smtp_client_capabilities *smtp_client_capabilities(const struct smtp_client *c);
bool smtp_client_is_ready(const struct smtp_client *c);

/* Whether the greeting has come. */
bool smtp_client_is_greeted(const struct smtp_client *c);

/* How many more messages or questions the server takes on this connection (RFC 9422, MAILMAX): at
 * 0 the client quits and opens another. UINT32_MAX when it has not said. */
uint32_t smtp_client_transactions_left(const struct smtp_client *c);

/* In the ready state, when offered. MORE, or FAILED when there is no memory. */
struct smtp_client_event smtp_client_starttls(struct smtp_client *c, struct buffer *out);

/* After the handshake: forgets the capabilities and says EHLO anew; READY follows. */
struct smtp_client_event smtp_client_tls_started(struct smtp_client *c, struct buffer *out);

/* In the ready state. Borrows the envelope, its slices included, until DONE or FAILED. MORE; DONE
 * at stage LOCAL when this server cannot take the message; FAILED when there is no memory. Needs
 * room in out for SMTP_CLIENT_PIPELINED_MAX commands (about 128 KiB at worst). */
struct smtp_client_event smtp_client_send(struct smtp_client *c,
                                          const struct smtp_client_envelope *envelope,
                                          struct buffer *out);

/* The same, but only asks whether the envelope's one recipient would be accepted: no message is
 * sent, and no RECIPIENT comes. DONE at stage RCPT has the reply to it, 2xx included; at MAIL and
 * LOCAL the question was not answered. The next envelope begins with RSET.
 *
 * Without a recipient the question is about the sender: DONE at stage MAIL has the reply to it,
 * 2xx included, and the transaction that it opened is over. */
struct smtp_client_event smtp_client_verify(struct smtp_client *c,
                                            const struct smtp_client_envelope *envelope,
                                            struct buffer *out);

/* After BODY_WANTED, when all of the body is sent or queued: appends the final ".\r\n", by BDAT
 * nothing. MORE; by BDAT also DONE, when the server has been quicker to answer. */
struct smtp_client_event smtp_client_body_sent(struct smtp_client *c, struct buffer *out);

/* In the ready state: says QUIT; BYE follows. */
struct smtp_client_event smtp_client_quit(struct smtp_client *c, struct buffer *out);

/* The peer closed: BYE after QUIT, else FAILED. */
struct smtp_client_event smtp_client_ended(struct smtp_client *c);

/* How long to wait for the peer now; 0 when nothing is expected of it (ready, handshake). */
uint32_t smtp_client_timeout_ms(const struct smtp_client *c);

/* That time is over: BYE after QUIT, else FAILED. */
struct smtp_client_event smtp_client_expire(struct smtp_client *c);

const char *smtp_client_failure_text(enum smtp_client_failure failure); /* never NULL */
