#include "cli/explain.h"

#include <stdio.h>
#include <string.h>

#include "cli/configuration.h"
#include "cli/json.h"
#include "cli/options.h"
#include "config/units.h"
#include "policy/domain_map.h"

static const struct cli_usage destination_usage = {
    .name = "explain destination",
    .operands = "DOMAIN",
    .about = "Says how mail for a domain leaves: the entry of the destinations, its TLS rule and\n"
             "limits, the route, and when a failed delivery is tried again.\n",
    .has_config = true,
    .has_json = true,
    .operands_min = 1,
    .operands_max = 1,
};

static const char *tls_effect(const struct policy_destination *destination)
{
    if (policy_tls_is_required(destination->tls))
        return "never sent in clear text; without TLS the next host, or later";
    if (policy_tls_is_wanted(destination->tls))
        return "encrypted where the host offers it, not in clear text after a failed handshake";
    return "STARTTLS is never used";
}

/* How the hosts of a domain are found. */
static const char *lookup_text(const struct policy_route_host *host)
{
    switch (host->lookup) {
    case POLICY_ROUTE_ADDRESS: return "an address";
    case POLICY_ROUTE_NAME: return "its addresses";
    case POLICY_ROUTE_MX: return "its MX, or its addresses";
    }
    UNREACHABLE();
}

static void print_route(const struct policy_route *route)
{
    if (route == NULL || route->action == POLICY_ROUTE_USEDNS) {
        printf("route    %s: the MX of the domain\n", route == NULL ? "none" : "USEDNS");
        return;
    }
    printf("route    %.*s%s\n", SLICE_ARGS(route->name),
           route->action == POLICY_ROUTE_DISCARD ? ": /dev/null, its mail is thrown away" : "");
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];

        printf("         %.*s (%s), priority %u\n", SLICE_ARGS(host->text), lookup_text(host),
               host->priority);
    }
}

static void print_destination(const char *domain, const struct policy_destination *destination,
                              const struct policy_route *route)
{
    const struct policy_bounce_profile *b = destination->bounce_profile;
    char first[CONFIG_UNIT_TEXT_MAX], most[CONFIG_UNIT_TEXT_MAX], age[CONFIG_UNIT_TEXT_MAX];

    printf("domain   %s\n", domain);
    printf("entry    %.*s\n", SLICE_ARGS(destination->name));
    printf("tls      %s: %s\n", policy_tls_text(destination->tls), tls_effect(destination));
    printf("ktls     %s\n", policy_ktls_text(destination->ktls));
    printf("limits   %u connections, %u messages per connection\n", destination->max_connections,
           destination->max_messages_per_connection);
    print_route(route);
    printf("retries  %.*s: first after %s, then twice as long each time up to %s,\n"
           "         given up after %s or %u retries\n",
           SLICE_ARGS(b->name), config_duration_format(b->initial_retry_s, first),
           config_duration_format(b->max_retry_s, most), config_duration_format(b->max_age_s, age),
           b->max_retries);
}

static const char *lookup_word(enum policy_route_lookup lookup)
{
    switch (lookup) {
    case POLICY_ROUTE_ADDRESS: return "none";
    case POLICY_ROUTE_NAME: return "addresses";
    case POLICY_ROUTE_MX: return "mx";
    }
    UNREACHABLE();
}

static void print_route_json(const struct policy_route *route)
{
    cli_json_name(false, "route");
    if (route == NULL || route->action == POLICY_ROUTE_USEDNS) {
        fputs("null", stdout);
        return;
    }
    putchar('{');
    cli_json_member(true, "domain", route->name);
    cli_json_name(false, "to");
    putchar('[');
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];

        fputs(i > 0 ? ", {" : "{", stdout);
        cli_json_member(true, "host", host->text);
        cli_json_number(false, "priority", host->priority);
        cli_json_member(false, "lookup", slice_from(lookup_word(host->lookup)));
        putchar('}');
    }
    fputs("]}", stdout);
}

static void print_destination_json(const char *domain, const struct policy_destination *destination,
                                   const struct policy_route *route)
{
    const struct policy_bounce_profile *b = destination->bounce_profile;

    putchar('{');
    cli_json_member(true, "domain", slice_from(domain));
    cli_json_member(false, "entry", destination->name);
    cli_json_member(false, "tls", slice_from(policy_tls_text(destination->tls)));
    cli_json_member(false, "ktls", slice_from(policy_ktls_text(destination->ktls)));
    cli_json_number(false, "max_connections", destination->max_connections);
    cli_json_number(false, "max_messages_per_connection", destination->max_messages_per_connection);
    print_route_json(route);
    cli_json_name(false, "bounce_profile");
    putchar('{');
    cli_json_member(true, "name", b->name);
    cli_json_number(false, "initial_retry_s", b->initial_retry_s);
    cli_json_number(false, "max_retry_s", b->max_retry_s);
    cli_json_number(false, "max_age_s", b->max_age_s);
    cli_json_number(false, "max_retries", b->max_retries);
    fputs("}}\n", stdout);
}

int cli_explain_destination(int argc, char **argv)
{
    const struct policy_destination *destination;
    const struct policy_route *route;
    struct config_loaded *loaded;
    struct cli_arguments a;
    struct slice domain;
    int code = cli_parse(&destination_usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    domain = slice_from(a.operands[0]);
    if (!policy_domain_is_valid(domain))
        return cli_misuse(destination_usage.name, "\"%s\" is not a domain", a.operands[0]);
    if (!cli_load(a.config, &loaded))
        return CLI_EXIT_FAILED;
    destination = policy_destination_find(loaded->policy, domain);
    route = policy_route_find(loaded->policy, domain);
    if (a.json)
        print_destination_json(a.operands[0], destination, route);
    else
        print_destination(a.operands[0], destination, route);
    config_loaded_destroy(loaded);
    return cli_finish(CLI_EXIT_OK);
}
