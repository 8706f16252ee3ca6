#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/budget.h"

enum { HANDED_MAX = 20000 };

static struct {
    uint64_t ms;
    uint64_t recipients;
} handed[HANDED_MAX];
static size_t handed_count;

static void note(uint64_t now_ms, uint64_t recipients)
{
    assert_true(handed_count < HANDED_MAX);
    handed[handed_count].ms = now_ms;
    handed[handed_count].recipients = recipients;
    handed_count++;
}

/* The most that any window of this length has seen. */
static uint64_t most_in_a_window(uint64_t window_ms)
{
    uint64_t most = 0, sum = 0;
    size_t first = 0;

    for (size_t i = 0; i < handed_count; i++) {
        sum += handed[i].recipients;
        while (handed[first].ms + window_ms <= handed[i].ms)
            sum -= handed[first++].recipients;
        most = sum > most ? sum : most;
    }
    return most;
}

static const struct delivery_rate rates[] = {
    { 1, 1000 },
    { 10, 60000 },
    { 180, 60000 },
    { 1000, 3600000 },
    { 97, 61003 },
    { 31, 1000 },
    { 5, DELIVERY_WINDOW_MS_MAX },
};

static void no_window_ever_sees_more_and_a_backlog_uses_nearly_all(void **unused)
{
    /* How often somebody asks, as parts of the window, and how many he wants. */
    static const struct {
        uint64_t pause_part;
        uint32_t want;
    } asking[] = {
        { 0, 1 }, { 0, UINT32_MAX }, { 1000, 1 }, { 64, 3 }, { 40, UINT32_MAX }, { 3, 2 }
    };

    (void)unused;
    for (size_t r = 0; r < ARRAY_LEN(rates); r++)
        for (size_t a = 0; a < ARRAY_LEN(asking); a++) {
            struct delivery_budget b = { 0 };
            uint64_t now_ms = 12345, end_ms = now_ms + 20ull * rates[r].window_ms, total = 0;
            uint64_t random = r * 100 + a;
            bool always_wants = asking[a].pause_part == 0;

            handed_count = 0;
            while (now_ms < end_ms && handed_count < HANDED_MAX) {
                uint32_t room = delivery_budget_room(&b, rates[r], now_ms);
                uint32_t n = room < asking[a].want ? room : asking[a].want;

                if (n > 0) {
                    delivery_budget_spend(&b, rates[r], now_ms, n);
                    note(now_ms, n);
                    total += n;
                }
                random = hash_number(random);
                if (!always_wants)
                    now_ms += random % (2 * rates[r].window_ms / asking[a].pause_part + 1);
                else if (delivery_budget_room(&b, rates[r], now_ms) == 0)
                    now_ms = delivery_budget_due(&b, rates[r], now_ms);
                else
                    now_ms += random % 3;
            }
            assert_true(most_in_a_window(rates[r].window_ms) <= rates[r].recipients_max);
            if (always_wants && now_ms >= end_ms)
                assert_true(total * 100 >= 95ull * 20 * rates[r].recipients_max);
        }
}

static void room_comes_back_exactly_when_it_is_due(void **unused)
{
    struct delivery_rate rate = { 100, 60000 };
    struct delivery_budget b = { 0 };

    (void)unused;
    assert_int_equal(delivery_budget_room(&b, rate, 5), 100);
    assert_int_equal(delivery_budget_due(&b, rate, 5), 5);
    assert_int_equal(delivery_budget_whole(&b, rate), 0);
    delivery_budget_spend(&b, rate, 1000, 60);
    delivery_budget_spend(&b, rate, 30000, 40);
    assert_int_equal(delivery_budget_room(&b, rate, 60999), 0);
    assert_int_equal(delivery_budget_due(&b, rate, 30000), 61000);
    assert_int_equal(delivery_budget_room(&b, rate, 61000), 60);
    assert_int_equal(delivery_budget_due(&b, rate, 61000), 61000);
    assert_int_equal(delivery_budget_whole(&b, rate), 90000);
    assert_int_equal(delivery_budget_room(&b, rate, 90000), 100);
}

static void a_lowered_maximum_waits_for_all_that_is_above_it(void **unused)
{
    struct delivery_rate rate = { 100, 60000 }, lower = { 30, 60000 }, none = { 0, 60000 };
    struct delivery_budget b = { 0 };

    (void)unused;
    delivery_budget_spend(&b, rate, 0, 50);
    delivery_budget_spend(&b, rate, 10000, 30);
    delivery_budget_spend(&b, rate, 20000, 20);
    assert_int_equal(delivery_budget_room(&b, lower, 20000), 0);
    assert_int_equal(delivery_budget_due(&b, lower, 20000), 70000);
    assert_int_equal(delivery_budget_room(&b, lower, 70000), 10);
    assert_int_equal(delivery_budget_room(&b, none, 20000), DELIVERY_RECIPIENTS_NO_MAX);
    assert_int_equal(delivery_budget_due(&b, none, 20000), 20000);
    delivery_budget_spend(&b, none, 20000, 1000000);
    assert_int_equal(delivery_budget_room(&b, rate, 20000), 0);
}

static void a_window_that_changes_never_lets_more_through_than_it_remembers(void **unused)
{
    static const uint32_t windows_ms[] = { 1000, 60000, 1500, 3600000, 90000, 1000, 3600000 };
    struct delivery_budget b = { 0 };
    uint64_t now_ms = 0, random = 7;

    (void)unused;
    for (unsigned step = 0; step < 200000; step++) {
        struct delivery_rate rate = { 50, windows_ms[step / 100 % ARRAY_LEN(windows_ms)] };
        uint32_t room = delivery_budget_room(&b, rate, now_ms);

        assert_true(room <= rate.recipients_max);
        random = hash_number(random);
        if (room > 0)
            delivery_budget_spend(&b, rate, now_ms, 1 + (uint32_t)(random % room));
        assert_true(delivery_budget_room(&b, rate, now_ms) < room || room == 0);
        now_ms += random % 200;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_window_ever_sees_more_and_a_backlog_uses_nearly_all),
        cmocka_unit_test(room_comes_back_exactly_when_it_is_due),
        cmocka_unit_test(a_lowered_maximum_waits_for_all_that_is_above_it),
        cmocka_unit_test(a_window_that_changes_never_lets_more_through_than_it_remembers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
