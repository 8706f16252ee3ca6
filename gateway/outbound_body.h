/* gateway/outbound_body.h - the body of the message under way, on its way out.
 *
 *     start -> LEAVING; then, until it is not LEAVING:
 *         go_on    what was given to the channel has left
 *         piece    the file (gateway/body_source.h) has the next one
 *
 * In which form it leaves depends on how it is kept and how it is wanted. DATA wants it
 * dot-stuffed, BDAT does not (RFC 3030 section 2); a body without a dot to add or to take off is
 * the same in both. What leaves as it is kept is not copied, unless it is small; what does not is
 * copied in pieces, so that a connection holds one piece however large the body is.
 *
 * By BDAT exactly envelope.message_bytes are sent, or less and FAILED: never a byte more, which the
 * host would take for a command.
 */
#pragma once
#include "base/buffer.h"
#include "base/slice.h"
#include "smtp/stuffing.h"

#define GATEWAY_OUTBOUND_COPY_MAX  32768  /* a body up to this is copied behind its command */
#define GATEWAY_OUTBOUND_PIECE_MAX 131072 /* of a body that is reshaped, before it is */

struct gateway_outbound;
struct smtp_client_event;

enum gateway_body_form {
    GATEWAY_BODY_AS_KEPT,
    GATEWAY_BODY_STUFFED,  /* dots are put in */
    GATEWAY_BODY_UNSTUFFED /* dots are taken off */
};

enum gateway_body_step {
    GATEWAY_BODY_LEAVING,
    GATEWAY_BODY_COMPLETE, /* all of it has left, or is in the channel's output */
    GATEWAY_BODY_FAILED    /* no memory, or it is not what its record says, which was logged */
};

struct gateway_outbound_body { /* Fields are private. */
    struct smtp_stuffing stuffing;
    struct buffer reshaped;  /* the piece that the channel has */
    size_t taken_bytes;      /* of a body in memory that is reshaped */
    uint64_t promised_bytes; /* by BDAT: still to be sent */
    enum gateway_body_form form;
    bool by_bdat;
};

void gateway_outbound_body_init(struct gateway_outbound_body *body);

/* No piece may be in the channel. */
void gateway_outbound_body_finish(struct gateway_outbound_body *body);

/* Whether the message of the envelope may go by BDAT, as the machine's may_chunk. */
bool gateway_outbound_body_may_chunk(const struct gateway_outbound *out);

/* Behind BODY_WANTED. */
enum gateway_body_step gateway_outbound_body_start(struct gateway_outbound *out, bool by_bdat);
enum gateway_body_step gateway_outbound_body_go_on(struct gateway_outbound *out);

/* Empty: there is no more. */
enum gateway_body_step gateway_outbound_body_piece(struct gateway_outbound *out,
                                                   struct slice piece);

/* It leaves from where it lies, in one piece. */
bool gateway_outbound_body_is_one_piece(const struct gateway_outbound *out);

/* Whether the answer to BDAT is about the command (RFC 5321 4.2.1: x0z is syntax), or none was had
 * that makes sense. Some hosts, or what stands in front of them, offer CHUNKING and cannot do it.
 */
bool gateway_outbound_body_is_unanswered(const struct gateway_outbound *out,
                                         const struct smtp_client_event *event);

/* The next messages to this host go by DATA. */
void gateway_outbound_body_give_up_bdat(struct gateway_outbound *out);
