#include <ifaddrs.h>
#include <string.h>

#include "config/load.h"

static size_t own_addresses(struct config_machine *machine,
                            struct ip_address addresses[CONFIG_OWN_ADDRESSES_MAX])
{
    struct ifaddrs *list = NULL;
    size_t count = 0;

    (void)machine;
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

struct config_machine *config_machine_here(void)
{
    static struct config_machine system = { .own_addresses = own_addresses };

    return &system;
}
