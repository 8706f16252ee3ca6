/* base/json.h - writing one JSON value (RFC 8259) into a buffer.
 *
 * The writer puts the commas. An error (no memory, the buffer's maximum) is kept and told by
 * json_finish(); what is written after it is left out. Brackets have to match: a mistake of ours
 * otherwise.
 */
#pragma once
#include "base/buffer.h"

#define JSON_DEPTH_MAX  16
#define JSON_ESCAPE_MAX 8

struct json_writer { /* Fields are private. */
    struct buffer *out;
    enum status status;
    unsigned depth;
    char closers[JSON_DEPTH_MAX];
    bool needs_comma;
    bool is_member; /* a name was written, its value comes next */
};

/* Appends to out, which it borrows until json_finish(). */
void json_init(struct json_writer *w, struct buffer *out);
MUST_USE enum status json_finish(struct json_writer *w);

void json_open_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close(struct json_writer *w); /* the innermost that is open */

/* Within an object, before each value. */
void json_name(struct json_writer *w, const char *name);

/* Bytes that are not UTF-8 become U+FFFD. */
void json_text(struct json_writer *w, struct slice text);
void json_number(struct json_writer *w, uint64_t number);
void json_bool(struct json_writer *w, bool value);

/* A name and its value. */
void json_member_text(struct json_writer *w, const char *name, struct slice text);
void json_member_number(struct json_writer *w, const char *name, uint64_t number);

/* Takes the first character off *rest, which is not empty, and writes what stands for it within a
 * JSON string. Returns its length. */
size_t json_escape(struct slice *rest, char text[static JSON_ESCAPE_MAX]);
