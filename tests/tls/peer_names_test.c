#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls/peer_names.h"

#define NAMES_MAX 4

/* With its NUL bytes, as a constant initializer. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

#define LABEL_63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HOST_LONG LABEL_63 "." LABEL_63 "." LABEL_63 "."

static const struct {
    struct slice hosts[NAMES_MAX], mailboxes[NAMES_MAX], common_name, wanted;
    bool has;
} cases[] = {
    /* A host. */
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("mx.a.example"), .has = true },
    { .hosts = { BYTES("MX.a.Example") }, .wanted = BYTES("mx.A.example"), .has = true },
    { .hosts = { BYTES("mx.a.example.") }, .wanted = BYTES("mx.a.example"), .has = true },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("mx.a.example."), .has = true },
    { .hosts = { BYTES("b.example"), BYTES("mx.a.example") },
      .wanted = BYTES("mx.a.example"),
      .has = true },
    { .hosts = { BYTES("localhost") }, .wanted = BYTES("localhost"), .has = true },
    { .hosts = { BYTES("_mx.a.example") }, .wanted = BYTES("_mx.a.example"), .has = true },
    { .hosts = { BYTES("xn--mller-kva.example") },
      .wanted = BYTES("xn--mller-kva.example"),
      .has = true },
    { .hosts = { BYTES(HOST_LONG LABEL_63) }, .wanted = BYTES(HOST_LONG LABEL_63) }, /* 255 */
    { .hosts = { BYTES(HOST_LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") },
      .wanted = BYTES(HOST_LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
      .has = true }, /* 253 */
    { .hosts = { BYTES(LABEL_63 "a.example") }, .wanted = BYTES(LABEL_63 "a.example") },
    { .hosts = { BYTES("mx.a.example..") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("mx.a.example..") },
    { .hosts = { BYTES("mx.a.example\0") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.a.example\0.evil.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.a.example\0") }, .wanted = BYTES("mx.a.example\0") },
    { .hosts = { BYTES(" mx.a.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.a.example ") }, .wanted = BYTES("mx.a.example ") },
    { .hosts = { BYTES("a.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("a.example") },
    { .hosts = { BYTES("mxa.example") }, .wanted = BYTES("mx.example") },
    { .hosts = { BYTES("m\xc3\xbcller.example") }, .wanted = BYTES("m\xc3\xbcller.example") },
    { .hosts = { BYTES("") }, .wanted = BYTES("") },
    { .hosts = { BYTES(".") }, .wanted = BYTES(".") },
    { .hosts = { BYTES("a..example") }, .wanted = BYTES("a..example") },
    { .hosts = { BYTES(".a.example") }, .wanted = BYTES(".a.example") },
    { .hosts = { BYTES("192.0.2.1") }, .wanted = BYTES("192.0.2.1") },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("") },
    { .wanted = BYTES("mx.a.example") },

    /* A wildcard in the certificate. */
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES("mx.a.example"), .has = true },
    { .hosts = { BYTES("*.A.example.") }, .wanted = BYTES("MX.a.example"), .has = true },
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES("a.example") },
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES("x.mx.a.example") },
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES(".a.example") },
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES("mxa.example") },
    { .hosts = { BYTES("*.example") }, .wanted = BYTES("a.example") },
    { .hosts = { BYTES("*.example.") }, .wanted = BYTES("a.example") },
    { .hosts = { BYTES("*") }, .wanted = BYTES("a") },
    { .hosts = { BYTES("*.") }, .wanted = BYTES("a") },
    { .hosts = { BYTES("*.*.example") }, .wanted = BYTES("x.a.example") },
    { .hosts = { BYTES("m*.a.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("*x.a.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.*.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("mx.*.example") }, .wanted = BYTES("mx.*.example") },
    { .hosts = { BYTES("**.a.example") }, .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("*.0.2.1") }, .wanted = BYTES("192.0.2.1") },

    /* A wildcard in what is wanted. */
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("*.a.example"), .has = true },
    { .hosts = { BYTES("MX.A.example.") }, .wanted = BYTES("*.a.Example."), .has = true },
    { .hosts = { BYTES("*.a.example") }, .wanted = BYTES("*.a.example"), .has = true },
    { .hosts = { BYTES("a.example") }, .wanted = BYTES("*.a.example") },
    { .hosts = { BYTES("x.mx.a.example") }, .wanted = BYTES("*.a.example") },
    { .hosts = { BYTES("*.mx.a.example") }, .wanted = BYTES("*.a.example") },
    { .hosts = { BYTES("*.example") }, .wanted = BYTES("*.a.example") },
    { .hosts = { BYTES("a.example") }, .wanted = BYTES("*.example") },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("*x.a.example") },
    { .hosts = { BYTES("mx.a.example") }, .wanted = BYTES("*") },
    { .hosts = { BYTES("m\0x.a.example") }, .wanted = BYTES("*.a.example") },

    /* The common name. */
    { .common_name = BYTES("mx.a.example"), .wanted = BYTES("mx.a.example"), .has = true },
    { .common_name = BYTES("*.a.example"), .wanted = BYTES("mx.a.example"), .has = true },
    { .common_name = BYTES("mx.a.example"), .wanted = BYTES("*.a.example"), .has = true },
    { .mailboxes = { BYTES("x@y.example") },
      .common_name = BYTES("mx.a.example"),
      .wanted = BYTES("mx.a.example"),
      .has = true },
    { .hosts = { BYTES("b.example") },
      .common_name = BYTES("mx.a.example"),
      .wanted = BYTES("mx.a.example") },
    { .hosts = { BYTES("\xff") },
      .common_name = BYTES("mx.a.example"),
      .wanted = BYTES("mx.a.example") },
    { .common_name = BYTES("Mail Exchanger"), .wanted = BYTES("Mail Exchanger") },
    { .common_name = BYTES("ann@a.example"), .wanted = BYTES("ann@a.example") },

    /* A mailbox. */
    { .mailboxes = { BYTES("ann@a.example") }, .wanted = BYTES("ann@a.example"), .has = true },
    { .mailboxes = { BYTES("Ann@A.Example.") }, .wanted = BYTES("ann@a.example."), .has = true },
    { .mailboxes = { BYTES("bob@a.example"), BYTES("ann@a.example") },
      .wanted = BYTES("ann@a.example"),
      .has = true },
    { .mailboxes = { BYTES("ann@a.example\0") }, .wanted = BYTES("ann@a.example") },
    { .mailboxes = { BYTES("ann@a.example\0x") }, .wanted = BYTES("ann@a.example") },
    { .mailboxes = { BYTES("ann\0@a.example") }, .wanted = BYTES("ann\0@a.example") },
    { .mailboxes = { BYTES("ann@mx.a.example") }, .wanted = BYTES("ann@a.example") },
    { .mailboxes = { BYTES("a.example") }, .wanted = BYTES("a.example") },
    { .mailboxes = { BYTES("@a.example") }, .wanted = BYTES("@a.example") },
    { .mailboxes = { BYTES("ann@") }, .wanted = BYTES("ann@") },
    { .mailboxes = { BYTES("ann@b@a.example") }, .wanted = BYTES("ann@b@a.example") },
    { .mailboxes = { BYTES("ann@*.example") }, .wanted = BYTES("ann@a.example") },
    { .mailboxes = { BYTES("*@a.example") }, .wanted = BYTES("ann@a.example") },
    { .hosts = { BYTES("a.example") }, .wanted = BYTES("ann@a.example") },
    { .hosts = { BYTES("ann@a.example") }, .wanted = BYTES("ann@a.example") },
};

static size_t count_of(const struct slice list[static NAMES_MAX])
{
    size_t count = 0;

    while (count < NAMES_MAX && list[count].data != NULL)
        count++;
    return count;
}

static void names_match_as_the_rules_say(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_peer_names names = { .hosts = cases[i].hosts,
                                        .hosts_count = count_of(cases[i].hosts),
                                        .mailboxes = cases[i].mailboxes,
                                        .mailboxes_count = count_of(cases[i].mailboxes),
                                        .common_name = cases[i].common_name };

        if (tls_peer_names_have(&names, cases[i].wanted) != cases[i].has)
            fail_msg("case %zu, %.*s", i, SLICE_ARGS(cases[i].wanted));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_as_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
