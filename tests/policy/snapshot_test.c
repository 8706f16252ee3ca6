#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/builder.h"

/* Every kind of addition once; gives the first status that is not OK. */
static enum status build_with(struct policy_builder *b, struct policy_snapshot **snapshot_out)
{
    struct policy_mail_flow flow = policy_mail_flow_default();
    struct policy_bounce_profile profile = policy_bounce_profile_default();
    struct policy_destination destination = policy_destination_default();
    const struct policy_rat_rule rule = { .action = POLICY_RAT_REJECT,
                                          .reply = { 450, SLICE("4.2.1 Later") } };
    struct policy_route_host hosts[2] = {
        { SLICE("mx1"), SLICE("mx1"), 0, 0, POLICY_ROUTE_MX, { { 0 } } },
        { SLICE("[mx2]:26"), SLICE("mx2"), 26, 0, POLICY_ROUTE_NAME, { { 0 } } },
    };
    static const char *const routes[] = { "a.example", ".a.example", "b.example", "ALL" };
    static const char *const destinations[] = { "a.example", ".a.example", ".b.a.example" };
    const struct policy_mail_flow *flow_added;
    const struct policy_bounce_profile *profile_added;
    struct policy_hat_draft *hat;
    struct policy_rat_draft *rat;

    TRY(policy_builder_add_mail_flow(b, &flow, &flow_added));
    TRY(policy_builder_add_hat(b, SLICE("h"), &hat));
    TRY(policy_builder_add_hat_row(b, hat, SLICE("g"), flow_added));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("192.0.2.1")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("mx.example.com")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("2001:db8::1-2001:db8::9")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("dnslist[a.example]")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("dnslist[b.example=127.0.0.2]")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("SBRS[-10:-1]")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("geo[DE]")));
    TRY(policy_builder_add_hat_entry(b, hat, SLICE("ALL")));
    TRY(policy_builder_add_rat(b, SLICE("r"), &rat));
    TRY(policy_builder_add_rat_entry(b, rat, SLICE("example.com"), &rule));
    profile.name = SLICE("fast");
    profile.max_age_s = 100;
    profile.bounces_to = SLICE("bounces@example.com");
    TRY(policy_builder_add_bounce_profile(b, &profile, &profile_added));
    destination.tls = POLICY_TLS_PREFERRED;
    TRY(policy_builder_set_destination_default(b, &destination));
    for (size_t i = 0; i < ARRAY_LEN(destinations); i++) {
        destination.name = slice_from(destinations[i]);
        destination.bounce_profile = i == 0 ? profile_added : NULL;
        destination.tls = POLICY_TLS_REQUIRED;
        TRY(policy_builder_add_destination(b, &destination));
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        struct policy_route route = { slice_from(routes[i]), POLICY_ROUTE_HOSTS, hosts, 1 + i % 2 };

        TRY(policy_builder_add_route(b, &route));
    }
    return policy_builder_finish(b, snapshot_out);
}

static struct policy_snapshot *build(void)
{
    struct policy_builder *b;
    struct policy_snapshot *s;

    assert_int_equal(policy_builder_create(42, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(build_with(b, &s), STATUS_OK);
    policy_builder_destroy(b);
    return s;
}

static void destinations_go_exact_then_longest_partial_then_default(void **unused)
{
    static const struct {
        const char *domain, *name, *bounce;
    } cases[] = {
        { "a.example", "a.example", "fast" },
        { "A.Example.", "a.example", "fast" },
        { "x.a.example", ".a.example", "default" },
        { "b.a.example", ".a.example", "default" },
        { "c.b.a.example", ".b.a.example", "default" },
        { "d.c.b.a.example", ".b.a.example", "default" },
        { "example", "default", "default" },
        { "", "default", "default" },
        { "other.org", "default", "default" },
    };
    struct policy_snapshot *s = build();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_destination *d =
            policy_destination_find(s, slice_from(cases[i].domain));

        assert_string_equal(d->name.data, cases[i].name);
        assert_string_equal(d->bounce_profile->name.data, cases[i].bounce);
    }
    assert_int_equal(policy_snapshot_destination_default(s)->tls, POLICY_TLS_PREFERRED);
    policy_snapshot_destroy(s);
}

static void routes_go_exact_then_longest_partial_then_all(void **unused)
{
    static const struct {
        const char *domain, *name;
        size_t hosts_count;
    } cases[] = {
        { "a.example", "a.example", 1 },
        { "x.a.example", ".a.example", 2 },
        { "b.example", "b.example", 1 },
        { "x.b.example", "ALL", 2 },
        { "", "ALL", 2 },
    };
    struct policy_snapshot *s = build();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_route *r = policy_route_find(s, slice_from(cases[i].domain));

        assert_string_equal(r->name.data, cases[i].name);
        assert_int_equal(r->hosts_count, cases[i].hosts_count);
        assert_string_equal(r->hosts[0].text.data, "mx1");
        assert_int_equal(r->hosts[r->hosts_count - 1].port, r->hosts_count == 1 ? 0 : 26);
    }
    policy_snapshot_destroy(s);
}

static void a_route_is_not_needed(void **unused)
{
    struct policy_builder *b;
    struct policy_snapshot *s;

    (void)unused;
    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_finish(b, &s), STATUS_OK);
    policy_builder_destroy(b);
    assert_null(policy_route_find(s, SLICE("a.example")));
    assert_int_equal(policy_destination_find(s, SLICE("a.example"))->bounce_profile->max_retries,
                     POLICY_BOUNCE_MAX_RETRIES_DEFAULT);
    policy_snapshot_destroy(s);
}

static void every_form_of_a_route_host_is_understood(void **unused)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        unsigned port, priority;
        enum policy_route_lookup lookup;
    } cases[] = {
        { "192.0.2.1", "192.0.2.1", 0, 0, POLICY_ROUTE_ADDRESS },
        { "192.0.2.1:2525", "192.0.2.1", 2525, 0, POLICY_ROUTE_ADDRESS },
        { "192.0.2.1/pri=7", "192.0.2.1", 0, 7, POLICY_ROUTE_ADDRESS },
        { "2001:db8::1", "2001:db8::1", 0, 0, POLICY_ROUTE_ADDRESS },
        { "2001:db8::1/pri=65535", "2001:db8::1", 0, 65535, POLICY_ROUTE_ADDRESS },
        { "[2001:db8::1]", "2001:db8::1", 0, 0, POLICY_ROUTE_ADDRESS },
        { "[2001:db8::1]:26", "2001:db8::1", 26, 0, POLICY_ROUTE_ADDRESS },
        { "[192.0.2.1]:26", "192.0.2.1", 26, 0, POLICY_ROUTE_ADDRESS },
        { "mx.example.com", "mx.example.com", 0, 0, POLICY_ROUTE_MX },
        { "mx.example.com:465", "mx.example.com", 465, 0, POLICY_ROUTE_MX },
        { "mx.example.com:26/PRI=10", "mx.example.com", 26, 10, POLICY_ROUTE_MX },
        { "[mx.example.com]", "mx.example.com", 0, 0, POLICY_ROUTE_NAME },
        { "[mx.example.com]:26/pri=0", "mx.example.com", 26, 0, POLICY_ROUTE_NAME },
        { "mx.example.com:", NULL },
        { "mx.example.com:0", NULL },
        { "mx.example.com:65536", NULL },
        { "mx.example.com:25:25", NULL },
        { "mx.example.com/pri=", NULL },
        { "mx.example.com/pri=65536", NULL },
        { "mx.example.com/pri=-1", NULL },
        { "mx.example.com/prio=1", NULL },
        { "mx.example.com/", NULL },
        { "mx.example.com/pri=1/pri=2", NULL },
        { "mx.example.com/pri=1:25", NULL },
        { "/pri=1", NULL },
        { "[mx.example.com", NULL },
        { "[mx.example.com]25", NULL },
        { "[[mx.example.com]]", NULL },
        { "[]", NULL },
        { "[", NULL },
        { "", NULL },
        { ":25", NULL },
        { "/dev/null", NULL },
        { "192.0.2.256", NULL },
        { "a b", NULL },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_route_host host;

        if (policy_route_host_parse(slice_from(cases[i].text), &host) != (cases[i].host != NULL))
            fail_msg("%s", cases[i].text);
        if (cases[i].host == NULL)
            continue;
        assert_true(slice_equal(host.text, slice_from(cases[i].text)));
        assert_true(slice_equal(host.host, slice_from(cases[i].host)));
        assert_int_equal(host.port, cases[i].port);
        assert_int_equal(host.priority, cases[i].priority);
        assert_int_equal(host.lookup, cases[i].lookup);
    }
}

static void routes_are_equal_when_they_lead_to_the_same_hosts_the_same_way(void **unused)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } cases[] = {
        { "192.0.2.1", "[192.0.2.1]", true },
        { "2001:db8::1", "[2001:db8:0::1]", true },
        { "MX.example.com", "mx.example.com/pri=0", true },
        { "mx.example.com", "[mx.example.com]", false },
        { "mx.example.com", "mx.example.com:25", false },
        { "mx.example.com", "mx.example.com/pri=1", false },
        { "mx.example.com", "mx2.example.com", false },
        { "192.0.2.1", "192.0.2.2", false },
    };
    struct policy_route none = { .action = POLICY_ROUTE_USEDNS };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_route_host hosts[2];
        struct policy_route a = { .hosts = &hosts[0], .hosts_count = 1 };
        struct policy_route b = { .hosts = &hosts[1], .hosts_count = 1 };

        assert_true(policy_route_host_parse(slice_from(cases[i].a), &hosts[0]));
        assert_true(policy_route_host_parse(slice_from(cases[i].b), &hosts[1]));
        if (policy_route_equal(&a, &b) != cases[i].is_equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        assert_false(policy_route_equal(&a, &none));
        assert_false(policy_route_equal(&a, NULL));
    }
    assert_true(policy_route_equal(&none, &none));
    assert_true(policy_route_equal(NULL, NULL));
}

static void a_text_may_say_where_there_is_no_host(void **unused)
{
    enum policy_route_action action = POLICY_ROUTE_HOSTS;

    (void)unused;
    assert_true(policy_route_action_parse(SLICE("usedns"), &action));
    assert_int_equal(action, POLICY_ROUTE_USEDNS);
    assert_true(policy_route_action_parse(SLICE("/dev/null"), &action));
    assert_int_equal(action, POLICY_ROUTE_DISCARD);
    assert_false(policy_route_action_parse(SLICE("USEDNS:25"), &action));
    assert_false(policy_route_action_parse(SLICE(""), &action));
}

static void running_out_of_memory_anywhere_is_reported_and_leaks_nothing(void **unused)
{
    size_t failures = 0;

    (void)unused;
    for (size_t bytes_max = 0;; bytes_max += 16) {
        struct policy_builder *b;
        struct policy_snapshot *s = NULL;
        enum status status;

        assert_int_equal(policy_builder_create(1, bytes_max, &b), STATUS_OK);
        status = build_with(b, &s);
        policy_builder_destroy(b);
        if (status == STATUS_OK) {
            policy_snapshot_destroy(s);
            break;
        }
        assert_int_equal(status, STATUS_NO_MEMORY);
        failures++;
    }
    assert_true(failures > 100);
}

static void texts_of_no_known_form_are_refused(void **unused)
{
    struct policy_builder *b;
    struct policy_destination d = policy_destination_default();
    struct policy_route_host host = { .text = SLICE("x"), .host = SLICE("x") };
    struct policy_route route = { SLICE("a.example"), POLICY_ROUTE_USEDNS, &host, 1 };
    struct policy_rat_draft *rat;
    const struct policy_rat_rule rule = { .action = POLICY_RAT_REJECT,
                                          .reply = { 250, SLICE("2.0.0 Ok") } };

    (void)unused;
    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    d.name = SLICE("not a domain");
    assert_int_equal(policy_builder_add_destination(b, &d), STATUS_INVALID);
    assert_int_equal(policy_builder_add_route(b, &route), STATUS_INVALID);
    route.action = POLICY_ROUTE_HOSTS;
    route.hosts_count = 0;
    assert_int_equal(policy_builder_add_route(b, &route), STATUS_INVALID);
    route.hosts_count = 1;
    route.name = SLICE("*");
    assert_int_equal(policy_builder_add_route(b, &route), STATUS_INVALID);
    assert_int_equal(policy_builder_add_rat(b, SLICE("r"), &rat), STATUS_OK);
    assert_int_equal(policy_builder_add_rat_entry(b, rat, SLICE("a.example"), &rule),
                     STATUS_INVALID);
    policy_builder_destroy(b);
    policy_builder_destroy(NULL);
    policy_snapshot_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destinations_go_exact_then_longest_partial_then_default),
        cmocka_unit_test(routes_go_exact_then_longest_partial_then_all),
        cmocka_unit_test(a_route_is_not_needed),
        cmocka_unit_test(every_form_of_a_route_host_is_understood),
        cmocka_unit_test(routes_are_equal_when_they_lead_to_the_same_hosts_the_same_way),
        cmocka_unit_test(a_text_may_say_where_there_is_no_host),
        cmocka_unit_test(running_out_of_memory_anywhere_is_reported_and_leaks_nothing),
        cmocka_unit_test(texts_of_no_known_form_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
