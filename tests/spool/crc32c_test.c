#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/crc32c.h"

static void it_gives_the_published_values(void **unused)
{
    /* RFC 3720 B.4 */
    static const char zeros[32] = { 0 };
    char ones[32], up[32];
    const struct {
        struct slice bytes;
        uint32_t crc;
    } cases[] = {
        { SLICE(""), 0 },
        { SLICE("123456789"), 0xe3069283 },
        { { zeros, 32 }, 0x8a9136aa },
        { { ones, 32 }, 0x62a8ab43 },
        { { up, 32 }, 0x46dd794e },
    };

    (void)unused;
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        up[i] = (char)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(spool_crc32c_plain(0, cases[i].bytes.data, cases[i].bytes.len),
                         cases[i].crc);
        assert_int_equal(spool_crc32c(0, cases[i].bytes.data, cases[i].bytes.len), cases[i].crc);
    }
}

static void both_ways_agree_at_every_length_and_alignment(void **unused)
{
    char bytes[300];

    (void)unused;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 131 + 7);
    for (size_t start = 0; start < 9; start++)
        for (size_t len = 0; len + start <= sizeof bytes; len++)
            assert_int_equal(spool_crc32c_fast(start != 0 ? 0x1234u : 0, bytes + start, len),
                             spool_crc32c_plain(start != 0 ? 0x1234u : 0, bytes + start, len));
}

/* Three streams of 1 KiB are taken at once where there are so many bytes. */
static void both_ways_agree_around_each_round_of_streams(void **unused)
{
    static char bytes[6 * 3072];

    (void)unused;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * i * 131 + (i >> 7));
    for (size_t rounds = 1; rounds < 6; rounds++)
        for (size_t len = rounds * 3072 - 17; len < rounds * 3072 + 17; len++)
            for (size_t start = 0; start < 3; start++)
                assert_int_equal(spool_crc32c_fast(0xfeedface, bytes + start, len),
                                 spool_crc32c_plain(0xfeedface, bytes + start, len));
}

static void it_does_not_matter_how_the_bytes_are_cut(void **unused)
{
    struct slice text = SLICE("The quick brown fox jumps over the lazy dog, twice.");
    uint32_t whole = spool_crc32c(0, text.data, text.len);

    (void)unused;
    for (size_t cut = 0; cut <= text.len; cut++) {
        uint32_t crc = spool_crc32c(0, text.data, cut);

        assert_int_equal(spool_crc32c(crc, text.data + cut, text.len - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_the_published_values),
        cmocka_unit_test(both_ways_agree_at_every_length_and_alignment),
        cmocka_unit_test(both_ways_agree_around_each_round_of_streams),
        cmocka_unit_test(it_does_not_matter_how_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
