/* Ages, refreshes and waits of MTA-STS in virtual time: RFC 8461 3.3, 10.2. */
#include "tests/gateway/mta_sts_rig.h"

static void failures_wait_longer_each_time(void **state)
{
    static const uint64_t waits_s[] = { 300, 600, 1200, 2400, 3600, 3600 };

    (void)state;
    rig.txts[0] = ID_1;
    assert_string_equal(answer_of("a.test"), "none");
    for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
        assert_int_equal(rig.fetches_count, i + 1);
        rig_pass(waits_s[i] - 2);
        assert_string_equal(answer_of("a.test"), "none");
        assert_int_equal(rig.fetches_count, i + 1);
        rig_pass(3);
        assert_string_equal(answer_of("a.test"), "none");
    }
    /* Another version does not have to wait. */
    rig.txts[0] = ID_2;
    rig.body = RIG_NEW;
    rig_pass(TTL_S + 1);
    assert_string_equal(answer_of("a.test"), "new");
}

static void the_record_is_asked_for_when_its_time_is_over(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_OLD;
    assert_string_equal(answer_of("a.test"), "old");
    rig_pass(TTL_S - 2);
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.txt_count, 1);
    rig_pass(3);
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.txt_count, 2);
    assert_int_equal(rig.fetches_count, 1);
    rig.is_dns_failing = true;
    rig_pass(TTL_S + 1);
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.txt_count, 3);
    rig_pass(GATEWAY_MTA_STS_RECORD_S_MIN - 2);
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.txt_count, 3);
    rig_pass(3);
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.txt_count, 4);
}

/* Without a question, and without a record: an attacker has to keep the host away for long. */
static void a_policy_is_refreshed_by_itself(void **state)
{
    struct gateway_mta_sts_record kept;

    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_OLD;
    assert_string_equal(answer_of("a.test"), "old");
    rig.txts[0] = NULL;
    rig.body = RIG_NEW;
    rig_pass(DAY / 2 - 10);
    assert_int_equal(rig.fetches_count, 1);
    rig_pass(20);
    assert_int_equal(rig.fetches_count, 2);
    assert_true(rig_kept("a.test", &kept));
    assert_true(kept.expires_s >= RIG_START_S + DAY + DAY / 2 - 10);
    /* Ten days later it still counts. */
    rig_pass(10 * DAY);
    assert_int_equal(rig.fetches_count, 22);
    assert_string_equal(answer_of("a.test"), "new");
}

static void a_policy_that_is_not_refreshed_counts_until_it_expires(void **state)
{
    struct gateway_mta_sts_record kept;

    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_OLD;
    assert_string_equal(answer_of("a.test"), "old");
    rig.body = NULL;
    rig_pass(DAY - 10);
    assert_string_equal(answer_of("a.test"), "old");
    assert_true(rig_kept("a.test", &kept));
    assert_true(kept.tried_s > RIG_START_S + DAY / 2);
    assert_int_equal(kept.fetched_s, RIG_START_S);
    assert_in_range(rig.fetches_count, 10, 20); /* 12 hours, with the longer and longer waits */
    rig_pass(20);
    assert_string_equal(answer_of("a.test"), "none");
}

static void a_longer_max_age_is_refreshed_once_a_day(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_TEXT("enforce", "31557600");
    assert_string_equal(answer_of("a.test"), "new");
    rig_pass(30 * DAY + HOUR);
    assert_int_equal(rig.fetches_count, 31);
}

static void a_try_before_a_restart_is_remembered(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, DAY / 2 + 100, DAY, 100);
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    assert_string_equal(answer_of("a.test"), "old");
    rig_pass(190);
    assert_int_equal(rig.fetches_count, 0);
    rig_pass(20);
    assert_int_equal(rig.fetches_count, 1);
}

static void a_short_max_age_is_no_fetch_for_each_message(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_TEXT("enforce", "0");
    for (unsigned i = 0; i < 10; i++)
        assert_string_equal(answer_of("a.test"), "new");
    assert_int_equal(rig.fetches_count, 1);
    rig_pass(GATEWAY_MTA_STS_AGE_S_MIN + 1);
    assert_string_equal(answer_of("a.test"), "new");
    assert_int_equal(rig.fetches_count, 2);
}

static void mode_none_counts_for_its_time_too(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, HOUR, DAY, HOUR);
    rig.txts[0] = ID_2;
    rig.body = RIG_TEXT("none", "86400");
    (void)answer_of("a.test");
    assert_string_equal(answer_of("a.test"), "none");
    assert_int_equal(rig.removes_count, 1);
    rig_pass(DAY - 10);
    assert_string_equal(answer_of("a.test"), "none");
    assert_int_equal(rig.fetches_count, 1);
    rig_pass(20);
    assert_string_equal(answer_of("a.test"), "none");
    assert_int_equal(rig.fetches_count, 2);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(failures_wait_longer_each_time),
        EACH(the_record_is_asked_for_when_its_time_is_over),
        EACH(a_policy_is_refreshed_by_itself),
        EACH(a_policy_that_is_not_refreshed_counts_until_it_expires),
        EACH(a_longer_max_age_is_refreshed_once_a_day),
        EACH(a_try_before_a_restart_is_remembered),
        EACH(a_short_max_age_is_no_fetch_for_each_message),
        EACH(mode_none_counts_for_its_time_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
