#include "gateway/body.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/receipt.h"
#include "gateway/worker.h"

static struct gateway_body *body_of(struct spool_body_storage *s)
{
    return CONTAINER_OF(s, struct gateway_body, storage);
}

static struct gateway_body *body_of_request(struct engine_file_request *r)
{
    return CONTAINER_OF(r, struct gateway_body, request);
}

static void answer(struct gateway_body *body, enum status status)
{
    spool_body_file_answer(&body->file, status);
    if (body->receipt != NULL)
        gateway_receipt_body_moved(body->receipt);
    else if (spool_body_file_state(&body->file) == SPOOL_BODY_GONE)
        gateway_body_destroy(body);
}

static void on_step(struct engine_file_request *request, enum status status, size_t bytes)
{
    (void)bytes;
    answer(body_of_request(request), status);
}

static void close_file(struct gateway_body *body)
{
    if (body->fd >= 0)
        (void)close(body->fd);
    body->fd = -1;
}

static void on_left(struct engine_file_request *request, enum status status, size_t bytes)
{
    (void)status;
    (void)bytes;
    answer(body_of_request(request), STATUS_NO_SPACE);
}

/* Without room for it the file is not left behind. Some file systems cannot allocate: there the
 * writes will tell. */
static void on_allocated(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_body *body = body_of_request(request);

    (void)bytes;
    if (status != STATUS_NO_SPACE) {
        answer(body, STATUS_OK);
        return;
    }
    close_file(body);
    engine_file_unlink(body->worker->loop, &body->request,
                       body->worker->process->directory.bodies_fd, body->name, on_left);
}

static void on_open(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_body *body = body_of_request(request);

    if (status != STATUS_OK) {
        /* No descriptor: a limit of ours, and none of the message's. */
        answer(body, status == STATUS_LIMIT ? STATUS_NO_MEMORY : status);
        return;
    }
    body->fd = (int)bytes;
    if (body->bytes_hint > 0)
        engine_file_fallocate(body->worker->loop, &body->request, body->fd, 0, 0, body->bytes_hint,
                              on_allocated);
    else
        answer(body, STATUS_OK);
}

/* What streams through in large pieces would only push better things out of the page cache, and a
 * copy of it costs more than to have the disk take it from where it is. */
int gateway_body_flags(const struct gateway_worker *worker)
{
    return worker->process->bodies_are_direct ? O_DIRECT : 0;
}

static void create_file(struct spool_body_storage *s, const char *name, uint64_t bytes_hint)
{
    struct gateway_body *body = body_of(s);

    body->bytes_hint = bytes_hint;
    memcpy(body->name, name, sizeof(body->name));
    engine_file_open(body->worker->loop, &body->request, body->worker->process->directory.bodies_fd,
                     body->name, O_WRONLY | O_CREAT | O_EXCL | gateway_body_flags(body->worker),
                     0600, on_open);
}

static void write_file(struct spool_body_storage *s, const char *data, size_t bytes,
                       uint64_t offset)
{
    struct gateway_body *body = body_of(s);

    engine_file_write(body->worker->loop, &body->request, body->fd, data, bytes, offset, false,
                      on_step);
}

static void on_file_synced(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_body *body = body_of_request(request);

    (void)bytes;
    close_file(body);
    if (status != STATUS_OK)
        answer(body, status);
    else
        engine_file_sync(body->worker->loop, &body->request,
                         body->worker->process->directory.bodies_fd, false, on_step);
}

static void sync_file(struct spool_body_storage *s)
{
    struct gateway_body *body = body_of(s);

    engine_file_sync(body->worker->loop, &body->request, body->fd, false, on_file_synced);
}

static void unlink_file(struct spool_body_storage *s, const char *name)
{
    struct gateway_body *body = body_of(s);

    close_file(body);
    memcpy(body->name, name, sizeof(body->name));
    engine_file_unlink(body->worker->loop, &body->request,
                       body->worker->process->directory.bodies_fd, body->name, on_step);
}

static const struct spool_body_storage_ops body_ops = {
    .create = create_file,
    .write = write_file,
    .sync = sync_file,
    .unlink = unlink_file,
};

enum status gateway_body_create(struct gateway_worker *worker, struct gateway_receipt *receipt,
                                uint64_t mid, uint64_t bytes_hint, size_t chunk_bytes,
                                struct gateway_body **body_out)
{
    struct gateway_body *body = calloc(1, sizeof(*body));
    enum status status;

    if (body == NULL)
        return STATUS_NO_MEMORY;
    body->worker = worker;
    body->receipt = receipt;
    body->fd = -1;
    body->storage.ops = &body_ops;
    status = spool_body_file_start(&body->file, &body->storage, mid, bytes_hint, chunk_bytes);
    if (status != STATUS_OK) {
        free(body);
        return status;
    }
    *body_out = body;
    return STATUS_OK;
}

void gateway_body_destroy(struct gateway_body *body)
{
    if (body == NULL)
        return;
    ASSERT(spool_body_file_is_quiet(&body->file));
    close_file(body);
    spool_body_file_finish(&body->file);
    free(body);
}

void gateway_body_abandon(struct gateway_body *body)
{
    body->receipt = NULL;
    spool_body_file_abort(&body->file);
    if (spool_body_file_state(&body->file) == SPOOL_BODY_GONE)
        gateway_body_destroy(body);
}

struct unlinking {
    struct engine_file_request request;
    char name[SPOOL_BODY_NAME_MAX];
};

static void on_unlinked(struct engine_file_request *request, enum status status, size_t bytes)
{
    (void)status;
    (void)bytes;
    free(CONTAINER_OF(request, struct unlinking, request));
}

void gateway_body_unlink(struct gateway_worker *worker, uint64_t mid)
{
    struct unlinking *u = calloc(1, sizeof(*u));

    if (u == NULL)
        return;
    (void)spool_body_name(mid, u->name);
    engine_file_unlink(worker->loop, &u->request, worker->process->directory.bodies_fd, u->name,
                       on_unlinked);
}
