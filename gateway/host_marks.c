#include "gateway/host_marks.h"

/* GATEWAY_HOST_MARKS_MAX when it is not there. */
static unsigned find(const struct gateway_host_marks *marks, const struct ip_endpoint *host)
{
    for (unsigned i = 0; i < marks->count; i++)
        if (ip_endpoint_equal(&marks->hosts[i], host))
            return i;
    return GATEWAY_HOST_MARKS_MAX;
}

bool gateway_host_marks_has(const struct gateway_host_marks *marks, const struct ip_endpoint *host)
{
    return find(marks, host) < GATEWAY_HOST_MARKS_MAX;
}

void gateway_host_marks_add(struct gateway_host_marks *marks, const struct ip_endpoint *host)
{
    if (gateway_host_marks_has(marks, host))
        return;
    marks->hosts[marks->next] = *host;
    marks->next = (marks->next + 1) % GATEWAY_HOST_MARKS_MAX;
    if (marks->count < GATEWAY_HOST_MARKS_MAX)
        marks->count++;
}

bool gateway_host_marks_take(struct gateway_host_marks *marks, const struct ip_endpoint *host)
{
    unsigned at = find(marks, host);

    if (at == GATEWAY_HOST_MARKS_MAX)
        return false;
    marks->hosts[at] = (struct ip_endpoint){ 0 }; /* nobody's; its place is used in its turn */
    return true;
}
