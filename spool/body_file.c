#include "spool/body_file.h"

#include <stdlib.h>

#include "spool/crc32c.h"

const char *spool_body_name(uint64_t mid, char text[static SPOOL_BODY_NAME_MAX])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < SPOOL_BODY_NAME_MAX - 1; i++)
        text[i] = digits[(mid >> (60 - 4 * i)) & 15];
    text[SPOOL_BODY_NAME_MAX - 1] = '\0';
    return text;
}

static void enter(struct spool_body_file *f, enum spool_body_state next)
{
    ASSERT(f->state != SPOOL_BODY_GONE);
    f->state = next;
}

enum status spool_body_file_start(struct spool_body_file *f, struct spool_body_storage *storage,
                                  uint64_t mid, uint64_t bytes_hint, size_t chunk_bytes)
{
    struct spool_body_file fresh = { .storage = storage,
                                     .state = SPOOL_BODY_NEW,
                                     .chunk_bytes = chunk_bytes };

    ASSERT(mid != 0);
    /* Only the last chunk ends within a block. */
    ASSERT(chunk_bytes > 0 && chunk_bytes % SPOOL_BODY_BLOCK == 0);
    for (size_t i = 0; i < ARRAY_LEN(fresh.chunks); i++)
        fresh.chunks[i] = aligned_alloc(SPOOL_BODY_BLOCK, chunk_bytes);
    if (fresh.chunks[0] == NULL || fresh.chunks[1] == NULL) {
        free(fresh.chunks[0]);
        free(fresh.chunks[1]);
        return STATUS_NO_MEMORY;
    }
    *f = fresh;
    (void)spool_body_name(mid, f->name);
    enter(f, SPOOL_BODY_CREATING);
    f->in_flight = true;
    storage->ops->create(storage, f->name, bytes_hint);
    return STATUS_OK;
}

void spool_body_file_finish(struct spool_body_file *f)
{
    ASSERT(!f->in_flight);
    free(f->chunks[0]);
    free(f->chunks[1]);
    *f = (struct spool_body_file){ .state = SPOOL_BODY_GONE };
}

static bool takes_bytes(const struct spool_body_file *f)
{
    return (f->state == SPOOL_BODY_CREATING || f->state == SPOOL_BODY_WRITING) && !f->is_complete;
}

size_t spool_body_file_memory_bytes(const struct spool_body_file *f)
{
    return ARRAY_LEN(f->chunks) * f->chunk_bytes;
}

size_t spool_body_file_room(const struct spool_body_file *f)
{
    size_t room = f->chunk_bytes - f->fill;

    if (!takes_bytes(f))
        return 0;
    /* The other chunk can be filled too when it is not being written. */
    return f->writing_bytes > 0 || f->state == SPOOL_BODY_CREATING ? room : room + f->chunk_bytes;
}

bool spool_body_file_is_full(const struct spool_body_file *f)
{
    return takes_bytes(f) && spool_body_file_room(f) == 0;
}

/* Hands the chunk that was filled to the storage and goes on with the other one. Only the last one
 * is not full: zeros stand behind it, because memory of ours has no business on the disk. */
static void write_chunk(struct spool_body_file *f)
{
    char *chunk = f->chunks[f->filling];
    size_t bytes = spool_body_whole_blocks(f->fill);

    ASSERT(!f->in_flight && f->fill > 0 && f->is_created);
    ASSERT(f->offset % SPOOL_BODY_BLOCK == 0);
    memset(chunk + f->fill, 0, bytes - f->fill);
    f->in_flight = true;
    f->writing_bytes = f->fill;
    f->filling ^= 1;
    f->fill = 0;
    f->storage->ops->write(f->storage, chunk, bytes, f->offset);
}

/* What is next, when nothing is in flight. */
static void advance(struct spool_body_file *f)
{
    ASSERT(f->state == SPOOL_BODY_WRITING && !f->in_flight);
    if (f->fill == f->chunk_bytes || (f->is_complete && f->fill > 0)) {
        write_chunk(f);
        return;
    }
    if (!f->is_complete)
        return;
    ASSERT(f->offset == f->bytes);
    enter(f, SPOOL_BODY_SYNCING);
    f->in_flight = true;
    f->storage->ops->sync(f->storage);
}

void spool_body_file_append(struct spool_body_file *f, struct slice bytes)
{
    if (f->state == SPOOL_BODY_FAILED)
        return;
    ASSERT(bytes.len <= spool_body_file_room(f));
    if (bytes.len == 0)
        return;
    f->bytes += bytes.len;
    f->crc = spool_crc32c(f->crc, bytes.data, bytes.len);
    while (bytes.len > 0) {
        size_t room = f->chunk_bytes - f->fill;
        size_t now = bytes.len < room ? bytes.len : room;

        memcpy(f->chunks[f->filling] + f->fill, bytes.data, now);
        f->fill += now;
        bytes = slice_after(bytes, now);
        if (f->fill == f->chunk_bytes && f->state == SPOOL_BODY_WRITING && !f->in_flight)
            write_chunk(f);
    }
}

void spool_body_file_complete(struct spool_body_file *f)
{
    ASSERT(!f->is_complete);
    f->is_complete = true;
    if (f->state == SPOOL_BODY_WRITING && !f->in_flight)
        advance(f);
}

static void unlink_it(struct spool_body_file *f)
{
    ASSERT(!f->in_flight);
    if (!f->is_created) {
        enter(f, SPOOL_BODY_GONE);
        return;
    }
    enter(f, SPOOL_BODY_UNLINKING);
    f->in_flight = true;
    f->storage->ops->unlink(f->storage, f->name);
}

void spool_body_file_abort(struct spool_body_file *f)
{
    if (f->state == SPOOL_BODY_GONE || f->state == SPOOL_BODY_ABORTING ||
        f->state == SPOOL_BODY_UNLINKING)
        return;
    enter(f, SPOOL_BODY_ABORTING);
    if (!f->in_flight)
        unlink_it(f);
}

static void fail(struct spool_body_file *f, enum status status)
{
    f->failure = status;
    enter(f, SPOOL_BODY_FAILED);
}

static void written(struct spool_body_file *f, enum status status)
{
    if (status != STATUS_OK) {
        fail(f, status);
        return;
    }
    f->offset += f->writing_bytes;
    f->writing_bytes = 0;
    advance(f);
}

void spool_body_file_answer(struct spool_body_file *f, enum status status)
{
    ASSERT(f->in_flight);
    f->in_flight = false;
    switch (f->state) {
    case SPOOL_BODY_CREATING:
        f->is_created = status == STATUS_OK;
        if (status != STATUS_OK) {
            fail(f, status);
            return;
        }
        enter(f, SPOOL_BODY_WRITING);
        advance(f);
        return;
    case SPOOL_BODY_WRITING: written(f, status); return;
    case SPOOL_BODY_SYNCING:
        if (status == STATUS_OK)
            enter(f, SPOOL_BODY_DURABLE);
        else
            fail(f, status);
        return;
    case SPOOL_BODY_ABORTING:
        if (!f->is_created) /* then it was the create that was in flight */
            f->is_created = status == STATUS_OK;
        unlink_it(f);
        return;
    case SPOOL_BODY_UNLINKING:
        /* What could not be unlinked is an orphan for the next recovery. */
        enter(f, SPOOL_BODY_GONE);
        return;
    case SPOOL_BODY_NEW:
    case SPOOL_BODY_DURABLE:
    case SPOOL_BODY_FAILED:
    case SPOOL_BODY_GONE: break;
    }
    UNREACHABLE();
}

enum spool_body_state spool_body_file_state(const struct spool_body_file *f)
{
    return f->state;
}

enum status spool_body_file_failure(const struct spool_body_file *f)
{
    return f->failure;
}

bool spool_body_file_is_quiet(const struct spool_body_file *f)
{
    return !f->in_flight;
}

uint64_t spool_body_file_bytes(const struct spool_body_file *f)
{
    return f->bytes;
}

uint32_t spool_body_file_crc(const struct spool_body_file *f)
{
    return f->crc;
}

/* --- reading it back ------------------------------------------------------------------------- */

void spool_body_reader_init(struct spool_body_reader *r, uint64_t bytes, uint32_t crc)
{
    *r = (struct spool_body_reader){ .bytes = bytes, .crc_expected = crc };
}

size_t spool_body_reader_want(const struct spool_body_reader *r, uint64_t *offset_out)
{
    uint64_t rest = r->bytes - r->offset;

    *offset_out = r->offset;
    return rest < SPOOL_BODY_CHUNK ? (size_t)rest : SPOOL_BODY_CHUNK;
}

enum status spool_body_reader_take(struct spool_body_reader *r, struct slice chunk)
{
    ASSERT(chunk.len > 0 && chunk.len <= r->bytes - r->offset);
    r->offset += chunk.len;
    r->crc = spool_crc32c(r->crc, chunk.data, chunk.len);
    if (r->offset < r->bytes || r->crc == r->crc_expected)
        return STATUS_OK;
    return STATUS_CORRUPT;
}
