/* The name algorithms of AsyncOS. */
#include "tls/peer_check.h"

#include "tests/tls/delivery.h"

#define NAMES_MAX 3
#define INPUT(list)                                                                                \
    {                                                                                              \
        list, count_of(list)                                                                       \
    }
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

#define V TLS_CHECK_VERIFY
#define H TLS_CHECK_HOSTED
#define S TLS_CHECK_MTA_STS

static const struct {
    enum tls_check_algorithm algorithm;
    struct slice common_name, hosts[NAMES_MAX];                           /* of the certificate */
    struct slice domain, ptr[NAMES_MAX], route[NAMES_MAX], mx[NAMES_MAX]; /* wanted */
    bool more_steps;
    const char *text;
} cases[] = {
    /* Verify 1: the common name and the domain, with alternatives beside it or without. */
    { V, BYTES("a.example"), .domain = BYTES("a.example"),
      .text = "matched a.example (email domain)" },
    { V,
      BYTES("a.example"),
      { BYTES("b.example") },
      BYTES("a.example"),
      .text = "matched a.example (email domain)" },
    { V, BYTES("A.Example."), .domain = BYTES("a.example"),
      .text = "matched A.Example. (email domain)" },
    { V, BYTES("*.a.example"), .domain = BYTES("x.a.example"),
      .text = "matched *.a.example for x.a.example (email domain)" },
    { V, BYTES("*.a.example"), .domain = BYTES("a.example"),
      .text = "tried a.example; certificate has *.a.example (CN)" },
    { V, BYTES("*.example"), .domain = BYTES("a.example"),
      .text = "tried a.example; certificate has *.example (CN)" },
    /* Verify 2: the common name and the PTR host, behind the domain. */
    { V, BYTES("mx.h.example"), .domain = BYTES("a.example"),
      .ptr = { BYTES("other.example"), BYTES("mx.h.example.") },
      .text = "matched mx.h.example (PTR host)" },
    { V, BYTES("a.example"), .domain = BYTES("a.example"), .ptr = { BYTES("a.example") },
      .text = "matched a.example (email domain)" },
    { V, BYTES("*.h.example"), .domain = BYTES("a.example"), .ptr = { BYTES("mx.h.example") },
      .text = "matched *.h.example for mx.h.example (PTR host)" },
    /* Verify 3: the alternatives and the domain. */
    { V,
      BYTES("x.example"),
      { BYTES("b.example"), BYTES("a.example") },
      BYTES("a.example"),
      .text = "matched a.example (email domain)" },
    { V, .hosts = { BYTES("*.a.example") }, .domain = BYTES("x.a.example"),
      .text = "matched *.a.example for x.a.example (email domain)" },
    /* The further steps, not without being asked for. */
    { V,
      BYTES("x.example"),
      { BYTES("mx.h.example") },
      BYTES("a.example"),
      .ptr = { BYTES("mx.h.example") },
      .text = "tried a.example, mx.h.example; certificate has x.example (CN), mx.h.example" },
    { V,
      BYTES("x.example"),
      { BYTES("mx.h.example") },
      BYTES("a.example"),
      .ptr = { BYTES("mx.h.example") },
      .more_steps = true,
      .text = "matched mx.h.example (PTR host)" },
    { V, BYTES("r.example"), .domain = BYTES("a.example"), .route = { BYTES("r.example") },
      .text = "tried a.example; certificate has r.example (CN)" },
    { V, BYTES("r.example"), .domain = BYTES("a.example"), .route = { BYTES("r.example") },
      .more_steps = true, .text = "matched r.example (SMTP route host)" },
    { V,
      BYTES("x.example"),
      { BYTES("r.example") },
      BYTES("a.example"),
      .route = { BYTES("r.example") },
      .more_steps = true,
      .text = "matched r.example (SMTP route host)" },
    /* Never: MX hosts. */
    { V,
      BYTES("mx.h.example"),
      { BYTES("mx.h.example") },
      BYTES("a.example"),
      .mx = { BYTES("mx.h.example") },
      .more_steps = true,
      .text = "tried a.example; certificate has mx.h.example (CN), mx.h.example" },

    /* Hosted: the domain. */
    { H, .hosts = { BYTES("a.example") }, .domain = BYTES("a.example"),
      .text = "matched a.example (email domain)" },
    { H, BYTES("a.example"), .domain = BYTES("a.example"),
      .text = "matched a.example (email domain)" },
    { H,
      BYTES("a.example"),
      { BYTES("b.example") },
      BYTES("a.example"),
      .text = "tried a.example; certificate has b.example" },
    { H,
      BYTES("a.example"),
      { BYTES("\xff") },
      BYTES("a.example"),
      .text = "tried a.example; certificate has \\xff" },
    /* Hosted: the MX host, behind the domain. */
    { H, .hosts = { BYTES("mx.h.example") }, .domain = BYTES("a.example"),
      .mx = { BYTES("MX.h.example.") }, .text = "matched mx.h.example (MX host)" },
    { H, BYTES("mx.h.example"), .domain = BYTES("a.example"), .mx = { BYTES("mx.h.example") },
      .text = "matched mx.h.example (MX host)" },
    { H, .hosts = { BYTES("mx.h.example"), BYTES("a.example") }, .domain = BYTES("a.example"),
      .mx = { BYTES("mx.h.example") }, .text = "matched a.example (email domain)" },
    { H, .hosts = { BYTES("*.h.example") }, .domain = BYTES("a.example"),
      .mx = { BYTES("a-example.mx.h.example"), BYTES("mx.h.example") },
      .text = "matched *.h.example for mx.h.example (MX host)" },
    /* Hosted: a route takes the place of MX. */
    { H, .hosts = { BYTES("r.example") }, .domain = BYTES("a.example"),
      .route = { BYTES("r.example") }, .text = "matched r.example (SMTP route host)" },
    { H, .hosts = { BYTES("mx.h.example") }, .domain = BYTES("a.example"),
      .route = { BYTES("r.example") }, .mx = { BYTES("mx.h.example") },
      .text = "tried a.example, r.example; certificate has mx.h.example" },
    { H, .hosts = { BYTES("r.example") }, .domain = BYTES("a.example"),
      .route = { BYTES("192.0.2.1"), BYTES("r.example") },
      .text = "matched r.example (SMTP route host)" },
    /* Never: PTR hosts. */
    { H, .hosts = { BYTES("mx.h.example") }, .domain = BYTES("a.example"),
      .ptr = { BYTES("mx.h.example") }, .more_steps = true,
      .text = "tried a.example; certificate has mx.h.example" },

    /* MTA-STS: dNSNames and MX hosts, and nothing else. */
    { S, .hosts = { BYTES("mx.h.example") }, .mx = { BYTES("mx.h.example") },
      .text = "matched mx.h.example (MX host)" },
    { S, .hosts = { BYTES("*.h.example") }, .mx = { BYTES("mx.h.example") },
      .text = "matched *.h.example for mx.h.example (MX host)" },
    { S, BYTES("mx.h.example"), .mx = { BYTES("mx.h.example") },
      .text = "tried mx.h.example; certificate has no name" },
    { S, .hosts = { BYTES("a.example") }, .domain = BYTES("a.example"),
      .ptr = { BYTES("a.example") }, .mx = { BYTES("mx.h.example") },
      .text = "tried mx.h.example; certificate has a.example" },

    /* Nothing to compare. */
    { V, .domain = BYTES("a.example"), .text = "tried a.example; certificate has no name" },
    { H, .hosts = { BYTES("a.example") }, .text = "tried no name; certificate has a.example" },
    { H, .text = "tried no name; certificate has no name" },

    /* What an enemy may say, on either side. */
    { H, .hosts = { BYTES("a.example\0.evil.example") }, .domain = BYTES("a.example"),
      .text = "tried a.example; certificate has a.example\\x00.evil.example" },
    { H, .hosts = { BYTES("evil, a.example\r\n(CN)\x1b\"\\") }, .domain = BYTES("a.example"),
      .text = "tried a.example; certificate has "
              "evil\\x2c\\x20a.example\\x0d\\x0a\\x28CN\\x29\\x1b\\x22\\x5c" },
    { H, .hosts = { BYTES("mx.h.example") }, .domain = BYTES("a.example"),
      .mx = { BYTES("*.h.example") },
      .text = "tried a.example, *.h.example; certificate has mx.h.example" },
    { V, BYTES("mx.h.example"), .domain = BYTES("a.example"), .ptr = { BYTES("*.h.example") },
      .text = "tried a.example, *.h.example; certificate has mx.h.example (CN)" },
    { H, .hosts = { BYTES("*.h.example") }, .domain = BYTES("a.example"),
      .mx = { BYTES("*.h.example") },
      .text = "tried a.example, *.h.example; certificate has *.h.example" },
    { H, .hosts = { BYTES("") }, .domain = BYTES("a.example"), .mx = { BYTES("."), BYTES("") },
      .text = "tried a.example, ., ; certificate has " },
    { H, .hosts = { BYTES("192.0.2.1") }, .domain = BYTES("[192.0.2.1]"),
      .mx = { BYTES("192.0.2.1") },
      .text = "tried \\x5b192.0.2.1\\x5d, 192.0.2.1; certificate has 192.0.2.1" },
    { H, .hosts = { BYTES("xn--mller-kva.example") }, .domain = BYTES("m\xc3\xbcller.example"),
      .text = "tried m\\xc3\\xbcller.example; certificate has xn--mller-kva.example" },
    { H, .hosts = { BYTES("xn--mller-kva.example") }, .domain = BYTES("XN--mller-kva.example"),
      .text = "matched xn--mller-kva.example (email domain)" },
};

static size_t count_of(const struct slice list[static NAMES_MAX])
{
    size_t count = 0;

    while (count < NAMES_MAX && list[count].data != NULL)
        count++;
    return count;
}

static void each_algorithm_compares_what_it_should(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_peer_names names = { .hosts = cases[i].hosts,
                                        .hosts_count = count_of(cases[i].hosts),
                                        .common_name = cases[i].common_name };
        struct tls_peer_wanted wanted = { .domain = cases[i].domain,
                                          .ptr = INPUT(cases[i].ptr),
                                          .route = INPUT(cases[i].route),
                                          .mx = INPUT(cases[i].mx),
                                          .more_steps = cases[i].more_steps };
        struct tls_peer_check check;

        tls_peer_check(&names, cases[i].algorithm, &wanted, &check);
        if (strcmp(check.text, cases[i].text) != 0)
            fail_msg("case %zu: %s", i, check.text);
        assert_int_equal(check.is_matched, strncmp(cases[i].text, "matched", 7) == 0);
    }
}

static void a_match_says_which_names_met(void **unused)
{
    struct slice host = SLICE("*.h.example"), mx = SLICE("mx.h.example.");
    struct tls_peer_names names = { .hosts = &host, .hosts_count = 1 };
    struct tls_peer_wanted wanted = { .domain = SLICE("a.example"), .mx = { &mx, 1 } };
    struct tls_peer_check check;

    (void)unused;
    tls_peer_check(&names, TLS_CHECK_HOSTED, &wanted, &check);
    assert_true(check.is_matched);
    assert_int_equal(check.input, TLS_CHECK_MX);
    assert_string_equal(check.name, "*.h.example");
    assert_string_equal(check.wanted, "mx.h.example.");
}

/* A list that was not looked at to its end may have had what makes the common name void. */
static void the_common_name_does_not_count_behind_a_list_that_was_cut(void **unused)
{
    struct tls_peer_names names = { .common_name = SLICE("a.example"), .is_cut = true };
    struct tls_peer_wanted wanted = { .domain = SLICE("a.example") };
    struct tls_peer_check check;

    (void)unused;
    tls_peer_check(&names, TLS_CHECK_HOSTED, &wanted, &check);
    assert_false(check.is_matched);
    assert_false(tls_peer_names_have(&names, SLICE("a.example")));
    tls_peer_check(&names, TLS_CHECK_VERIFY, &wanted, &check);
    assert_true(check.is_matched); /* there it counts in any case */
}

static void the_text_stays_within_its_bounds(void **unused)
{
    static struct slice many[TLS_PEER_NAMES_MAX];
    static char longest[4096];
    struct tls_peer_names names = { .hosts = many };
    struct tls_peer_wanted wanted = { .domain = SLICE("a.example"),
                                      .mx = { many, TLS_PEER_NAMES_MAX } };
    struct tls_peer_check check;

    (void)unused;
    memset(longest, '\n', sizeof(longest));
    for (size_t len = 0; len <= sizeof(longest); len = 2 * len + 1)
        for (size_t count = 0; count <= TLS_PEER_NAMES_MAX; count++) {
            for (size_t i = 0; i < count; i++)
                many[i] = (struct slice){ longest, len };
            names.hosts_count = count;
            memset(&check, 0x55, sizeof(check));
            tls_peer_check(&names, TLS_CHECK_HOSTED, &wanted, &check);
            assert_false(check.is_matched);
            assert_true(strlen(check.text) < sizeof(check.text));
            for (const char *c = check.text; *c != '\0'; c++)
                assert_true(*c >= ' ' && *c <= '~');
        }
    for (size_t i = 0; i < TLS_PEER_NAMES_MAX; i++)
        many[i] = SLICE("b.example");
    names.hosts_count = 10;
    wanted.mx.count = 0;
    tls_peer_check(&names, TLS_CHECK_HOSTED, &wanted, &check);
    assert_non_null(strstr(check.text, "b.example and 2 more"));
    /* The last of the hosts that are looked at, and the first that is not. */
    for (size_t at = TLS_CHECK_HOSTS_MAX - 1; at <= TLS_CHECK_HOSTS_MAX; at++) {
        struct slice host = SLICE("c.example");

        names = (struct tls_peer_names){ .hosts = &host, .hosts_count = 1 };
        wanted.mx = (struct tls_hosts){ many, TLS_PEER_NAMES_MAX };
        many[at] = host;
        tls_peer_check(&names, TLS_CHECK_HOSTED, &wanted, &check);
        assert_int_equal(check.is_matched, at < TLS_CHECK_HOSTS_MAX);
        many[at] = SLICE("b.example");
    }
}

static void a_session_is_checked_only_behind_its_chain(void **unused)
{
    static const struct certificate ours = { "Authority", NULL, NULL, 0, 0, true };
    static const struct certificate shown = {
        "mx.h.example", "DNS:a.example,DNS:*.h.example", NULL, 0, 0, false
    };
    struct slice mx = SLICE("mx.h.example");
    struct tls_peer_wanted wanted = { .domain = SLICE("c.example"), .mx = { &mx, 1 } };
    X509 *authority = certificate_make(&ours, NULL);
    X509 *leaf = certificate_make(&shown, authority);
    char path[PATH_BYTES];

    (void)unused;
    (void)snprintf(path, sizeof(path), "%s/authority.pem", folder);
    certificates_write(path, &authority, 1);
    for (size_t i = 0; i < 4; i++) {
        struct meeting m = { .chain = { leaf }, .suite = both[i % 2] };
        struct tls_peer_check check;
        struct link l;

        m.trust = i < 2 ? trust_make(path, NULL, NULL) : NULL;
        meet(&l, &m);
        tls_session_check_peer(l.near.session, TLS_CHECK_HOSTED, &wanted, &check);
        assert_int_equal(check.is_matched, m.trust != NULL);
        assert_string_equal(check.text, m.trust != NULL
                                            ? "matched *.h.example for mx.h.example (MX host)"
                                            : "unable to get local issuer certificate");
        tls_session_check_peer(l.near.session, TLS_CHECK_VERIFY, &wanted, &check);
        assert_false(check.is_matched);
        finish(&l);
        tls_trust_release(m.trust);
    }
    (void)unlink(path);
    X509_free(authority);
    X509_free(leaf);
}

static int make_all(void **unused)
{
    one_key = EVP_EC_gen("P-256");
    return make_certificates(unused);
}

static int remove_all(void **unused)
{
    EVP_PKEY_free(one_key);
    return remove_certificates(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_compares_what_it_should),
        cmocka_unit_test(a_match_says_which_names_met),
        cmocka_unit_test(the_common_name_does_not_count_behind_a_list_that_was_cut),
        cmocka_unit_test(the_text_stays_within_its_bounds),
        cmocka_unit_test(a_session_is_checked_only_behind_its_chain),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
