#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/config/sample.h"

static void a_good_configuration_loads_with_its_values_and_defaults(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    assert_int_equal(load(configuration(&text, 0, NULL).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    const struct config_settings *s = &loaded->settings;

    assert_int_equal(loaded->generation, 3);
    assert_int_equal(policy_snapshot_generation(loaded->policy), 3);
    assert_string_equal(s->hostname, "mx.example.com");
    assert_string_equal(s->spool_path, "/etc/p/spool");
    assert_string_equal(s->log_path, "-");
    assert_string_equal(s->tls_ca_path, "");
    assert_string_equal(s->admin_socket_path, "/run/postern/admin.sock");
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->ktls, POLICY_KTLS_AUTO);
    assert_int_equal(s->tls_version_min, CONFIG_TLS_1_2);
    assert_int_equal(s->memory_message_bytes, (uint64_t)1 << 30);
    assert_int_equal(s->memory_queue_bytes, (uint64_t)2560 << 20);
    assert_int_equal(s->grace_s, 30);
    assert_int_equal(s->certificates_count, 1);
    assert_string_equal(s->certificates[0].at.file, "/etc/p/t.conf");
    assert_int_equal(s->certificates[0].at.line, 3);
    assert_string_equal(s->certificates[0].pairs[0].chain_path, "/etc/p/c.pem");
    assert_string_equal(s->certificates[0].pairs[0].key_path, "/k/c.key");
    assert_int_equal(s->listeners_count, 1);
    const struct config_listener *l = &s->listeners[0];

    assert_string_equal(l->name, "In");
    assert_string_equal(l->hostname, "mx.example.com");
    assert_int_equal(l->endpoint.port, 25);
    assert_int_equal(l->max_connections, 1000);
    assert_int_equal(l->backlog, 50);
    assert_int_equal(l->bare_newlines, CONFIG_BARE_NEWLINES_REFUSE);
    assert_ptr_equal(l->certificate, &s->certificates[0]);
    assert_ptr_equal(l->hat, policy_snapshot_hat(loaded->policy, SLICE("in")));
    assert_ptr_equal(l->rat, policy_snapshot_rat(loaded->policy, SLICE("in")));
    assert_int_equal(policy_hat_rows_count(l->hat), 2);
    config_loaded_destroy(loaded);
    config_loaded_destroy(NULL);
}

static void every_key_has_its_effect(void **unused)
{
    static const char more[] =
        "hostname = \"mx.example.com\"; workers = 3;\n"
        "log = { format = \"asyncos\"; file = \"log/mail\"; }; admin = { socket = "
        "\"a.sock\"; };\n"
        "tls = { ktls = \"tx\"; min_version = \"1.3\"; ca_file = \"ca.pem\"; };\n"
        "session = { command_timeout = \"90s\"; data_timeout = \"2m\"; max_time = \"1h\";\n"
        "            max_errors = 4; max_commands = 500; };\n"
        "shutdown = { grace = \"0s\"; }; memory = { messages = 33554432; };";
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    assert_int_equal(load(configuration(&text, 1, more).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    const struct config_settings *s = &loaded->settings;

    assert_int_equal(s->workers, 3);
    assert_string_equal(s->log_path, "/etc/p/log/mail");
    assert_string_equal(s->admin_socket_path, "/etc/p/a.sock");
    assert_int_equal(s->ktls, POLICY_KTLS_TX);
    assert_int_equal(s->listeners[0].ktls, POLICY_KTLS_TX);
    assert_int_equal(s->tls_version_min, CONFIG_TLS_1_3);
    assert_string_equal(s->tls_ca_path, "/etc/p/ca.pem");
    assert_int_equal(s->command_timeout_s, 90);
    assert_int_equal(s->data_timeout_s, 120);
    assert_int_equal(s->session_max_s, 3600);
    assert_int_equal(s->max_errors, 4);
    assert_int_equal(s->max_commands, 500);
    assert_int_equal(s->grace_s, 0);
    assert_int_equal(s->memory_message_bytes, 32 << 20);
    config_loaded_destroy(loaded);
}

static void the_dns_is_asked_as_configured(void **unused)
{
    static const struct {
        const char *anchor;
        const char *path;
    } cases[] = {
        { "", "" },
        { "trust_anchor = \"root.key\";", "/etc/p/root.key" },
        { "trust_anchor = \"/k/root.key\";", "/k/root.key" },
        { "trust_anchor = \"./system\";", "/etc/p/./system" },
        { "trust_anchor = \"system\";", "/usr/share/dns/root.key" },
    };
    static char lines[TEXT_MAX];
    char line[512];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        (void)snprintf(line, sizeof(line),
                       "hostname = \"mx.example.com\"; dns = { %s servers = [ \"192.0.2.53\" ];\n"
                       "stub_zones = ( { zone = \"a.test\"; servers = [ \"192.0.2.54:5353\" ]; },\n"
                       "  { zone = \"b.test\"; servers = [ \"192.0.2.55\" ]; validate = true; } ); "
                       "};",
                       cases[i].anchor);
        assert_int_equal(load(configuration(&text, 1, line).data, &loaded, lines), STATUS_OK);
        buffer_finish(&text);
        const struct config_dns *dns = &loaded->settings.dns;

        assert_string_equal(dns->trust_anchor_path, cases[i].path);
        assert_int_equal(dns->servers_count, 1);
        assert_int_equal(dns->servers[0].port, 53);
        assert_int_equal(dns->stubs_count, 2);
        assert_int_equal(dns->stubs[0].servers[0].port, 5353);
        assert_false(dns->stubs[0].is_validated);
        assert_string_equal(dns->stubs[1].zone, "b.test");
        assert_true(dns->stubs[1].is_validated);
        config_loaded_destroy(loaded);
    }
}

static void a_domain_takes_from_the_default_what_it_does_not_say(void **unused)
{
    static const char destinations[] =
        "destinations = { default = { tls = \"preferred\"; max_connections = 20;\n"
        "  ktls = \"tx\"; }; domains = (\n"
        "  { domain = \"a.example\"; tls = \"required\"; bounce_profile = \"fast\";\n"
        "    ktls = \"off\"; },\n"
        "  { domain = \".a.example\"; max_connections = 2; } ); };\n"
        "bounce_profiles = { fast = { max_age = \"1h\"; }; default = { max_retries = 7; }; };//";
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    buffer_init(&text, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(good) - 1; i++)
        append(&text, i + 1 == 11 ? destinations : good[i]);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    assert_int_equal(load(buffer_contents(&text).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    const struct policy_destination *d =
        policy_destination_find(loaded->policy, SLICE("a.example"));

    assert_int_equal(d->tls, POLICY_TLS_REQUIRED);
    assert_int_equal(d->ktls, POLICY_KTLS_OFF);
    assert_int_equal(d->max_connections, 20);
    assert_int_equal(d->bounce_profile->max_age_s, 3600);
    assert_int_equal(d->bounce_profile->max_retries, 100);
    d = policy_destination_find(loaded->policy, SLICE("b.a.example"));
    assert_int_equal(d->tls, POLICY_TLS_PREFERRED);
    assert_int_equal(d->ktls, POLICY_KTLS_TX);
    assert_int_equal(d->max_connections, 2);
    assert_int_equal(d->bounce_profile->max_retries, 7);
    d = policy_destination_find(loaded->policy, SLICE("b.example"));
    assert_int_equal(d->max_connections, 20);
    assert_int_equal(d->bounce_profile->max_retries, 7);
    config_loaded_destroy(loaded);
}

static void a_route_keeps_what_it_says_of_its_hosts(void **unused)
{
    static const char routes[] =
        "routes = ( { domain = \"ALL\"; to = [ \"mx.example.net:26/pri=10\", "
        "\"[mx.example.net]\", \"[2001:db8::1]\" ]; },\n"
        "{ domain = \"b.example\"; to = [ \"USEDNS\" ]; },\n"
        "{ domain = \"c.example\"; to = [ \"/dev/null\" ]; } );";
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    assert_int_equal(load(configuration(&text, 12, routes).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    const struct policy_route *r = policy_route_find(loaded->policy, SLICE("x.example"));

    assert_int_equal(r->action, POLICY_ROUTE_HOSTS);
    assert_int_equal(r->hosts_count, 3);
    assert_int_equal(r->hosts[0].lookup, POLICY_ROUTE_MX);
    assert_int_equal(r->hosts[0].port, 26);
    assert_int_equal(r->hosts[0].priority, 10);
    assert_string_equal(r->hosts[0].host.data, "mx.example.net");
    assert_int_equal(r->hosts[1].lookup, POLICY_ROUTE_NAME);
    assert_int_equal(r->hosts[2].lookup, POLICY_ROUTE_ADDRESS);
    assert_int_equal(r->hosts[2].port, 0);
    r = policy_route_find(loaded->policy, SLICE("b.example"));
    assert_int_equal(r->action, POLICY_ROUTE_USEDNS);
    assert_int_equal(r->hosts_count, 0);
    assert_int_equal(policy_route_find(loaded->policy, SLICE("c.example"))->action,
                     POLICY_ROUTE_DISCARD);
    config_loaded_destroy(loaded);
}

static void problems_of_every_section_come_in_one_run(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;

    (void)unused;
    assert_int_equal(load("hostname = \"a b\";\n"
                          "listeners = ( { name = \"x\"; } );\n"
                          "hat = { in = ( ); };\n"
                          "routes = ( { domain = \"a\"; } );\n"
                          "log = { file = 3; };\n",
                          &loaded, lines),
                     STATUS_INVALID);
    assert_string_equal(lines,
                        "t.conf: \"spool\" is missing\n"
                        "t.conf: \"mail_flow_policies\" is missing\n"
                        "t.conf:1: hostname = \"a b\" is not a host name\n"
                        "t.conf:2: a listener: \"type\" is missing\n"
                        "t.conf:2: a listener: \"address\" is missing\n"
                        "t.conf:2: a listener: \"hat\" is missing\n"
                        "t.conf:3: hat \"in\" has to be a list of rows: ( { ... }, { ... } )\n"
                        "t.conf:4: a route: \"to\" is missing\n"
                        "t.conf:5: file has to be a string");
}

static void more_problems_than_are_kept_are_counted(void **unused)
{
    struct config_load_options options = { .skip_files = true };
    struct config_problems problems;
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < 150; i++)
        assert_int_equal(buffer_printf(&text, "unknown%d = 1;\n", i), STATUS_OK);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    config_problems_init(&problems);
    assert_int_equal(
        config_load_text("t", buffer_contents(&text).data, &options, &loaded, &problems),
        STATUS_INVALID);
    assert_int_equal(problems.count, CONFIG_PROBLEMS_MAX);
    assert_true(problems.errors_count >= 150);
    assert_int_equal(problems.count + problems.dropped_count, problems.errors_count);
    config_problems_finish(&problems);
    buffer_finish(&text);
}

static void a_size_is_judged_where_it_is_said_or_used(void **unused)
{
#define TOO_LARGE(size)                                                                            \
    "max_message_size " size " is more than all messages in memory may have (memory: messages = "  \
    "\"16M\")"
#define MEMORY   "memory = { messages = \"16M\"; };"
#define LISTENER "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; "
    static const struct {
        size_t line;
        const char *replacement, *problems;
    } cases[] = {
        /* A policy that lets no mail in has no use for a size. */
        { 1, "hostname = \"mx.example.com\"; " MEMORY,
          "t.conf:6: policy \"ACCEPTED\" at listener \"In\": " TOO_LARGE("20M") },
        { 6,
          MEMORY " mail_flow_policies = {\nACCEPTED = { access = \"accept\"; tls = "
                 "\"preferred\";\nmax_message_size = \"17M\"; };",
          "t.conf:8: " TOO_LARGE("17M") },
        /* The listener says it for all policies, or says it wrong for all. */
        { 5, LISTENER "defaults = { max_message_size = \"1M\"; }; } ); " MEMORY, "" },
        { 5, LISTENER "defaults = {\nmax_message_size = \"17M\"; }; } ); " MEMORY,
          "t.conf:6: " TOO_LARGE("17M") },
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        if (load(configuration(&text, cases[i].line, cases[i].replacement).data, &loaded, lines) ==
            STATUS_OK)
            config_loaded_destroy(loaded);
        assert_string_equal(lines, cases[i].problems);
        buffer_finish(&text);
    }
}

/* The example of the design, as far as this version supports it. */
static void the_core_names_load_together(void **unused)
{
    static const char text[] =
        "hostname = \"mx1.example.com\";\n"
        "workers = 0;\n"
        "spool = { path = \"/var/spool/postern\"; };\n"
        "certificates = { mail = { chain = \"mail.pem\"; key = \"mail.key\"; }; };\n"
        "tls = { ktls = \"auto\"; min_version = \"1.2\"; ca_file = \"/etc/ssl/ca.crt\"; };\n"
        "log = { format = \"asyncos\"; file = \"-\"; };\n"
        "admin = { socket = \"/run/postern/admin.sock\"; };\n"
        "listeners = ( { name = \"Inbound\"; type = \"public\"; address = \"0.0.0.0\";\n"
        "  port = 25; certificate = \"mail\"; hat = \"inbound\"; rat = \"inbound\";\n"
        "  max_connections = 1000; backlog = 50; ktls = \"both\"; } );\n"
        "mail_flow_policies = { ACCEPTED = { access = \"accept\"; tls = \"preferred\";\n"
        "    max_message_size = \"20M\"; max_connections_per_ip = 1000;\n"
        "    max_messages_per_connection = 1000; max_recipients_per_message = 1000; };\n"
        "  TLS_REQUIRED = { access = \"accept\"; tls = \"required\"; }; };\n"
        "hat = { inbound = ( { group = \"CRES\"; senders = [ \".res.cisco.com\",\n"
        "    \".cres.iphmx.com\", \"208.90.57.0/26\", \"204.15.81.0/26\" ];\n"
        "    policy = \"TLS_REQUIRED\"; },\n"
        "  { group = \"ALL\"; senders = [ \"ALL\" ]; policy = \"ACCEPTED\"; } ); };\n"
        "rat = { inbound = ( { recipients = [ \"example.com\", \".example.com\" ];\n"
        "  action = \"accept\"; } ); };\n"
        "destinations = { default = { tls = \"preferred\"; max_connections = 500;\n"
        "  max_messages_per_connection = 50; };\n"
        "  domains = ( { domain = \"partner.example\"; tls = \"required\"; } ); };\n"
        "routes = ( { domain = \"example.com\"; to = [ \"192.0.2.10:25\" ]; } );\n"
        "bounce_profiles = { default = { initial_retry = \"60s\"; max_retry = \"1h\";\n"
        "  max_age = \"72h\"; max_retries = 100; }; };\n";
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;

    (void)unused;
    assert_int_equal(load(text, &loaded, lines), STATUS_OK);
    assert_string_equal(
        lines, "t.conf:9: warning: listener \"Inbound\" accepts mail for <postmaster>, but no "
               "route is for the hostname \"mx1.example.com\" or ALL: its MX may lead back here\n"
               "t.conf:19: warning: \".example.com\" in rat \"inbound\" is accepted, but no route "
               "covers it: its MX may lead back here");
    assert_int_equal(loaded->settings.ktls, POLICY_KTLS_AUTO);
    assert_int_equal(loaded->settings.listeners[0].ktls, POLICY_KTLS_BOTH);
    config_loaded_destroy(loaded);
}

static void running_out_of_memory_anywhere_is_reported(void **unused)
{
    struct config_load_options options = { .skip_files = true };
    struct buffer text;
    size_t failures = 0;

    (void)unused;
    (void)configuration(&text, 0, NULL);
    for (options.bytes_max = 16;; options.bytes_max += 16) {
        struct config_loaded *loaded = NULL;
        struct config_problems problems;
        enum status status;

        config_problems_init(&problems);
        status = config_load_text("t", buffer_contents(&text).data, &options, &loaded, &problems);
        assert_int_equal(problems.errors_count, status == STATUS_OK ? 0 : 1);
        config_problems_finish(&problems);
        config_loaded_destroy(loaded);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_NO_MEMORY);
        failures++;
    }
    assert_true(failures > 50);
    buffer_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_configuration_loads_with_its_values_and_defaults),
        cmocka_unit_test(every_key_has_its_effect),
        cmocka_unit_test(the_dns_is_asked_as_configured),
        cmocka_unit_test(a_domain_takes_from_the_default_what_it_does_not_say),
        cmocka_unit_test(a_route_keeps_what_it_says_of_its_hosts),
        cmocka_unit_test(problems_of_every_section_come_in_one_run),
        cmocka_unit_test(more_problems_than_are_kept_are_counted),
        cmocka_unit_test(a_size_is_judged_where_it_is_said_or_used),
        cmocka_unit_test(the_core_names_load_together),
        cmocka_unit_test(running_out_of_memory_anywhere_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
