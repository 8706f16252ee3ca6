#include "tls/resumption.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/check.h"
#include "tls/internal.h"

#define NONE UINT32_MAX

/* What a resumed handshake does not find out again. */
struct facts {
    int64_t judged_s; /* when it was found out */
    uint16_t verify_depth;
    struct tls_dane_result dane;
};

struct entry {
    unsigned char key[TLS_ID_BYTES];
    SSL_SESSION *session;
    struct facts facts;
    int64_t until_s;
    uint32_t next;         /* in its bucket, later ones first; of a free entry: the next free one */
    uint32_t older, newer; /* of all */
};

struct tls_resumption {
    struct entry *entries;
    uint32_t *buckets; /* a power of two of them */
    size_t buckets_count;
    size_t entries_max, count;
    uint32_t unused, oldest, newest;
};

/* Of a session that resumes. */
struct tls_keeping {
    struct tls_resumption *resumption;
    unsigned char key[TLS_ID_BYTES];
    int64_t now_s;
    struct facts brought; /* with the session that is to be resumed */
    SSL_SESSION *waiting; /* its ticket came before it was to be kept; NULL: none */
    bool is_kept;
};

/* --- the cache ------------------------------------------------------------------------------- */

enum status tls_resumption_create(size_t entries_max, struct tls_resumption **resumption_out)
{
    struct tls_resumption *r = calloc(1, sizeof(*r));

    ASSERT(entries_max > 0 && entries_max <= TLS_RESUMPTION_ENTRIES_MAX);
    if (r == NULL)
        return STATUS_NO_MEMORY;
    r->entries_max = entries_max;
    r->buckets_count = 1;
    while (r->buckets_count < entries_max)
        r->buckets_count *= 2;
    r->entries = calloc(entries_max, sizeof(*r->entries));
    r->buckets = malloc(r->buckets_count * sizeof(*r->buckets));
    if (r->entries == NULL || r->buckets == NULL) {
        tls_resumption_destroy(r);
        return STATUS_NO_MEMORY;
    }
    r->oldest = r->newest = NONE;
    for (size_t i = 0; i < r->buckets_count; i++)
        r->buckets[i] = NONE;
    for (size_t i = 0; i < entries_max; i++)
        r->entries[i].next = i + 1 < entries_max ? (uint32_t)(i + 1) : NONE;
    *resumption_out = r;
    return STATUS_OK;
}

void tls_resumption_destroy(struct tls_resumption *resumption)
{
    if (resumption == NULL)
        return;
    for (size_t i = 0; resumption->entries != NULL && i < resumption->entries_max; i++)
        SSL_SESSION_free(resumption->entries[i].session);
    free(resumption->entries);
    free(resumption->buckets);
    free(resumption);
}

size_t tls_resumption_count(const struct tls_resumption *resumption)
{
    return resumption->count;
}

/* The keys are digests. */
static uint32_t *bucket_of(struct tls_resumption *r, const unsigned char key[static TLS_ID_BYTES])
{
    uint32_t number;

    memcpy(&number, key, sizeof(number));
    return &r->buckets[number & (r->buckets_count - 1)];
}

static bool is_of(const struct entry *e, const unsigned char key[static TLS_ID_BYTES])
{
    return memcmp(e->key, key, TLS_ID_BYTES) == 0;
}

/* Gives the entry back; its session is the caller's. */
static SSL_SESSION *entry_remove(struct tls_resumption *r, uint32_t index)
{
    struct entry *e = &r->entries[index];
    SSL_SESSION *session = e->session;
    uint32_t *link = bucket_of(r, e->key);

    ASSERT(session != NULL && r->count > 0);
    while (*link != index)
        link = &r->entries[*link].next;
    *link = e->next;
    *(e->older != NONE ? &r->entries[e->older].newer : &r->oldest) = e->newer;
    *(e->newer != NONE ? &r->entries[e->newer].older : &r->newest) = e->older;
    *e = (struct entry){ .next = r->unused };
    r->unused = index;
    r->count--;
    return session;
}

/* The latest of this key, or NONE. One that is too old, or that OpenSSL has given up because its
 * connection broke, is dropped on the way. */
static uint32_t find(struct tls_resumption *r, const unsigned char key[static TLS_ID_BYTES],
                     int64_t now_s)
{
    uint32_t at = *bucket_of(r, key);

    while (at != NONE) {
        const struct entry *e = &r->entries[at];
        uint32_t next = e->next;

        if (is_of(e, key)) {
            if (now_s < e->until_s && SSL_SESSION_is_resumable(e->session) == 1)
                return at;
            SSL_SESSION_free(entry_remove(r, at));
        }
        at = next;
    }
    return NONE;
}

/* Makes room for one more of this key. */
static void make_room(struct tls_resumption *r, const unsigned char key[static TLS_ID_BYTES])
{
    uint32_t last = NONE;
    size_t same = 0;

    for (uint32_t at = *bucket_of(r, key); at != NONE; at = r->entries[at].next)
        if (is_of(&r->entries[at], key)) {
            last = at;
            same++;
        }
    if (same >= TLS_RESUMPTION_PER_KEY_MAX)
        SSL_SESSION_free(entry_remove(r, last));
    else if (r->count == r->entries_max)
        SSL_SESSION_free(entry_remove(r, r->oldest));
}

/* Takes the session. */
static void put(struct tls_resumption *r, const unsigned char key[static TLS_ID_BYTES],
                SSL_SESSION *session, const struct facts *facts, int64_t until_s)
{
    uint32_t *bucket = bucket_of(r, key), index;
    struct entry *e;

    make_room(r, key);
    index = r->unused;
    ASSERT(index != NONE);
    e = &r->entries[index];
    r->unused = e->next;
    *e = (struct entry){ .session = session,
                         .facts = *facts,
                         .until_s = until_s,
                         .next = *bucket,
                         .older = r->newest,
                         .newer = NONE };
    memcpy(e->key, key, TLS_ID_BYTES);
    *bucket = index;
    *(r->newest != NONE ? &r->entries[r->newest].newer : &r->oldest) = index;
    r->newest = index;
    r->count++;
}

/* --- sessions -------------------------------------------------------------------------------- */

static size_t bytes_of(SSL *ssl, const SSL_SESSION *session)
{
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    const unsigned char *ticket;
    size_t bytes = 0;

    SSL_SESSION_get0_ticket(session, &ticket, &bytes);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int len = i2d_X509(sk_X509_value(chain, i), NULL);

        bytes += len > 0 ? (size_t)len : TLS_RESUMPTION_BYTES_MAX;
    }
    return bytes;
}

/* How long, RFC 8446 4.6.1 and RFC 5077 3.3. 0 of TLS 1.3 is "not to be used", of TLS 1.2 "not
 * said". */
static int64_t lifetime_s(const SSL_SESSION *session)
{
    unsigned long hint = SSL_SESSION_get_ticket_lifetime_hint(session);

    if (hint > TLS_RESUMPTION_LIFETIME_S ||
        (hint == 0 && SSL_SESSION_get_protocol_version(session) != TLS1_3_VERSION))
        return TLS_RESUMPTION_LIFETIME_S;
    return (int64_t)hint;
}

/* Takes the session. What was found out about the server does not get younger by being brought
 * along from one ticket to the next. */
static void store(const struct tls_session *s, SSL_SESSION *session)
{
    const struct tls_keeping *k = s->keeping;
    struct facts facts = { .judged_s = s->is_resumed ? k->brought.judged_s : k->now_s,
                           .verify_depth = s->verify_depth };
    int64_t until_s = k->now_s + lifetime_s(session);

    if (until_s > facts.judged_s + TLS_RESUMPTION_LIFETIME_S)
        until_s = facts.judged_s + TLS_RESUMPTION_LIFETIME_S;
    if (until_s <= k->now_s || SSL_SESSION_is_resumable(session) != 1 ||
        bytes_of(s->ssl, session) > TLS_RESUMPTION_BYTES_MAX) {
        SSL_SESSION_free(session);
        return;
    }
    if (s->dane != NULL)
        facts.dane = s->dane->result;
    put(k->resumption, k->key, session, &facts, until_s);
}

/* OpenSSL calls this for each ticket of TLS 1.3; under TLS 1.2 in the handshake, where it is too
 * early to know anything. 1: the session is ours. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = SSL_get_app_data(ssl);

    if (s == NULL || s->keeping == NULL || !s->established)
        return 0;
    if (s->keeping->is_kept) {
        store(s, session);
        return 1;
    }
    SSL_SESSION_free(s->keeping->waiting);
    s->keeping->waiting = session;
    return 1;
}

void tls_resumption_attach(SSL_CTX *ctx)
{
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                                  SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
}

static bool key_make(const struct tls_session *s, const struct tls_context *context,
                     struct slice key, unsigned char key_out[static TLS_ID_BYTES])
{
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    unsigned char context_id[TLS_ID_BYTES];
    struct tls_digest digest;

    tls_context_id(context, context_id);
    tls_digest_begin(&digest, "resumption");
    tls_digest_add(&digest, context_id, sizeof(context_id));
    tls_digest_add(&digest, name, name != NULL ? strlen(name) : 0);
    tls_digest_add(&digest, s->dane != NULL ? s->dane->id : NULL,
                   s->dane != NULL ? sizeof(s->dane->id) : 0);
    tls_digest_add(&digest, key.data, key.len);
    return tls_digest_end(&digest, key_out);
}

void tls_session_resume_from(struct tls_session *s, const struct tls_context *context,
                             struct tls_resumption *resumption, struct slice key, int64_t now_s)
{
    struct tls_keeping *k = calloc(1, sizeof(*k));
    SSL_SESSION *session;
    uint32_t found;

    ASSERT(!s->is_server && SSL_in_before(s->ssl) && s->keeping == NULL);
    ASSERT(SSL_get_SSL_CTX(s->ssl) == tls_context_openssl(context));
    if (k == NULL || !key_make(s, context, key, k->key)) {
        free(k);
        return;
    }
    k->resumption = resumption;
    k->now_s = now_s;
    s->keeping = k;
    found = find(resumption, k->key, now_s);
    if (found == NONE)
        return;
    k->brought = resumption->entries[found].facts;
    session = entry_remove(resumption, found);
    (void)SSL_set_session(s->ssl, session); /* if it will not, there is none to resume */
    SSL_SESSION_free(session);
    ERR_clear_error();
}

void tls_resumption_recall(struct tls_session *s)
{
    if (!s->is_resumed || s->keeping == NULL)
        return;
    s->verify_depth = s->keeping->brought.verify_depth;
    if (s->dane != NULL)
        s->dane->result = s->keeping->brought.dane;
}

void tls_session_keep_tickets(struct tls_session *s)
{
    struct tls_keeping *k = s->keeping;

    ASSERT(s->established);
    if (k == NULL || k->is_kept || s->failed || s->ssl == NULL)
        return;
    k->is_kept = true;
    if (SSL_version(s->ssl) != TLS1_3_VERSION)
        store(s, SSL_get1_session(s->ssl));
    else if (k->waiting != NULL)
        store(s, k->waiting);
    k->waiting = NULL;
}

void tls_resumption_leave(struct tls_session *s)
{
    if (s->keeping == NULL)
        return;
    SSL_SESSION_free(s->keeping->waiting);
    free(s->keeping);
    s->keeping = NULL;
}
