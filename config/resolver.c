#include <errno.h>
#include <ifaddrs.h>
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

static size_t own_addresses(struct config_resolver *resolver,
                            struct ip_address addresses[CONFIG_OWN_ADDRESSES_MAX])
{
    struct ifaddrs *list = NULL;
    size_t count = 0;

    (void)resolver;
    if (getifaddrs(&list) != 0)
        return 0;
    for (const struct ifaddrs *i = list; i != NULL && count < CONFIG_OWN_ADDRESSES_MAX;
         i = i->ifa_next) {
        struct sockaddr_storage socket = { 0 };
        struct ip_endpoint endpoint;

        if (i->ifa_addr == NULL ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&socket, i->ifa_addr,
               i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                 : sizeof(struct sockaddr_in6));
        if (ip_endpoint_from_socket(&socket, &endpoint))
            addresses[count++] = endpoint.address;
    }
    freeifaddrs(list);
    return count;
}

struct config_resolver *config_resolver_system(void)
{
    static struct config_resolver system = { .resolve = resolve, .own_addresses = own_addresses };

    return &system;
}
