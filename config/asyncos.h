/* config/asyncos.h - the text exports of AsyncOS: tokens, comments, and the report.
 *
 * A text is read once, token by token or line by line; what the tables are made of is up to
 * asyncos_hat.c, asyncos_rat.c, asyncos_destinations.c and asyncos_routes.c. Where an export
 * differs between versions of AsyncOS, all forms are taken: lines may end in CRLF, blanks may be
 * tabs, entries may be parted by commas or by line ends.
 *
 * Comments ("# ..." up to the end of the line) are no tokens. They are kept in their order, and
 * each thing that is written again sets a mark: what stood in front of it, and behind it on its
 * line, is then its own. A text in parentheses is a token: it says something about the entry or
 * the policy before it.
 *
 * Nothing here fails alone: the first lack of memory, or of room, is kept in status, and then
 * there are no more tokens. What is wrong with the text goes to the problems.
 *
 * Call order: config_asyncos_begin(), then config_asyncos_next() until the kind is END (or
 * config_asyncos_line() until it is false), then config_asyncos_report(), and
 * config_asyncos_end() in every case.
 */
#pragma once
#include "base/buffer.h"
#include "config/problems.h"

#define CONFIG_ASYNCOS_BYTES_MAX   ((size_t)64 << 20) /* of a file */
#define CONFIG_ASYNCOS_OUTPUT_MAX  ((size_t)256 << 20)
#define CONFIG_ASYNCOS_ITEMS_MAX   4000000 /* entries, settings and comments, each */
#define CONFIG_ASYNCOS_WORD_MAX    255     /* bytes of an entry, key or name */
#define CONFIG_ASYNCOS_TEXT_MAX    1024    /* bytes of a string or of a comment in parentheses */
#define CONFIG_ASYNCOS_COMMENT_MAX 4096    /* bytes of a "#" comment; the rest is cut */
#define CONFIG_ASYNCOS_NOTES_MAX   64
#define CONFIG_ASYNCOS_LINES_MAX   12 /* that a note lists; the rest is counted */
#define CONFIG_ASYNCOS_NO_MARK     UINT32_MAX

/* What is to be imported; all of it is borrowed. */
struct config_asyncos_import {
    const char *file; /* as problems name it */
    const char *name; /* of the table in the output: config_asyncos_name_is_valid() */
    struct slice text;
};

/* Whether libconfig takes it as the name of a setting: a letter, then letters, digits, "-" and
 * "_"; and neither "true" nor "false", which it takes for values. At most 64 bytes. */
bool config_asyncos_name_is_valid(struct slice name);

enum config_asyncos_kind {
    CONFIG_ASYNCOS_END,
    CONFIG_ASYNCOS_WORD,   /* with all between brackets: geo[United States] */
    CONFIG_ASYNCOS_STRING, /* without its quotes, escapes resolved */
    CONFIG_ASYNCOS_TEXT,   /* (...) without the parentheses, trimmed */
    CONFIG_ASYNCOS_COMMA,  /* or ";" */
    CONFIG_ASYNCOS_EQUALS,
    CONFIG_ASYNCOS_OPEN, /* "{" */
    CONFIG_ASYNCOS_CLOSE
};

struct config_asyncos_token {
    enum config_asyncos_kind kind;
    struct slice text; /* borrowed from the text or from the arena */
    unsigned line;     /* from 1 */
    bool is_at_margin; /* the first byte of its line */
    size_t comments;   /* how many stood before it in the file */
};

struct config_asyncos_comment {
    struct slice text; /* trimmed, without "#" */
    bool is_trailing;  /* behind a token of the same line */
};

/* Something that is said once, with the lines where it happened. */
struct config_asyncos_note {
    struct slice key;
    const char *reason;
    unsigned lines[CONFIG_ASYNCOS_LINES_MAX];
    size_t count; /* of all lines */
};

struct config_asyncos {                /* read token and status; the rest is private */
    struct config_asyncos_token token; /* the current one */
    enum status status;
    const char *file;
    struct config_problems *problems;
    struct arena arena; /* for texts that had to be changed */
    struct slice rest;
    unsigned line;
    bool is_line_empty; /* no token on this line so far */
    bool is_at_margin;  /* nothing at all on this line so far */
    struct buffer comments;
    struct buffer marks;  /* of uint32_t: the first comment of each mark */
    size_t comments_used; /* belong to a mark already */
    struct config_asyncos_note notes[CONFIG_ASYNCOS_NOTES_MAX];
    size_t notes_count;
};

/* Borrows import and problems, which has no errors yet. A text that is too large, or no text, is a
 * problem and has no tokens. */
void config_asyncos_begin(struct config_asyncos *a, const struct config_asyncos_import *import,
                          struct config_problems *problems);
void config_asyncos_end(struct config_asyncos *a); /* accepts an ended one */

/* Reads the next token into a->token. */
void config_asyncos_next(struct config_asyncos *a);

/* For exports that are made of lines, instead of the above: the next line that has more than a
 * comment, without its end, its comment and the blanks around it. A comment begins with "#" or ";",
 * which is the first of its line or has a blank in front. False at the end of the text; line is
 * token.line. */
bool config_asyncos_line(struct config_asyncos *a, struct slice *line_out);

/* The text of a current TEXT token, which is then passed over; empty when it is another kind. */
struct slice config_asyncos_take_text(struct config_asyncos *a);

/* Keeps a text as if it had been a comment in front of the next token. */
void config_asyncos_keep(struct config_asyncos *a, struct slice text);

/* All comments up to the current token that have no mark yet get this one. Comments behind the
 * previous mark's token, on its line, are added to that mark. */
uint32_t config_asyncos_mark(struct config_asyncos *a);

/* Marks are numbered from 0. */
uint32_t config_asyncos_marks_count(const struct config_asyncos *a);

/* The comments of a mark: from *first_out on; returns how many. */
size_t config_asyncos_marked(const struct config_asyncos *a, uint32_t mark, size_t *first_out);
const struct config_asyncos_comment *config_asyncos_comment_at(const struct config_asyncos *a,
                                                               size_t index);

void config_asyncos_error(struct config_asyncos *a, unsigned line, const char *format, ...)
    PRINTF_LIKE(3, 4);
void config_asyncos_warn(struct config_asyncos *a, unsigned line, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* At the end of a table without a row, which nobody exports: an error, unless there is one that
 * may be the cause. */
void config_asyncos_no_row(struct config_asyncos *a);

/* A warning about key, given once with all its lines: "KEY: REASON (lines 3, 7)". reason is
 * static; the same key with another reason is another note. */
void config_asyncos_note(struct config_asyncos *a, struct slice key, const char *reason,
                         unsigned line);

/* Adds the notes to the problems, and puts these in the order of the lines. */
void config_asyncos_report(struct config_asyncos *a);

/* Lists: buffers of items of one type. What config_asyncos_item() returns is valid until the next
 * push to the same list. A push that fails sets status. */
void config_asyncos_list_init(struct buffer *list, size_t items_max, size_t item_bytes);
bool config_asyncos_push(struct config_asyncos *a, struct buffer *list, const void *item,
                         size_t item_bytes);
void *config_asyncos_item(const struct buffer *list, size_t index, size_t item_bytes);

/* A copy in the arena; empty, with status set, when there is no memory. */
struct slice config_asyncos_copy(struct config_asyncos *a, struct slice text);
