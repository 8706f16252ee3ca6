#include "cli/spool_letter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtp/stuffing.h"
#include "spool/body_file.h"

#define CHUNK_BYTES (256u << 10)

struct letter {
    FILE *out; /* NULL: only looked at */
    struct smtp_stuffing stuffing;
    bool is_stuffed;
};

static void put(struct letter *l, struct slice bytes)
{
    while (bytes.len > 0 && l->out != NULL) {
        size_t used = bytes.len;
        struct slice run = bytes;

        if (l->is_stuffed)
            run = smtp_stuffing_undo(&l->stuffing, bytes, &used);
        if (run.len > 0)
            (void)fwrite(run.data, 1, run.len, l->out);
        bytes = slice_after(bytes, used);
    }
}

/* STATUS_CORRUPT at the end of the file if that is not where the body ends. */
static enum status read_chunk(int fd, char *chunk, size_t want, uint64_t offset, size_t *got_out)
{
    ssize_t got;

    do {
        got = pread(fd, chunk, want < CHUNK_BYTES ? want : CHUNK_BYTES, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return STATUS_IO;
    *got_out = (size_t)got;
    return got > 0 ? STATUS_OK : STATUS_CORRUPT;
}

/* To the end even when the checksum is wrong: what is there is all there is. */
static enum status put_file(struct letter *l, int fd, const struct spool_message *m)
{
    struct spool_body_reader reader;
    enum status status = STATUS_OK;
    char *chunk = malloc(CHUNK_BYTES);
    uint64_t offset;
    size_t want;

    if (chunk == NULL)
        return STATUS_NO_MEMORY;
    spool_body_reader_init(&reader, spool_message_body_bytes(m), spool_message_body_crc(m));
    while (status == STATUS_OK && (want = spool_body_reader_want(&reader, &offset)) > 0) {
        size_t got = 0;

        status = read_chunk(fd, chunk, want, offset, &got);
        if (status != STATUS_OK)
            break;
        put(l, (struct slice){ chunk, got });
        status = spool_body_reader_take(&reader, (struct slice){ chunk, got });
    }
    free(chunk);
    return status;
}

static enum status put_body(struct letter *l, const struct spool_message *m,
                            const struct spool_directory *d)
{
    enum status status;
    int fd = -1;

    l->is_stuffed = (spool_message_flags(m) & SPOOL_MESSAGE_NOT_STUFFED) == 0;
    smtp_stuffing_init(&l->stuffing);
    if (!spool_message_body_in_file(m)) {
        put(l, spool_message_body(m));
        return STATUS_OK;
    }
    TRY(spool_body_open(d, spool_message_mid(m), O_RDONLY, &fd));
    status = put_file(l, fd, m);
    (void)close(fd);
    return status;
}

enum status cli_letter_write(const struct spool_message *m, const struct spool_directory *d,
                             bool with_trace, FILE *out)
{
    struct letter l = { .out = out };

    if (with_trace)
        put(&l, spool_message_trace(m));
    return put_body(&l, m, d);
}

enum status cli_letter_check_body(const struct spool_message *m, const struct spool_directory *d)
{
    struct letter l = { .out = NULL };

    return put_body(&l, m, d);
}
