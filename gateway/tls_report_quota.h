/* gateway/tls_report_quota.h - how many TLS reports one address gets, whoever asks for them.
 *
 * Where reports go is what the record of a stranger's domain says, and it may name anybody (RFC
 * 8460 7, "Untrusted content" and flooding). Who has many domains could have us bury a mailbox or a
 * web server in reports about them. So each try counts for the address or URI, and for the domain
 * of the address or the host of the URI, where "a1@" and "a2@" are the same victim. The limits
 * leave room for a provider who takes the reports of many domains.
 *
 * In memory: a restart counts anew. Time is an argument; where the clock is set back, a count
 * lives as much longer.
 */
#pragma once
#include <time.h>

#include "base/hash.h"
#include "base/status.h"
#include "observe/tls_report_record.h"

#define GATEWAY_TLS_ADDRESS_REPORTS_MAX 200u  /* to one address or URI */
#define GATEWAY_TLS_HOST_REPORTS_MAX    1000u /* to all addresses of a domain, URIs of a host */
/* From the first of them. Less than the 23 hours that lie between the reports of one day and of the
 * next at the least, and more than their tries take. */
#define GATEWAY_TLS_QUOTA_S 72000u

struct gateway_tls_quota; /* opaque */

/* seed: addresses are chosen by strangers. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_tls_quota_create(const struct hash_seed *seed,
                                              struct gateway_tls_quota **quota_out);
void gateway_tls_quota_destroy(struct gateway_tls_quota *quota); /* accepts NULL */

/* Counts a report for the URI; host: the domain of its address, or its host. NULL: it may go; else
 * why not, in a phrase, and nothing is counted. */
const char *gateway_tls_quota_take(struct gateway_tls_quota *quota,
                                   const struct observe_tls_uri *uri, struct slice host,
                                   time_t now_s);

/* Once in ten minutes at the least: forgets what is over. */
void gateway_tls_quota_sweep(struct gateway_tls_quota *quota, time_t now_s);
