/* policy/scores_table.h - the inside of the local reputations, for scores.c and builder.c. */
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "policy/scores.h"

/* From this address to the next interval's first. */
struct policy_score_interval {
    struct ip_address first;
    int16_t tenths;
    bool is_known;
};

struct policy_scores { /* zeroed: nothing is known of any address */
    struct policy_score_interval *intervals;
    size_t count;
};

/* Sorts the entries; of equal blocks the last one listed counts. */
MUST_USE enum status policy_scores_compile(struct policy_scores *scores, struct arena *arena,
                                           struct policy_score_entry *entries, size_t count);
