#include "smtp/reply.h"

#define STATUS_BYTES_MAX 10                         /* "5.999.999 " */
#define LINE_OVERHEAD    (4 + STATUS_BYTES_MAX + 2) /* "250-", the status code, CRLF */

/* Reads up to three digits (RFC 3463 section 2); no leading zero unless it is the only one. */
static size_t number_take(struct slice text, uint16_t *value_out)
{
    uint16_t value = 0;
    size_t i = 0;

    while (i < text.len && i < 3 && ascii_is_digit(text.data[i]))
        value = (uint16_t)(value * 10 + (text.data[i++] - '0'));
    if (i == 0 || (i > 1 && text.data[0] == '0'))
        return 0;
    *value_out = value;
    return i;
}

size_t smtp_enhanced_parse(struct slice text, struct smtp_enhanced *out)
{
    struct smtp_enhanced e = { 0 };
    size_t at = 2, n;

    if (text.len < 5 || text.data[1] != '.' || memchr("245", text.data[0], 3) == NULL)
        return 0;
    e.class = (uint8_t)(text.data[0] - '0');
    n = number_take(slice_after(text, at), &e.subject);
    at += n;
    if (n == 0 || at >= text.len || text.data[at] != '.')
        return 0;
    at++;
    n = number_take(slice_after(text, at), &e.detail);
    at += n;
    if (n == 0 || (at < text.len && text.data[at] != ' '))
        return 0;
    *out = e;
    return at < text.len ? at + 1 : at;
}

static char *put(char *at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

static char *put_printable(char *at, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        *at++ = (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
    }
    return at;
}

/* Lines of text, of which an empty last one is none. */
static size_t lines_count(struct slice text)
{
    size_t count = 1;

    for (size_t i = 0; i + 1 < text.len && count < SMTP_REPLY_LINES_MAX; i++)
        count += text.data[i] == '\n';
    return count;
}

enum status smtp_reply_write(struct buffer *out, unsigned code, const char *enhanced,
                             struct slice text)
{
    char digits[3] = { (char)('0' + code / 100), (char)('0' + code / 10 % 10),
                       (char)('0' + code % 10) };
    struct slice status = enhanced != NULL ? slice_from(enhanced) : SLICE("");
    size_t count = lines_count(text), bytes_max;
    char *room, *at;

    ASSERT(code >= 200 && code <= 599);
    ASSERT(status.len < STATUS_BYTES_MAX);
    bytes_max = text.len + count * LINE_OVERHEAD;
    TRY(buffer_reserve(out, bytes_max, &room));
    at = room;
    for (size_t i = 1; i <= count; i++) {
        struct slice line = slice_cut(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (line.len > SMTP_REPLY_LINE_BYTES_MAX - LINE_OVERHEAD)
            line.len = SMTP_REPLY_LINE_BYTES_MAX - LINE_OVERHEAD;
        at = put(at, (struct slice){ digits, 3 });
        *at++ = i < count ? '-' : ' ';
        at = put(at, status);
        if (status.len > 0)
            *at++ = ' ';
        at = put_printable(at, line);
        at = put(at, SLICE("\r\n"));
    }
    ASSERT((size_t)(at - room) <= bytes_max);
    buffer_commit(out, (size_t)(at - room));
    return STATUS_OK;
}
