/* Replies are the same however they are cut, and bounded; what we write ourselves is a reply. */
#include <stdint.h>
#include <stdlib.h>

#include "smtp/reply_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct smtp_reply *r)
{
    ASSERT(r->code >= 200 && r->code <= 599);
    ASSERT(r->text.len <= SMTP_REPLY_TEXT_BYTES_MAX);
    ASSERT(r->enhanced.class == 0 || r->enhanced.class == r->code / 100);
    for (size_t i = 0; i < r->text.len; i++)
        ASSERT((unsigned char)r->text.data[i] >= ' ' && r->text.data[i] != 0x7f);
}

/* Returns the number of replies, or -1 when one was bad. */
static int cut(struct slice text, size_t piece_bytes, struct buffer *log)
{
    struct smtp_reply_parser p;
    int replies = 0;

    smtp_reply_parser_init(&p);
    while (text.len > 0 && replies >= 0) {
        struct slice piece = slice_first(text, text.len < piece_bytes ? text.len : piece_bytes);
        struct slice line;
        struct smtp_reply r = { 0 };
        size_t used;
        enum smtp_reply_result result = smtp_reply_parser_next(&p, piece, &used, &line, &r);

        ASSERT(used <= piece.len);
        text = slice_after(text, used);
        if (result != SMTP_REPLY_MORE)
            ASSERT(buffer_printf(log, "[%d %u]", (int)result, r.code) == STATUS_OK);
        if (result == SMTP_REPLY_BAD)
            replies = -1;
        if (result == SMTP_REPLY_DONE) {
            check_reply(&r);
            ASSERT(buffer_append(log, r.text) == STATUS_OK);
            replies++;
        }
    }
    if (replies >= 0 && !smtp_reply_parser_is_idle(&p))
        ASSERT(buffer_append_text(log, "...") == STATUS_OK);
    smtp_reply_parser_finish(&p);
    return replies;
}

static void check_written(struct slice text)
{
    struct buffer out, log;

    buffer_init(&out, 16 * 1024 * 1024);
    buffer_init(&log, 16 * 1024 * 1024);
    ASSERT(smtp_reply_write(&out, 550, "5.7.1", text) == STATUS_OK);
    ASSERT(cut(buffer_contents(&out), SIZE_MAX, &log) == 1);
    buffer_finish(&out);
    buffer_finish(&log);
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
    ASSERT(cut(text, SIZE_MAX, &whole) == cut(text, piece_bytes, &pieces));
    ASSERT(slice_equal(buffer_contents(&whole), buffer_contents(&pieces)));
    buffer_finish(&whole);
    buffer_finish(&pieces);
    check_written(text);
    return 0;
}
