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

enum policy_dane { POLICY_DANE_OFF, POLICY_DANE_OPPORTUNISTIC, POLICY_DANE_MANDATORY };

/* Who makes the TLS records of a connection, OpenSSL or the kernel: tls/kernel.h. */
enum policy_ktls { POLICY_KTLS_AUTO, POLICY_KTLS_OFF, POLICY_KTLS_TX, POLICY_KTLS_BOTH };

#define POLICY_DESTINATION_CONNECTIONS_DEFAULT             500u
#define POLICY_DESTINATION_CONNECTIONS_MAX                 1000u
#define POLICY_DESTINATION_MESSAGES_PER_CONNECTION_DEFAULT 50u
#define POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX     1000u

struct policy_destination {
    struct slice name; /* as it was written; "default" for the default */
    enum policy_tls tls;
    enum policy_ktls ktls;
    enum policy_dane dane;
    bool mta_sts;
    bool clear_after_failed_handshake;
    uint32_t max_connections; /* to one domain, over all workers */
    uint32_t max_messages_per_connection;
    const struct policy_bounce_profile *bounce_profile; /* never NULL in a snapshot */
};

/* Everything at its default, named "default", TLS off, without a bounce profile. */
struct policy_destination policy_destination_default(void);

/* Never NULL. */
const struct policy_destination *policy_destination_find(const struct policy_snapshot *snapshot,
                                                         struct slice domain);

/* The words of the configuration: "required-verify"..., "both"... */
const char *policy_tls_text(enum policy_tls tls);
const char *policy_ktls_text(enum policy_ktls ktls);

/* Whether STARTTLS is tried where the host offers it. */
bool policy_tls_is_wanted(enum policy_tls tls);
/* Whether nothing may be sent without TLS. */
bool policy_tls_is_required(enum policy_tls tls);
