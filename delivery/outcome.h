/* delivery/outcome.h - what a reply of the next hop means for the mail.
 *
 * A reply (or its absence) at a stage of the outbound session becomes: delivered, deferred or
 * failed; for whom; and the reason in the words of an AsyncOS mail log, for example
 * "5.1.1 - Bad destination email address". Pure.
 *
 * What a host says before it has seen the message (connect, greeting, EHLO, STARTTLS) never
 * fails the mail: it speaks of the host, and another host or a later time may do better
 * (RFC 5321 4.5.4.1, 5.1). So may a 4xx to MAIL that speaks of the host's system, its network or
 * its policy (4.3.x, 4.4.x, 4.7.x, and 451 or 452 without such a code): nothing but the sender is
 * known by then, and the next host is tried at once. What is said of a recipient, and a 4xx to DATA
 * or the final dot, is about this mail: the hosts of a domain mostly judge that alike, and each
 * would have to be sent all of it. A connection that is lost after the final dot leaves it unknown
 * whether the mail was taken; it is deferred, because twice is better than never (RFC 1047).
 */
#pragma once
#include "base/slice.h"

#define DELIVERY_STATUS_TEXT_MAX 12 /* "5.999.999" and NUL */
#define DELIVERY_REASON_TEXT_MAX 96 /* NUL included */

enum delivery_stage {
    DELIVERY_STAGE_CONNECT,  /* no reply belongs to it: refused, timed out, no route */
    DELIVERY_STAGE_GREETING, /* the 220 */
    DELIVERY_STAGE_EHLO,
    DELIVERY_STAGE_STARTTLS, /* the command, the handshake or the check of the peer */
    DELIVERY_STAGE_MAIL,
    DELIVERY_STAGE_RCPT,
    DELIVERY_STAGE_DATA, /* the command (354 is its success), or the body on its way */
    DELIVERY_STAGE_FINAL /* the reply to the final dot, or to BDAT LAST */
};

enum delivery_verdict {
    DELIVERY_VERDICT_DELIVERED, /* at stages before FINAL: go on */
    DELIVERY_VERDICT_DEFERRED,  /* soft bounce: try again later */
    DELIVERY_VERDICT_FAILED     /* hard bounce: a DSN to the sender */
};

enum delivery_scope {
    DELIVERY_SCOPE_RECIPIENT,  /* this recipient only */
    DELIVERY_SCOPE_MESSAGE,    /* all recipients of the message in this transaction */
    DELIVERY_SCOPE_CONNECTION, /* the message as well, and the connection is of no more use */
};

struct delivery_reply {
    unsigned code;         /* 200..599; 0: no reply came (lost, timed out, refused) */
    struct slice enhanced; /* "5.1.1", or empty: then it is looked for at the start of text */
    struct slice text;     /* without the code; lines may be parted by CRLF */
};

struct delivery_outcome {
    enum delivery_verdict verdict;
    enum delivery_scope scope;
    bool about_host;                       /* another host may take the message now */
    bool maybe_delivered;                  /* lost after the final dot: log "Possible Delivery" */
    char status[DELIVERY_STATUS_TEXT_MAX]; /* RFC 3463, class as in the verdict: "4.3.1" */
    char reason[DELIVERY_REASON_TEXT_MAX]; /* "4.3.1 - Mail system full" */
};

/* Any code is accepted, whatever a peer made of it; one that does not belong to the stage means
 * that the two sides no longer agree where they are: deferred, CONNECTION. */
void delivery_outcome_classify(enum delivery_stage stage, const struct delivery_reply *reply,
                               struct delivery_outcome *outcome_out);

/* The outcomes that no reply causes. */
enum delivery_cause {
    DELIVERY_CAUSE_EXPIRED,      /* 5.4.7 - Delivery expired (message too old) */
    DELIVERY_CAUSE_RETRIES,      /* 5.4.7, the profile's retries are used up */
    DELIVERY_CAUSE_BAD_HOST,     /* 5.1.2 - Bad destination host: the DNS says there is none */
    DELIVERY_CAUSE_NO_MAIL,      /* 5.1.10, the domain says that it takes none (RFC 7505) */
    DELIVERY_CAUSE_NO_HOST,      /* 5.4.4, none of its hosts exists */
    DELIVERY_CAUSE_LOOP,         /* 5.4.6, its best host is this one */
    DELIVERY_CAUSE_RETURNED,     /* 5.7.1, an operator sends it back */
    DELIVERY_CAUSE_DNS,          /* 4.4.3, the DNS gave no answer */
    DELIVERY_CAUSE_HOST_DOWN,    /* 4.4.1, no host of the destination could be reached */
    DELIVERY_CAUSE_TLS_REQUIRED, /* 4.7.5, TLS or the check of the peer failed */
    DELIVERY_CAUSE_LOCAL         /* 4.3.0, a fault on our side */
};

void delivery_outcome_for(enum delivery_cause cause, struct delivery_outcome *outcome_out);

/* "Bad destination email address" for status "5.1.1"; a phrase for the subject when the detail
 * is not known ("Other network problem" for "4.4.9"); never NULL. */
const char *delivery_outcome_phrase(struct slice status);
