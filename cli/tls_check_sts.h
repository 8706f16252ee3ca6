/* cli/tls_check_sts.h - the MTA-STS policy of a domain, found and fetched now (RFC 8461 3).
 *
 *     start -> done        once, never from inside start
 *          \-> cut -> done within about a second
 *
 * As a delivery that has no policy yet (gateway/mta_sts.h), but that nothing is kept: neither the
 * gateway's policies on disk are looked at, nor is this one put there. A gateway that has an older
 * one goes by that until it expires.
 */
#pragma once
#include "cli/tls_check_findings.h"
#include "config/settings.h"
#include "engine/helper.h"
#include "gateway/mta_sts_fetch.h"

struct tlscheck_sts { /* Fields are private. Zeroed at first. */
    struct tlscheck_findings *findings;
    struct engine_loop *loop;
    struct dns_source *source;
    const struct config_mta_sts *settings;
    struct engine_helper *helper;
    struct dns_query record;
    struct dns_query addresses[2]; /* A, AAAA */
    unsigned addresses_open;
    struct gateway_mta_sts_fetch fetch;
    bool is_fetching;
    atomic_bool is_stopped;
    uint64_t started_ns;
    bool is_running;
    void (*done)(struct tlscheck_sts *s);
};

/* Everything borrowed; a ca_path of "" is the system's. The domain is that of the findings, which
 * has one. The helper has a thread that may block. */
void tlscheck_sts_start(struct tlscheck_sts *s, struct tlscheck_findings *findings,
                        struct engine_loop *loop, struct dns_source *source,
                        struct engine_helper *helper, const struct config_mta_sts *settings,
                        void (*done)(struct tlscheck_sts *s));

static inline bool tlscheck_sts_is_running(const struct tlscheck_sts *s)
{
    return s->is_running;
}

/* There is no time left. Does nothing when it is done, or was not started. */
void tlscheck_sts_cut(struct tlscheck_sts *s);

void tlscheck_sts_finish(struct tlscheck_sts *s); /* accepts a zeroed one */
