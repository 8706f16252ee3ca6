/* base/spares.h - the memory of buffers that are needed often, and for a moment only.
 *
 * A connection holds no buffer while it has nothing to say, and ten thousand times a second one of
 * them has. Between lend and return the buffer is used as any other, and may grow or be exchanged
 * for another. For one thread.
 */
#pragma once
#include "base/buffer.h"

#define SPARES_COUNT_MAX      256
#define SPARES_BYTES_FIRST    1024 /* of a buffer that is lent */
#define SPARES_BYTES_KEPT_MAX 8192 /* one that has grown larger is freed: 2 MiB at most stay */

struct spares { /* Fields are private; zeroed at first. */
    char *data[SPARES_COUNT_MAX];
    uint32_t capacity[SPARES_COUNT_MAX];
    unsigned count;
};

/* Gives an empty buffer memory, unless it has some or there is none: it then takes its own with the
 * first append. */
void spares_lend(struct spares *s, struct buffer *b);

/* Takes the memory of a buffer, whether it was lent or not; what is in it is dropped. Accepts an
 * empty or a finished buffer. */
void spares_return(struct spares *s, struct buffer *b);

void spares_finish(struct spares *s);
