#include "tls/dane.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/check.h"
#include "tls/internal.h"
#include "tls/text.h"

#define USAGE_TA 2 /* RFC 7218 2.1 */
#define USAGE_EE 3

#define HOST_TEXT_MAX 256

/* For OpenSSL no name at all means that every name will do. This one nobody can have (RFC 6761
 * 6.4). */
static const char no_host[] = "invalid";

bool tls_dane_attach(SSL_CTX *ctx)
{
    if (SSL_CTX_dane_enable(ctx) != 1)
        return false;
    (void)SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    return true;
}

static bool host_text(struct slice name, char text_out[static HOST_TEXT_MAX])
{
    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len >= HOST_TEXT_MAX || !tls_peer_is_host(name))
        return false;
    memcpy(text_out, name.data, name.len);
    text_out[name.len] = '\0';
    return true;
}

/* The names that count for DANE-TA(2), and the SNI. */
static bool enable(SSL *ssl, const struct slice *names, size_t names_count)
{
    char host[HOST_TEXT_MAX];
    bool has_one = false;

    if (names_count > 0 && host_text(names[0], host) && SSL_set_tlsext_host_name(ssl, host) != 1)
        return false;
    if (SSL_dane_enable(ssl, NULL) != 1)
        return false;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < names_count && i < TLS_DANE_NAMES_MAX; i++) {
        if (!host_text(names[i], host))
            continue;
        if (SSL_add1_host(ssl, host) != 1)
            return false;
        has_one = true;
    }
    return has_one || SSL_add1_host(ssl, no_host) == 1;
}

/* -1: no memory, which is also what OpenSSL makes of data that are empty; 0: not fit for use. */
static int add(SSL *ssl, const struct tls_dane_record *record)
{
    if ((record->usage != USAGE_TA && record->usage != USAGE_EE) || record->data.len == 0)
        return 0;
    return SSL_dane_tlsa_add(ssl, record->usage, record->selector, record->matching,
                             (const unsigned char *)record->data.data, record->data.len);
}

/* What was expected, for tls/resumption.h. */
static bool identify(struct tls_dane *d, const struct slice *names, size_t names_count,
                     const struct tls_dane_record *records, size_t records_count)
{
    struct tls_digest digest;

    tls_digest_begin(&digest, "dane");
    for (size_t i = 0; i < names_count; i++)
        tls_digest_add(&digest, names[i].data, names[i].len);
    for (size_t i = 0; i < records_count; i++) {
        const struct tls_dane_record *r = &records[i];
        const unsigned char head[] = { r->usage, r->selector, r->matching };

        tls_digest_add(&digest, head, sizeof(head));
        tls_digest_add(&digest, r->data.data, r->data.len);
    }
    return tls_digest_end(&digest, d->id);
}

/* Adds records until there are enough of them; false: no memory. */
static bool add_all(SSL *ssl, const struct tls_dane_record *records, size_t records_count,
                    size_t *usable_out)
{
    size_t usable = 0;

    for (size_t i = 0; i < records_count && usable < TLS_DANE_RECORDS_MAX; i++) {
        int added = add(ssl, &records[i]);

        if (added < 0)
            return false;
        usable += added > 0;
    }
    *usable_out = usable;
    return true;
}

enum status tls_dane_count_usable(struct tls_context *context,
                                  const struct tls_dane_record *records, size_t records_count,
                                  size_t *usable_out)
{
    SSL *ssl = SSL_new(tls_context_openssl(context));
    bool ok =
        ssl != NULL && enable(ssl, NULL, 0) && add_all(ssl, records, records_count, usable_out);

    SSL_free(ssl);
    ERR_clear_error();
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status tls_session_expect_dane(struct tls_session *s, const struct slice *names,
                                    size_t names_count, const struct tls_dane_record *records,
                                    size_t records_count, size_t *usable_out)
{
    struct tls_dane *d = calloc(1, sizeof(*d));
    size_t usable = 0;

    ASSERT(!s->is_server && SSL_in_before(s->ssl));
    ASSERT(s->dane == NULL && s->keeping == NULL);
    ERR_clear_error();
    if (d == NULL || !identify(d, names, names_count, records, records_count) ||
        !enable(s->ssl, names, names_count))
        goto no_memory;
    if (!add_all(s->ssl, records, records_count, &usable))
        goto no_memory;
    /* Without a record OpenSSL judges by the authorities, and should not ask for our names then. */
    if (usable == 0 && SSL_set1_host(s->ssl, NULL) != 1)
        goto no_memory;
    ERR_clear_error();
    d->records_count = records_count;
    d->usable_count = usable;
    s->dane = d;
    *usable_out = usable;
    return STATUS_OK;

no_memory:
    ERR_clear_error();
    free(d);
    return STATUS_NO_MEMORY;
}

static void say_match(struct tls_dane_result *result, const char *name)
{
    struct tls_text text;

    tls_text_begin(&text, result->text, sizeof(result->text));
    tls_text_add(&text, "matched ");
    tls_text_add_number(&text, result->usage);
    tls_text_add(&text, " ");
    tls_text_add_number(&text, result->selector);
    tls_text_add(&text, " ");
    tls_text_add_number(&text, result->matching);
    if (result->usage == USAGE_EE) {
        tls_text_add(&text, " (DANE-EE)");
        return;
    }
    tls_text_add(&text, " (DANE-TA) at depth ");
    tls_text_add_number(&text, (uint64_t)result->depth);
    if (name != NULL) {
        tls_text_add(&text, ", name ");
        tls_text_add_name(&text, slice_from(name), HOST_TEXT_MAX);
    }
}

static void say(struct tls_dane_result *result, enum tls_dane_verdict verdict, const char *why)
{
    struct tls_text text;

    result->verdict = verdict;
    tls_text_begin(&text, result->text, sizeof(result->text));
    tls_text_add(&text, why);
}

bool tls_dane_is_judge(const struct tls_session *s)
{
    return s->dane != NULL && s->dane->usable_count > 0;
}

void tls_dane_judge(struct tls_session *s)
{
    struct tls_dane_result *result;

    if (s->dane == NULL || s->dane->records_count == 0 || s->is_resumed)
        return;
    result = &s->dane->result;
    if (s->dane->usable_count == 0) {
        say(result, TLS_DANE_UNUSABLE, "no usable TLSA record");
        return;
    }
    result->depth = SSL_get0_dane_authority(s->ssl, NULL, NULL);
    if (!s->has_certificate || result->depth < 0 ||
        SSL_get0_dane_tlsa(s->ssl, &result->usage, &result->selector, &result->matching, NULL,
                           NULL) < 0) {
        const char *problem = tls_session_verify_problem(s);

        say(result, TLS_DANE_MISMATCHED, problem != NULL ? problem : "no TLSA record matched");
        return;
    }
    result->verdict = TLS_DANE_MATCHED;
    say_match(result, SSL_get0_peername(s->ssl));
}

const struct tls_dane_result *tls_session_dane_result(const struct tls_session *s)
{
    static const struct tls_dane_result none = { .verdict = TLS_DANE_NOT_EXPECTED };

    return s->dane != NULL ? &s->dane->result : &none;
}
