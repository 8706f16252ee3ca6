#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>

#include "engine/core.h"

#define CHUNK_BYTES_MAX (1u << 30) /* of one request; the kernel takes at most 2 GiB - 4 KiB */
#define RETRIES_MAX     100        /* of EINTR and EAGAIN in a row */

_Static_assert(CHUNK_BYTES_MAX % 4096 == 0, "a cut keeps the alignment of direct writes");

static void push(struct engine_file_request *r)
{
    r->request.token = engine_owner_token(r->loop, r->request.op, r->slot);
    engine_loop_push(r->loop, &r->request);
}

static void finish(struct engine_file_request *r, int error, size_t bytes)
{
    ASSERT(r->busy);
    if (r->slot != ENGINE_SLOT_NONE)
        engine_owner_release(r->loop, r->slot);
    r->slot = ENGINE_SLOT_NONE;
    r->busy = false;
    r->error = error;
    r->handler(r, status_from_errno(error), bytes); /* r may be gone now */
}

static uint32_t chunk(size_t bytes)
{
    return bytes < CHUNK_BYTES_MAX ? (uint32_t)bytes : CHUNK_BYTES_MAX;
}

/* Moves the request on behind the bytes that are done. False when none are left to do. */
static bool advance(struct engine_file_request *r, size_t bytes)
{
    struct engine_request *q = &r->request;

    ASSERT(bytes <= r->bytes - r->done);
    r->done += bytes;
    if (q->op == ENGINE_OP_READ) {
        q->read.data += bytes;
        q->read.offset += bytes;
        q->read.len = chunk(r->bytes - r->done);
    } else {
        q->write.data += bytes;
        q->write.offset += bytes;
        q->write.len = chunk(r->bytes - r->done);
    }
    return r->done < r->bytes;
}

static void complete(struct engine_owner *owner, const struct engine_completion *c)
{
    struct engine_file_request *r = CONTAINER_OF(owner, struct engine_file_request, owner);
    enum engine_op op = r->request.op;
    bool moves_bytes = op == ENGINE_OP_READ || op == ENGINE_OP_WRITE;

    ASSERT(r->busy && engine_token_op(c->token) == op);
    if ((c->result == -EINTR || c->result == -EAGAIN) && r->retries++ < RETRIES_MAX) {
        push(r);
    } else if (c->result < 0) {
        finish(r, -c->result, r->done);
    } else if (!moves_bytes) {
        finish(r, 0, (size_t)c->result);
    } else if ((size_t)c->result > r->bytes - r->done) {
        finish(r, EPROTO, r->done); /* more than was asked for: not to be believed */
    } else if (c->result == 0) {
        /* The end of the file for a read; a write that takes nothing would go on for ever. */
        finish(r, op == ENGINE_OP_READ || r->bytes == 0 ? 0 : EIO, r->done);
    } else if (advance(r, (size_t)c->result)) {
        r->retries = 0;
        push(r);
    } else {
        finish(r, 0, r->done);
    }
}

static void run_late(struct engine_task *task)
{
    finish(CONTAINER_OF(task, struct engine_file_request, late), ENOMEM, 0);
}

static void begin(struct engine_loop *loop, struct engine_file_request *r, size_t bytes,
                  const struct engine_request *request, engine_file_handler *handler)
{
    ASSERT(!r->busy && !list_is_linked(&r->late.node));
    ASSERT(handler != NULL);
    *r = (struct engine_file_request){ .owner = { .complete = complete },
                                       .loop = loop,
                                       .handler = handler,
                                       .request = *request,
                                       .bytes = bytes,
                                       .slot = ENGINE_SLOT_NONE,
                                       .busy = true };
    loop->counters.file_requests++;
    if (engine_owner_acquire(loop, &r->owner, &r->slot) == STATUS_OK)
        push(r);
    else
        engine_loop_defer(loop, &r->late, run_late);
}

void engine_file_read(struct engine_loop *loop, struct engine_file_request *r, int fd, char *data,
                      size_t bytes, uint64_t offset, engine_file_handler *handler)
{
    struct engine_request q = {
        .op = ENGINE_OP_READ,
        .fd = fd,
        .read = { .data = data, .len = chunk(bytes), .offset = offset },
    };

    ASSERT(fd >= 0 && data != NULL);
    begin(loop, r, bytes, &q, handler);
}

void engine_file_write(struct engine_loop *loop, struct engine_file_request *r, int fd,
                       const char *data, size_t bytes, uint64_t offset, bool durable,
                       engine_file_handler *handler)
{
    struct engine_request q = {
        .op = ENGINE_OP_WRITE,
        .fd = fd,
        .write = { .data = data, .len = chunk(bytes), .offset = offset, .durable = durable },
    };

    ASSERT(fd >= 0 && data != NULL);
    begin(loop, r, bytes, &q, handler);
}

void engine_file_open(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                      const char *path, int flags, mode_t mode, engine_file_handler *handler)
{
    struct engine_request q = {
        .op = ENGINE_OP_OPENAT,
        .fd = directory_fd,
        .openat = { .path = path, .flags = flags | O_CLOEXEC, .mode = mode },
    };

    ASSERT(path != NULL);
    begin(loop, r, 0, &q, handler);
}

void engine_file_fallocate(struct engine_loop *loop, struct engine_file_request *r, int fd,
                           int mode, uint64_t offset, uint64_t bytes, engine_file_handler *handler)
{
    struct engine_request q = {
        .op = ENGINE_OP_FALLOCATE,
        .fd = fd,
        .fallocate = { .mode = mode, .offset = offset, .len = bytes },
    };

    ASSERT(fd >= 0);
    begin(loop, r, 0, &q, handler);
}

void engine_file_sync(struct engine_loop *loop, struct engine_file_request *r, int fd,
                      bool data_only, engine_file_handler *handler)
{
    struct engine_request q = { .op = ENGINE_OP_FSYNC,
                                .fd = fd,
                                .fsync = { .data_only = data_only } };

    ASSERT(fd >= 0);
    begin(loop, r, 0, &q, handler);
}

void engine_file_unlink(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                        const char *path, engine_file_handler *handler)
{
    struct engine_request q = { .op = ENGINE_OP_UNLINKAT,
                                .fd = directory_fd,
                                .unlinkat = { .path = path } };

    ASSERT(path != NULL);
    begin(loop, r, 0, &q, handler);
}

bool engine_file_is_busy(const struct engine_file_request *r)
{
    return r->busy;
}

int engine_file_error(const struct engine_file_request *r)
{
    return r->error;
}
