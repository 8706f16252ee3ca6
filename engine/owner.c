#include "engine/owner.h"

#include <stdlib.h>

#include "base/pool.h"
#include "engine/core.h"

#define SLOTS_FIRST 64

static enum status grow(struct engine_loop *loop)
{
    uint32_t count = loop->slots_count > 0 ? loop->slots_count : SLOTS_FIRST / 2;
    struct engine_slot *slots;

    if (loop->slots_count >= loop->slots_max)
        return STATUS_LIMIT;
    count = count < loop->slots_max / 2 ? count * 2 : loop->slots_max;
    slots = realloc(loop->slots, count * sizeof(*slots));
    if (slots == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = loop->slots_count; i < count; i++)
        slots[i] = (struct engine_slot){ .next_free = i + 1 < count ? i + 1 : ENGINE_SLOT_NONE };
    loop->slot_free = loop->slots_count;
    loop->slots = slots;
    loop->slots_count = count;
    return STATUS_OK;
}

enum status engine_owner_acquire(struct engine_loop *loop, struct engine_owner *owner,
                                 uint32_t *slot_out)
{
    uint32_t slot;

    ASSERT(owner->complete != NULL);
    if (loop->slot_free == ENGINE_SLOT_NONE)
        TRY(grow(loop));
    slot = loop->slot_free;
    ASSERT(slot < loop->slots_count && loop->slots[slot].owner == NULL);
    loop->slot_free = loop->slots[slot].next_free;
    loop->slots[slot].owner = owner;
    loop->slots_used++;
    *slot_out = slot;
    return STATUS_OK;
}

/* The slot that was free longest would be the better one for telling generations apart, but with
 * 24 bits of them the one that is still in the cache will do. */
void engine_owner_release(struct engine_loop *loop, uint32_t slot)
{
    struct engine_slot *s;

    ASSERT(slot < loop->slots_count);
    s = &loop->slots[slot];
    ASSERT(s->owner != NULL);
    s->owner = NULL;
    s->generation = (s->generation + 1) & ENGINE_TOKEN_GENERATION_MAX;
    s->next_free = loop->slot_free;
    loop->slot_free = slot;
    loop->slots_used--;
}

uint64_t engine_owner_token(const struct engine_loop *loop, enum engine_op op, uint32_t slot)
{
    ASSERT(slot < loop->slots_count && loop->slots[slot].owner != NULL);
    return engine_token(op, loop->slots[slot].generation, slot);
}

void *engine_pool_take(struct engine_pool *pool)
{
    void *object = pool->objects_count < pool->objects_max ? pool_take(pool->bytes) : NULL;

    if (object != NULL)
        pool->objects_count++;
    return object;
}

void engine_pool_give(struct engine_pool *pool, void *object)
{
    ASSERT(object != NULL);
    ASSERT(pool->objects_count > 0);
    pool_give(object, pool->bytes);
    pool->objects_count--;
}
