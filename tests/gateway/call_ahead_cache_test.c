/* What is kept, for how long, and what goes when there is no more room. */
#include "gateway/call_ahead_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SMALL 4

static const struct hash_seed seed = { 1, 2 };
static struct gateway_call_ahead_cache *cache;

static int set_up(void **state)
{
    (void)state;
    return gateway_call_ahead_cache_create(&seed, SMALL, &cache) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_call_ahead_cache_destroy(cache);
    return 0;
}

static struct gateway_call_ahead_key key(uint64_t route, const char *recipient)
{
    return (struct gateway_call_ahead_key){ route, slice_from(recipient) };
}

static void put(uint64_t route, const char *recipient, enum gateway_call_ahead_verdict verdict,
                uint64_t now_ms, uint64_t lifetime_ms)
{
    struct gateway_call_ahead_key k = key(route, recipient);

    gateway_call_ahead_cache_put(cache, &k, verdict, now_ms, lifetime_ms);
}

/* The verdict, or -1. */
static int find(uint64_t route, const char *recipient, uint64_t now_ms)
{
    struct gateway_call_ahead_key k = key(route, recipient);
    enum gateway_call_ahead_verdict verdict;

    return gateway_call_ahead_cache_find(cache, &k, now_ms, &verdict) ? (int)verdict : -1;
}

static void an_answer_counts_until_it_expires(void **state)
{
    static const struct {
        enum gateway_call_ahead_verdict verdict;
        uint64_t lifetime_ms, asked_ms;
        bool is_known;
    } cases[] = {
        { GATEWAY_CALL_AHEAD_VALID, 1000, 0, true },
        { GATEWAY_CALL_AHEAD_VALID, 1000, 999, true },
        { GATEWAY_CALL_AHEAD_VALID, 1000, 1000, false },
        { GATEWAY_CALL_AHEAD_INVALID, 1, 0, true },
        { GATEWAY_CALL_AHEAD_INVALID, 1, 1, false },
        { GATEWAY_CALL_AHEAD_TEMPORARY, 0, 0, false },
        { GATEWAY_CALL_AHEAD_UNREACHABLE, 86400 * 1000ull, 86399 * 1000ull, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char recipient[32];

        (void)snprintf(recipient, sizeof(recipient), "user%zu@example.com", i);
        put(7, recipient, cases[i].verdict, 5000, cases[i].lifetime_ms);
        assert_int_equal(find(7, recipient, 5000 + cases[i].asked_ms),
                         cases[i].is_known ? (int)cases[i].verdict : -1);
    }
}

static void keys_are_told_apart_by_route_and_text_but_not_by_case(void **state)
{
    (void)state;
    put(1, "Ann@Example.com", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    put(2, "ann@example.com", GATEWAY_CALL_AHEAD_INVALID, 0, 1000);
    put(1, "", GATEWAY_CALL_AHEAD_UNREACHABLE, 0, 1000);
    assert_int_equal(find(1, "aNN@eXAMPLE.COM", 1), GATEWAY_CALL_AHEAD_VALID);
    assert_int_equal(find(2, "Ann@example.com", 1), GATEWAY_CALL_AHEAD_INVALID);
    assert_int_equal(find(3, "Ann@example.com", 1), -1);
    assert_int_equal(find(1, "ann@example.co", 1), -1);
    assert_int_equal(find(1, "", 1), GATEWAY_CALL_AHEAD_UNREACHABLE);
    assert_int_equal(find(2, "", 1), -1);
}

static void the_latest_answer_stands_and_none_forgets(void **state)
{
    (void)state;
    put(1, "a@x", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    put(1, "A@x", GATEWAY_CALL_AHEAD_INVALID, 10, 100);
    assert_int_equal(gateway_call_ahead_cache_count(cache), 1);
    assert_int_equal(find(1, "a@x", 109), GATEWAY_CALL_AHEAD_INVALID);
    assert_int_equal(find(1, "a@x", 110), -1);
    put(1, "a@x", GATEWAY_CALL_AHEAD_VALID, 200, 1000);
    put(1, "a@x", GATEWAY_CALL_AHEAD_TEMPORARY, 200, 0);
    assert_int_equal(find(1, "a@x", 201), -1);
    assert_int_equal(gateway_call_ahead_cache_count(cache), 0);
}

static void when_full_the_one_not_asked_for_longest_goes(void **state)
{
    (void)state;
    put(1, "a@x", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    put(1, "b@x", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    put(1, "c@x", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    put(1, "d@x", GATEWAY_CALL_AHEAD_VALID, 0, 1000);
    assert_int_equal(find(1, "a@x", 1), GATEWAY_CALL_AHEAD_VALID);
    put(1, "e@x", GATEWAY_CALL_AHEAD_INVALID, 1, 1000);
    assert_int_equal(gateway_call_ahead_cache_count(cache), SMALL);
    assert_int_equal(find(1, "a@x", 1), GATEWAY_CALL_AHEAD_VALID);
    assert_int_equal(find(1, "b@x", 1), -1);
    assert_int_equal(find(1, "c@x", 1), GATEWAY_CALL_AHEAD_VALID);
    /* Putting a key anew takes no room from another. */
    put(1, "d@x", GATEWAY_CALL_AHEAD_INVALID, 1, 1000);
    assert_int_equal(find(1, "c@x", 1), GATEWAY_CALL_AHEAD_VALID);
    assert_int_equal(find(1, "e@x", 1), GATEWAY_CALL_AHEAD_INVALID);
}

static void any_number_of_keys_stays_within_the_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        char recipient[32];

        (void)snprintf(recipient, sizeof(recipient), "u%u@example.com", i);
        put(i % 3, recipient, GATEWAY_CALL_AHEAD_INVALID, i, 50);
        assert_true(gateway_call_ahead_cache_count(cache) <= SMALL);
        assert_int_equal(find(i % 3, recipient, i), GATEWAY_CALL_AHEAD_INVALID);
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(an_answer_counts_until_it_expires),
        EACH(keys_are_told_apart_by_route_and_text_but_not_by_case),
        EACH(the_latest_answer_stands_and_none_forgets),
        EACH(when_full_the_one_not_asked_for_longest_goes),
        EACH(any_number_of_keys_stays_within_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
