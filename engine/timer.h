/* engine/timer.h - timers by the ten thousand: a hierarchical wheel in user space.
 *
 * A timer is embedded in its owner, zeroed at first. Starting and stopping cost the same however
 * many timers there are. A timer fires once, never early and at most one tick (plus the length
 * of a turn) late. The order of timers that fall due in the same tick is not defined.
 *
 * The wheel itself is pure (engine_wheel_*): it is told the time. A loop has one.
 */
#pragma once
#include "base/list.h"

#define ENGINE_TICK_MS      10
#define ENGINE_DELAY_MS_MAX (30ull * 24 * 3600 * 1000)

struct engine_loop;

struct engine_timer { /* Fields are private. */
    struct list_node node;
    uint64_t due_tick;
    void (*handler)(struct engine_timer *timer);
};

/* delay_ms is cut at ENGINE_DELAY_MS_MAX. A running timer is moved. The handler may start its
 * own timer again, and may stop or free any other. */
void engine_timer_start(struct engine_loop *loop, struct engine_timer *timer, uint64_t delay_ms,
                        void (*handler)(struct engine_timer *timer));

/* Does nothing to a timer that is not running. */
void engine_timer_stop(struct engine_loop *loop, struct engine_timer *timer);

static inline bool engine_timer_is_running(const struct engine_timer *timer)
{
    return list_is_linked(&timer->node);
}

#define ENGINE_WHEEL_LEVELS 7 /* of 64 slots: the ticks of 1,394 years */
#define ENGINE_WHEEL_SLOTS  64

struct engine_wheel { /* Fields are private. */
    uint64_t tick;
    uint64_t occupied[ENGINE_WHEEL_LEVELS];
    struct list slots[ENGINE_WHEEL_LEVELS][ENGINE_WHEEL_SLOTS];
    struct list due;
};

void engine_wheel_init(struct engine_wheel *w, uint64_t now_ms);
void engine_wheel_start(struct engine_wheel *w, struct engine_timer *t, uint64_t now_ms,
                        uint64_t delay_ms);
void engine_wheel_stop(struct engine_wheel *w, struct engine_timer *t);

/* Sorts out what is due at now_ms, which never goes back. */
void engine_wheel_advance(struct engine_wheel *w, uint64_t now_ms);

/* Takes one timer that is due, earliest tick first; NULL when there is none. */
struct engine_timer *engine_wheel_take(struct engine_wheel *w);

/* How long to wait before the next advance: 0 when something is due, UINT64_MAX when nothing
 * runs. May be shorter than the shortest timer, never longer than its tick. */
uint64_t engine_wheel_wait_ms(const struct engine_wheel *w, uint64_t now_ms);
