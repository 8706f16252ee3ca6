#include "smtp/line.h"

void smtp_line_init(struct smtp_line *l)
{
    *l = (struct smtp_line){ 0 };
    buffer_init(&l->partial, SMTP_COMMAND_BYTES_MAX);
}

void smtp_line_release(struct smtp_line *l)
{
    if (!l->is_lent)
        return;
    buffer_release(&l->partial);
    l->is_lent = false;
}

void smtp_line_finish(struct smtp_line *l)
{
    buffer_finish(&l->partial);
    *l = (struct smtp_line){ .partial = l->partial };
}

/* Adds bytes to the unfinished line, or begins to skip it once it is too long. */
static enum status line_keep(struct smtp_line *l, struct slice bytes)
{
    ASSERT(bytes.len > 0);
    l->bytes += (uint32_t)bytes.len;
    l->ends_in_cr = bytes.data[bytes.len - 1] == '\r';
    if (l->is_skipped)
        return STATUS_OK;
    if (l->bytes > SMTP_COMMAND_BYTES_MAX) {
        buffer_release(&l->partial);
        l->is_skipped = true;
        return STATUS_OK;
    }
    return buffer_append(&l->partial, bytes);
}

/* The line ends with the last of bytes, which is the LF of a CRLF. */
static enum smtp_line_result line_end(struct smtp_line *l, struct slice bytes,
                                      struct slice *line_out)
{
    enum smtp_line_result result = SMTP_LINE_DONE;

    if (l->bytes == 0 && bytes.len <= SMTP_COMMAND_BYTES_MAX) {
        *line_out = slice_first(bytes, bytes.len - 2);
        return SMTP_LINE_DONE;
    }
    if (line_keep(l, bytes) != STATUS_OK)
        return SMTP_LINE_NO_MEMORY;
    if (l->is_skipped) {
        result = SMTP_LINE_TOO_LONG;
    } else {
        ASSERT(buffer_len(&l->partial) >= 2);
        *line_out = slice_first(buffer_contents(&l->partial), buffer_len(&l->partial) - 2);
        l->is_lent = true;
    }
    l->bytes = 0;
    l->ends_in_cr = false;
    l->is_skipped = false;
    return result;
}

enum smtp_line_result smtp_line_next(struct smtp_line *l, struct slice input, size_t *used_out,
                                     struct slice *line_out)
{
    const char *lf;
    struct slice bytes;
    bool is_after_cr;

    smtp_line_release(l);
    *used_out = 0;
    if (input.len == 0)
        return SMTP_LINE_PARTIAL;

    lf = memchr(input.data, '\n', input.len);
    bytes = slice_first(input, lf != NULL ? (size_t)(lf - input.data) + 1 : input.len);
    if (bytes.len > SMTP_LINE_SKIP_BYTES_MAX - l->bytes) {
        *used_out = SMTP_LINE_SKIP_BYTES_MAX - l->bytes;
        return SMTP_LINE_ENDLESS;
    }
    *used_out = bytes.len;
    if (lf == NULL)
        return line_keep(l, bytes) == STATUS_OK ? SMTP_LINE_PARTIAL : SMTP_LINE_NO_MEMORY;

    is_after_cr = bytes.len > 1 ? lf[-1] == '\r' : l->ends_in_cr;
    if (is_after_cr)
        return line_end(l, bytes, line_out);
    return line_keep(l, bytes) == STATUS_OK ? SMTP_LINE_BARE_LF : SMTP_LINE_NO_MEMORY;
}
