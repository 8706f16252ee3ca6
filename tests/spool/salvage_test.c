#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "spool/message.h"
#include "spool/salvage.h"
#include "tests/spool/fake_storage.h"

#define SALT   UINT64_C(0x1122334455667788)
#define REGION 32768

/* A record of a message at region + at. Returns where it ends. */
static size_t put(char *region, size_t at, uint64_t mid, size_t body_bytes, uint64_t salt)
{
    const struct spool_record r = {
        .type = SPOOL_RECORD_MESSAGE,
        .generation = 3,
        .salt = salt,
        .batch = SPOOL_BATCH_ERA + 1,
        .sequence = mid,
        .mid = mid,
        .batch_start = SPOOL_BLOCK_BYTES,
        .batch_bytes = REGION,
        .log_id = 0,
    };
    struct spool_message *m = fake_message(mid, 2, body_bytes);

    at += spool_record_encode(&r, spool_message_payload(m), region + at);
    spool_message_destroy(m);
    return at;
}

static void assert_found(struct spool_salvage *s, uint64_t mid, size_t offset, bool is_whole)
{
    assert_true(spool_salvage_next(s));
    assert_int_equal(s->mid, mid);
    assert_int_equal(s->offset, offset);
    assert_int_equal(s->is_whole, is_whole);
}

static void assert_contents(const struct spool_salvage *s, uint64_t mid, size_t body_bytes)
{
    struct spool_message *m;

    assert_int_equal(spool_message_decode(s->mid, s->payload, &m), STATUS_OK);
    fake_assert_message(m, mid, 2, body_bytes);
    spool_message_destroy(m);
}

/* One bit of the record is wrong, each in turn. A message comes out unless the bit is in the salt
 * or makes its form impossible; it is called whole only where nothing of it was touched. */
static void one_wrong_bit_loses_no_message_but_where_its_form_breaks(void **unused)
{
    static char region[REGION];
    size_t end, found = 0, header_found = 0;

    (void)unused;
    end = put(region, 0, 7, 500, SALT);
    for (size_t at = 0; at < end; at++) {
        struct spool_salvage s;

        region[at] ^= 4;
        spool_salvage_init(&s, (struct slice){ region, end }, SALT);
        if (spool_salvage_next(&s)) {
            bool in_header = at < SPOOL_RECORD_HEADER;
            bool in_payload = !in_header && at < SPOOL_RECORD_HEADER + s.payload.len;
            bool in_crc = at >= 12 && at < 16;

            assert_int_equal(s.offset, 0);
            assert_int_equal(s.is_whole, !in_payload && !in_crc);
            if (!in_payload)
                assert_contents(&s, 7, 500);
            found++;
            header_found += in_header;
        }
        region[at] ^= 4;
    }
    assert_int_equal(header_found, SPOOL_RECORD_HEADER - 8); /* all but the salt */
    assert_true(found > end * 8 / 10);
}

static void several_messages_of_a_region_are_found_among_rubbish(void **unused)
{
    static char region[REGION];
    struct spool_salvage s;
    size_t first = 24, second, third, end;

    (void)unused;
    for (size_t i = 0; i < REGION; i++)
        region[i] = (char)(i * 37 + i / 256);
    second = put(region, first, 1, 100, SALT);
    third = put(region, second, 2, 900, SALT) + 64;
    end = put(region, third, 3, 50, SALT);
    region[second] ^= 1;                             /* its magic */
    region[second + SPOOL_RECORD_HEADER + 800] ^= 1; /* its body */
    spool_salvage_init(&s, (struct slice){ region, end + 3 }, SALT);
    assert_found(&s, 1, first, true);
    assert_found(&s, 2, second, false);
    assert_found(&s, 3, third, true);
    assert_contents(&s, 3, 50);
    assert_false(spool_salvage_next(&s));
    assert_false(spool_salvage_next(&s));
}

static void what_a_peer_wrote_into_his_mail_is_not_found(void **unused)
{
    static char region[REGION];
    struct spool_salvage s;
    size_t end;

    (void)unused;
    end = put(region, 0, 7, 8000, SALT);
    (void)put(region, 4096, 666, 100, SALT ^ 1);
    region[SPOOL_RECORD_HEADER] ^= 1; /* another MID: its own form breaks nothing */
    memset(region + SPOOL_RECORD_HEADER + 40, 0xff, 8);
    spool_salvage_init(&s, (struct slice){ region, end }, SALT);
    assert_false(spool_salvage_next(&s));
}

/* Wherever the region ends, nothing behind its end is read (the sanitizer watches), and a message
 * that is not all there is not found. */
static void a_region_may_end_anywhere(void **unused)
{
    static char region[REGION];
    size_t end, payload_end;

    (void)unused;
    end = put(region, 0, 7, 300, SALT);
    payload_end = end;
    for (size_t len = 0; len <= end; len++) {
        char *copy = malloc(len + 1);
        struct spool_salvage s;
        bool is_found;

        assert_non_null(copy);
        memcpy(copy, region, len);
        spool_salvage_init(&s, (struct slice){ copy, len }, SALT);
        is_found = spool_salvage_next(&s);
        if (is_found && payload_end == end)
            payload_end = len;
        assert_int_equal(is_found, len >= payload_end);
        free(copy);
    }
    assert_in_range(payload_end, end - 7, end);
}

static void the_salt_is_that_of_the_first_whole_header(void **unused)
{
    static char region[REGION];
    uint64_t salt = 0;
    size_t at;

    (void)unused;
    assert_false(spool_salvage_salt((struct slice){ region, REGION }, &salt));
    at = put(region, SPOOL_BLOCK_BYTES, 1, 100, SALT);
    (void)put(region, at, 2, 100, SALT + 1);
    assert_true(spool_salvage_salt((struct slice){ region, REGION }, &salt));
    assert_true(salt == SALT);
    region[SPOOL_BLOCK_BYTES + 20] ^= 1;
    assert_true(spool_salvage_salt((struct slice){ region, REGION }, &salt));
    assert_true(salt == SALT + 1);
    assert_false(spool_salvage_salt((struct slice){ region, 100 }, &salt));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_wrong_bit_loses_no_message_but_where_its_form_breaks),
        cmocka_unit_test(several_messages_of_a_region_are_found_among_rubbish),
        cmocka_unit_test(what_a_peer_wrote_into_his_mail_is_not_found),
        cmocka_unit_test(a_region_may_end_anywhere),
        cmocka_unit_test(the_salt_is_that_of_the_first_whole_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
