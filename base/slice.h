/* base/slice.h - a borrowed run of bytes; never owns, never NUL-terminated. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object of the given type in which member lies. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct slice {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

/* printf("%.*s", SLICE_ARGS(s)) */
#define SLICE_ARGS(s) (int)(s).len, (s).len > 0 ? (s).data : ""

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })

static inline struct slice slice_from(const char *text)
{
    return (struct slice){ .data = text, .len = strlen(text) };
}

/* Drops the first n bytes, n <= s.len. */
static inline struct slice slice_after(struct slice s, size_t n)
{
    return (struct slice){ .data = s.len > 0 ? s.data + n : s.data, .len = s.len - n };
}

/* Keeps the first n bytes, n <= s.len. */
static inline struct slice slice_first(struct slice s, size_t n)
{
    return (struct slice){ .data = s.data, .len = n };
}

bool slice_equal(struct slice a, struct slice b);

/* Compare without regard to the case of ASCII letters; no locale. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_is_word(struct slice s, const char *word);
bool slice_ends_nocase(struct slice s, struct slice end);

/* The text before the first `by`, which is taken off *rest along with it; all of *rest when
 * `by` does not occur. */
struct slice slice_cut(struct slice *rest, char by);

/* Takes spaces and tabs off both ends. */
struct slice slice_trim(struct slice s);

/* Reads decimal digits, all of s, at least one. False when it is anything else or above max. */
bool slice_to_number(struct slice s, uint64_t max, uint64_t *value_out);

/* ASCII only, whatever the locale. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
