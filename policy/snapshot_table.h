/* policy/snapshot_table.h - the inside of a snapshot, for the files of policy/. */
#pragma once
#include "base/arena.h"
#include "policy/address_list_table.h"
#include "policy/domain_map.h"
#include "policy/hat_table.h"
#include "policy/rat_table.h"
#include "policy/scores_table.h"
#include "policy/snapshot.h"

struct policy_snapshot {
    struct arena arena; /* holds everything below, and this object's texts; not the object */
    uint64_t generation;
    struct policy_hat *hats; /* in the order added */
    struct policy_rat *rats;
    struct policy_exceptions exceptions;
    struct policy_scores scores;
    uint32_t mail_flows_count;
    struct policy_destination destination_default;
    struct policy_destination *destinations;
    size_t destinations_count;
    struct policy_domain_map destinations_map;
    struct policy_route *routes;
    size_t routes_count;
    struct policy_domain_map routes_map; /* all but ALL */
    const struct policy_route *route_all;
};
