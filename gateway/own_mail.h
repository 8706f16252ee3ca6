/* gateway/own_mail.h - a message of the gateway's own: from a keeper's thread into the spool.
 *
 * The owner fills it in and posts it to the worker that showed a sign of life last, which commits
 * it like any other message (gateway/message.h); from then on it is queued, routed and retried as
 * mail is. Its owner looks at the state, and posts it again, or frees it, when it is not POSTED:
 *
 *     WAITING -> post -> POSTED -> COMMITTED
 *                               -> REFUSED -> wait -> WAITING, to be posted again later
 *
 * What is POSTED is the worker's; it may stay so for ever when the workers end, and may be freed
 * when their threads have.
 */
#pragma once
#include "engine/mailbox.h"
#include "gateway/process.h"
#include "spool/message.h"

#define GATEWAY_OWN_MAIL_NO_BELL (-1)

enum gateway_own_mail_state {
    GATEWAY_OWN_MAIL_WAITING,
    GATEWAY_OWN_MAIL_POSTED,
    GATEWAY_OWN_MAIL_COMMITTED,
    GATEWAY_OWN_MAIL_REFUSED
};

struct gateway_own_mail {
    struct engine_message post;     /* private */
    struct gateway_worker *worker;  /* private */
    _Atomic int state;              /* private: gateway_own_mail_state_of() */
    int bell;                       /* an eventfd that rings when it is over, or NO_BELL */
    unsigned flags;                 /* of enum spool_message_flag */
    struct slice sender;            /* borrowed, as the next two; empty: the null sender */
    const struct slice *recipients; /* at least one */
    size_t recipients_count;
    size_t bytes_max; /* of the text */

    /* Appends the text to `text`, on the worker's thread: lines that end with CRLF, none of which
     * begins with a dot. */
    enum status (*compose)(const struct gateway_own_mail *mail, uint64_t mid, time_t now_s,
                           struct buffer *text);
};

/* Everything else is for the owner to fill in. */
void gateway_own_mail_init(struct gateway_own_mail *mail);

/* False: no worker takes mail (yet, or any more); nothing happened. The mail is WAITING. */
bool gateway_own_mail_post(struct gateway_own_mail *mail, struct gateway_process *process);

/* One that was refused. */
void gateway_own_mail_wait(struct gateway_own_mail *mail);

static inline enum gateway_own_mail_state gateway_own_mail_state_of(
    const struct gateway_own_mail *mail)
{
    return (enum gateway_own_mail_state)atomic_load(&mail->state);
}
