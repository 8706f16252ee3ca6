/* spool/message.h - a message: envelope, Received header and body in one allocation.
 *
 * The allocation holds the payload of the message's MESSAGE record exactly as it goes to disk,
 * so that committing is one copy and delivery sends from it. The body is kept as it was
 * received: CRLF lines, dot-stuffed unless SPOOL_MESSAGE_NOT_STUFFED is set, without the final
 * ".\r\n". A body above SPOOL_BODY_INLINE_MAX, or a smaller one that came while memory was short,
 * lies in a file of its own (spool/body_file.h) and the message only carries its length and
 * checksum.
 *
 * A message is immutable. It is made by a draft (spool/draft.h) or read back from a record, and
 * destroyed by its one owner. Slices borrow from it. Pure: no I/O, no clock.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"
#include "spool/record.h"

#define SPOOL_BODY_INLINE_MAX  (1u << 20)
#define SPOOL_BODY_BYTES_MAX   (UINT64_C(1) << 40)
#define SPOOL_ADDRESS_MAX      1024        /* sender or recipient, without angle brackets */
#define SPOOL_INFO_MAX         1024        /* one client info string */
#define SPOOL_ORCPT_MAX        512         /* an original recipient, with its type */
#define SPOOL_TRACE_MAX        (64u << 10) /* the header lines we add in front of the body */
#define SPOOL_RECIPIENTS_BYTES (4u << 20)  /* all recipients of a message together */

enum spool_message_flag {
    SPOOL_MESSAGE_8BITMIME = 1 << 0,    /* BODY=8BITMIME, RFC 6152 */
    SPOOL_MESSAGE_SMTPUTF8 = 1 << 1,    /* RFC 6531 */
    SPOOL_MESSAGE_NOT_STUFFED = 1 << 2, /* came by BDAT, or was made here: no dot-stuffing */
    SPOOL_MESSAGE_BODY_FILE = 1 << 3,   /* set by the draft only */
    SPOOL_MESSAGE_BOUNCE = 1 << 4,      /* a delivery status notification made here */
    SPOOL_MESSAGE_RELAYED = 1 << 5,     /* accepted by a policy that relays */
    SPOOL_MESSAGE_RET_FULL = 1 << 6,    /* RET=FULL, RFC 3461 4.3; never with the next */
    SPOOL_MESSAGE_RET_HDRS = 1 << 7,    /* RET=HDRS */
    SPOOL_MESSAGE_REQUIRE_TLS = 1 << 8, /* REQUIRETLS, RFC 8689 */
    SPOOL_MESSAGE_DOUBLE = 1 << 9,      /* a bounce that tells of a bounce, or of other mail from
                                           the null sender: of itself nobody is told */

    /* It says TLS-Required: No (RFC 8689 3): it is to arrive although TLS fails, or what a domain
     * publishes about TLS (DANE, MTA-STS) is not met. Never of mail with REQUIRETLS (4.1). */
    SPOOL_MESSAGE_TLS_OPTIONAL = 1 << 10,

    /* What the message holds, whatever was declared. Set by the draft only; without the first of
     * them nobody has looked. */
    SPOOL_MESSAGE_CONTENT_KNOWN = 1 << 11,
    SPOOL_MESSAGE_HAS_8BIT = 1 << 12,        /* bytes above 127, anywhere in the body */
    SPOOL_MESSAGE_HAS_8BIT_HEADER = 1 << 13, /* in the header section that the body begins with */
};
#define SPOOL_MESSAGE_FLAGS_ALL 0x3fffu

/* What was found in a body at its end. */
struct spool_content {
    bool has_8bit;
    bool has_8bit_header;
    uint64_t dots_count; /* dots that stuffing added; 0 where it is not dot-stuffed */
};

/* Small texts about where the message came from; each may be empty. */
enum spool_info {
    SPOOL_INFO_LISTENER,
    SPOOL_INFO_CLIENT_IP,
    SPOOL_INFO_CLIENT_NAME, /* verified name of the client's address */
    SPOOL_INFO_HELO,
    SPOOL_INFO_GROUP,       /* sender group */
    SPOOL_INFO_TLS,         /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    SPOOL_INFO_ENVELOPE_ID, /* ENVID of RFC 3461, as coded */
    SPOOL_INFO_TEXT,        /* free for the gateway */
    SPOOL_INFO_COUNT
};

/* What the sender said of notifications about one recipient. */
struct spool_dsn {
    unsigned notify;    /* NOTIFY: bits 0..3 are NEVER, SUCCESS, FAILURE, DELAY; 0: not given. Kept
                           as it is: what a record holds may be any set of them */
    struct slice orcpt; /* ORCPT, as coded; empty: not given */
};
#define SPOOL_DSN_NOTIFY_ALL 0xfu

struct spool_message; /* opaque */

/* Accepts NULL. */
void spool_message_destroy(struct spool_message *m);

uint64_t spool_message_mid(const struct spool_message *m);
uint64_t spool_message_icid(const struct spool_message *m);
int64_t spool_message_arrival_wall_s(const struct spool_message *m);
unsigned spool_message_flags(const struct spool_message *m);      /* of enum spool_message_flag */
struct slice spool_message_sender(const struct spool_message *m); /* empty: the null sender */
struct slice spool_message_info(const struct spool_message *m, enum spool_info which);
unsigned spool_message_recipients_count(const struct spool_message *m);

/* rid < recipients_count. Takes the same time for every rid. */
struct slice spool_message_recipient(const struct spool_message *m, unsigned rid);
struct spool_dsn spool_message_dsn(const struct spool_message *m, unsigned rid);

struct slice spool_message_trace(const struct spool_message *m);

/* The body in memory; empty when it lies in a file. */
struct slice spool_message_body(const struct spool_message *m);
bool spool_message_body_in_file(const struct spool_message *m);
uint64_t spool_message_body_bytes(const struct spool_message *m); /* wherever it lies */
uint32_t spool_message_body_crc(const struct spool_message *m);   /* in_file only */

/* Dots that stuffing added to the body; 0 also where its content is not known. */
uint64_t spool_message_dots_count(const struct spool_message *m);

/* Trace and body together, as they are kept. */
uint64_t spool_message_size(const struct spool_message *m);

/* Memory held by the message, for budgets; by the one that decode would make of a view. */
size_t spool_message_memory_bytes(const struct spool_message *m);

/* The payload of its MESSAGE record. */
struct slice spool_message_payload(const struct spool_message *m);

/* Bytes the MESSAGE record takes in a segment. */
size_t spool_message_record_bytes(const struct spool_message *m);

/* Makes a message from the payload of a record, with every bound checked; copies the payload.
 * STATUS_CORRUPT when it is not one, STATUS_NO_MEMORY. */
MUST_USE enum status spool_message_decode(uint64_t mid, struct slice payload,
                                          struct spool_message **message_out);

/* The same from the bytes of its record, wherever they were read: STATUS_CORRUPT also when they are
 * another record, or not of the segment with this generation. */
MUST_USE enum status spool_message_from_record(uint64_t mid, uint64_t generation,
                                               struct slice bytes,
                                               struct spool_message **message_out);

/* For one who looks at many payloads and keeps few: a message that is none yet (NULL: no memory),
 * and that shows with each call the message decode would make. It borrows the payload, until the
 * next call. On failure it shows nothing. Destroyed like any other. */
struct spool_message *spool_message_view_create(void);
MUST_USE enum status spool_message_view(struct spool_message *view, uint64_t mid,
                                        struct slice payload);

/* For bytes that nobody vouches for and that may go on behind it: the MID and the length of the
 * payload that begins there, which decode would accept; STATUS_CORRUPT when none does. */
MUST_USE enum status spool_message_measure(struct slice bytes, uint64_t *mid_out,
                                           size_t *bytes_out);
