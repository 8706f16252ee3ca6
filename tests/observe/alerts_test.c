#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "observe/alerts.h"

#define S         ((uint64_t)1000)
#define WALL(now) ((time_t)(1795370040 + (now) / S))

static const struct hash_seed seed = { 1, 2 };

enum act { RAISE, WORSE, CLEAR, TICK };

struct step {
    uint64_t at_s;
    enum act act;
    const char *subject;
    enum observe_alert_step expected;
    uint64_t count;
    bool is_over;
};

static struct observe_alert_notice act(struct observe_alerts *a, const struct step *s)
{
    const struct observe_alert alert = {
        .kind = OBSERVE_ALERT_REQUIRED_TLS,
        .severity = s->act == WORSE ? OBSERVE_SEVERITY_CRITICAL : OBSERVE_SEVERITY_WARNING,
        .subject = slice_from(s->subject),
        .text = SLICE("it failed"),
    };
    uint64_t now_ms = s->at_s * S;

    switch (s->act) {
    case RAISE:
    case WORSE: return observe_alerts_raise(a, now_ms, WALL(now_ms), &alert);
    case CLEAR: return observe_alerts_clear(a, now_ms, alert.kind, alert.subject);
    case TICK: break;
    }
    return observe_alerts_tick(a, now_ms);
}

static void play(size_t entries_max, uint64_t initial_s, uint64_t max_s, const struct step *steps,
                 size_t count)
{
    struct observe_alerts a;

    assert_int_equal(observe_alerts_init(&a, &seed, entries_max), STATUS_OK);
    observe_alerts_configure(&a, initial_s * S, max_s * S);
    for (size_t i = 0; i < count; i++) {
        struct observe_alert_notice n = act(&a, &steps[i]);

        if (n.step != steps[i].expected || n.count != steps[i].count ||
            n.is_over != steps[i].is_over)
            fail_msg("step %zu at %llu s: %d, count %llu, over %d", i,
                     (unsigned long long)steps[i].at_s, (int)n.step, (unsigned long long)n.count,
                     n.is_over);
        if (n.step != OBSERVE_ALERT_HOLD && steps[i].act != TICK &&
            n.kind != OBSERVE_ALERT_TOO_MANY)
            assert_string_equal(n.subject, steps[i].subject);
    }
    observe_alerts_finish(&a);
}

#define PLAY(entries_max, initial_s, max_s, steps)                                                 \
    play(entries_max, initial_s, max_s, steps, ARRAY_LEN(steps))
#define HELD OBSERVE_ALERT_HOLD, 0, false
#define SENT OBSERVE_ALERT_SEND, 1, false

static void the_first_is_sent_and_the_next_ones_are_summed_up(void **unused)
{
    static const struct step steps[] = {
        { 10, RAISE, "a", SENT },
        { 11, RAISE, "a", HELD },
        { 12, RAISE, "a", HELD },
        { 14, TICK, "", HELD },
        { 15, TICK, "", OBSERVE_ALERT_SUMMARY, 2, false },
        { 15, TICK, "", HELD },
        { 16, RAISE, "a", HELD },
        { 24, TICK, "", HELD },
        { 25, TICK, "", OBSERVE_ALERT_SUMMARY, 1, false },
        { 100, TICK, "", HELD }, /* nothing happened: nothing is said */
        { 101, RAISE, "a", SENT },
    };

    (void)unused;
    PLAY(10, 5, 60, steps);
}

/* One alert a second: the times of the notices. */
static void notices_of_a_minute_and_more(uint64_t initial_s, uint64_t max_s,
                                         const uint64_t *expected_s, size_t count)
{
    struct observe_alerts a;
    size_t seen = 0;

    assert_int_equal(observe_alerts_init(&a, &seed, 10), STATUS_OK);
    observe_alerts_configure(&a, initial_s * S, max_s * S);
    for (uint64_t at_s = 1000; at_s < 1300 && seen < count; at_s++) {
        const struct step raise = { .at_s = at_s, .act = RAISE, .subject = "a" };
        const struct step tick = { .at_s = at_s, .act = TICK, .subject = "" };
        bool is_told = act(&a, &tick).step != OBSERVE_ALERT_HOLD;

        is_told = act(&a, &raise).step != OBSERVE_ALERT_HOLD || is_told;
        if (is_told)
            assert_int_equal(at_s - 1000, expected_s[seen++]);
    }
    assert_int_equal(seen, count);
    observe_alerts_finish(&a);
}

static void waits_double_up_to_the_maximum(void **unused)
{
    static const uint64_t doubled[] = { 0, 5, 15, 35, 75, 155 };
    static const uint64_t capped[] = { 0, 5, 15, 35, 75, 135, 195, 255 };
    static const uint64_t each[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

    (void)unused;
    notices_of_a_minute_and_more(5, 3600, doubled, ARRAY_LEN(doubled));
    notices_of_a_minute_and_more(5, 60, capped, ARRAY_LEN(capped));
    notices_of_a_minute_and_more(0, 0, each, ARRAY_LEN(each));
}

static void what_was_told_as_wrong_is_told_as_recovered_once(void **unused)
{
    static const struct step steps[] = {
        { 1, CLEAR, "a", HELD },
        { 10, RAISE, "a", SENT },
        { 11, CLEAR, "b", HELD },
        { 12, RAISE, "a", HELD },
        { 13, CLEAR, "a", OBSERVE_ALERT_RECOVERED, 2, true },
        { 13, CLEAR, "a", HELD },
        { 99, TICK, "", HELD },
        { 200, RAISE, "a", SENT },
        { 201, CLEAR, "a", OBSERVE_ALERT_RECOVERED, 1, true },
    };

    (void)unused;
    PLAY(10, 60, 600, steps);
}

static void what_comes_and_goes_makes_two_notices_for_each_wait(void **unused)
{
    static const struct step steps[] = {
        { 10, RAISE, "a", SENT },
        { 11, CLEAR, "a", OBSERVE_ALERT_RECOVERED, 1, true },
        { 12, RAISE, "a", HELD },
        { 13, CLEAR, "a", HELD }, /* nobody knows that it was wrong again */
        { 14, RAISE, "a", HELD },
        { 15, CLEAR, "a", HELD },
        { 70, TICK, "", OBSERVE_ALERT_SUMMARY, 2, true },
        { 71, CLEAR, "a", HELD },
        { 72, RAISE, "a", HELD },
        { 190, TICK, "", OBSERVE_ALERT_SUMMARY, 1, false },
        { 191, CLEAR, "a", OBSERVE_ALERT_RECOVERED, 1, true },
    };

    (void)unused;
    PLAY(10, 60, 600, steps);
}

static void what_is_worse_than_all_before_does_not_wait(void **unused)
{
    static const struct step steps[] = {
        { 10, RAISE, "a", SENT },
        { 11, RAISE, "a", HELD },
        { 12, WORSE, "a", OBSERVE_ALERT_SEND, 2, false },
        { 13, WORSE, "a", HELD },
        { 14, CLEAR, "a", OBSERVE_ALERT_RECOVERED, 4, true },
        { 15, WORSE, "a", HELD }, /* or it could be made to flap */
    };

    (void)unused;
    PLAY(10, 60, 600, steps);
}

static void after_a_calm_time_the_waits_begin_anew(void **unused)
{
    uint64_t calm_s = OBSERVE_ALERT_CALM_MS_MIN / S;
    const struct step steps[] = {
        { 10, RAISE, "a", SENT },
        { 11, RAISE, "a", HELD },
        { 15, TICK, "", OBSERVE_ALERT_SUMMARY, 1, false }, /* the next wait is 10 s */
        { 15 + calm_s, RAISE, "a", SENT },
        { 16 + calm_s, RAISE, "a", HELD },
        { 20 + calm_s, TICK, "", OBSERVE_ALERT_SUMMARY, 1, false },
    };

    (void)unused;
    PLAY(10, 5, 60, steps);
}

static void subjects_are_told_apart_whatever_their_case(void **unused)
{
    static const struct step steps[] = {
        { 10, RAISE, "Example.COM", SENT },
        { 11, RAISE, "other.example", SENT },
        { 12, RAISE, "example.com", HELD },
    };

    (void)unused;
    PLAY(10, 60, 600, steps);
}

static void a_full_table_forgets_the_calm_and_sums_up_the_rest(void **unused)
{
    uint64_t calm_s = OBSERVE_ALERT_CALM_MS_MIN / S;
    const struct step steps[] = {
        { 10, RAISE, "a", SENT },
        { 20, RAISE, "b", SENT },
        { 30, RAISE, "c", SENT }, /* as the one that says: too many */
        { 31, RAISE, "d", HELD },
        { 32, RAISE, "e", HELD },
        { 90, TICK, "", OBSERVE_ALERT_SUMMARY, 2, false },
        { 10 + calm_s, RAISE, "f", SENT }, /* in the place of a */
        { 11 + calm_s, RAISE, "a", SENT }, /* too many */
        { 12 + calm_s, CLEAR, "f", OBSERVE_ALERT_RECOVERED, 1, true },
        { 20 + calm_s, RAISE, "a", SENT }, /* in the place of b */
    };

    (void)unused;
    PLAY(2, 60, 600, steps);
}

static void too_many_is_said_with_the_last_of_them(void **unused)
{
    struct observe_alert alert = { .kind = OBSERVE_ALERT_SPOOL,
                                   .severity = OBSERVE_SEVERITY_CRITICAL,
                                   .subject = SLICE("log 1"),
                                   .text = SLICE("a write failed") };
    struct observe_alert_notice n;
    struct observe_alerts a;

    (void)unused;
    assert_int_equal(observe_alerts_init(&a, &seed, 1), STATUS_OK);
    observe_alerts_configure(&a, 60 * S, 600 * S);
    n = observe_alerts_raise(&a, 0, 0, &alert);
    assert_int_equal(n.kind, OBSERVE_ALERT_SPOOL);
    alert.subject = SLICE("log 2");
    n = observe_alerts_raise(&a, 1, 0, &alert);
    assert_int_equal(n.kind, OBSERVE_ALERT_TOO_MANY);
    assert_non_null(strstr(n.text, "about log 2: a write failed"));
    observe_alerts_finish(&a);
}

static void texts_are_printable_and_cut(void **unused)
{
    static char long_text[3 * OBSERVE_ALERT_TEXT_MAX];
    static const struct {
        struct slice text;
        const char *expected;
    } cases[] = {
        { SLICE("plain ~text"), "plain ~text" },
        { SLICE("a\r\nSubject: b"), "a\\x0d\\x0aSubject: b" },
        { SLICE("\x1b[31m\xc3\xa4\0"), "\\x1b[31m\\xc3\\xa4\\x00" },
        { SLICE(""), "" },
    };
    struct observe_alert alert = { .kind = OBSERVE_ALERT_SPOOL };
    struct observe_alert_notice n;
    struct observe_alerts a;

    (void)unused;
    assert_int_equal(observe_alerts_init(&a, &seed, 1), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        alert.text = cases[i].text;
        n = observe_alerts_raise(&a, 0, 0, &alert);
        assert_string_equal(n.text, cases[i].expected);
    }
    for (int byte = 'x'; byte < 0x100; byte += 0x100 - 'x' - 1) {
        memset(long_text, byte, sizeof(long_text));
        alert.text = alert.subject = (struct slice){ long_text, sizeof(long_text) };
        alert.severity = OBSERVE_SEVERITY_CRITICAL;
        n = observe_alerts_raise(&a, 0, 0, &alert);
        assert_true(strlen(n.text) < OBSERVE_ALERT_TEXT_MAX && strlen(n.text) > 900);
        assert_true(strlen(n.subject) < OBSERVE_ALERT_SUBJECT_MAX);
    }
    observe_alerts_finish(&a);
}

/* However alerts come, no subject makes more than two notices for a wait, each raise is in exactly
 * one count, and tick() has something exactly when it said so. */
static void counts_add_up_whatever_happens(void **unused)
{
    unsigned random = 7;

    (void)unused;
    print_message("seed %u\n", random);
    for (int round = 0; round < 200; round++) {
        struct observe_alerts a;
        uint64_t now_s = 1000, raised = 0, told = 0, notices = 0;

        assert_int_equal(observe_alerts_init(&a, &seed, 3), STATUS_OK);
        observe_alerts_configure(&a, 60 * S, 600 * S);
        for (int i = 0; i < 500; i++) {
            struct step s = { .at_s = now_s += (uint64_t)rand_r(&random) % 20,
                              .act = rand_r(&random) % 5 == 0   ? TICK
                                     : rand_r(&random) % 5 == 0 ? CLEAR
                                                                : RAISE,
                              .subject = "a" };
            uint64_t due_ms = observe_alerts_due_ms(&a);
            struct observe_alert_notice n = act(&a, &s);

            raised += s.act == RAISE;
            notices += n.step != OBSERVE_ALERT_HOLD;
            if (n.step == OBSERVE_ALERT_SEND || n.step == OBSERVE_ALERT_SUMMARY)
                told += n.count;
            if (s.act == TICK)
                assert_int_equal(n.step == OBSERVE_ALERT_SUMMARY, due_ms <= now_s * S);
        }
        assert_true(told <= raised);
        assert_true(notices <= 2 * (7 + (now_s - 1000) / 600 + 1));
        observe_alerts_finish(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_sent_and_the_next_ones_are_summed_up),
        cmocka_unit_test(waits_double_up_to_the_maximum),
        cmocka_unit_test(what_was_told_as_wrong_is_told_as_recovered_once),
        cmocka_unit_test(what_comes_and_goes_makes_two_notices_for_each_wait),
        cmocka_unit_test(what_is_worse_than_all_before_does_not_wait),
        cmocka_unit_test(after_a_calm_time_the_waits_begin_anew),
        cmocka_unit_test(subjects_are_told_apart_whatever_their_case),
        cmocka_unit_test(a_full_table_forgets_the_calm_and_sums_up_the_rest),
        cmocka_unit_test(too_many_is_said_with_the_last_of_them),
        cmocka_unit_test(texts_are_printable_and_cut),
        cmocka_unit_test(counts_add_up_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
