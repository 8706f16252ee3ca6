/* config/asyncos_write.h - libconfig text for what was read from an export.
 *
 * Each function appends to out and returns STATUS_LIMIT or STATUS_NO_MEMORY when that fails.
 */
#pragma once
#include "config/asyncos.h"

/* "text" with its quotes. A control character, which no text of ours may have, becomes a space. */
MUST_USE enum status config_asyncos_write_string(struct buffer *out, struct slice text);

/* "KEY = "text";" on a line of its own. */
MUST_USE enum status config_asyncos_write_text(struct buffer *out, unsigned indent, const char *key,
                                               struct slice text);

/* "# text" on a line of its own. */
MUST_USE enum status config_asyncos_write_comment(struct buffer *out, unsigned indent,
                                                  struct slice text);

/* "# text" where a line has its rest; nothing when the text is empty. Ends the line. */
MUST_USE enum status config_asyncos_write_rest(struct buffer *out, struct slice text);

/* The comments of the marks first..end-1, each on a line of its own; none when first is no mark. */
MUST_USE enum status config_asyncos_write_marks(const struct config_asyncos *a, struct buffer *out,
                                                unsigned indent, uint32_t first, uint32_t end);

/* Elements of a list, several to a line while they have no comments. Zeroed but for out and
 * indent; begin with config_asyncos_write_element() and end with
 * config_asyncos_write_elements_end(). */
struct config_asyncos_elements {
    struct buffer *out;
    unsigned indent;
    size_t column; /* 0: at the start of a line */
};

/* is_last: no comma behind it. */
MUST_USE enum status config_asyncos_write_element(struct config_asyncos_elements *e,
                                                  struct slice text, struct slice comment,
                                                  bool is_last);
/* Begins a new line, unless there is one. */
MUST_USE enum status config_asyncos_write_elements_end(struct config_asyncos_elements *e);
