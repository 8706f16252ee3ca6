/* config/syntax_hint.h - what stands where libconfig says "syntax error", and what may be meant.
 *
 * libconfig gives no more than a line. The text is read once more, token by token with the same
 * grammar, up to the first token that does not fit; when that is not in the line of the error,
 * there is no hint. Pure: nothing is taken, and no byte outside of the text is looked at.
 */
#pragma once
#include "base/slice.h"

#define CONFIG_SYNTAX_HINT_MAX 256

struct config_syntax_hint {
    char text[CONFIG_SYNTAX_HINT_MAX]; /* to be said behind the error; "": nothing */
    unsigned line;                     /* that the text ends with, "... in line N"; 0: none */
};

/* ' at "X": SENTENCE', for the syntax error in a line, from 1. */
struct config_syntax_hint config_syntax_hint(struct slice text, unsigned line);

/* ' "NAME": it stands already', and where, for a name that stands twice in its group: the second
 * time in this line. */
struct config_syntax_hint config_syntax_hint_duplicate(struct slice text, unsigned line);
