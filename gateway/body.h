/* gateway/body.h - a large body on its way into its file, by the ring.
 *
 * Binds spool/body_file.h to file requests. Belongs to a receipt (gateway/receipt.h), which is
 * told after every step; a body whose receipt has gone removes its file and then itself.
 */
#pragma once
#include "engine/file.h"
#include "spool/body_file.h"

struct gateway_receipt;
struct gateway_worker;

struct gateway_body { /* Fields are private, except file, which the receipt fills. */
    struct spool_body_file file;
    struct spool_body_storage storage;
    struct engine_file_request request;
    struct gateway_worker *worker;
    struct gateway_receipt *receipt; /* NULL: nobody wants it any more */
    char name[SPOOL_BODY_NAME_MAX];
    uint64_t bytes_hint;
    int fd;
};

/* chunk_bytes: of each of its two chunks. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_body_create(struct gateway_worker *worker,
                                         struct gateway_receipt *receipt, uint64_t mid,
                                         uint64_t bytes_hint, size_t chunk_bytes,
                                         struct gateway_body **body_out);

/* It is durable and its message owns the file now; frees the object only. */
void gateway_body_destroy(struct gateway_body *body);

/* Nobody wants it: the file goes, and the object with it, when the step in flight has ended. */
void gateway_body_abandon(struct gateway_body *body);

/* For open(): O_DIRECT where body files allow it, or 0. */
int gateway_body_flags(const struct gateway_worker *worker);

/* The message that the body belongs to is over, durably. What cannot be unlinked now is unlinked
 * by the next recovery. */
void gateway_body_unlink(struct gateway_worker *worker, uint64_t mid);
