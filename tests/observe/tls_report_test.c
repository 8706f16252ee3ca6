#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "observe/tls_report.h"

#define DAY ((time_t)1459468800) /* 2016-04-01, as in RFC 8460 B */

static const struct hash_seed seed = { 3, 4 };
static const struct slice sts_lines[] = { SLICE("version: STSv1"), SLICE("mode: testing"),
                                          SLICE("mx: *.mail.company-y.example"),
                                          SLICE("max_age: 86400") };
static const struct slice sts_mx[] = { SLICE("*.mail.company-y.example") };
static const struct slice tlsa[] = { SLICE("3 1 1 0f") };

static const struct observe_tls_report report = {
    .domain = SLICE("company-y.example"),
    .organization = SLICE("Company-X"),
    .contact = SLICE("sts-reporting@company-x.example"),
    .submitter = SLICE("mx.company-x.example"),
    .report_id = SLICE("5065427c-23d3@mx.company-x.example"),
    .day_s = DAY,
};

static struct observe_tls_result sts(enum observe_tls_result_type type, const char *host,
                                     const char *ip, const char *reason)
{
    return (struct observe_tls_result){
        .policy_type = OBSERVE_TLS_POLICY_STS,
        .result_type = type,
        .report_domain = SLICE("Company-Y.example"),
        .policy_strings = sts_lines,
        .policy_strings_count = ARRAY_LEN(sts_lines),
        .mx_patterns = sts_mx,
        .mx_patterns_count = ARRAY_LEN(sts_mx),
        .mx_host = slice_from(host),
        .receiving_ip = slice_from(ip),
        .sending_ip = SLICE("2001:db8:abcd:12::1"),
        .reason = slice_from(reason),
    };
}

/* What RFC 8460 B tells of, and a policy of another domain. */
static void fill(struct observe_tls_results *r)
{
    struct observe_tls_result one = sts(OBSERVE_TLS_SUCCESS, "", "", "");

    assert_int_equal(observe_tls_results_init(r, &seed), STATUS_OK);
    observe_tls_results_add(r, &one, 5326);
    one = sts(OBSERVE_TLS_CERTIFICATE_EXPIRED, "mx1.mail.company-y.example", "", "");
    observe_tls_results_add(r, &one, 60);
    observe_tls_results_add(r, &one, 40);
    one = sts(OBSERVE_TLS_VALIDATION_FAILURE, "mx2.mail.company-y.example", "192.0.2.58",
              "X509_V_ERR_PROXY_PATH\tLENGTH\n");
    observe_tls_results_add(r, &one, 3);
    one = (struct observe_tls_result){ .policy_type = OBSERVE_TLS_POLICY_TLSA,
                                       .report_domain = SLICE("other.example"),
                                       .policy_strings = tlsa,
                                       .policy_strings_count = 1 };
    observe_tls_results_add(r, &one, 1);
    one = (struct observe_tls_result){ .report_domain = SLICE("company-y.example") };
    observe_tls_results_add(r, &one, 2);
}

static const char expected[] =
    "{\"organization-name\": \"Company-X\", \"date-range\": {\"start-datetime\": "
    "\"2016-04-01T00:00:00Z\", \"end-datetime\": \"2016-04-01T23:59:59Z\"}, \"contact-info\": "
    "\"sts-reporting@company-x.example\", \"report-id\": \"5065427c-23d3@mx.company-x.example\", "
    "\"policies\": ["
    "{\"policy\": {\"policy-type\": \"sts\", \"policy-string\": [\"version: STSv1\", \"mode: "
    "testing\", \"mx: *.mail.company-y.example\", \"max_age: 86400\"], \"policy-domain\": "
    "\"company-y.example\", \"mx-host\": [\"*.mail.company-y.example\"]}, \"summary\": "
    "{\"total-successful-session-count\": 5326, \"total-failure-session-count\": 103}, "
    "\"failure-details\": [{\"result-type\": \"certificate-expired\", \"sending-mta-ip\": "
    "\"2001:db8:abcd:12::1\", \"receiving-mx-hostname\": \"mx1.mail.company-y.example\", "
    "\"failed-session-count\": 100}, {\"result-type\": \"validation-failure\", "
    "\"sending-mta-ip\": \"2001:db8:abcd:12::1\", \"receiving-mx-hostname\": "
    "\"mx2.mail.company-y.example\", \"receiving-ip\": \"192.0.2.58\", \"failed-session-count\": "
    "3, \"failure-reason-code\": \"X509_V_ERR_PROXY_PATH?LENGTH?\"}]}, "
    "{\"policy\": {\"policy-type\": \"no-policy-found\", \"policy-domain\": "
    "\"company-y.example\"}, \"summary\": {\"total-successful-session-count\": 2, "
    "\"total-failure-session-count\": 0}}]}";

static void assert_report(const struct observe_tls_results *r)
{
    struct buffer out;

    buffer_init(&out, OBSERVE_TLS_REPORT_BYTES_MAX);
    assert_int_equal(observe_tls_report_json(&report, r, &out), STATUS_OK);
    assert_int_equal(buffer_append(&out, (struct slice){ "", 1 }), STATUS_OK);
    assert_string_equal(buffer_contents(&out).data, expected);
    buffer_finish(&out);
}

/* The table after it was written and read. */
static void write_and_read(const struct observe_tls_results *r, struct observe_tls_results *copy)
{
    struct buffer lines;

    buffer_init(&lines, OBSERVE_TLS_BYTES_MAX);
    assert_int_equal(observe_tls_results_init(copy, &seed), STATUS_OK);
    assert_int_equal(observe_tls_results_write(r, &lines), STATUS_OK);
    assert_int_equal(observe_tls_results_read(copy, buffer_contents(&lines)), STATUS_OK);
    buffer_finish(&lines);
}

static void a_report_has_the_form_of_the_rfc(void **unused)
{
    struct observe_tls_report other = report;
    struct observe_tls_results r, copy;
    char name[OBSERVE_TLS_REPORT_NAME_MAX];
    struct buffer out;

    (void)unused;
    fill(&r);
    assert_int_equal(r.policies_count, 3);
    assert_report(&r);
    write_and_read(&r, &copy);
    assert_report(&copy);
    observe_tls_results_finish(&copy);
    assert_int_equal(observe_tls_results_init(&copy, &seed), STATUS_OK);
    observe_tls_results_merge(&copy, &r);
    assert_report(&copy);
    observe_tls_results_merge(&copy, &r);
    assert_int_equal(observe_tls_results_of(&copy, SLICE("COMPANY-Y.example"), NULL)->failures,
                     206);
    observe_tls_results_finish(&copy);
    buffer_init(&out, 1 << 20);
    other.domain = SLICE("nobody.example");
    assert_int_equal(observe_tls_report_json(&other, &r, &out), STATUS_NOT_FOUND);
    buffer_finish(&out);
    buffer_init(&out, 300);
    assert_int_equal(observe_tls_report_json(&report, &r, &out), STATUS_LIMIT);
    buffer_finish(&out);
    observe_tls_results_finish(&r);
    assert_int_equal(observe_tls_report_day(DAY), DAY);
    assert_int_equal(observe_tls_report_day(DAY + 86399), DAY);
    assert_string_equal(observe_tls_report_name(&report, name),
                        "mx.company-x.example!company-y.example!1459468800!1459555199!"
                        "5065427c23d3.json.gz");
}

static void assert_policies(const struct observe_tls_results *r, const char *domain,
                            const char *const *policy_domains, const uint64_t *successes,
                            size_t count)
{
    const struct observe_tls_policy *p = NULL;

    for (size_t i = 0; i < count; i++) {
        p = observe_tls_results_of(r, slice_from(domain), p);
        assert_non_null(p);
        assert_string_equal(p->domain, domain);
        assert_string_equal(p->policy_domain, policy_domains[i]);
        assert_int_equal(p->successes, successes[i]);
    }
    assert_null(observe_tls_results_of(r, slice_from(domain), p));
}

/* RFC 8460 1.1: the policy domain of DANE is that of the TLSA base, the one of TLSRPT is the
 * recipient's. */
static void each_domain_is_told_of_the_hosts_that_it_shares(void **unused)
{
    static const char *const domains[] = { "a.example", "b.example" };
    static const char *const hosts[] = { "mx1.host.example", "mx2.host.example", "a.example" };
    static const uint64_t of_a[] = { 1, 1, 1 }, of_b[] = { 1, 1 }, twice[] = { 2, 2, 2 };
    struct observe_tls_report to = report;
    struct observe_tls_results r, copy;
    struct buffer out;

    (void)unused;
    assert_int_equal(observe_tls_results_init(&r, &seed), STATUS_OK);
    for (size_t d = 0; d < ARRAY_LEN(domains); d++) {
        for (size_t h = 0; h < ARRAY_LEN(hosts) - d; h++) {
            const struct observe_tls_result one = { .policy_type = OBSERVE_TLS_POLICY_TLSA,
                                                    .report_domain = slice_from(domains[d]),
                                                    .policy_domain = slice_from(hosts[h]),
                                                    .policy_strings = tlsa,
                                                    .policy_strings_count = 1 };

            observe_tls_results_add(&r, &one, 1);
        }
    }
    assert_policies(&r, "a.example", hosts, of_a, 3);
    assert_policies(&r, "b.example", hosts, of_b, 2);
    assert_null(observe_tls_results_of(&r, SLICE("mx1.host.example"), NULL));
    write_and_read(&r, &copy);
    assert_policies(&copy, "a.example", hosts, of_a, 3);
    assert_policies(&copy, "b.example", hosts, of_b, 2);
    observe_tls_results_merge(&copy, &r);
    assert_policies(&copy, "a.example", hosts, twice, 3);
    to.domain = SLICE("b.example");
    buffer_init(&out, 1 << 20);
    assert_int_equal(observe_tls_report_json(&to, &r, &out), STATUS_OK);
    assert_int_equal(buffer_append(&out, (struct slice){ "", 1 }), STATUS_OK);
    assert_non_null(strstr(buffer_contents(&out).data,
                           "{\"policy-type\": \"tlsa\", \"policy-string\": [\"3 1 1 0f\"], "
                           "\"policy-domain\": \"mx2.host.example\"}"));
    buffer_finish(&out);
    observe_tls_results_finish(&copy);
    observe_tls_results_finish(&r);
}

static void tables_are_bounded(void **unused)
{
    static char text[2 * OBSERVE_TLS_TEXT_MAX];
    struct slice many[OBSERVE_TLS_TEXTS_MAX + 5];
    struct observe_tls_result one = { .result_type = OBSERVE_TLS_DANE_REQUIRED };
    const struct observe_tls_policy *p;
    struct observe_tls_results r, copy;
    char domain[32];

    (void)unused;
    assert_int_equal(observe_tls_results_init(&r, &seed), STATUS_OK);
    observe_tls_results_add(&r, &one, 1); /* no domain */
    assert_int_equal(r.policies_count, 0);
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct slice){ text, sizeof(text) };
    one.report_domain = SLICE("a.example");
    one.policy_strings = one.mx_patterns = many;
    one.policy_strings_count = one.mx_patterns_count = ARRAY_LEN(many);
    for (int i = 0; i < 3 * OBSERVE_TLS_DETAILS_MAX; i++) {
        char reason[16];

        (void)snprintf(reason, sizeof(reason), "%d", i % (2 * OBSERVE_TLS_DETAILS_MAX));
        one.reason = slice_from(reason);
        observe_tls_results_add(&r, &one, 1);
    }
    p = observe_tls_results_of(&r, one.report_domain, NULL);
    assert_int_equal(r.policies_count, 1);
    assert_int_equal(p->details_count, OBSERVE_TLS_DETAILS_MAX);
    assert_int_equal(p->failures, 3 * OBSERVE_TLS_DETAILS_MAX);
    assert_int_equal(p->strings_count, OBSERVE_TLS_TEXTS_MAX);
    assert_int_equal(strlen(p->patterns[0]), OBSERVE_TLS_TEXT_MAX);
    one.policy_strings_count = one.mx_patterns_count = 0;
    one.reason = SLICE("");
    for (int i = 0; i < OBSERVE_TLS_POLICIES_MAX + 7; i++) {
        (void)snprintf(domain, sizeof(domain), "d%d.example", i);
        one.report_domain = slice_from(domain);
        observe_tls_results_add(&r, &one, 2);
    }
    assert_int_equal(r.policies_count, OBSERVE_TLS_POLICIES_MAX);
    assert_int_equal(r.dropped, 16);
    one.policy_strings_count = 1; /* a second policy of the last domain */
    observe_tls_results_add(&r, &one, 1);
    assert_int_equal(r.dropped, 17);
    write_and_read(&r, &copy);
    assert_int_equal(copy.policies_count, OBSERVE_TLS_POLICIES_MAX);
    assert_int_equal(copy.dropped, 17);
    assert_int_equal(observe_tls_results_of(&copy, SLICE("a.example"), NULL)->failures,
                     3 * OBSERVE_TLS_DETAILS_MAX);
    observe_tls_results_finish(&copy);
    observe_tls_results_finish(&r);
}

static void a_domain_has_so_many_policies_at_the_most(void **unused)
{
    struct observe_tls_result one = { .report_domain = SLICE("a.example") };
    struct observe_tls_results r;
    struct slice string;
    char text[16];

    (void)unused;
    assert_int_equal(observe_tls_results_init(&r, &seed), STATUS_OK);
    for (int i = 0; i < OBSERVE_TLS_DOMAIN_POLICIES_MAX + 3; i++) {
        (void)snprintf(text, sizeof(text), "id %d", i);
        string = slice_from(text);
        one.policy_strings = &string;
        one.policy_strings_count = 1;
        observe_tls_results_add(&r, &one, 1);
    }
    assert_int_equal(r.policies_count, OBSERVE_TLS_DOMAIN_POLICIES_MAX);
    assert_int_equal(r.dropped, 3);
    observe_tls_results_finish(&r);
}

static void a_damaged_file_is_read_up_to_the_damage(void **unused)
{
    static const struct {
        const char *text;
        enum status status;
        size_t policies;
    } cases[] = {
        { "", STATUS_OK, 0 },
        { "P 1 2 0 a.example\n", STATUS_OK, 1 },
        { "P 1 2 0 a.example", STATUS_OK, 1 },
        { "P 1 2 0 a.example\nP 1", STATUS_CORRUPT, 1 },
        { "P 3 2 0 a.example\n", STATUS_CORRUPT, 0 },
        { "P 1 2 0 \n", STATUS_CORRUPT, 0 },
        { "P 1 -2 0 a.example\n", STATUS_CORRUPT, 0 },
        { "S x\n", STATUS_CORRUPT, 0 },
        { "D 1 1 \t\t\t\n", STATUS_CORRUPT, 0 },
        { "P 1 0 1 a.example\nD 1 1 \t\t\t\n", STATUS_OK, 1 },
        { "P 1 0 1 a.example\nD 0 1 \t\t\t\n", STATUS_CORRUPT, 0 },
        { "P 1 0 1 a.example\nD 12 1 \t\t\t\n", STATUS_CORRUPT, 0 },
        { "P 1 0 1 a.example\nD 1 2 \t\t\t\n", STATUS_CORRUPT, 0 },
        { "P 1 0 1 a.example\nD 1 1 \t\t\t\nS late\n", STATUS_CORRUPT, 1 },
        { "P 1 18446744073709551615 0 a.example\n", STATUS_CORRUPT, 0 },
        { "P 2 1 0 a.example\nB mx.a.example\nS 3 1 1 0f\n", STATUS_OK, 1 },
        { "P 2 1 0 a.example\nB mx.a.example\nB mx.a.example\n", STATUS_CORRUPT, 0 },
        { "P 2 1 0 a.example\nB \n", STATUS_CORRUPT, 0 },
        { "P 1 0 1 a.example\nD 1 1 \t\t\t\nB late\n", STATUS_CORRUPT, 1 },
        { "B mx.a.example\n", STATUS_CORRUPT, 0 },
        { "Y 1\n", STATUS_CORRUPT, 0 },
        { "X 1\n", STATUS_OK, 0 },
        { "\n", STATUS_CORRUPT, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct observe_tls_results r;

        assert_int_equal(observe_tls_results_init(&r, &seed), STATUS_OK);
        if (observe_tls_results_read(&r, slice_from(cases[i].text)) != cases[i].status ||
            r.policies_count != cases[i].policies)
            fail_msg("case %zu: %zu policies", i, r.policies_count);
        observe_tls_results_finish(&r);
    }
}

/* What base64 stands for; anything that is none of its digits is left out. */
static size_t decode(struct slice text, char *into)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, count = 0;
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.data[i] != '\0' ? strchr(digits, text.data[i]) : NULL;

        if (digit == NULL)
            continue;
        bits = bits << 6 | (unsigned)(digit - digits);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        into[len++] = (char)(bits >> count);
    }
    return len;
}

static void a_letter_carries_the_report_whatever_its_length(void **unused)
{
    static char json[400], decoded[600];
    struct observe_tls_letter letter = { .report = &report,
                                         .from = SLICE("tls-reports@mx.company-x.example"),
                                         .to = SLICE("reports@company-y.example"),
                                         .message_id = SLICE("7.tlsrpt@mx.company-x.example"),
                                         .now_s = DAY + 90000 };

    (void)unused;
    for (size_t len = 0; len < sizeof(json); len++) {
        struct slice rest, part;
        struct buffer out;
        const char *at;

        json[len] = (char)(len * 7);
        letter.gzip = (struct slice){ json, len };
        buffer_init(&out, 1 << 16);
        assert_int_equal(observe_tls_report_letter(&letter, &out), STATUS_OK);
        rest = buffer_contents(&out);
        at = memmem(rest.data, rest.len, "5065427c23d3.json.gz\"\r\n\r\n", 25);
        assert_non_null(at);
        part = slice_after(rest, (size_t)(at - rest.data) + 25);
        at = memmem(part.data, part.len, "\r\n--_tls_report_--\r\n", 20);
        assert_non_null(at);
        part.len = (size_t)(at - part.data);
        assert_int_equal(decode(part, decoded), len);
        assert_memory_equal(decoded, json, len);
        while (rest.len > 0) {
            struct slice line = slice_cut(&rest, '\n');

            assert_true(line.len > 0 && line.len < 200 && line.data[line.len - 1] == '\r' &&
                        line.data[0] != '.');
        }
        buffer_finish(&out);
    }
}

static void a_letter_has_the_header_of_the_rfc(void **unused)
{
    static const char head[] = "Date: Sat, 2 Apr 2016 01:00:00 +0000\r\n"
                               "From: tls-reports@mx.company-x.example\r\n"
                               "To: reports@company-y.example\r\n"
                               "Subject: Report Domain: company-y.example\r\n"
                               " Submitter: mx.company-x.example\r\n"
                               " Report-ID: <5065427c-23d3@mx.company-x.example>\r\n"
                               "Message-ID: <7.tlsrpt@mx.company-x.example>\r\n"
                               "TLS-Report-Domain: company-y.example\r\n"
                               "TLS-Report-Submitter: mx.company-x.example\r\n"
                               "TLS-Required: No\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                               " boundary=\"_tls_report_\"\r\n\r\n";
    const struct observe_tls_letter letter = { .report = &report,
                                               .from = SLICE("tls-reports@mx.company-x.example"),
                                               .to = SLICE("reports@company-y.example"),
                                               .message_id = SLICE("7.tlsrpt@mx.company-x.example"),
                                               .gzip = SLICE("{}"),
                                               .now_s = DAY + 90000 };
    struct buffer out;

    (void)unused;
    buffer_init(&out, 1 << 16);
    assert_int_equal(observe_tls_report_letter(&letter, &out), STATUS_OK);
    assert_memory_equal(buffer_contents(&out).data, head, strlen(head));
    buffer_finish(&out);
}

/* --- the grammar ----------------------------------------------------------------------------- */

static bool take_text(struct slice *text, const char *word)
{
    struct slice want = slice_from(word);

    if (text->len < want.len || !slice_equal(slice_first(*text, want.len), want))
        return false;
    *text = slice_after(*text, want.len);
    return true;
}

static size_t count_of(struct slice text, bool has_letters, const char *others)
{
    size_t len = 0;

    while (len < text.len &&
           (ascii_is_digit(text.data[len]) || (has_letters && ascii_is_letter(text.data[len])) ||
            strchr(others, text.data[len]) != NULL))
        len++;
    return len;
}

/* At least one of the digits, letters and others. */
static bool take_some(struct slice *text, bool has_letters, const char *others)
{
    size_t len = count_of(*text, has_letters, others);

    *text = slice_after(*text, len);
    return len > 0;
}

/* RFC 5321 4.1.2, Domain: labels that begin and end with a letter or a digit. */
static bool take_domain(struct slice *text)
{
    do {
        size_t len = count_of(*text, true, "-");

        if (len == 0 || text->data[0] == '-' || text->data[len - 1] == '-')
            return false;
        *text = slice_after(*text, len);
    } while (take_text(text, "."));
    return true;
}

/* RFC 5322 3.2.3, dot-atom-text. */
static bool take_atoms(struct slice *text)
{
    do
        if (!take_some(text, true, "!#$%&'*+-/=?^_`{|}~"))
            return false;
    while (take_text(text, "."));
    return true;
}

/* RFC 5322 3.2.2, without comments: spaces, and a line end among them. */
static bool take_fws(struct slice *text)
{
    (void)take_text(text, "\r\n");
    return take_text(text, " ");
}

/* RFC 8460 5.1. */
static bool is_file_name(struct slice name)
{
    return take_domain(&name) && take_text(&name, "!") && take_domain(&name) &&
           take_text(&name, "!") && take_some(&name, false, "") && take_text(&name, "!") &&
           take_some(&name, false, "") && (!take_text(&name, "!") || take_some(&name, true, "")) &&
           (take_text(&name, ".json.gz") || take_text(&name, ".json")) && name.len == 0;
}

/* RFC 8460 5.3. */
static bool is_subject(struct slice text)
{
    return take_text(&text, "Subject: Report") && take_fws(&text) && take_text(&text, "Domain:") &&
           take_fws(&text) && take_domain(&text) && take_fws(&text) &&
           take_text(&text, "Submitter:") && take_fws(&text) && take_domain(&text) &&
           take_fws(&text) && take_text(&text, "Report-ID:") && take_fws(&text) &&
           take_text(&text, "<") && take_atoms(&text) && take_text(&text, "@") &&
           take_atoms(&text) && take_text(&text, ">") && text.len == 0;
}

/* From the beginning of a line to the one behind its last. */
static struct slice field_of(struct slice letter, const char *name)
{
    const char *at = memmem(letter.data, letter.len, name, strlen(name));
    size_t len = 0;

    assert_non_null(at);
    letter = slice_after(letter, (size_t)(at - letter.data));
    do
        len += strcspn(letter.data + len, "\r") + 2;
    while (letter.data[len] == ' ');
    return slice_first(letter, len - 2);
}

static void names_and_subjects_keep_to_the_grammar(void **unused)
{
    static const struct {
        const char *domain, *submitter, *report_id, *name;
    } cases[] = {
        { "company-y.example", "mx.company-x.example", "2016-04-01-1459.00ff@x.example",
          "mx.company-x.example!company-y.example!1459468800!1459555199!20160401145900ff.json.gz" },
        { "xn--bcher-kva.example", "a", "a_b+c@a",
          "a!xn--bcher-kva.example!1459468800!1459555199!abc.json.gz" },
        { "1.example", "b.example", "z@b.example",
          "b.example!1.example!1459468800!1459555199!z.json.gz" },
        { "1.example", "b.example", "-_-@b.example",
          "b.example!1.example!1459468800!1459555199.json.gz" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct observe_tls_report one = {
            .domain = slice_from(cases[i].domain),
            .submitter = slice_from(cases[i].submitter),
            .report_id = slice_from(cases[i].report_id),
            .day_s = DAY,
        };
        const struct observe_tls_letter letter = { .report = &one,
                                                   .from = SLICE("a@b.example"),
                                                   .to = SLICE("c@d.example"),
                                                   .message_id = SLICE("e@b.example"),
                                                   .gzip = SLICE("{}") };
        char name[OBSERVE_TLS_REPORT_NAME_MAX];
        struct buffer out;

        assert_string_equal(observe_tls_report_name(&one, name), cases[i].name);
        assert_true(is_file_name(slice_from(name)));
        buffer_init(&out, 1 << 16);
        assert_int_equal(observe_tls_report_letter(&letter, &out), STATUS_OK);
        assert_true(is_subject(field_of(buffer_contents(&out), "Subject:")));
        assert_non_null(memmem(buffer_contents(&out).data, buffer_len(&out), name, strlen(name)));
        buffer_finish(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_has_the_form_of_the_rfc),
        cmocka_unit_test(each_domain_is_told_of_the_hosts_that_it_shares),
        cmocka_unit_test(tables_are_bounded),
        cmocka_unit_test(a_domain_has_so_many_policies_at_the_most),
        cmocka_unit_test(a_damaged_file_is_read_up_to_the_damage),
        cmocka_unit_test(a_letter_carries_the_report_whatever_its_length),
        cmocka_unit_test(a_letter_has_the_header_of_the_rfc),
        cmocka_unit_test(names_and_subjects_keep_to_the_grammar),
    };
    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
