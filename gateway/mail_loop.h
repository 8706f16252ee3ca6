/* gateway/mail_loop.h - a domain one of whose mail exchangers is this gateway. Pure.
 *
 * RFC 5321 5.1: hosts that are no better than ourselves only send the mail in a circle, and are
 * left out. For deliveries (gateway/next_hops.h) and for who tells what a delivery would do
 * (cli/tls_check_search.h). A route is the operator's own word: this is not for its hosts.
 */
#pragma once
#include "config/settings.h"
#include "dns/exchange.h"

#define GATEWAY_MAIL_LOOP_NONE UINT32_MAX /* above every preference */

/* Whether a name is one of ours, as a listener says it. */
bool gateway_mail_loop_is_us(const struct config_settings *settings, const char *name);

/* The preference from which on the hosts of a finished exchange are left out;
 * GATEWAY_MAIL_LOOP_NONE also of an implicit MX, which is no mail relay by its MX. */
uint32_t gateway_mail_loop_limit(const struct config_settings *settings,
                                 const struct dns_exchange *x);

/* A better host that may only not have been found out yet: the mail is for that one, and waits.
 * NULL: there is none, and without another host the mail is in a loop. Lives as long as x. */
const struct dns_exchange_host *gateway_mail_loop_awaited(const struct dns_exchange *x,
                                                          uint32_t limit);
