#include "engine/mailbox.h"

#include <errno.h>

#include "engine/core.h"

/* Senders push onto a stack; the loop takes the whole stack with one exchange and turns it round,
 * which restores the order of each sender.
 *
 * Sleeping: the loop says so, then looks for messages once more; a sender pushes, then looks
 * whether the loop sleeps. Both pairs are sequentially consistent, so at least one of the two
 * sees the other, and a bell is rung or the loop does not wait. */

static void arm_bell(struct engine_loop *loop)
{
    struct engine_mailbox *box = &loop->mailbox;
    struct engine_request r = {
        .op = ENGINE_OP_READ,
        .fd = box->bell,
        .token = engine_owner_token(loop, ENGINE_OP_READ, box->slot),
        .read = { .data = (char *)&box->bell_value, .len = sizeof(box->bell_value) },
    };

    ASSERT(!box->armed);
    box->armed = true;
    engine_loop_push(loop, &r);
}

static void bell_rang(struct engine_owner *owner, const struct engine_completion *c)
{
    struct engine_mailbox *box = CONTAINER_OF(owner, struct engine_mailbox, owner);
    struct engine_loop *loop = CONTAINER_OF(box, struct engine_loop, mailbox);

    if (engine_token_op(c->token) != ENGINE_OP_READ)
        return; /* of the cancel in engine_mailbox_close() */
    ASSERT(box->armed);
    box->armed = false;
    if (c->result != -ECANCELED)
        arm_bell(loop);
}

enum status engine_mailbox_open(struct engine_loop *loop)
{
    struct engine_mailbox *box = &loop->mailbox;
    enum status status;

    ASSERT(box->owner.complete == NULL);
    atomic_init(&box->posted, NULL);
    atomic_init(&box->asleep, false);
    box->owner.complete = bell_rang;
    box->slot = ENGINE_SLOT_NONE;
    box->bell = loop->backend->ops->bell_open(loop->backend);
    if (box->bell < 0)
        return status_from_errno(-box->bell);
    status = engine_owner_acquire(loop, &box->owner, &box->slot);
    if (status != STATUS_OK) {
        engine_loop_close_fd(loop, box->bell);
        return status;
    }
    arm_bell(loop);
    return STATUS_OK;
}

void engine_mailbox_close(struct engine_loop *loop)
{
    struct engine_mailbox *box = &loop->mailbox;
    struct engine_request r = {
        .op = ENGINE_OP_CANCEL,
        .fd = -1,
        .token = engine_owner_token(loop, ENGINE_OP_CANCEL, box->slot),
        .cancel = { .token = engine_owner_token(loop, ENGINE_OP_READ, box->slot) },
    };

    ASSERT(box->armed);
    engine_loop_push(loop, &r);
    while (box->armed)
        engine_loop_turn(loop);
    ASSERT(atomic_load(&box->posted) == NULL && box->backlog == NULL);
    engine_owner_release(loop, box->slot);
}

bool engine_mailbox_fall_asleep(struct engine_loop *loop)
{
    struct engine_mailbox *box = &loop->mailbox;

    ASSERT(loop->in_turn);
    atomic_store(&box->asleep, true);
    return box->backlog == NULL && atomic_load(&box->posted) == NULL;
}

void engine_mailbox_awake(struct engine_loop *loop)
{
    ASSERT(loop->in_turn);
    atomic_store_explicit(&loop->mailbox.asleep, false, memory_order_relaxed);
}

static void take_posted(struct engine_mailbox *box)
{
    struct engine_message *newest =
        atomic_exchange_explicit(&box->posted, NULL, memory_order_acquire);

    ASSERT(box->backlog == NULL);
    while (newest != NULL) {
        struct engine_message *older = newest->next;

        newest->next = box->backlog;
        box->backlog = newest;
        newest = older;
    }
}

void engine_mailbox_deliver(struct engine_loop *loop)
{
    struct engine_mailbox *box = &loop->mailbox;

    ASSERT(loop->in_turn);
    if (box->backlog == NULL && atomic_load_explicit(&box->posted, memory_order_relaxed) != NULL)
        take_posted(box);
    for (unsigned i = 0; i < ENGINE_MESSAGES_BUDGET && box->backlog != NULL; i++) {
        struct engine_message *m = box->backlog;

        box->backlog = m->next;
        m->next = NULL;
        loop->counters.messages++;
        m->deliver(loop, m);
    }
}

static void ring_bell(struct engine_loop *to, struct engine_loop *from)
{
    struct engine_request r = {
        .op = ENGINE_OP_WAKE,
        .quiet = true,
        .fd = -1,
        .token = engine_token(ENGINE_OP_WAKE, 0, (uint32_t)to->mailbox.bell),
        .wake = { .target = to->backend },
    };

    if (from == NULL) {
        to->backend->ops->bell_ring(to->mailbox.bell);
        return;
    }
    from->counters.doorbells++;
    engine_loop_push(from, &r);
}

void engine_mailbox_post(struct engine_loop *to, struct engine_loop *from_or_null,
                         struct engine_message *m)
{
    struct engine_mailbox *box = &to->mailbox;
    struct engine_message *newest = atomic_load_explicit(&box->posted, memory_order_relaxed);

    ASSERT(m->deliver != NULL);
    do {
        m->next = newest;
    } while (!atomic_compare_exchange_weak(&box->posted, &newest, m));
    if (from_or_null != to && atomic_load(&box->asleep) && atomic_exchange(&box->asleep, false))
        ring_bell(to, from_or_null);
}
