/* policy/snapshot.h - one compiled configuration of all policies, which never changes.
 *
 * Built by policy/builder.h, read by any number of threads without a lock, freed at once. It
 * counts no references: whoever loads configurations knows when the last reader has left.
 * Handles to its tables (a listener's HAT and RAT) are looked up by name once, when a
 * configuration is loaded, and are valid as long as the snapshot is. All texts in it are
 * followed by a NUL.
 */
#pragma once
#include "base/slice.h"
#include "policy/address_list.h"
#include "policy/bounce.h"
#include "policy/destination.h"
#include "policy/hat.h"
#include "policy/mail_flow.h"
#include "policy/rat.h"
#include "policy/route.h"
#include "policy/scores.h"

struct policy_snapshot;

void policy_snapshot_destroy(struct policy_snapshot *snapshot); /* accepts NULL */

/* The number of the configuration it was built from; rises with each load. */
uint64_t policy_snapshot_generation(const struct policy_snapshot *snapshot);

/* By exact name; NULL when there is none. */
const struct policy_hat *policy_snapshot_hat(const struct policy_snapshot *snapshot,
                                             struct slice name);
const struct policy_rat *policy_snapshot_rat(const struct policy_snapshot *snapshot,
                                             struct slice name);

/* The entry for whatever has none of its own. */
const struct policy_destination *policy_snapshot_destination_default(
    const struct policy_snapshot *snapshot);

/* The other entries, in the order they were added. */
size_t policy_snapshot_destinations_count(const struct policy_snapshot *snapshot);
const struct policy_destination *policy_snapshot_destination(const struct policy_snapshot *snapshot,
                                                             size_t index);

/* All routes, in the order they were added. */
size_t policy_snapshot_routes_count(const struct policy_snapshot *snapshot);
const struct policy_route *policy_snapshot_route(const struct policy_snapshot *snapshot,
                                                 size_t index);
