/* Days of TLS reports in virtual time. */
#include "tests/gateway/tls_reporter_rig.h"

static size_t occurrences(const char *to)
{
    size_t count = 0;

    for (size_t i = 0; i < rig.sent_count; i++)
        count += strcmp(rig.sent[i].to, to) == 0;
    return count;
}

/* --- the tests ------------------------------------------------------------------------------- */

static void each_day_is_reported_once_when_it_is_over(void **unused)
{
    (void)unused;
    for (int day = 0; day < 5; day++) {
        time_t midnight_s = DAY0 + (day + 1) * DAY;
        size_t before = rig.sent_count;

        see("mail.example");
        see("https.example");
        see("silent.example");
        pass_to(midnight_s - HOUR);
        see("mail.example");
        see_of(midnight_s - DAY, "mail.example", 2);
        pass_to(midnight_s + GATEWAY_TLS_GRACE_S - 1);
        assert_int_equal(rig.sent_count, before);
        assert_int_equal(rig.reporter.parts_count, 1);
        pass_to(midnight_s + GATEWAY_TLS_GRACE_S + GATEWAY_TLS_SPREAD_S);
        assert_int_equal(rig.sent_count, before + 2);
        assert_int_equal(rig.reporter.parts_count, 0);
        assert_int_equal(files_count(), 0);
        pass_to(midnight_s + 8 * HOUR);
    }
    assert_int_equal(occurrences("tls@mail.example"), 5);
    assert_int_equal(occurrences("https://reports.https.example/x"), 5);
    for (size_t i = 0; i < rig.sent_count; i++) {
        char day[32];

        (void)snprintf(day, sizeof(day), "2016-04-%02zu", 1 + i / 2);
        if (!rig.sent[i].is_mail)
            assert_non_null(strstr(rig.sent[i].text, day));
    }
    /* The random while is one. */
    assert_true((rig.sent[2].at_s - rig.sent[0].at_s) % DAY != 0);
}

static void a_report_says_who_sends_it_about_what(void **unused)
{
    static const char *const headers[] = {
        "From: tls@us.example\r\n",
        "To: tls@mail.example\r\n",
        "TLS-Required: No\r\n",
        "TLS-Report-Domain: mail.example\r\n",
        "TLS-Report-Submitter: us.example\r\n",
        "Report-ID: <2016-04-01-1459497600.",
        "Message-ID: <2016-04-01-1459497600.",
        ".0@mx.us.example>\r\n",
        "us.example!mail.example!1459468800!1459555199!201604011459497600",
    };

    (void)unused;
    see("mail.example");
    see_of(DAY0, "https.example", 4);
    pass_to(DAY0 + DAY + 2 * HOUR);
    assert_int_equal(rig.sent_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const char *text = rig.sent[i].text;

        for (size_t j = 0; rig.sent[i].is_mail && j < ARRAY_LEN(headers); j++)
            if (strstr(text, headers[j]) == NULL)
                fail_msg("%s is not in\n%s", headers[j], text);
        if (rig.sent[i].is_mail)
            continue;
        assert_non_null(strstr(text, "\"organization-name\": \"Us\""));
        assert_non_null(strstr(text, "\"contact-info\": \"tls@us.example\""));
        assert_non_null(strstr(text, "\"total-successful-session-count\": 4"));
        assert_null(strstr(text, "mail.example"));
    }
}

static void every_uri_gets_it_and_what_failed_is_tried_again_for_less_than_a_day(void **unused)
{
    time_t first_s, last_s = 0;
    size_t posts = 0;

    (void)unused;
    rig.is_post_failing = true;
    see("both.example");
    pass_to(DAY0 + DAY + 2 * HOUR);
    first_s = rig.sent[0].at_s;
    pass_to(DAY0 + 3 * DAY - 1);
    assert_int_equal(rig.posts_count, GATEWAY_TLS_REPORT_TRIES);
    assert_int_equal(rig.reporter.parts_count, 0);
    assert_int_equal(occurrences("a@both.example"), 1);
    assert_int_equal(occurrences("b@c.d"), 1);

    /* The same, and then its host is there again. */
    see("both.example");
    posts = rig.posts_count;
    while (rig.posts_count < posts + GATEWAY_TLS_REPORT_TRIES - 1)
        pass_to(rig.now_s + 60);
    last_s = rig.now_s;
    assert_true(last_s - (first_s + 2 * DAY) < DAY);
    rig.is_post_failing = false;
    pass_to(rig.now_s + 10 * HOUR);
    assert_int_equal(occurrences("https://both.example/x"), 1);
    assert_int_equal(occurrences("a@both.example"), 2);
    assert_int_equal(rig.reporter.parts_count, 0);
}

static void records_decide_who_gets_reports(void **unused)
{
    static const struct {
        const char *domain;
        bool has_two_records, is_dns_failing, is_spool_failing, to_private;
        const char *address;
        size_t sent, posts, tries; /* tries: that ask for the record */
    } cases[] = {
        { "mail.example", .address = "", .sent = 1, .tries = 1 },
        { "MAIL.example", .address = "", .sent = 1, .tries = 1 },
        { "silent.example", .address = "", .tries = 1 },
        { "broken.example", .address = "", .tries = 1 },
        { "nowhere.example", .address = "", .tries = 1 },
        { "unusable.example", .address = "8.8.8.8", .tries = 1 },
        { "mail.example", .has_two_records = true, .address = "", .tries = 1 },
        { "mail.example", .is_dns_failing = true, .address = "", .tries = 7 },
        { "mail.example", .is_spool_failing = true, .address = "", .tries = 7 },
        { "https.example", .address = "8.8.8.8", .sent = 1, .posts = 1, .tries = 1 },
        { "https.example", .address = "", .tries = 7 },
        { "https.example", .address = "10.0.0.1", .tries = 1 },
        { "https.example", .to_private = true, .address = "10.0.0.1", .sent = 1, .posts = 1,
          .tries = 1 },
        { "literal.example", .address = "", .sent = 1, .posts = 1, .tries = 1 },
        { "inside.example", .address = "", .tries = 1 },
        { "inside.example", .to_private = true, .address = "", .sent = 1, .posts = 1, .tries = 1 },
        { "[192.0.2.1]", .address = "" },
        { "a..b", .address = "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(tear_down(unused), 0);
        assert_int_equal(set_up(unused), 0);
        rig.has_two_records = cases[i].has_two_records;
        rig.is_dns_failing = cases[i].is_dns_failing;
        rig.is_spool_failing = cases[i].is_spool_failing;
        rig.settings.to_private = cases[i].to_private;
        rig.address = cases[i].address;
        see(cases[i].domain);
        pass_to(DAY0 + 3 * DAY - 1);
        if (rig.sent_count != cases[i].sent || rig.posts_count != cases[i].posts ||
            rig.asked_count < cases[i].tries || (cases[i].tries == 0 && rig.asked_count > 0))
            fail_msg("case %zu: %zu sent, %zu posts, %zu asked", i, rig.sent_count, rig.posts_count,
                     rig.asked_count);
        assert_int_equal(rig.reporter.parts_count, 0);
        assert_int_equal(files_count(), 0);
    }
}

static void a_restart_loses_nothing_that_was_stored_and_sends_nothing_twice(void **unused)
{
    (void)unused;
    see("mail.example");
    pass_to(rig.now_s + GATEWAY_TLS_STORE_S);
    assert_int_equal(files_count(), 1);
    restart();
    see("https.example"); /* the same part goes on */
    rig.is_post_failing = true;
    pass_to(DAY0 + DAY + 2 * HOUR);
    assert_int_equal(occurrences("tls@mail.example"), 1);
    assert_int_equal(rig.posts_count, rig.reporter.parts_count > 0 ? rig.posts_count : 0);
    gateway_tls_reporter_store(&rig.reporter, rig.now_s);
    assert_int_equal(files_count(), 1);
    restart();
    rig.is_post_failing = false;
    pass_to(DAY0 + DAY + 3 * HOUR);
    assert_int_equal(occurrences("tls@mail.example"), 1);
    assert_int_equal(occurrences("https://reports.https.example/x"), 1);
    assert_int_equal(files_count(), 0);
}

static void a_day_that_ended_while_nothing_ran_is_reported_then(void **unused)
{
    (void)unused;
    see("mail.example");
    gateway_tls_reporter_store(&rig.reporter, rig.now_s);
    rig.now_s = DAY0 + DAY + 20 * HOUR;
    restart();
    pass_to(rig.now_s + 1);
    assert_int_equal(rig.sent_count, 1);
    assert_int_equal(files_count(), 0);
}

static void what_is_too_old_or_of_the_future_is_not_restored(void **unused)
{
    static const struct {
        time_t after_s; /* the day's beginning */
        enum status status;
    } cases[] = {
        { 0, STATUS_OK },           { 3 * DAY - 1, STATUS_OK }, { 3 * DAY, STATUS_LIMIT },
        { 30 * DAY, STATUS_LIMIT }, { -DAY, STATUS_OK },        { -DAY - 1, STATUS_LIMIT },
    };
    const struct slice text = SLICE("postern tls-reports 1\ndue 5\nP 0 1 0 a.example\nX 0\n");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(tear_down(unused), 0);
        assert_int_equal(set_up(unused), 0);
        assert_int_equal(gateway_tls_reporter_restore(&rig.reporter, SLICE("2016-04-01-9"), text,
                                                      DAY0 + cases[i].after_s),
                         cases[i].status);
    }
    assert_int_equal(gateway_tls_reporter_restore(&rig.reporter, SLICE("x"), text, DAY0),
                     STATUS_CORRUPT);
}

static void reports_that_are_switched_off_are_forgotten(void **unused)
{
    static struct gateway_tls_report_settings off;

    (void)unused;
    off = rig.settings;
    off.send = false;
    see("mail.example");
    see_of(DAY0 - DAY, "https.example", 1);
    assert_int_equal(gateway_tls_reporter_send(&rig.reporter, NULL, rig.now_s), 2);
    (void)gateway_tls_reporter_run(&rig.reporter, rig.now_s); /* questions are on their way */
    gateway_tls_reporter_store(&rig.reporter, rig.now_s);
    assert_int_equal(files_count(), 2);
    gateway_tls_reporter_configure(&rig.reporter, &off);
    assert_true(answer_one());
    pass_to(rig.now_s + DAY);
    assert_int_equal(rig.sent_count, 0);
    assert_int_equal(rig.reporter.parts_count, 0);
    assert_int_equal(files_count(), 0);
    see("mail.example");
    assert_int_equal(rig.reporter.parts_count, 0);
    gateway_tls_reporter_configure(&rig.reporter, &rig.settings);
    see("mail.example");
    assert_int_equal(rig.reporter.parts_count, 1);
}

static void without_a_worker_a_part_waits_until_it_is_too_old(void **unused)
{
    (void)unused;
    rig.has_no_worker = true;
    see("mail.example");
    pass_to(DAY0 + 2 * DAY);
    assert_int_equal(rig.reporter.parts_count, 1);
    rig.has_no_worker = false;
    pass_to(rig.now_s + 2);
    assert_int_equal(rig.sent_count, 1);
    rig.has_no_worker = true;
    see("mail.example");
    pass_to(DAY0 + 5 * DAY - 1);
    assert_int_equal(files_count(), 1);
    assert_int_equal(rig.reporter.parts_count, 1);
    assert_true(rig.reporter.parts.head.next != &rig.reporter.parts.head);
    pass_to(DAY0 + 5 * DAY + 1);
    assert_true(
        CONTAINER_OF(rig.reporter.parts.head.next, struct gateway_tls_part, node)->is_forgotten);
    rig.has_no_worker = false; /* what was on its way ends */
    pass_to(rig.now_s + 2);
    assert_int_equal(rig.reporter.parts_count, 0);
    assert_int_equal(files_count(), 0);
    assert_int_equal(rig.sent_count, 1);
}

static void what_is_sent_on_demand_makes_way_for_another_part(void **unused)
{
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    time_t other_s = DAY0 - DAY, today_s = DAY0;
    char *end;

    (void)unused;
    see("https.example");
    assert_int_equal(gateway_tls_reporter_send(&rig.reporter, &other_s, rig.now_s), 0);
    assert_int_equal(gateway_tls_reporter_send(&rig.reporter, &today_s, rig.now_s), 1);
    see_of(DAY0, "https.example", 6); /* it comes while the others are sent */
    assert_int_equal(gateway_tls_reporter_describe(&rig.reporter, facts), 2);
    assert_true(facts[0].is_closed && !facts[1].is_closed);
    assert_int_equal(facts[0].domains, 1);
    assert_int_equal(facts[1].sessions, 6);
    pass_to(rig.now_s);
    assert_int_equal(rig.sent_count, 1);
    pass_to(DAY0 + DAY + 2 * HOUR);
    assert_int_equal(rig.sent_count, 2);
    assert_non_null(strstr(rig.sent[0].text, "session-count\": 1,"));
    assert_non_null(strstr(rig.sent[1].text, "session-count\": 6,"));
    end = strstr(rig.sent[1].text, "\"policies\"");
    assert_non_null(end);
    *end = '\0';
    assert_null(strstr(rig.sent[0].text, strstr(rig.sent[1].text, "\"report-id\"")));
}

static void a_failed_report_is_tried_at_once_on_demand(void **unused)
{
    (void)unused;
    rig.is_post_failing = true;
    see("https.example");
    (void)gateway_tls_reporter_send(&rig.reporter, NULL, rig.now_s);
    pass_to(rig.now_s + 60);
    assert_int_equal(rig.posts_count, 1);
    rig.is_post_failing = false;
    assert_int_equal(gateway_tls_reporter_send(&rig.reporter, NULL, rig.now_s), 1);
    pass_to(rig.now_s);
    assert_int_equal(rig.sent_count, 1);
}

static void only_so_many_are_on_their_way_at_once(void **unused)
{
    char domain[32];

    (void)unused;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(domain, sizeof(domain), "d%d.example", i);
        see(domain);
    }
    (void)gateway_tls_reporter_send(&rig.reporter, NULL, rig.now_s);
    pass_to(rig.now_s);
    assert_int_equal(rig.asked_count, 200);
    assert_int_equal(rig.lookups_most, GATEWAY_TLS_SENDINGS_MAX);
    assert_int_equal(rig.reporter.parts_count, 0);
}

static void only_so_many_parts_are_kept(void **unused)
{
    (void)unused;
    rig.has_no_worker = true;
    for (int i = 0; i < 2 * GATEWAY_TLS_PARTS_MAX; i++) {
        see("mail.example");
        (void)gateway_tls_reporter_send(&rig.reporter, NULL, rig.now_s);
    }
    assert_int_equal(rig.reporter.parts_count, GATEWAY_TLS_PARTS_MAX);
    pass_to(rig.now_s + 100);
    assert_int_equal(files_count(), GATEWAY_TLS_PARTS_MAX); /* none has the name of another */
}

static void a_disk_that_fails_is_tried_again(void **unused)
{
    (void)unused;
    rig.is_disk_failing = true;
    see("mail.example");
    pass_to(rig.now_s + 10 * GATEWAY_TLS_STORE_S);
    assert_int_equal(files_count(), 0);
    rig.is_disk_failing = false;
    pass_to(rig.now_s + GATEWAY_TLS_STORE_S);
    assert_int_equal(files_count(), 1);
    assert_int_equal(rig.stores_count, 1);
    pass_to(rig.now_s + HOUR);
    assert_int_equal(rig.stores_count, 1); /* nothing changed */
}

static void a_clock_that_is_set_back_does_not_stop_the_storing(void **unused)
{
    (void)unused;
    see("mail.example");
    pass_to(rig.now_s + GATEWAY_TLS_STORE_S);
    rig.now_s -= 7 * HOUR;
    see("mail.example");
    pass_to(rig.now_s + 2 * GATEWAY_TLS_STORE_S);
    assert_int_equal(rig.stores_count, 2);
}

static void without_its_key_no_report_goes_by_mail(void **unused)
{
    (void)unused;
    (void)snprintf(rig.settings.dkim_key_path, sizeof(rig.settings.dkim_key_path), "/a/key");
    see("mail.example");
    see("https.example");
    pass_to(DAY0 + DAY + 2 * HOUR);
    assert_int_equal(occurrences("https://reports.https.example/x"), 1);
    assert_int_equal(rig.sent_count, 1);
    rig.settings.dkim_key_path[0] = '\0'; /* a reload */
    pass_to(DAY0 + 2 * DAY);
    assert_int_equal(occurrences("tls@mail.example"), 1);
}

/* Of count domains that all say the same. Returns how many reports went out in a day. */
static size_t be_attacked(const char *record, size_t count)
{
    size_t before = rig.sent_count;
    char domain[64];

    rig.enemy = record;
    rig.is_only_counted = true;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(domain, sizeof(domain), "enemy%zu.example", i);
        see(domain);
    }
    pass_to(rig.now_s + DAY);
    return rig.sent_count - before;
}

static void domains_without_number_cannot_bury_an_address_or_a_host(void **unused)
{
    enum { OF_ADDRESS = GATEWAY_TLS_ADDRESS_REPORTS_MAX, OF_HOST = GATEWAY_TLS_HOST_REPORTS_MAX };
    static const struct {
        const char *record;
        size_t domains, sent;
        bool is_failing;
    } cases[] = {
        { MAILTO("a@victim.example"), OF_ADDRESS, OF_ADDRESS, false },
        { MAILTO("a@victim.example"), OF_ADDRESS + 9, OF_ADDRESS, false },
        { MAILTO("a@victim.example,mailto:A@VICTIM.example,mailto:%61@victim.example"),
          OF_ADDRESS + 9, OF_ADDRESS, false },
        { MAILTO("a#@victim.example"), OF_HOST + 9, OF_HOST, false },
        { MAILTO("a#@victim#.example"), OF_HOST + 9, OF_HOST + 9, false },
        { HTTPS("victim.example"), OF_ADDRESS + 9, OF_ADDRESS, false },
        { HTTPS("victim.example/#"), OF_HOST + 9, OF_HOST, false },
        { HTTPS("[2606:4700::1]:1#"), OF_HOST + 9, OF_HOST, false },
        { HTTPS("victim.example"), OF_ADDRESS / 3, OF_ADDRESS, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t sent;

        assert_int_equal(tear_down(unused), 0);
        assert_int_equal(set_up(unused), 0);
        rig.is_post_failing = cases[i].is_failing;
        sent = be_attacked(cases[i].record, cases[i].domains);
        if ((cases[i].is_failing ? rig.posts_count : sent) != cases[i].sent)
            fail_msg("case %zu: %zu sent", i, sent);
        see("mail.example"); /* the others get theirs */
        assert_int_equal(be_attacked(cases[i].record, 1), cases[i].is_failing ? 1 : 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_day_is_reported_once_when_it_is_over),
        TEST(a_report_says_who_sends_it_about_what),
        TEST(every_uri_gets_it_and_what_failed_is_tried_again_for_less_than_a_day),
        TEST(records_decide_who_gets_reports),
        TEST(a_restart_loses_nothing_that_was_stored_and_sends_nothing_twice),
        TEST(a_day_that_ended_while_nothing_ran_is_reported_then),
        TEST(what_is_too_old_or_of_the_future_is_not_restored),
        TEST(reports_that_are_switched_off_are_forgotten),
        TEST(without_a_worker_a_part_waits_until_it_is_too_old),
        TEST(what_is_sent_on_demand_makes_way_for_another_part),
        TEST(a_failed_report_is_tried_at_once_on_demand),
        TEST(only_so_many_are_on_their_way_at_once),
        TEST(only_so_many_parts_are_kept),
        TEST(a_disk_that_fails_is_tried_again),
        TEST(a_clock_that_is_set_back_does_not_stop_the_storing),
        TEST(without_its_key_no_report_goes_by_mail),
        TEST(domains_without_number_cannot_bury_an_address_or_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
