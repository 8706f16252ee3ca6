#include "engine/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/core.h"
#include "engine/ring.h"

#define REQUESTS_DEFAULT      1024
#define BUFFERS_SMALL_DEFAULT 1024
#define BUFFERS_LARGE_DEFAULT 128
#define BUFFERS_HUGE_DEFAULT  32
#define BUFFERS_MAX           32768 /* of a kernel buffer ring */
#define OWNERS_DEFAULT        (1u << 20)

static unsigned power_of_two(unsigned n, unsigned max)
{
    unsigned power = 1;

    while (power < n && power < max)
        power *= 2;
    return power;
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value > 0 ? value : otherwise;
}

static void refresh_clock(struct engine_loop *loop)
{
    uint64_t now_ms = loop->backend->ops->now_ms(loop->backend);

    ASSERT(now_ms >= loop->now_ms);
    loop->now_ms = now_ms;
    loop->wall_s = loop->backend->ops->wall_s(loop->backend);
}

enum status engine_loop_create(const struct engine_loop_options *options,
                               struct engine_loop **loop_out, struct engine_reason *reason_out)
{
    const struct engine_backend_ops *ops =
        options->backend != NULL ? options->backend : &engine_ring_ops;
    unsigned requests = power_of_two(or_default(options->requests_max, REQUESTS_DEFAULT), 32768);
    struct engine_backend_options wanted = {
        .requests_max = requests,
        .completions_max = requests * 4,
        .buffers_count = {
            power_of_two(or_default(options->buffers_small, BUFFERS_SMALL_DEFAULT), BUFFERS_MAX),
            power_of_two(or_default(options->buffers_large, BUFFERS_LARGE_DEFAULT), BUFFERS_MAX),
            power_of_two(or_default(options->buffers_huge, BUFFERS_HUGE_DEFAULT), BUFFERS_MAX),
        },
    };
    struct engine_reason unread = { .text = "" };
    struct engine_reason *reason = reason_out != NULL ? reason_out : &unread;
    struct engine_loop *loop = calloc(1, sizeof(*loop));
    enum status status;

    if (loop == NULL)
        return STATUS_NO_MEMORY;
    status = ops->create(&wanted, &loop->backend, reason);
    if (status != STATUS_OK) {
        free(loop);
        return status;
    }
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        list_init(&loop->starved[g]);
        loop->buffers_count[g] = wanted.buffers_count[g];
    }
    refresh_clock(loop);
    engine_wheel_init(&loop->wheel, loop->now_ms);
    list_init(&loop->tasks);
    loop->slots_max = or_default(options->owners_max, OWNERS_DEFAULT);
    loop->sends =
        (struct engine_pool){ .bytes = engine_socket_send_bytes, .objects_max = loop->slots_max };
    loop->lingers =
        (struct engine_pool){ .bytes = engine_socket_linger_bytes, .objects_max = loop->slots_max };
    loop->slot_free = ENGINE_SLOT_NONE;
    status = engine_mailbox_open(loop);
    if (status != STATUS_OK) {
        (void)snprintf(reason->text, sizeof(reason->text), "no eventfd for the mailbox: %s",
                       status_text(status));
        ops->destroy(loop->backend);
        free(loop->slots);
        free(loop);
        return status;
    }
    *loop_out = loop;
    return STATUS_OK;
}

void engine_loop_close(struct engine_loop *loop)
{
    ASSERT(!loop->in_turn);
    ASSERT(engine_loop_owners(loop) == 0);
    engine_mailbox_close(loop);
    ASSERT(loop->slots_used == 0);
    loop->is_closed = true;
}

void engine_loop_destroy(struct engine_loop *loop)
{
    if (loop == NULL)
        return;
    if (!loop->is_closed)
        engine_loop_close(loop);
    engine_loop_close_fd(loop, loop->mailbox.bell);
    loop->backend->ops->destroy(loop->backend);
    ASSERT(loop->sends.objects_count == 0 && loop->lingers.objects_count == 0);
    free(loop->slots);
    free(loop);
}

void engine_loop_push(struct engine_loop *loop, const struct engine_request *r)
{
    ASSERT(r->op > ENGINE_OP_NONE && r->op < ENGINE_OP_WOKEN);
    loop->backend->ops->push(loop->backend, r);
}

void engine_loop_close_fd(struct engine_loop *loop, int fd)
{
    ASSERT(fd >= 0);
    loop->backend->ops->fd_close(loop->backend, fd);
}

/* What a completion brings must not leak when nobody is there to take it. */
static void drop_late(struct engine_loop *loop, const struct engine_completion *c)
{
    enum engine_op op = engine_token_op(c->token);

    loop->counters.completions_late++;
    if ((op == ENGINE_OP_ACCEPT || op == ENGINE_OP_OPENAT) && c->result >= 0)
        engine_loop_close_fd(loop, c->result);
}

static struct engine_owner *find_owner(struct engine_loop *loop, uint64_t token)
{
    uint32_t slot = engine_token_slot(token);

    if (slot >= loop->slots_count || loop->slots[slot].generation != engine_token_generation(token))
        return NULL;
    return loop->slots[slot].owner;
}

static enum engine_buffers group_of(enum engine_op op)
{
    switch (op) {
    case ENGINE_OP_RECV: return ENGINE_BUFFERS_SMALL;
    case ENGINE_OP_RECV_LARGE: return ENGINE_BUFFERS_LARGE;
    case ENGINE_OP_RECV_HUGE: return ENGINE_BUFFERS_HUGE;
    default: UNREACHABLE();
    }
}

/* A buffer goes back when its handler has returned, and only when the completion named one. */
static void dispatch(struct engine_loop *loop, const struct engine_completion *c)
{
    enum engine_op op = engine_token_op(c->token);
    struct engine_owner *owner;

    loop->counters.completions++;
    if (op == ENGINE_OP_WOKEN)
        return;
    if (op == ENGINE_OP_WAKE) { /* the other ring could not take it */
        if (c->result < 0)
            loop->backend->ops->bell_ring((int)engine_token_slot(c->token));
        return;
    }
    owner = find_owner(loop, c->token);
    if (owner != NULL)
        owner->complete(owner, c);
    else
        drop_late(loop, c);
    if (c->buffer != ENGINE_BUFFER_NONE) {
        loop->backend->ops->buffer_recycle(loop->backend, group_of(op), c->buffer);
    }
}

static uint64_t time_to_wait(struct engine_loop *loop)
{
    uint64_t wait_ms;

    if (!engine_mailbox_fall_asleep(loop) || !list_is_empty(&loop->tasks))
        return 0;
    wait_ms = engine_wheel_wait_ms(&loop->wheel, loop->backend->ops->now_ms(loop->backend));
    return wait_ms < ENGINE_WAIT_MS_MAX ? wait_ms : ENGINE_WAIT_MS_MAX;
}

static void run_timers(struct engine_loop *loop)
{
    engine_wheel_advance(&loop->wheel, loop->now_ms);
    for (unsigned i = 0; i < ENGINE_TIMERS_BUDGET; i++) {
        struct engine_timer *t = engine_wheel_take(&loop->wheel);

        if (t == NULL)
            break;
        loop->counters.timers_fired++;
        t->handler(t);
    }
}

/* Tasks that are deferred meanwhile wait for the next turn. */
static void run_tasks(struct engine_loop *loop)
{
    struct list running;
    struct list_node *n;

    list_init(&running);
    list_take_all(&running, &loop->tasks);
    while ((n = list_take_first(&running)) != NULL) {
        struct engine_task *task = CONTAINER_OF(n, struct engine_task, node);

        task->handler(task);
    }
}

/* All buffers that this turn's completions named are back. Those that the kernel has given out
 * since belong to completions that will come, so each turn some of the starved get on, and a
 * turn never tries more of them than there are buffers: no spinning, and no timer. */
static void feed_starved(struct engine_loop *loop)
{
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        for (unsigned i = 0; i < loop->buffers_count[g]; i++) {
            struct list_node *n = list_take_first(&loop->starved[g]);

            if (n == NULL)
                break;
            engine_socket_unstarve(n);
        }
    }
}

static bool is_write(const struct engine_completion *c)
{
    return engine_token_op(c->token) == ENGINE_OP_WRITE;
}

/* Writes first: the disk waits for the next one meanwhile, and of the others there may be many. */
static void dispatch_all(struct engine_loop *loop, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_write(&loop->completions[i]))
            dispatch(loop, &loop->completions[i]);
    for (unsigned i = 0; i < count; i++)
        if (!is_write(&loop->completions[i]))
            dispatch(loop, &loop->completions[i]);
}

void engine_loop_turn(struct engine_loop *loop)
{
    uint64_t wait_ms;
    unsigned count;

    ASSERT(!loop->in_turn);
    loop->in_turn = true;
    wait_ms = time_to_wait(loop);
    count = loop->backend->ops->wait(loop->backend, wait_ms, loop->completions,
                                     ENGINE_COMPLETIONS_BUDGET);
    ASSERT(count <= ENGINE_COMPLETIONS_BUDGET);
    engine_mailbox_awake(loop);
    refresh_clock(loop);
    loop->counters.turns++;
    dispatch_all(loop, count);
    engine_mailbox_deliver(loop);
    run_timers(loop);
    run_tasks(loop);
    feed_starved(loop);
    loop->in_turn = false;
}

uint64_t engine_loop_now_ms(const struct engine_loop *loop)
{
    return loop->now_ms;
}

time_t engine_loop_wall_s(const struct engine_loop *loop)
{
    return loop->wall_s;
}

struct engine_backend *engine_loop_backend(struct engine_loop *loop)
{
    return loop->backend;
}

unsigned engine_loop_owners(const struct engine_loop *loop)
{
    return loop->slots_used - (loop->mailbox.slot != ENGINE_SLOT_NONE ? 1 : 0);
}

void engine_loop_defer(struct engine_loop *loop, struct engine_task *task,
                       void (*handler)(struct engine_task *task))
{
    ASSERT(handler != NULL);
    task->handler = handler;
    if (!list_is_linked(&task->node))
        list_append(&loop->tasks, &task->node);
}

void engine_loop_defer_cancel(struct engine_loop *loop, struct engine_task *task)
{
    (void)loop;
    list_remove(&task->node);
}

void engine_loop_counters(const struct engine_loop *loop, struct engine_counters *counters_out)
{
    struct engine_backend_counters backend = { 0 };

    loop->backend->ops->counters(loop->backend, &backend);
    *counters_out = loop->counters;
    counters_out->enters = backend.enters;
    counters_out->cq_overflows = backend.cq_overflows;
}

void engine_timer_start(struct engine_loop *loop, struct engine_timer *timer, uint64_t delay_ms,
                        void (*handler)(struct engine_timer *timer))
{
    ASSERT(handler != NULL);
    timer->handler = handler;
    engine_wheel_start(&loop->wheel, timer, loop->now_ms, delay_ms);
}

void engine_timer_stop(struct engine_loop *loop, struct engine_timer *timer)
{
    engine_wheel_stop(&loop->wheel, timer);
}
