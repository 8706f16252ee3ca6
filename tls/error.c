#include "tls/error.h"

#include <openssl/err.h>
#include <stdio.h>

#include "tls/internal.h"

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

void tls_error_drain(const char *otherwise, char text_out[static TLS_ERROR_TEXT_MAX])
{
    const char *function = NULL;
    unsigned long code = ERR_get_error_all(NULL, NULL, &function, NULL, NULL);

    if (code == 0)
        (void)snprintf(text_out, TLS_ERROR_TEXT_MAX, "(0, '%s')", otherwise);
    else
        (void)snprintf(text_out, TLS_ERROR_TEXT_MAX, "(%lu, 'error:%08lX:%s:%s:%s')", code, code,
                       or_empty(ERR_lib_error_string(code)), or_empty(function),
                       or_empty(ERR_reason_error_string(code)));
    ERR_clear_error();
}
