#include "dns/event.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "base/check.h"

#define READY_BITS (UB_EV_READ | UB_EV_WRITE)

struct event {
    struct ub_event base;
    struct dns_events *events;
    struct dns_watch watch;
    struct dns_timer timer;
    void (*callback)(int fd, short bits, void *arg);
    void *arg; /* libunbound's */
    int fd;    /* -1: a timer */
    short bits;
    bool is_added;
    bool has_limit;
    uint64_t limit_ms;
    bool *is_gone; /* set when it is freed while its callback runs */
};

static struct event *event_of(struct ub_event *e)
{
    return CONTAINER_OF(e, struct event, base);
}

static void stop(struct event *e)
{
    struct dns_world *w = e->events->world;

    if (e->watch.bound != NULL)
        w->ops->unwatch(w, &e->watch);
    if (e->timer.bound != NULL)
        w->ops->timer_stop(w, &e->timer);
}

static void handle_ready(struct dns_watch *watch, int events);
static void handle_limit(struct dns_timer *timer);

static enum status start(struct event *e)
{
    struct dns_world *w = e->events->world;
    int wanted =
        ((e->bits & UB_EV_READ) != 0 ? POLLIN : 0) | ((e->bits & UB_EV_WRITE) != 0 ? POLLOUT : 0);

    if (e->fd >= 0 && wanted != 0 && e->watch.bound == NULL) {
        e->watch.handler = handle_ready;
        TRY(w->ops->watch(w, &e->watch, e->fd, wanted));
    }
    if (e->has_limit) {
        if (e->timer.bound != NULL)
            w->ops->timer_stop(w, &e->timer);
        e->timer.handler = handle_limit;
        TRY(w->ops->timer_start(w, &e->timer, e->limit_ms));
    }
    return STATUS_OK;
}

/* The callback may stop, start, change and free the event. It is armed again only behind it: most
 * answers end the wait for an answer, and arming first would cost a request and its cancellation
 * each time. */
static void fire(struct event *e, short bits)
{
    bool is_gone = false;

    if ((e->bits & UB_EV_PERSIST) == 0) {
        stop(e);
        e->is_added = false;
    }
    e->is_gone = &is_gone;
    e->callback(e->fd, bits, e->arg);
    if (is_gone)
        return;
    e->is_gone = NULL;
    /* Cannot be started again: libunbound's own retries, which have timers of their own, end the
     * query that hangs on it. */
    if (e->is_added && start(e) != STATUS_OK)
        stop(e);
}

static void handle_ready(struct dns_watch *watch, int events)
{
    struct event *e = CONTAINER_OF(watch, struct event, watch);
    short bits = 0;

    if (events <= 0)
        return; /* the wait itself failed: as above */
    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0)
        bits |= UB_EV_READ;
    if ((events & (POLLOUT | POLLERR | POLLHUP)) != 0)
        bits |= UB_EV_WRITE;
    fire(e, (short)(bits & e->bits & READY_BITS));
}

static void handle_limit(struct dns_timer *timer)
{
    fire(CONTAINER_OF(timer, struct event, timer), UB_EV_TIMEOUT);
}

static void add_bits(struct ub_event *ev, short bits)
{
    event_of(ev)->bits |= bits;
}

static void del_bits(struct ub_event *ev, short bits)
{
    struct event *e = event_of(ev);

    e->bits = (short)(e->bits & ~bits);
}

static void set_fd(struct ub_event *ev, int fd)
{
    event_of(ev)->fd = fd;
}

static int del(struct ub_event *ev)
{
    struct event *e = event_of(ev);

    stop(e);
    e->is_added = false;
    return 0;
}

static void destroy(struct ub_event *ev)
{
    struct event *e = event_of(ev);

    stop(e);
    if (e->is_gone != NULL)
        *e->is_gone = true;
    e->events->events--;
    free(e);
}

static uint64_t to_ms(const struct timeval *tv)
{
    if (tv->tv_sec < 0 || tv->tv_usec < 0)
        return 0;
    if (tv->tv_sec > INT_MAX)
        return (uint64_t)INT_MAX * 1000;
    return (uint64_t)tv->tv_sec * 1000 + ((uint64_t)tv->tv_usec + 999) / 1000;
}

static int add(struct ub_event *ev, struct timeval *limit)
{
    struct event *e = event_of(ev);

    stop(e);
    e->has_limit = limit != NULL;
    e->limit_ms = limit != NULL ? to_ms(limit) : 0;
    e->is_added = start(e) == STATUS_OK;
    if (!e->is_added)
        stop(e);
    return e->is_added ? 0 : -1;
}

static int add_timer(struct ub_event *ev, struct ub_event_base *base,
                     void (*callback)(int, short, void *), void *arg, struct timeval *limit)
{
    struct event *e = event_of(ev);

    (void)base;
    e->callback = callback;
    e->arg = arg;
    return add(ev, limit);
}

/* Signals and Windows: "not called by libunbound", says its header. */
static int refuse_signal(struct ub_event *ev, struct timeval *limit)
{
    (void)ev;
    (void)limit;
    return -1;
}

static void ignore_windows(struct ub_event *ev)
{
    (void)ev;
}

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits,
                                  void (*callback)(int, short, void *), void *arg)
{
    /* Not const: the header's pointer to it is not. */
    static struct ub_event_vmt table = { .add_bits = add_bits,
                                         .del_bits = del_bits,
                                         .set_fd = set_fd,
                                         .free = destroy,
                                         .add = add,
                                         .del = del,
                                         .add_timer = add_timer,
                                         .del_timer = del,
                                         .add_signal = refuse_signal,
                                         .del_signal = del,
                                         .winsock_unregister_wsaevent = ignore_windows };
    struct event *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->base = (struct ub_event){ .magic = UB_EVENT_MAGIC, .vmt = &table };
    e->events = CONTAINER_OF(base, struct dns_events, base);
    e->fd = fd;
    e->bits = bits;
    e->callback = callback;
    e->arg = arg;
    e->events->events++;
    return &e->base;
}

/* The base belongs to the resolver. */
static void free_base(struct ub_event_base *base)
{
    (void)base;
}

static int no_dispatch(struct ub_event_base *base)
{
    (void)base;
    return -1;
}

static int no_loopexit(struct ub_event_base *base, struct timeval *limit)
{
    (void)base;
    (void)limit;
    return 0;
}

static struct ub_event *no_signal(struct ub_event_base *base, int fd,
                                  void (*callback)(int, short, void *), void *arg)
{
    (void)base;
    (void)fd;
    (void)callback;
    (void)arg;
    return NULL;
}

static struct ub_event *no_windows(struct ub_event_base *base, void *event,
                                   void (*callback)(int, short, void *), void *arg)
{
    (void)base;
    (void)event;
    (void)callback;
    (void)arg;
    return NULL;
}

void dns_events_init(struct dns_events *e, struct dns_world *world)
{
    static struct ub_event_base_vmt table = { .free = free_base,
                                              .dispatch = no_dispatch,
                                              .loopexit = no_loopexit,
                                              .new_event = new_event,
                                              .new_signal = no_signal,
                                              .winsock_register_wsaevent = no_windows };

    *e = (struct dns_events){ .base = { .magic = UB_EVENT_MAGIC, .vmt = &table }, .world = world };
}
