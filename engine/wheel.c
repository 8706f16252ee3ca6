#include "engine/timer.h"

/* A hierarchical wheel after Varghese and Lauck (1987). Seen as a number in base 64, a timer's
 * due tick and the current tick differ first in some digit: that digit is the timer's level, and
 * its value there the slot. It follows that all slots in use lie ahead of the current digit of
 * their level, and that everything on a lower level is due before anything on a higher one. */

#define DIGIT_BITS 6
#define DIGIT_MASK (ENGINE_WHEEL_SLOTS - 1)
#define LEVEL_NONE ENGINE_WHEEL_LEVELS

_Static_assert(1 << DIGIT_BITS == ENGINE_WHEEL_SLOTS, "a digit selects a slot");
_Static_assert(ENGINE_TICK_MS <= 50, "timers are at most one tick late");

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * DIGIT_BITS)) & DIGIT_MASK;
}

static unsigned level_of(const struct engine_wheel *w, uint64_t due_tick)
{
    unsigned level;

    ASSERT(due_tick > w->tick);
    level = (unsigned)(63 - __builtin_clzll(due_tick ^ w->tick)) / DIGIT_BITS;
    ASSERT(level < ENGINE_WHEEL_LEVELS);
    return level;
}

static void insert(struct engine_wheel *w, struct engine_timer *t)
{
    unsigned level;
    unsigned slot;

    if (t->due_tick <= w->tick) {
        list_append(&w->due, &t->node);
        return;
    }
    level = level_of(w, t->due_tick);
    slot = digit_of(t->due_tick, level);
    ASSERT(slot > digit_of(w->tick, level));
    list_append(&w->slots[level][slot], &t->node);
    w->occupied[level] |= 1ull << slot;
}

/* The lowest level that holds a timer, and the tick at which its first slot begins. */
static unsigned next_slot(const struct engine_wheel *w, uint64_t *tick_out)
{
    for (unsigned level = 0; level < ENGINE_WHEEL_LEVELS; level++) {
        unsigned shift = level * DIGIT_BITS;
        uint64_t above = w->tick >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);

        if (w->occupied[level] == 0)
            continue;
        *tick_out = above | (uint64_t)__builtin_ctzll(w->occupied[level]) << shift;
        ASSERT(*tick_out > w->tick);
        return level;
    }
    return LEVEL_NONE;
}

void engine_wheel_init(struct engine_wheel *w, uint64_t now_ms)
{
    *w = (struct engine_wheel){ .tick = now_ms / ENGINE_TICK_MS };
    for (unsigned level = 0; level < ENGINE_WHEEL_LEVELS; level++)
        for (unsigned slot = 0; slot < ENGINE_WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    list_init(&w->due);
}

/* Rounded up, so that no timer is early, and always ahead, so that a handler that starts its own
 * timer again with no delay cannot keep one turn busy for ever. */
void engine_wheel_start(struct engine_wheel *w, struct engine_timer *t, uint64_t now_ms,
                        uint64_t delay_ms)
{
    uint64_t delay_cut_ms = delay_ms < ENGINE_DELAY_MS_MAX ? delay_ms : ENGINE_DELAY_MS_MAX;

    ASSERT(now_ms / ENGINE_TICK_MS >= w->tick);
    engine_wheel_stop(w, t);
    t->due_tick = (now_ms + delay_cut_ms + ENGINE_TICK_MS - 1) / ENGINE_TICK_MS;
    if (t->due_tick <= w->tick)
        t->due_tick = w->tick + 1;
    insert(w, t);
}

void engine_wheel_stop(struct engine_wheel *w, struct engine_timer *t)
{
    unsigned level;
    unsigned slot;

    if (!list_is_linked(&t->node))
        return;
    list_remove(&t->node);
    if (t->due_tick <= w->tick)
        return; /* it was due */
    level = level_of(w, t->due_tick);
    slot = digit_of(t->due_tick, level);
    if (list_is_empty(&w->slots[level][slot]))
        w->occupied[level] &= ~(1ull << slot);
}

void engine_wheel_advance(struct engine_wheel *w, uint64_t now_ms)
{
    uint64_t target = now_ms / ENGINE_TICK_MS;

    ASSERT(target >= w->tick);
    for (;;) {
        uint64_t tick = 0;
        unsigned level = next_slot(w, &tick);
        struct list moved;
        struct list_node *n;
        unsigned slot;

        if (level == LEVEL_NONE || tick > target)
            break;
        w->tick = tick;
        slot = digit_of(tick, level);
        w->occupied[level] &= ~(1ull << slot);
        list_init(&moved);
        list_take_all(&moved, &w->slots[level][slot]);
        ASSERT(!list_is_empty(&moved));
        while ((n = list_take_first(&moved)) != NULL)
            insert(w, CONTAINER_OF(n, struct engine_timer, node));
    }
    w->tick = target;
}

struct engine_timer *engine_wheel_take(struct engine_wheel *w)
{
    struct list_node *n = list_take_first(&w->due);

    if (n == NULL)
        return NULL;
    ASSERT(CONTAINER_OF(n, struct engine_timer, node)->due_tick <= w->tick);
    return CONTAINER_OF(n, struct engine_timer, node);
}

uint64_t engine_wheel_wait_ms(const struct engine_wheel *w, uint64_t now_ms)
{
    uint64_t tick = 0;
    uint64_t at_ms;

    if (!list_is_empty(&w->due))
        return 0;
    if (next_slot(w, &tick) == LEVEL_NONE)
        return UINT64_MAX;
    at_ms = tick * ENGINE_TICK_MS;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}
