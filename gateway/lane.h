/* gateway/lane.h - what all mail from one listener to one domain has in common.
 *
 * A deep queue has many messages and few domains: an item points to its lane instead of having
 * the names itself. A lane lives as long as an item points to it.
 *
 * The lanes of a worker are for the messages at home there: found and released by its thread only,
 * or while no worker runs. Recovery has lanes of its own for those without a home. What is in a
 * lane never changes: who has an item may read it.
 */
#pragma once
#include "base/table.h"

struct gateway_process;
struct gateway_worker;

struct gateway_lane { /* Read-only. */
    struct table_node by_name;
    struct gateway_lanes *lanes;
    size_t items_count;
    struct gateway_worker *owner; /* of the destination */
    uint16_t domain_bytes;
    uint16_t listener_bytes;
    bool is_tls_optional; /* TLS-Required: No, and no REQUIRETLS (RFC 8689 4.1) */
    char text[];          /* the domain, then the name of the listener */
};

struct gateway_lanes { /* Fields are private. */
    struct table by_name;
    struct gateway_process *process;
};

MUST_USE enum status gateway_lanes_init(struct gateway_lanes *lanes,
                                        struct gateway_process *process);

/* Nobody has an item of theirs. Accepts a zeroed one. */
void gateway_lanes_finish(struct gateway_lanes *lanes);

/* What a lane is found by; borrowed. */
struct gateway_lane_key {
    struct slice domain;   /* up to UINT16_MAX bytes, in the case that it came in */
    struct slice listener; /* the same; may be empty */
    bool is_tls_optional;
};

/* Whose all mail to the domain is, in whatever case that is written. */
struct gateway_worker *gateway_lane_owner_of(struct gateway_process *process, struct slice domain);

/* For one item; finds or makes it. NULL: no memory. */
struct gateway_lane *gateway_lane_acquire(struct gateway_lanes *lanes,
                                          const struct gateway_lane_key *key);

/* The item is over. Accepts NULL. */
void gateway_lane_release(struct gateway_lane *lane);

static inline struct slice gateway_lane_domain(const struct gateway_lane *lane)
{
    return (struct slice){ lane->text, lane->domain_bytes };
}

static inline struct slice gateway_lane_listener(const struct gateway_lane *lane)
{
    return (struct slice){ lane->text + lane->domain_bytes, lane->listener_bytes };
}
