#include "delivery/backoff.h"

#include "base/hash.h"

uint64_t delivery_backoff_ms(const struct delivery_profile *profile, unsigned failed_before,
                             uint64_t seed)
{
    uint64_t wait_ms = profile->retry_initial_ms, limit = profile->retry_ms_max, span;

    if (limit > DELIVERY_RETRY_MS_MAX)
        limit = DELIVERY_RETRY_MS_MAX;
    if (limit < DELIVERY_RETRY_MS_MIN)
        limit = DELIVERY_RETRY_MS_MIN;
    if (wait_ms < DELIVERY_RETRY_MS_MIN)
        wait_ms = DELIVERY_RETRY_MS_MIN;
    /* At least doubled each time, so this ends long before failed_before does. */
    for (unsigned k = 0; k < failed_before && wait_ms < limit; k++)
        wait_ms *= 2;
    if (wait_ms > limit)
        wait_ms = limit;
    span = wait_ms / DELIVERY_BACKOFF_JITTER_PART;
    return wait_ms - span + hash_number(seed ^ 0x9e3779b97f4a7c15ull) % (2 * span + 1);
}
