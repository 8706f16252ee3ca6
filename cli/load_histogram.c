#include "cli/load_histogram.h"

#include "base/check.h"

#define BITS  LOAD_HISTOGRAM_BITS
#define EXACT (UINT64_C(1) << (BITS + 1)) /* below this, each value has a bucket */

static unsigned shift_of(uint64_t value)
{
    return value < EXACT ? 0 : (unsigned)(63 - __builtin_clzll(value)) - BITS;
}

/* Values with the same shift share 2^BITS buckets of 2^shift values each; those of shift 0 come
 * first and are twice as many. */
static size_t bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);

    return ((size_t)shift << BITS) + (size_t)(value >> shift);
}

/* The highest value that falls into the bucket. */
static uint64_t highest_in(size_t bucket)
{
    size_t shift = bucket < EXACT ? 0 : (bucket >> BITS) - 1;
    uint64_t mantissa = bucket - (shift << BITS);

    return ((mantissa + 1) << shift) - 1;
}

void load_histogram_record(struct load_histogram *h, uint64_t value)
{
    uint64_t kept = value <= LOAD_HISTOGRAM_MAX ? value : LOAD_HISTOGRAM_MAX;
    size_t bucket = bucket_of(kept);

    ASSERT(bucket < LOAD_HISTOGRAM_BUCKETS);
    h->counts[bucket]++;
    h->count++;
    h->sum += kept;
    if (kept > h->max)
        h->max = kept;
}

void load_histogram_merge(struct load_histogram *into, const struct load_histogram *from)
{
    for (size_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t load_histogram_percentile(const struct load_histogram *h, uint32_t parts_per_million)
{
    uint64_t whole = h->count / 1000000 * parts_per_million;
    uint64_t part = h->count % 1000000 * parts_per_million;
    uint64_t rank = whole + (part + 999999) / 1000000; /* rounded up: this many are below it */
    uint64_t seen = 0;

    ASSERT(parts_per_million <= 1000000);
    for (size_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > 0 && seen >= rank)
            return highest_in(i) < h->max ? highest_in(i) : h->max;
    }
    return h->max;
}

uint64_t load_histogram_count(const struct load_histogram *h)
{
    return h->count;
}

uint64_t load_histogram_mean(const struct load_histogram *h)
{
    return h->count > 0 ? h->sum / h->count : 0;
}

uint64_t load_histogram_max(const struct load_histogram *h)
{
    return h->max;
}
