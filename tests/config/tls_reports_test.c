#include "tests/config/sample.h"

#define LINE(group) "hostname = \"mx.example.com\"; tls_reports = { " group " };"

static void tls_reports_have_defaults_and_values(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    const struct config_tls_reports *r;
    struct buffer text;

    (void)unused;
    assert_int_equal(load(configuration(&text, 0, NULL).data, &loaded, lines), STATUS_OK);
    r = &loaded->settings.tls_reports;
    assert_false(r->send || r->to_private_addresses);
    assert_string_equal(r->organization, "");
    assert_string_equal(r->contact, "");
    assert_string_equal(r->domain, "");
    assert_string_equal(r->dkim_selector, "");
    assert_string_equal(r->dkim_key_path, "");
    config_loaded_destroy(loaded);
    buffer_finish(&text);

    configuration(&text, 1,
                  LINE("send = true; organization = \"B\xc3\xbcro \\\"X\\\"\"; contact = "
                       "\"tls@example.com\"; domain = \"example.com\"; to_private_addresses = "
                       "true; dkim = { domain = \"d.example\"; selector = \"a.b\"; key = "
                       "\"/etc/dkim.pem\"; };"));
    assert_int_equal(load(buffer_contents(&text).data, &loaded, lines), STATUS_OK);
    r = &loaded->settings.tls_reports;
    assert_true(r->send && r->to_private_addresses);
    assert_string_equal(r->organization, "B\xc3\xbcro \"X\"");
    assert_string_equal(r->contact, "tls@example.com");
    assert_string_equal(r->domain, "example.com");
    assert_string_equal(r->dkim_domain, "d.example");
    assert_string_equal(r->dkim_selector, "a.b");
    assert_string_equal(r->dkim_key_path, "/etc/dkim.pem");
    config_loaded_destroy(loaded);
    buffer_finish(&text);
}

static void tls_reports_are_judged(void **unused)
{
    static const struct {
        const char *line;
        const char *problems;
    } cases[] = {
        { LINE("send = \"yes\";"), "t.conf:1: send has to be true or false" },
        { LINE("contact = \"https://example.com\";"),
          "t.conf:1: contact = \"https://example.com\" is not an address of the form "
          "user@example.com" },
        { LINE("contact = \"a@b.c\\r\\nBcc: x@y.z\";"),
          "t.conf:1: contact has a control character" },
        { LINE("contact = \"<a@b.c>\";"),
          "t.conf:1: contact = \"<a@b.c>\" is not an address of the form user@example.com" },
        { LINE("domain = \"mx one\";"), "t.conf:1: domain = \"mx one\" is not a domain" },
        { LINE("domain = \"a!b\";"), "t.conf:1: domain = \"a!b\" is not a domain" },
        { LINE("dkim = { selector = \"a b\"; key = \"/k\"; };"),
          "t.conf:1: selector = \"a b\" is not a domain" },
        { LINE("dkim = { selector = \"a\"; };"),
          "t.conf:1: tls_reports: dkim: \"key\" is missing" },
        { LINE("dkim = { selector = \"a\"; key = \"/k\"; domain = \"a;b\"; };"),
          "t.conf:1: domain = \"a;b\" is not a domain" },
        { LINE("organization = \"a\\nb\";"), "t.conf:1: organization has a control character" },
        { LINE("organisation = \"a\";"),
          "t.conf:1: unknown key \"organisation\" in tls_reports; did you mean "
          "\"organization\"?" },
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        assert_int_equal(load(configuration(&text, 1, cases[i].line).data, &loaded, lines),
                         STATUS_INVALID);
        assert_string_equal(lines, cases[i].problems);
        buffer_finish(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_reports_have_defaults_and_values),
        cmocka_unit_test(tls_reports_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
