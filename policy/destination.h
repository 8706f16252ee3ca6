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

/* How the attempt to encrypt a connection ended. */
enum policy_tls_event {
    POLICY_TLS_NOT_OFFERED,      /* no EHLO, or no STARTTLS in its reply */
    POLICY_TLS_REFUSED,          /* the command was answered with anything but 220 */
    POLICY_TLS_FAILED_BEFORE,    /* we could not start it (no context, no memory); nothing sent */
    POLICY_TLS_HANDSHAKE_FAILED, /* after the 220 */
    POLICY_TLS_ESTABLISHED
};

enum policy_tls_action {
    POLICY_TLS_SEND_CLEAR, /* go on in clear text on the same connection */
    POLICY_TLS_SEND_ENCRYPTED,
    POLICY_TLS_TRY_NEXT /* leave this host: the next one, or later; never in clear here */
};

/* The table of Destination Controls. What a failed handshake left behind is not used for clear
 * text, whatever the setting: only the peer's word before the 220 can lead there. */
enum policy_tls_action policy_tls_outcome(enum policy_tls tls, enum policy_tls_event event);
