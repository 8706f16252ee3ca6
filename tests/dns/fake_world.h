/* tests/dns/fake_world.h - a world without sockets: what is watched is written down, time is a
 * number.
 */
#pragma once
#include "dns/world.h"

#define WORLD_MAX 4096

struct world {
    struct dns_world dns;
    struct world_thing {
        struct dns_watch *watch;
        struct dns_timer *timer;
        int fd;
        int events;
        uint64_t due_ms;
    } things[WORLD_MAX];
    uint64_t now_ms;
    bool is_deferred;
    bool is_out_of_memory;
};

static inline struct world *world_of(struct dns_world *w)
{
    return CONTAINER_OF(w, struct world, dns);
}

static inline struct world_thing *world_place(struct world *w)
{
    for (size_t i = 0; i < WORLD_MAX && !w->is_out_of_memory; i++)
        if (w->things[i].watch == NULL && w->things[i].timer == NULL)
            return &w->things[i];
    return NULL;
}

static inline enum status world_watch(struct dns_world *world, struct dns_watch *watch, int fd,
                                      int events)
{
    struct world_thing *t = world_place(world_of(world));

    ASSERT(watch->bound == NULL && fd >= 0 && events != 0);
    if (t == NULL)
        return STATUS_NO_MEMORY;
    *t = (struct world_thing){ .watch = watch, .fd = fd, .events = events };
    watch->bound = t;
    return STATUS_OK;
}

static inline void world_unwatch(struct dns_world *world, struct dns_watch *watch)
{
    struct world_thing *t = watch->bound;

    (void)world;
    ASSERT(t != NULL && t->watch == watch);
    *t = (struct world_thing){ 0 };
    watch->bound = NULL;
}

static inline enum status world_timer_start(struct dns_world *world, struct dns_timer *timer,
                                            uint64_t delay_ms)
{
    struct world_thing *t = world_place(world_of(world));

    ASSERT(timer->bound == NULL);
    if (t == NULL)
        return STATUS_NO_MEMORY;
    *t = (struct world_thing){ .timer = timer, .due_ms = world_of(world)->now_ms + delay_ms };
    timer->bound = t;
    return STATUS_OK;
}

static inline void world_timer_stop(struct dns_world *world, struct dns_timer *timer)
{
    struct world_thing *t = timer->bound;

    (void)world;
    ASSERT(t != NULL && t->timer == timer);
    *t = (struct world_thing){ 0 };
    timer->bound = NULL;
}

static inline uint64_t world_now_ms(struct dns_world *world)
{
    return world_of(world)->now_ms;
}

static inline void world_defer(struct dns_world *world)
{
    world_of(world)->is_deferred = true;
}

static inline void world_init(struct world *w)
{
    static const struct dns_ops ops = { .watch = world_watch,
                                        .unwatch = world_unwatch,
                                        .timer_start = world_timer_start,
                                        .timer_stop = world_timer_stop,
                                        .now_ms = world_now_ms,
                                        .defer = world_defer };

    memset(w, 0, sizeof(*w));
    w->dns.ops = &ops;
}

static inline size_t world_running(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < WORLD_MAX; i++)
        count += w->things[i].watch != NULL || w->things[i].timer != NULL;
    return count;
}

/* The watch of a descriptor; NULL when nothing watches it. */
static inline struct world_thing *world_find(struct world *w, int fd)
{
    for (size_t i = 0; i < WORLD_MAX; i++)
        if (w->things[i].watch != NULL && w->things[i].fd == fd)
            return &w->things[i];
    return NULL;
}

static inline void world_ready(struct world *w, int fd, int events)
{
    struct world_thing *t = world_find(w, fd);
    ASSERT(t != NULL);
    struct dns_watch *watch = t->watch;

    world_unwatch(&w->dns, watch);
    watch->handler(watch, events);
}

/* Lets time pass, and the timers that fall due fire. */
static inline void world_pass(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    for (size_t i = 0; i < WORLD_MAX; i++) {
        struct dns_timer *timer = w->things[i].timer;

        if (timer == NULL || w->things[i].due_ms > w->now_ms)
            continue;
        world_timer_stop(&w->dns, timer);
        timer->handler(timer);
    }
}
