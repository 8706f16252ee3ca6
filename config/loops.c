#include "config/draft.h"
#include "policy/domain_map.h"

/* The addresses of a listener that takes mail on all of them. */
struct own {
    struct ip_address addresses[CONFIG_OWN_ADDRESSES_MAX];
    size_t count;
    struct ip_prefix loopback;
    struct ip_address any_v4, any_v6;
};

static void find_own(struct config_draft *d, struct own *own)
{
    struct config_machine *machine = d->reader.options->machine;
    bool ok, is_loose;

    ok = ip_prefix_parse(SLICE("127.0.0.0/8"), &own->loopback, &is_loose) &&
         ip_parse(SLICE("0.0.0.0"), &own->any_v4) && ip_parse(SLICE("::"), &own->any_v6);
    ASSERT(ok);
    if (machine != NULL)
        own->count = machine->own_addresses(machine, own->addresses);
    ASSERT(own->count <= CONFIG_OWN_ADDRESSES_MAX);
}

static bool is_own(const struct own *own, const struct ip_address *address)
{
    if (ip_prefix_contains(&own->loopback, address))
        return true;
    for (size_t i = 0; i < own->count; i++)
        if (ip_equal(&own->addresses[i], address))
            return true;
    return false;
}

/* Whether mail sent there comes back to the listener. */
static bool is_reached_by(const struct own *own, const struct config_listener *listener,
                          const struct ip_endpoint *endpoint)
{
    const struct ip_address *at = &listener->endpoint.address;

    if (endpoint->port == 0 || endpoint->port != listener->endpoint.port)
        return false;
    if (ip_equal(&endpoint->address, at))
        return true;
    if (!ip_equal(at, &own->any_v6) &&
        !(ip_equal(at, &own->any_v4) && ip_is_v4(&endpoint->address)))
        return false;
    return is_own(own, &endpoint->address);
}

static bool is_name(const char *name, struct slice host)
{
    return name != NULL && slice_is_word(policy_domain_normal(host), name);
}

/* Where a name leads is known when mail is delivered; but our own leads here. */
static bool leads_to(const struct config_draft *d, const struct own *own,
                     const struct config_listener *listener, const struct policy_route_host *host)
{
    const struct ip_endpoint endpoint = { host->address,
                                          host->port != 0 ? host->port
                                                          : (uint16_t)d->settings.delivery_port };

    if (host->lookup == POLICY_ROUTE_ADDRESS)
        return is_reached_by(own, listener, &endpoint);
    return endpoint.port == listener->endpoint.port &&
           (is_name(d->settings.hostname, host->host) || is_name(listener->hostname, host->host));
}

static void check_host(struct config_draft *d, const struct own *own, const config_setting_t *at,
                       const struct policy_route_host *host)
{
    for (size_t i = 0; i < d->settings.listeners_count; i++) {
        const struct config_listener *listener = &d->settings.listeners[i];

        if (!leads_to(d, own, listener, host))
            continue;
        config_reader_report(
            &d->reader, CONFIG_WARNING, at,
            "\"%.*s\" is our own listener \"%s\": mail for this route would go in a "
            "circle",
            SLICE_ARGS(host->text), listener->name != NULL ? listener->name : "");
        return;
    }
}

static void check_route(struct config_draft *d, const struct own *own, const config_setting_t *at)
{
    const config_setting_t *to =
        config_setting_is_group(at) ? config_setting_get_member(at, "to") : NULL;
    const struct policy_route *route;
    const char *domain;

    if (to == NULL || config_setting_lookup_string(at, "domain", &domain) != CONFIG_TRUE)
        return;
    route = policy_route_find(d->snapshot, slice_from(strcmp(domain, "ALL") == 0 ? "" : domain));
    /* The hosts stand in the order of the file; of two routes for a domain the first is kept. */
    for (size_t i = 0; route != NULL && i < route->hosts_count; i++) {
        const char *text = config_setting_get_string_elem(to, (int)i);

        if (text != NULL && slice_equal(route->hosts[i].text, slice_from(text)))
            check_host(d, own, config_setting_get_elem(to, (unsigned)i), &route->hosts[i]);
    }
}

void config_check_routes(struct config_draft *d)
{
    int count = d->root.routes != NULL ? config_setting_length(d->root.routes) : 0;
    struct own *own = config_draft_take(d, 1, sizeof(*own));

    if (own == NULL)
        return;
    find_own(d, own);
    for (int i = 0; i < count; i++)
        check_route(d, own, config_setting_get_elem(d->root.routes, (unsigned)i));
}
