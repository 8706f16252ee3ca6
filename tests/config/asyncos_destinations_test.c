#include "base/hash.h"
#include "config/asyncos_destinations.h"
#include "config/asyncos_routes.h"
#include "tests/config/import.h"

#define NONE "t.txt: warning: has no [DEFAULT]: its values are those of a new ESA"

struct import_case {
    const char *text;
    const char *written; /* part of the configuration */
    const char *report;  /* all of it */
};

static void expect_imported(import_function *function, const struct import_case *cases,
                            size_t count)
{
    static struct imported i;

    for (size_t k = 0; k < count; k++) {
        import_text(&i, function, slice_from(cases[k].text));
        if (strcmp(i.lines, cases[k].report) != 0 ||
            strstr(buffer_contents(&i.text).data, cases[k].written) == NULL)
            fail_msg("case %zu:\n%s\ngives\n%s\n%s\nexpected\n%s\n%s", k, cases[k].text,
                     buffer_contents(&i.text).data, i.lines, cases[k].written, cases[k].report);
        if (i.status == STATUS_OK)
            expect_syntax(&i);
        imported_finish(&i);
    }
}

/* The example of the user guide. */
static const char guide[] = "[DEFAULT]\n"
                            "ip_sort_pref = PREFER_V6\n"
                            "max_host_concurrency = 500\n"
                            "max_messages_per_connection = 50\n"
                            "recipient_minutes = 60\n"
                            "recipient_limit = 300\n"
                            "limit_type = host\n"
                            "limit_apply = VG\n"
                            "table_tls = off\n"
                            "bounce_validation = 0\n"
                            "send_tls_req_alert = 0\n"
                            "certificate = example.com\n"
                            "[example1.com]\n"
                            "ip_sort_pref = PREFER_V6\n"
                            "recipient_minutes = 60\n"
                            "recipient_limit = 100\n"
                            "table_tls = require_verify\n"
                            "limit_apply = VG\n"
                            "bounce_profile = tls_failed\n"
                            "limit_type = host\n"
                            "[example2.com]\n"
                            "table_tls = on\n"
                            "bounce_profile = tls_failed\n";

static const char guide_written[] =
    "# Destination Controls of AsyncOS, written by `postern import destinations`.\n"
    "\n"
    "destinations = {\n"
    "  default = {\n"
    "    tls = \"off\";\n"
    "    certificate = \"example_com\";\n"
    "    ip_version = \"prefer-v6\";\n"
    "    max_connections = 500;\n"
    "    max_messages_per_connection = 50;\n"
    "    max_recipients = 300;\n"
    "    recipients_interval = \"1h\";\n"
    "    limit_per = \"domain\";\n"
    "  };\n"
    "  domains = (\n"
    "    { domain = \"example1.com\"; tls = \"required-verify\"; ip_version = \"prefer-v6\";\n"
    "      max_recipients = 100; recipients_interval = \"1h\"; limit_per = \"domain\";\n"
    "      bounce_profile = \"tls_failed\"; },\n"
    "    { domain = \"example2.com\"; tls = \"preferred\"; bounce_profile = \"tls_failed\"; }\n"
    "  );\n"
    "};\n";

static const char guide_report[] =
    "t.txt:8: warning: limit_apply: not carried over: Postern has no Virtual Gateways, a limit is "
    "for all of it (also line 18)\n"
    "t.txt:12: warning: certificate \"example.com\" is written as \"example_com\"\n"
    "t.txt:12: warning: example.com: has to be in certificates: the file has its name only\n"
    "t.txt:19: warning: tls_failed: has to be in bounce_profiles: the file has its name only (also "
    "line 23)";

static void the_example_of_the_guide_is_carried_over(void **unused)
{
    static struct imported i;

    (void)unused;
    import_text(&i, config_import_destinations, slice_from(guide));
    assert_string_equal(i.lines, guide_report);
    assert_string_equal(buffer_contents(&i.text).data, guide_written);
    expect_syntax(&i);
    imported_finish(&i);
}

#define KEY(line, written)                                                                         \
    {                                                                                              \
        "[DEFAULT]\n[a.example]\n" line "\n", written, ""                                          \
    }

static void keys_and_words_are_taken_in_any_form(void **unused)
{
    static const struct import_case cases[] = {
        KEY("table_tls = 0", "tls = \"off\";"),
        KEY("table_tls = 1", "tls = \"preferred\";"),
        KEY("table_tls = 2", "tls = \"required\";"),
        KEY("table_tls = 3", "tls = \"preferred-verify\";"),
        KEY("table_tls = 4", "tls = \"required-verify\";"),
        KEY("table_tls = 5", "tls = \"required-verify-hosted\";"),
        KEY("Table_TLS=Off", "tls = \"off\";"),
        KEY("table_tls: ON", "tls = \"preferred\";"),
        KEY("  table_tls\t=\trequired  ", "tls = \"required\";"),
        KEY("table_tls = On_Verify", "tls = \"preferred-verify\";"),
        KEY("table_tls = REQUIRE_VERIFY", "tls = \"required-verify\";"),
        KEY("table_tls = Required - Verify Hosted Domains", "tls = \"required-verify-hosted\";"),
        KEY("table_tls = on ; for now", "# for now\n    { domain = \"a.example\"; tls = "
                                        "\"preferred\";"),
        KEY("ip_sort_pref = REQUIRE_v4", "ip_version = \"require-v4\";"),
        KEY("ip_sort_pref = prefer_v4", "ip_version = \"prefer-v4\";"),
        KEY("limit_type = 1\nlimit_apply = 0", "limit_per = \"address\";"),
        KEY("limit_type = mxip\nlimit_apply = SYSTEM", "limit_per = \"address\";"),
        KEY("limit_type = 0", "limit_per = \"domain\";"),
        KEY("dane_mode = 2\nmta_sts = 1\ntable_tls = on", "dane = \"mandatory\"; mta_sts = true;"),
        KEY("dane_support = Opportunistic", "dane = \"opportunistic\";"),
        KEY("recipient_limit = 0", "max_recipients = 0; }"),
        KEY("bounce_validation = off", "{ domain = \"a.example\"; }"),
        KEY("table_tls = Default\nip_sort_pref = \nbounce_profile = default",
            "{ domain = \"a.example\"; }"),
        /* Forms of the file. */
        { "\xef\xbb\xbf[default]\r\ntable_tls = on\r\n[.A.example]\r\n", "tls = \"preferred\";\n",
          "" },
        { "; one\n[DEFAULT] # two\n# three\ntable_tls = on\n\n# four\n[a.example]\n# five\n",
          "    # one\n    # two\n    # three\n    tls = \"preferred\";\n", "" },
        { "[DEFAULT]\n# four\n[a.example]\n# five\n",
          "    # four\n    { domain = \"a.example\"; }\n  );\n};\n# five\n", "" },
        { "[DEFAULT]\n", "default = {\n  };\n  domains = (\n  );\n", "" },
        { "[a.example]\nmax_host_concurrency = 3\n",
          "default = {\n  };\n  domains = (\n    { domain = \"a.example\"; max_connections = 3; }",
          NONE },
        /* An interval goes where its limit is. */
        { "[DEFAULT]\nrecipient_minutes = 5\n[a.example]\nrecipient_limit = 9\n[b.example]\n",
          "default = {\n  };\n  domains = (\n    { domain = \"a.example\"; max_recipients = 9; "
          "recipients_interval = \"5m\"; },\n    { domain = \"b.example\"; }",
          "" },
        { "[DEFAULT]\nrecipient_minutes = 5\nrecipient_limit = 7\n[a.example]\n"
          "recipient_limit = 9\n"
          "[b.example]\nrecipient_minutes = 6\n[c.example]\nrecipient_limit = 0\n"
          "recipient_minutes = 6\n",
          "max_recipients = 7;\n    recipients_interval = \"5m\";\n  };\n  domains = (\n"
          "    { domain = \"a.example\"; max_recipients = 9; },\n"
          "    { domain = \"b.example\"; recipients_interval = \"6m\"; },\n"
          "    { domain = \"c.example\"; max_recipients = 0; }",
          "" },
    };

    (void)unused;
    expect_imported(config_import_destinations, cases, ARRAY_LEN(cases));
}

static void what_is_lost_is_told(void **unused)
{
    static const struct import_case cases[] = {
        { "[DEFAULT]\ncolour = red\nsend_tls_req_alert = 1\nbounce_profile = x\n[a.example]\n"
          "send_tls_req_alert = 0\nColour = 1\nbounce_validation = on\nlimit_apply = 1\n",
          "{ domain = \"a.example\"; }",
          "t.txt:2: warning: colour: not carried over: not a key that Postern knows (also line 7)\n"
          "t.txt:3: warning: send_tls_req_alert: not carried over: the section alerts says who "
          "is told (required_tls, mail)\n"
          "t.txt:4: warning: bounce_profile is not carried over: it belongs to a domain\n"
          "t.txt:6: warning: send_tls_req_alert is not carried over: it belongs to [DEFAULT]\n"
          "t.txt:8: warning: bounce_validation: not carried over: the senders of mail are not "
          "tagged by this table\n"
          "t.txt:9: warning: limit_apply: not carried over: Postern has no Virtual Gateways, a "
          "limit is for all of it" },
        { "[DEFAULT]\n[a.example]\nmax_host_concurrency = 1001\nrecipient_minutes = 61\n"
          "max_messages_per_connection = 0\nrecipient_limit = 1000000001\n",
          "{ domain = \"a.example\"; }",
          "t.txt:3: warning: max_host_concurrency = 1001 is not carried over: it has to be from 1 "
          "to 1000\n"
          "t.txt:4: warning: recipient_minutes = 61 is not carried over: it has to be from 1 to "
          "60\n"
          "t.txt:5: warning: max_messages_per_connection = 0 is not carried over: it has to be "
          "from 1 to 1000\n"
          "t.txt:6: warning: recipient_limit = 1000000001 is not carried over: it has to be from 0 "
          "to 1000000000" },
        { "[DEFAULT]\n[a.example]\ntable_tls = on\ntable_tls = off\n[A.example.]\ntable_tls = 2\n"
          "max_host_concurrency = 4\n",
          "  domains = (\n    { domain = \"a.example\"; tls = \"required\"; max_connections = 4; "
          "}\n  );",
          "t.txt:4: warning: table_tls is said before: this is taken\n"
          "t.txt:5: warning: \"A.example.\" stands already in line 2: both are taken" },
        /* Without minutes there is no limit, in the default or anywhere. */
        { "[DEFAULT]\n[a.example]\nrecipient_limit = 9\n[b.example]\nrecipient_limit = 0\n",
          "{ domain = \"a.example\"; },\n    { domain = \"b.example\"; max_recipients = 0; }",
          "t.txt:2: warning: recipient_limit: not carried over: without recipient_minutes there is "
          "no limit" },
        { "[DEFAULT]\nrecipient_limit = 7\n[a.example]\nrecipient_minutes = 6\n[b.example]\n",
          "default = {\n  };\n  domains = (\n    { domain = \"a.example\"; max_recipients = 7; "
          "recipients_interval = \"6m\"; },\n    { domain = \"b.example\"; }",
          "t.txt:1: warning: recipient_limit: not carried over: without recipient_minutes there is "
          "no limit" },
        { "[DEFAULT]\n[a.example]\nbounce_profile = 1 of us\n", "bounce_profile = \"P_1_of_us\";",
          "t.txt:3: warning: bounce_profile \"1 of us\" is written as \"P_1_of_us\"\n"
          "t.txt:3: warning: 1 of us: has to be in bounce_profiles: the file has its name only" },
    };

    (void)unused;
    expect_imported(config_import_destinations, cases, ARRAY_LEN(cases));
}

static void what_is_not_understood_gives_nothing(void **unused)
{
    static const struct import_case cases[] = {
        { "table_tls = on\n[DEFAULT]\n", "",
          "t.txt:1: table_tls stands in front of the first [SECTION]" },
        { "[DEFAULT]\n[DEFAULT]\n", "", "t.txt:2: a second [DEFAULT] (see line 1)" },
        { "[DEFAULT]\nhello\n= 1\n[x\n", "",
          "t.txt:2: is neither [SECTION] nor KEY = VALUE\n"
          "t.txt:3: is neither [SECTION] nor KEY = VALUE\n"
          "t.txt:4: is neither [SECTION] nor KEY = VALUE" },
        { "[a b]\ntable_tls = maybe\n[]\n", "",
          "t.txt:1: \"a b\" is not a domain or \".domain\"\n"
          "t.txt:2: table_tls has to be one of off, on, required, on_verify, require_verify, "
          "require_verify_hosted, not \"maybe\"\n"
          "t.txt:3: \"\" is not a domain or \".domain\"" },
        { "[DEFAULT]\nlimit_type = 2\nlimit_apply = ip\nmax_host_concurrency = many\n", "",
          "t.txt:2: limit_type has to be one of host, MXIP, not \"2\"\n"
          "t.txt:3: limit_apply has to be one of system, not \"ip\"\n"
          "t.txt:4: max_host_concurrency has to be a number, not \"many\"" },
        { "[DEFAULT]\ntable_tls = \x1b[2J\n", "", "t.txt:2: a control character" },
        /* Two names that would be one. */
        { "[DEFAULT]\n[a.example]\nbounce_profile = tls_failed\n[b.example]\n"
          "bounce_profile = tls failed\n[c.example]\nbounce_profile = TLS_Failed\n",
          "",
          "t.txt:3: warning: tls_failed: has to be in bounce_profiles: the file has its name only "
          "(also line 7)\n"
          "t.txt:4: bounce_profile \"tls_failed\" and \"tls failed\" would both be "
          "\"tls_failed\" here\n"
          "t.txt:5: warning: bounce_profile \"tls failed\" is written as \"tls_failed\"\n"
          "t.txt:5: warning: tls failed: has to be in bounce_profiles: the file has its name "
          "only" },
        { "[DEFAULT]\ncertificate = a.b\n[a.example]\ncertificate = a b\n", "",
          "t.txt:2: warning: certificate \"a.b\" is written as \"a_b\"\n"
          "t.txt:2: warning: a.b: has to be in certificates: the file has its name only\n"
          "t.txt:3: certificate \"a.b\" and \"a b\" would both be \"a_b\" here\n"
          "t.txt:4: warning: certificate \"a b\" is written as \"a_b\"\n"
          "t.txt:4: warning: a b: has to be in certificates: the file has its name only" },
    };

    (void)unused;
    expect_imported(config_import_destinations, cases, ARRAY_LEN(cases));
}

static void routes_are_carried_over(void **unused)
{
    static const struct import_case cases[] = {
        { "# first\n.example.com  mx1.internal:25/pri=10, mx2.internal/pri=20  # both\n"
          "example.net:\t[192.0.2.1],[2001:db8::1]:2525 2001:db8::2\n"
          "example.org usedns\r\n\nALL: /dev/null\n# last",
          "routes = (\n"
          "  # first\n"
          "  # both\n"
          "  { domain = \".example.com\"; to = [ \"mx1.internal:25/pri=10\", "
          "\"mx2.internal/pri=20\" ]; },\n"
          "  { domain = \"example.net\"; to = [ \"[192.0.2.1]\", \"[2001:db8::1]:2525\", "
          "\"2001:db8::2\" ]; },\n"
          "  { domain = \"example.org\"; to = [ \"USEDNS\" ]; },\n"
          "  { domain = \"ALL\"; to = [ \"/dev/null\" ]; }\n"
          ");\n"
          "# last\n",
          "" },
        { "a.example a-rather-long-name.of-a-host.example:2525/pri=10 "
          "another-rather-long-name.of-a-host.example:2525/pri=20\n",
          "  { domain = \"a.example\"; to = [\n"
          "      \"a-rather-long-name.of-a-host.example:2525/pri=10\",\n"
          "      \"another-rather-long-name.of-a-host.example:2525/pri=20\"\n"
          "    ]; }\n",
          "" },
        { "a.example b.c\nA.example. d\na.example", "",
          "t.txt:2: \"A.example.\" stands already in line 1\n"
          "t.txt:3: \"a.example\" has no hosts" },
        { "* a\n. a\n@ a\na.example x:y, [z, /dev/nul\nb.example USEDNS, a\n", "",
          "t.txt:1: \"*\" is not a domain, \".domain\" or ALL\n"
          "t.txt:2: \".\" is not a domain, \".domain\" or ALL\n"
          "t.txt:3: \"@\" is not a domain, \".domain\" or ALL\n"
          "t.txt:4: \"x:y\" is not a host: \"mx.example.com\", \"[mx.example.com]:25/pri=10\", "
          "\"192.0.2.1\", USEDNS or /dev/null\n"
          "t.txt:4: \"[z\" is not a host: \"mx.example.com\", \"[mx.example.com]:25/pri=10\", "
          "\"192.0.2.1\", USEDNS or /dev/null\n"
          "t.txt:4: \"/dev/nul\" is not a host: \"mx.example.com\", "
          "\"[mx.example.com]:25/pri=10\", \"192.0.2.1\", USEDNS or /dev/null\n"
          "t.txt:5: USEDNS and /dev/null stand alone in a route" },
    };

    (void)unused;
    expect_imported(config_import_routes, cases, ARRAY_LEN(cases));
}

static void a_route_has_as_many_hosts_as_one_of_ours(void **unused)
{
    static struct imported i;
    struct buffer text;

    (void)unused;
    for (size_t more = 0; more < 2; more++) {
        buffer_init(&text, TEXT_MAX);
        assert_int_equal(buffer_append_text(&text, "a.example"), STATUS_OK);
        for (size_t k = 0; k < POLICY_ROUTE_HOSTS_MAX + more; k++)
            assert_int_equal(buffer_printf(&text, " h%zu.example", k), STATUS_OK);
        import_text(&i, config_import_routes, buffer_contents(&text));
        assert_string_equal(i.lines, more == 0 ? "" : "t.txt:1: a route has at most 64 hosts");
        if (more == 0)
            expect_syntax(&i);
        imported_finish(&i);
        buffer_finish(&text);
    }
}

/* A configuration that holds what an import has written. */
static struct config_loaded *load_written(const char *destinations)
{
    const struct config_load_options options = { .generation = 1, .skip_files = true };
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    struct buffer text;

    buffer_init(&text, (size_t)1 << 24);
    for (size_t k = 0; k < ARRAY_LEN(good); k++)
        append(
            &text,
            k == 0    ? "hostname = \"mx.example.com\"; tls = { ca_file = \"x\"; };"
            : k == 10 ? destinations
            : k == 12
                ? "bounce_profiles = { fast = { max_age = \"1h\"; }; slow = { }; default = { }; };"
                : good[k]);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    config_problems_init(&problems);
    if (config_load_text("t.conf", buffer_contents(&text).data, &options, &loaded, &problems) !=
        STATUS_OK)
        fail_msg("line %u: %s, of\n%s", problems.items[0].line, problems.items[0].text,
                 destinations);
    config_problems_finish(&problems);
    buffer_finish(&text);
    return loaded;
}

static struct buffer export(const struct config_loaded *loaded, const char *report)
{
    struct config_problems problems;
    struct buffer text;
    char lines[TEXT_MAX] = "";
    size_t used = 0;

    buffer_init(&text, CONFIG_ASYNCOS_OUTPUT_MAX);
    config_problems_init(&problems);
    assert_int_equal(config_export_destinations(loaded, "t.conf", &text, &problems), STATUS_OK);
    for (size_t k = 0; k < problems.count; k++) {
        config_problem_format(&problems.items[k], lines + used, sizeof(lines) - used);
        used += strlen(lines + used);
        lines[used++] = '\n';
        lines[used] = '\0';
    }
    assert_string_equal(lines, report);
    config_problems_finish(&problems);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    return text;
}

static void expect_equal(const struct policy_destination *a, const struct policy_destination *b)
{
    if (!slice_equal(a->name, b->name) || a->tls != b->tls || a->dane != b->dane ||
        a->ip != b->ip || a->limit_scope != b->limit_scope || a->mta_sts != b->mta_sts ||
        a->max_connections != b->max_connections ||
        a->max_messages_per_connection != b->max_messages_per_connection ||
        a->max_recipients != b->max_recipients || a->has_bounce_profile != b->has_bounce_profile ||
        a->tls_client != b->tls_client ||
        (a->max_recipients > 0 && a->recipients_interval_s != b->recipients_interval_s) ||
        !slice_equal(a->bounce_profile->name, b->bounce_profile->name))
        fail_msg("%.*s and %.*s differ", SLICE_ARGS(a->name), SLICE_ARGS(b->name));
}

static uint64_t draw(uint64_t *state)
{
    *state = hash_number(*state + 1);
    return *state >> 8;
}

/* Any of what a destination may say and AsyncOS has a key for, or nothing of it. */
static void write_random_values(struct buffer *b, uint64_t *state, bool is_default)
{
    static const char *const tls[] = { "off",
                                       "preferred",
                                       "required",
                                       "preferred-verify",
                                       "required-verify",
                                       "required-verify-hosted" };
    static const char *const ip[] = { "prefer-v6", "require-v6", "prefer-v4", "require-v4" };
    static const char *const dane[] = { "off", "opportunistic", "mandatory" };
    static const char *const scope[] = { "domain", "address" };
    const char *setting = tls[draw(state) % ARRAY_LEN(tls)];
    bool has_tls = is_default || draw(state) % 2 == 0,
         wants = has_tls && strcmp(setting, "off") != 0;
    bool ok = true;

#define MAYBE(...)                                                                                 \
    do {                                                                                           \
        if (draw(state) % 2 == 0)                                                                  \
            ok = buffer_printf(b, __VA_ARGS__) == STATUS_OK && ok;                                 \
    } while (0)
    if (has_tls)
        ok = buffer_printf(b, "tls = \"%s\"; ", setting) == STATUS_OK;
    if (wants)
        MAYBE("dane = \"%s\"; ", dane[draw(state) % ARRAY_LEN(dane)]);
    if (wants)
        MAYBE("mta_sts = %s; ", draw(state) % 2 == 0 ? "true" : "false");
    MAYBE("ip_version = \"%s\"; ", ip[draw(state) % ARRAY_LEN(ip)]);
    MAYBE("max_connections = %u; ", 1 + (unsigned)(draw(state) % 1000));
    MAYBE("max_messages_per_connection = %u; ", 1 + (unsigned)(draw(state) % 1000));
    MAYBE("max_recipients = %u; ", (unsigned)(draw(state) % 3));
    MAYBE("recipients_interval = \"%um\"; ", 1 + (unsigned)(draw(state) % 60));
    MAYBE("limit_per = \"%s\"; ", scope[draw(state) % ARRAY_LEN(scope)]);
    if (is_default)
        MAYBE("certificate = \"mail\"; ");
    else
        MAYBE("bounce_profile = \"%s\"; ", draw(state) % 2 == 0 ? "fast" : "slow");
#undef MAYBE
    assert_true(ok);
}

static void what_is_exported_and_imported_is_the_same(void **unused)
{
    static struct imported i;
    const uint64_t seed = 20261126;
    uint64_t state = seed;

    (void)unused;
    for (unsigned round = 0; round < 200; round++) {
        struct config_loaded *first, *second;
        struct buffer text, exported, again;

        buffer_init(&text, (size_t)1 << 20);
        append(&text, "destinations = { default = {");
        write_random_values(&text, &state, true);
        append(&text, "}; domains = (");
        for (unsigned k = 0; k < 20; k++) {
            assert_int_equal(buffer_printf(&text, "%s{ domain = \"%sd%u.example\"; ",
                                           k > 0 ? ", " : "", k % 3 == 0 ? "." : "", k),
                             STATUS_OK);
            write_random_values(&text, &state, false);
            append(&text, "}");
        }
        append(&text, "); };");
        assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
        first = load_written(buffer_contents(&text).data);
        exported = export(first, "");
        import_text(&i, config_import_destinations, slice_from(buffer_contents(&exported).data));
        assert_int_equal(i.status, STATUS_OK);
        second = load_written(buffer_contents(&i.text).data);
        expect_equal(policy_snapshot_destination_default(first->policy),
                     policy_snapshot_destination_default(second->policy));
        assert_int_equal(policy_snapshot_destinations_count(second->policy), 20);
        for (size_t k = 0; k < 20; k++)
            expect_equal(policy_snapshot_destination(first->policy, k),
                         policy_snapshot_destination(second->policy, k));
        again = export(second, "");
        imported_finish(&i);
        import_text(&i, config_import_destinations, slice_from(buffer_contents(&again).data));
        assert_int_equal(i.status, STATUS_OK);
        config_loaded_destroy(first);
        config_loaded_destroy(second);
        imported_finish(&i);
        buffer_finish(&text);
        buffer_finish(&exported);
        buffer_finish(&again);
    }
}

static void an_export_is_in_words_and_tells_what_it_leaves_out(void **unused)
{
    static const char destinations[] =
        "destinations = { default = { tls = \"preferred\"; max_recipients = 9; recipients_interval "
        "= \"90s\";\n certificate = \"mail\"; tls_min_version = \"1.3\"; "
        "bounce_profile = \"fast\"; ktls = \"off\"; };\n"
        "domains = ( { domain = \"a.example\"; tls = \"required-verify-hosted\"; certificate = "
        "\"\"; max_recipients = 0; },\n"
        "{ domain = \".b.example\"; tls_fallback_clear = \"after-failed-handshake\"; dane = "
        "\"off\"; max_messages_per_connection = 3; bounce_profile = \"slow\"; },\n"
        "{ domain = \"c.example\"; max_connections = 1; certificate = \"\"; "
        "bounce_profile = \"default\"; } ); };";
    struct config_loaded *loaded = load_written(destinations);
    struct buffer text =
        export(loaded,
               "t.conf: warning: 1 entry is not carried over: tls_min_version: AsyncOS has one for "
               "all destinations (sslconfig)\n"
               "t.conf: warning: 2 entries are not carried over: certificate of a domain: AsyncOS "
               "has one for all destinations\n"
               "t.conf: warning: 1 entry is not carried over: tls_fallback_clear: AsyncOS never "
               "falls back\n"
               "t.conf: warning: 1 entry is not carried over: bounce_profile of the default: "
               "AsyncOS has none in [DEFAULT]\n"
               "t.conf: warning: 1 entry is not carried over: bounce_profile: AsyncOS takes "
               "\"default\" for none, and has short names\n"
               "t.conf: warning: 1 entry is not carried over: recipients_interval: AsyncOS has "
               "minutes, and the next longer is written\n");

    (void)unused;
    assert_string_equal(buffer_contents(&text).data, "[DEFAULT]\n"
                                                     "ip_sort_pref = PREFER_V6\n"
                                                     "max_host_concurrency = 500\n"
                                                     "max_messages_per_connection = 50\n"
                                                     "recipient_minutes = 2\n"
                                                     "recipient_limit = 9\n"
                                                     "limit_type = host\n"
                                                     "limit_apply = system\n"
                                                     "table_tls = on\n"
                                                     "bounce_validation = off\n"
                                                     "send_tls_req_alert = 0\n"
                                                     "certificate = mail\n"
                                                     "[a.example]\n"
                                                     "recipient_limit = 0\n"
                                                     "limit_type = host\n"
                                                     "limit_apply = system\n"
                                                     "table_tls = require_verify_hosted\n"
                                                     "[.b.example]\n"
                                                     "max_messages_per_connection = 3\n"
                                                     "dane_mode = none\n"
                                                     "bounce_profile = slow\n"
                                                     "[c.example]\n"
                                                     "max_host_concurrency = 1\n"
                                                     "limit_type = host\n"
                                                     "limit_apply = system\n");
    buffer_finish(&text);
    config_loaded_destroy(loaded);
}

/* A table is read to the end of its text wherever that is. */
static void an_export_says_whether_anybody_is_told_of_required_tls(void **unused)
{
    static const struct {
        const char *alerts, *value;
    } cases[] = {
        { "", "0" },
        { "alerts = { mail = [ \"a@example.com\" ]; };", "1" },
        { "alerts = { command = \"/bin/true\"; };", "1" },
        { "alerts = { mail = [ \"a@example.com\" ]; required_tls = false; };", "0" },
    };

    (void)unused;
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct config_loaded *loaded = load_written(cases[k].alerts);
        struct buffer text = export(loaded, "");
        char line[64];

        (void)snprintf(line, sizeof(line), "\nsend_tls_req_alert = %s\n", cases[k].value);
        if (strstr(buffer_contents(&text).data, line) == NULL)
            fail_msg("%s gives\n%s", cases[k].alerts, buffer_contents(&text).data);
        buffer_finish(&text);
        config_loaded_destroy(loaded);
    }
}

static void every_beginning_of_an_export_is_read(void **unused)
{
    static struct imported i;

    (void)unused;
    for (size_t len = 0; len <= strlen(guide); len++) {
        import_text(&i, config_import_destinations, (struct slice){ guide, len });
        if (i.status == STATUS_OK)
            expect_syntax(&i);
        imported_finish(&i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_guide_is_carried_over),
        cmocka_unit_test(keys_and_words_are_taken_in_any_form),
        cmocka_unit_test(what_is_lost_is_told),
        cmocka_unit_test(what_is_not_understood_gives_nothing),
        cmocka_unit_test(routes_are_carried_over),
        cmocka_unit_test(a_route_has_as_many_hosts_as_one_of_ours),
        cmocka_unit_test(what_is_exported_and_imported_is_the_same),
        cmocka_unit_test(an_export_is_in_words_and_tells_what_it_leaves_out),
        cmocka_unit_test(an_export_says_whether_anybody_is_told_of_required_tls),
        cmocka_unit_test(every_beginning_of_an_export_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
