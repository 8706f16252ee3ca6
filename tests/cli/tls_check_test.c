/* What tls-check is asked about, and what its findings mean for mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/tls_check_verdict.h"

#define HOSTS_MAX 4

/* --- targets --------------------------------------------------------------------------------- */

static void a_target_is_a_domain_a_host_or_an_address(void **unused)
{
    static const struct {
        const char *text;
        bool is_host, is_address;
        const char *name;
        uint16_t port;
        const char *shown;
    } cases[] = {
        { "Example.COM.", false, false, "example.com", 0, "example.com" },
        { "mx1.example.com:25", true, false, "mx1.example.com", 25, "mx1.example.com:25" },
        { "[mx1.example.com]", true, false, "mx1.example.com", 0, "mx1.example.com" },
        { "[mx1.example.com]:2525", true, false, "mx1.example.com", 2525, "mx1.example.com:2525" },
        { "192.0.2.1", true, true, "", 0, "192.0.2.1" },
        { "192.0.2.1:26", true, true, "", 26, "192.0.2.1:26" },
        { "[192.0.2.1]", true, true, "", 0, "192.0.2.1" },
        { "2001:db8::1", true, true, "", 0, "2001:db8::1" },
        { "[2001:db8::1]", true, true, "", 0, "2001:db8::1" },
        { "[2001:db8::1]:65535", true, true, "", 65535, "[2001:db8::1]:65535" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tlscheck_target t;

        assert_true(tlscheck_target_parse(slice_from(cases[i].text), &t));
        assert_int_equal(t.is_host, cases[i].is_host);
        assert_int_equal(t.is_address, cases[i].is_address);
        assert_string_equal(t.name, cases[i].name);
        assert_int_equal(t.port, cases[i].port);
        assert_string_equal(t.text, cases[i].shown);
    }
}

static void what_is_no_target_is_refused(void **unused)
{
    static const char *const texts[] = {
        "",
        ".",
        "a..b",
        "user@example.com",
        "example.com:",
        "example.com:0",
        "example.com:x",
        "[",
        "[]",
        "[a",
        "[a]x",
        "[a]:",
        "[a]:65536",
        "a:b:c",
        ":25",
        "a b",
        "a/b",
        "example.com:65536",
        "m\xc3\xbcnchen.example",
    };
    struct tlscheck_target t;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (tlscheck_target_parse(slice_from(texts[i]), &t))
            fail_msg("taken: %s", texts[i]);
}

/* --- findings -------------------------------------------------------------------------------- */

enum tlsa { NO_TLSA, USABLE, UNUSABLE, FAILED_TLSA };
enum reach { DOWN, NO_TLS, MASKED, REFUSED, BROKEN, UP, DUMB /* no EHLO under TLS */ };

/* A letter for each name that the certificate has: d(omain), m(x), p(tr). */
struct host_case {
    enum reach reach;
    const char *names;
    enum tlsa tlsa;
    bool is_matched; /* by DANE */
    bool is_listed;  /* by the MTA-STS policy */
};

#define UNTRUSTED                                                                                  \
    {                                                                                              \
        UP, "", NO_TLSA, false, false                                                              \
    }
#define HOSTED                                                                                     \
    {                                                                                              \
        UP, "m", NO_TLSA, false, false                                                             \
    }
#define OWN                                                                                        \
    {                                                                                              \
        UP, "dm", NO_TLSA, false, false                                                            \
    }
#define REVERSE                                                                                    \
    {                                                                                              \
        UP, "p", NO_TLSA, false, false                                                             \
    }
#define DANED                                                                                      \
    {                                                                                              \
        UP, "", USABLE, true, false                                                                \
    }
#define SWAPPED                                                                                    \
    {                                                                                              \
        UP, "dm", USABLE, false, false                                                             \
    }
#define LISTED                                                                                     \
    {                                                                                              \
        UP, "m", NO_TLSA, false, true                                                              \
    }
#define PLAIN                                                                                      \
    {                                                                                              \
        NO_TLS, "", NO_TLSA, false, false                                                          \
    }
#define STRIPPED                                                                                   \
    {                                                                                              \
        MASKED, "", NO_TLSA, false, false                                                          \
    }

static void match(struct tls_peer_check *check, bool is_matched, enum tls_check_input input)
{
    check->is_matched = is_matched;
    check->input = input;
    (void)snprintf(check->text, sizeof(check->text), is_matched ? "matched it" : "tried names");
}

static void fill_tls(struct tlscheck_tls *tls, const struct host_case *h)
{
    bool has_domain = strchr(h->names, 'd') != NULL, has_mx = strchr(h->names, 'm') != NULL;
    bool has_ptr = strchr(h->names, 'p') != NULL;

    match(&tls->checks[POLICY_TLS_CHECK_VERIFY], has_domain || has_ptr,
          has_domain ? TLS_CHECK_DOMAIN : TLS_CHECK_PTR);
    match(&tls->checks[POLICY_TLS_CHECK_HOSTED], has_domain || has_mx,
          has_domain ? TLS_CHECK_DOMAIN : TLS_CHECK_MX);
    match(&tls->checks[POLICY_TLS_CHECK_MTA_STS], has_mx, TLS_CHECK_MX);
    tls->is_dane_judged = h->tlsa == USABLE;
    tls->checks[POLICY_TLS_CHECK_DANE].is_matched = h->is_matched;
    (void)snprintf(tls->checks[POLICY_TLS_CHECK_DANE].text,
                   sizeof(tls->checks[POLICY_TLS_CHECK_DANE].text),
                   h->is_matched ? "matched 3 1 1" : "none fits");
}

static void fill(struct tlscheck_findings *f, const struct host_case *h, bool is_sender_refused)
{
    size_t n = f->hosts_count++;
    struct tlscheck_host *host = &f->hosts[n];
    struct tlscheck_address *a = &f->addresses[f->addresses_count++];

    (void)snprintf(host->name, sizeof(host->name), "mx%zu.example.com", n + 1);
    host->is_sts_host = h->is_listed;
    if (h->tlsa != NO_TLSA) {
        host->tlsa = calloc(1, sizeof(*host->tlsa));
        assert_non_null(host->tlsa);
        host->tlsa->outcome = h->tlsa == FAILED_TLSA ? DNS_TLSA_FAILED : DNS_TLSA_FOUND;
        (void)snprintf(host->tlsa->reason, sizeof(host->tlsa->reason), "bogus");
        host->tlsa_usable = h->tlsa == USABLE;
    }
    a->host = n;
    assert_true(ip_endpoint_parse(SLICE("192.0.2.1:25"), 0, &a->endpoint));
    if (h->reach == DOWN) {
        a->steps[TLSCHECK_CONNECT].result = TLSCHECK_FAILED;
        tlscheck_note_trouble(a, "connection refused");
        return;
    }
    a->has_event = true;
    a->is_masked = h->reach == MASKED;
    a->event = h->reach == BROKEN    ? POLICY_TLS_HANDSHAKE_FAILED
               : h->reach == REFUSED ? POLICY_TLS_REFUSED
               : h->reach >= UP      ? POLICY_TLS_ESTABLISHED
                                     : POLICY_TLS_NOT_OFFERED;
    if (h->reach != UP)
        tlscheck_note_trouble(a, "TLS: broken");
    if (h->reach >= UP)
        fill_tls(&a->tls, h);
    if (h->reach == UP)
        a->steps[TLSCHECK_EHLO_AGAIN].result = TLSCHECK_OK;
    a->steps[TLSCHECK_SENDER].result = is_sender_refused ? TLSCHECK_FAILED : TLSCHECK_OK;
    (void)snprintf(a->sender, sizeof(a->sender), is_sender_refused ? "550 go away" : "250 ok");
}

static struct tlscheck_findings *findings_of(const struct host_case *hosts, size_t count,
                                             enum policy_mta_sts_mode mode)
{
    struct tlscheck_target target;
    struct tlscheck_findings *f;

    assert_true(tlscheck_target_parse(SLICE("example.com"), &target));
    f = tlscheck_findings_create(&target, SLICE("example.com"));
    assert_non_null(f);
    f->sts.outcome = mode == POLICY_MTA_STS_NONE ? TLSCHECK_STS_NONE : TLSCHECK_STS_FOUND;
    f->sts.policy.mode = mode;
    for (size_t i = 0; i < count; i++)
        fill(f, &hosts[i], false);
    return f;
}

#define BIT(proof)   (1u << TLSCHECK_PROOF_##proof)
#define CLASS(class) TLSCHECK_CLASS_##class

static const struct {
    const char *name;
    struct host_case hosts[HOSTS_MAX];
    size_t count;
    enum policy_mta_sts_mode mode;
    enum tlscheck_class class;
    unsigned proofs, confidence;
    const char *says; /* a part of the text */
} cases[] = {
    { "down", { { DOWN, "", 0, 0, 0 } }, 1, 0, CLASS(UNREACHED), 0, 0, "(connection refused)" },
    { "plain", { PLAIN }, 1, 0, CLASS(CLEAR), 0, 0, "anybody on the path can read it" },
    { "masked", { STRIPPED }, 1, 0, CLASS(STRIPPED), 0, 0, "very likely takes STARTTLS away" },
    { "refused", { { REFUSED, "", 0, 0, 0 } }, 1, 0, CLASS(CLEAR), 0, 0, "clear text" },
    { "broken", { { BROKEN, "", 0, 0, 0 } }, 1, 0, CLASS(NOT_SENT), 0, 0, "TLS: broken" },
    { "dumb", { { DUMB, "dm", 0, 0, 0 } }, 1, 0, CLASS(NOT_SENT), 0, 0, "TLS: broken" },
    { "untrusted", { UNTRUSTED }, 1, 0, CLASS(ENCRYPTED), 0, 50, "mx1.example.com does not prove" },
    { "hosted", { HOSTED }, 1, 0, CLASS(VERIFIED), BIT(MX), 100, "required-verify-hosted" },
    { "own name", { OWN }, 1, 0, CLASS(VERIFIED), BIT(DOMAIN), 100, "the name that was asked" },
    { "reverse", { REVERSE }, 1, 0, CLASS(VERIFIED), BIT(PTR), 100, "which is weak" },
    { "DANE", { DANED }, 1, 0, CLASS(VERIFIED), BIT(DANE), 100, "verified by DANE." },
    /* A certificate of an authority is no excuse, nor is clear text. */
    { "DANE, swapped", { SWAPPED }, 1, 0, CLASS(NOT_SENT), 0, 50, "none fits" },
    { "DANE, clear", { { NO_TLS, "", USABLE, 0, 0 } }, 1, 0, CLASS(NOT_SENT), 0, 0, "not offered" },
    { "DANE, failed", { { UP, "dm", FAILED_TLSA, 0, 0 } }, 1, 0, CLASS(NOT_SENT), 0, 50, "bogus" },
    { "unusable", { { UP, "", UNUSABLE, 0, 0 } }, 1, 0, CLASS(ENCRYPTED), 0, 50, "not prove" },
    { "unusable, clear",
      { { MASKED, "", UNUSABLE, 0, 0 } },
      1,
      0,
      CLASS(NOT_SENT),
      0,
      0,
      "masked" },
    { "MTA-STS",
      { LISTED },
      1,
      POLICY_MTA_STS_ENFORCE,
      CLASS(VERIFIED),
      BIT(STS),
      100,
      "verified by MTA-STS." },
    { "testing", { LISTED }, 1, POLICY_MTA_STS_TESTING, CLASS(VERIFIED), BIT(MX), 100, "DNS" },
    { "testing, clear", { PLAIN }, 1, POLICY_MTA_STS_TESTING, CLASS(CLEAR), 0, 0, "clear text" },
    { "not listed",
      { HOSTED },
      1,
      POLICY_MTA_STS_ENFORCE,
      CLASS(NOT_SENT),
      0,
      50,
      "does not list" },
    /* RFC 8461 section 2: MTA-STS does not override DANE. */
    { "both, swapped",
      { { UP, "m", USABLE, false, true } },
      1,
      POLICY_MTA_STS_ENFORCE,
      CLASS(NOT_SENT),
      0,
      50,
      "none fits" },
    { "both",
      { { UP, "", USABLE, true, false } },
      1,
      POLICY_MTA_STS_ENFORCE,
      CLASS(VERIFIED),
      BIT(DANE),
      100,
      "by DANE" },
    /* The weakest of those that get mail. */
    { "two alike", { OWN, OWN }, 2, 0, CLASS(VERIFIED), BIT(DOMAIN), 100, "verified" },
    { "one is down", { HOSTED, { DOWN, "", 0, 0, 0 } }, 2, 0, CLASS(VERIFIED), BIT(MX), 50, "DNS" },
    { "one is weak",
      { DANED, UNTRUSTED },
      2,
      0,
      CLASS(ENCRYPTED),
      0,
      75,
      "mx2.example.com does not prove" },
    { "one is plain",
      { OWN, UNTRUSTED, PLAIN },
      3,
      0,
      CLASS(CLEAR),
      0,
      50,
      "because of mx3.example.com" },
    { "each its own", { DANED, HOSTED }, 2, 0, CLASS(VERIFIED), 0, 100, "one means or another" },
    { "one is barred",
      { LISTED, PLAIN },
      2,
      POLICY_MTA_STS_ENFORCE,
      CLASS(VERIFIED),
      BIT(STS),
      50,
      "by MTA-STS" },
};

static void the_verdict_is_that_of_the_weakest_host_that_gets_mail(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tlscheck_findings *f = findings_of(cases[i].hosts, cases[i].count, cases[i].mode);
        struct tlscheck_verdict v;

        tlscheck_judge(f, NULL, &v);
        if (v.class != cases[i].class || v.proofs != cases[i].proofs ||
            v.confidence != cases[i].confidence || strstr(v.text, cases[i].says) == NULL)
            fail_msg("%s: %s, proofs %#x, confidence %u: %s", cases[i].name,
                     tlscheck_class_word(v.class), v.proofs, v.confidence, v.text);
        assert_int_equal(v.is_safe, v.class == CLASS(VERIFIED));
        assert_int_equal(v.text[strlen(v.text) - 1], '.');
        tlscheck_findings_destroy(f);
    }
}

/* --- settings and entries -------------------------------------------------------------------- */

/* U(nreached), N(ot sent), C(lear), E(ncrypted), V(erified), for each of the six settings. */
static void each_setting_does_what_the_reference_says(void **unused)
{
    static const struct {
        const char *name;
        struct host_case hosts[HOSTS_MAX];
        size_t count;
        const char *fates;
    } rows[] = {
        { "down", { { DOWN, "", 0, 0, 0 } }, 1, "UUUUUU" },
        { "not offered", { PLAIN }, 1, "CCNCNN" },
        { "masked", { STRIPPED }, 1, "CCNCNN" },
        { "refused", { { REFUSED, "", 0, 0, 0 } }, 1, "CCNCNN" },
        { "broken", { { BROKEN, "", 0, 0, 0 } }, 1, "CNNNNN" },
        { "untrusted", { UNTRUSTED }, 1, "CEEENN" },
        { "for the domain", { OWN }, 1, "CEEVVV" },
        { "for the MX", { HOSTED }, 1, "CEEENV" },
        { "for the PTR", { REVERSE }, 1, "CEEVVN" },
        { "DANE has no say", { SWAPPED }, 1, "CEEVVV" },
        { "one of two", { OWN, PLAIN }, 2, "CCECVV" },
        { "one is down", { OWN, { DOWN, "", 0, 0, 0 } }, 2, "CEEVVV" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tlscheck_findings *f = findings_of(rows[i].hosts, rows[i].count, 0);

        for (size_t s = 0; rows[i].fates[s] != '\0'; s++) {
            const struct policy_destination d = tlscheck_setting((enum policy_tls)s);
            struct tlscheck_plan p;

            tlscheck_plan_all(f, &d, &p);
            if ("UNCEV"[p.fate] != rows[i].fates[s])
                fail_msg("%s, %s: %s", rows[i].name, policy_tls_text(d.tls),
                         tlscheck_plan_text(&p));
            assert_true(p.fate > TLSCHECK_NOT_SENT || p.why[0] != '\0');
        }
        tlscheck_findings_destroy(f);
    }
}

static void an_entry_has_to_send_it_encrypted(void **unused)
{
    static const struct {
        struct host_case hosts[HOSTS_MAX];
        size_t count;
        enum policy_tls tls;
        enum policy_dane dane;
        bool is_safe;
        const char *says;
    } rows[] = {
        { { DANED },
          1,
          POLICY_TLS_PREFERRED,
          POLICY_DANE_OPPORTUNISTIC,
          true,
          "(tls = \"preferred\", dane = \"opportunistic\") it will be sent encrypted and verified "
          "by DANE." },
        { { DANED }, 1, POLICY_TLS_PREFERRED, POLICY_DANE_OFF, true, "will be sent encrypted." },
        { { OWN }, 1, POLICY_TLS_OFF, POLICY_DANE_OFF, false, "will be sent in clear text" },
        { { HOSTED },
          1,
          POLICY_TLS_REQUIRED_VERIFY,
          POLICY_DANE_OFF,
          false,
          "it will not be sent (mx1.example.com: tried names)" },
        { { OWN }, 1, POLICY_TLS_PREFERRED, POLICY_DANE_MANDATORY, false, "DANE is mandatory" },
        { { UNTRUSTED },
          1,
          POLICY_TLS_PREFERRED_VERIFY,
          POLICY_DANE_OFF,
          false,
          "encrypted, not verified (mx1.example.com: tried names)" },
        /* The demand makes up for a host that cannot meet it. */
        { { OWN, PLAIN },
          2,
          POLICY_TLS_REQUIRED_VERIFY,
          POLICY_DANE_OFF,
          true,
          "verified, though not to all of its hosts" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tlscheck_findings *f = findings_of(rows[i].hosts, rows[i].count, 0);
        struct policy_destination d = tlscheck_setting(rows[i].tls);
        struct tlscheck_verdict v;

        d.dane = rows[i].dane;
        tlscheck_judge(f, &d, &v);
        if (v.is_safe != rows[i].is_safe || strstr(v.text, rows[i].says) == NULL)
            fail_msg("%zu: %d, %s", i, v.is_safe, v.text);
        tlscheck_findings_destroy(f);
    }
}

static void a_sender_that_is_refused_is_not_safe(void **unused)
{
    const struct host_case host = OWN;
    struct tlscheck_findings *f = findings_of(NULL, 0, 0);
    struct tlscheck_verdict v;

    (void)unused;
    fill(f, &host, true);
    tlscheck_judge(f, NULL, &v);
    assert_int_equal(v.class, CLASS(VERIFIED));
    assert_false(v.is_safe);
    assert_non_null(strstr(v.text, "But our sender is refused: 550 go away."));
    tlscheck_findings_destroy(f);
}

static void what_is_not_known_is_told(void **unused)
{
    static const struct {
        struct host_case hosts[HOSTS_MAX];
        size_t count;
        bool is_cut_off; /* the last one */
        size_t left_out;
        bool is_host_lost; /* one more, whose addresses are not known */
        bool is_safe;
        const char *says; /* NULL: nothing is said */
    } rows[] = {
        { { OWN, OWN }, 2, false, 0, false, true, NULL },
        { { OWN, { DOWN, "", 0, 0, 0 } },
          2,
          false,
          0,
          false,
          true,
          "Nothing is known of mx2.example.com (connection refused)." },
        { { OWN, { DOWN, "", 0, 0, 0 } },
          2,
          true,
          0,
          false,
          false,
          "Nothing is known of mx2.example.com (no time was left for it). The time was over" },
        { { OWN }, 1, false, 0, true, true, "Nothing is known of lost.example.com (timeout)." },
        { { OWN }, 1, false, 1, false, false, " 1 more address was not looked at" },
        { { OWN }, 1, false, 7, false, false, " 7 more addresses were not looked at" },
        { { OWN, { DOWN, "", 0, 0, 0 }, { DOWN, "", 0, 0, 0 }, { DOWN, "", 0, 0, 0 } },
          4,
          false,
          0,
          true,
          true,
          "mx4.example.com (connection refused), nor of 1 more." },
        /* What is said of all of them is not said again. */
        { { { DOWN, "", 0, 0, 0 } }, 1, false, 0, false, false, NULL },
        /* It may not be used, whatever it has. */
        { { DANED, { DOWN, "", FAILED_TLSA, 0, 0 } }, 2, false, 0, false, true, NULL },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tlscheck_findings *f = findings_of(rows[i].hosts, rows[i].count, 0);
        struct tlscheck_verdict v;

        f->is_out_of_time = f->addresses[f->addresses_count - 1].is_cut_off = rows[i].is_cut_off;
        f->addresses_left_out = rows[i].left_out;
        if (rows[i].is_host_lost) {
            struct tlscheck_host *lost = &f->hosts[f->hosts_count++];

            lost->outcome = DNS_FAILED;
            (void)snprintf(lost->name, sizeof(lost->name), "lost.example.com");
            (void)snprintf(lost->reason, sizeof(lost->reason), "timeout");
        }
        tlscheck_judge(f, NULL, &v);
        if (v.is_safe != rows[i].is_safe ||
            (rows[i].says == NULL) != (strstr(v.text, "Nothing is known") == NULL &&
                                       strstr(v.text, "looked at") == NULL) ||
            (rows[i].says != NULL && strstr(v.text, rows[i].says) == NULL))
            fail_msg("%zu: %d, %s", i, v.is_safe, v.text);
        assert_int_equal(v.is_complete, !rows[i].is_cut_off && rows[i].left_out == 0);
        tlscheck_findings_destroy(f);
    }
}

static void without_hosts_the_dns_has_the_word(void **unused)
{
    static const struct {
        enum dns_exchange_outcome outcome;
        enum tlscheck_class class;
        const char *says;
    } rows[] = {
        { DNS_EXCHANGE_NO_DOMAIN, CLASS(NO_DOMAIN), "example.com does not exist" },
        { DNS_EXCHANGE_NO_MAIL, CLASS(NO_MAIL), "null MX" },
        { DNS_EXCHANGE_NO_HOST, CLASS(NO_HOST), "cannot be delivered: why" },
        { DNS_EXCHANGE_FAILED, CLASS(DNS_FAILED),
          "waits: the DNS does not say where it goes (why)" },
    };
    const struct policy_destination d = tlscheck_setting(POLICY_TLS_REQUIRED);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tlscheck_findings *f = findings_of(NULL, 0, 0);
        struct tlscheck_verdict v;

        f->outcome = rows[i].outcome;
        (void)snprintf(f->reason, sizeof(f->reason), "why");
        tlscheck_judge(f, &d, &v);
        assert_int_equal(v.class, rows[i].class);
        assert_false(v.is_safe);
        assert_false(v.has_plan);
        assert_int_equal(v.confidence, 0);
        assert_non_null(strstr(v.text, rows[i].says));
        tlscheck_findings_destroy(f);
    }
}

static void a_domain_whose_best_host_is_ourselves_is_a_loop(void **unused)
{
    const struct policy_destination d = tlscheck_setting(POLICY_TLS_REQUIRED);
    struct tlscheck_findings *f = findings_of(NULL, 0, 0);
    struct tlscheck_verdict v;

    (void)unused;
    f->is_loop = true;
    tlscheck_judge(f, &d, &v);
    assert_int_equal(v.class, CLASS(LOOP));
    assert_false(v.is_safe || v.has_plan);
    assert_non_null(strstr(v.text, "returned to its sender: its best mail server is this gateway"));
    tlscheck_findings_destroy(f);
}

static void words_of_a_peer_are_cleaned_and_the_first_stand(void **unused)
{
    struct tlscheck_address a = { .host = 0 };

    (void)unused;
    tlscheck_note_trouble(&a, "550 %s", "a\r\nb\x1b[2J\xff");
    tlscheck_note_trouble(&a, "and more");
    assert_string_equal(a.trouble, "550 a??b?[2J?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_a_domain_a_host_or_an_address),
        cmocka_unit_test(what_is_no_target_is_refused),
        cmocka_unit_test(the_verdict_is_that_of_the_weakest_host_that_gets_mail),
        cmocka_unit_test(each_setting_does_what_the_reference_says),
        cmocka_unit_test(an_entry_has_to_send_it_encrypted),
        cmocka_unit_test(a_sender_that_is_refused_is_not_safe),
        cmocka_unit_test(what_is_not_known_is_told),
        cmocka_unit_test(without_hosts_the_dns_has_the_word),
        cmocka_unit_test(a_domain_whose_best_host_is_ourselves_is_a_loop),
        cmocka_unit_test(words_of_a_peer_are_cleaned_and_the_first_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
