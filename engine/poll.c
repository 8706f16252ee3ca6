#include "engine/poll.h"

#include <errno.h>

#include "engine/core.h"

static void push(struct engine_poll *p, struct engine_request *r)
{
    r->token = engine_owner_token(p->loop, r->op, p->slot);
    p->in_flight++;
    engine_loop_push(p->loop, r);
}

static void complete(struct engine_owner *owner, const struct engine_completion *c)
{
    struct engine_poll *p = CONTAINER_OF(owner, struct engine_poll, owner);

    ASSERT(p->armed && p->in_flight > 0);
    p->in_flight--;
    if (engine_token_op(c->token) == ENGINE_OP_POLL)
        p->events = c->result == -ECANCELED ? 0 : c->result;
    if (p->in_flight > 0)
        return; /* the cancel, or what it cancels, is still to come */
    engine_owner_release(p->loop, p->slot);
    p->slot = ENGINE_SLOT_NONE;
    p->armed = false;
    p->handler(p, p->events); /* p may be gone now */
}

enum status engine_poll_start(struct engine_loop *loop, struct engine_poll *p, int fd, int events,
                              void (*handler)(struct engine_poll *p, int events))
{
    struct engine_request r = { .op = ENGINE_OP_POLL,
                                .fd = fd,
                                .poll = { .events = (uint32_t)events } };

    ASSERT(!p->armed && fd >= 0 && handler != NULL);
    *p =
        (struct engine_poll){ .owner = { .complete = complete }, .loop = loop, .handler = handler };
    TRY(engine_owner_acquire(loop, &p->owner, &p->slot));
    p->armed = true;
    push(p, &r);
    return STATUS_OK;
}

void engine_poll_stop(struct engine_poll *p)
{
    struct engine_request r = { .op = ENGINE_OP_CANCEL, .fd = -1 };

    if (!p->armed || p->in_flight > 1)
        return;
    r.cancel.token = engine_owner_token(p->loop, ENGINE_OP_POLL, p->slot);
    push(p, &r);
}

bool engine_poll_is_armed(const struct engine_poll *p)
{
    return p->armed;
}
