/* gateway/names_supply.h - makes the workers' resolvers, in the supervisor's thread.
 *
 * Making one reads files and takes some milliseconds, in which a worker would stand still. It is
 * done before a configuration comes into force, so that one whose resolver cannot be had changes
 * nothing, and only when there is a reason: other settings, another /etc/resolv.conf or trust
 * anchor, or none so far. A new resolver begins with an empty cache.
 */
#pragma once
#include <time.h>

#include "gateway/names.h"
#include "gateway/process.h"

struct gateway_names_supply {    /* Fields are private. Zeroed at first. */
    struct timespec resolv_conf; /* when these files were changed last */
    struct timespec trust_anchor;
    bool has_made;
};

/* Fills names with one for each worker, or with NULL: the one it has is good. before is NULL at the
 * start. On failure there are none, and reason_out says why. */
MUST_USE enum status gateway_names_supply_make(struct gateway_names_supply *supply,
                                               const struct gateway_process *process,
                                               const struct config_dns *before,
                                               const struct config_dns *next,
                                               struct gateway_names **names,
                                               struct dns_reason *reason_out);

/* Whether the workers have any, of this configuration or of one before. */
static inline bool gateway_names_supply_has_made(const struct gateway_names_supply *supply)
{
    return supply->has_made;
}
