/* base/arena.h - memory that is taken piece by piece and given back all at once.
 *
 * For objects that are built once and then only read (a configuration, a policy snapshot).
 * Every piece is zeroed and aligned for any type. Nothing is freed before arena_finish().
 */
#pragma once
#include "base/check.h"
#include "base/slice.h"

struct arena_chunk;

struct arena {                  /* Fields are private; it is open so that others can embed it. */
    struct arena_chunk *chunks; /* newest first */
    size_t bytes_used;
    size_t bytes_max;
};

/* bytes_max bounds the sum of all pieces. Takes no memory. */
void arena_init(struct arena *a, size_t bytes_max);
void arena_finish(struct arena *a); /* accepts an empty or a finished arena */

/* Room for count objects of the given size. NULL when the bound or the memory is passed (it
 * changes nothing then); never NULL for count 0. */
MUST_USE void *arena_take(struct arena *a, size_t count, size_t bytes);

/* A copy of text with a NUL behind it; NULL as above. */
MUST_USE char *arena_text(struct arena *a, struct slice text);

/* The same as a slice; false instead of NULL. */
MUST_USE bool arena_copy(struct arena *a, struct slice text, struct slice *copy_out);
