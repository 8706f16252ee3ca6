/* gateway/tls_judge.h - keys, certificates and authorities, judged by loading them.
 *
 * For reading a configuration: what OpenSSL would refuse later is told with the other problems,
 * at its line. May block on files.
 */
#pragma once
#include "config/load.h"

/* Has no state; lives for ever. */
struct config_tls_judge *gateway_tls_judge(void);

/* One of the stages of gateway/certificate_watch.h. Its first ones would warn of every certificate
 * that is made for 90 days, as long as it lives. */
#define GATEWAY_TLS_JUDGE_AHEAD_DAYS 30

/* The same for who looks once: it also warns of a certificate, or an intermediate, that expires in
 * so many days. A gateway that runs has the alerts for that. */
struct config_tls_judge *gateway_tls_judge_ahead(void);
