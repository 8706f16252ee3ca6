/* policy/scores.h - reputations from a local file: the most specific block around an address.
 *
 * Results are values. Pure; the file is read by config/scores.c.
 */
#pragma once
#include "policy/sender.h"

#define POLICY_SCORES_MAX ((size_t)1 << 24)

struct policy_snapshot;

struct policy_score_entry {
    struct ip_prefix prefix;
    int tenths;      /* POLICY_SCORE_TENTHS_MIN to POLICY_SCORE_TENTHS_MAX */
    uint32_t number; /* private: its place in the list */
};

/* KNOWN, or NONE when no block holds the address. Cost: one binary search. */
struct policy_score policy_score_find(const struct policy_snapshot *snapshot,
                                      const struct ip_address *address);

/* "-3.4", "10", "+2.5": one decimal at most. False when it is no score. */
bool policy_score_parse(struct slice text, int *tenths_out);

/* The answer of a zone of scores: 127.0.4.N, with N from 0 for -10.0 to 100 for 10.0. */
bool policy_score_from_address(const struct ip_address *address, int *tenths_out);

/* "-3.4"; returns text. */
#define POLICY_SCORE_TEXT_MAX 8
const char *policy_score_format(int tenths, char text[static POLICY_SCORE_TEXT_MAX]);
