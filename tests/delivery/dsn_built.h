/* tests/delivery/dsn_built.h - a DSN as text, to be looked at. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/dsn.h"

#define DSN_BUILT_MAX ((size_t)1024 * 1024)

/* With a NUL behind it, and none within; the caller frees. */
static inline char *dsn_built(const struct delivery_dsn *dsn, struct delivery_dsn_traits *traits)
{
    struct buffer out;
    char *text;

    buffer_init(&out, DSN_BUILT_MAX);
    assert_int_equal(delivery_dsn_build(dsn, &out, traits), STATUS_OK);
    text = strndup(buffer_contents(&out).data, buffer_len(&out));
    assert_non_null(text);
    assert_int_equal(strlen(text), buffer_len(&out));
    buffer_finish(&out);
    return text;
}
