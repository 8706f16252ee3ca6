/* cli/load_histogram.h - how often which value came, from 0 to 2^40, within one percent.
 *
 * Buckets grow with their values (the idea of HdrHistogram, Gil Tene): below 256 each value has
 * its own, above that every doubling has 128. So the memory is fixed, recording is a few
 * instructions, and a percentile is never below the true one and at most 1/128 above it.
 *
 * Pure. All zero is an empty histogram.
 */
#pragma once
#include <stdint.h>

#include "base/slice.h"

#define LOAD_HISTOGRAM_BITS    7 /* of precision */
#define LOAD_HISTOGRAM_MAX     ((UINT64_C(1) << 40) - 1)
#define LOAD_HISTOGRAM_BUCKETS ((40 - LOAD_HISTOGRAM_BITS + 1) << LOAD_HISTOGRAM_BITS)

struct load_histogram { /* Fields are private. */
    uint64_t counts[LOAD_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
};

/* Values above LOAD_HISTOGRAM_MAX count as that. */
void load_histogram_record(struct load_histogram *h, uint64_t value);

/* Adds what `from` has recorded. */
void load_histogram_merge(struct load_histogram *into, const struct load_histogram *from);

/* The value that parts_per_million of all values do not exceed: 500000 is the median, 1000000 the
 * maximum. 0 when nothing was recorded. */
uint64_t load_histogram_percentile(const struct load_histogram *h, uint32_t parts_per_million);

uint64_t load_histogram_count(const struct load_histogram *h);
uint64_t load_histogram_mean(const struct load_histogram *h); /* rounded down; 0 when empty */
uint64_t load_histogram_max(const struct load_histogram *h);  /* exact */
