/* What a certificate, the DNS and TLSA records say about a server, with any bytes: nothing but
 * printable text comes of it, a match has its reason, and a record is usable or not. */
#include <openssl/err.h>

#include "tls/internal.h"
#include "tls/peer_check.h"

#define NAMES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_printable(const char *text, size_t room)
{
    ASSERT(strnlen(text, room) < room);
    for (; *text != '\0'; text++)
        ASSERT(*text >= ' ' && *text <= '~');
}

static void check(const struct tls_peer_names *names, const struct tls_peer_wanted *wanted)
{
    for (int algorithm = TLS_CHECK_VERIFY; algorithm <= TLS_CHECK_MTA_STS; algorithm++) {
        struct tls_peer_check c;

        tls_peer_check(names, (enum tls_check_algorithm)algorithm, wanted, &c);
        expect_printable(c.text, sizeof(c.text));
        if (!c.is_matched)
            continue;
        expect_printable(c.name, sizeof(c.name));
        ASSERT(tls_peer_host_matches(slice_from(c.name), slice_from(c.wanted)));
        ASSERT(algorithm != TLS_CHECK_VERIFY || c.input != TLS_CHECK_MX);
        ASSERT(algorithm != TLS_CHECK_HOSTED || c.input != TLS_CHECK_PTR);
        ASSERT(algorithm != TLS_CHECK_MTA_STS || c.input == TLS_CHECK_MX);
    }
}

/* Names between newlines: the common name, alternatives, then what is wanted. */
static void names_are(struct slice text)
{
    struct slice hosts[NAMES_MAX], wanted[NAMES_MAX];
    struct tls_peer_names names = { .hosts = hosts };
    struct tls_peer_wanted all = { .more_steps = text.len % 2 == 1 };
    size_t count = 0;

    names.common_name = slice_cut(&text, '\n');
    all.domain = slice_cut(&text, '\n');
    while (text.len > 0 && count < NAMES_MAX) {
        hosts[count] = slice_cut(&text, '\n');
        wanted[count++] = slice_cut(&text, '\n');
    }
    names.hosts_count = count / 2;
    all.ptr = all.mx = (struct tls_hosts){ wanted, count };
    check(&names, &all);
    all.route = all.mx;
    check(&names, &all);
}

static void certificate_is(struct slice der)
{
    const unsigned char *at = (const unsigned char *)der.data;
    X509 *x = d2i_X509(NULL, &at, (long)der.len);
    struct tls_peer_wanted wanted = { .domain = SLICE("a.example") };
    struct tls_peer_listing listing;

    if (x != NULL && tls_peer_listing_of(x, "a.example", &listing)) {
        check(&listing.names, &wanted);
        tls_peer_listing_finish(&listing);
    }
    X509_free(x);
}

/* Records: usage, selector, matching type and length, each a byte, then the data. */
static void records_are(struct slice bytes)
{
    static struct tls_context *context;
    static const struct tls_client_options options = { .min_version = TLS_VERSION_1_2 };
    struct tls_dane_record records[NAMES_MAX];
    struct slice name = SLICE("mx.example");
    struct tls_session *s;
    struct tls_error error;
    size_t count = 0, fit = 0, usable;

    while (bytes.len > 4 && count < NAMES_MAX) {
        size_t len = (uint8_t)bytes.data[3], left = bytes.len - 4;
        struct tls_dane_record *r = &records[count++];

        *r = (struct tls_dane_record){ (uint8_t)bytes.data[0],
                                       (uint8_t)bytes.data[1],
                                       (uint8_t)bytes.data[2],
                                       { bytes.data + 4, len < left ? len : left } };
        bytes = slice_after(bytes, 4 + r->data.len);
    }
    if (context == NULL)
        ASSERT(tls_context_create_client(&options, &context, &error) == STATUS_OK);
    ASSERT(tls_session_create(context, TLS_ROLE_CLIENT, "mx.example", &s) == STATUS_OK);
    ASSERT(tls_session_expect_dane(s, &name, 1, records, count, &usable) == STATUS_OK);
    for (size_t i = 0; i < count; i++)
        fit += records[i].usage == 2 || records[i].usage == 3;
    ASSERT(usable <= fit);
    tls_session_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest;

    if (size < 1)
        return 0;
    rest = (struct slice){ (const char *)data + 1, size - 1 };
    switch (data[0] % 3) {
    case 0: names_are(rest); break;
    case 1: certificate_is(rest); break;
    case 2: records_are(rest); break;
    }
    ERR_clear_error();
    return 0;
}
