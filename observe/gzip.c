#include "observe/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_BITS  (15 + 16) /* the largest, in a member of RFC 1952 */
#define MEMORY_LEVEL 8         /* as zlib has it */
#define PIECE_BYTES  4096

static enum status compress_all(z_stream *z, struct buffer *out)
{
    unsigned char piece[PIECE_BYTES];
    int code;

    /* Each turn puts out something: it ends. */
    do {
        z->next_out = piece;
        z->avail_out = sizeof(piece);
        code = deflate(z, Z_FINISH);
        ASSERT(code == Z_OK || code == Z_STREAM_END);
        TRY(buffer_append(out, (struct slice){ (char *)piece, sizeof(piece) - z->avail_out }));
    } while (code != Z_STREAM_END);
    return STATUS_OK;
}

enum status observe_gzip(struct slice bytes, struct buffer *out)
{
    z_stream z = { 0 };
    enum status status;

    ASSERT(bytes.len <= OBSERVE_GZIP_BYTES_MAX);
    z.next_in = (const unsigned char *)bytes.data;
    z.avail_in = (unsigned)bytes.len;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return STATUS_NO_MEMORY;
    status = compress_all(&z, out);
    (void)deflateEnd(&z);
    return status;
}
