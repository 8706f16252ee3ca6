/* gateway/host_marks.h - hosts of which something is remembered for the next connections to them.
 *
 * A short list for one worker; when it is full the oldest is forgotten. Starts from all zero.
 */
#pragma once
#include "base/ip.h"

#define GATEWAY_HOST_MARKS_MAX 64

struct gateway_host_marks { /* Fields are private. */
    struct ip_endpoint hosts[GATEWAY_HOST_MARKS_MAX];
    unsigned count, next;
};

bool gateway_host_marks_has(const struct gateway_host_marks *marks, const struct ip_endpoint *host);

/* Does nothing for one that is there. */
void gateway_host_marks_add(struct gateway_host_marks *marks, const struct ip_endpoint *host);

/* Whether it was there; it is not any more. */
bool gateway_host_marks_take(struct gateway_host_marks *marks, const struct ip_endpoint *host);
