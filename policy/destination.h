/* policy/destination.h - Destination Controls: how mail leaves for a recipient's domain.
 *
 * An entry is a domain, or ".domain" for the domains below it; the exact entry goes before the
 * longest partial one, and the default serves the rest. Every domain without an entry of its
 * own has its own copy of the limits, they are not one shared budget. Results borrow from the
 * snapshot.
 */
#pragma once
#include "base/slice.h"
#include "policy/bounce.h"

struct policy_snapshot;

enum policy_tls {
    POLICY_TLS_OFF,
    POLICY_TLS_PREFERRED,
    POLICY_TLS_REQUIRED,
    POLICY_TLS_PREFERRED_VERIFY,
    POLICY_TLS_REQUIRED_VERIFY,
    POLICY_TLS_REQUIRED_VERIFY_HOSTED
};

/* Whether TLSA records of the DNS decide about a host's TLS: policy/tls_demand.h. */
enum policy_dane {
    POLICY_DANE_OFF,
    POLICY_DANE_OPPORTUNISTIC, /* where the host has them */
    POLICY_DANE_MANDATORY      /* a host without them gets no mail */
};

enum policy_ip {
    POLICY_IP_PREFER_V6, /* among hosts that are equal otherwise */
    POLICY_IP_REQUIRE_V6,
    POLICY_IP_PREFER_V4,
    POLICY_IP_REQUIRE_V4
};

/* What each limit holds for. */
enum policy_limit_scope {
    POLICY_LIMIT_DOMAIN, /* the domain as a whole */
    POLICY_LIMIT_ADDRESS /* each address of its hosts */
};

/* What becomes of a message that holds bytes above 127 where no host offers 8BITMIME. */
enum policy_eight_bit {
    POLICY_EIGHT_BIT_BOUNCE, /* as RFC 6152 section 3 demands: 5.6.3 */
    POLICY_EIGHT_BIT_SEND    /* as it is */
};

/* Who makes the TLS records of a connection, OpenSSL or the kernel: tls/kernel.h. */
enum policy_ktls { POLICY_KTLS_AUTO, POLICY_KTLS_OFF, POLICY_KTLS_TX, POLICY_KTLS_BOTH };

#define POLICY_DESTINATION_CONNECTIONS_DEFAULT             500u
#define POLICY_DESTINATION_CONNECTIONS_MAX                 1000u
#define POLICY_DESTINATION_MESSAGES_PER_CONNECTION_DEFAULT 50u
#define POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX     1000u

#define POLICY_DESTINATION_RECIPIENTS_MAX     1000000000u
#define POLICY_DESTINATION_INTERVAL_S_DEFAULT 3600u
#define POLICY_DESTINATION_INTERVAL_S_MIN     60u
#define POLICY_DESTINATION_INTERVAL_S_MAX     3600u
#define POLICY_DESTINATION_ENTRIES_MAX        1000000u

/* What an entry may say. */
enum policy_destination_field {
    POLICY_DESTINATION_TLS,
    POLICY_DESTINATION_KTLS,
    POLICY_DESTINATION_TLS_VERSION, /* with the certificate: tls_client */
    POLICY_DESTINATION_CERTIFICATE,
    POLICY_DESTINATION_FALLBACK,
    POLICY_DESTINATION_DANE,
    POLICY_DESTINATION_MTA_STS,
    POLICY_DESTINATION_IP,
    POLICY_DESTINATION_CONNECTIONS,
    POLICY_DESTINATION_MESSAGES,
    POLICY_DESTINATION_RECIPIENTS,
    POLICY_DESTINATION_INTERVAL,
    POLICY_DESTINATION_SCOPE,
    POLICY_DESTINATION_CHUNKING,
    POLICY_DESTINATION_EIGHT_BIT,
    POLICY_DESTINATION_BOUNCE_PROFILE,
    POLICY_DESTINATION_FIELDS_COUNT
};

struct policy_destination {
    struct slice name; /* as it was written; "default" for the default */
    uint32_t given;    /* bits of the fields that the entry says itself; others are inherited */
    enum policy_tls tls;
    enum policy_ktls ktls;
    enum policy_dane dane;
    enum policy_ip ip;
    enum policy_limit_scope limit_scope;
    enum policy_eight_bit eight_bit;
    bool mta_sts;
    bool chunking;                     /* by BDAT, where a host offers it */
    bool clear_after_failed_handshake; /* of the settings that do not require TLS */
    bool has_bounce_profile;  /* it names one, which then goes before that of the listener */
    uint32_t max_connections; /* over all workers */
    uint32_t max_messages_per_connection;
    uint32_t max_recipients;        /* handed over per recipients_interval_s; 0: no limit */
    uint32_t recipients_interval_s; /* POLICY_DESTINATION_INTERVAL_S_MIN.._MAX */
    uint32_t tls_client; /* which certificate and lowest version: an index of the caller's */
    const struct policy_bounce_profile *bounce_profile; /* never NULL in a snapshot */
};

/* Everything at its default, named "default", TLS off, without a bounce profile. */
struct policy_destination policy_destination_default(void);

static inline bool policy_destination_gives(const struct policy_destination *destination,
                                            enum policy_destination_field field)
{
    return (destination->given >> field & 1) != 0;
}

/* Whether mail leaves by both in the same way; whatever their names, and who said it. */
bool policy_destination_equal(const struct policy_destination *a,
                              const struct policy_destination *b);

/* Never NULL. */
const struct policy_destination *policy_destination_find(const struct policy_snapshot *snapshot,
                                                         struct slice domain);

/* What would apply if there were no entry of this name, which may begin with a dot. Never NULL. */
const struct policy_destination *policy_destination_behind(const struct policy_snapshot *snapshot,
                                                           struct slice name);

/* The words of the configuration: "required-verify"..., "both"... */
const char *policy_tls_text(enum policy_tls tls);
const char *policy_ktls_text(enum policy_ktls ktls);
const char *policy_dane_text(enum policy_dane dane);
const char *policy_ip_text(enum policy_ip ip);
const char *policy_limit_scope_text(enum policy_limit_scope scope);
const char *policy_eight_bit_text(enum policy_eight_bit eight_bit);

/* Whether STARTTLS is tried where the host offers it. */
bool policy_tls_is_wanted(enum policy_tls tls);
/* Whether nothing may be sent without TLS. */
bool policy_tls_is_required(enum policy_tls tls);
/* Whether a certificate is looked at at all. */
bool policy_tls_is_verifying(enum policy_tls tls);
