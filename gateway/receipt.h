/* gateway/receipt.h - one message being received, from MAIL to its commit.
 *
 *     create -> add_recipient... -> trace -> body... -> commit -> gateway_inbound_committed()
 *                                                 \ destroy at any time before commit
 *
 * Gathers the message in the form of its spool record. A body that outgrows
 * SPOOL_BODY_INLINE_MAX, or GATEWAY_RECEIPT_SMALL_BYTES while memory is short
 * (gateway_shelf_is_high()), goes on into a file of its own, which is begun with large chunks or
 * with small ones and stays so; while that file is behind,
 * gateway_receipt_is_full() says so, the session stops reading, and gateway_inbound_room() tells
 * it when to go on. What goes wrong on the way is kept and is the result of the commit, because
 * SMTP has no reply in the middle of a body.
 */
#pragma once
#include "base/buffer.h"
#include "gateway/body.h"
#include "smtp/body.h"
#include "spool/draft.h"
#include "spool/log.h"

/* Reserved in the spool: at MAIL, for the envelope; at DATA, when the size is not known. */
#define GATEWAY_RECEIPT_MAIL_BYTES    ((size_t)8 << 10)
#define GATEWAY_RECEIPT_RESERVE_BYTES ((size_t)64 << 10)
#define GATEWAY_RECEIPT_SMALL_BYTES   ((size_t)64 << 10)
#define GATEWAY_RECEIPT_WAITING_MAX   ((size_t)256 << 10) /* all that a session has kept */

struct gateway_inbound;
struct gateway_worker;

struct gateway_receipt { /* Fields are private. */
    struct gateway_worker *worker;
    struct gateway_inbound *session;
    struct spool_draft draft;
    struct spool_reservation reservation;
    uint64_t bytes_hint;
    struct gateway_body *body;
    size_t charged_bytes;     /* of the process's message_bytes */
    uint64_t allocated_bytes; /* what SIZE= had its file allocate; 0: nothing */
    uint64_t file_bytes;      /* of the process's body_bytes */
    size_t moved_bytes;       /* of the body in memory, that the file has taken */
    struct buffer waiting;    /* bytes behind these, that the file has not taken */
    enum status failure;
    bool is_ended;
    bool is_file_complete;
};

/* STATUS_NO_SPACE: the spool has no prepared room; STATUS_LIMIT, STATUS_NO_MEMORY. bytes_hint is
 * the SIZE= of MAIL, or 0. */
MUST_USE enum status gateway_receipt_create(struct gateway_worker *worker,
                                            struct gateway_inbound *session,
                                            const struct spool_envelope *envelope,
                                            uint64_t bytes_hint,
                                            struct gateway_receipt **receipt_out);

/* Drops the message; nothing of it stays. Accepts NULL. */
void gateway_receipt_destroy(struct gateway_receipt *r);

MUST_USE enum status gateway_receipt_add_recipient(struct gateway_receipt *r, struct slice address,
                                                   const struct spool_dsn *dsn);
unsigned gateway_receipt_recipients_count(const struct gateway_receipt *r);

/* Until something is added. The sender is empty for <>, the recipient when there is none. */
struct slice gateway_receipt_sender(const struct gateway_receipt *r);
struct slice gateway_receipt_first_recipient(const struct gateway_receipt *r);
uint64_t gateway_receipt_mid(const struct gateway_receipt *r);

/* Sees to the space for the body, then adds our header lines. */
MUST_USE enum status gateway_receipt_trace(struct gateway_receipt *r, struct slice lines);
void gateway_receipt_body(struct gateway_receipt *r, struct slice bytes);
bool gateway_receipt_is_full(const struct gateway_receipt *r);

/* While memory is short: moves a body of more than GATEWAY_RECEIPT_SMALL_BYTES into a file, though
 * nothing more of it has come; what comes, or its end, need not wait for that. False: there is
 * nothing to move. */
bool gateway_receipt_spill(struct gateway_receipt *r);

/* The body is complete, and `facts` were found in it. Takes the receipt; the answer is
 * gateway_inbound_committed(), which may come from inside this call only when the message failed.
 */
void gateway_receipt_commit(struct gateway_receipt *r, const struct smtp_body *facts);

/* The session has ended while its commit is on its way. */
void gateway_receipt_forget_session(struct gateway_receipt *r);

/* For gateway/body.c: a step of the body file has ended. */
void gateway_receipt_body_moved(struct gateway_receipt *r);
