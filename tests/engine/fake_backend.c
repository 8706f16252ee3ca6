#include "tests/engine/fake_backend.h"

#include <errno.h>
#include <stdlib.h>

unsigned fake_bells_rung;

static const size_t buffer_bytes[ENGINE_BUFFERS_COUNT] = { ENGINE_SMALL_BYTES, ENGINE_LARGE_BYTES,
                                                           ENGINE_HUGE_BYTES };

static struct fake_backend *fake_of(struct engine_backend *b)
{
    ASSERT(b->ops == &fake_backend_ops);
    return CONTAINER_OF(b, struct fake_backend, base);
}

struct fake_backend *fake_backend_of(struct engine_loop *loop)
{
    return fake_of(engine_loop_backend(loop));
}

int fake_fd(struct fake_backend *f)
{
    return f->next_fd++;
}

static enum status fake_create(const struct engine_backend_options *options,
                               struct engine_backend **backend_out,
                               struct engine_reason *reason_out)
{
    struct fake_backend *f = calloc(1, sizeof(*f));

    (void)reason_out;
    ASSERT(f != NULL);
    f->base.ops = &fake_backend_ops;
    f->next_fd = FAKE_FD_FIRST;
    f->now_ms = 1000000;
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        f->buffers_count[g] = options->buffers_count[g];
        f->buffers[g] = calloc(options->buffers_count[g], buffer_bytes[g]);
        f->buffer_is_out[g] = calloc(options->buffers_count[g], sizeof(bool));
        ASSERT(f->buffers[g] != NULL && f->buffer_is_out[g] != NULL);
    }
    *backend_out = &f->base;
    return STATUS_OK;
}

static void fake_destroy(struct engine_backend *b)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(f->pending_count == 0 && f->buffers_out == 0);
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++) {
        free(f->buffers[g]);
        free(f->buffer_is_out[g]);
    }
    free(f);
}

static void make_ready(struct fake_backend *f, uint64_t token, int result, uint32_t buffer)
{
    ASSERT(f->ready_count < FAKE_PENDING_MAX);
    f->ready[f->ready_count++] =
        (struct engine_completion){ .token = token, .result = result, .buffer = buffer };
}

static void remove_pending(struct fake_backend *f, unsigned i)
{
    ASSERT(i < f->pending_count);
    f->pending_count--;
    memmove(&f->pending[i], &f->pending[i + 1],
            (f->pending_count - i) * sizeof(struct engine_request));
}

static void cancel(struct fake_backend *f, const struct engine_request *r)
{
    for (unsigned i = 0; i < f->pending_count; i++) {
        if (f->pending[i].token != r->cancel.token)
            continue;
        remove_pending(f, i);
        make_ready(f, r->token, 0, ENGINE_BUFFER_NONE);
        make_ready(f, r->cancel.token, -ECANCELED, ENGINE_BUFFER_NONE);
        return;
    }
    make_ready(f, r->token, -ENOENT, ENGINE_BUFFER_NONE);
}

static void fake_push(struct engine_backend *b, const struct engine_request *r)
{
    struct fake_backend *f = fake_of(b);

    switch (r->op) {
    case ENGINE_OP_CLOSE:
        f->fds_closed++;
        make_ready(f, r->token, 0, ENGINE_BUFFER_NONE);
        return;
    case ENGINE_OP_WAKE:
        if (f->wake_error != 0) {
            make_ready(f, r->token, -f->wake_error, ENGINE_BUFFER_NONE);
            return;
        }
        make_ready(fake_of(r->wake.target), engine_token(ENGINE_OP_WOKEN, 0, 0), 0,
                   ENGINE_BUFFER_NONE);
        return;
    case ENGINE_OP_CANCEL:
        if (!f->holds_cancels) {
            cancel(f, r);
            return;
        }
        break;
    default: break;
    }
    ASSERT(f->pending_count < FAKE_PENDING_MAX);
    f->pending[f->pending_count++] = *r;
}

static unsigned fake_wait(struct engine_backend *b, uint64_t wait_ms,
                          struct engine_completion *completions, unsigned completions_max)
{
    struct fake_backend *f = fake_of(b);
    unsigned count = f->ready_count < completions_max ? f->ready_count : completions_max;

    f->waits++;
    f->counters.enters++;
    if (count == 0)
        f->now_ms += wait_ms;
    memcpy(completions, f->ready, count * sizeof(*completions));
    f->ready_count -= count;
    memmove(f->ready, f->ready + count, f->ready_count * sizeof(*completions));
    return count;
}

static const char *fake_buffer_data(struct engine_backend *b, enum engine_buffers g,
                                    uint32_t buffer)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(buffer < f->buffers_count[g] && f->buffer_is_out[g][buffer]);
    return f->buffers[g] + buffer * buffer_bytes[g];
}

static void fake_buffer_recycle(struct engine_backend *b, enum engine_buffers g, uint32_t buffer)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(buffer < f->buffers_count[g] && f->buffer_is_out[g][buffer]);
    f->buffer_is_out[g][buffer] = false;
    f->buffers_out--;
    memset(f->buffers[g] + buffer * buffer_bytes[g], 'X', buffer_bytes[g]);
}

static uint64_t fake_now_ms(struct engine_backend *b)
{
    return fake_of(b)->now_ms;
}

static time_t fake_wall_s(struct engine_backend *b)
{
    return (time_t)(fake_of(b)->now_ms / 1000);
}

static int fake_socket_open(struct engine_backend *b, const struct ip_endpoint *remote,
                            const struct ip_endpoint *local_or_null)
{
    struct fake_backend *f = fake_of(b);

    (void)remote;
    (void)local_or_null;
    return f->socket_open_error != 0 ? -f->socket_open_error : fake_fd(f);
}

static void fake_socket_reset_on_close(struct engine_backend *b, int fd)
{
    (void)fd;
    fake_of(b)->resets++;
}

static int fake_socket_tls_start(struct engine_backend *b, int fd)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(fd >= FAKE_FD_FIRST);
    f->tls_starts++;
    return -f->tls_start_error;
}

static int fake_socket_tls_key(struct engine_backend *b, int fd,
                               enum engine_tls_direction direction, const void *key,
                               unsigned key_bytes)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(fd >= FAKE_FD_FIRST && key != NULL && key_bytes > 0);
    f->tls_keys[direction]++;
    return -f->tls_key_error;
}

static void fake_socket_shut(struct engine_backend *b, int fd)
{
    ASSERT(fd >= FAKE_FD_FIRST);
    fake_of(b)->fins_sent++;
}

static void fake_socket_take_error(struct engine_backend *b, int fd)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(fd >= FAKE_FD_FIRST);
    f->errors_taken++;
}

static int fake_socket_tls_record(struct engine_backend *b, int fd, uint8_t *type_out, char *into,
                                  size_t room)
{
    struct fake_backend *f = fake_of(b);

    ASSERT(fd >= FAKE_FD_FIRST && room >= f->tls_record.len);
    if (f->tls_record.len == 0)
        return -EAGAIN;
    memcpy(into, f->tls_record.data, f->tls_record.len);
    *type_out = f->tls_record_type;
    f->tls_records_taken++;
    return (int)f->tls_record.len;
}

static bool fake_socket_local(struct engine_backend *b, int fd, struct ip_endpoint *local_out)
{
    (void)b;
    (void)fd;
    (void)local_out;
    return false;
}

static int fake_bell_open(struct engine_backend *b)
{
    return fake_fd(fake_of(b));
}

static void fake_bell_ring(int bell)
{
    ASSERT(bell >= FAKE_FD_FIRST);
    fake_bells_rung++;
}

static void fake_fd_close(struct engine_backend *b, int fd)
{
    ASSERT(fd >= FAKE_FD_FIRST);
    fake_of(b)->fds_closed++;
}

static void fake_counters(const struct engine_backend *b, struct engine_backend_counters *out)
{
    *out = CONTAINER_OF(b, struct fake_backend, base)->counters;
}

const struct engine_backend_ops fake_backend_ops = {
    .create = fake_create,
    .destroy = fake_destroy,
    .push = fake_push,
    .wait = fake_wait,
    .buffer_data = fake_buffer_data,
    .buffer_recycle = fake_buffer_recycle,
    .now_ms = fake_now_ms,
    .wall_s = fake_wall_s,
    .socket_open = fake_socket_open,
    .socket_reset_on_close = fake_socket_reset_on_close,
    .socket_local = fake_socket_local,
    .socket_tls_start = fake_socket_tls_start,
    .socket_tls_key = fake_socket_tls_key,
    .socket_tls_record = fake_socket_tls_record,
    .socket_shut = fake_socket_shut,
    .socket_take_error = fake_socket_take_error,
    .bell_open = fake_bell_open,
    .bell_ring = fake_bell_ring,
    .fd_close = fake_fd_close,
    .counters = fake_counters,
};

static unsigned find(const struct fake_backend *f, enum engine_op op, int fd)
{
    unsigned i = 0;

    while (i < f->pending_count && (f->pending[i].op != op || (fd >= 0 && f->pending[i].fd != fd)))
        i++;
    return i;
}

const struct engine_request *fake_pending(const struct fake_backend *f, enum engine_op op, int fd)
{
    unsigned i = find(f, op, fd);

    return i < f->pending_count ? &f->pending[i] : NULL;
}

void fake_complete(struct fake_backend *f, enum engine_op op, int fd, int result)
{
    unsigned i = find(f, op, fd);

    ASSERT(i < f->pending_count);
    make_ready(f, f->pending[i].token, result, ENGINE_BUFFER_NONE);
    remove_pending(f, i);
}

static uint32_t take_buffer(struct fake_backend *f, enum engine_buffers g)
{
    for (uint32_t i = 0; i < f->buffers_count[g]; i++) {
        if (f->buffer_is_out[g][i])
            continue;
        f->buffer_is_out[g][i] = true;
        f->buffers_out++;
        return i;
    }
    return ENGINE_BUFFER_NONE;
}

bool fake_receive(struct fake_backend *f, int fd, struct slice bytes)
{
    unsigned i = find(f, ENGINE_OP_RECV, fd);
    enum engine_buffers group;
    uint32_t buffer;

    ASSERT(i < f->pending_count);
    group = f->pending[i].recv.group;
    ASSERT(bytes.len > 0 && bytes.len <= buffer_bytes[group]);
    buffer = take_buffer(f, group);
    if (buffer == ENGINE_BUFFER_NONE) {
        fake_complete(f, ENGINE_OP_RECV, fd, -ENOBUFS);
        return false;
    }
    memcpy(f->buffers[group] + buffer * buffer_bytes[group], bytes.data, bytes.len);
    make_ready(f, f->pending[i].token, (int)bytes.len, buffer);
    remove_pending(f, i);
    return true;
}

void fake_inject(struct fake_backend *f, uint64_t token, int result, bool with_buffer)
{
    make_ready(f, token, result,
               with_buffer ? take_buffer(f, ENGINE_BUFFERS_SMALL) : ENGINE_BUFFER_NONE);
}
