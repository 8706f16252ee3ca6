/* config/source.h - a configuration file and what it includes, as one text.
 *
 * A line of the form
 *
 *     @include "NAME"
 *
 * is replaced by the file, whose relative name is looked up beside the including one. Every line
 * of the whole remembers where it came from. This is done here and not by libconfig because its
 * scanner ends the process when an included file cannot be read as text, and a reload must not.
 */
#pragma once
#include "base/buffer.h"
#include "config/problems.h"

#define CONFIG_SOURCE_BYTES_MAX  ((size_t)256 << 20)
#define CONFIG_SOURCE_DEPTH_MAX  10
#define CONFIG_SOURCE_PIECES_MAX 4096 /* an include makes two more */

/* Lines of the whole that come from one file one after the other. */
struct config_source_piece {
    unsigned first; /* line of the whole, from 1 */
    unsigned line;  /* of the file */
    const char *file;
};

struct config_source {  /* read text and is_memory; the rest is private */
    struct buffer text; /* followed by a NUL once it is read */
    struct config_source_piece *pieces;
    size_t pieces_count;
    unsigned lines_count;
    bool is_memory; /* no file of its own, and none beside it */
    struct arena arena;
};

void config_source_init(struct config_source *s);
void config_source_finish(struct config_source *s);

/* What cannot be read is added to problems. */
MUST_USE enum status config_source_read(struct config_source *s, const char *path,
                                        struct config_problems *problems);

/* The same from memory; an include is a problem. */
MUST_USE enum status config_source_take(struct config_source *s, const char *name,
                                        struct slice text, struct config_problems *problems);

/* Where a line of the whole came from. */
const char *config_source_where(const struct config_source *s, unsigned line, unsigned *line_out);

/* NAME beside the file `file`: NAME itself when it is absolute. NULL: no memory. */
MUST_USE char *config_path_beside(struct arena *arena, const char *file, struct slice name);

/* Appends a whole regular file, as far as the buffer may grow. On failure errno says why; what is
 * no file (a FIFO would wait for its writer, or be empty) is EINVAL. */
MUST_USE enum status config_file_read(const char *path, struct buffer *text);
