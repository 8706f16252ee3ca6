#include "config/draft.h"

/* A row of a RAT as it is written. */
struct row {
    const config_setting_t *recipients;
    int action;
    uint32_t reply_code;
    const char *reply_text;
    const char *comment; /* for people */
    bool bypass_limits;
    bool call_ahead;
};

_Static_assert(sizeof(enum policy_rat_action) == sizeof(int), "enum size");

static const char *const action_words[] = { "accept", "reject", NULL };

static const struct config_key row_keys[] = {
    { "recipients", CONFIG_KIND_STRINGS, offsetof(struct row, recipients), true },
    { "action", CONFIG_KIND_WORD, offsetof(struct row, action), true, 0, 0, action_words },
    { "reply_code", CONFIG_KIND_NUMBER, offsetof(struct row, reply_code), false, 400, 599 },
    { "reply_text", CONFIG_KIND_TEXT, offsetof(struct row, reply_text), false, 1,
      POLICY_REPLY_TEXT_MAX },
    { "bypass_limits", CONFIG_KIND_BOOL, offsetof(struct row, bypass_limits) },
    { "call_ahead", CONFIG_KIND_BOOL, offsetof(struct row, call_ahead) },
    { "comment", CONFIG_KIND_TEXT, offsetof(struct row, comment) },
};

/* The reply that the row names; code 0: none. */
static struct policy_reply read_reply(struct config_draft *d, const config_setting_t *at,
                                      const struct row *row)
{
    bool has_code = config_setting_get_member(at, "reply_code") != NULL;
    bool has_text = config_setting_get_member(at, "reply_text") != NULL;

    if (!has_code && !has_text)
        return (struct policy_reply){ 0 };
    if (row->action == POLICY_RAT_ACCEPT)
        config_reader_report(&d->reader, CONFIG_ERROR,
                             config_member(at, has_code ? "reply_code" : "reply_text"),
                             "a reply can only be given with action = \"reject\"");
    if (!policy_reply_text_is_valid(slice_from(row->reply_text))) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "reply_text"),
                             "reply_text has to be ASCII");
        return (struct policy_reply){ 0 };
    }
    return (struct policy_reply){ row->reply_code, slice_from(row->reply_text) };
}

static struct policy_rat_rule rule_of(struct config_draft *d, const config_setting_t *at,
                                      const struct row *row)
{
    if (row->action == POLICY_RAT_REJECT && (row->bypass_limits || row->call_ahead))
        config_reader_report(&d->reader, CONFIG_ERROR,
                             config_member(at, row->bypass_limits ? "bypass_limits" : "call_ahead"),
                             "%s can only be given with action = \"accept\"",
                             row->bypass_limits ? "bypass_limits" : "call_ahead");
    return (struct policy_rat_rule){
        .action = (enum policy_rat_action)row->action,
        .bypasses_limits = row->bypass_limits,
        .is_called_ahead = row->call_ahead,
        .reply = read_reply(d, at, row),
    };
}

static void read_recipient(struct config_draft *d, struct config_table_draft *table,
                           struct policy_rat_draft *rat, const config_setting_t *row,
                           const config_setting_t *at, const struct policy_rat_rule *rule)
{
    struct slice text = slice_from(config_setting_get_string(at));

    if (policy_address_form(text) == POLICY_ADDRESS_INVALID) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "\"%.*s\" is not a recipient: \"example.com\", \".example.com\", "
                             "\"user@example.com\", \"user@\" or \"ALL\"",
                             SLICE_ARGS(text));
        return;
    }
    if (!config_reader_check(&d->reader, at,
                             policy_builder_add_rat_entry(d->builder, rat, text, rule)))
        return;
    table->entries[table->entries_count] = at;
    table->rows[table->entries_count++] = row;
}

static void read_row(struct config_draft *d, struct config_table_draft *table,
                     struct policy_rat_draft *rat, const config_setting_t *at)
{
    /* A row whose action is not known rejects: that goes with any reply and any route. */
    struct row row = { .action = POLICY_RAT_REJECT,
                       .reply_code = POLICY_RAT_REJECT_CODE,
                       .reply_text = POLICY_RAT_REJECT_TEXT };
    struct policy_rat_rule rule;

    (void)config_read_keys(&d->reader, at, "a RAT row", row_keys, ARRAY_LEN(row_keys), &row);
    rule = rule_of(d, at, &row);
    for (int i = 0; row.recipients != NULL && i < config_setting_length(row.recipients); i++)
        read_recipient(d, table, rat, at, config_setting_get_elem(row.recipients, (unsigned)i),
                       &rule);
}

static size_t count_recipients(const config_setting_t *rows)
{
    size_t count = 0;

    for (int i = 0; i < config_setting_length(rows); i++) {
        const config_setting_t *row = config_setting_get_elem(rows, (unsigned)i);
        const config_setting_t *recipients =
            config_setting_is_group(row) ? config_setting_get_member(row, "recipients") : NULL;

        if (recipients != NULL && config_setting_is_aggregate(recipients))
            count += (size_t)config_setting_length(recipients);
    }
    return count;
}

static void read_rat(struct config_draft *d, const config_setting_t *at)
{
    struct config_table_draft *table = &d->rats[d->rats_count];
    struct policy_rat_draft *rat;
    size_t count;

    if (!config_setting_is_list(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "rat \"%s\" has to be a list of rows: ( { ... }, { ... } )",
                             config_setting_name(at));
        return;
    }
    count = count_recipients(at);
    table->name = config_setting_name(at);
    table->at = at;
    table->entries = config_draft_take(d, count, sizeof(*table->entries));
    table->rows = config_draft_take(d, count, sizeof(*table->rows));
    if (d->reader.is_out_of_memory ||
        !config_reader_check(&d->reader, at,
                             policy_builder_add_rat(d->builder, slice_from(table->name), &rat)))
        return;
    d->rats_count++;
    for (int i = 0; i < config_setting_length(at) && !d->reader.is_out_of_memory; i++) {
        const config_setting_t *row = config_element_group(&d->reader, at, (unsigned)i);

        if (row != NULL)
            read_row(d, table, rat, row);
    }
}

void config_read_rats(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.rat, CONFIG_RATS_MAX);

    d->rats = config_draft_take(d, count, sizeof(*d->rats));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_rat(d, config_setting_get_elem(d->root.rat, (unsigned)i));
}

/* Whether it is said where the mail of an accepted entry goes. Without that the MX of the domain
 * decides, which for a domain that is ours is this gateway as a rule. */
static bool has_route(const struct policy_snapshot *snapshot, struct slice text)
{
    struct slice rest = text;

    switch (policy_address_form(text)) {
    case POLICY_ADDRESS_INVALID: return true;
    case POLICY_ADDRESS_USER:
    case POLICY_ADDRESS_ALL: return policy_route_find(snapshot, SLICE("")) != NULL;
    case POLICY_ADDRESS_WHOLE:
        (void)slice_cut(&rest, '@');
        return policy_route_find(snapshot, rest) != NULL;
    case POLICY_ADDRESS_DOMAIN:
    case POLICY_ADDRESS_PARTIAL: return policy_route_find(snapshot, text) != NULL;
    }
    UNREACHABLE();
}

static void check_rat(struct config_draft *d, const struct config_table_draft *table)
{
    const struct policy_rat *rat = policy_snapshot_rat(d->snapshot, slice_from(table->name));

    if (!table->is_used && !d->has_broken_listener)
        config_reader_report(&d->reader, CONFIG_WARNING, table->at,
                             "rat \"%s\" is used by no listener", table->name);
    for (size_t i = 0; i < table->entries_count; i++) {
        size_t by = policy_rat_entry_shadowed_by(rat, i);
        struct slice text = policy_rat_entry_text(rat, i);
        const char *action = "";

        (void)config_setting_lookup_string(table->rows[i], "action", &action);
        if (by != POLICY_RAT_IMPLICIT_ENTRY && table->rows[by] == table->rows[i])
            config_reader_report(&d->reader, CONFIG_WARNING, table->entries[i],
                                 "\"%.*s\" in rat \"%s\" is covered by \"%s\" of the same row",
                                 SLICE_ARGS(text), table->name,
                                 config_setting_get_string(table->entries[by]));
        else if (by != POLICY_RAT_IMPLICIT_ENTRY)
            config_reader_report(&d->reader, CONFIG_WARNING, table->entries[i],
                                 "\"%.*s\" in rat \"%s\" is never reached: \"%s\" of row %d comes "
                                 "first",
                                 SLICE_ARGS(text), table->name,
                                 config_setting_get_string(table->entries[by]),
                                 config_setting_index(table->rows[by]) + 1);
        if (strcmp(action, "accept") == 0 && !d->has_broken_route && !has_route(d->snapshot, text))
            config_reader_report(&d->reader, CONFIG_WARNING, table->entries[i],
                                 "\"%.*s\" in rat \"%s\" is accepted, but no route covers it: "
                                 "its MX may lead back here",
                                 SLICE_ARGS(text), table->name);
    }
}

void config_check_rats(struct config_draft *d)
{
    for (size_t i = 0; i < d->rats_count; i++)
        check_rat(d, &d->rats[i]);
}
