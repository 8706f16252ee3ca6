#include "base/json_scan.h"

void json_scan_init(struct json_scan *s, struct slice text)
{
    *s = (struct json_scan){ .rest = text };
}

static enum json_token bad(struct json_scan *s)
{
    s->is_bad = true;
    return JSON_BAD;
}

static bool is_gap(const struct json_scan *s, char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || (c == ',' && s->depth > 0);
}

static void skip_gap(struct json_scan *s)
{
    while (s->rest.len > 0 && is_gap(s, s->rest.data[0]))
        s->rest = slice_after(s->rest, 1);
}

static bool is_plain(char c)
{
    return ascii_is_digit(c) || ascii_is_letter(c) || c == '-' || c == '+' || c == '.';
}

static enum json_token open_bracket(struct json_scan *s, char closer)
{
    if (s->depth == JSON_DEPTH_MAX)
        return bad(s);
    s->closers[s->depth++] = closer;
    s->wants_value = false;
    return closer == '}' ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_token close_bracket(struct json_scan *s, char closer)
{
    if (s->depth == 0 || s->wants_value || s->closers[s->depth - 1] != closer)
        return bad(s);
    s->depth--;
    return JSON_CLOSE;
}

/* rest begins behind the quote. */
static bool take_string(struct json_scan *s, struct slice *value_out)
{
    for (size_t i = 0; i < s->rest.len; i++) {
        if (s->rest.data[i] == '\\') {
            i++;
        } else if (s->rest.data[i] == '"') {
            *value_out = slice_first(s->rest, i);
            s->rest = slice_after(s->rest, i + 1);
            return true;
        }
    }
    return false;
}

static enum json_token take_name(struct json_scan *s, struct slice *value_out)
{
    if (!take_string(s, value_out))
        return bad(s);
    while (s->rest.len > 0 && is_gap(s, s->rest.data[0]) && s->rest.data[0] != ',')
        s->rest = slice_after(s->rest, 1);
    if (s->rest.len == 0 || s->rest.data[0] != ':')
        return bad(s);
    s->rest = slice_after(s->rest, 1);
    s->wants_value = true;
    return JSON_NAME;
}

static enum json_token take_plain(struct json_scan *s, struct slice *value_out)
{
    size_t len = 0;

    while (len < s->rest.len && is_plain(s->rest.data[len]))
        len++;
    if (len == 0)
        return bad(s);
    *value_out = slice_first(s->rest, len);
    s->rest = slice_after(s->rest, len);
    s->wants_value = false;
    return ascii_is_letter(value_out->data[0]) ? JSON_WORD : JSON_NUMBER;
}

enum json_token json_scan_next(struct json_scan *s, struct slice *value_out)
{
    bool is_name;
    char c;

    *value_out = (struct slice){ 0 };
    if (s->is_bad)
        return JSON_BAD;
    skip_gap(s);
    if (s->rest.len == 0)
        return s->depth == 0 && s->has_value ? JSON_END : bad(s);
    if (s->depth == 0 && s->has_value)
        return bad(s);
    c = s->rest.data[0];
    is_name = s->depth > 0 && s->closers[s->depth - 1] == '}' && !s->wants_value;
    if (is_name && c != '"' && c != '}')
        return bad(s);
    s->has_value = true;
    if (!is_plain(c))
        s->rest = slice_after(s->rest, 1);
    switch (c) {
    case '{': return open_bracket(s, '}');
    case '[': return open_bracket(s, ']');
    case '}':
    case ']': return close_bracket(s, c);
    case '"':
        if (is_name)
            return take_name(s, value_out);
        s->wants_value = false;
        return take_string(s, value_out) ? JSON_STRING : bad(s);
    default: return is_plain(c) ? take_plain(s, value_out) : bad(s);
    }
}

/* The character of \uXXXX below U+0080, else '?'. */
static char hex_character(struct slice digits)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        char c = ascii_lower(digits.data[i]);

        if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
            return '?';
        value = value * 16 + (unsigned)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    return digits.len == 4 && value < 0x80 ? (char)value : '?';
}

static char escaped_character(struct slice *rest)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char c = rest->data[0];
    const char *known = c != '\0' ? strchr(from, c) : NULL;

    *rest = slice_after(*rest, 1);
    if (c == 'u') {
        struct slice digits = slice_first(*rest, rest->len < 4 ? rest->len : 4);

        *rest = slice_after(*rest, digits.len);
        return hex_character(digits);
    }
    return known != NULL ? to[known - from] : c;
}

const char *json_unescape(struct slice raw, char *text, size_t room)
{
    size_t len = 0;

    ASSERT(room > 0);
    while (raw.len > 0 && len < room - 1) {
        char c = raw.data[0];

        raw = slice_after(raw, 1);
        text[len++] = c == '\\' && raw.len > 0 ? escaped_character(&raw) : c;
    }
    text[len] = '\0';
    return text;
}
