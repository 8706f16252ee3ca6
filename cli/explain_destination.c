#include "cli/explain.h"

#include <stdio.h>
#include <string.h>

#include "cli/configuration.h"
#include "cli/destination_text.h"
#include "cli/json.h"
#include "cli/options.h"
#include "config/units.h"
#include "policy/domain_map.h"

#define ATTEMPTS_SHOWN 10

static const struct cli_usage destination_usage = {
    .name = "explain destination",
    .operands = "DOMAIN",
    .about = "Says how mail for a domain leaves: the entry of the destinations and why it is that\n"
             "one, what becomes of mail under its TLS rule, where each value comes from, the\n"
             "route, and when a failed delivery is tried again. Asks no name server.\n",
    .has_config = true,
    .has_json = true,
    .operands_min = 1,
    .operands_max = 1,
};

/* All that there is to say. */
struct answer {
    const char *domain;
    const struct config_loaded *loaded;
    const struct policy_destination *destination;
    const struct policy_route *route;
};

/* Tries after the first, and when they are: without the tenth by which each wait is varied, so
 * that what was deferred together does not come back together. */
struct schedule {
    uint64_t at_s[ATTEMPTS_SHOWN];
    size_t count;
    bool goes_on;
};

static struct schedule schedule_of(const struct policy_bounce_profile *profile)
{
    struct schedule s = { .count = 0 };
    uint64_t wait_s = profile->initial_retry_s, now_s = 0;

    for (uint32_t tried = 0; tried < profile->max_retries; tried++) {
        now_s += wait_s;
        if (now_s > profile->max_age_s)
            break;
        s.goes_on = s.count == ATTEMPTS_SHOWN;
        if (s.goes_on)
            break;
        s.at_s[s.count++] = now_s;
        wait_s = 2 * wait_s < profile->max_retry_s ? 2 * wait_s : profile->max_retry_s;
    }
    return s;
}

static const char *match_word(const struct answer *a)
{
    if (a->destination == policy_snapshot_destination_default(a->loaded->policy))
        return "default";
    return a->destination->name.data[0] == '.' ? "partial" : "exact";
}

static const char *match_text(const struct answer *a)
{
    const char *word = match_word(a);

    if (strcmp(word, "exact") == 0)
        return "the entry of this very domain";
    if (strcmp(word, "partial") == 0)
        return "the longest that covers it; the domain has none of its own";
    return "no entry covers the domain";
}

/* How the hosts of a route are found. */
static const char *lookup_text(enum policy_route_lookup lookup)
{
    switch (lookup) {
    case POLICY_ROUTE_ADDRESS: return "an address";
    case POLICY_ROUTE_NAME: return "its addresses";
    case POLICY_ROUTE_MX: return "its MX, or its addresses";
    }
    UNREACHABLE();
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

static unsigned port_of(const struct answer *a, const struct policy_route_host *host)
{
    return host->port != 0 ? host->port : a->loaded->settings.delivery_port;
}

static void print_route(const struct answer *a)
{
    const struct policy_route *route = a->route;

    if (route == NULL || route->action == POLICY_ROUTE_USEDNS) {
        printf("route    %s: the MX of the domain, or its addresses, port %u\n",
               route == NULL ? "none" : "USEDNS", a->loaded->settings.delivery_port);
        return;
    }
    printf("route    %.*s%s\n", SLICE_ARGS(route->name),
           route->action == POLICY_ROUTE_DISCARD ? ": /dev/null, its mail is thrown away" : "");
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];

        printf("         %.*s: %s, port %u, priority %u\n", SLICE_ARGS(host->host),
               lookup_text(host->lookup), port_of(a, host), host->priority);
    }
}

static void print_tls(const struct policy_destination *destination)
{
    const struct cli_tls_rule rule = cli_tls_rule_of(destination);

    printf("tls      %s\n", policy_tls_text(destination->tls));
    printf("         STARTTLS not offered or refused: %s\n", rule.not_offered);
    printf("         handshake fails: %s\n", rule.handshake_failed);
    printf("         certificate not verified: %s\n", rule.unverified);
    if (rule.names != NULL)
        printf("         verified by: %s\n", rule.names);
    if (rule.dane != NULL)
        printf("         DANE %s: %s\n", policy_dane_text(destination->dane), rule.dane);
    if (rule.mta_sts != NULL)
        printf("         MTA-STS: %s\n", rule.mta_sts);
}

static void print_limits(const struct policy_destination *d)
{
    char interval[CONFIG_UNIT_TEXT_MAX];

    printf("limits   %u connections, %u messages per connection, ", d->max_connections,
           d->max_messages_per_connection);
    if (d->max_recipients > 0)
        printf("%u recipients per %s;\n", d->max_recipients,
               config_duration_format(d->recipients_interval_s, interval));
    else
        printf("any number of recipients;\n");
    printf("         %s\n", d->limit_scope == POLICY_LIMIT_DOMAIN
                                ? "for the domain as a whole"
                                : "for each address of its hosts by itself");
}

static void print_values(const struct answer *a)
{
    char value[CLI_DESTINATION_VALUE_MAX];

    printf("values\n");
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++) {
        enum policy_destination_field field = (enum policy_destination_field)i;
        const char *text =
            cli_destination_value(&a->loaded->settings, a->destination, field, value);

        printf("         %-28s %-23s (%s)\n", config_destination_key(field),
               text[0] != '\0' ? text : "none",
               cli_destination_origin(a->loaded->policy, a->destination, field));
    }
}

static void print_profile(const char *whose, const struct policy_bounce_profile *b)
{
    char text[CONFIG_UNIT_TEXT_MAX];
    struct schedule s = schedule_of(b);

    printf("retries  %.*s%s: after", SLICE_ARGS(b->name), whose);
    for (size_t i = 0; i < s.count; i++)
        printf("%s%s", i > 0 ? ", " : " ", config_duration_format(s.at_s[i], text));
    printf("%s\n", s.count == 0 ? " never" : s.goes_on ? "..." : "");
    printf("         given up after %s or %u retries; %s",
           config_duration_format(b->max_age_s, text), b->max_retries,
           b->send_bounces ? "a bounce goes to the " : "nobody is told");
    if (b->send_bounces && b->bounces_to.len > 0)
        printf("address %.*s", SLICE_ARGS(b->bounces_to));
    else if (b->send_bounces)
        printf("sender");
    if (b->send_warnings)
        printf(", a warning of delay every %s at most, %u in all",
               config_duration_format(b->warning_interval_s, text), b->max_warnings);
    putchar('\n');
}

/* The listeners whose mail follows a profile of their own: where the destination names none. */
static const struct policy_bounce_profile *profile_of(const struct answer *a,
                                                      const struct config_listener *listener)
{
    return a->destination->has_bounce_profile ? NULL : listener->bounce_profile;
}

static void print_retries(const struct answer *a)
{
    const struct config_settings *s = &a->loaded->settings;

    print_profile("", a->destination->bounce_profile);
    for (size_t i = 0; i < s->listeners_count; i++) {
        const struct config_listener *listener = &s->listeners[i];
        char whose[CLI_DESTINATION_VALUE_MAX];

        if (profile_of(a, listener) == NULL)
            continue;
        (void)snprintf(whose, sizeof(whose), ", of mail that came in at \"%s\"", listener->name);
        print_profile(whose, profile_of(a, listener));
    }
}

static void print_route_json(const struct answer *a)
{
    static const char *const words[] = { [POLICY_ROUTE_HOSTS] = "hosts",
                                         [POLICY_ROUTE_USEDNS] = "usedns",
                                         [POLICY_ROUTE_DISCARD] = "discard" };

    cli_json_name(false, "route");
    if (a->route == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('{');
    cli_json_member(true, "domain", a->route->name);
    cli_json_member(false, "action", slice_from(words[a->route->action]));
    cli_json_name(false, "to");
    putchar('[');
    for (size_t i = 0; i < a->route->hosts_count; i++) {
        const struct policy_route_host *host = &a->route->hosts[i];

        fputs(i > 0 ? ", {" : "{", stdout);
        cli_json_member(true, "host", host->text);
        cli_json_number(false, "port", port_of(a, host));
        cli_json_number(false, "priority", host->priority);
        cli_json_member(false, "lookup", slice_from(lookup_word(host->lookup)));
        putchar('}');
    }
    fputs("]}", stdout);
}

static void json_text_or_null(const char *name, const char *text)
{
    if (text != NULL) {
        cli_json_member(false, name, slice_from(text));
        return;
    }
    cli_json_name(false, name);
    fputs("null", stdout);
}

static void print_tls_json(const struct policy_destination *destination)
{
    const struct cli_tls_rule rule = cli_tls_rule_of(destination);

    cli_json_name(false, "tls_rule");
    putchar('{');
    cli_json_member(true, "not_offered", slice_from(rule.not_offered));
    cli_json_member(false, "handshake_failed", slice_from(rule.handshake_failed));
    cli_json_member(false, "unverified", slice_from(rule.unverified));
    json_text_or_null("verified_by", rule.names);
    json_text_or_null("dane", rule.dane);
    json_text_or_null("mta_sts", rule.mta_sts);
    putchar('}');
}

static void print_profile_json(const struct policy_bounce_profile *b)
{
    struct schedule s = schedule_of(b);

    putchar('{');
    cli_json_member(true, "name", b->name);
    cli_json_number(false, "initial_retry_s", b->initial_retry_s);
    cli_json_number(false, "max_retry_s", b->max_retry_s);
    cli_json_number(false, "max_age_s", b->max_age_s);
    cli_json_number(false, "max_retries", b->max_retries);
    cli_json_bool(false, "send_bounces", b->send_bounces);
    cli_json_bool(false, "delay_warnings", b->send_warnings);
    cli_json_name(false, "retries_after_s");
    putchar('[');
    for (size_t i = 0; i < s.count; i++)
        printf("%s%llu", i > 0 ? ", " : "", (unsigned long long)s.at_s[i]);
    fputs("]}", stdout);
}

static void print_retries_json(const struct answer *a)
{
    const struct config_settings *s = &a->loaded->settings;
    bool is_first = true;

    cli_json_name(false, "bounce_profile");
    print_profile_json(a->destination->bounce_profile);
    cli_json_name(false, "listener_bounce_profiles");
    for (size_t i = 0; i < s->listeners_count; i++) {
        const struct policy_bounce_profile *profile = profile_of(a, &s->listeners[i]);

        if (profile == NULL)
            continue;
        fputs(is_first ? "[{" : ", {", stdout);
        cli_json_member(true, "listener", slice_from(s->listeners[i].name));
        cli_json_name(false, "bounce_profile");
        print_profile_json(profile);
        putchar('}');
        is_first = false;
    }
    fputs(is_first ? "[]" : "]", stdout);
}

static void print_json(const struct answer *a)
{
    const struct policy_destination *d = a->destination;
    char value[CLI_DESTINATION_VALUE_MAX];

    putchar('{');
    cli_json_member(true, "domain", slice_from(a->domain));
    cli_json_member(false, "entry", d->name);
    cli_json_member(false, "match", slice_from(match_word(a)));
    cli_json_member(false, "tls", slice_from(policy_tls_text(d->tls)));
    cli_json_member(false, "ktls", slice_from(policy_ktls_text(d->ktls)));
    cli_json_number(false, "max_connections", d->max_connections);
    cli_json_number(false, "max_messages_per_connection", d->max_messages_per_connection);
    cli_json_name(false, "values");
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++) {
        enum policy_destination_field field = (enum policy_destination_field)i;

        fputs(i == 0 ? "{" : ", ", stdout);
        cli_json_text(slice_from(config_destination_key(field)));
        fputs(": {", stdout);
        cli_json_member(true, "value",
                        slice_from(cli_destination_value(&a->loaded->settings, d, field, value)));
        cli_json_member(false, "from",
                        slice_from(cli_destination_origin(a->loaded->policy, d, field)));
        putchar('}');
    }
    putchar('}');
    print_tls_json(d);
    print_route_json(a);
    print_retries_json(a);
    fputs("}\n", stdout);
}

int cli_explain_destination(int argc, char **argv)
{
    struct config_loaded *loaded;
    struct cli_arguments arguments;
    struct answer a;
    struct slice domain;
    int code = cli_parse(&destination_usage, argc, argv, &arguments);

    if (code != CLI_GO_ON)
        return code;
    domain = slice_from(arguments.operands[0]);
    if (!policy_domain_is_valid(domain))
        return cli_misuse(destination_usage.name, "\"%s\" is not a domain", arguments.operands[0]);
    if (!cli_load(arguments.config, &loaded))
        return CLI_EXIT_FAILED;
    a = (struct answer){ .domain = arguments.operands[0],
                         .loaded = loaded,
                         .destination = policy_destination_find(loaded->policy, domain),
                         .route = policy_route_find(loaded->policy, domain) };
    if (arguments.json) {
        print_json(&a);
    } else {
        printf("domain   %s\n", a.domain);
        printf("entry    %.*s: %s\n", SLICE_ARGS(a.destination->name), match_text(&a));
        print_tls(a.destination);
        print_limits(a.destination);
        print_route(&a);
        print_retries(&a);
        print_values(&a);
    }
    config_loaded_destroy(loaded);
    return cli_finish(CLI_EXIT_OK);
}
