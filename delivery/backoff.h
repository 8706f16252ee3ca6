/* delivery/backoff.h - how long to wait before the next try.
 *
 * interval = min(retry_max, retry_initial * 2^k), then plus or minus up to 10 %, where k is the
 * number of tries that failed before this one. The jitter keeps a queue that was deferred in
 * one moment from coming back in one moment. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define DELIVERY_RETRY_MS_MIN        1000u                    /* whatever the profile says */
#define DELIVERY_RETRY_MS_MAX        (30ull * 86400u * 1000u) /* likewise */
#define DELIVERY_BACKOFF_JITTER_PART 10u /* the jitter is at most one part in so many */

/* The part of a bounce profile (policy/bounce.h) that decides when. */
struct delivery_profile {
    uint64_t retry_initial_ms;
    uint64_t retry_ms_max;
    uint64_t age_ms_max;          /* since the message was accepted; then it is given up */
    unsigned retries_max;         /* tries after the first; then it is given up */
    unsigned warnings_max;        /* of the delay, to the sender; 0: none */
    uint64_t warning_interval_ms; /* from one to the next, at least */
};

/* The wait after failed_before + 1 failed tries; at least nine tenths of DELIVERY_RETRY_MS_MIN. */
uint64_t delivery_backoff_ms(const struct delivery_profile *profile, unsigned failed_before,
                             uint64_t seed);
