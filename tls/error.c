#include "tls/error.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>

#include "tls/internal.h"

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

bool tls_error_drain(const char *otherwise, char text_out[static TLS_ERROR_TEXT_MAX])
{
    bool is_memory = false;
    const char *function = NULL;
    unsigned long code = ERR_get_error_all(NULL, NULL, &function, NULL, NULL);

    if (code == 0)
        (void)snprintf(text_out, TLS_ERROR_TEXT_MAX, "(0, '%s')", otherwise);
    else
        (void)snprintf(text_out, TLS_ERROR_TEXT_MAX, "(%lu, 'error:%08lX:%s:%s:%s')", code, code,
                       or_empty(ERR_lib_error_string(code)), or_empty(function),
                       or_empty(ERR_reason_error_string(code)));
    for (; code != 0; code = ERR_get_error())
        is_memory = is_memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return is_memory;
}

void tls_error_say(struct tls_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    for (char *c = error->text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

enum status tls_error_file(const char *path, const char *what, struct tls_error *error)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    enum status status = STATUS_INVALID;
    char system_text[128];

    if (ERR_SYSTEM_ERROR(code)) {
        status = status_from_errno(ERR_GET_REASON(code));
        tls_error_say(error, "%s: %s", path,
                      strerror_r(ERR_GET_REASON(code), system_text, sizeof(system_text)));
    } else if (code == 0 || reason == NULL || ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
        tls_error_say(error, "%s: holds no %s in PEM form", path, what);
    } else if (ERR_GET_LIB(code) == ERR_LIB_X509 &&
               ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
        tls_error_say(error, "%s: the key belongs to another certificate", path);
    } else {
        tls_error_say(error, "%s: %s not usable: %s", path, what, reason);
    }
    ERR_clear_error();
    return status;
}
