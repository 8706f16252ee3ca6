/* engine/file.h - reading, writing and managing files without waiting for the disk.
 *
 * A request is embedded in its owner and does one thing at a time; its handler is called from
 * the loop, exactly once per request, and may start the next one. There is no cancel: the buffer,
 * the path and the request stay pinned until the handler runs.
 *
 * Short reads and writes are continued here. STATUS_OK means all of it, except that a read ends
 * early at the end of the file. On any other status engine_file_error() has the errno, and
 * `bytes` says how much went well before it. What that leaves on the disk is not defined.
 */
#pragma once
#include <sys/types.h>

#include "base/status.h"
#include "engine/loop.h"
#include "engine/owner.h"

struct engine_file_request;

/* bytes: read or written; for engine_file_open() the new fd. */
typedef void engine_file_handler(struct engine_file_request *r, enum status status, size_t bytes);

struct engine_file_request { /* Fields are private. */
    struct engine_owner owner;
    struct engine_loop *loop;
    engine_file_handler *handler;
    struct engine_request request;
    struct engine_task late; /* a result that comes without a completion */
    size_t bytes;            /* wanted in all */
    size_t done;             /* so far */
    unsigned retries;        /* of EINTR and EAGAIN in a row */
    uint32_t slot;
    int error;
    bool busy;
};

/* r is zeroed memory, or was used before and is not busy. */
void engine_file_read(struct engine_loop *loop, struct engine_file_request *r, int fd, char *data,
                      size_t bytes, uint64_t offset, engine_file_handler *handler);

/* durable: the bytes are on stable storage when the handler runs with STATUS_OK (RWF_DSYNC). */
void engine_file_write(struct engine_loop *loop, struct engine_file_request *r, int fd,
                       const char *data, size_t bytes, uint64_t offset, bool durable,
                       engine_file_handler *handler);

/* directory_fd may be AT_FDCWD; O_CLOEXEC is added. The handler's `bytes` is the fd. */
void engine_file_open(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                      const char *path, int flags, mode_t mode, engine_file_handler *handler);
void engine_file_fallocate(struct engine_loop *loop, struct engine_file_request *r, int fd,
                           int mode, uint64_t offset, uint64_t bytes, engine_file_handler *handler);
void engine_file_sync(struct engine_loop *loop, struct engine_file_request *r, int fd,
                      bool data_only, engine_file_handler *handler);
void engine_file_unlink(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                        const char *path, engine_file_handler *handler);

bool engine_file_is_busy(const struct engine_file_request *r);
int engine_file_error(const struct engine_file_request *r); /* 0, or the errno */
