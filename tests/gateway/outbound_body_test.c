/* What leaves for a body: kept in either form, wanted by DATA and by BDAT. No loop runs: a channel
 * that is not connected keeps what it is given. */
#include "gateway/outbound_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/outbound.h"
#include "gateway/worker.h"

#define TRACE "Received: here\r\n"

static struct config_loaded config;
static struct gateway_generation generation = { .config = &config };
static struct gateway_view view = { .generation = &generation, .users_count = 1 };
static struct gateway_process process;
static struct gateway_worker worker;
static struct gateway_channel_traffic traffic;
static struct policy_destination policy;
static union {
    struct gateway_message message;
    char room[sizeof(struct gateway_message) + sizeof(struct gateway_item) +
              sizeof(struct gateway_known) + sizeof(uint32_t) + sizeof(uint16_t)];
} store;
static struct gateway_message *const message = &store.message;
static struct gateway_outbound out;
static struct buffer sent; /* but for what is still in the channel's output */

static int set_up(void **state)
{
    (void)state;
    worker = (struct gateway_worker){ .process = &process, .view = &view };
    if (observe_log_create("/dev/null", 1, &process.log) != STATUS_OK ||
        engine_loop_create(&(struct engine_loop_options){ 0 }, &worker.loop, NULL) != STATUS_OK)
        return -1;
    worker.log = observe_log_writer(process.log, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_loop_destroy(worker.loop);
    observe_log_destroy(process.log);
    return 0;
}

/* A message whose record says what was found in it, of the dots less if need be. */
static void make(unsigned flags, struct slice body, uint64_t fewer_dots)
{
    const struct spool_envelope envelope = { .mid = 1, .flags = flags };
    struct smtp_body facts;
    struct spool_draft draft;

    spool_draft_init(&draft);
    assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&draft, SLICE("a@b")), STATUS_OK);
    assert_int_equal(spool_draft_trace(&draft, SLICE(TRACE)), STATUS_OK);
    assert_int_equal(spool_draft_body(&draft, body), STATUS_OK);
    if ((flags & SPOOL_MESSAGE_NOT_STUFFED) == 0) {
        assert_true(smtp_body_look(body, &facts));
        facts.dots_count -= fewer_dots;
        gateway_message_note_content(&draft, &facts);
    }
    memset(&store, 0, sizeof(store));
    message->spool = spool_draft_complete(&draft);
    message->items_count = 1;
}

static void start(void)
{
    static const struct hash_seed seed = { 1, 2 };
    static const struct gateway_channel_handlers nothing;

    assert_int_equal(gateway_host_marks_init(&worker.unchunked, &seed, 60000), STATUS_OK);
    policy = policy_destination_default();
    out = (struct gateway_outbound){ .worker = &worker,
                                     .policy = &policy,
                                     .item = &message->items[0] };
    buffer_init(&traffic.output, GATEWAY_CHANNEL_OUTPUT_BYTES_MAX);
    out.hop.channel = (struct gateway_channel){ .socket = { .loop = worker.loop },
                                                .handlers = &nothing,
                                                .traffic = &traffic };
    gateway_outbound_body_init(&out.body);
    out.envelope.message_bytes =
        spool_message_size(message->spool) - spool_message_dots_count(message->spool);
    buffer_init(&sent, (size_t)4 << 20);
}

static void finish(void)
{
    gateway_outbound_body_finish(&out.body);
    buffer_finish(&traffic.output);
    buffer_finish(&sent);
    gateway_host_marks_finish(&worker.unchunked);
    spool_message_destroy(message->spool);
    gateway_item_finish(&message->items[0]);
}

static bool is_lent(const struct gateway_item *item)
{
    return item->tries != NULL && item->tries->loan != NULL && item->tries->loan->borrows == 1;
}

/* What the channel has leaves. */
static void drain(void)
{
    struct gateway_channel *c = &out.hop.channel;

    assert_int_equal(buffer_append(&sent, buffer_contents(&traffic.output)), STATUS_OK);
    assert_int_equal(buffer_append(&sent, (struct slice){ c->body, c->body_bytes }), STATUS_OK);
    buffer_clear(&traffic.output);
    c->body_bytes = 0;
}

static enum gateway_body_step run(bool by_bdat, size_t *steps_out)
{
    enum gateway_body_step step = gateway_outbound_body_start(&out, by_bdat);

    for (*steps_out = 0; step == GATEWAY_BODY_LEAVING; ++*steps_out) {
        assert_true(out.hop.channel.body_bytes > 0); /* or nobody would go on */
        drain();
        step = gateway_outbound_body_go_on(&out);
    }
    drain();
    return step;
}

static struct slice repeated(struct buffer *b, const char *text, size_t times, const char *behind)
{
    buffer_init(b, SPOOL_BODY_INLINE_MAX);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(buffer_append_text(b, text), STATUS_OK);
    assert_int_equal(buffer_append_text(b, behind), STATUS_OK);
    return buffer_contents(b);
}

static void test_either_form_leaves_in_the_form_that_is_wanted(void **state)
{
    static const struct {
        bool is_stuffed; /* as it is kept */
        bool by_bdat;
        const char *kept, *kept_behind; /* the first many times */
        const char *wanted, *wanted_behind;
    } cases[] = {
        { true, false, "..a\r\n", "", "..a\r\n", "" },
        { true, true, "..a\r\n", "", ".a\r\n", "" },
        { true, true, ".a\r\n", "", "a\r\n", "" }, /* whoever did not double it */
        { true, true, "a\r\n", "", "a\r\n", "" },
        { true, true, "..\r\n", "b\r\n", ".\r\n", "b\r\n" },
        { false, true, ".\r\n", "", ".\r\n", "" },
        { false, true, ".\n.\r\n", "x", ".\n.\r\n", "x" },
        { false, false, ".\r\n", "", "..\r\n", "" },
        { false, false, "a\r\n", "", "a\r\n", "" },
        { false, false, "a\r\n", ".", "a\r\n", "..\r\n" },
        { false, false, ".\r\n", ".b", "..\r\n", "..b\r\n" },
        { false, false, "\n.", "\r\n", "\n.", "\r\n" },
    };
    /* Small and copied, and above that about a piece, and over several. */
    static const size_t sizes[] = { 1, 100, 32767, 32768, 32770, 131068, 131072, 131076, 300000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
            size_t times = (sizes[n] + strlen(cases[i].kept) - 1) / strlen(cases[i].kept), steps;
            struct buffer kept, wanted;
            struct slice body = repeated(&kept, cases[i].kept, times, cases[i].kept_behind);

            (void)repeated(&wanted, cases[i].wanted, times, cases[i].wanted_behind);
            make(cases[i].is_stuffed ? 0 : SPOOL_MESSAGE_NOT_STUFFED, body, 0);
            start();
            assert_true(gateway_outbound_body_may_chunk(&out));
            assert_int_equal(run(cases[i].by_bdat, &steps), GATEWAY_BODY_COMPLETE);
            assert_int_equal(steps > 0, body.len > GATEWAY_OUTBOUND_COPY_MAX);
            assert_true(
                slice_equal(slice_first(buffer_contents(&sent), strlen(TRACE)), SLICE(TRACE)));
            assert_true(slice_equal(slice_after(buffer_contents(&sent), strlen(TRACE)),
                                    buffer_contents(&wanted)));
            if (cases[i].by_bdat)
                assert_int_equal(buffer_len(&sent), out.envelope.message_bytes);
            finish();
            buffer_finish(&kept);
            buffer_finish(&wanted);
        }
    }
}

/* What is kept as it is wanted is sent from where it lies. */
static void test_only_what_has_to_change_is_copied(void **state)
{
    static const struct {
        const char *line;
        bool is_stuffed, by_bdat, is_copied;
    } cases[] = {
        { "..a\r\n", true, false, false }, { "..a\r\n", true, true, true },
        { "a\r\n", true, true, false },    { ".a\r\n", false, true, false },
        { "a\r\n", false, false, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer kept;
        struct slice body = repeated(&kept, cases[i].line, 20000, ""), lies;

        make(cases[i].is_stuffed ? 0 : SPOOL_MESSAGE_NOT_STUFFED, body, 0);
        start();
        assert_int_equal(gateway_outbound_body_start(&out, cases[i].by_bdat), GATEWAY_BODY_LEAVING);
        lies = spool_message_body(message->spool);
        assert_int_equal(out.hop.channel.body != lies.data, cases[i].is_copied);
        assert_int_equal(gateway_outbound_body_is_one_piece(&out), !cases[i].is_copied);
        assert_int_equal(is_lent(&message->items[0]), !cases[i].is_copied);
        finish();
        buffer_finish(&kept);
    }
}

/* A byte more than BDAT was promised would be a command, and one less would never end. */
static void test_a_wrong_count_of_dots_is_found_before_the_host_does(void **state)
{
    static const struct {
        size_t lines;
        uint64_t counted; /* of the dots, as many as there are lines */
    } cases[] = { { 10, 9 },        { 10, 11 },       { 10, 1 },   { 20000, 19999 },
                  { 20000, 20001 }, { 20000, 30000 }, { 20000, 1 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer kept;
        size_t steps;

        make(0, repeated(&kept, "..a\r\n", cases[i].lines, ""), cases[i].lines - cases[i].counted);
        start();
        assert_int_equal(run(true, &steps), GATEWAY_BODY_FAILED);
        /* What is only in the output goes with the connection. */
        if (cases[i].lines > 10)
            assert_true(buffer_len(&sent) <= out.envelope.message_bytes);
        finish();
        buffer_finish(&kept);
    }
}

static void test_bdat_is_for_who_wants_and_understands_it(void **state)
{
    static const char old[] = "a\r\n";
    struct spool_draft draft;
    const struct spool_envelope envelope = { .mid = 1 };

    (void)state;
    make(0, slice_from(old), 0);
    start();
    assert_true(gateway_outbound_body_may_chunk(&out));
    policy.chunking = false;
    assert_false(gateway_outbound_body_may_chunk(&out));
    policy.chunking = true;
    out.remote.port = 25;
    assert_true(
        gateway_host_marks_add(&worker.unchunked, gateway_worker_now_ms(&worker), &out.remote));
    assert_false(gateway_outbound_body_may_chunk(&out));
    out.remote.port = 26;
    assert_true(gateway_outbound_body_may_chunk(&out));
    finish();
    /* Of an older version: how many dots it has nobody knows. */
    spool_draft_init(&draft);
    assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&draft, SLICE("a@b")), STATUS_OK);
    assert_int_equal(spool_draft_body(&draft, slice_from(old)), STATUS_OK);
    memset(&store, 0, sizeof(store));
    message->spool = spool_draft_complete(&draft);
    message->items_count = 1;
    start();
    assert_false(gateway_outbound_body_may_chunk(&out));
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_either_form_leaves_in_the_form_that_is_wanted),
        cmocka_unit_test(test_only_what_has_to_change_is_copied),
        cmocka_unit_test(test_a_wrong_count_of_dots_is_found_before_the_host_does),
        cmocka_unit_test(test_bdat_is_for_who_wants_and_understands_it),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
