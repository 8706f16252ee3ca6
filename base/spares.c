#include "base/spares.h"

#include <stdlib.h>

void spares_lend(struct spares *s, struct buffer *b)
{
    ASSERT(s->count <= SPARES_COUNT_MAX);
    if (b->data != NULL || b->bytes_max < SPARES_BYTES_KEPT_MAX)
        return;
    if (s->count > 0) {
        s->count--;
        b->data = s->data[s->count];
        b->capacity = s->capacity[s->count];
        return;
    }
    b->data = malloc(SPARES_BYTES_FIRST);
    if (b->data != NULL)
        b->capacity = SPARES_BYTES_FIRST;
}

void spares_return(struct spares *s, struct buffer *b)
{
    if (s->count == SPARES_COUNT_MAX || b->capacity < SPARES_BYTES_FIRST ||
        b->capacity > SPARES_BYTES_KEPT_MAX) {
        buffer_finish(b);
        return;
    }
    s->data[s->count] = b->data;
    s->capacity[s->count] = b->capacity;
    s->count++;
    buffer_init(b, b->bytes_max);
}

void spares_finish(struct spares *s)
{
    while (s->count > 0)
        free(s->data[--s->count]);
}
