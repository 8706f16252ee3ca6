#include "policy/snapshot.h"

#include <stdlib.h>

#include "policy/snapshot_table.h"

void policy_snapshot_destroy(struct policy_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    arena_finish(&snapshot->arena);
    free(snapshot);
}

uint64_t policy_snapshot_generation(const struct policy_snapshot *snapshot)
{
    return snapshot->generation;
}

const struct policy_hat *policy_snapshot_hat(const struct policy_snapshot *snapshot,
                                             struct slice name)
{
    const struct policy_hat *hat = snapshot->hats;

    while (hat != NULL && !slice_equal(hat->name, name))
        hat = hat->next;
    return hat;
}

const struct policy_rat *policy_snapshot_rat(const struct policy_snapshot *snapshot,
                                             struct slice name)
{
    const struct policy_rat *rat = snapshot->rats;

    while (rat != NULL && !slice_equal(rat->name, name))
        rat = rat->next;
    return rat;
}

const struct policy_destination *policy_snapshot_destination_default(
    const struct policy_snapshot *snapshot)
{
    return &snapshot->destination_default;
}

size_t policy_snapshot_destinations_count(const struct policy_snapshot *snapshot)
{
    return snapshot->destinations_count;
}

const struct policy_destination *policy_snapshot_destination(const struct policy_snapshot *snapshot,
                                                             size_t index)
{
    ASSERT(index < snapshot->destinations_count);
    return &snapshot->destinations[index];
}

size_t policy_snapshot_routes_count(const struct policy_snapshot *snapshot)
{
    return snapshot->routes_count;
}

const struct policy_route *policy_snapshot_route(const struct policy_snapshot *snapshot,
                                                 size_t index)
{
    ASSERT(index < snapshot->routes_count);
    return &snapshot->routes[index];
}
