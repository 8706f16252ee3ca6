#include "observe/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/observe/gunzip.h"

#define BYTES_MAX ((size_t)200000)

static char bytes[BYTES_MAX], again[BYTES_MAX + 1];

/* Text that says the same over and over, and noise. */
static void fill(bool is_noise, uint64_t seed)
{
    for (size_t i = 0; i < BYTES_MAX; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = is_noise ? (char)(seed >> 56) : "{\"failed-session-count\": 1}"[i % 27];
    }
}

static void what_is_compressed_can_be_had_again(void **unused)
{
    static const size_t lengths[] = { 0, 1, 27, 4095, 4096, 4097, 65536, BYTES_MAX };

    (void)unused;
    for (int is_noise = 0; is_noise < 2; is_noise++) {
        fill(is_noise, 7);
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            const struct slice all = { bytes, lengths[i] };
            struct buffer out, twice;

            buffer_init(&out, 2 * BYTES_MAX);
            buffer_init(&twice, 2 * BYTES_MAX);
            assert_int_equal(observe_gzip(all, &out), STATUS_OK);
            assert_int_equal(gunzip(buffer_contents(&out), again, sizeof(again)), all.len);
            assert_memory_equal(again, bytes, all.len);
            assert_true(is_noise || all.len < BYTES_MAX || buffer_len(&out) < BYTES_MAX / 50);
            assert_int_equal(observe_gzip(all, &twice), STATUS_OK);
            assert_true(slice_equal(buffer_contents(&out), buffer_contents(&twice)));
            buffer_finish(&out);
            buffer_finish(&twice);
        }
    }
}

static void it_never_grows_beyond_its_room(void **unused)
{
    (void)unused;
    fill(true, 8);
    for (size_t room = 1; room < BYTES_MAX; room = room * 3 + 1) {
        struct buffer out;

        buffer_init(&out, room);
        assert_int_equal(observe_gzip((struct slice){ bytes, BYTES_MAX }, &out), STATUS_LIMIT);
        assert_true(buffer_len(&out) <= room);
        buffer_finish(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_compressed_can_be_had_again),
        cmocka_unit_test(it_never_grows_beyond_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
