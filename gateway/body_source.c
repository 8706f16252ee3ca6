#include "gateway/body_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/body.h"
#include "gateway/outbound.h"
#include "gateway/worker.h"

static void destroy(struct gateway_body_source *source)
{
    if (source->fd >= 0)
        (void)close(source->fd);
    atomic_fetch_sub(&source->worker->process->message_bytes, source->chunk_bytes);
    free(source->chunk);
    free(source);
}

static void give_piece(struct gateway_body_source *source)
{
    size_t left = source->want - source->given;
    struct slice piece = { source->chunk + source->given,
                           left < GATEWAY_BODY_SOURCE_PIECE ? left : GATEWAY_BODY_SOURCE_PIECE };

    source->given += piece.len;
    gateway_outbound_chunk(source->connection, spool_body_reader_take(&source->reader, piece),
                           piece);
}

static void on_read(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_body_source *source = CONTAINER_OF(request, struct gateway_body_source, request);

    if (source->connection == NULL) {
        destroy(source);
        return;
    }
    if (status == STATUS_OK && bytes < source->want)
        status = STATUS_CORRUPT; /* shorter than its message says */
    if (status == STATUS_OK)
        give_piece(source);
    else
        gateway_outbound_chunk(source->connection, status, (struct slice){ 0 });
}

void gateway_body_source_next(struct gateway_body_source *source)
{
    uint64_t offset;
    size_t want;

    if (source->given < source->want) {
        give_piece(source);
        return;
    }
    want = spool_body_reader_want(&source->reader, &offset);
    ASSERT(offset % GATEWAY_BODY_SOURCE_BYTES == 0 || want == 0);
    if (want == 0) {
        gateway_outbound_chunk(source->connection, STATUS_OK, (struct slice){ 0 });
        return;
    }
    if (want > source->chunk_bytes)
        want = source->chunk_bytes;
    source->want = want;
    source->given = 0;
    engine_file_read(source->worker->loop, &source->request, source->fd, source->chunk,
                     spool_body_whole_blocks(want), offset, on_read);
}

static void on_open(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_body_source *source = CONTAINER_OF(request, struct gateway_body_source, request);

    if (status == STATUS_OK)
        source->fd = (int)bytes;
    if (source->connection == NULL)
        destroy(source);
    else if (status != STATUS_OK)
        gateway_outbound_chunk(source->connection, status, (struct slice){ 0 });
    else
        gateway_body_source_next(source);
}

enum status gateway_body_source_start(struct gateway_worker *worker,
                                      struct gateway_outbound *connection,
                                      const struct spool_message *message,
                                      struct gateway_body_source **source_out)
{
    struct gateway_body_source *source = calloc(1, sizeof(*source));

    if (source == NULL)
        return STATUS_NO_MEMORY;
    source->worker = worker;
    source->connection = connection;
    source->fd = -1;
    source->chunk_bytes = GATEWAY_BODY_SOURCE_BYTES;
    if (spool_message_body_bytes(message) < source->chunk_bytes)
        source->chunk_bytes =
            spool_body_whole_blocks((size_t)spool_message_body_bytes(message) + 1);
    source->chunk = aligned_alloc(SPOOL_BODY_BLOCK, source->chunk_bytes);
    if (source->chunk == NULL) {
        free(source);
        return STATUS_NO_MEMORY;
    }
    atomic_fetch_add(&worker->process->message_bytes, source->chunk_bytes);
    spool_body_reader_init(&source->reader, spool_message_body_bytes(message),
                           spool_message_body_crc(message));
    (void)spool_body_name(spool_message_mid(message), source->name);
    engine_file_open(worker->loop, &source->request, worker->process->directory.bodies_fd,
                     source->name, O_RDONLY | gateway_body_flags(worker), 0, on_open);
    *source_out = source;
    return STATUS_OK;
}

bool gateway_body_source_is_idle(const struct gateway_body_source *source)
{
    return !engine_file_is_busy(&source->request);
}

void gateway_body_source_release(struct gateway_body_source *source)
{
    if (source == NULL)
        return;
    source->connection = NULL;
    if (!engine_file_is_busy(&source->request))
        destroy(source);
}
