/* What is stuffed ends where it should, comes back as it was, and does not depend on the cuts. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "smtp/body.h"
#include "smtp/stuffing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The piece is copied to memory of its exact size, so that reading beyond it is seen. */
static void feed(struct smtp_stuffing *s, struct slice piece, struct buffer *out)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    struct slice rest = { copy, piece.len };

    ASSERT(copy != NULL);
    if (piece.len > 0)
        memcpy(copy, piece.data, piece.len);
    while (rest.len > 0) {
        size_t used;
        struct slice run = smtp_stuffing_next(s, rest, &used);

        ASSERT(run.len > 0 && used <= rest.len);
        ASSERT(buffer_append(out, run) == STATUS_OK);
        rest = slice_after(rest, used);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_stuffing s;
    struct smtp_body b;
    struct buffer whole, cut;
    struct slice text, rest, run;
    size_t used, at;
    enum smtp_body_result result;

    if (size < 1)
        return 0;
    text = (struct slice){ (const char *)data + 1, size - 1 };
    at = data[0] % (text.len + 1);
    buffer_init(&whole, 2 * size + 64);
    buffer_init(&cut, 2 * size + 64);
    smtp_stuffing_init(&s);
    feed(&s, text, &whole);
    smtp_stuffing_init(&s);
    feed(&s, slice_first(text, at), &cut);
    feed(&s, slice_after(text, at), &cut);
    ASSERT(slice_equal(buffer_contents(&whole), buffer_contents(&cut)));
    ASSERT(buffer_append(&whole, smtp_stuffing_end(&s)) == STATUS_OK);

    used = buffer_len(&whole);
    ASSERT(buffer_append_text(&whole, ".\r\n") == STATUS_OK);
    smtp_body_init(&b);
    rest = buffer_contents(&whole);
    for (result = SMTP_BODY_MORE; result != SMTP_BODY_END; rest = slice_after(rest, used))
        result = smtp_body_next(&b, rest, &used, &run);
    ASSERT(rest.len == 0);
    ASSERT(smtp_body_size(&b) == text.len + smtp_stuffing_end(&s).len);
    buffer_finish(&whole);
    buffer_finish(&cut);
    return 0;
}
