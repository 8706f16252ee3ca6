/* gateway/body_source.h - a body that lies in its own file, on its way out through a channel.
 *
 * Reads a chunk, sends it in pieces, and reads the next when it has left, so that one connection
 * holds one chunk, which is charged to the memory of messages, however large the body is. The disk
 * wants large chunks; a peer has its time for each piece. The file's checksum is known to be right
 * before the caller says that the body is complete: a body that does not pass never gets its final
 * dot.
 *
 * A heap object, because a read may be in flight when its connection has gone.
 */
#pragma once
#include "engine/file.h"
#include "spool/body_file.h"
#include "spool/message.h"

#define GATEWAY_BODY_SOURCE_BYTES ((size_t)256 * 1024)
#define GATEWAY_BODY_SOURCE_PIECE ((size_t)128 * 1024)

struct gateway_outbound;
struct gateway_worker;

struct gateway_body_source { /* Fields are private. */
    struct engine_file_request request;
    struct gateway_worker *worker;
    struct gateway_outbound *connection; /* NULL: it has gone */
    struct spool_body_reader reader;
    char name[SPOOL_BODY_NAME_MAX];
    char *chunk;
    size_t chunk_bytes; /* GATEWAY_BODY_SOURCE_BYTES, or the blocks of a smaller body */
    size_t want;        /* of the read in flight, or the last one; whole blocks are read */
    size_t given;       /* of these, in pieces */
    int fd;
};

/* Begins to read; gateway_outbound_chunk() gets each piece, an empty one at the end. */
MUST_USE enum status gateway_body_source_start(struct gateway_worker *worker,
                                               struct gateway_outbound *connection,
                                               const struct spool_message *message,
                                               struct gateway_body_source **source_out);

/* No read is in flight: the next one may begin. */
bool gateway_body_source_is_idle(const struct gateway_body_source *source);

/* The piece has left: the next one. */
void gateway_body_source_next(struct gateway_body_source *source);

/* The connection has no more use for it; no piece may be in the channel. Accepts NULL. */
void gateway_body_source_release(struct gateway_body_source *source);
