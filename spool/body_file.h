/* spool/body_file.h - a large body on its way into a file of its own, and back.
 *
 *     start -> append (while there is room) ... complete -> events -> DURABLE
 *                                         \ abort (any time) -> GONE
 *
 * Bytes are gathered in chunks; one chunk is filled while the other is being written, and when
 * both are taken spool_body_file_room() is 0: the caller stops reading from its peer until the
 * next answer of the storage. After complete() the rest is written and file and directory are
 * synced; then the state is DURABLE, and the message that refers to the file may be committed.
 * A failure of any step gives FAILED; abort() then unlinks what was created.
 *
 * Pure: no I/O, no clock. It must stay at one address until spool_body_file_is_quiet().
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

#define SPOOL_BODY_CHUNK       (512u << 10)
#define SPOOL_BODY_CHUNK_SMALL (16u << 10) /* where memory is short */
#define SPOOL_BODY_BLOCK       4096u
#define SPOOL_BODY_NAME_MAX    17 /* 16 hexadecimal digits of the MID, NUL included */

/* So many bytes, rounded up to blocks. */
static inline size_t spool_body_whole_blocks(size_t bytes)
{
    return (bytes + SPOOL_BODY_BLOCK - 1) / SPOOL_BODY_BLOCK * SPOOL_BODY_BLOCK;
}

/* What a body file asks of the world; every operation is answered by exactly one call of
 * spool_body_file_answer(), never from inside the operation. One in flight at a time. */
struct spool_body_storage {
    const struct spool_body_storage_ops *ops;
};

struct spool_body_storage_ops {
    /* Creates bodies/NAME, which must not exist, and allocates bytes_hint. Leaves nothing behind
     * when it fails. */
    void (*create)(struct spool_body_storage *s, const char *name, uint64_t bytes_hint);
    /* data stays in place until the answer; all of it is written, or it failed. data, bytes and
     * offset are multiples of SPOOL_BODY_BLOCK, as O_DIRECT wants them: behind the body's end the
     * last block holds zeros, and so the file is longer than what the record says. */
    void (*write)(struct spool_body_storage *s, const char *data, size_t bytes, uint64_t offset);
    /* fsync of the file and then of the directory; closes the file. */
    void (*sync)(struct spool_body_storage *s);
    /* Closes and unlinks. */
    void (*unlink)(struct spool_body_storage *s, const char *name);
};

enum spool_body_state {
    SPOOL_BODY_NEW,
    SPOOL_BODY_CREATING,
    SPOOL_BODY_WRITING, /* takes bytes; a write may be in flight */
    SPOOL_BODY_SYNCING,
    SPOOL_BODY_DURABLE,
    SPOOL_BODY_FAILED,   /* abort() is all that is left */
    SPOOL_BODY_ABORTING, /* waits for the operation in flight, then unlinks */
    SPOOL_BODY_UNLINKING,
    SPOOL_BODY_GONE
};

struct spool_body_file { /* Fields are private. */
    struct spool_body_storage *storage;
    enum spool_body_state state;
    char name[SPOOL_BODY_NAME_MAX];
    char *chunks[2];
    size_t chunk_bytes; /* of each */
    size_t fill;        /* of the chunk being filled */
    unsigned filling;
    size_t writing_bytes; /* of the chunk in flight */
    uint64_t offset;      /* where the next chunk goes */
    uint64_t bytes;       /* accepted in all */
    uint32_t crc;
    bool in_flight;
    bool is_created;
    bool is_complete; /* no more bytes come */
    enum status failure;
};

/* The file name of a message's body. Returns text. */
const char *spool_body_name(uint64_t mid, char text[static SPOOL_BODY_NAME_MAX]);

/* Asks for the file. bytes_hint: SIZE=, or 0. chunk_bytes: of each of the two chunks, a multiple
 * of SPOOL_BODY_BLOCK. STATUS_NO_MEMORY. */
MUST_USE enum status spool_body_file_start(struct spool_body_file *f,
                                           struct spool_body_storage *storage, uint64_t mid,
                                           uint64_t bytes_hint, size_t chunk_bytes);

/* Frees the chunks; not while an operation is in flight. Leaves the file on disk as it is.
 * Accepts a zeroed one. */
void spool_body_file_finish(struct spool_body_file *f);

/* What the chunks take. */
size_t spool_body_file_memory_bytes(const struct spool_body_file *f);

/* Bytes append() takes now. */
size_t spool_body_file_room(const struct spool_body_file *f);
bool spool_body_file_is_full(const struct spool_body_file *f);

/* Takes bytes.len <= room. After a failure it swallows them: look at the state. */
void spool_body_file_append(struct spool_body_file *f, struct slice bytes);

/* No more bytes come. */
void spool_body_file_complete(struct spool_body_file *f);
void spool_body_file_abort(struct spool_body_file *f);

/* The storage's answer to the one operation in flight. */
void spool_body_file_answer(struct spool_body_file *f, enum status status);

enum spool_body_state spool_body_file_state(const struct spool_body_file *f);
enum status spool_body_file_failure(const struct spool_body_file *f); /* FAILED: why */
bool spool_body_file_is_quiet(const struct spool_body_file *f);       /* nothing in flight */
uint64_t spool_body_file_bytes(const struct spool_body_file *f);
uint32_t spool_body_file_crc(const struct spool_body_file *f);

/* --- reading it back ------------------------------------------------------------------------- */

/* Follows the chunks that delivery reads, and says before the end whether they are the body
 * that was committed: the final dot must not be sent for a body that is not. */
struct spool_body_reader {
    uint64_t bytes;
    uint64_t offset;
    uint32_t crc;
    uint32_t crc_expected;
};

void spool_body_reader_init(struct spool_body_reader *r, uint64_t bytes, uint32_t crc);

/* How much to read next, and where; 0 when all was read. */
size_t spool_body_reader_want(const struct spool_body_reader *r, uint64_t *offset_out);

/* A chunk of 1..want bytes as read. STATUS_CORRUPT on the last one if the checksum is wrong. */
MUST_USE enum status spool_body_reader_take(struct spool_body_reader *r, struct slice chunk);
