/* tests/observe/gunzip.h - what observe/gzip.h has made, as it was. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "base/slice.h"

/* Returns its length; what is no gzip, or does not fit, fails the test. */
static inline size_t gunzip(struct slice bytes, char *into, size_t room)
{
    z_stream z = { 0 };

    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)bytes.data;
    z.avail_in = (unsigned)bytes.len;
    z.next_out = (unsigned char *)into;
    z.avail_out = (unsigned)room;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(inflateEnd(&z), Z_OK);
    return z.total_out;
}
