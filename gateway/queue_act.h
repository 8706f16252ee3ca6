/* gateway/queue_act.h - what an operator does to one item of the queue, on its owner's thread.
 *
 * Nothing is done to an item that has a connection: behind the final dot nobody but the host knows
 * whether it has the mail, and what is done meanwhile would be done to mail that is delivered. The
 * operator is told so, and asks again.
 *
 * Held: the item leaves the scheduler. It does not grow old there: nobody is warned, and nothing
 * expires. When it is released it is due at once, and its age counts from then on, or the mail that
 * was held for longest would be bounced instead of sent; a restart counts from its arrival again.
 * The home records both (spool/record.h), so that a restart changes nothing of it.
 */
#pragma once
#include "gateway/message.h"

enum gateway_queue_result {
    GATEWAY_QUEUE_DONE,
    GATEWAY_QUEUE_NOTHING, /* it is as it should be already */
    GATEWAY_QUEUE_BUSY,    /* it has a connection */
    GATEWAY_QUEUE_REFUSED, /* no memory, or it was held too often: as it was */
    GATEWAY_QUEUE_RESULTS_COUNT
};

enum gateway_queue_result gateway_queue_hold(struct gateway_worker *w, struct gateway_item *item);
enum gateway_queue_result gateway_queue_release(struct gateway_worker *w,
                                                struct gateway_item *item);

/* Due now, and the hosts of its destination are tried if it waits for them. NOTHING: it is held or
 * about to be sent. */
enum gateway_queue_result gateway_queue_retry(struct gateway_worker *w, struct gateway_item *item);

/* Its sender is told, as of any failure: 5.7.1, returned by the administrator. After DONE the item
 * must not be touched. */
enum gateway_queue_result gateway_queue_bounce(struct gateway_worker *w, struct gateway_item *item);

/* Nobody is told. After DONE the item must not be touched. */
enum gateway_queue_result gateway_queue_delete(struct gateway_worker *w, struct gateway_item *item);
