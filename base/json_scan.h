/* base/json_scan.h - reading JSON (RFC 8259) token by token, without memory of its own.
 *
 *     json_scan_init(&s, text);
 *     while ((token = json_scan_next(&s, &value)) != JSON_END && token != JSON_BAD) ...
 *
 * It holds brackets, names and values against each other, but not the commas, and it takes a number
 * or a word for any run of their characters: what is wrong in these the caller notices when it
 * wants a number. Slices lie in the text, which has to stay.
 */
#pragma once
#include "base/json.h"

enum json_token {
    JSON_OBJECT, /* begins */
    JSON_ARRAY,  /* begins */
    JSON_CLOSE,  /* the innermost ends */
    JSON_NAME,   /* of a member, value: as a string's; its value is the next token */
    JSON_STRING, /* value: what is between the quotes, see json_unescape() */
    JSON_NUMBER, /* value: its characters */
    JSON_WORD,   /* value: true, false, null */
    JSON_END,    /* one value was read, and nothing stands behind it */
    JSON_BAD
};

struct json_scan { /* Fields are private, but for depth: how many brackets are open. */
    struct slice rest;
    unsigned depth;
    char closers[JSON_DEPTH_MAX];
    bool wants_value; /* after a name */
    bool has_value;   /* the outermost one was read */
    bool is_bad;
};

void json_scan_init(struct json_scan *s, struct slice text);

/* value_out is empty for the tokens without one. After JSON_BAD and JSON_END the same again. */
enum json_token json_scan_next(struct json_scan *s, struct slice *value_out);

/* Writes what the raw text of a string stands for, cut at room - 1, and a NUL. \u is understood
 * for the characters below U+0080; others become "?". Returns text. */
const char *json_unescape(struct slice raw, char *text, size_t room);
