#include "smtp/xtext.h"

/* -1 when it is none. */
static int hex_digit(char c, enum smtp_xtext_digits digits)
{
    if (ascii_is_digit(c))
        return c - '0';
    if (digits == SMTP_XTEXT_CAPITALS && c >= 'a' && c <= 'f')
        return -1;
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool smtp_xtext_decode(struct slice text, enum smtp_xtext_digits digits, char *into,
                       size_t *len_out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '+') {
            int high = text.len - i > 2 ? hex_digit(text.data[i + 1], digits) : -1;
            int low = text.len - i > 2 ? hex_digit(text.data[i + 2], digits) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c < '!' || c > '~' || c == '=') {
            return false;
        }
        into[len++] = c;
    }
    *len_out = len;
    return true;
}
