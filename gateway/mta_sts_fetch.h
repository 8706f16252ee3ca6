/* gateway/mta_sts_fetch.h - one HTTPS request for an MTA-STS policy, by libcurl.
 *
 * RFC 8461 3.3: no redirect is followed, nothing is cached, only 200 and text/plain count, the
 * certificate has to be valid for the host's name. The addresses are given by the caller, so that
 * the name is not looked up a second time, by other rules. What the environment says of proxies
 * does not count.
 */
#pragma once
#include <stdatomic.h>

#include "base/buffer.h"
#include "base/ip.h"
#include "dns/name.h"
#include "engine/helper.h"
#include "observe/tls_results.h"
#include "policy/mta_sts.h"

#define GATEWAY_MTA_STS_ADDRESSES_MAX 16 /* of a policy host; more are not tried */
#define GATEWAY_MTA_STS_REASON_MAX    160

struct gateway_mta_sts_fetch {
    struct engine_job job; /* of who runs it */
    void (*done)(struct gateway_mta_sts_fetch *fetch);

    char host[DNS_NAME_MAX]; /* "mta-sts.example.com" */
    struct ip_address addresses[GATEWAY_MTA_STS_ADDRESSES_MAX];
    size_t addresses_count; /* at least 1 */
    uint16_t port;
    uint32_t timeout_ms;
    char *ca_path;                 /* owned; NULL: the system's */
    const atomic_bool *is_stopped; /* it ends within a second when this turns true */

    /* What came of it. */
    struct buffer body;                      /* at most POLICY_MTA_STS_TEXT_MAX bytes */
    bool is_ok;                              /* the body is what the host says its policy is */
    char reason[GATEWAY_MTA_STS_REASON_MAX]; /* why it is not; printable ASCII */
    /* What RFC 8460 4.3 calls it; OBSERVE_TLS_SUCCESS: it is our own trouble, and not the host's.
     */
    enum observe_tls_result_type trouble;
};

/* *fetch is zeroed. */
void gateway_mta_sts_fetch_init(struct gateway_mta_sts_fetch *fetch);
void gateway_mta_sts_fetch_finish(struct gateway_mta_sts_fetch *fetch);

/* Blocks, for timeout_ms at the most. On any thread; curl_global_init() has been called. */
void gateway_mta_sts_fetch_run(struct gateway_mta_sts_fetch *fetch);
