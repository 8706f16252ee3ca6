#include "cli/explain.h"

#include <stdio.h>
#include <string.h>

#include "cli/configuration.h"
#include "cli/explain_counts.h"
#include "cli/explain_facts.h"
#include "cli/explain_policy.h"
#include "cli/json.h"
#include "cli/options.h"

static const char *listener_name, *is_running;
static struct cli_facts_text facts;

static const struct cli_option sender_options[] = {
    { "host", '\0', "NAME", "the verified host name of the sender", &facts.host },
    { "reverse", '\0', "RESULT",
      "of the double lookup: verified, none, failed, mismatched (of --host)", &facts.reverse },
    { "score", '\0', "N", "its reputation, -10.0 to 10.0, or none", &facts.score },
    { "country", '\0', "XX", "its country, two letters, or none", &facts.country },
    { "listed", '\0', "ZONE[=ADDR]", "a DNS list that has it, and its answer; may be repeated",
      facts.listed, &facts.listed_count, POLICY_HAT_LISTS_MAX },
    { "running", '\0', NULL, "also what the running gateway counts for it now", &is_running },
    { "listener", '\0', "NAME", "only this listener; default: all of them", &listener_name },
};

static const struct cli_usage sender_usage = {
    .name = "explain sender",
    .operands = "IP",
    .about = "Says which row of a listener's HAT decides about a host with this address, what\n"
             "its policy allows, and for every earlier row why it did not decide. Reputations\n"
             "and countries of the machine's own files are looked up; the DNS is not asked: what\n"
             "the gateway would ask of it is said, and options play its answers.\n",
    .has_config = true,
    .has_json = true,
    .options = sender_options,
    .options_count = ARRAY_LEN(sender_options),
    .operands_min = 1,
    .operands_max = 1,
};

/* What the explanation of each listener needs. */
struct explanation {
    struct config_loaded *loaded;
    struct policy_sender local; /* what the machine knows of the host itself */
    bool json;
};

/* As the gateway does before it asks the DNS. */
static struct policy_sender local_facts(const struct config_loaded *loaded,
                                        const struct ip_address *address)
{
    const struct config_reputation *reputation = &loaded->settings.reputation;
    struct policy_sender local = { .address = *address, .is_country_known = true };
    struct slice name;

    if (reputation->has_file)
        local.score = policy_score_find(loaded->policy, address);
    if (local.score.state != POLICY_SCORE_KNOWN)
        local.score.state = reputation->zone[0] != '\0' ? POLICY_SCORE_UNKNOWN : POLICY_SCORE_NONE;
    if (loaded->country != NULL)
        (void)config_country_find(loaded->country, address, &local.country, &name);
    return local;
}

/* Where no option says otherwise. */
static void add_local(const struct policy_sender *local, struct policy_sender *sender)
{
    if (sender->score.state == POLICY_SCORE_UNKNOWN)
        sender->score = local->score;
    if (sender->is_country_known)
        return;
    sender->is_country_known = local->is_country_known;
    sender->country = local->country;
}

/* --- what the DNS is asked ------------------------------------------------------------------- */

static void say_lookup(bool *is_first, bool json, const char *what, struct slice zone,
                       bool is_asked, const char *why_not)
{
    if (json) {
        fputs(*is_first ? "{" : ", {", stdout);
        cli_json_member(true, "what", slice_from(what));
        if (zone.len > 0)
            cli_json_member(false, "zone", zone);
        cli_json_bool(false, "asked", is_asked);
        putchar('}');
    } else {
        printf("%s%s%s%.*s %s%s\n", *is_first ? "  dns      " : "           ", what,
               zone.len > 0 ? " " : "", SLICE_ARGS(zone),
               is_asked ? "is asked" : "is not asked: ", is_asked ? "" : why_not);
    }
    *is_first = false;
}

/* Each lookup that the HAT could want, and whether it is wanted for this host. */
static void say_lookups(const struct explanation *e, const struct policy_hat *hat)
{
    const struct config_reputation *reputation = &e->loaded->settings.reputation;
    const char *row = "no answer could change the row";
    struct policy_hat_needs uses, needs;
    bool is_first = true;

    policy_hat_uses(hat, &uses);
    policy_hat_needs(hat, &e->local, &needs);
    if (uses.reverse)
        say_lookup(&is_first, e->json, "the double lookup (PTR, then A or AAAA)", SLICE(""),
                   needs.reverse, row);
    if (uses.score && reputation->zone[0] != '\0')
        say_lookup(&is_first, e->json, "the reputation in", slice_from(reputation->zone),
                   needs.score,
                   e->local.score.state == POLICY_SCORE_KNOWN ? "the file has it" : row);
    for (size_t i = 0; i < policy_hat_lists_count(hat); i++)
        say_lookup(&is_first, e->json, "the list", policy_hat_list_zone(hat, i),
                   (needs.listings >> i & 1) != 0, row);
}

static void print_lookups(const struct explanation *e, const struct policy_hat *hat)
{
    say_lookups(e, hat);
}

static void print_lookups_json(const struct explanation *e, const struct policy_hat *hat)
{
    cli_json_name(false, "lookups");
    putchar('[');
    say_lookups(e, hat);
    putchar(']');
}

/* --- what the running gateway counts --------------------------------------------------------- */

/* What has no limit is not counted, and 0 would not be true. */
static void print_counts(const struct cli_counts *counts, const struct policy_mail_flow *flow)
{
    printf("  counted  %llu connections here now\n", (unsigned long long)counts->connections);
    if (flow->max_recipients_per_hour > 0)
        printf("           %llu recipients in this interval, at all listeners\n",
               (unsigned long long)counts->recipients);
    else
        printf("           recipients are not: there is no max_recipients_per_hour\n");
    if (flow->max_invalid_recipients > 0)
        printf("           %llu invalid recipients in this interval, at all listeners\n",
               (unsigned long long)counts->invalid_recipients);
}

static void print_counts_json(const struct cli_counts *counts)
{
    cli_json_name(false, "counted");
    putchar('{');
    cli_json_number(true, "connections", counts->connections);
    cli_json_number(false, "recipients", counts->recipients);
    cli_json_number(false, "invalid_recipients", counts->invalid_recipients);
    putchar('}');
}

/* --- the rows -------------------------------------------------------------------------------- */

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

static bool explain_at(const struct explanation *e, const struct config_listener *listener,
                       const struct policy_sender *sender, bool is_first)
{
    struct printer printer = { .visitor = { .step = print_step }, .json = e->json };
    struct policy_sender_verdict verdict = policy_hat_find(listener->hat, sender);
    const char *type = listener->type == CONFIG_LISTENER_PUBLIC ? "public" : "private";
    const struct cli_counts *counts = NULL;
    char endpoint[IP_ENDPOINT_MAX];
    struct cli_counts asked;

    ip_endpoint_format(&listener->endpoint, endpoint);
    if (is_running != NULL) {
        if (!cli_counts_ask(sender_usage.name, &e->loaded->settings, listener,
                            config_listener_flow(listener, verdict.flow), &sender->address, &asked))
            return false;
        counts = &asked;
    }
    if (e->json) {
        fputs(is_first ? "[\n  {" : ",\n  {", stdout);
        cli_json_member(true, "listener", slice_from(listener->name));
        cli_json_member(false, "type", slice_from(type));
        cli_json_member(false, "address", slice_from(endpoint));
        cli_json_member(false, "hat", policy_hat_name(listener->hat));
        cli_json_number(false, "row", verdict.row + 1);
        cli_json_member(false, "group", verdict.group);
        cli_json_member(false, "entry", policy_hat_entry_text(listener->hat, verdict.number));
        cli_policy_print_json(listener, verdict.flow);
        print_lookups_json(e, listener->hat);
        if (counts != NULL)
            print_counts_json(counts);
        cli_json_name(false, "rows");
        putchar('[');
        policy_hat_explain(listener->hat, sender, &printer.visitor);
        fputs("]}", stdout);
        return true;
    }
    printf("%slistener %s (%s, %s), hat %.*s\n", is_first ? "" : "\n", listener->name, type,
           endpoint, SLICE_ARGS(policy_hat_name(listener->hat)));
    policy_hat_explain(listener->hat, sender, &printer.visitor);
    cli_policy_print(listener, verdict.flow);
    print_lookups(e, listener->hat);
    if (counts != NULL)
        print_counts(counts, config_listener_flow(listener, verdict.flow));
    return true;
}

static bool is_meant(const struct config_listener *listener)
{
    return listener_name == NULL || strcmp(listener->name, listener_name) == 0;
}

/* A list that no HAT asks would change nothing, without a word: most likely it is misspelt. */
static int check_lists(const struct config_settings *settings)
{
    for (size_t k = 0; k < facts.listed_count; k++) {
        bool is_known = false, is_any_meant = false;

        for (size_t i = 0; i < settings->listeners_count; i++) {
            const struct config_listener *l = &settings->listeners[i];

            is_any_meant = is_any_meant || is_meant(l);
            is_known = is_known || (is_meant(l) && cli_facts_is_list_of(facts.listed[k], l->hat));
        }
        if (is_any_meant && !is_known)
            return cli_error(sender_usage.name, "--listed %s: no HAT %s asks this list",
                             facts.listed[k], listener_name != NULL ? "of the listener" : "here");
    }
    return CLI_EXIT_OK;
}

static int explain_listeners(const struct explanation *e, struct policy_sender *sender)
{
    const struct config_settings *settings = &e->loaded->settings;
    struct policy_listing listings[POLICY_HAT_LISTS_MAX];
    bool is_first = true;

    if (check_lists(settings) != CLI_EXIT_OK)
        return CLI_EXIT_FAILED;
    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_listener *l = &settings->listeners[i];

        if (!is_meant(l))
            continue;
        cli_facts_set_listings(&facts, l->hat, listings, sender);
        if (!explain_at(e, l, sender, is_first))
            return CLI_EXIT_FAILED;
        is_first = false;
    }
    if (is_first)
        return cli_error("explain sender", "no listener is named \"%s\"", listener_name);
    if (e->json)
        fputs("\n]\n", stdout);
    return CLI_EXIT_OK;
}

int cli_explain_sender(int argc, char **argv)
{
    struct explanation e;
    struct policy_sender sender = { 0 };
    struct cli_arguments a;
    int code;

    facts = (struct cli_facts_text){ 0 };
    listener_name = is_running = NULL;
    code = cli_parse(&sender_usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    if (!ip_parse(slice_from(a.operands[0]), &sender.address))
        return cli_misuse(sender_usage.name, "\"%s\" is not an IPv4 or IPv6 address",
                          a.operands[0]);
    code = cli_facts_parse(sender_usage.name, &facts, &sender);
    if (code != CLI_GO_ON)
        return code;
    e = (struct explanation){ .json = a.json };
    if (!cli_load(a.config, &e.loaded))
        return CLI_EXIT_FAILED;
    e.local = local_facts(e.loaded, &sender.address);
    add_local(&e.local, &sender);
    code = explain_listeners(&e, &sender);
    config_loaded_destroy(e.loaded);
    return cli_finish(code);
}
