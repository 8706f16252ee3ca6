#include "base/slice.h"

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

bool slice_is_word(struct slice s, const char *word)
{
    return slice_equal_nocase(s, slice_from(word));
}

bool slice_ends_nocase(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_equal_nocase(slice_after(s, s.len - end.len), end);
}

struct slice slice_cut(struct slice *rest, char by)
{
    const char *at = rest->len > 0 ? memchr(rest->data, by, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->data) : rest->len;
    struct slice head = slice_first(*rest, len);

    *rest = slice_after(*rest, at != NULL ? len + 1 : len);
    return head;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_after(s, 1);
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool slice_to_number(struct slice s, uint64_t max, uint64_t *value_out)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit = (uint64_t)(s.data[i] - '0');

        if (!ascii_is_digit(s.data[i]) || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *value_out = value;
    return true;
}
