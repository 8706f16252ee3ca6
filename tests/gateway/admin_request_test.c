/* Requests of the admin socket and their replies, by a process that is made up. */
#include "gateway/admin_request.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "gateway/rate_limits.h"
#include "gateway/worker.h"

#define WORKERS 2u

static struct gateway_process *process;

static int set_up(void **state)
{
    const struct hash_seed seed = { 3, 4 };
    struct gateway_listing_copy listing = {
        .generation = 7,
        .listeners_count = 2,
        .listeners = { { "In \"x\"", { .port = 25 }, 3 }, { "Out", { .port = 587 }, 0 } },
    };

    (void)state;
    process = calloc(1, sizeof(*process));
    assert_non_null(process);
    process->workers_count = WORKERS;
    process->workers =
        aligned_alloc(alignof(struct gateway_worker), WORKERS * sizeof(struct gateway_worker));
    assert_non_null(process->workers);
    memset((void *)process->workers, 0, WORKERS * sizeof(struct gateway_worker));
    for (unsigned i = 0; i < WORKERS; i++) {
        observe_counters_init(&process->workers[i].counters);
        observe_count(&process->workers[i].counters, OBSERVE_MESSAGES_ACCEPTED, 20 + i);
        atomic_store(&process->workers[i].generation, 7 - i);
    }
    atomic_store(&process->loads[3].connections, 5);
    assert_int_equal(gateway_peer_count_create(&seed, &process->peers), STATUS_OK);
    assert_int_equal(rates_create(RATES_WORDS_MIN, &seed, &process->rates), STATUS_OK);
    gateway_listing_init(&process->listing);
    gateway_listing_write(&process->listing, &listing);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_listing_finish(&process->listing);
    gateway_peer_count_destroy(process->peers);
    rates_destroy(process->rates);
    free(process->workers);
    free(process);
    return 0;
}

static void test_a_line_is_a_request_or_says_why_it_is_none(void **state)
{
    static const struct {
        struct slice line;
        int verb; /* -1: none */
    } cases[] = {
        { SLICE("status"), GATEWAY_ADMIN_STATUS },
        { SLICE("  counters\t "), GATEWAY_ADMIN_COUNTERS },
        { SLICE("generation"), GATEWAY_ADMIN_GENERATION },
        { SLICE("sender 192.0.2.1"), GATEWAY_ADMIN_SENDER },
        { SLICE("sender   2001:db8::1 "), GATEWAY_ADMIN_SENDER },
        { SLICE("sender 192.0.2.1 24 64 3600"), GATEWAY_ADMIN_SENDER },
        { SLICE("sender 192.0.2.1 24"), -1 },
        { SLICE("sender 192.0.2.1 33 64 3600"), -1 },
        { SLICE("sender 192.0.2.1 24 129 3600"), -1 },
        { SLICE("sender 192.0.2.1 24 64 0"), -1 },
        { SLICE("sender 192.0.2.1 24 64 86401"), -1 },
        { SLICE("sender 192.0.2.1 24 64 3600 1"), -1 },
        { SLICE("alerts"), GATEWAY_ADMIN_ALERTS },
        { SLICE("alerts 1"), GATEWAY_ADMIN_ALERTS },
        { SLICE("alerts 4294967295"), GATEWAY_ADMIN_ALERTS },
        { SLICE("alerts 4294967296"), -1 },
        { SLICE("alerts 0"), -1 },
        { SLICE("alerts -1"), -1 },
        { SLICE("alerts 1 2"), -1 },
        { SLICE("tls-reports"), GATEWAY_ADMIN_TLS_REPORTS },
        { SLICE("tls-reports send"), GATEWAY_ADMIN_TLS_REPORTS },
        { SLICE("tls-reports send  2016-04-01 "), GATEWAY_ADMIN_TLS_REPORTS },
        { SLICE("tls-reports 2016-04-01"), -1 },
        { SLICE("tls-reports send 2016-04-31"), -1 },
        { SLICE("tls-reports send 2016-04-01 2016-04-02"), -1 },
        { SLICE(""), -1 },
        { SLICE(" "), -1 },
        { SLICE("Status"), -1 },
        { SLICE("statu"), -1 },
        { SLICE("status2"), -1 },
        { SLICE("status now"), -1 },
        { SLICE("sender"), -1 },
        { SLICE("sender "), -1 },
        { SLICE("sender localhost"), -1 },
        { SLICE("sender 192.0.2.1 192.0.2.2"), -1 },
        { SLICE("sender 192.0.2.0/24"), -1 },
        { SLICE("status\0"), -1 },
        { SLICE("GET / HTTP/1.1"), -1 },
        { SLICE("\xff\xfe{\"status\"}"), -1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_admin_request request;
        const char *why = NULL;
        bool is_request = gateway_admin_request_parse(cases[i].line, &request, &why);

        assert_int_equal(is_request, cases[i].verb >= 0);
        if (is_request)
            assert_int_equal(request.verb, cases[i].verb);
        else
            assert_non_null(why);
    }
}

/* The reply, after a look at its form: one object, one line. */
static const char *reply_to(const char *line, char text[static GATEWAY_ADMIN_REPLY_MAX + 1])
{
    struct json_scan scan;
    struct slice contents, value;
    struct buffer reply;
    enum json_token token;

    buffer_init(&reply, GATEWAY_ADMIN_REPLY_MAX);
    assert_int_equal(gateway_admin_answer(process, slice_from(line), &reply), STATUS_OK);
    contents = buffer_contents(&reply);
    assert_ptr_equal(memchr(contents.data, '\n', contents.len), contents.data + contents.len - 1);
    json_scan_init(&scan, contents);
    assert_int_equal(json_scan_next(&scan, &value), JSON_OBJECT);
    while ((token = json_scan_next(&scan, &value)) != JSON_END)
        assert_int_not_equal(token, JSON_BAD);
    memcpy(text, contents.data, contents.len);
    text[contents.len] = '\0';
    buffer_finish(&reply);
    return text;
}

static void test_replies_tell_what_the_process_counts(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        { "counters", "\"messages_accepted\": 41" },
        { "counters", "{\"counters\": {\"connections_in\": 0, " },
        { "status", "\"messages_accepted\": 41" },
        { "status", "{\"name\": \"In \\\"x\\\"\", \"endpoint\": \"[::]:25\", \"connections\": 5}" },
        { "status", "\"version\": \"" POSTERN_VERSION "\"" },
        { "generation", "{\"generation\": 7, \"workers\": [7, 6], \"in_force\": false}\n" },
        { "status now", "{\"error\": \"this request takes no operand\"}\n" },
        { "tls-reports", "{\"send\": false, \"begun\": false, \"parts\": []}\n" },
        { "tls-reports send", "{\"error\": \"tls_reports.send is false: " },
        { "?", "{\"error\": \"no such request; " },
    };
    static char text[GATEWAY_ADMIN_REPLY_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (strstr(reply_to(cases[i].line, text), cases[i].part) == NULL)
            fail_msg("%s: no %s in %s", cases[i].line, cases[i].part, text);
    atomic_store(&process->workers[1].generation, 7);
    assert_non_null(strstr(reply_to("generation", text), "\"in_force\": true"));
}

static void test_the_connections_of_a_sender_are_told_by_listener(void **state)
{
    static char text[GATEWAY_ADMIN_REPLY_MAX + 1];
    struct gateway_peer peer = { .listener = 3 };
    struct gateway_peer_hold holds[2];
    const struct policy_mail_flow flow = { .max_recipients_per_hour = 9,
                                           .bits_v4 = POLICY_FLOW_BITS_V4_DEFAULT,
                                           .bits_v6 = POLICY_FLOW_BITS_V6_DEFAULT };
    struct gateway_client client = { .flow = &flow,
                                     .interval_s = 3600,
                                     .now_s = clock_monotonic_ms() / 1000 };

    (void)state;
    assert_true(ip_parse(SLICE("192.0.2.1"), &peer.address));
    for (size_t i = 0; i < ARRAY_LEN(holds); i++)
        assert_true(gateway_peer_count_enter(process->peers, &peer, 9, &holds[i]));
    client.address = peer.address;
    for (unsigned i = 0; i < 3; i++)
        assert_true(gateway_rates_take_recipient(process->rates, &client));
    assert_string_equal(reply_to("sender 192.0.2.1", text),
                        "{\"sender\": \"192.0.2.1\", \"recipients\": 3, "
                        "\"invalid_recipients\": 0, \"connections\": ["
                        "{\"listener\": \"In \\\"x\\\"\", \"endpoint\": \"[::]:25\", "
                        "\"connections\": 2}, "
                        "{\"listener\": \"Out\", \"endpoint\": \"[::]:587\", "
                        "\"connections\": 0}]}\n");
}

/* As many listeners as there may be, each with the name that takes most room in JSON. */
static void test_the_longest_reply_fits(void **state)
{
    static struct gateway_listing_copy listing = { .listeners_count = CONFIG_LISTENERS_MAX };
    static char text[GATEWAY_ADMIN_REPLY_MAX + 1];

    (void)state;
    for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++) {
        memset(listing.listeners[i].name, 1, GATEWAY_LISTING_NAME_MAX - 1);
        memset(listing.listeners[i].endpoint.address.bytes, 0xff, 16);
        listing.listeners[i].endpoint.port = UINT16_MAX;
        listing.listeners[i].load = 3;
    }
    atomic_store(&process->loads[3].connections, UINT32_MAX);
    gateway_listing_write(&process->listing, &listing);
    assert_non_null(strstr(reply_to("status", text), "log_lines_lost"));
    assert_null(strstr(reply_to("sender 192.0.2.1", text), "error"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_a_request_or_says_why_it_is_none),
        cmocka_unit_test_setup_teardown(test_replies_tell_what_the_process_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_connections_of_a_sender_are_told_by_listener,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_longest_reply_fits, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
