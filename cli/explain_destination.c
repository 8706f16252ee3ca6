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

static void print_route(const struct policy_route *route)
{
    char text[IP_ENDPOINT_MAX];
    struct ip_address address;

    if (route == NULL) {
        printf("route    none: its mail cannot be delivered\n");
        return;
    }
    printf("route    %.*s\n", SLICE_ARGS(route->name));
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];

        bool is_address = ip_parse(host->host, &address);

        /* An address is said once, with its port. */
        printf("         %zu. ", i + 1);
        if (!is_address)
            printf("%.*s at ", SLICE_ARGS(host->text));
        for (size_t k = 0; k < host->endpoints_count; k++)
            printf("%s%s", k > 0 ? ", " : "", ip_endpoint_format(&host->endpoints[k], text));
        putchar('\n');
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

static void print_route_json(const struct policy_route *route)
{
    char text[IP_ENDPOINT_MAX];

    cli_json_name(false, "route");
    if (route == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('{');
    cli_json_member(true, "domain", route->name);
    cli_json_name(false, "to");
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];

        fputs(i > 0 ? ", {" : "[{", stdout);
        cli_json_member(true, "host", host->text);
        cli_json_name(false, "addresses");
        for (size_t k = 0; k < host->endpoints_count; k++) {
            fputs(k > 0 ? ", " : "[", stdout);
            cli_json_text(slice_from(ip_endpoint_format(&host->endpoints[k], text)));
        }
        fputs("]}", stdout);
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
