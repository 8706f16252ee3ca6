/* smtp/xtext.h - the coding of parameter values, RFC 3461 section 4.
 *
 *     xtext = *( xchar / hexchar )     xchar: '!' to '~' but for '+' and '='
 *     hexchar = "+" and two hexadecimal digits, which have to be capitals
 */
#pragma once
#include "base/slice.h"

enum smtp_xtext_digits {
    SMTP_XTEXT_CAPITALS, /* as the RFC has it */
    SMTP_XTEXT_ANY_CASE
};

/* Decodes text to `into`, which has room for text.len bytes. False, with *len_out unchanged, when
 * it is no xtext. What comes out may be any bytes at all, controls included. */
bool smtp_xtext_decode(struct slice text, enum smtp_xtext_digits digits, char *into,
                       size_t *len_out);
