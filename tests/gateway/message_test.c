/* Messages at their home: how recipients become items, and when an item is over. No loop runs in
 * the first tests: a worker that stops posts nothing. */
#include "gateway/message_recover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/message_make.h"
#include "tests/gateway/message_rig.h"

static void assert_item(const struct gateway_message *m, unsigned item, const char *domain,
                        const uint32_t *rids, unsigned count)
{
    const struct gateway_item *i = &m->items[item];

    assert_true(slice_equal_nocase(gateway_item_domain(i), slice_from(domain)));
    assert_ptr_equal(gateway_item_message(i), m);
    assert_int_equal(i->all_count, count);
    assert_int_equal(i->waiting_count, count);
    for (unsigned r = 0; r < count; r++) {
        assert_int_equal(gateway_item_all(i)[r], rids[r]);
        assert_int_equal(gateway_item_waiting(i)[r], rids[r]);
    }
}

static void test_recipients_are_grouped_by_domain_without_regard_to_case(void **state)
{
    static const char *const recipients[] = { "x@b.example", "y@A.example",       "z@B.Example",
                                              "postmaster",  "\"q@r\"@a.example", "w@ab.example" };
    struct gateway_message *m = start(recipients, ARRAY_LEN(recipients), NULL);

    (void)state;
    assert_int_equal(m->items_count, 4);
    assert_int_equal(m->open_count, 4);
    assert_item(m, 0, "a.example", (const uint32_t[]){ 1, 4 }, 2);
    assert_item(m, 1, "ab.example", (const uint32_t[]){ 5 }, 1);
    assert_item(m, 2, "b.example", (const uint32_t[]){ 0, 2 }, 2);
    assert_item(m, 3, "gw.example", (const uint32_t[]){ 3 }, 1);
}

static void test_the_name_for_postmaster_outlives_its_configuration(void **state)
{
    static const char *const recipients[] = { "postmaster" };
    struct gateway_message *m;
    char name[] = "gw.example";

    (void)state;
    config.settings.hostname = name;
    m = start(recipients, 1, NULL);
    memset(name, 'x', sizeof(name) - 1);
    assert_true(slice_equal(gateway_item_domain(&m->items[0]), SLICE("gw.example")));
    config.settings.hostname = "gw.example";
}

/* What ten million of them may take, docs/QUEUE.md says. */
static void test_a_message_to_one_recipient_is_small_and_says_who_sent_it(void **state)
{
    static const char *const recipients[] = { "a@x.example" };
    struct gateway_message *m = start(recipients, 1, NULL);

    (void)state;
    assert_true(slice_equal(gateway_message_sender(m), SLICE("a@b.example")));
    assert_int_equal(gateway_message_own_bytes(m), 198 + strlen("a@b.example"));
    assert_int_equal(atomic_load(&process.queue_bytes), 198 + strlen("a@b.example"));
}

static void test_messages_on_the_same_way_share_its_names(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@y.example", "c@X.example" };
    struct gateway_message *m = start(recipients, 3, NULL), *other = start(recipients, 1, NULL);

    (void)state;
    assert_ptr_equal(m->items[0].lane, other->items[0].lane);
    assert_int_equal(m->items[0].lane->items_count, 2);
    assert_ptr_not_equal(m->items[0].lane, m->items[1].lane);
    assert_ptr_equal(m->items[0].lane->owner, &worker);
}

static void test_ten_thousand_recipients_at_one_domain_are_one_item(void **state)
{
    enum { COUNT = 10000 };
    const char **recipients = calloc(COUNT, sizeof(char *));
    struct gateway_message *m;

    (void)state;
    assert_non_null(recipients);
    for (unsigned i = 0; i < COUNT; i++)
        recipients[i] = i % 2 == 0 ? "u@one.example" : "u@ONE.example";
    m = start(recipients, COUNT, NULL);
    assert_int_equal(m->items_count, 1);
    assert_int_equal(m->items[0].waiting_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(gateway_item_all(&m->items[0])[i], i);
    free(recipients);
}

static void test_recovered_recipients_with_a_final_result_are_left_out(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@x.example", "c@y.example",
                                              "d@x.example", "e@y.example" };
    struct spool_result results[] = {
        { .rid = 0, .state = SPOOL_RESULT_DELIVERED },
        { .rid = 1, .state = SPOOL_RESULT_DEFERRED, .attempts = 3, .next_attempt_wall_s = 1 },
        { .rid = 2, .state = SPOOL_RESULT_BOUNCED },
        { .rid = 3,
          .state = SPOOL_RESULT_DEFERRED,
          .attempts = 1,
          .next_attempt_wall_s = INT64_C(1) << 40,
          .warned_wall_s = 1000,
          .warnings = 2 },
        { .rid = 4, .state = SPOOL_RESULT_DELIVERED },
    };
    struct delivery_arrival past = { 0 };
    struct gateway_message *m = start(recipients, ARRAY_LEN(recipients), results);

    (void)state;
    assert_int_equal(m->items_count, 2);
    assert_int_equal(m->open_count, 1);
    assert_int_equal(m->items[0].waiting_count, 2);
    assert_memory_equal(gateway_item_waiting(&m->items[0]), ((const uint16_t[]){ 1, 3 }), 4);
    assert_int_equal(m->items[1].waiting_count, 0);
    gateway_item_past(&m->items[0], 1500, &past);
    assert_int_equal(past.attempts, 3);
    assert_true(past.wait_ms > UINT64_C(1000) * 365 * 86400); /* as long as 32 bits can say */
    assert_int_equal(past.age_ms, 1500000);
    assert_int_equal(past.warnings, 2);
    assert_int_equal(past.warned_ms, 500000);
}

static void test_what_was_held_is_held_after_a_restart(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@x.example", "c@y.example",
                                              "d@y.example", "e@z.example" };
    struct spool_result results[] = {
        { .rid = 0, .state = SPOOL_RESULT_DEFERRED, .holds = 3 },
        { .rid = 1, .state = SPOOL_RESULT_DEFERRED, .holds = 3 },
        /* The crash came while they were being released: the hold was not lifted for all. */
        { .rid = 2, .state = SPOOL_RESULT_DEFERRED, .holds = 2 },
        { .rid = 3, .state = SPOOL_RESULT_DEFERRED, .holds = 1 },
        { .rid = 4, .state = SPOOL_RESULT_DEFERRED, .holds = 2 },
    };
    struct gateway_message *m = start(recipients, ARRAY_LEN(recipients), results);

    (void)state;
    assert_int_equal(m->items_count, 3);
    assert_int_equal(m->items[0].holds, 3);
    assert_int_equal(m->items[1].holds, 3);
    assert_int_equal(m->items[2].holds, 2);
    assert_true(gateway_item_is_held(&m->items[1]));
    assert_false(gateway_item_is_held(&m->items[2]));
}

static struct gateway_failure *said(uint16_t code, const char *text)
{
    const struct smtp_reply reply = { .code = code, .text = slice_from(text) };
    struct gateway_failure_facts facts = { .reply = &reply, .at_s = 5 };

    (void)snprintf(facts.outcome.reason, sizeof(facts.outcome.reason), "4.4.2 - Bad connection");
    return gateway_failure_create(&facts);
}

static void test_who_is_given_up_hears_what_was_said_last(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@y.example", "c@x.example",
                                              "d@x.example" };
    static const struct {
        uint32_t rid;
        const char *reply;
        bool is_ours;
    } cases[] = {
        { 0, "451 for all", false },
        { 2, "450 only for this one", false },
        { 3, "4.4.2 - Bad connection", true }, /* nothing was said, so that we do */
    };
    struct gateway_message *m = start(recipients, ARRAY_LEN(recipients), NULL);
    struct gateway_item *item = &m->items[0];
    struct delivery_outcome expired;
    struct gateway_failure *f;

    (void)state;
    delivery_outcome_for(DELIVERY_CAUSE_EXPIRED, &expired);
    f = gateway_item_failure(item, 2, &expired, SLICE("host down"));
    assert_true(slice_equal(gateway_failure_reply(f), SLICE("host down")));
    assert_true(f->is_ours);
    free(f);
    gateway_item_note_common(item, said(451, "for all"));
    gateway_item_note_failure(item, 2, said(450, "only for this one"));
    gateway_item_note_failure(item, 3, said(0, ""));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        f = gateway_item_failure(item, cases[i].rid, &expired, SLICE("host down"));
        assert_true(slice_equal(gateway_failure_reply(f), slice_from(cases[i].reply)));
        assert_string_equal(f->outcome.status, "5.4.7");
        assert_int_equal(f->is_ours, cases[i].is_ours);
        assert_int_equal(f->at_s, 5);
        free(f);
    }
}

static void test_the_last_report_waits_for_what_the_kernel_has_of_the_message(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@y.example" };
    struct gateway_message *m = start(recipients, 2, NULL);
    struct gateway_item *item = &m->items[0];
    struct gateway_report *report;

    (void)state;
    assert_int_equal(gateway_item_borrow(item), STATUS_OK);
    assert_int_equal(gateway_item_borrow(item), STATUS_OK);
    assert_int_equal(gateway_report_create(item, 1, &report), STATUS_OK);
    gateway_report_post(report, worker.loop, true);
    gateway_item_give_back(item, worker.loop);
    poke(1);
    assert_int_equal(m->open_count, 2);
    gateway_item_give_back(item, worker.loop);
    poke(1);
    assert_int_equal(m->open_count, 1);

    /* Nothing is lent: at once. A report that does not end the item waits for nothing. */
    m->open_count = 3;
    assert_int_equal(gateway_report_create(item, 1, &report), STATUS_OK);
    gateway_report_post(report, worker.loop, true);
    assert_int_equal(gateway_item_borrow(&m->items[1]), STATUS_OK);
    assert_int_equal(gateway_report_create(&m->items[1], 1, &report), STATUS_OK);
    gateway_report_post(report, worker.loop, false);
    poke(1);
    assert_int_equal(m->open_count, 2);
    gateway_item_give_back(&m->items[1], worker.loop);
}

static struct gateway_message *start_large(void)
{
    static const char *const recipients[] = { "a@x.example" };
    struct spool_envelope envelope = { .mid = 7, .sender = SLICE("a@b.example") };
    static const char body[100000];
    struct spool_draft draft;

    spool_draft_init(&draft);
    assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&draft, slice_from(recipients[0])), STATUS_OK);
    assert_int_equal(spool_draft_trace(&draft, SLICE("")), STATUS_OK);
    assert_int_equal(spool_draft_body(&draft, (struct slice){ body, sizeof(body) }), STATUS_OK);
    return recover(spool_draft_complete(&draft), NULL);
}

static void test_what_recovery_finds_beyond_the_budget_stays_on_disk(void **state)
{
    struct gateway_message *m;

    (void)state;
    do {
        m = start_large();
    } while (slim_list_is_empty(&worker.shelf.messages));
    assert_true(atomic_load(&process.message_bytes) <=
                config.settings.memory_message_bytes / 100 * GATEWAY_SHELF_RECOVERED_PERCENT);
    assert_false(gateway_message_hold(m));
    assert_null(m->spool);
    assert_int_equal(m->items_count, 1);
    assert_true(slice_equal(gateway_item_domain(&m->items[0]), SLICE("x.example")));
    assert_true(gateway_message_hold(
        CONTAINER_OF(slim_list_first(&worker.messages), struct gateway_message, node)));
}

static void test_the_oldest_that_nobody_reads_are_put_away_first(void **state)
{
    struct gateway_message *read, *idle, *newest;
    size_t before;

    (void)state;
    config.settings.memory_message_bytes = 4u << 20;
    read = start_large();
    idle = start_large();
    (void)start_large();
    newest = start_large();
    assert_true(slim_list_is_empty(&worker.shelf.messages));
    before = atomic_load(&process.message_bytes);
    assert_true(gateway_message_hold(read));
    gateway_shelf_check(&worker);
    poke(1);
    assert_int_equal(atomic_load(&process.message_bytes), before); /* there is room */

    config.settings.memory_message_bytes = before;
    gateway_shelf_check(&worker);
    poke(3);
    assert_non_null(read->spool);
    assert_null(idle->spool);
    assert_non_null(newest->spool);
    assert_true(atomic_load(&process.message_bytes) <= before / 100 * GATEWAY_SHELF_LOW_PERCENT);
    gateway_message_let_go(read);
}

/* The worker has no log: whatever would be recorded of it ends the test. */
static void test_what_was_put_aside_ends_and_leaves_no_record(void **state)
{
    static const char *const recipients[] = { "a@x.example", "b@y.example" };
    struct gateway_message *m = start(recipients, ARRAY_LEN(recipients), NULL);
    const enum gateway_notice notices[] = { GATEWAY_NOTICE_NONE, GATEWAY_NOTICE_FAILED };
    struct gateway_report *report;
    struct observe_log *log;

    (void)state;
    assert_int_equal(observe_log_create("/dev/null", 1, &log), STATUS_OK);
    worker.log = observe_log_writer(log, 0);
    config.settings.memory_message_bytes = 1; /* it goes to the shelf */
    gateway_shelf_check(&worker);
    poke(2);
    assert_null(m->spool);
    m->is_aside = true;
    assert_int_equal(gateway_item_fetch(&m->items[0], worker.loop, NULL), STATUS_OK);
    poke(3);
    assert_null(m->items[0].tries->loan); /* it is answered, */
    assert_null(m->fetch);                /* and nothing was read */
    for (unsigned i = 0; i < 2; i++) {
        struct spool_result result = { .rid = i,
                                       .state =
                                           i == 0 ? SPOOL_RESULT_DELETED : SPOOL_RESULT_BOUNCED };

        assert_int_equal(m->open_count, 2 - i);
        assert_int_equal(gateway_report_create(&m->items[i], 1, &report), STATUS_OK);
        gateway_report_add(report, &result, notices[i], NULL);
        gateway_report_post(report, worker.loop, true);
        poke(1);
    }
    assert_true(slim_list_is_empty(&worker.shelf.messages)); /* it is gone */
    observe_log_destroy(log);
}

static void test_mail_made_here_says_what_it_holds(void **state)
{
    static const struct {
        const char *body;
        unsigned flags;
        uint64_t dots;
    } cases[] = {
        { "A: b\r\n\r\nc\r\n", SPOOL_MESSAGE_CONTENT_KNOWN, 0 },
        { "A: b\r\n\r\n..c\r\n\xe4\r\n", SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_HAS_8BIT, 1 },
        { "A: \xe4\r\n\r\n",
          SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_HAS_8BIT | SPOOL_MESSAGE_HAS_8BIT_HEADER, 0 },
        { "A: b\r\n\r\n\xe4", 0, 0 }, /* which nothing here makes: then nobody knows */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct spool_envelope envelope = { .mid = 1 };
        struct spool_draft draft;
        struct spool_message *m;

        spool_draft_init(&draft);
        assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
        assert_int_equal(spool_draft_add_recipient(&draft, SLICE("a@b")), STATUS_OK);
        assert_int_equal(spool_draft_body(&draft, slice_from(cases[i].body)), STATUS_OK);
        gateway_message_look(&draft);
        m = spool_draft_complete(&draft);
        assert_int_equal(spool_message_flags(m), cases[i].flags);
        assert_int_equal(spool_message_dots_count(m), cases[i].dots);
        spool_message_destroy(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_recipients_are_grouped_by_domain_without_regard_to_case, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_name_for_postmaster_outlives_its_configuration,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_message_to_one_recipient_is_small_and_says_who_sent_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_messages_on_the_same_way_share_its_names, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_ten_thousand_recipients_at_one_domain_are_one_item,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recovered_recipients_with_a_final_result_are_left_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_held_is_held_after_a_restart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_given_up_hears_what_was_said_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_last_report_waits_for_what_the_kernel_has_of_the_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_recovery_finds_beyond_the_budget_stays_on_disk,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_that_nobody_reads_are_put_away_first,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_put_aside_ends_and_leaves_no_record, set_up,
                                        tear_down),
        cmocka_unit_test(test_mail_made_here_says_what_it_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
