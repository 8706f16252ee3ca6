/* dns/settings.h - dns_options, and what is the same for every resolver, in libunbound's words.
 *
 * Internal to dns/.
 */
#pragma once
#include <unbound.h>

#include "dns/resolver.h"

/* For a new context. STATUS_INVALID, STATUS_NOT_FOUND, STATUS_NO_MEMORY, STATUS_UNSUPPORTED (an
 * option this libunbound does not know); all but the third with a reason. */
MUST_USE enum status dns_settings_apply(struct ub_ctx *context, const struct dns_options *options,
                                        unsigned queries_max, struct dns_reason *reason_out);
