#include "tls/text.h"

#include <stdio.h>

#include "base/check.h"

#define MORE       "..."
#define MORE_BYTES (sizeof(MORE) - 1)

void tls_text_begin(struct tls_text *t, char *into, size_t room)
{
    ASSERT(room > MORE_BYTES);
    *t = (struct tls_text){ .into = into, .room = room };
    into[0] = '\0';
}

/* All of the piece or, from now on, nothing. The room for "..." is always left. */
static void put(struct tls_text *t, struct slice piece)
{
    if (t->is_full)
        return;
    if (t->len + piece.len + MORE_BYTES >= t->room) {
        piece = SLICE(MORE);
        t->is_full = true;
    }
    memcpy(t->into + t->len, piece.data, piece.len);
    t->len += piece.len;
    t->into[t->len] = '\0';
}

void tls_text_add(struct tls_text *t, const char *words)
{
    put(t, slice_from(words));
}

void tls_text_add_number(struct tls_text *t, uint64_t number)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    tls_text_add(t, digits);
}

static bool is_of_names(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || (c != '\0' && strchr("-_.*@:/", c) != NULL);
}

static bool is_of_phrases(char c)
{
    return c >= ' ' && c <= '~';
}

static void add_escaped(struct tls_text *t, struct slice text, size_t bytes_max,
                        bool (*stays)(char c))
{
    size_t count = text.len < bytes_max ? text.len : bytes_max;

    for (size_t i = 0; i < count; i++) {
        char escape[8];

        if (stays(text.data[i])) {
            put(t, (struct slice){ text.data + i, 1 });
            continue;
        }
        (void)snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)text.data[i]);
        put(t, slice_from(escape));
    }
    if (count < text.len)
        put(t, SLICE(MORE));
}

void tls_text_add_name(struct tls_text *t, struct slice name, size_t bytes_max)
{
    add_escaped(t, name, bytes_max, is_of_names);
}

void tls_text_add_phrase(struct tls_text *t, struct slice phrase, size_t bytes_max)
{
    add_escaped(t, phrase, bytes_max, is_of_phrases);
}
