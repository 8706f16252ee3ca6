#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/destination_text.h"
#include "cli/group.h"
#include "cli/json.h"
#include "cli/options.h"
#include "config/units.h"
#include "policy/domain_map.h"

static const struct cli_usage list_usage = {
    .name = "destinations list",
    .operands = "",
    .about = "Prints one line for each entry of the destinations, in the columns of destconfig of\n"
             "AsyncOS (\"Default\": as the default entry says), and two more behind them.\n",
    .has_config = true,
    .has_json = true,
};

static const struct cli_usage detail_usage = {
    .name = "destinations detail",
    .operands = "[DOMAIN]",
    .about =
        "Prints all that an entry of the destinations says, or every entry; DOMAIN is the\n"
        "domain of an entry, or \"default\". `postern explain destination` tells what becomes\n"
        "of a domain's mail.\n",
    .has_config = true,
    .has_json = true,
    .operands_max = 1,
};

#define COLUMNS 8

/* Two lines of head; a column is as wide as what is in it, and at least this wide. */
static const struct {
    const char *head[2];
    size_t width;
} columns[COLUMNS] = {
    { { "", "Domain" }, 9 },        { { "Rate", "Limiting" }, 8 },
    { { "", "TLS" }, 7 },           { { "Bounce", "Verification" }, 12 },
    { { "Bounce", "Profile" }, 9 }, { { "IP Version", "Preference" }, 12 },
    { { "", "DANE" }, 7 },          { { "MTA", "STS" }, 7 },
};

struct table {
    const struct config_loaded *loaded;
    const struct policy_destination *defaults;
};

/* The entries, and the default behind them. */
static size_t rows_count(const struct table *t)
{
    return policy_snapshot_destinations_count(t->loaded->policy) + 1;
}

static const struct policy_destination *row_at(const struct table *t, size_t row)
{
    return row + 1 < rows_count(t) ? policy_snapshot_destination(t->loaded->policy, row)
                                   : t->defaults;
}

static bool gives(const struct policy_destination *d, enum policy_destination_field field)
{
    return policy_destination_gives(d, field);
}

static const char *tls_word(enum policy_tls tls)
{
    switch (tls) {
    case POLICY_TLS_OFF: return "Off";
    case POLICY_TLS_PREFERRED: return "On";
    case POLICY_TLS_REQUIRED: return "Required";
    case POLICY_TLS_PREFERRED_VERIFY: return "Preferred - Verify";
    case POLICY_TLS_REQUIRED_VERIFY: return "Required - Verify";
    case POLICY_TLS_REQUIRED_VERIFY_HOSTED: return "Required - Verify Hosted Domains";
    }
    UNREACHABLE();
}

static const char *ip_word(enum policy_ip ip)
{
    switch (ip) {
    case POLICY_IP_PREFER_V6: return "Prefer IPv6";
    case POLICY_IP_REQUIRE_V6: return "Require IPv6";
    case POLICY_IP_PREFER_V4: return "Prefer IPv4";
    case POLICY_IP_REQUIRE_V4: return "Require IPv4";
    }
    UNREACHABLE();
}

static const char *dane_word(enum policy_dane dane)
{
    switch (dane) {
    case POLICY_DANE_OFF: return "None";
    case POLICY_DANE_OPPORTUNISTIC: return "Opportunistic";
    case POLICY_DANE_MANDATORY: return "Mandatory";
    }
    UNREACHABLE();
}

static bool limits_rate(const struct policy_destination *d)
{
    return gives(d, POLICY_DESTINATION_CONNECTIONS) || gives(d, POLICY_DESTINATION_MESSAGES) ||
           gives(d, POLICY_DESTINATION_RECIPIENTS) || gives(d, POLICY_DESTINATION_INTERVAL);
}

/* What stands in a cell. Senders are not tagged, so that bounces are not verified. */
static struct slice cell(const struct table *t, const struct policy_destination *d, size_t column)
{
    bool is_default = d == t->defaults;
    const char *text = NULL;

    switch (column) {
    case 0: return is_default ? SLICE("(Default)") : d->name;
    case 1: text = is_default || limits_rate(d) ? "On" : NULL; break;
    case 2: text = is_default || gives(d, POLICY_DESTINATION_TLS) ? tls_word(d->tls) : NULL; break;
    case 3: text = is_default ? "Off" : NULL; break;
    case 4:
        if (gives(d, POLICY_DESTINATION_BOUNCE_PROFILE))
            return d->bounce_profile->name;
        text = is_default ? "(Default)" : NULL;
        break;
    case 5: text = is_default || gives(d, POLICY_DESTINATION_IP) ? ip_word(d->ip) : NULL; break;
    case 6:
        text = is_default || gives(d, POLICY_DESTINATION_DANE) ? dane_word(d->dane) : NULL;
        break;
    case 7:
        if (is_default || gives(d, POLICY_DESTINATION_MTA_STS))
            text = d->mta_sts ? "On" : "Off";
        break;
    default: UNREACHABLE();
    }
    return slice_from(text != NULL ? text : "Default");
}

static void print_cell(struct slice text, size_t width, bool is_last)
{
    printf("%.*s%*s", SLICE_ARGS(text), is_last ? 0 : (int)(width - text.len) + 2, "");
}

static void print_list(const struct table *t)
{
    size_t widths[COLUMNS];

    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = columns[c].width;
        for (size_t row = 0; row < rows_count(t); row++) {
            size_t len = cell(t, row_at(t, row), c).len;

            widths[c] = len > widths[c] ? len : widths[c];
        }
    }
    for (size_t line = 0; line < 2; line++) {
        for (size_t c = 0; c < COLUMNS; c++)
            print_cell(slice_from(columns[c].head[line]), widths[c], c + 1 == COLUMNS);
        putchar('\n');
    }
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t i = 0; i < widths[c]; i++)
            putchar('=');
        fputs(c + 1 < COLUMNS ? "  " : "\n", stdout);
    }
    for (size_t row = 0; row < rows_count(t); row++) {
        for (size_t c = 0; c < COLUMNS; c++)
            print_cell(cell(t, row_at(t, row), c), widths[c], c + 1 == COLUMNS);
        putchar('\n');
    }
}

static void print_detail(const struct table *t, const struct policy_destination *d)
{
    bool is_default = d == t->defaults;
    char value[CLI_DESTINATION_VALUE_MAX];

    printf("%.*s\n", SLICE_ARGS(cell(t, d, 0)));
    if (is_default || gives(d, POLICY_DESTINATION_MESSAGES))
        printf("  Maximum messages per connection: %u\n", d->max_messages_per_connection);
    else
        printf("  Maximum messages per connection: Default\n");
    printf("  Rate Limiting:\n");
    if (!is_default && !limits_rate(d)) {
        printf("    Default\n");
    } else {
        printf("    %u concurrent connections\n", d->max_connections);
        if (d->max_recipients > 0)
            printf("    %u recipients per %s\n", d->max_recipients,
                   config_duration_format(d->recipients_interval_s, value));
        else
            printf("    No recipient limit\n");
        printf("    Limits applied to %s\n", d->limit_scope == POLICY_LIMIT_DOMAIN
                                                 ? "entire domain"
                                                 : "each mail exchanger IP address");
    }
    printf("  TLS: %.*s\n", SLICE_ARGS(cell(t, d, 2)));
    printf("  Bounce Verification: %.*s\n", SLICE_ARGS(cell(t, d, 3)));
    printf("  Bounce Profile: %.*s\n", SLICE_ARGS(cell(t, d, 4)));
    printf("  IP Version Preference: %.*s\n", SLICE_ARGS(cell(t, d, 5)));
    printf("  DANE: %.*s\n", SLICE_ARGS(cell(t, d, 6)));
    printf("  MTA STS: %.*s\n", SLICE_ARGS(cell(t, d, 7)));
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++) {
        enum policy_destination_field field = (enum policy_destination_field)i;
        bool is_ours =
            field == POLICY_DESTINATION_KTLS || field == POLICY_DESTINATION_TLS_VERSION ||
            field == POLICY_DESTINATION_CERTIFICATE || field == POLICY_DESTINATION_FALLBACK;

        if (is_ours && gives(d, field))
            printf("  %s: %s\n", config_destination_key(field),
                   cli_destination_value(&t->loaded->settings, d, field, value));
    }
}

/* What it says itself. */
static void print_entry_json(const struct table *t, const struct policy_destination *d)
{
    char value[CLI_DESTINATION_VALUE_MAX];

    putchar('{');
    cli_json_member(true, "domain", d->name);
    cli_json_bool(false, "is_default", d == t->defaults);
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++) {
        enum policy_destination_field field = (enum policy_destination_field)i;

        if (d == t->defaults || gives(d, field))
            cli_json_member(
                false, config_destination_key(field),
                slice_from(cli_destination_value(&t->loaded->settings, d, field, value)));
    }
    putchar('}');
}

static void print_all(const struct table *t, bool json, bool is_list)
{
    if (!json && is_list) {
        print_list(t);
        return;
    }
    for (size_t row = 0; row < rows_count(t); row++) {
        if (json)
            fputs(row == 0 ? "[" : ",\n ", stdout);
        else if (row > 0)
            putchar('\n');
        if (json)
            print_entry_json(t, row_at(t, row));
        else
            print_detail(t, row_at(t, row));
    }
    if (json)
        fputs("]\n", stdout);
}

/* The entry of exactly this name, or NULL. */
static const struct policy_destination *find_entry(const struct table *t, const char *domain)
{
    const struct policy_destination *d =
        policy_destination_find(t->loaded->policy, slice_from(domain));

    if (slice_is_word(slice_from(domain), "default"))
        return t->defaults;
    return d != t->defaults && slice_equal_nocase(policy_domain_normal(d->name),
                                                  policy_domain_normal(slice_from(domain)))
               ? d
               : NULL;
}

static int run_part(const struct cli_usage *usage, int argc, char **argv)
{
    const struct policy_destination *entry = NULL;
    struct config_loaded *loaded;
    struct cli_arguments a;
    struct table t;
    int code = cli_parse(usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!cli_load(a.config, &loaded))
        return CLI_EXIT_FAILED;
    t = (struct table){ loaded, policy_snapshot_destination_default(loaded->policy) };
    code = CLI_EXIT_OK;
    if (a.operands_count > 0)
        entry = find_entry(&t, a.operands[0]);
    if (a.operands_count > 0 && entry == NULL) {
        code = cli_error(usage->name,
                         "\"%s\" has no entry of its own; `postern explain "
                         "destination` says which one covers it",
                         a.operands[0]);
    } else if (entry == NULL) {
        print_all(&t, a.json, usage == &list_usage);
    } else if (a.json) {
        print_entry_json(&t, entry);
        putchar('\n');
    } else {
        print_detail(&t, entry);
    }
    config_loaded_destroy(loaded);
    return cli_finish(code);
}

static int run_list(int argc, char **argv)
{
    return run_part(&list_usage, argc, argv);
}

static int run_detail(int argc, char **argv)
{
    return run_part(&detail_usage, argc, argv);
}

static const struct cli_command parts[] = {
    { "list", "the entries of the destinations, one a line", run_list },
    { "detail", "all that they say", run_detail },
};

static const struct cli_group group = { "destinations", "", parts, ARRAY_LEN(parts) };

static int run(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

const struct cli_command cli_destinations = { "destinations", "show the destinations table", run };
