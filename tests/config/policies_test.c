#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/config/sample.h"

#define CA "tls = { client_ca_file = \"ca.pem\"; }; "
/* Line 6, with more in the policy that row 2 of the HAT names. */
#define FLOW(more)                                                                                 \
    "mail_flow_policies = { ACCEPTED = { access = \"accept\"; tls = \"preferred\"; " more " };"
#define NAME_PROBLEM(name)                                                                         \
    "t.conf:6: \"" name "\" is not a name of a certificate: \"host.example.com\", "                \
    "\"*.example.com\" or \"user@example.com\""
#define LISTS "address_lists = { friends = [ \"@friend.example\" ]; poor = [ ]; }; "

/* Loads what has to have no problem at all. */
static struct config_loaded *load_good(const struct change *changes, size_t count)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    if (load(configuration_with(&text, changes, count).data, &loaded, lines) != STATUS_OK ||
        lines[0] != '\0')
        fail_msg("%s\n gives %s", buffer_contents(&text).data, lines);
    buffer_finish(&text);
    return loaded;
}

/* The policy of a row of the HAT, as it is, and as it is at the listener. */
static const struct policy_mail_flow *row_flow(const struct config_loaded *loaded, size_t row)
{
    return policy_hat_row_flow(loaded->settings.listeners[0].hat, row);
}

static const struct policy_mail_flow *listener_flow(const struct config_loaded *loaded, size_t row)
{
    return config_listener_flow(&loaded->settings.listeners[0], row_flow(loaded, row));
}

static void a_certificate_is_asked_for_only_with_authorities_to_judge_it(void **unused)
{
    static const char missing[] = "t.conf:6: verify_client needs the authorities that may vouch "
                                  "for clients: tls: client_ca_file";
    static const char idle[] = "t.conf:6: warning: policy \"ACCEPTED\" at listener \"In\": "
                               "client_names says nothing without "
                               "verify_client = \"optional\" or \"required\"";
    static const struct problem_case cases[] = {
        { 6, FLOW("verify_client = \"off\";"), "" },
        { 6, FLOW("verify_client = \"optional\";"), missing },
        { 6, FLOW("verify_client = \"required\";"), missing },
        { 6, CA FLOW("verify_client = \"optional\";"), "" },
        { 6, CA FLOW("verify_client = \"required\";"), "" },
        { 6, CA FLOW("verify_client = \"required\"; client_names = [ \"a.example\" ];"), "" },
        { 6, CA FLOW("verify_client = \"optional\"; client_names = [ \"a.example\" ];"), "" },
        { 6, CA FLOW("client_names = [ \"a.example\" ];"), idle },
        { 6, CA FLOW("verify_client = \"off\"; client_names = [ \"a.example\" ];"), idle },
        { 6, FLOW("client_names = [ ];"),
          "t.conf:6: client_names has to be a list of strings: [ \"...\", \"...\" ]" },
        { 5,
          "  certificate = \"mail\"; hat = \"in\"; rat = \"in\";\n"
          "  defaults = { verify_client = \"required\"; }; } );",
          "t.conf:6: verify_client needs the authorities that may vouch for clients: tls: "
          "client_ca_file" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void names_of_clients_are_hosts_wildcards_or_mail_addresses(void **unused)
{
#define NAMES(list) CA FLOW("verify_client = \"required\"; client_names = [ " list " ];")
    static const struct problem_case cases[] = {
        { 6, NAMES("\"a.example\", \"*.a.example\", \"user@a.example\", \"A.Example\""), "" },
        { 6, NAMES("\"*.example\", \"us.er+tag@a.example\""), "" },
        { 6, NAMES("\"\""), NAME_PROBLEM("") },
        { 6, NAMES("\"*\""), NAME_PROBLEM("*") },
        { 6, NAMES("\"*.\""), NAME_PROBLEM("*.") },
        { 6, NAMES("\"*a.example\""), NAME_PROBLEM("*a.example") },
        { 6, NAMES("\"a.*.example\""), NAME_PROBLEM("a.*.example") },
        { 6, NAMES("\"*.*.example\""), NAME_PROBLEM("*.*.example") },
        { 6, NAMES("\".a.example\""), NAME_PROBLEM(".a.example") },
        { 6, NAMES("\"@\""), NAME_PROBLEM("@") },
        { 6, NAMES("\"@a.example\""), NAME_PROBLEM("@a.example") },
        { 6, NAMES("\"user@\""), NAME_PROBLEM("user@") },
        { 6, NAMES("\"a@b@c.example\""), NAME_PROBLEM("a@b@c.example") },
        { 6, NAMES("\"user@*.example\""), NAME_PROBLEM("user@*.example") },
        { 6, NAMES("\"*.user@a.example\""), NAME_PROBLEM("*.user@a.example") },
        { 6, NAMES("\"a b\", \"b.example\", \"c d\""),
          NAME_PROBLEM("a b") "\n" NAME_PROBLEM("c d") },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

/* before, an item so many times with its number, after. */
static const char *many(const char *before, const char *item, unsigned count, const char *after)
{
    static char text[SAMPLE_TEXT_MAX];
    size_t used = (size_t)snprintf(text, sizeof(text), "%s", before);

    for (unsigned i = 0; i < count; i++) {
        const char *number = strchr(item, '#');

        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s%u.%u%s", i > 0 ? ", " : "",
                             (int)(number - item), item, i / 250, i % 250, number + 1);
    }
    used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", after);
    assert_true(used < sizeof(text));
    return text;
}

static void lists_have_their_maximum(void **unused)
{
#define LISTENER_TAIL " ]; certificate = \"mail\"; hat = \"in\"; rat = \"in\"; } );"
    static const struct {
        size_t line;
        const char *before, *item, *after;
        unsigned max;
        const char *problem;
    } cases[] = {
        { 6,
          CA "mail_flow_policies = { ACCEPTED = { access = \"accept\"; tls = \"preferred\"; "
             "verify_client = \"required\"; client_names = [ ",
          "\"h#.example\"", " ]; };", 100, "t.conf:6: client_names has more than 100 names" },
        { 5, "proxy_from = [ ", "\"10.0.#\"", LISTENER_TAIL, 1000,
          "t.conf:5: proxy_from has more than 1000 entries" },
        { 5, "xclient_from = [ ", "\"10.0.#\"", LISTENER_TAIL, 1000,
          "t.conf:5: xclient_from has more than 1000 entries" },
        { 11, "dns = { servers = [ ", "\"10.0.#\"", " ]; };", 16,
          "t.conf:11: there are more than 16 servers" },
        { 11, "dns = { stub_zones = ( ", "{ zone = \"z#.example\"; servers = [ \"192.0.2.53\" ]; }",
          " ); };", CONFIG_DNS_STUBS_MAX, NULL },
    };
    char stubs_problem[80];

    (void)unused;
    (void)snprintf(stubs_problem, sizeof(stubs_problem),
                   "t.conf:11: there are more than %d stub zones", CONFIG_DNS_STUBS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned more = 0; more < 2; more++) {
            const char *problem = cases[i].problem != NULL ? cases[i].problem : stubs_problem;
            const struct problem_case bad = { cases[i].line,
                                              many(cases[i].before, cases[i].item,
                                                   cases[i].max + more, cases[i].after),
                                              more > 0 ? problem : "" };

            expect_problems(&bad, 1);
        }
    }
}

static const struct {
    const char *name; /* before _code and _text */
    unsigned low, high;
} replies[POLICY_FLOW_REPLIES_COUNT] = {
    [POLICY_FLOW_REPLY_BANNER] = { "banner", 220, 299 },
    [POLICY_FLOW_REPLY_REJECT] = { "reject", 400, 599 },
    [POLICY_FLOW_REPLY_CONNECTIONS] = { "max_connections_per_ip", 400, 599 },
    [POLICY_FLOW_REPLY_MESSAGES] = { "max_messages_per_connection", 400, 599 },
    [POLICY_FLOW_REPLY_RECIPIENTS] = { "max_recipients_per_message", 400, 599 },
    [POLICY_FLOW_REPLY_SIZE] = { "max_message_size", 400, 599 },
    [POLICY_FLOW_REPLY_RECIPIENTS_PER_HOUR] = { "max_recipients_per_hour", 400, 599 },
    [POLICY_FLOW_REPLY_RECIPIENTS_PER_SENDER] = { "max_recipients_per_sender", 400, 599 },
    [POLICY_FLOW_REPLY_INVALID_RECIPIENTS] = { "max_invalid_recipients_per_hour", 400, 599 },
    [POLICY_FLOW_REPLY_SENDER_MALFORMED] = { "sender_malformed", 400, 599 },
    [POLICY_FLOW_REPLY_SENDER_NONEXISTENT] = { "sender_nonexistent", 400, 599 },
    [POLICY_FLOW_REPLY_SENDER_TEMPORARY] = { "sender_temporary", 400, 599 },
};

/* One reply of the policy has this code, or this text; all others are as ever. */
static void expect_reply(const char *setting, unsigned reply, unsigned code, const char *text)
{
    const struct policy_mail_flow plain = policy_mail_flow_default();
    char policy[TEXT_MAX];
    struct config_loaded *loaded;
    const struct policy_mail_flow *flow;

    (void)snprintf(policy, sizeof(policy), FLOW("%s"), setting);
    loaded = load_good(&(struct change){ 6, policy }, 1);
    flow = row_flow(loaded, 1);
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        bool has_code = i == reply && code > 0, has_text = i == reply && text != NULL;

        assert_int_equal(flow->replies[i].code, has_code ? code : plain.replies[i].code);
        assert_string_equal(flow->replies[i].text.data,
                            has_text ? text : plain.replies[i].text.data);
        assert_int_equal(flow->given >> (POLICY_FLOW_CODES + i) & 1, has_code);
        assert_int_equal(flow->given >> (POLICY_FLOW_TEXTS + i) & 1, has_text);
    }
    config_loaded_destroy(loaded);
}

static void each_reply_has_its_range_of_codes_and_its_text(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        const unsigned codes[] = { replies[i].low, replies[i].high };
        const unsigned bad[] = { 0, 199, replies[i].low - 1, replies[i].high + 1, 600 };
        char setting[TEXT_MAX], policy[TEXT_MAX], problem[TEXT_MAX];
        const struct problem_case refused = { 6, policy, problem };
        unsigned low, high;

        policy_flow_reply_codes((enum policy_flow_reply)i, &low, &high);
        assert_int_equal(low, replies[i].low);
        assert_int_equal(high, replies[i].high);
        for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
            (void)snprintf(setting, sizeof(setting), "%s_code = %u;", replies[i].name, codes[k]);
            expect_reply(setting, i, codes[k], NULL);
        }
        (void)snprintf(setting, sizeof(setting), "%s_text = \"4.7.1 $Group\";", replies[i].name);
        expect_reply(setting, i, 0, "4.7.1 $Group");
        (void)snprintf(problem, sizeof(problem), "t.conf:6: %s_code has to be from %u to %u",
                       replies[i].name, replies[i].low, replies[i].high);
        for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
            (void)snprintf(policy, sizeof(policy), FLOW("%s_code = %u;"), replies[i].name, bad[k]);
            expect_problems(&refused, 1);
        }
        (void)snprintf(policy, sizeof(policy), FLOW("%s_text = \"\xc3\xa4\";"), replies[i].name);
        (void)snprintf(problem, sizeof(problem), "t.conf:6: %s_text has to be ASCII",
                       replies[i].name);
        expect_problems(&refused, 1);
        (void)snprintf(policy, sizeof(policy), FLOW("%s_text = \"\";"), replies[i].name);
        (void)snprintf(problem, sizeof(problem), "t.conf:6: %s_text has to have 1 to 400 bytes",
                       replies[i].name);
        expect_problems(&refused, 1);
    }
}

static const char all_keys[] =
    "access = \"accept\"; tls = \"required\"; tls_min_version = \"1.3\"; tls_senders = \"friends\";"
    "verify_client = \"optional\"; client_names = [ \"a.example\", \"b.example\" ];"
    "hostname = \"gate.example.com\"; max_connections_per_ip = 1; max_messages_per_connection = 2;"
    "max_recipients_per_message = 3; max_message_size = \"4K\"; max_recipients_per_hour = 5;"
    "significant_bits = 6; significant_bits_v6 = 7; max_recipients_per_sender = 8;"
    "sender_interval = \"9s\"; sender_exceptions = \"poor\"; max_invalid_recipients_per_hour = 10;"
    "drop_invalid_recipients = false; verify_sender = true; use_exception_table = true;"
    "dsn = true;";

static void expect_all_keys(const struct policy_mail_flow *f)
{
    assert_int_equal(f->access, POLICY_ACCESS_ACCEPT);
    assert_int_equal(f->tls, POLICY_FLOW_TLS_REQUIRED);
    assert_int_equal(f->tls_version_min, POLICY_FLOW_VERSION_1_3);
    assert_string_equal(policy_address_list_name(f->tls_senders).data, "friends");
    assert_int_equal(f->verify_client, POLICY_FLOW_VERIFY_OPTIONAL);
    assert_int_equal(f->client_names_count, 2);
    assert_string_equal(f->client_names[1].data, "b.example");
    assert_true(f->has_hostname);
    assert_string_equal(f->hostname.data, "gate.example.com");
    assert_int_equal(f->max_connections_per_ip, 1);
    assert_int_equal(f->max_messages_per_connection, 2);
    assert_int_equal(f->max_recipients_per_message, 3);
    assert_int_equal(f->max_message_size, 4096);
    assert_int_equal(f->max_recipients_per_hour, 5);
    assert_int_equal(f->bits_v4, 6);
    assert_int_equal(f->bits_v6, 7);
    assert_int_equal(f->max_recipients_per_sender, 8);
    assert_int_equal(f->sender_interval_s, 9);
    assert_string_equal(policy_address_list_name(f->sender_exceptions).data, "poor");
    assert_int_equal(f->max_invalid_recipients, 10);
    assert_false(f->drop_invalid);
    assert_true(f->verify_sender);
    assert_true(f->use_exception_table);
    assert_true(f->dsn);
}

static void every_key_of_a_policy_has_its_effect(void **unused)
{
    static char policy[TEXT_MAX];
    struct config_loaded *loaded;

    (void)unused;
    (void)snprintf(policy, sizeof(policy), CA LISTS "mail_flow_policies = { ACCEPTED = { %s };",
                   all_keys);
    loaded = load_good(&(struct change){ 6, policy }, 1);
    expect_all_keys(row_flow(loaded, 1));
    assert_int_equal(row_flow(loaded, 1)->given, ((uint64_t)1 << POLICY_FLOW_CODES) - 1);
    assert_ptr_equal(listener_flow(loaded, 1), row_flow(loaded, 1));
    assert_int_equal(row_flow(loaded, 0)->given, (uint64_t)1 << POLICY_FLOW_ACCESS);
    config_loaded_destroy(loaded);
}

static void the_defaults_of_a_listener_reach_its_policies(void **unused)
{
    static char listener[TEXT_MAX];
    const struct change changes[] = {
        { 1, "hostname = \"mx.example.com\"; " CA LISTS },
        { 5, listener },
        { 6, "mail_flow_policies = { ACCEPTED = { access = \"accept\"; };" },
    };
    struct config_loaded *loaded;

    (void)unused;
    (void)snprintf(listener, sizeof(listener),
                   "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; defaults = { %s\n"
                   "reject_code = 455; reject_text = \"5.0.0 $Group\"; }; } );",
                   strchr(all_keys, ';') + 1); /* all but access */
    loaded = load_good(changes, ARRAY_LEN(changes));
    expect_all_keys(listener_flow(loaded, 1));
    assert_string_equal(listener_flow(loaded, 1)->name.data, "ACCEPTED");
    assert_int_equal(listener_flow(loaded, 1)->replies[POLICY_FLOW_REPLY_REJECT].code, 455);
    assert_string_equal(listener_flow(loaded, 0)->name.data, "BLOCKED");
    assert_int_equal(listener_flow(loaded, 0)->access, POLICY_ACCESS_REJECT);
    assert_int_equal(listener_flow(loaded, 0)->bits_v6, 7);
    assert_string_equal(listener_flow(loaded, 0)->replies[POLICY_FLOW_REPLY_REJECT].text.data,
                        "5.0.0 $Group");
    assert_int_equal(row_flow(loaded, 0)->bits_v6, 64); /* what it is elsewhere */
    assert_int_equal(loaded->settings.listeners[0].flows_count, 3);
    assert_int_equal(loaded->settings.listeners[0].defaults_given >> POLICY_FLOW_ACCESS & 1, 0);
    assert_int_equal(loaded->settings.listeners[0].defaults_given >> POLICY_FLOW_TLS & 1, 1);
    config_loaded_destroy(loaded);
}

static void what_a_policy_says_goes_before_the_defaults(void **unused)
{
    static const struct change changes[] = {
        { 5, "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; defaults = {\n"
             "  tls = \"required\"; significant_bits = 24; max_message_size = \"1M\";\n"
             "  reject_code = 455; reject_text = \"5.0.0 No\"; hostname = \"d.example\"; }; } );" },
        { 6, FLOW("hostname = \"\"; max_message_size = \"20M\"; reject_code = 554;") },
    };
    struct config_loaded *loaded = load_good(changes, ARRAY_LEN(changes));
    const struct policy_mail_flow *f = listener_flow(loaded, 1);

    (void)unused;
    assert_int_equal(f->tls, POLICY_FLOW_TLS_PREFERRED);
    assert_int_equal(f->bits_v4, 24);
    assert_int_equal(f->max_message_size, 20 << 20); /* the same as the built-in default */
    assert_true(f->has_hostname);
    assert_int_equal(f->hostname.len, 0);
    assert_int_equal(f->replies[POLICY_FLOW_REPLY_REJECT].code, 554);
    assert_string_equal(f->replies[POLICY_FLOW_REPLY_REJECT].text.data, "5.0.0 No");
    config_loaded_destroy(loaded);
}

/* Who may have reports sent: those who are trusted with sending anywhere, if nothing is said. */
static void dsn_is_on_where_mail_is_relayed(void **unused)
{
    static const struct {
        const char *access, *policy, *defaults;
        bool is_on;
    } cases[] = {
        { "accept", "", "", false },
        { "relay", "", "", true },
        { "accept", "dsn = true;", "", true },
        { "relay", "dsn = false;", "", false },
        { "accept", "", "dsn = true;", true },
        { "relay", "", "dsn = false;", false },
        { "accept", "dsn = false;", "dsn = true;", false },
        { "relay", "dsn = true;", "dsn = false;", true },
        { "relay", "", "tls = \"preferred\";", true },
        { "accept", "", "tls = \"preferred\";", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char listener[TEXT_MAX], policy[TEXT_MAX];
        const struct change changes[] = { { 5, listener }, { 6, policy } };
        struct config_loaded *loaded;

        (void)snprintf(listener, sizeof(listener),
                       "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; "
                       "defaults = { %s }; } );",
                       cases[i].defaults);
        (void)snprintf(policy, sizeof(policy),
                       "mail_flow_policies = { ACCEPTED = { access = \"%s\"; %s };",
                       cases[i].access, cases[i].policy);
        loaded = load_good(changes, ARRAY_LEN(changes));
        if (listener_flow(loaded, 1)->dsn != cases[i].is_on)
            fail_msg("case %zu", i);
        config_loaded_destroy(loaded);
    }
}

static void defaults_are_judged_as_policies_are(void **unused)
{
#define DEFAULTS(more)                                                                             \
    "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; defaults = { " more " }; } );"
    static const struct problem_case cases[] = {
        { 5, DEFAULTS(""), "" },
        { 5, DEFAULTS("access = \"relay\";"), "t.conf:5: unknown key \"access\" in defaults" },
        { 5, DEFAULTS("significant_bits = 33;"),
          "t.conf:5: significant_bits has to be from 1 to 32" },
        { 5, DEFAULTS("significant_bits_v6 = 129;"),
          "t.conf:5: significant_bits_v6 has to be from 1 to 128" },
        { 5, DEFAULTS("banner_code = 400;"), "t.conf:5: banner_code has to be from 220 to 299" },
        { 5, DEFAULTS("hostname = \"a b\";"), "t.conf:5: hostname = \"a b\" is not a host name" },
        { 5, DEFAULTS("tls_senders = \"friends\";"),
          "t.conf:5: tls_senders = \"friends\" is not in address_lists" },
        { 5, "  hat = \"in\"; rat = \"in\"; defaults = { tls = \"off\"; }; } );",
          "t.conf:4: listener \"In\" has no certificate, but a policy of its hat \"in\" offers "
          "TLS" },
        { 6, LISTS FLOW("tls_senders = \"friends\"; sender_exceptions = \"frends\";"),
          "t.conf:6: sender_exceptions = \"frends\" is not in address_lists; did you mean "
          "\"friends\"?" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void tls_that_comes_from_the_defaults_needs_a_certificate(void **unused)
{
    static const struct {
        const char *listener;
        const char *problems;
    } cases[] = {
        { "  hat = \"in\"; rat = \"in\"; } );", "" },
        { "  hat = \"in\"; rat = \"in\"; defaults = { tls = \"off\"; }; } );", "" },
        { "  hat = \"in\"; rat = \"in\"; defaults = { tls = \"preferred\"; }; } );",
          "t.conf:4: listener \"In\" has no certificate, but a policy of its hat \"in\" offers "
          "TLS" },
        { "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; defaults = { tls = "
          "\"preferred\"; }; } );",
          "" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct change changes[] = {
            { 3, strstr(cases[i].listener, "certificate") != NULL ? good[2] : "" },
            { 5, cases[i].listener },
            { 6, "mail_flow_policies = { ACCEPTED = { access = \"accept\"; };" },
        };
        static char lines[TEXT_MAX];
        struct config_loaded *loaded = NULL;
        struct buffer text;

        (void)load(configuration_with(&text, changes, ARRAY_LEN(changes)).data, &loaded, lines);
        assert_string_equal(lines, cases[i].problems);
        config_loaded_destroy(loaded);
        buffer_finish(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_asked_for_only_with_authorities_to_judge_it),
        cmocka_unit_test(names_of_clients_are_hosts_wildcards_or_mail_addresses),
        cmocka_unit_test(lists_have_their_maximum),
        cmocka_unit_test(each_reply_has_its_range_of_codes_and_its_text),
        cmocka_unit_test(every_key_of_a_policy_has_its_effect),
        cmocka_unit_test(the_defaults_of_a_listener_reach_its_policies),
        cmocka_unit_test(what_a_policy_says_goes_before_the_defaults),
        cmocka_unit_test(dsn_is_on_where_mail_is_relayed),
        cmocka_unit_test(defaults_are_judged_as_policies_are),
        cmocka_unit_test(tls_that_comes_from_the_defaults_needs_a_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
