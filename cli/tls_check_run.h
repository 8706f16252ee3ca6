/* cli/tls_check_run.h - carries out `postern tls-check`: one thread, one loop, a bounded time.
 *
 * The hosts and the MTA-STS policy are looked for at the same time; then TLSCHECK_PROBES_MAX
 * addresses at a time are talked to. When the time is over what is under way is cut, and told to be
 * so.
 */
#pragma once
#include "cli/tls_check_findings.h"
#include "config/settings.h"
#include "policy/route.h"
#include "tls/trust.h"

#define TLSCHECK_PROBES_MAX 8 /* connections at a time */

/* All borrowed. */
struct tlscheck_setup {
    struct slice hostname; /* ours, for EHLO */
    uint16_t port;         /* of hosts without one of their own */
    uint32_t timeout_s;
    struct config_dns dns;
    struct tls_trust_files trust;
    const struct config_tls_client *client; /* certificate and version; NULL: none, TLS 1.2 */
    struct config_mta_sts sts;              /* ca_path "": the system's */
    bool wants_sts;
    const struct policy_route *route;       /* NULL: the DNS decides */
    const struct config_settings *settings; /* they say who we are; NULL: no configuration */
    bool has_progress;                      /* on standard error */
};

/* Fills in the findings. False: it cannot be done here, and cli_error() has said why. */
MUST_USE bool tlscheck_run(const struct tlscheck_setup *setup, struct tlscheck_findings *findings);
