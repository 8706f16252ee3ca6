/* tls/error.h - one readable line about what OpenSSL, a certificate or a key file did wrong. */
#pragma once

#define TLS_ERROR_TEXT_MAX 320 /* NUL included */

struct tls_error {
    char text[TLS_ERROR_TEXT_MAX]; /* "" when there is nothing to say; never a newline */
};
