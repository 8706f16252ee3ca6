#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "policy/builder.h"

#define NOBODY 1000 /* in place of a score: there is none */

static struct policy_snapshot *build(struct policy_score_entry *entries, size_t count)
{
    struct policy_builder *b;
    struct policy_snapshot *s;

    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_set_scores(b, entries, count), STATUS_OK);
    assert_int_equal(policy_builder_finish(b, &s), STATUS_OK);
    policy_builder_destroy(b);
    return s;
}

static int score_of(const struct policy_snapshot *s, const char *text)
{
    struct ip_address address;
    struct policy_score score;

    assert_true(ip_parse(slice_from(text), &address));
    score = policy_score_find(s, &address);
    assert_true(score.state == POLICY_SCORE_KNOWN || score.state == POLICY_SCORE_NONE);
    return score.state == POLICY_SCORE_KNOWN ? score.tenths : NOBODY;
}

static struct policy_score_entry entry(const char *prefix, int tenths)
{
    struct policy_score_entry e = { .tenths = tenths };

    assert_true(ip_prefix_parse(slice_from(prefix), &e.prefix, NULL));
    return e;
}

static void the_most_specific_block_counts(void **unused)
{
    struct policy_score_entry entries[] = {
        entry("192.0.2.0/24", 11),
        entry("192.0.2.0/24", 10), /* the last of equal ones */
        entry("192.0.2.128/25", -20),
        entry("192.0.2.200/32", 30),
        entry("192.0.3.0/24", 40),
        entry("255.255.255.255/32", -50),
        entry("0.0.0.0/32", 60),
        entry("2001:db8::/32", 70),
        entry("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", -80),
    };
    static const struct {
        const char *address;
        int tenths;
    } cases[] = {
        { "192.0.1.255", NOBODY },
        { "192.0.2.0", 10 },
        { "192.0.2.127", 10 },
        { "192.0.2.128", -20 },
        { "192.0.2.199", -20 },
        { "192.0.2.200", 30 },
        { "192.0.2.201", -20 },
        { "192.0.2.255", -20 },
        { "192.0.3.0", 40 },
        { "192.0.4.0", NOBODY },
        { "0.0.0.0", 60 },
        { "0.0.0.1", NOBODY },
        { "255.255.255.254", NOBODY },
        { "255.255.255.255", -50 },
        { "2001:db8::1", 70 },
        { "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", -80 },
        { "2001:db9::", NOBODY },
        { "2001:db7:ffff::", NOBODY },
        { "::", NOBODY },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NOBODY },
    };
    struct policy_snapshot *s = build(entries, ARRAY_LEN(entries));

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (score_of(s, cases[i].address) != cases[i].tenths)
            fail_msg("%s has %d", cases[i].address, score_of(s, cases[i].address));
    policy_snapshot_destroy(s);
}

static void a_block_may_be_listed_any_number_of_times(void **unused)
{
    struct policy_score_entry entries[300];
    struct policy_snapshot *s;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        entries[i] = entry("192.0.2.0/24", (int)(i % 100));
    s = build(entries, ARRAY_LEN(entries));
    assert_int_equal(score_of(s, "192.0.2.1"), 99);
    assert_int_equal(score_of(s, "192.0.3.0"), NOBODY);
    policy_snapshot_destroy(s);
}

static void without_blocks_nobody_has_a_score(void **unused)
{
    struct policy_snapshot *s = build(NULL, 0);

    (void)unused;
    assert_int_equal(score_of(s, "192.0.2.1"), NOBODY);
    policy_snapshot_destroy(s);
}

static bool contains(const struct policy_score_entry *e, const struct ip_address *a)
{
    return ip_prefix_contains(&e->prefix, a);
}

/* A few bits of few bytes, so that blocks nest, meet and repeat. */
static struct ip_address draw(uint64_t *state)
{
    struct ip_address a = { 0 };

    *state = hash_number(*state + 1);
    if ((*state & 1) == 0)
        a.bytes[10] = a.bytes[11] = 0xff; /* IPv4 */
    a.bytes[12] = (uint8_t)(*state >> 8 & 0xc0);
    a.bytes[13] = (uint8_t)(*state >> 16 & 3);
    a.bytes[15] = (uint8_t)(*state >> 24 & 0x81);
    return a;
}

static void random_tables_agree_with_a_scan(void **unused)
{
    uint64_t state = 4711;

    (void)unused;
    for (unsigned table = 0; table < 400; table++) {
        struct policy_score_entry entries[24], listed[24];
        struct policy_snapshot *s;

        for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
            char text[IP_TEXT_MAX], prefix[IP_TEXT_MAX + 8];
            struct ip_address a = draw(&state);
            unsigned most = ip_is_v4(&a) ? 32 : 128;

            (void)snprintf(prefix, sizeof(prefix), "%s/%u", ip_format(&a, text),
                           (unsigned)(state >> 32) % (most + 1));
            entries[i] = entry(prefix, (int)(state >> 40) % 100);
            for (size_t k = 0; k < i; k++) /* which of equal blocks counts is a case of its own */
                if (entries[k].prefix.bits == entries[i].prefix.bits &&
                    ip_equal(&entries[k].prefix.address, &entries[i].prefix.address))
                    entries[i].tenths = entries[k].tenths;
        }
        memcpy(listed, entries, sizeof(entries));
        s = build(entries, ARRAY_LEN(entries));
        for (unsigned n = 0; n < 500; n++) {
            struct ip_address a = draw(&state);
            struct policy_score got = policy_score_find(s, &a);
            const struct policy_score_entry *best = NULL;

            for (size_t i = 0; i < ARRAY_LEN(listed); i++)
                if (contains(&listed[i], &a) &&
                    (best == NULL || listed[i].prefix.bits > best->prefix.bits))
                    best = &listed[i];
            assert_int_equal(got.state == POLICY_SCORE_KNOWN, best != NULL);
            if (best != NULL)
                assert_int_equal(got.tenths, best->tenths);
        }
        policy_snapshot_destroy(s);
    }
}

static void scores_are_read_and_written_in_tenths(void **unused)
{
    static const struct {
        const char *text;
        int tenths;
    } good[] = { { "0", 0 },     { "-0.0", 0 },   { "10", 100 }, { "-10.0", -100 },
                 { "+2.5", 25 }, { "-3.4", -34 }, { "9.9", 99 }, { "0.1", 1 } };
    static const char *const bad[] = { "",   "-",    ".", "10.1", "-10.1", "11", "1.",
                                       ".5", "1.25", "a", "1 ",   "--1",   "1e1" };
    char text[POLICY_SCORE_TEXT_MAX];
    int tenths;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(policy_score_parse(slice_from(good[i].text), &tenths));
        assert_int_equal(tenths, good[i].tenths);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (policy_score_parse(slice_from(bad[i]), &tenths))
            fail_msg("\"%s\" is a score", bad[i]);
    for (int n = POLICY_SCORE_TENTHS_MIN; n <= POLICY_SCORE_TENTHS_MAX; n++) {
        assert_true(policy_score_parse(slice_from(policy_score_format(n, text)), &tenths));
        assert_int_equal(tenths, n);
    }
}

static void the_answer_of_a_zone_is_a_fifth_of_its_last_octet(void **unused)
{
    static const struct {
        const char *address;
        int tenths;
    } cases[] = { { "127.0.4.0", -100 },    { "127.0.4.50", 0 },       { "127.0.4.100", 100 },
                  { "127.0.4.33", -34 },    { "127.0.4.101", NOBODY }, { "127.0.0.50", NOBODY },
                  { "127.1.4.50", NOBODY }, { "128.0.4.50", NOBODY },  { "::4:32", NOBODY } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_address a;
        int tenths = NOBODY;

        assert_true(ip_parse(slice_from(cases[i].address), &a));
        assert_int_equal(policy_score_from_address(&a, &tenths), cases[i].tenths != NOBODY);
        assert_int_equal(tenths, cases[i].tenths);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_block_counts),
        cmocka_unit_test(a_block_may_be_listed_any_number_of_times),
        cmocka_unit_test(without_blocks_nobody_has_a_score),
        cmocka_unit_test(random_tables_agree_with_a_scan),
        cmocka_unit_test(scores_are_read_and_written_in_tenths),
        cmocka_unit_test(the_answer_of_a_zone_is_a_fifth_of_its_last_octet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
