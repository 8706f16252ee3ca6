/* gateway/original.h - the beginning of a message whose body lies in a file of its own, for the
 * report that returns it.
 *
 * Reads the trace and so much of the body as is asked for, through the ring. A worker reads
 * GATEWAY_ORIGINALS_READING_MAX at a time, with a buffer and a descriptor each; the others wait in
 * order. A body that is read to its end has to pass its checksum; of a part nobody can tell.
 */
#pragma once
#include "engine/file.h"
#include "spool/body_file.h"
#include "spool/message.h"

#define GATEWAY_ORIGINALS_READING_MAX 16u

struct gateway_original;
struct gateway_worker;

/* Ends every reading, never from inside gateway_original_read(). text: trace and body, or where
 * the body could not be read, which status says, the trace alone; until the handler returns, which
 * may free `o`. After STATUS_NO_MEMORY and STATUS_LIMIT it may be there at another time. */
typedef void gateway_original_handler(struct gateway_original *o, enum status status,
                                      struct slice text);

struct gateway_original { /* Fields are private. */
    struct engine_file_request request;
    struct engine_task late; /* without a buffer it ends at once */
    struct list_node node;
    struct gateway_worker *worker;
    const struct spool_message *message;
    gateway_original_handler *handler;
    size_t body_bytes; /* to be read */
    char *bytes;       /* the trace, and the body behind it */
    int fd;
    char name[SPOOL_BODY_NAME_MAX];
};

struct gateway_originals { /* Of a worker. Fields are private. */
    struct list waiting;
    unsigned reading;
};

void gateway_originals_init(struct gateway_originals *originals);

/* o is zeroed memory. body_bytes_max: 0..DELIVERY_DSN_ORIGINAL_MAX (delivery/dsn.h). The message is
 * of this worker, with its body in a file, and held by the caller until the handler has run. */
void gateway_original_read(struct gateway_worker *worker, struct gateway_original *o,
                           const struct spool_message *message, size_t body_bytes_max,
                           gateway_original_handler *handler);
