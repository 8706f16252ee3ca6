/* policy/tls_demand.h - what TLS one host of one domain must have, and what follows from how it
 * went.
 *
 * Three may demand it, and the first that has something to say is alone in charge, for each domain
 * of a recipient and for each of its hosts:
 *
 *     DANE      where the destination asks for it and the host has usable TLSA records (RFC 7672)
 *     MTA-STS   where the destination asks for it and the domain has a policy in force (RFC 8461;
 *               its section 2 forbids it to override a DANE check that failed)
 *     the table the destination's own setting, one of the six of Destination Controls
 *
 * A message may ask that what its recipient's domain publishes be ignored, DANE and MTA-STS (RFC
 * 8689 4.2.2, "TLS-Required: No"). What the operator demands is his own word and stays: the table,
 * and DANE that is mandatory.
 *
 * Pure; see docs/DESTINATIONS.md for the words of users.
 */
#pragma once
#include "policy/destination.h"

/* What the DNS says of a host. That it could not be asked is no member: such a host is not used. */
enum policy_dane_found {
    POLICY_DANE_NOT_FOUND, /* no TLSA records, or nothing that is signed; or they were not asked for
                            */
    POLICY_DANE_UNUSABLE,  /* records, none of which can be used: TLS, by anybody (RFC 7672 2.2) */
    POLICY_DANE_USABLE
};

enum policy_sts_found {
    POLICY_STS_NOT_FOUND, /* no policy, mode "none", or it was not asked for */
    POLICY_STS_TESTING,   /* what fails is only reported */
    POLICY_STS_ENFORCED
};

struct policy_tls_facts {
    enum policy_dane_found dane;
    enum policy_sts_found sts;
    bool is_host_of_sts; /* the host is one of the MTA-STS policy */
    bool is_optional;    /* for mail with TLS-Required: No */
};

enum policy_tls_authority { POLICY_TLS_BY_TABLE, POLICY_TLS_BY_DANE, POLICY_TLS_BY_MTA_STS };

/* How the peer's certificate is judged. */
enum policy_tls_check {
    POLICY_TLS_CHECK_NONE,
    POLICY_TLS_CHECK_VERIFY, /* tls/peer_check.h */
    POLICY_TLS_CHECK_HOSTED,
    POLICY_TLS_CHECK_DANE,
    POLICY_TLS_CHECK_MTA_STS /* a trusted chain, and the name of the host: RFC 8461 4.2 */
};

enum policy_tls_obstacle {
    POLICY_TLS_NO_OBSTACLE,
    POLICY_TLS_NO_DANE,     /* DANE is mandatory, and the host has none that can be used */
    POLICY_TLS_NOT_ALLOWED, /* the MTA-STS policy in force does not know the host */
};

struct policy_tls_demand {
    enum policy_tls_authority authority;
    enum policy_tls_check check;
    enum policy_tls_obstacle obstacle; /* the host must not be used at all */
    bool is_wanted;                    /* STARTTLS is said where it is offered */
    bool is_required;                  /* nothing goes in the clear */
    bool is_check_required;            /* and nothing to a peer that fails the check */
    bool may_fall_back; /* after a failed handshake a new connection may go in the clear */
};

struct policy_tls_demand policy_tls_demand_of(const struct policy_destination *destination,
                                              const struct policy_tls_facts *facts);

/* Whether there is anything that TLS-Required: No can change for the destination. If so, neither
 * DANE nor MTA-STS has to be asked about for such mail. */
bool policy_tls_is_ignorable(const struct policy_destination *destination);

/* "the MTA-STS policy does not list this host"; NULL: there is no obstacle. */
const char *policy_tls_obstacle_text(enum policy_tls_obstacle obstacle);

/* "table", "DANE", "MTA-STS": for the log. */
const char *policy_tls_authority_text(enum policy_tls_authority authority);

/* How the attempt to encrypt a connection ended. */
enum policy_tls_event {
    POLICY_TLS_NOT_OFFERED,      /* no EHLO, or no STARTTLS in its reply */
    POLICY_TLS_REFUSED,          /* the command was answered with anything but 220 */
    POLICY_TLS_FAILED_BEFORE,    /* we could not start it (no context, no memory); nothing sent */
    POLICY_TLS_HANDSHAKE_FAILED, /* after the 220 */
    POLICY_TLS_UNVERIFIED,       /* established; the check failed */
    POLICY_TLS_ESTABLISHED       /* the check, if there is one, is passed */
};

enum policy_tls_action {
    POLICY_TLS_SEND_CLEAR, /* go on in clear text on the same connection */
    POLICY_TLS_SEND_ENCRYPTED,
    POLICY_TLS_TRY_CLEAR, /* leave this connection; the next one to this host may go in the clear */
    POLICY_TLS_TRY_NEXT   /* leave this host: the next one, or later; never in clear here */
};

/* The table of Destination Controls. What a failed handshake left behind is not used for clear
 * text, whatever the setting: only the peer's word before the 220 can lead there. */
enum policy_tls_action policy_tls_outcome(const struct policy_tls_demand *demand,
                                          enum policy_tls_event event);
