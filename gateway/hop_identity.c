#include "gateway/hop_identity.h"

#include <assert.h>
#include <stdio.h>

#include "base/check.h"

const char *gateway_hop_identity_server_name(const struct gateway_hop_identity *i)
{
    if (i->base.len > 0)
        return i->base.data;
    return i->host.len > 0 ? i->host.data : NULL;
}

enum status gateway_hop_identity_expect_dane(const struct gateway_hop_identity *i,
                                             struct tls_session *session,
                                             const struct tls_dane_record *records, size_t count)
{
    size_t usable;

    static_assert(DNS_DANE_NAMES_MAX <= TLS_DANE_NAMES_MAX, "all of them count");
    ASSERT(i->base.len > 0 && i->dane_names_count > 0);
    return tls_session_expect_dane(session, i->dane_names, i->dane_names_count, records, count,
                                   &usable);
}

/* The two algorithms of AsyncOS, and that of RFC 8461 4.2, which knows no name but the host's. */
static void check_names(const struct gateway_hop_identity *i, const struct tls_session *session,
                        enum tls_check_algorithm algorithm, struct tls_peer_check *check_out)
{
    struct tls_peer_wanted wanted = { .more_steps = false };

    if (algorithm != TLS_CHECK_MTA_STS)
        wanted.domain = i->domain;
    if (i->ptr.len > 0)
        wanted.ptr = (struct tls_hosts){ &i->ptr, 1 };
    if (i->host.len > 0 && i->is_route)
        wanted.route = (struct tls_hosts){ &i->host, 1 };
    else if (i->host.len > 0)
        wanted.mx = (struct tls_hosts){ &i->host, 1 };
    tls_session_check_peer(session, algorithm, &wanted, check_out);
}

static void check_dane(const struct tls_session *session, struct tls_peer_check *check_out)
{
    const struct tls_dane_result *result = tls_session_dane_result(session);

    *check_out = (struct tls_peer_check){ .is_matched = result->verdict == TLS_DANE_MATCHED };
    (void)snprintf(check_out->text, sizeof(check_out->text), "%s", result->text);
}

void gateway_hop_identity_check(const struct gateway_hop_identity *i,
                                const struct tls_session *session, enum policy_tls_check check,
                                struct tls_peer_check *check_out)
{
    switch (check) {
    case POLICY_TLS_CHECK_NONE: *check_out = (struct tls_peer_check){ .is_matched = true }; return;
    case POLICY_TLS_CHECK_VERIFY: check_names(i, session, TLS_CHECK_VERIFY, check_out); return;
    case POLICY_TLS_CHECK_HOSTED: check_names(i, session, TLS_CHECK_HOSTED, check_out); return;
    case POLICY_TLS_CHECK_MTA_STS: check_names(i, session, TLS_CHECK_MTA_STS, check_out); return;
    case POLICY_TLS_CHECK_DANE: check_dane(session, check_out); return;
    }
    UNREACHABLE();
}

bool gateway_hop_identity_is_proven(const struct gateway_hop_identity *i,
                                    const struct tls_session *session, enum policy_tls_check check,
                                    bool is_matched)
{
    struct tls_peer_check result;

    if (check != POLICY_TLS_CHECK_NONE && check != POLICY_TLS_CHECK_VERIFY)
        return is_matched;
    gateway_hop_identity_check(i, session, POLICY_TLS_CHECK_HOSTED, &result);
    return result.is_matched;
}
