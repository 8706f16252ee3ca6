/* gateway/report.h - what the owner of an item tells the home of its message.
 *
 * Created by the owner, filled with verdicts, posted; then it is the home's, until the sender has
 * been told what he is to be told (gateway/bounce.h). One that says no more than that all who
 * waited have been delivered stays where it is, and the item goes home with a word of its own
 * (struct gateway_delivered): what wandered from owners to homes with every message would be memory
 * that the ones take and the others have.
 */
#pragma once
#include "engine/timer.h"
#include "gateway/item.h"
#include "spool/record.h"

/* What the sender is to be told of a recipient, if he wants to hear it. */
enum gateway_notice {
    GATEWAY_NOTICE_NONE,
    GATEWAY_NOTICE_FAILED,  /* the result is BOUNCED */
    GATEWAY_NOTICE_DELAYED, /* it waits, and does so for long */
    GATEWAY_NOTICE_RELAYED, /* it was handed on to a host that does not tell of its delivery */
    GATEWAY_NOTICES_COUNT
};

struct gateway_verdict {
    struct spool_result result;
    enum gateway_notice notice;
    bool is_silent;                  /* nobody is told: settled at home, before the first report */
    struct gateway_failure *failure; /* owned; for the notice. NULL: nothing is known, no memory */
};

/* From the owner of an item to the home of its message. */
struct gateway_report {
    struct engine_message post;
    struct engine_timer retry; /* at home, while its bounce cannot be made */
    struct list_node node;     /* waits for its message; for gateway/shelf.c */
    struct gateway_item *item;
    bool item_ended;
    bool is_word;               /* an operator's: DEFERRED in it is no failed try */
    bool is_judged;             /* by gateway/bounce.c, as the next three */
    enum gateway_notice notice; /* whose verdicts are being told of */
    unsigned told;        /* messages on stable storage tell of those of them before this one */
    unsigned telling;     /* and the one on its way of those before this one */
    time_t retry_until_s; /* of DELAYED */
    unsigned verdicts_count;
    unsigned verdicts_max;
    struct gateway_verdict verdicts[];
};

/* A report has room for `verdicts`. */
MUST_USE enum status gateway_report_create(struct gateway_item *item, unsigned verdicts,
                                           struct gateway_report **report_out);
void gateway_report_destroy(struct gateway_report *report); /* accepts NULL */

/* Adds a verdict; failure is taken, and only there with a notice. */
void gateway_report_add(struct gateway_report *report, const struct spool_result *result,
                        enum gateway_notice notice, struct gateway_failure *failure);

/* Takes the report; with item_ended the item must not be touched afterwards, except to give
 * back. */
void gateway_report_post(struct gateway_report *report, struct engine_loop *from, bool item_ended);

/* For gateway/item.c: nothing of an ended item is lent any more. NULL: it says itself how it has
 * ended. */
void gateway_report_end(struct gateway_item *item, struct gateway_report *report_or_null,
                        struct engine_loop *from);
