/* gateway/kernel_tls.h - what this machine's kernel TLS can do, found out by doing it, and what is
 * said of it: at start, and by each session.
 */
#pragma once
#include "base/ip.h"
#include "config/settings.h"
#include "policy/destination.h"
#include "tls/kernel.h"

#define GATEWAY_KERNEL_TLS_TEXT_MAX 320 /* NUL included */

struct gateway_worker;

/* Takes pairs of connections on the loopback, turns kernel TLS on, gives keys of every cipher and
 * version in both directions, sends, receives, changes a key, leaves half a record lying. Takes
 * milliseconds, and seconds at the worst: at start and at each reload, never on a worker. */
void gateway_kernel_tls_probe(struct tls_kernel_support *support_out);

/* The finding as one line, with the remedy where there is no module. */
const char *gateway_kernel_tls_text(const struct tls_kernel_support *support,
                                    char text[static GATEWAY_KERNEL_TLS_TEXT_MAX]);

enum tls_kernel_use gateway_kernel_tls_use(enum policy_ktls ktls);

/* "ICID 5 TLS records: send kernel, receive OpenSSL (no module)", and the counters of it. kind is
 * "ICID" or "DCID". */
void gateway_kernel_tls_tell(struct gateway_worker *w, const char *kind, uint64_t id,
                             const struct tls_session *tls);

/* Why a session has ended, where TLS is the reason: "ICID 5 TLS failed: (...)" for records that
 * cannot be read, "ICID 5 TLS ended: ..." for a key update that cannot be followed. tls may be
 * NULL. */
void gateway_kernel_tls_tell_end(struct gateway_worker *w, const char *kind, uint64_t id,
                                 const struct tls_session *tls);

/* Whether a setting that is for more than one destination says "tx" or "both". */
bool gateway_kernel_tls_is_demanded(const struct config_settings *settings);
