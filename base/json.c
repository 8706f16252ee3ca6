#include "base/json.h"

#include <stdio.h>

/* Length of the UTF-8 sequence at the start of s (RFC 3629), 0 when there is none. */
static size_t sequence_len(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.data;
    size_t len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;

    if (b[0] > 0xf4 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return len;
}

size_t json_escape(struct slice *rest, char text[static JSON_ESCAPE_MAX])
{
    size_t len = sequence_len(*rest), written;
    unsigned char c = (unsigned char)rest->data[0];

    if (len == 0)
        written = (size_t)snprintf(text, JSON_ESCAPE_MAX, "\\ufffd");
    else if (c == '"' || c == '\\')
        written = (size_t)snprintf(text, JSON_ESCAPE_MAX, "\\%c", c);
    else if (c < ' ' || c == 0x7f)
        written = (size_t)snprintf(text, JSON_ESCAPE_MAX, "\\u%04x", (unsigned)c);
    else
        memcpy(text, rest->data, written = len);
    *rest = slice_after(*rest, len > 0 ? len : 1);
    return written;
}

static void put(struct json_writer *w, struct slice text)
{
    if (w->status == STATUS_OK)
        w->status = buffer_append(w->out, text);
}

static void put_quoted(struct json_writer *w, struct slice text)
{
    char escaped[JSON_ESCAPE_MAX];

    put(w, SLICE("\""));
    while (text.len > 0 && w->status == STATUS_OK) {
        size_t len = json_escape(&text, escaped);

        put(w, (struct slice){ escaped, len });
    }
    put(w, SLICE("\""));
}

static void begin_value(struct json_writer *w)
{
    bool in_object = w->depth > 0 && w->closers[w->depth - 1] == '}';

    ASSERT(w->is_member == in_object);
    if (w->needs_comma && !w->is_member)
        put(w, SLICE(", "));
    w->is_member = false;
    w->needs_comma = true;
}

static void open_bracket(struct json_writer *w, struct slice bracket, char closer)
{
    ASSERT(w->depth < JSON_DEPTH_MAX);
    begin_value(w);
    put(w, bracket);
    w->closers[w->depth++] = closer;
    w->needs_comma = false;
}

void json_init(struct json_writer *w, struct buffer *out)
{
    *w = (struct json_writer){ .out = out, .status = STATUS_OK };
}

enum status json_finish(struct json_writer *w)
{
    ASSERT(w->depth == 0);
    return w->status;
}

void json_open_object(struct json_writer *w)
{
    open_bracket(w, SLICE("{"), '}');
}

void json_open_array(struct json_writer *w)
{
    open_bracket(w, SLICE("["), ']');
}

void json_close(struct json_writer *w)
{
    ASSERT(w->depth > 0 && !w->is_member);
    put(w, (struct slice){ &w->closers[--w->depth], 1 });
    w->needs_comma = true;
}

void json_name(struct json_writer *w, const char *name)
{
    ASSERT(w->depth > 0 && w->closers[w->depth - 1] == '}' && !w->is_member);
    if (w->needs_comma)
        put(w, SLICE(", "));
    put_quoted(w, slice_from(name));
    put(w, SLICE(": "));
    w->is_member = true;
}

void json_text(struct json_writer *w, struct slice text)
{
    begin_value(w);
    put_quoted(w, text);
}

void json_number(struct json_writer *w, uint64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

    begin_value(w);
    put(w, (struct slice){ text, (size_t)len });
}

void json_bool(struct json_writer *w, bool value)
{
    begin_value(w);
    put(w, value ? SLICE("true") : SLICE("false"));
}

void json_member_text(struct json_writer *w, const char *name, struct slice text)
{
    json_name(w, name);
    json_text(w, text);
}

void json_member_number(struct json_writer *w, const char *name, uint64_t number)
{
    json_name(w, name);
    json_number(w, number);
}
