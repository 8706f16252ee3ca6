/* engine/mailbox.h - messages from any thread to a loop, without a lock.
 *
 * Messages from one sender arrive in the order in which they were posted. What the sender wrote
 * before posting is seen by deliver(). The bell is rung only when the receiving loop sleeps.
 *
 * A loop that others may post to is destroyed only when they have stopped.
 */
#pragma once
#include "engine/loop.h"

struct engine_message {          /* embedded in what is sent; deliver is set by the sender */
    struct engine_message *next; /* private */

    /* In the receiving loop's thread. The message is the receiver's from then on: it may be freed
     * or posted again. */
    void (*deliver)(struct engine_loop *here, struct engine_message *m);
};

/* from_or_null: the loop whose thread is calling (then a request of its ring rings the bell, with
 * its next turn), or NULL from a thread without a loop. Posting to oneself delivers in the next
 * turn. Takes m until it is delivered. Never waits, cannot fail. */
void engine_mailbox_post(struct engine_loop *to, struct engine_loop *from_or_null,
                         struct engine_message *m);
