#include "gateway/resolver.h"

#include <stdlib.h>

#include "engine/poll.h"
#include "engine/timer.h"

struct gateway_resolver {
    struct dns_world world;
    struct engine_loop *loop;
    struct dns_resolver *resolver;
    struct engine_task task;
    unsigned polls; /* that wait for their last event */
    bool is_delivering;
    bool is_doomed; /* destroyed while it delivers */
    bool is_closed; /* waits for its polls */
};

/* A watch that runs, and for a while one that was stopped: libunbound frees its event at once, the
 * ring still holds the request. libunbound also closes the socket at once, which engine/poll.h asks
 * not to do. It is safe here: the request holds the file, not its number, and is cancelled by its
 * token, so that neither a new file of that number nor the old one is touched by mistake. */
struct watch {
    struct engine_poll poll;
    struct gateway_resolver *resolver;
    struct dns_watch *dns; /* NULL: stopped */
};

struct timer {
    struct engine_timer timer;
    struct dns_timer *dns;
};

static struct gateway_resolver *resolver_of(struct dns_world *w)
{
    return CONTAINER_OF(w, struct gateway_resolver, world);
}

static void free_if_quiet(struct gateway_resolver *r)
{
    if (r->is_closed && r->polls == 0)
        free(r);
}

static void poll_event(struct engine_poll *p, int events)
{
    struct watch *watch = CONTAINER_OF(p, struct watch, poll);
    struct gateway_resolver *r = watch->resolver;
    struct dns_watch *dns = watch->dns;

    free(watch);
    ASSERT(r->polls > 0);
    r->polls--;
    if (dns == NULL) {
        free_if_quiet(r);
        return;
    }
    ASSERT(!r->is_closed);
    dns->bound = NULL;
    dns->handler(dns, events);
}

static enum status watch_start(struct dns_world *world, struct dns_watch *dns, int fd, int events)
{
    struct gateway_resolver *r = resolver_of(world);
    struct watch *watch = calloc(1, sizeof(*watch));

    ASSERT(dns->bound == NULL && !r->is_closed);
    if (watch == NULL)
        return STATUS_NO_MEMORY;
    watch->resolver = r;
    watch->dns = dns;
    enum status status = engine_poll_start(r->loop, &watch->poll, fd, events, poll_event);
    if (status != STATUS_OK) {
        free(watch);
        return status;
    }
    r->polls++;
    dns->bound = watch;
    return STATUS_OK;
}

static void watch_stop(struct dns_world *world, struct dns_watch *dns)
{
    struct watch *watch = dns->bound;

    ASSERT(watch->dns == dns && watch->resolver == resolver_of(world));
    watch->dns = NULL;
    dns->bound = NULL;
    engine_poll_stop(&watch->poll);
}

static void timer_event(struct engine_timer *t)
{
    struct timer *timer = CONTAINER_OF(t, struct timer, timer);
    struct dns_timer *dns = timer->dns;

    free(timer);
    dns->bound = NULL;
    dns->handler(dns);
}

static enum status timer_start(struct dns_world *world, struct dns_timer *dns, uint64_t delay_ms)
{
    struct timer *timer = calloc(1, sizeof(*timer));

    ASSERT(dns->bound == NULL);
    if (timer == NULL)
        return STATUS_NO_MEMORY;
    timer->dns = dns;
    dns->bound = timer;
    engine_timer_start(resolver_of(world)->loop, &timer->timer, delay_ms, timer_event);
    return STATUS_OK;
}

static void timer_stop(struct dns_world *world, struct dns_timer *dns)
{
    struct timer *timer = dns->bound;

    ASSERT(timer->dns == dns);
    dns->bound = NULL;
    engine_timer_stop(resolver_of(world)->loop, &timer->timer);
    free(timer);
}

static uint64_t now_ms(struct dns_world *world)
{
    return engine_loop_now_ms(resolver_of(world)->loop);
}

static void close_now(struct gateway_resolver *r)
{
    dns_resolver_destroy(r->resolver);
    r->resolver = NULL;
    engine_loop_defer_cancel(r->loop, &r->task);
    r->is_closed = true;
    free_if_quiet(r);
}

static void deliver(struct engine_task *task)
{
    struct gateway_resolver *r = CONTAINER_OF(task, struct gateway_resolver, task);

    r->is_delivering = true;
    dns_resolver_deliver(r->resolver);
    r->is_delivering = false;
    if (r->is_doomed)
        close_now(r);
}

static void defer(struct dns_world *world)
{
    struct gateway_resolver *r = resolver_of(world);

    engine_loop_defer(r->loop, &r->task, deliver);
}

enum status gateway_resolver_create(struct engine_loop *loop, const struct dns_options *options,
                                    struct gateway_resolver **resolver_out,
                                    struct dns_reason *reason_out)
{
    static const struct dns_ops ops = { .watch = watch_start,
                                        .unwatch = watch_stop,
                                        .timer_start = timer_start,
                                        .timer_stop = timer_stop,
                                        .now_ms = now_ms,
                                        .defer = defer };
    struct gateway_resolver *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        *reason_out = (struct dns_reason){ "no memory" };
        return STATUS_NO_MEMORY;
    }
    r->world.ops = &ops;
    r->loop = loop;
    enum status status = dns_resolver_create(options, &r->world, &r->resolver, reason_out);
    if (status != STATUS_OK) {
        close_now(r); /* libunbound may have begun to listen before it failed */
        return status;
    }
    *resolver_out = r;
    return STATUS_OK;
}

void gateway_resolver_destroy(struct gateway_resolver *r)
{
    if (r == NULL)
        return;
    ASSERT(!r->is_closed && !r->is_doomed);
    if (!r->is_delivering) {
        close_now(r);
        return;
    }
    /* From inside a done(): what called it is still to return through the resolver. */
    dns_resolver_cancel_all(r->resolver);
    r->is_doomed = true;
}

struct dns_source *gateway_resolver_source(struct gateway_resolver *r)
{
    ASSERT(!r->is_doomed && !r->is_closed);
    return dns_resolver_source(r->resolver);
}

unsigned gateway_resolver_in_flight(const struct gateway_resolver *r)
{
    return dns_resolver_in_flight(r->resolver);
}
