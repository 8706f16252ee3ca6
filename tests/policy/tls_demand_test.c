#include "policy/tls_demand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    CLEAR = POLICY_TLS_SEND_CLEAR,
    TLS = POLICY_TLS_SEND_ENCRYPTED,
    AGAIN = POLICY_TLS_TRY_CLEAR,
    NEXT = POLICY_TLS_TRY_NEXT,
    EVENTS = POLICY_TLS_ESTABLISHED + 1
};

static struct policy_tls_demand demand_of_setting(enum policy_tls tls, bool may_fall_back)
{
    struct policy_destination d = policy_destination_default();

    d.tls = tls;
    d.clear_after_failed_handshake = may_fall_back;
    return policy_tls_demand_of(&d, &(struct policy_tls_facts){ 0 });
}

static void assert_actions(const struct policy_tls_demand *demand, const int actions[EVENTS])
{
    for (int event = 0; event < EVENTS; event++)
        assert_int_equal(policy_tls_outcome(demand, (enum policy_tls_event)event), actions[event]);
}

static void the_six_settings_hold_for_every_outcome(void **unused)
{
    static const struct {
        enum policy_tls tls;
        /* not offered, refused, failed before, handshake failed, unverified, established */
        int actions[EVENTS];
        int after_handshake; /* the fourth, where clear text is allowed after it */
        enum policy_tls_check check;
        bool is_wanted;
    } rows[] = {
        { POLICY_TLS_OFF,
          { CLEAR, CLEAR, CLEAR, NEXT, TLS, TLS },
          AGAIN,
          POLICY_TLS_CHECK_NONE,
          false },
        { POLICY_TLS_PREFERRED,
          { CLEAR, CLEAR, CLEAR, NEXT, TLS, TLS },
          AGAIN,
          POLICY_TLS_CHECK_NONE,
          true },
        { POLICY_TLS_REQUIRED,
          { NEXT, NEXT, NEXT, NEXT, TLS, TLS },
          NEXT,
          POLICY_TLS_CHECK_NONE,
          true },
        { POLICY_TLS_PREFERRED_VERIFY,
          { CLEAR, CLEAR, CLEAR, NEXT, TLS, TLS },
          AGAIN,
          POLICY_TLS_CHECK_VERIFY,
          true },
        { POLICY_TLS_REQUIRED_VERIFY,
          { NEXT, NEXT, NEXT, NEXT, NEXT, TLS },
          NEXT,
          POLICY_TLS_CHECK_VERIFY,
          true },
        { POLICY_TLS_REQUIRED_VERIFY_HOSTED,
          { NEXT, NEXT, NEXT, NEXT, NEXT, TLS },
          NEXT,
          POLICY_TLS_CHECK_HOSTED,
          true },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_tls_demand demand = demand_of_setting(rows[i].tls, false);
        int actions[EVENTS];

        assert_int_equal(demand.authority, POLICY_TLS_BY_TABLE);
        assert_int_equal(demand.obstacle, POLICY_TLS_NO_OBSTACLE);
        assert_int_equal(demand.check, rows[i].check);
        assert_int_equal(demand.is_wanted, rows[i].is_wanted);
        assert_int_equal(demand.is_required, policy_tls_is_required(rows[i].tls));
        assert_actions(&demand, rows[i].actions);

        demand = demand_of_setting(rows[i].tls, true);
        memcpy(actions, rows[i].actions, sizeof(actions));
        actions[POLICY_TLS_HANDSHAKE_FAILED] = rows[i].after_handshake;
        assert_actions(&demand, actions);
    }
}

/* The rows of RFC 7672 2.2 and RFC 8461 2 and 5, and the table behind them. */
enum { NONE = POLICY_DANE_NOT_FOUND, BAD = POLICY_DANE_UNUSABLE, GOOD = POLICY_DANE_USABLE };
enum { NO = POLICY_STS_NOT_FOUND, TEST = POLICY_STS_TESTING, FORCE = POLICY_STS_ENFORCED };
static const struct {
    enum policy_tls tls;
    enum policy_dane dane_asked;
    bool sts_asked;
    int dane, sts;
    bool is_host_of_sts;
    enum policy_tls_authority authority;
    enum policy_tls_check check;
    enum policy_tls_obstacle obstacle;
    bool is_required;
} precedence[] = {
#define OFF   POLICY_DANE_OFF
#define OPP   POLICY_DANE_OPPORTUNISTIC
#define MUST  POLICY_DANE_MANDATORY
#define PREF  POLICY_TLS_PREFERRED
#define TABLE POLICY_TLS_BY_TABLE
#define DANE  POLICY_TLS_BY_DANE
#define STS   POLICY_TLS_BY_MTA_STS
    /* not asked for: nothing counts that was found */
    { PREF, OFF, false, GOOD, FORCE, true, TABLE, POLICY_TLS_CHECK_NONE, 0, false },
    { PREF, OFF, false, GOOD, FORCE, false, TABLE, POLICY_TLS_CHECK_NONE, 0, false },
    /* DANE by itself */
    { PREF, OPP, false, GOOD, NO, false, DANE, POLICY_TLS_CHECK_DANE, 0, true },
    { PREF, OPP, false, BAD, NO, false, DANE, POLICY_TLS_CHECK_NONE, 0, true },
    { PREF, OPP, false, NONE, NO, false, TABLE, POLICY_TLS_CHECK_NONE, 0, false },
    { PREF, MUST, false, GOOD, NO, false, DANE, POLICY_TLS_CHECK_DANE, 0, true },
    { PREF, MUST, false, BAD, NO, false, DANE, POLICY_TLS_CHECK_DANE, POLICY_TLS_NO_DANE, true },
    { PREF, MUST, false, NONE, NO, false, DANE, POLICY_TLS_CHECK_DANE, POLICY_TLS_NO_DANE, true },
    /* MTA-STS by itself */
    { PREF, OFF, true, GOOD, FORCE, true, STS, POLICY_TLS_CHECK_MTA_STS, 0, true },
    { PREF, OFF, true, NONE, FORCE, false, STS, POLICY_TLS_CHECK_MTA_STS, POLICY_TLS_NOT_ALLOWED,
      true },
    { PREF, OFF, true, NONE, TEST, false, TABLE, POLICY_TLS_CHECK_NONE, 0, false },
    { PREF, OFF, true, NONE, NO, false, TABLE, POLICY_TLS_CHECK_NONE, 0, false },
    /* both: DANE that can be used is alone in charge, also for a host unknown to MTA-STS */
    { PREF, OPP, true, GOOD, FORCE, true, DANE, POLICY_TLS_CHECK_DANE, 0, true },
    { PREF, OPP, true, GOOD, FORCE, false, DANE, POLICY_TLS_CHECK_DANE, 0, true },
    { PREF, OPP, true, BAD, FORCE, true, STS, POLICY_TLS_CHECK_MTA_STS, 0, true },
    { PREF, OPP, true, NONE, FORCE, true, STS, POLICY_TLS_CHECK_MTA_STS, 0, true },
    { PREF, OPP, true, NONE, FORCE, false, STS, POLICY_TLS_CHECK_MTA_STS, POLICY_TLS_NOT_ALLOWED,
      true },
    { PREF, MUST, true, NONE, FORCE, true, DANE, POLICY_TLS_CHECK_DANE, POLICY_TLS_NO_DANE, true },
    /* the table may ask for more than records that cannot be used do */
    { POLICY_TLS_REQUIRED_VERIFY, OPP, false, BAD, NO, false, TABLE, POLICY_TLS_CHECK_VERIFY, 0,
      true },
    { POLICY_TLS_PREFERRED_VERIFY, OPP, false, BAD, NO, false, DANE, POLICY_TLS_CHECK_NONE, 0,
      true },
    { POLICY_TLS_REQUIRED_VERIFY_HOSTED, OPP, true, NONE, NO, false, TABLE, POLICY_TLS_CHECK_HOSTED,
      0, true },
};

static void dane_goes_before_mta_sts_and_both_before_the_table(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(precedence); i++) {
        struct policy_destination d = policy_destination_default();
        struct policy_tls_facts facts = { (enum policy_dane_found)precedence[i].dane,
                                          (enum policy_sts_found)precedence[i].sts,
                                          precedence[i].is_host_of_sts };
        struct policy_tls_demand demand;

        d.tls = precedence[i].tls;
        d.dane = precedence[i].dane_asked;
        d.mta_sts = precedence[i].sts_asked;
        demand = policy_tls_demand_of(&d, &facts);
        assert_int_equal(demand.authority, precedence[i].authority);
        assert_int_equal(demand.check, precedence[i].check);
        assert_int_equal(demand.obstacle, precedence[i].obstacle);
        assert_int_equal(demand.is_required, precedence[i].is_required);
        assert_true(demand.is_wanted);
    }
}

static void what_dane_or_mta_sts_demands_is_never_weaker_than_required(void **unused)
{
    static const int checked[EVENTS] = { NEXT, NEXT, NEXT, NEXT, NEXT, TLS };
    static const int unchecked[EVENTS] = { NEXT, NEXT, NEXT, NEXT, TLS, TLS };
    struct policy_destination d = policy_destination_default();
    struct policy_tls_demand demand;

    (void)unused;
    d.tls = POLICY_TLS_PREFERRED;
    d.dane = POLICY_DANE_OPPORTUNISTIC;
    d.mta_sts = true;
    d.clear_after_failed_handshake = true;
    demand = policy_tls_demand_of(&d, &(struct policy_tls_facts){ .dane = POLICY_DANE_USABLE });
    assert_actions(&demand, checked);
    demand = policy_tls_demand_of(
        &d, &(struct policy_tls_facts){ .sts = POLICY_STS_ENFORCED, .is_host_of_sts = true });
    assert_actions(&demand, checked);
    demand = policy_tls_demand_of(&d, &(struct policy_tls_facts){ .dane = POLICY_DANE_UNUSABLE });
    assert_actions(&demand, unchecked);
}

/* RFC 8689 4.2.2; the operator's own word stays. */
static void tls_required_no_ignores_what_the_domain_publishes_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(precedence); i++) {
        struct policy_destination d = policy_destination_default();
        struct policy_tls_facts facts = { (enum policy_dane_found)precedence[i].dane,
                                          (enum policy_sts_found)precedence[i].sts,
                                          precedence[i].is_host_of_sts, true };
        struct policy_tls_demand demand, plain;
        bool is_ignorable;

        d.tls = precedence[i].tls;
        plain = policy_tls_demand_of(&d, &(struct policy_tls_facts){ 0 });
        d.dane = precedence[i].dane_asked;
        d.mta_sts = precedence[i].sts_asked;
        is_ignorable = d.dane != MUST && (d.dane == OPP || d.mta_sts);
        assert_int_equal(policy_tls_is_ignorable(&d), is_ignorable);
        demand = policy_tls_demand_of(&d, &facts);
        if (!is_ignorable) {
            assert_int_equal(demand.authority, precedence[i].authority);
            assert_int_equal(demand.obstacle, precedence[i].obstacle);
            assert_int_equal(demand.is_required, precedence[i].is_required);
            assert_false(demand.may_fall_back);
            continue;
        }
        assert_int_equal(demand.authority, TABLE);
        assert_int_equal(demand.obstacle, POLICY_TLS_NO_OBSTACLE);
        assert_int_equal(demand.check, plain.check);
        assert_int_equal(demand.is_required, plain.is_required);
        assert_int_equal(demand.is_check_required, plain.is_check_required);
        assert_true(demand.is_wanted);
        /* Not even a handshake that failed holds it up. */
        assert_int_equal(policy_tls_outcome(&demand, POLICY_TLS_HANDSHAKE_FAILED),
                         plain.is_required ? NEXT : AGAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_six_settings_hold_for_every_outcome),
        cmocka_unit_test(dane_goes_before_mta_sts_and_both_before_the_table),
        cmocka_unit_test(what_dane_or_mta_sts_demands_is_never_weaker_than_required),
        cmocka_unit_test(tls_required_no_ignores_what_the_domain_publishes_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
