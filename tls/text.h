/* tls/text.h - a line for the log, put together in a fixed room from words of ours and of a peer.
 *
 * What does not fit is left out, and the line ends with "...". It is cut between words and escapes,
 * never inside one. Always a string; ASCII without control characters. Only for the files of tls/.
 */
#pragma once
#include "base/slice.h"

struct tls_text { /* Fields are private. */
    char *into;
    size_t room, len;
    bool is_full;
};

/* room: of the string with its NUL, at least 4. */
void tls_text_begin(struct tls_text *t, char *into, size_t room);

void tls_text_add(struct tls_text *t, const char *words); /* ours, as they are */
void tls_text_add_number(struct tls_text *t, uint64_t number);

/* A name that a peer has chosen. Everything that is not of the kind that names are made of becomes
 * \xHH, the separators of lists too. At most bytes_max bytes of it, then "..." follows. */
void tls_text_add_name(struct tls_text *t, struct slice name, size_t bytes_max);

/* The same of something longer, in which blanks and punctuation may stay. */
void tls_text_add_phrase(struct tls_text *t, struct slice phrase, size_t bytes_max);
