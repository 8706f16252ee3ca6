#include "gateway/connect_failure.h"

#include <errno.h>

enum delivery_failure gateway_connect_failure(int error, bool is_v4)
{
    ASSERT(error != 0);
    switch (error) {
    case ECONNREFUSED: return DELIVERY_FAILURE_REFUSED;
    case ETIMEDOUT: return DELIVERY_FAILURE_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN: return DELIVERY_FAILURE_LOCAL;
    case EADDRNOTAVAIL:
        /* IPv4: all our ports to this host are in use, or in TIME_WAIT. IPv6: that, or we have no
         * address that could reach it, which may be so for ever: another host is better then. */
        return is_v4 ? DELIVERY_FAILURE_LOCAL : DELIVERY_FAILURE_UNREACHABLE;
    default: return DELIVERY_FAILURE_UNREACHABLE;
    }
}
