#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/config/sample.h"

#define CHANGES_MAX 4 /* of the sample; the others have line 0 */

struct judged {
    struct change changes[CHANGES_MAX];
    const char *problems;
};

static void expect(const struct judged *cases, size_t count)
{
    static char lines[TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        if (load(configuration_with(&text, cases[i].changes, CHANGES_MAX).data, &loaded, lines) ==
            STATUS_OK)
            config_loaded_destroy(loaded);
        if (strcmp(lines, cases[i].problems) != 0)
            fail_msg("case %zu gives\n%s\nexpected\n%s", i, lines, cases[i].problems);
        buffer_finish(&text);
    }
}

static struct config_loaded *load_changed(const struct change changes[CHANGES_MAX])
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    if (load(configuration_with(&text, changes, CHANGES_MAX).data, &loaded, lines) != STATUS_OK ||
        lines[0] != '\0')
        fail_msg("%s", lines);
    buffer_finish(&text);
    return loaded;
}

static const struct policy_destination *find(const struct config_loaded *loaded, const char *domain)
{
    return policy_destination_find(loaded->policy, slice_from(domain));
}

#define DOMAINS(text)                                                                              \
    {                                                                                              \
        11, "destinations = { domains = (\n" text " ); };"                                         \
    }
#define DEFAULT(text)                                                                              \
    {                                                                                              \
        11, "destinations = { default = { " text " }; };"                                          \
    }
#define AUTHORITIES                                                                                \
    {                                                                                              \
        1, "hostname = \"mx.example.com\"; tls = { ca_file = \"ca.pem\"; };"                       \
    }
#define AUTHORITIES_DNS                                                                            \
    {                                                                                              \
        1, "hostname = \"mx.example.com\"; tls = { custom_ca_file = \"ca.pem\"; };\n"              \
           "dns = { trust_anchor = \"/dev/null\"; };"                                              \
    }

static void every_key_of_a_destination_has_its_effect(void **unused)
{
    static const struct change changes[CHANGES_MAX] = {
        AUTHORITIES_DNS,
        { 11,
          "destinations = { default = { tls = \"preferred\"; max_recipients = 7; };\n"
          "domains = ( { domain = \"a.example\"; tls = \"required-verify-hosted\"; ktls = \"tx\";\n"
          "  tls_min_version = \"1.3\"; certificate = \"mail\"; dane = \"mandatory\";\n"
          "  mta_sts = true; ip_version = \"require-v4\"; max_connections = 3;\n"
          "  max_messages_per_connection = 4; max_recipients = 5; recipients_interval = \"10m\";\n"
          "  limit_per = \"address\"; bounce_profile = \"fast\"; eight_bit = \"send\";\n"
          "  chunking = false; },\n"
          "{ domain = \"b.example\"; tls_fallback_clear = \"after-failed-handshake\"; } ); };" },
        { 13, "bounce_profiles = { fast = { send_bounces = false; delay_warnings = true;\n"
              "  warning_interval = \"1h\"; max_warnings = 3; max_bounce_copy = \"64K\";\n"
              "  bounces_to = \"bounces@example.com\"; }; };" },
    };
    struct config_loaded *loaded = load_changed(changes);
    const struct policy_destination *d = find(loaded, "a.example");
    const struct config_tls_client *client = &loaded->settings.tls_clients[d->tls_client];
    const struct policy_bounce_profile *profile = d->bounce_profile;

    (void)unused;
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++)
        assert_true(policy_destination_gives(d, (enum policy_destination_field)i) ==
                    (i != POLICY_DESTINATION_FALLBACK));
    assert_string_equal(config_destination_key(POLICY_DESTINATION_SCOPE), "limit_per");
    assert_int_equal(d->tls, POLICY_TLS_REQUIRED_VERIFY_HOSTED);
    assert_int_equal(d->ktls, POLICY_KTLS_TX);
    assert_int_equal(client->min_version, CONFIG_TLS_1_3);
    assert_ptr_equal(client->certificate, &loaded->settings.certificates[0]);
    assert_int_equal(d->dane, POLICY_DANE_MANDATORY);
    assert_true(d->mta_sts);
    assert_int_equal(d->ip, POLICY_IP_REQUIRE_V4);
    assert_int_equal(d->max_connections, 3);
    assert_int_equal(d->max_messages_per_connection, 4);
    assert_int_equal(d->max_recipients, 5);
    assert_int_equal(d->recipients_interval_s, 600);
    assert_int_equal(d->limit_scope, POLICY_LIMIT_ADDRESS);
    assert_int_equal(d->eight_bit, POLICY_EIGHT_BIT_SEND);
    assert_false(d->chunking);
    assert_false(d->clear_after_failed_handshake);
    assert_true(d->has_bounce_profile);
    assert_false(profile->send_bounces);
    assert_true(profile->send_warnings);
    assert_int_equal(profile->warning_interval_s, 3600);
    assert_int_equal(profile->max_warnings, 3);
    assert_int_equal(profile->max_copy_bytes, 65536);
    assert_string_equal(profile->bounces_to.data, "bounces@example.com");
    d = find(loaded, "b.example");
    assert_int_equal(d->given, 1u << POLICY_DESTINATION_FALLBACK);
    assert_true(d->chunking);
    assert_true(d->clear_after_failed_handshake);
    assert_int_equal(d->max_recipients, 7);
    assert_int_equal(d->recipients_interval_s, 3600);
    assert_int_equal(d->tls_client, 0);
    config_loaded_destroy(loaded);
}

static void what_a_domain_leaves_out_is_the_defaults(void **unused)
{
    static const struct change changes[CHANGES_MAX] = {
        AUTHORITIES_DNS,
        { 11,
          "destinations = { default = { tls = \"required\"; dane = \"opportunistic\";\n"
          "  mta_sts = true; ip_version = \"prefer-v4\"; limit_per = \"address\";\n"
          "  max_recipients = 9; recipients_interval = \"1m\"; certificate = \"mail\";\n"
          "  tls_min_version = \"1.3\"; bounce_profile = \"fast\"; }; domains = (\n"
          "{ domain = \"a.example\"; max_connections = 1; },\n"
          "{ domain = \"b.example\"; tls = \"off\"; },\n"
          "{ domain = \"c.example\"; certificate = \"\"; },\n"
          "{ domain = \"d.example\"; tls_min_version = \"1.2\"; bounce_profile = \"default\"; } "
          "); };" },
        { 13, "bounce_profiles = { fast = { max_age = \"1h\"; }; default = { }; };" },
    };
    struct config_loaded *loaded = load_changed(changes);
    const struct config_tls_client *clients = loaded->settings.tls_clients;
    const struct policy_destination *d = find(loaded, "a.example");

    (void)unused;
    assert_int_equal(d->tls, POLICY_TLS_REQUIRED);
    assert_int_equal(d->dane, POLICY_DANE_OPPORTUNISTIC);
    assert_true(d->mta_sts);
    assert_int_equal(d->ip, POLICY_IP_PREFER_V4);
    assert_int_equal(d->limit_scope, POLICY_LIMIT_ADDRESS);
    assert_int_equal(d->max_recipients, 9);
    assert_int_equal(d->recipients_interval_s, 60);
    assert_int_equal(d->tls_client, 0);
    assert_true(d->has_bounce_profile);
    assert_string_equal(d->bounce_profile->name.data, "fast");
    /* Without TLS, neither DANE nor MTA-STS. */
    d = find(loaded, "b.example");
    assert_int_equal(d->dane, POLICY_DANE_OFF);
    assert_false(d->mta_sts);
    assert_int_equal(loaded->settings.tls_clients_count, 3);
    assert_non_null(clients[0].certificate);
    assert_int_equal(clients[0].min_version, CONFIG_TLS_1_3);
    d = find(loaded, "c.example");
    assert_null(clients[d->tls_client].certificate);
    assert_int_equal(clients[d->tls_client].min_version, CONFIG_TLS_1_3);
    d = find(loaded, "d.example");
    assert_non_null(clients[d->tls_client].certificate);
    assert_int_equal(clients[d->tls_client].min_version, CONFIG_TLS_1_2);
    assert_string_equal(d->bounce_profile->name.data, "default");
    config_loaded_destroy(loaded);
}

static void without_destinations_all_have_the_built_in_values(void **unused)
{
    static const struct change changes[CHANGES_MAX] = { { 11, "" } };
    struct config_loaded *loaded = load_changed(changes);
    const struct policy_destination *d = find(loaded, "a.example");

    (void)unused;
    assert_int_equal(d->tls, POLICY_TLS_OFF);
    assert_int_equal(d->max_connections, 500);
    assert_int_equal(d->max_messages_per_connection, 50);
    assert_int_equal(d->max_recipients, 0);
    assert_int_equal(d->ip, POLICY_IP_PREFER_V6);
    assert_false(d->has_bounce_profile);
    assert_int_equal(loaded->settings.tls_clients_count, 1);
    assert_null(loaded->settings.tls_clients[0].certificate);
    assert_int_equal(loaded->settings.double_bounces, CONFIG_DOUBLE_BOUNCES_DROP);
    assert_string_equal(loaded->settings.postmaster, "postmaster@mx.example.com");
    assert_null(loaded->settings.listeners[0].bounce_profile);
    config_loaded_destroy(loaded);
}

static void bounces_and_revocations_are_settings(void **unused)
{
    static const struct change changes[CHANGES_MAX] = {
        { 1, "hostname = \"mx.example.com\"; tls = { crl_files = [ \"a.crl\", \"/b.crl\" ];\n"
             "  custom_ca_file = \"own.pem\"; };\n"
             "bounces = { double = \"postmaster\"; postmaster = \"ops@example.com\"; };" },
        { 5,
          "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; bounce_profile = \"fast\"; } );" },
        { 13, "bounce_profiles = { fast = { }; };" },
    };
    struct config_loaded *loaded = load_changed(changes);
    const struct config_settings *s = &loaded->settings;

    (void)unused;
    assert_int_equal(s->double_bounces, CONFIG_DOUBLE_BOUNCES_POSTMASTER);
    assert_string_equal(s->postmaster, "ops@example.com");
    assert_string_equal(s->tls_custom_ca_path, "/etc/p/own.pem");
    assert_int_equal(s->tls_crl_paths_count, 2);
    assert_string_equal(s->tls_crl_paths[0], "/etc/p/a.crl");
    assert_string_equal(s->tls_crl_paths[1], "/b.crl");
    assert_string_equal(s->listeners[0].bounce_profile->name.data, "fast");
    config_loaded_destroy(loaded);
}

static void what_needs_something_else_is_refused_without_it(void **unused)
{
    static const struct judged cases[] = {
        { { DEFAULT("tls = \"required-verify\";") },
          "t.conf:11: tls = \"required-verify\" needs the authorities that may vouch for hosts: "
          "tls: ca_file" },
        { { DOMAINS("{ domain = \"a.example\"; tls = \"preferred-verify\"; }") },
          "t.conf:12: tls = \"preferred-verify\" needs the authorities that may vouch for hosts: "
          "tls: ca_file" },
        { { DOMAINS("{ domain = \"a.example\"; tls = \"required\"; mta_sts = true; }") },
          "t.conf:12: mta_sts needs the authorities that may vouch for hosts: tls: ca_file" },
        { { AUTHORITIES, DEFAULT("tls = \"required-verify\";") }, "" },
        /* A misspelt section or key is one problem. */
        { { { 1, "hostname = \"mx.example.com\"; tls = { ca_fiel = \"x\"; };" },
            DEFAULT("tls = \"required-verify\";") },
          "t.conf:1: unknown key \"ca_fiel\" in tls; did you mean \"ca_file\"?" },
        { { { 1, "hostname = \"mx.example.com\"; tsl = { ca_file = \"x\"; };" },
            DEFAULT("tls = \"required-verify\";") },
          "t.conf:1: unknown key \"tsl\"; did you mean \"tls\"?" },
        { { AUTHORITIES_DNS, DEFAULT("dane = \"opportunistic\"; mta_sts = true;") },
          "t.conf:12: dane = \"opportunistic\" needs tls = \"preferred\" or more\n"
          "t.conf:12: mta_sts needs tls = \"preferred\" or more" },
        /* An inherited problem is told once. */
        { { AUTHORITIES_DNS,
            { 11, "destinations = { default = { dane = \"mandatory\"; };\n"
                  "domains = ( { domain = \"a.example\"; max_connections = 2; } ); };" } },
          "t.conf:12: dane = \"mandatory\" needs tls = \"preferred\" or more" },
        { { AUTHORITIES_DNS,
            DOMAINS("{ domain = \"a.example\"; tls = \"off\"; dane = \"mandatory\"; }") },
          "t.conf:13: dane = \"mandatory\" needs tls = \"preferred\" or more" },
        { { DOMAINS("{ domain = \"a.example\"; certificate = \"mial\"; tls = \"required\"; }") },
          "t.conf:12: certificate \"mial\" is not in certificates; did you mean \"mail\"?" },
        { { DOMAINS("{ domain = \"a.example\"; bounce_profile = \"fsat\"; }"),
            { 13, "bounce_profiles = { fast = { }; };" } },
          "t.conf:12: bounce_profile \"fsat\" is not in bounce_profiles; did you mean \"fast\"?" },
        { { { 5, "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; bounce_profile = \"x\"; } "
                 ");" } },
          "t.conf:5: bounce_profile \"x\" is not in bounce_profiles" },
        { { { 13,
              "bounce_profiles = { }; bounces = { double = \"maybe\"; postmaster = \"ops\"; };" } },
          "t.conf:13: double = \"maybe\" is none of \"drop\", \"postmaster\"\n"
          "t.conf:13: \"ops\" is not an address: \"user@example.com\"" },
        { { { 13, "bounce_profiles = { default = { bounces_to = \"a b\"; max_bounce_copy = \"1M\"; "
                  "max_warnings = 0; warning_interval = \"31d\"; }; };" } },
          "t.conf:13: warning_interval has to be from 1s to 30d\n"
          "t.conf:13: max_warnings has to be from 1 to 100\n"
          "t.conf:13: max_bounce_copy has to be from 0 to 256K\n"
          "t.conf:13: \"a b\" is not an address: \"user@example.com\"" },
        { { DEFAULT("ip_version = \"v4\"; limit_per = \"host\"; recipients_interval = \"2h\"; "
                    "max_recipients = -1;") },
          "t.conf:11: ip_version = \"v4\" is none of \"prefer-v6\", \"require-v6\", \"prefer-v4\", "
          "\"require-v4\"\n"
          "t.conf:11: max_recipients has to be from 0 to 1000000000\n"
          "t.conf:11: recipients_interval has to be from 1m to 1h\n"
          "t.conf:11: limit_per = \"host\" is none of \"domain\", \"address\"" },
    };

    (void)unused;
    expect(cases, ARRAY_LEN(cases));
}

static void what_has_no_effect_is_warned_of(void **unused)
{
    static const struct judged cases[] = {
        { { DEFAULT("recipients_interval = \"5m\";") },
          "t.conf:11: warning: recipients_interval says nothing without max_recipients" },
        { { DOMAINS("{ domain = \"a.example\"; tls = \"required\";\n"
                    "tls_fallback_clear = \"after-failed-handshake\"; }") },
          "t.conf:13: warning: tls_fallback_clear says nothing with tls = \"required\"" },
        { { DOMAINS("{ domain = \"a.example\"; max_connections = 2; certificate = \"mail\";\n"
                    "tls_min_version = \"1.3\"; ktls = \"off\"; }") },
          "t.conf:12: warning: certificate says nothing with tls = \"off\"\n"
          "t.conf:13: warning: ktls says nothing with tls = \"off\"\n"
          "t.conf:13: warning: tls_min_version says nothing with tls = \"off\"" },
        { { DEFAULT("certificate = \"mail\"; tls_min_version = \"1.3\";") }, "" },
        { { DEFAULT("tls = \"preferred\"; dane = \"opportunistic\";") },
          "t.conf:11: warning: dane = \"opportunistic\" without dns: trust_anchor: no answer is "
          "validated, and DANE is never used" },
        { { DEFAULT("tls = \"preferred\"; dane = \"mandatory\";") },
          "t.conf:11: warning: dane = \"mandatory\" without dns: trust_anchor: no answer is "
          "validated, and no mail can leave" },
        { { { 13, "bounce_profiles = { default = { };\nfast = { }; };" } },
          "t.conf:14: warning: bounce profile \"fast\" is not used by a destination or a "
          "listener" },
        { { DEFAULT("bounce_profile = \"fast\";"), { 13, "bounce_profiles = { fast = { }; };" } },
          "" },
        { { DOMAINS("{ domain = \"a.example\"; max_connections = 500; },\n"
                    "{ domain = \".a.example\"; max_connections = 2; },\n"
                    "{ domain = \"b.a.example\"; max_connections = 2; },\n"
                    "{ domain = \"c.a.example\"; },\n"
                    "{ domain = \"example\"; tls = \"off\"; }") },
          "t.conf:12: warning: \"a.example\" is treated as it would be without this entry, by "
          "\"default\"\n"
          "t.conf:14: warning: \"b.a.example\" is treated as it would be without this entry, by "
          "\".a.example\"\n"
          "t.conf:16: warning: \"example\" is treated as it would be without this entry, by "
          "\"default\"" },
        /* A profile that is named goes before that of a listener. */
        { { DOMAINS("{ domain = \"a.example\"; bounce_profile = \"default\"; }"),
            { 13, "bounce_profiles = { default = { }; };" } },
          "" },
    };

    (void)unused;
    expect(cases, ARRAY_LEN(cases));
}

static void every_entry_of_a_long_table_is_found(void **unused)
{
    static const size_t count = 100000;
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    buffer_init(&text, 16 << 20);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        append(&text, i + 1 == 11 ? "" : good[i]);
    append(&text, "destinations = { domains = (");
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buffer_printf(&text,
                                       "%s{ domain = \"%sd%zu.example\"; max_connections = "
                                       "%zu; }\n",
                                       i > 0 ? "," : "", i % 3 == 0 ? "." : "", i, 1 + i % 499),
                         STATUS_OK);
    append(&text, "); };");
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    assert_int_equal(load(buffer_contents(&text).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    for (size_t i = 0; i < count; i++) {
        char domain[64];

        (void)snprintf(domain, sizeof(domain), "%sd%zu.example", i % 3 == 0 ? "x." : "", i);
        assert_int_equal(find(loaded, domain)->max_connections, 1 + i % 499);
    }
    assert_int_equal(find(loaded, "d0.example")->max_connections, 500);
    config_loaded_destroy(loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_a_destination_has_its_effect),
        cmocka_unit_test(what_a_domain_leaves_out_is_the_defaults),
        cmocka_unit_test(without_destinations_all_have_the_built_in_values),
        cmocka_unit_test(bounces_and_revocations_are_settings),
        cmocka_unit_test(what_needs_something_else_is_refused_without_it),
        cmocka_unit_test(what_has_no_effect_is_warned_of),
        cmocka_unit_test(every_entry_of_a_long_table_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
