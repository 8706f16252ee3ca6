#include "gateway/original.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "delivery/dsn.h"
#include "gateway/worker.h"

void gateway_originals_init(struct gateway_originals *originals)
{
    *originals = (struct gateway_originals){ 0 };
    list_init(&originals->waiting);
}

static void start_next(struct gateway_worker *w);

/* The end of every reading; the next one may begin. */
static void finish(struct gateway_original *o, enum status status)
{
    struct gateway_worker *w = o->worker;
    struct slice trace = spool_message_trace(o->message);
    struct slice text = { o->bytes, trace.len + o->body_bytes };
    char *bytes = o->bytes;

    if (o->fd >= 0)
        (void)close(o->fd);
    ASSERT(w->originals.reading > 0);
    w->originals.reading--;
    o->handler(o, status, status == STATUS_OK ? text : trace);
    free(bytes);
    start_next(w);
}

static enum status check(const struct gateway_original *o, size_t bytes)
{
    const struct spool_message *m = o->message;
    struct slice body = { o->bytes + spool_message_trace(m).len, bytes };
    struct spool_body_reader reader;

    if (bytes < o->body_bytes)
        return STATUS_CORRUPT;
    if (o->body_bytes == 0 || o->body_bytes < spool_message_body_bytes(m))
        return STATUS_OK;
    spool_body_reader_init(&reader, spool_message_body_bytes(m), spool_message_body_crc(m));
    return spool_body_reader_take(&reader, body);
}

static void on_read(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_original *o = CONTAINER_OF(request, struct gateway_original, request);

    finish(o, status == STATUS_OK ? check(o, bytes) : status);
}

static void on_open(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_original *o = CONTAINER_OF(request, struct gateway_original, request);

    if (status != STATUS_OK) {
        finish(o, status);
        return;
    }
    o->fd = (int)bytes;
    engine_file_read(o->worker->loop, &o->request, o->fd,
                     o->bytes + spool_message_trace(o->message).len, o->body_bytes, 0, on_read);
}

static void on_late(struct engine_task *task)
{
    finish(CONTAINER_OF(task, struct gateway_original, late), STATUS_NO_MEMORY);
}

static void start(struct gateway_original *o)
{
    struct gateway_worker *w = o->worker;
    struct slice trace = spool_message_trace(o->message);

    w->originals.reading++;
    o->bytes = malloc(trace.len + o->body_bytes + 1);
    if (o->bytes == NULL) {
        engine_loop_defer(w->loop, &o->late, on_late);
        return;
    }
    if (trace.len > 0)
        memcpy(o->bytes, trace.data, trace.len);
    (void)spool_body_name(spool_message_mid(o->message), o->name);
    engine_file_open(w->loop, &o->request, w->process->directory.bodies_fd, o->name, O_RDONLY, 0,
                     on_open);
}

static void start_next(struct gateway_worker *w)
{
    struct gateway_originals *originals = &w->originals;

    while (originals->reading < GATEWAY_ORIGINALS_READING_MAX &&
           !list_is_empty(&originals->waiting))
        start(CONTAINER_OF(list_take_first(&originals->waiting), struct gateway_original, node));
}

void gateway_original_read(struct gateway_worker *worker, struct gateway_original *o,
                           const struct spool_message *message, size_t body_bytes_max,
                           gateway_original_handler *handler)
{
    uint64_t body_bytes = spool_message_body_bytes(message);

    ASSERT(spool_message_body_in_file(message));
    ASSERT(body_bytes_max <= DELIVERY_DSN_ORIGINAL_MAX);
    o->worker = worker;
    o->message = message;
    o->handler = handler;
    o->body_bytes = body_bytes < body_bytes_max ? (size_t)body_bytes : body_bytes_max;
    o->fd = -1;
    list_append(&worker->originals.waiting, &o->node);
    start_next(worker);
}
