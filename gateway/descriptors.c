#include "gateway/descriptors.h"

#include <limits.h>

#include "dns/resolver.h"

rlim_t gateway_descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static unsigned share(rlim_t descriptors, unsigned eighths, unsigned workers, unsigned least,
                      unsigned most)
{
    rlim_t each = descriptors / 8 * eighths / workers;

    if (each < least)
        return least;
    return each < most ? (unsigned)each : most;
}

unsigned gateway_descriptors_inbound_max(rlim_t descriptors, unsigned workers)
{
    return share(descriptors, 5, workers, GATEWAY_INBOUND_MIN, INT_MAX);
}

unsigned gateway_descriptors_lookups_max(rlim_t descriptors, unsigned workers)
{
    return share(descriptors, 1, workers, GATEWAY_LOOKUPS_MIN, DNS_QUERIES_DEFAULT);
}
