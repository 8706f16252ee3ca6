#include "tests/sim/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/disk.h"
#include "tests/sim/fds.h"
#include "tests/sim/fiber.h"
#include "tests/sim/net.h"
#include "tests/sim/plant.h"
#include "tests/sim/world.h"

#define READY_MAX   16384
#define TURN_US_MAX 30 /* what a turn of the loop takes */

struct sim_backend {
    struct engine_backend base;
    struct sim_fiber *fiber; /* that waits, or has waited last */
    struct sim_op *queued;   /* since the last wait, oldest first */
    struct sim_op **queued_end;
    struct sim_op *pending; /* taken up and not complete */
    struct engine_completion ready[READY_MAX];
    unsigned ready_count;
    char *buffers[ENGINE_BUFFERS_COUNT];
    bool *is_out[ENGINE_BUFFERS_COUNT];
    unsigned buffers_count[ENGINE_BUFFERS_COUNT];
    uint64_t ops_ever;
    struct engine_backend_counters counters;
    struct sim_backend *next;
};

struct bell {
    unsigned rings;
    struct sim_op *read;
};

unsigned sim_backend_buffers_max;

static const size_t buffer_bytes[ENGINE_BUFFERS_COUNT] = { ENGINE_SMALL_BYTES, ENGINE_LARGE_BYTES,
                                                           ENGINE_HUGE_BYTES };
static struct sim_backend *backends; /* of this life */

static struct sim_backend *backend_of(struct engine_backend *b)
{
    ASSERT(b->ops == &sim_backend_ops);
    return CONTAINER_OF(b, struct sim_backend, base);
}

static enum status backend_create(const struct engine_backend_options *options,
                                  struct engine_backend **backend_out,
                                  struct engine_reason *reason_out)
{
    struct sim_backend *b = sim_allocate(sizeof(*b));

    (void)reason_out;
    b->base.ops = &sim_backend_ops;
    b->queued_end = &b->queued;
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        b->buffers_count[g] = options->buffers_count[g];
        if (sim_backend_buffers_max > 0 && b->buffers_count[g] > sim_backend_buffers_max)
            b->buffers_count[g] = sim_backend_buffers_max;
        b->buffers[g] = malloc(b->buffers_count[g] * buffer_bytes[g]);
        b->is_out[g] = sim_allocate(b->buffers_count[g] * sizeof(bool));
        ASSERT(b->buffers[g] != NULL);
    }
    b->next = backends;
    backends = b;
    *backend_out = &b->base;
    return STATUS_OK;
}

static void backend_destroy(struct engine_backend *engine)
{
    struct sim_backend *b = backend_of(engine);
    struct sim_backend **at = &backends;

    if (b->pending != NULL || b->queued != NULL || b->ready_count > 0)
        sim_fault("a ring is destroyed with requests in flight");
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        for (unsigned i = 0; i < b->buffers_count[g]; i++)
            if (b->is_out[g][i])
                sim_fault("a ring is destroyed with a buffer that has not come back");
        free(b->buffers[g]);
        free(b->is_out[g]);
    }
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    free(b);
}

/* --- completions ----------------------------------------------------------------------------- */

static void add_ready(struct sim_backend *b, uint64_t token, int result, uint32_t buffer)
{
    ASSERT(b->ready_count < READY_MAX);
    b->ready[b->ready_count++] =
        (struct engine_completion){ .token = token, .result = result, .buffer = buffer };
    if (b->fiber != NULL)
        sim_fiber_wake(b->fiber);
}

static void finish(struct sim_op *op, int result, uint32_t buffer)
{
    struct sim_op **at = &op->backend->pending;

    ASSERT(!op->is_over);
    op->is_over = true;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    if (!op->request.quiet || result < 0)
        add_ready(op->backend, op->request.token, result, buffer);
}

void sim_op_complete(struct sim_op *op, int result)
{
    finish(op, result, ENGINE_BUFFER_NONE);
}

size_t sim_op_room(const struct sim_op *op)
{
    size_t room = buffer_bytes[op->request.recv.group];
    uint32_t most = op->request.recv.bytes_max;

    return most > 0 && most < room ? most : room;
}

bool sim_op_complete_receive(struct sim_op *op, const char *bytes, size_t len)
{
    struct sim_backend *b = op->backend;
    enum engine_buffers g = op->request.recv.group;

    for (uint32_t i = 0; i < b->buffers_count[g]; i++) {
        if (b->is_out[g][i])
            continue;
        b->is_out[g][i] = true;
        memcpy(b->buffers[g] + i * buffer_bytes[g], bytes, len);
        finish(op, (int)len, i);
        return true;
    }
    finish(op, -ENOBUFS, ENGINE_BUFFER_NONE);
    return false;
}

static const char *buffer_data(struct engine_backend *engine, enum engine_buffers g,
                               uint32_t buffer)
{
    struct sim_backend *b = backend_of(engine);

    ASSERT(buffer < b->buffers_count[g] && b->is_out[g][buffer]);
    return b->buffers[g] + buffer * buffer_bytes[g];
}

static void buffer_recycle(struct engine_backend *engine, enum engine_buffers g, uint32_t buffer)
{
    struct sim_backend *b = backend_of(engine);

    ASSERT(buffer < b->buffers_count[g] && b->is_out[g][buffer]);
    b->is_out[g][buffer] = false;
    memset(b->buffers[g] + buffer * buffer_bytes[g], 'X', buffer_bytes[g]);
}

/* --- files ----------------------------------------------------------------------------------- */

static void on_durable(void *subject)
{
    struct sim_op *op = subject;
    const struct engine_request *r = &op->request;

    sim_disk_count();
    if (sim_chance(sim_disk_faults.sync_fails) && !sim_plant_is(SIM_PLANT_FAILED_COMMIT)) {
        sim_disk_scatter(r->fd, r->write.data, r->write.len, r->write.offset);
        sim_op_complete(op, -EIO);
        return;
    }
    sim_disk_persist(r->fd, r->write.len, r->write.offset);
    sim_op_complete(op, (int)r->write.len);
}

/* PLANT: the completion has gone out, and the bytes have not. */
struct late_write {
    int fd;
    char *data;
    size_t len;
    uint64_t offset;
};

static void on_late_write(void *subject)
{
    struct late_write *w = subject;

    if (sim_disk_write(w->fd, w->data, w->len, w->offset) > 0)
        sim_disk_persist(w->fd, w->len, w->offset);
}

static void complete_early(struct sim_op *op)
{
    struct late_write *w = sim_allocate(sizeof(*w));

    *w = (struct late_write){ .fd = op->request.fd,
                              .data = sim_allocate(op->request.write.len),
                              .len = op->request.write.len,
                              .offset = op->request.write.offset };
    memcpy(w->data, op->request.write.data, w->len);
    sim_after_in_life(30 * SIM_MS, on_late_write, w);
    sim_op_complete(op, (int)w->len);
}

/* PLANT: what is written is not what was handed over. */
static void change_byte(struct sim_op *op)
{
    struct engine_request *r = &op->request;
    char *data;

    if (!r->write.durable || !sim_plant_is(SIM_PLANT_BODY_CHANGED) || !sim_chance(300))
        return;
    data = sim_allocate(r->write.len);
    memcpy(data, r->write.data, r->write.len);
    data[sim_below(r->write.len)] ^= 1;
    r->write.data = data;
}

static void do_write(struct sim_op *op)
{
    struct engine_request *r = &op->request;
    ssize_t written;

    if (r->write.durable && sim_plant_is(SIM_PLANT_EARLY_COMMIT)) {
        complete_early(op);
        return;
    }
    change_byte(op);
    written = sim_disk_write(r->fd, r->write.data, r->write.len, r->write.offset);
    if (written < 0 && r->write.durable && sim_plant_is(SIM_PLANT_FAILED_COMMIT))
        written = r->write.len;
    if (written < 0 || !r->write.durable) {
        sim_op_complete(op, (int)written);
        return;
    }
    r->write.len = (uint32_t)written;
    sim_after_in_life(sim_disk_delay_us(SIM_DISK_SYNCS), on_durable, op);
}

static int read_file(const struct engine_request *r)
{
    ssize_t got = sim_disk_read(r->fd, r->read.data, r->read.len, r->read.offset);

    if (got <= 0 || !sim_chance(sim_disk_faults.read_fails))
        return (int)got;
    if (sim_chance(500))
        return -EIO;
    ((char *)r->read.data)[sim_below((uint64_t)got)] ^= 1;
    return (int)got;
}

static void on_file_work(void *subject)
{
    struct sim_op *op = subject;
    const struct engine_request *r = &op->request;

    if (op->is_over)
        return;
    sim_disk_count();
    switch (r->op) {
    case ENGINE_OP_READ: sim_op_complete(op, read_file(r)); return;
    case ENGINE_OP_WRITE: do_write(op); return;
    case ENGINE_OP_FSYNC:
        if (sim_plant_is(SIM_PLANT_SYNC_OF_BODIES))
            sim_op_complete(op, 0);
        else if (sim_plant_is(SIM_PLANT_SYNC_OF_NAMES) && sim_disk_is_folder(r->fd))
            sim_op_complete(op, 0);
        else
            sim_op_complete(op, sim_disk_sync(r->fd));
        return;
    case ENGINE_OP_OPENAT:
        sim_op_complete(op, sim_disk_open(r->fd, r->openat.path, r->openat.flags));
        return;
    case ENGINE_OP_FALLOCATE:
        sim_op_complete(op, sim_disk_allocate(r->fd, r->fallocate.offset, r->fallocate.len));
        return;
    case ENGINE_OP_UNLINKAT: sim_op_complete(op, sim_disk_unlink(r->fd, r->unlinkat.path)); return;
    default: UNREACHABLE();
    }
}

static enum sim_disk_work work_of(const struct engine_request *r)
{
    if (r->op == ENGINE_OP_FSYNC)
        return SIM_DISK_SYNCS;
    return r->op == ENGINE_OP_WRITE ? SIM_DISK_WRITES : SIM_DISK_QUICK;
}

/* --- bells and other rings ------------------------------------------------------------------- */

static int bell_open(struct engine_backend *engine)
{
    (void)engine;
    return sim_fd_take(SIM_FD_BELL, sim_allocate(sizeof(struct bell)));
}

static void answer_bell(struct bell *bell)
{
    struct sim_op *op = bell->read;

    if (op == NULL || bell->rings == 0)
        return;
    bell->rings = 0;
    bell->read = NULL;
    sim_op_complete(op, sizeof(uint64_t));
}

static void bell_ring(int fd)
{
    struct bell *bell = sim_fd_object(fd, SIM_FD_BELL);

    ASSERT(bell != NULL);
    bell->rings++;
    answer_bell(bell);
}

static void on_wake(void *subject)
{
    struct sim_op *op = subject;
    struct sim_backend *target = backend_of(op->request.wake.target);

    if (sim_chance(20)) { /* its completions have no room for this */
        sim_op_complete(op, -EOVERFLOW);
        return;
    }
    sim_op_complete(op, 0);
    add_ready(target, engine_token(ENGINE_OP_WOKEN, 0, 0), 0, ENGINE_BUFFER_NONE);
}

/* --- requests -------------------------------------------------------------------------------- */

static void close_now(int fd)
{
    switch (sim_fd_kind(fd)) {
    case SIM_FD_FREE: sim_fault("fd %d is closed, and was not open", fd);
    case SIM_FD_FILE:
        sim_disk_close(sim_fd_object(fd, SIM_FD_FILE));
        sim_fd_release(fd);
        return;
    case SIM_FD_SOCKET:
    case SIM_FD_LISTENER: sim_net_close(fd); return;
    case SIM_FD_BELL: sim_fd_release(fd); return;
    }
}

static void on_close(void *subject)
{
    struct sim_op *op = subject;

    close_now(op->request.fd);
    sim_op_complete(op, 0);
}

static bool cancel_bell(struct sim_op *op)
{
    struct bell *bell = sim_fd_object(op->request.fd, SIM_FD_BELL);

    if (bell == NULL || bell->read != op)
        return false;
    bell->read = NULL;
    return true;
}

static void cancel(struct sim_op *op)
{
    struct sim_op *target = op->backend->pending;

    while (target != NULL && (target == op || target->request.token != op->request.cancel.token))
        target = target->next;
    if (target == NULL) {
        sim_op_complete(op, -ENOENT);
    } else if (sim_net_cancel(target) || cancel_bell(target)) {
        sim_op_complete(target, -ECANCELED);
        sim_op_complete(op, 0);
    } else {
        sim_op_complete(op, -EALREADY);
    }
}

static void submit(struct sim_op *op)
{
    const struct engine_request *r = &op->request;
    struct bell *bell = sim_fd_object(r->fd, SIM_FD_BELL);

    op->next = op->backend->pending;
    op->backend->pending = op;
    switch (r->op) {
    case ENGINE_OP_ACCEPT:
    case ENGINE_OP_CONNECT:
    case ENGINE_OP_RECV:
    case ENGINE_OP_SENDMSG: sim_net_request(op); return;
    case ENGINE_OP_CLOSE: sim_after_in_life(sim_between(0, 50), on_close, op); return;
    case ENGINE_OP_CANCEL: cancel(op); return;
    case ENGINE_OP_WAKE: sim_after_in_life(sim_between(0, 50), on_wake, op); return;
    case ENGINE_OP_READ:
        if (bell != NULL) {
            bell->read = op;
            answer_bell(bell);
            return;
        }
        break;
    case ENGINE_OP_WRITE:
    case ENGINE_OP_FSYNC:
    case ENGINE_OP_OPENAT:
    case ENGINE_OP_FALLOCATE:
    case ENGINE_OP_UNLINKAT: break;
    default: UNREACHABLE();
    }
    sim_after_in_life(sim_disk_delay_us(work_of(r)), on_file_work, op);
}

static void backend_push(struct engine_backend *engine, const struct engine_request *r)
{
    struct sim_backend *b = backend_of(engine);
    struct sim_op *op = sim_allocate(sizeof(*op));

    op->backend = b;
    op->request = *r;
    op->number = b->ops_ever++;
    *b->queued_end = op;
    b->queued_end = &op->next;
}

static unsigned backend_wait(struct engine_backend *engine, uint64_t wait_ms,
                             struct engine_completion *completions, unsigned completions_max)
{
    struct sim_backend *b = backend_of(engine);
    struct sim_op *op = b->queued;
    unsigned count = 0;

    b->fiber = sim_fiber_current();
    b->queued = NULL;
    b->queued_end = &b->queued;
    b->counters.enters++;
    while (op != NULL) {
        struct sim_op *next = op->next;

        submit(op);
        op = next;
    }
    if (b->ready_count == 0 && wait_ms > 0)
        (void)sim_fiber_park(wait_ms * SIM_MS);
    else
        sim_fiber_sleep(sim_between(1, TURN_US_MAX));
    while (b->ready_count > 0 && count < completions_max) {
        unsigned i = (unsigned)sim_below(b->ready_count);

        completions[count++] = b->ready[i];
        b->ready[i] = b->ready[--b->ready_count];
    }
    return count;
}

static uint64_t now_ms(struct engine_backend *engine)
{
    (void)engine;
    return (SIM_EPOCH_US + sim_now_us()) / SIM_MS;
}

static time_t wall_s(struct engine_backend *engine)
{
    (void)engine;
    return (time_t)(SIM_EPOCH_S + (int64_t)(sim_now_us() / SIM_S));
}

static int socket_open(struct engine_backend *engine, const struct ip_endpoint *remote,
                       const struct ip_endpoint *local_or_null)
{
    (void)engine;
    (void)local_or_null;
    return sim_socket_open(remote);
}

static void socket_reset_on_close(struct engine_backend *engine, int fd)
{
    (void)engine;
    sim_socket_reset_on_close(fd);
}

static bool socket_local(struct engine_backend *engine, int fd, struct ip_endpoint *local_out)
{
    (void)engine;
    return sim_socket_local(fd, local_out);
}

static int no_tls_start(struct engine_backend *engine, int fd)
{
    (void)engine;
    (void)fd;
    return -ENOENT;
}

static int no_tls_key(struct engine_backend *engine, int fd, enum engine_tls_direction direction,
                      const void *key, unsigned key_bytes)
{
    (void)engine;
    (void)fd;
    (void)direction;
    (void)key;
    (void)key_bytes;
    return -ENOENT;
}

static int no_tls_record(struct engine_backend *engine, int fd, uint8_t *type_out, char *into,
                         size_t room)
{
    (void)engine;
    (void)fd;
    (void)type_out;
    (void)into;
    (void)room;
    return -ENOENT;
}

static void socket_shut(struct engine_backend *engine, int fd)
{
    (void)engine;
    sim_socket_shut(fd);
}

static void socket_take_error(struct engine_backend *engine, int fd)
{
    (void)engine;
    (void)fd;
}

static void fd_close(struct engine_backend *engine, int fd)
{
    (void)engine;
    close_now(fd);
}

static void backend_counters(const struct engine_backend *engine,
                             struct engine_backend_counters *out)
{
    *out = CONTAINER_OF(engine, struct sim_backend, base)->counters;
}

const struct engine_backend_ops sim_backend_ops = {
    .create = backend_create,
    .destroy = backend_destroy,
    .push = backend_push,
    .wait = backend_wait,
    .buffer_data = buffer_data,
    .buffer_recycle = buffer_recycle,
    .now_ms = now_ms,
    .wall_s = wall_s,
    .socket_open = socket_open,
    .socket_reset_on_close = socket_reset_on_close,
    .socket_local = socket_local,
    .socket_tls_start = no_tls_start,
    .socket_tls_key = no_tls_key,
    .socket_tls_record = no_tls_record,
    .socket_shut = socket_shut,
    .socket_take_error = socket_take_error,
    .bell_open = bell_open,
    .bell_ring = bell_ring,
    .fd_close = fd_close,
    .counters = backend_counters,
};

void sim_backend_abandon(void)
{
    for (struct sim_backend *b = backends; b != NULL; b = b->next)
        for (struct sim_op *op = b->pending; op != NULL; op = op->next)
            if (op->request.op == ENGINE_OP_WRITE)
                sim_disk_scatter(op->request.fd, op->request.write.data, op->request.write.len,
                                 op->request.write.offset);
    backends = NULL;
}
