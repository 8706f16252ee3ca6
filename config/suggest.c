#include "config/suggest.h"

#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

#define NAME_BYTES_MAX 64 /* longer names are not compared */
#define DISTANCE_MAX   3

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters have to be inserted, deleted, changed, or swapped with their neighbour
 * (Damerau's measure in its restricted form), with one row of the matrix for each letter of a. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_BYTES_MAX + 1] = { 0 };

    for (size_t k = 0; k <= b.len; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            char ca = ascii_lower(a.data[i - 1]), cb = ascii_lower(b.data[k - 1]);

            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (ca == cb ? 0 : 1));
            if (i > 1 && k > 1 && ca == ascii_lower(b.data[k - 2]) &&
                cb == ascii_lower(a.data[i - 2]))
                row[k] = least(row[k], above2[k - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

struct config_suggestion config_suggestion_begin(const char *wrong)
{
    return (struct config_suggestion){ .wrong = wrong, .distance = DISTANCE_MAX + 1 };
}

void config_suggestion_offer(struct config_suggestion *s, const char *name)
{
    struct slice a = slice_from(s->wrong), b = slice_from(name);
    size_t d;

    if (a.len > NAME_BYTES_MAX || b.len > NAME_BYTES_MAX)
        return;
    d = distance(a, b);
    if (d < s->distance && 2 * d < b.len) {
        s->distance = d;
        s->best = name;
    }
}

const char *config_suggestion_text(const struct config_suggestion *s,
                                   char text[static CONFIG_SUGGESTION_TEXT_MAX])
{
    text[0] = '\0';
    if (s->best != NULL)
        (void)snprintf(text, CONFIG_SUGGESTION_TEXT_MAX, "; did you mean \"%s\"?", s->best);
    return text;
}
