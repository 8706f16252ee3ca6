#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "config/load.h"

static bool is_known(const struct ip_address *addresses, size_t count, const struct ip_address *a)
{
    for (size_t i = 0; i < count; i++)
        if (ip_equal(&addresses[i], a))
            return true;
    return false;
}

static bool resolve(struct config_resolver *resolver, const char *host,
                    struct ip_address *addresses, size_t *count_out, const char **why_out)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    size_t count = 0;
    int error = getaddrinfo(host, NULL, &hints, &found);

    (void)resolver;
    if (error != 0) {
        *why_out = gai_strerror(error);
        return false;
    }
    for (const struct addrinfo *a = found; a != NULL && count < POLICY_ROUTE_ADDRESSES_MAX;
         a = a->ai_next) {
        struct sockaddr_storage socket = { 0 };
        struct ip_endpoint endpoint;

        if (a->ai_addrlen > sizeof(socket))
            continue;
        memcpy(&socket, a->ai_addr, a->ai_addrlen);
        if (ip_endpoint_from_socket(&socket, &endpoint) &&
            !is_known(addresses, count, &endpoint.address))
            addresses[count++] = endpoint.address;
    }
    freeaddrinfo(found);
    *why_out = "it has no address";
    *count_out = count;
    return count > 0;
}

struct config_resolver *config_resolver_system(void)
{
    static struct config_resolver system = { .resolve = resolve };

    return &system;
}
