#include "config/draft.h"
#include "policy/domain_map.h"

struct route_entry {
    const char *domain;
    const config_setting_t *to;
};

static const struct config_key route_keys[] = {
    { "domain", CONFIG_KIND_TEXT, offsetof(struct route_entry, domain), true, 1 },
    { "to", CONFIG_KIND_STRINGS, offsetof(struct route_entry, to), true },
};

bool config_domain_is_new(struct config_draft *d, struct policy_domain_map *seen,
                          const config_setting_t *list, int index, const char *domain)
{
    struct slice key = policy_domain_normal(slice_from(domain));
    const config_setting_t *first;
    size_t number;

    if (!policy_domain_map_get(seen, key, &number)) {
        policy_domain_map_add(seen, key, (size_t)index);
        return true;
    }
    first = config_setting_get_elem(list, (unsigned)number);
    config_reader_report(&d->reader, CONFIG_ERROR, config_setting_get_elem(list, (unsigned)index),
                         "domain \"%s\" stands already in line %u", domain,
                         config_reader_line(&d->reader, first));
    return false;
}

/* Fills the hosts of a route, or says what else it is. What is wrong is left out: then there may be
 * too few of them. */
static void read_hosts(struct config_draft *d, const config_setting_t *to,
                       struct policy_route *route,
                       struct policy_route_host hosts[POLICY_ROUTE_HOSTS_MAX])
{
    int length = to != NULL ? config_setting_length(to) : 0;
    enum policy_route_action action;

    if (length > POLICY_ROUTE_HOSTS_MAX)
        config_reader_report(&d->reader, CONFIG_ERROR, to, "a route has at most %d hosts",
                             POLICY_ROUTE_HOSTS_MAX);
    for (int i = 0; i < length && route->hosts_count < POLICY_ROUTE_HOSTS_MAX; i++) {
        const config_setting_t *at = config_setting_get_elem(to, (unsigned)i);
        struct slice text = slice_from(config_setting_get_string(at));

        if (policy_route_action_parse(text, &action)) {
            route->action = action;
            if (length > 1)
                config_reader_report(&d->reader, CONFIG_ERROR, at,
                                     "\"%.*s\" stands alone in a route", SLICE_ARGS(text));
        } else if (policy_route_host_parse(text, &hosts[route->hosts_count])) {
            route->hosts_count++;
        } else {
            config_reader_report(
                &d->reader, CONFIG_ERROR, at,
                "\"%.*s\" is not a host: \"192.0.2.1:25\", \"[2001:db8::1]:25\", "
                "\"mx.example.com\", \"[mx.example.com]:25/pri=10\", \"USEDNS\" or "
                "\"/dev/null\"",
                SLICE_ARGS(text));
        }
    }
}

static void read_route(struct config_draft *d, int index, struct policy_domain_map *seen)
{
    struct policy_route_host hosts[POLICY_ROUTE_HOSTS_MAX];
    const config_setting_t *at = config_element_group(&d->reader, d->root.routes, (unsigned)index);
    struct policy_route route = { .hosts = hosts };
    struct route_entry e = { 0 };

    if (at != NULL)
        (void)config_read_entry(d, at, "a route", route_keys, ARRAY_LEN(route_keys), &e);
    read_hosts(d, e.to, &route, hosts);
    if (e.domain == NULL) {
        d->has_broken_route = true;
        return;
    }
    route.name = slice_from(e.domain);
    if (!policy_domain_is_valid(route.name) && !policy_domain_is_partial(route.name) &&
        !slice_is_word(route.name, "ALL")) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "domain"),
                             "\"%s\" is not a domain, \".domain\" or \"ALL\"", e.domain);
        d->has_broken_route = true;
        return;
    }
    /* One without hosts, which has a problem of its own, is a route all the same. */
    if (route.hosts_count == 0 && route.action == POLICY_ROUTE_HOSTS)
        route.action = POLICY_ROUTE_DISCARD;
    if (route.action != POLICY_ROUTE_HOSTS)
        route.hosts_count = 0;
    if (config_domain_is_new(d, seen, d->root.routes, index, e.domain))
        (void)config_reader_check(&d->reader, at, policy_builder_add_route(d->builder, &route));
}

void config_read_routes(struct config_draft *d)
{
    int count = d->root.routes != NULL ? config_setting_length(d->root.routes) : 0;
    struct policy_domain_map seen;

    if (!policy_domain_map_init(&seen, &d->scratch, (size_t)count)) {
        d->reader.is_out_of_memory = true;
        return;
    }
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_route(d, i, &seen);
}
