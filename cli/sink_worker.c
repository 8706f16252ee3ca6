#include "cli/sink_worker.h"

#include <unistd.h>

#include "cli/sink_session.h"
#include "tls/context.h"

static struct sink_worker *worker_of(struct cli_hand *hand)
{
    return CONTAINER_OF(hand, struct sink_worker, hand);
}

static void on_accepted(struct engine_listener *l, int fd, const struct ip_endpoint *remote)
{
    struct sink_door *door = CONTAINER_OF(l, struct sink_door, listener);

    (void)remote;
    sink_session_accept(door->worker, fd);
}

static void on_stopped(struct engine_listener *l)
{
    struct sink_door *door = CONTAINER_OF(l, struct sink_door, listener);

    door->worker->doors_open--;
}

static const struct engine_listener_handlers door_handlers = {
    .accepted = on_accepted,
    .stopped = on_stopped,
};

static void begin(struct cli_hand *hand)
{
    struct sink_worker *w = worker_of(hand);

    for (size_t i = 0; i < w->run->options->listeners_count; i++) {
        struct sink_door *door = &w->doors[i];

        if (engine_listener_start(&door->listener, hand->loop, door->fd, &door_handlers) !=
            STATUS_OK) {
            atomic_store(&w->has_failed, true);
            return;
        }
        door->fd = -1;
        w->doors_open++;
    }
}

static void turned(struct cli_hand *hand)
{
    (void)hand;
}

static void stop(struct cli_hand *hand, bool at_once)
{
    struct sink_worker *w = worker_of(hand);

    if (!w->is_stopping)
        for (size_t i = 0; i < w->doors_open; i++)
            engine_listener_stop(&w->doors[i].listener);
    w->is_stopping = true;
    LIST_FOR_EACH (node, &w->sessions) {
        sink_session_stop(CONTAINER_OF(node, struct sink_session, node), at_once);
    }
}

static bool is_done(const struct cli_hand *hand)
{
    const struct sink_worker *w = CONTAINER_OF(hand, const struct sink_worker, hand);

    return w->is_stopping && w->doors_open == 0 && list_is_empty(&w->sessions);
}

const struct cli_hand_handlers sink_worker_handlers = {
    .begin = begin,
    .turned = turned,
    .stop = stop,
    .is_done = is_done,
};

void sink_worker_init(struct sink_worker *w, struct sink_run *run)
{
    *w = (struct sink_worker){ .run = run };
    list_init(&w->sessions);
    for (size_t i = 0; i < SINK_LISTENERS_MAX; i++)
        w->doors[i] = (struct sink_door){ .worker = w, .fd = -1 };
}

void sink_worker_finish(struct sink_worker *w)
{
    for (size_t i = 0; i < SINK_LISTENERS_MAX; i++)
        if (w->doors[i].fd >= 0)
            (void)close(w->doors[i].fd);
    tls_context_destroy(w->tls);
}
