/* spool/storage.h - what a log asks of the world: segments, and writes to them.
 *
 * gateway/ binds this to the ring and to a helper thread, tests to memory. Every operation is
 * asynchronous: it returns at once, never calls back from inside, and is answered by exactly
 * one call of the log's completion function named with it, on the log's own thread.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

/* A segment as the storage knows it; the log keeps a copy and changes nothing in it. */
struct spool_segment_file {
    uint64_t generation; /* given by the storage: increasing over the whole spool */
    uint64_t salt;       /* random, given by the storage */
    uint32_t number;     /* the file's name, see spool_segment_name() */
    int handle;          /* the storage's own: a descriptor or an index; -1 when not open */
};

/* One write. data is aligned to 4 KiB and stays in place until the answer; offset and bytes are
 * multiples of 4 KiB. */
struct spool_write {
    struct spool_segment_file file;
    const char *data;
    size_t bytes;
    uint64_t offset;
};

struct spool_storage {
    const struct spool_storage_ops *ops;
};

struct spool_storage_ops {
    /* Makes a segment ready for this log: allocated, written once from end to end, its header
     * with a new generation, and all of that durable, directory included. At most one at a time
     * is asked for. Answer: spool_log_segment_ready(). */
    void (*segment_prepare)(struct spool_storage *s);

    /* Writes all of it durably (O_DIRECT and RWF_DSYNC, or pwritev and fdatasync): the answer OK
     * means that the bytes survive a power cut. A short write is continued or fails. At most
     * one in flight. Answer: spool_log_written(). */
    void (*segment_write)(struct spool_storage *s, const struct spool_write *w);

    /* Nothing more is written to it, and no write is in flight: its handle, which nobody else has,
     * is closed. No answer. */
    void (*segment_sealed)(struct spool_storage *s, const struct spool_segment_file *file);

    /* Marks a sealed segment free, durably, before the answer: a later crash must not bring its
     * records back. Then the file may serve another prepare. At most one in flight. Answer:
     * spool_log_segment_released(). */
    void (*segment_release)(struct spool_storage *s, const struct spool_segment_file *file);
};
