/* What RFC 8461 3.3 and 5.1 say of policies that are there, gone, or out of reach. */
#include "tests/gateway/mta_sts_rig.h"

/* --- the table ------------------------------------------------------------------------------- */

#define FAILS NULL

static const struct rule {
    const char *what;
    uint64_t age_s;  /* of the policy on disk, old, with id 1 and a max_age of a day; 0: none */
    const char *txt; /* "": SERVFAIL; NULL: there is none */
    const char *txt_2;
    const char *body;
    const char *first, *second; /* what is said, at once and behind all that follows */
    unsigned fetches;
    const char *disk; /* the id of what is there in the end */
} rules[] = {
    { "nothing", 0, NULL, NULL, RIG_NEW, "none", "none", 0, NULL },
    { "no DNS, no policy", 0, "", NULL, RIG_NEW, "none", "none", 0, NULL },
    { "other records", 0, "v=spf1 -all", "v=STSv1", RIG_NEW, "none", "none", 0, NULL },
    { "two records", 0, ID_1, ID_2, RIG_NEW, "none", "none", 0, NULL },
    { "one of two counts", 0, "v=spf1 -all", ID_1, RIG_NEW, "new", "new", 1, "1" },
    { "malformed", 0, "v=STSv1; id=-;", NULL, RIG_NEW, "none", "none", 0, NULL },
    { "a first policy", 0, ID_1, NULL, RIG_NEW, "new", "new", 1, "1" },
    { "first fetch fails", 0, ID_1, NULL, FAILS, "none", "none", 1, NULL },
    { "first file is none", 0, ID_1, NULL, "<html>", "none", "none", 1, NULL },
    { "first has mode none", 0, ID_1, NULL, RIG_TEXT("none", "86400"), "none", "none", 1, NULL },
    { "testing", 0, ID_1, NULL, RIG_TEXT("testing", "86400"), "new", "new", 1, "1" },
    { "kept, the same id", HOUR, ID_1, NULL, RIG_NEW, "old", "old", 0, "1" },
    { "kept, the record is gone", HOUR, NULL, NULL, RIG_NEW, "old", "old", 0, "1" },
    { "kept, the DNS fails", HOUR, "", NULL, RIG_NEW, "old", "old", 0, "1" },
    { "kept, two records", HOUR, ID_1, ID_2, RIG_NEW, "old", "old", 0, "1" },
    { "kept, malformed", HOUR, "v=STSv1; id=", NULL, RIG_NEW, "old", "old", 0, "1" },
    { "kept, a new id", HOUR, ID_2, NULL, RIG_NEW, "old", "new", 1, "2" },
    { "kept, a new id, the fetch fails", HOUR, ID_2, NULL, FAILS, "old", "old", 1, "1" },
    { "kept, a new id, no policy", HOUR, ID_2, NULL, "x", "old", "old", 1, "1" },
    { "kept, a new id, mode none", HOUR, ID_2, NULL, RIG_TEXT("none", "0"), "old", "none", 1,
      NULL },
    { "half its age", DAY / 2 + 1, ID_1, NULL, RIG_NEW, "old", "new", 1, "1" },
    { "half its age, no record", DAY / 2 + 1, NULL, NULL, RIG_NEW, "old", "new", 1, "1" },
    { "half its age, the DNS fails", DAY / 2 + 1, "", NULL, RIG_NEW, "old", "old", 1, "1" },
    { "half its age, the fetch fails", DAY / 2 + 1, ID_1, NULL, FAILS, "old", "old", 1, "1" },
    { "expired, the same id", DAY, ID_1, NULL, RIG_NEW, "new", "new", 1, "1" },
    { "expired, no record", DAY, NULL, NULL, RIG_NEW, "none", "none", 0, "1" },
    { "expired, the fetch fails", DAY, ID_1, NULL, FAILS, "none", "none", 1, "1" },
};

static void apply(const struct rule *r)
{
    struct gateway_mta_sts_record kept = { 0 };
    const char *first, *second;

    if (r->age_s > 0)
        rig_keep("a.test", "1", RIG_OLD, r->age_s, DAY, r->age_s);
    rig.is_dns_failing = r->txt != NULL && r->txt[0] == '\0';
    rig.txts[0] = r->txt;
    rig.txts[1] = r->txt_2;
    rig.body = r->body;
    first = answer_of("a.test");
    if (strcmp(first, r->first) != 0)
        fail_msg("%s: at first %s", r->what, first);
    second = answer_of("A.test.");
    if (strcmp(second, r->second) != 0)
        fail_msg("%s: then %s", r->what, second);
    /* A DNS that fails has no address of the policy host either. */
    if (rig.fetches_count != (rig.is_dns_failing ? 0 : r->fetches))
        fail_msg("%s: %u fetches", r->what, rig.fetches_count);
    if (rig_kept("a.test", &kept) != (r->disk != NULL) ||
        (r->disk != NULL && !slice_equal(kept.id, slice_from(r->disk))))
        fail_msg("%s: on disk %.*s", r->what, SLICE_ARGS(kept.id));
}

static void what_counts_is_what_5_1_says(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (i > 0) {
            (void)tear_down(state);
            assert_int_equal(set_up(state), 0);
        }
        apply(&rules[i]);
    }
}

/* RFC 8460 4.3. */
static void what_stood_in_the_way_of_a_policy_is_told(void **state)
{
    static const struct {
        const char *txt, *body;
        enum observe_tls_result_type said, trouble;
        bool is_kept, has_no_address, is_queue_full, is_late;
    } cases[] = {
        { .txt = NULL, .body = FAILS },
        { .txt = "", .body = FAILS },
        { .txt = "v=STSv1; id=-;", .body = RIG_NEW },
        { .txt = ID_1, .body = RIG_NEW },
        { .txt = ID_1, .body = RIG_TEXT("none", "86400") },
        { .txt = ID_1,
          .body = FAILS,
          .said = OBSERVE_TLS_STS_POLICY_FETCH_ERROR,
          .trouble = OBSERVE_TLS_STS_POLICY_FETCH_ERROR },
        { .txt = ID_1,
          .body = FAILS,
          .said = OBSERVE_TLS_STS_WEBPKI_INVALID,
          .trouble = OBSERVE_TLS_STS_WEBPKI_INVALID },
        { .txt = ID_1, .body = FAILS }, /* our own */
        { .txt = ID_1, .body = "<html>", .trouble = OBSERVE_TLS_STS_POLICY_INVALID },
        { .txt = ID_1,
          .body = RIG_NEW,
          .has_no_address = true,
          .trouble = OBSERVE_TLS_STS_POLICY_FETCH_ERROR },
        { .txt = ID_1, .body = RIG_NEW, .is_queue_full = true },
        { .txt = ID_1,
          .body = RIG_NEW,
          .is_late = true,
          .trouble = OBSERVE_TLS_STS_POLICY_FETCH_ERROR },
        { .txt = ID_2, .body = FAILS, .is_kept = true, .said = OBSERVE_TLS_STS_POLICY_FETCH_ERROR },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)tear_down(state);
        assert_int_equal(set_up(state), 0);
        if (cases[i].is_kept)
            rig_keep("a.test", "1", RIG_OLD, HOUR, DAY, HOUR);
        rig.txts[0] = cases[i].txt;
        rig.is_dns_failing = cases[i].txt != NULL && cases[i].txt[0] == '\0';
        rig.body = cases[i].body;
        rig.trouble = cases[i].said;
        rig.has_no_address = cases[i].has_no_address;
        rig.is_queue_full = cases[i].is_queue_full;
        rig.holds_fetches = cases[i].is_late;
        for (int again = 0; again < 2; again++) {
            askers[0].done_count = 0;
            ask(&askers[0], "a.test");
            rig_pass(cases[i].is_late ? HOUR : 0);
            if (askers[0].done_count != 1 || askers[0].query.trouble != cases[i].trouble)
                fail_msg("case %zu: %s", i, observe_tls_result_type_name(askers[0].query.trouble));
        }
        rig.holds_fetches = false;
    }
}

/* --- waiting --------------------------------------------------------------------------------- */

static void a_policy_that_counts_waits_for_nobody(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, HOUR, DAY, HOUR);
    rig.txts[0] = ID_2;
    rig.body = RIG_NEW;
    rig.holds_dns = true;
    assert_string_equal(answer_of("a.test"), "old");
    rig.holds_dns = false;
    rig.holds_fetches = true;
    assert_string_equal(answer_of("a.test"), "old");
    assert_int_equal(rig.fetches_count, 1);
    rig.holds_fetches = false;
    rig_pass(0);
    assert_string_equal(answer_of("a.test"), "new");
}

static void many_who_ask_cause_one_fetch(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    rig.holds_files = rig.holds_fetches = true;
    for (size_t i = 0; i < MANY; i++)
        ask(&askers[i], "a.test");
    rig_pass(1);
    rig.holds_files = false;
    rig_pass(1);
    assert_int_equal(rig.txt_count, 1);
    assert_int_equal(rig.fetches_count, 1);
    for (size_t i = 0; i < MANY; i++)
        assert_string_equal(said(&askers[i]), "?");
    rig.holds_fetches = false;
    rig_pass(0);
    for (size_t i = 0; i < MANY; i++)
        assert_string_equal(said(&askers[i]), "new");
}

static void nobody_waits_longer_than_the_timeout(void **state)
{
    static const struct {
        bool files, dns, fetches;
        const char *said;
    } holds[] = {
        { true, false, false, "unknown" }, /* a policy may be there */
        { false, true, false, "none" },
        { false, false, true, "none" },
    };

    for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
        (void)tear_down(state);
        assert_int_equal(set_up(state), 0);
        rig.txts[0] = ID_1;
        rig.body = RIG_NEW;
        rig.holds_files = holds[i].files;
        rig.holds_dns = holds[i].dns;
        rig.holds_fetches = holds[i].fetches;
        ask(&askers[0], "a.test");
        rig_pass(59);
        assert_string_equal(said(&askers[0]), "?");
        rig_pass(2);
        assert_string_equal(said(&askers[0]), holds[i].said);
        /* What was begun goes on. */
        rig.holds_files = rig.holds_dns = rig.holds_fetches = false;
        rig_pass(0);
        assert_string_equal(answer_of("a.test"), "new");
        assert_int_equal(rig.fetches_count, 1);
    }
}

static void who_forgets_is_not_answered(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    rig.holds_fetches = true;
    ask(&askers[0], "a.test");
    ask(&askers[1], "a.test");
    rig_pass(1);
    gateway_mta_sts_forget(&askers[0].query);
    rig.holds_fetches = false;
    rig_pass(0);
    assert_int_equal(askers[0].done_count, 0);
    assert_string_equal(said(&askers[1]), "new");
    /* Between the answer and its delivery, too. */
    ask(&askers[0], "a.test");
    gateway_mta_sts_forget(&askers[0].query);
    rig_pass(0);
    assert_int_equal(askers[0].done_count, 0);
    gateway_mta_sts_forget(&askers[0].query);
}

static void who_is_answered_may_ask_again_and_forget(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    askers[0].then_asks = "b.test";
    askers[1].forgets = true;
    ask(&askers[0], "a.test");
    ask(&askers[1], "a.test");
    rig_pass(0);
    assert_int_equal(askers[0].done_count, 2);
    assert_string_equal(said(&askers[0]), "new");
    assert_int_equal(askers[1].done_count, 1);
}

static void a_policy_stays_with_who_was_given_it(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, HOUR, DAY, HOUR);
    rig.txts[0] = ID_2;
    rig.body = RIG_NEW;
    ask(&askers[1], "a.test");
    rig_pass(0);
    assert_string_equal(answer_of("a.test"), "new");
    assert_string_equal(said(&askers[1]), "old");
    assert_true(policy_mta_sts_allows(askers[1].policy, SLICE("mx.test")));
}

/* --- damage and limits ----------------------------------------------------------------------- */

static void a_damaged_file_is_as_good_as_none(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, HOUR, DAY, HOUR);
    rig_file("a.test", false)->bytes[100] ^= 1;
    rig.txts[0] = ID_2;
    rig.body = RIG_NEW;
    assert_string_equal(answer_of("a.test"), "new");
    /* A file that has got another domain's name, too. */
    rig_keep("b.test", "1", RIG_OLD, HOUR, DAY, HOUR);
    (void)snprintf(rig_file("b.test", false)->name, DNS_NAME_MAX, "c.test");
    assert_string_equal(answer_of("c.test"), "new");
}

static void times_of_a_clock_that_was_wrong_do_not_last(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, 0, 10 * (uint64_t)POLICY_MTA_STS_AGE_S_MAX, 0);
    assert_string_equal(answer_of("a.test"), "old");
    rig.has_no_address = true;
    rig_pass(POLICY_MTA_STS_AGE_S_MAX + 1);
    assert_string_equal(answer_of("a.test"), "none");
}

static void what_was_fetched_tomorrow_is_refreshed_today(void **state)
{
    (void)state;
    rig_keep("a.test", "1", RIG_OLD, -(uint64_t)30 * DAY, 40 * DAY, 0);
    rig.body = RIG_NEW;
    assert_string_equal(answer_of("a.test"), "old");
    rig_pass(DAY / 2 + 1);
    assert_string_equal(answer_of("a.test"), "new");
}

static void what_comes_while_a_file_is_written_is_written_next(void **state)
{
    struct gateway_mta_sts_record kept;

    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_OLD;
    ask(&askers[0], "a.test");
    while (rig.fetches_count == 0)
        (void)rig_step();
    rig.holds_files = true;
    rig_pass(TTL_S + 1);
    rig.txts[0] = ID_2;
    rig.body = RIG_NEW;
    (void)answer_of("a.test");
    assert_string_equal(answer_of("a.test"), "new");
    assert_int_equal(rig.stores_count, 0);
    rig.holds_files = false;
    rig_pass(0);
    assert_int_equal(rig.stores_count, 2);
    assert_true(rig_kept("a.test", &kept));
    assert_true(slice_equal(kept.id, SLICE("2")));
}

static void a_disk_that_fails_is_not_the_end(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    rig.is_disk_failing = true;
    assert_string_equal(answer_of("a.test"), "new");
    rig.is_disk_failing = false;
    rig.is_disk_full = true; /* its queue is */
    assert_string_equal(answer_of("a.test"), "new");
    assert_string_equal(answer_of("b.test"), "unknown");
    rig.is_disk_full = false;
    assert_string_equal(answer_of("b.test"), "new");
}

static void what_cannot_be_begun_is_tried_again_later(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    rig.has_no_dns = true;
    assert_string_equal(answer_of("a.test"), "none");
    rig.has_no_dns = false;
    rig.has_no_address = true;
    assert_string_equal(answer_of("b.test"), "none");
    rig.has_no_address = false;
    rig.is_queue_full = true;
    assert_string_equal(answer_of("c.test"), "none");
    rig.is_queue_full = false;
    assert_int_equal(rig.fetches_count, 0);
    rig_pass(GATEWAY_MTA_STS_RETRY_S + 1);
    assert_string_equal(answer_of("a.test"), "new");
    assert_string_equal(answer_of("b.test"), "new");
    assert_string_equal(answer_of("c.test"), "new");
}

static void what_is_no_domain_is_not_asked_for(void **state)
{
    static const char *const names[] = { "",        ".",        "192.0.2.1",      "[192.0.2.1]",
                                         "a..test", "a b.test", "m\xc3\xbc.test", "../a.test",
                                         "a/b.test" };
    char name[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(answer_of(names[i]), "none");
    memset(name, 'a', sizeof(name));
    for (size_t i = 50; i < sizeof(name); i += 51)
        name[i] = '.';
    name[256] = '\0';
    assert_string_equal(answer_of(name), "none");
    assert_int_equal(rig.txt_count, 0);
    /* One that is long enough for the labels in front to be too much. */
    name[DNS_NAME_MAX - 3] = '\0';
    rig.is_dns_failing = true;
    assert_string_equal(answer_of(name), "none");
    assert_int_equal(rig.fetches_count, 0);
}

static void fetches_wait_for_their_turn(void **state)
{
    char name[32];

    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    rig.holds_fetches = true;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "d%u.test", i);
        ask(&askers[i], name);
    }
    rig_pass(1);
    assert_int_equal(rig.fetches_count, GATEWAY_MTA_STS_FETCHES_MAX);
    rig.holds_fetches = false;
    rig_pass(0);
    assert_int_equal(rig.fetches_count, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_string_equal(said(&askers[i]), "new");
}

static void memory_has_its_bounds(void **state)
{
    char name[32];

    (void)state;
    for (unsigned i = 0; i < GATEWAY_MTA_STS_DOMAINS_MAX + 100; i++) {
        (void)snprintf(name, sizeof(name), "d%u.test", i);
        ask(&askers[0], name);
        rig_pass(0);
        assert_true(rig.sts->domains_count <= GATEWAY_MTA_STS_DOMAINS_MAX);
    }
    /* The first one is forgotten, the last one is not. */
    rig.txt_count = 0;
    assert_string_equal(answer_of(name), "none");
    assert_int_equal(rig.txt_count, 0);
    assert_string_equal(answer_of("d0.test"), "none");
    assert_int_equal(rig.txt_count, 1);
}

static void long_policies_leave_room_for_others(void **state)
{
    (void)state;
    rig.txts[0] = ID_1;
    rig.body = RIG_NEW;
    assert_string_equal(answer_of("a.test"), "new");
    assert_string_equal(answer_of("b.test"), "new");
    assert_int_equal(rig.sts->bytes, 2 * strlen(RIG_NEW));
    /* As if there were more: c is one too many, a and b are enough to make room. */
    rig.sts->bytes += GATEWAY_MTA_STS_BYTES_MAX - 2 * strlen(RIG_NEW) + 1;
    assert_string_equal(answer_of("c.test"), "new");
    rig_pass(0);
    assert_int_equal(rig.sts->domains_count, 1);
    rig.sts->bytes -= GATEWAY_MTA_STS_BYTES_MAX - 2 * strlen(RIG_NEW) + 1;
    assert_int_equal(rig.sts->bytes, strlen(RIG_NEW));
}

static void who_waits_is_not_forgotten_for_others(void **state)
{
    char name[32];

    (void)state;
    rig.holds_files = true;
    for (unsigned i = 1; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "d%u.test", i);
        ask(&askers[i], name);
    }
    rig.sts->domains_count += GATEWAY_MTA_STS_DOMAINS_MAX - (MANY - 1); /* as if there were more */
    assert_string_equal(answer_of("e.test"), "unknown");
    rig.sts->domains_count -= GATEWAY_MTA_STS_DOMAINS_MAX - (MANY - 1);
    assert_int_equal(rig.sts->domains_count, MANY - 1);
}

/* --- the end --------------------------------------------------------------------------------- */

static void stopping_answers_all_and_begins_nothing(void **state)
{
    static const struct {
        bool files, dns, fetches;
    } holds[] = { { true, false, false }, { false, true, false }, { false, false, true } };
    unsigned txt_count;

    for (size_t i = 0; i < ARRAY_LEN(holds) * 2; i++) {
        const bool is_cut_off = i >= ARRAY_LEN(holds);

        (void)tear_down(state);
        assert_int_equal(set_up(state), 0);
        rig.txts[0] = ID_1;
        rig.body = RIG_NEW;
        rig.holds_files = holds[i % ARRAY_LEN(holds)].files;
        rig.holds_dns = holds[i % ARRAY_LEN(holds)].dns;
        rig.holds_fetches = holds[i % ARRAY_LEN(holds)].fetches;
        ask(&askers[0], "a.test");
        rig_pass(1);
        txt_count = rig.txt_count;
        gateway_mta_sts_stop(rig.sts);
        rig_pass(0);
        assert_string_equal(said(&askers[0]), "unknown");
        assert_int_equal(rig.questions_count, 0);
        assert_string_equal(answer_of("b.test"), "unknown");
        if (is_cut_off)
            continue; /* what is in flight at the end is freed with the rest */
        rig.holds_files = rig.holds_dns = rig.holds_fetches = false;
        rig_pass(1);
        assert_int_equal(rig.stores_count, 0);
        assert_int_equal(rig.txt_count, txt_count);
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(what_counts_is_what_5_1_says),
        EACH(what_stood_in_the_way_of_a_policy_is_told),
        EACH(a_policy_that_counts_waits_for_nobody),
        EACH(many_who_ask_cause_one_fetch),
        EACH(nobody_waits_longer_than_the_timeout),
        EACH(who_forgets_is_not_answered),
        EACH(who_is_answered_may_ask_again_and_forget),
        EACH(a_policy_stays_with_who_was_given_it),
        EACH(a_damaged_file_is_as_good_as_none),
        EACH(times_of_a_clock_that_was_wrong_do_not_last),
        EACH(what_was_fetched_tomorrow_is_refreshed_today),
        EACH(what_comes_while_a_file_is_written_is_written_next),
        EACH(a_disk_that_fails_is_not_the_end),
        EACH(what_cannot_be_begun_is_tried_again_later),
        EACH(what_is_no_domain_is_not_asked_for),
        EACH(fetches_wait_for_their_turn),
        EACH(memory_has_its_bounds),
        EACH(long_policies_leave_room_for_others),
        EACH(who_waits_is_not_forgotten_for_others),
        EACH(stopping_answers_all_and_begins_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
