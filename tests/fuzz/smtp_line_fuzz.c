/* What the line cutter gives must not depend on how the stream is cut. */
#include <stdint.h>
#include <stdlib.h>

#include "smtp/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut(struct slice text, size_t piece_bytes, struct buffer *log)
{
    struct smtp_line l;

    smtp_line_init(&l);
    while (text.len > 0) {
        size_t len = text.len < piece_bytes ? text.len : piece_bytes;
        struct slice piece = { malloc(len), len }, line = { NULL, 0 };
        enum smtp_line_result result;
        size_t used;

        ASSERT(piece.data != NULL);
        memcpy((char *)(uintptr_t)piece.data, text.data, len);
        result = smtp_line_next(&l, piece, &used, &line);
        ASSERT(used > 0 && used <= len);
        if (result == SMTP_LINE_PARTIAL)
            ASSERT(used == len);
        else
            ASSERT(buffer_printf(log, "%d", (int)result) == STATUS_OK);
        if (result == SMTP_LINE_DONE) {
            ASSERT(line.len + 2 <= SMTP_COMMAND_BYTES_MAX);
            ASSERT(buffer_append(log, line) == STATUS_OK);
        }
        free((char *)(uintptr_t)piece.data);
        if (result == SMTP_LINE_ENDLESS)
            break;
        text = slice_after(text, used);
    }
    smtp_line_finish(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    struct buffer whole, pieces;
    size_t piece_bytes;

    if (size < 1)
        return 0;
    piece_bytes = 1 + data[0];
    text = slice_after(text, 1);
    buffer_init(&whole, 16 * 1024 * 1024);
    buffer_init(&pieces, 16 * 1024 * 1024);
    cut(text, SIZE_MAX, &whole);
    cut(text, piece_bytes, &pieces);
    ASSERT(slice_equal(buffer_contents(&whole), buffer_contents(&pieces)));
    buffer_finish(&whole);
    buffer_finish(&pieces);
    return 0;
}
