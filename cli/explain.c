#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/explain_facts.h"
#include "cli/json.h"
#include "cli/options.h"
#include "config/units.h"
#include "policy/domain_map.h"

static const char *listener_name;
static struct cli_facts_text facts;

static const struct cli_option sender_options[] = {
    { "host", '\0', "NAME", "the verified host name of the sender", &facts.host },
    { "reverse", '\0', "RESULT",
      "of the double lookup: verified, none, failed, mismatched (of --host)", &facts.reverse },
    { "score", '\0', "N", "its reputation, -10.0 to 10.0, or none", &facts.score },
    { "country", '\0', "XX", "its country, two letters, or none", &facts.country },
    { "listed", '\0', "ZONE[=ADDR]", "a DNS list that has it, and its answer; may be repeated",
      facts.listed, &facts.listed_count, POLICY_HAT_LISTS_MAX },
    { "listener", '\0', "NAME", "only this listener; default: all of them", &listener_name },
};

static const struct cli_usage sender_usage = {
    .name = "explain sender",
    .operands = "IP",
    .about = "Says which row of a listener's HAT decides about a host with this address, what\n"
             "its policy allows, and for every earlier row why it did not decide.\n",
    .has_config = true,
    .has_json = true,
    .options = sender_options,
    .options_count = ARRAY_LEN(sender_options),
    .operands_min = 1,
    .operands_max = 1,
};

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

static const char *access_effect(const struct policy_mail_flow *flow)
{
    switch (flow->access) {
    case POLICY_ACCESS_ACCEPT: return "mail is accepted for the recipients of the RAT";
    case POLICY_ACCESS_RELAY: return "mail is accepted for any recipient";
    case POLICY_ACCESS_REJECT: return "the host is greeted with 554";
    case POLICY_ACCESS_REFUSE: return "the connection is reset";
    case POLICY_ACCESS_CONTINUE: return "the next rows decide";
    }
    UNREACHABLE();
}

static const char *flow_tls_effect(const struct policy_mail_flow *flow)
{
    switch (flow->tls) {
    case POLICY_FLOW_TLS_OFF: return "STARTTLS is not offered";
    case POLICY_FLOW_TLS_PREFERRED: return "STARTTLS is offered, clear text is accepted too";
    case POLICY_FLOW_TLS_REQUIRED: return "no mail before STARTTLS";
    }
    UNREACHABLE();
}

static const char *tls_effect(const struct policy_destination *destination)
{
    if (policy_tls_is_required(destination->tls))
        return "never sent in clear text; without TLS the next host, or later";
    if (policy_tls_is_wanted(destination->tls))
        return "encrypted where the host offers it, not in clear text after a failed handshake";
    return "STARTTLS is never used";
}

/* One walk through a HAT, printed as it goes. */
struct printer {
    struct policy_hat_visitor visitor;
    bool json;
};

static bool decides(const struct policy_hat_step *step)
{
    return step->matched && !step->is_behind && step->flow->access != POLICY_ACCESS_CONTINUE;
}

static void print_step(struct policy_hat_visitor *visitor, const struct policy_hat_step *step)
{
    const struct printer *p = CONTAINER_OF(visitor, struct printer, visitor);
    const char *result = step->is_behind ? "is not asked"
                         : decides(step) ? "decides"
                         : step->matched ? "continues"
                                         : "does not match";

    if (!p->json) {
        printf("  row %zu%s%.*s%s %s: %.*s\n", step->row + 1, step->group.len > 0 ? " (" : "",
               SLICE_ARGS(step->group), step->group.len > 0 ? ")" : "", result,
               SLICE_ARGS(step->why));
        return;
    }
    fputs(step->row > 0 ? ",\n    {" : "\n    {", stdout);
    cli_json_number(true, "row", step->row + 1);
    cli_json_member(false, "group", step->group);
    cli_json_member(false, "policy", step->flow->name);
    cli_json_bool(false, "matched", step->matched);
    cli_json_bool(false, "decides", decides(step));
    cli_json_bool(false, "behind", step->is_behind);
    cli_json_member(false, "entry", step->entry);
    cli_json_member(false, "why", step->why);
    putchar('}');
}

static void print_flow(const struct policy_mail_flow *flow)
{
    char size[CONFIG_UNIT_TEXT_MAX];

    printf("  policy   %.*s\n", SLICE_ARGS(flow->name));
    printf("  access   %s: %s\n", policy_access_text(flow->access), access_effect(flow));
    if (flow->access != POLICY_ACCESS_ACCEPT && flow->access != POLICY_ACCESS_RELAY)
        return;
    printf("  tls      %s: %s\n", policy_flow_tls_text(flow->tls), flow_tls_effect(flow));
    printf("  limits   %u connections per IP, %u messages per connection,\n"
           "           %u recipients per message, %s per message\n",
           flow->max_connections_per_ip, flow->max_messages_per_connection,
           flow->max_recipients_per_message, config_size_format(flow->max_message_size, size));
}

static void print_flow_json(const struct policy_mail_flow *flow)
{
    cli_json_name(false, "policy");
    putchar('{');
    cli_json_member(true, "name", flow->name);
    cli_json_member(false, "access", slice_from(policy_access_text(flow->access)));
    cli_json_member(false, "tls", slice_from(policy_flow_tls_text(flow->tls)));
    cli_json_number(false, "max_connections_per_ip", flow->max_connections_per_ip);
    cli_json_number(false, "max_messages_per_connection", flow->max_messages_per_connection);
    cli_json_number(false, "max_recipients_per_message", flow->max_recipients_per_message);
    cli_json_number(false, "max_message_size", flow->max_message_size);
    putchar('}');
}

static void explain_at(const struct config_listener *listener, const struct policy_sender *sender,
                       bool json, bool is_first)
{
    struct printer printer = { .visitor = { .step = print_step }, .json = json };
    struct policy_sender_verdict verdict = policy_hat_find(listener->hat, sender);
    const char *type = listener->type == CONFIG_LISTENER_PUBLIC ? "public" : "private";
    char endpoint[IP_ENDPOINT_MAX];

    ip_endpoint_format(&listener->endpoint, endpoint);
    if (json) {
        fputs(is_first ? "\n  {" : ",\n  {", stdout);
        cli_json_member(true, "listener", slice_from(listener->name));
        cli_json_member(false, "type", slice_from(type));
        cli_json_member(false, "address", slice_from(endpoint));
        cli_json_member(false, "hat", policy_hat_name(listener->hat));
        cli_json_number(false, "row", verdict.row + 1);
        cli_json_member(false, "group", verdict.group);
        cli_json_member(false, "entry", verdict.entry);
        print_flow_json(verdict.flow);
        cli_json_name(false, "rows");
        putchar('[');
        policy_hat_explain(listener->hat, sender, &printer.visitor);
        fputs("]}", stdout);
        return;
    }
    printf("%slistener %s (%s, %s), hat %.*s\n", is_first ? "" : "\n", listener->name, type,
           endpoint, SLICE_ARGS(policy_hat_name(listener->hat)));
    policy_hat_explain(listener->hat, sender, &printer.visitor);
    print_flow(verdict.flow);
}

static int explain_listeners(const struct config_settings *settings, struct policy_sender *sender,
                             bool json)
{
    struct policy_listing listings[POLICY_HAT_LISTS_MAX];
    bool is_first = true;

    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_listener *l = &settings->listeners[i];

        if (listener_name != NULL && strcmp(l->name, listener_name) != 0)
            continue;
        if (json && is_first)
            putchar('[');
        cli_facts_set_listings(&facts, l->hat, listings, sender);
        explain_at(l, sender, json, is_first);
        is_first = false;
    }
    if (is_first)
        return cli_error("explain sender", "no listener is named \"%s\"", listener_name);
    if (json)
        fputs("\n]\n", stdout);
    return CLI_EXIT_OK;
}

static int run_sender(int argc, char **argv)
{
    struct config_loaded *loaded;
    struct policy_sender sender = { 0 };
    struct cli_arguments a;
    int code;

    facts = (struct cli_facts_text){ 0 };
    listener_name = NULL;
    code = cli_parse(&sender_usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    if (!ip_parse(slice_from(a.operands[0]), &sender.address))
        return cli_misuse(sender_usage.name, "\"%s\" is not an IPv4 or IPv6 address",
                          a.operands[0]);
    code = cli_facts_parse(sender_usage.name, &facts, &sender);
    if (code != CLI_GO_ON)
        return code;
    if (!cli_load(a.config, &loaded))
        return CLI_EXIT_FAILED;
    code = explain_listeners(&loaded->settings, &sender, a.json);
    config_loaded_destroy(loaded);
    return cli_finish(code);
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

static int run_destination(int argc, char **argv)
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

static const struct cli_usage usage = {
    .name = "explain",
    .operands = "sender|destination",
    .about = "postern explain sender IP [--host NAME] [--score N] [--country XX] [--listed ZONE]\n"
             "    [--reverse RESULT] [--listener NAME] [-c FILE] [--json]\n"
             "    which row of the HAT decides about a host, and why\n"
             "postern explain destination DOMAIN [-c FILE] [--json]\n"
             "    how mail for a domain leaves\n",
    .operands_min = 1,
    .operands_max = 1,
};

static int run(int argc, char **argv)
{
    struct cli_arguments a;
    int code;

    if (argc > 1 && strcmp(argv[1], "sender") == 0)
        return run_sender(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "destination") == 0)
        return run_destination(argc - 1, argv + 1);
    code = cli_parse(&usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    return cli_misuse("explain", "\"%s\" is neither \"sender\" nor \"destination\"", a.operands[0]);
}

const struct cli_command cli_explain = {
    "explain", "say what a configuration does with a host or a domain, and why", run
};
