#include <stdio.h>

#include "config/draft.h"

#define GROUP_BYTES_MAX 64

/* A row of a HAT as it is written. */
struct row {
    const char *group;
    const config_setting_t *senders;
    const char *policy;
};

static const struct config_key row_keys[] = {
    { "group", CONFIG_KIND_TEXT, offsetof(struct row, group), false, 1, GROUP_BYTES_MAX },
    { "senders", CONFIG_KIND_STRINGS, offsetof(struct row, senders), true },
    { "policy", CONFIG_KIND_TEXT, offsetof(struct row, policy), true, 1 },
};

/* hat is NULL when the row cannot be compiled and its senders are only to be judged. */
static void read_sender(struct config_draft *d, struct config_table_draft *table,
                        struct policy_hat_draft *hat, const config_setting_t *row,
                        const config_setting_t *at)
{
    const char *text = config_setting_get_string(at);

    struct policy_sender_entry entry;
    const char *why = policy_sender_parse(slice_from(text), &entry);

    if (why != NULL) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "\"%s\" is not a sender: %s", text, why);
        return;
    }
    if (entry.form == POLICY_SENDER_LOOSE) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "\"%s\" has bits set behind its prefix",
                             text);
        return;
    }
    if (hat == NULL ||
        !config_reader_check(&d->reader, at,
                             policy_builder_add_hat_entry(d->builder, hat, slice_from(text))))
        return;
    table->entries[table->entries_count] = at;
    table->rows[table->entries_count++] = row;
}

static bool sender_has_form(const config_setting_t *senders, int index,
                            enum policy_sender_form form)
{
    return policy_sender_form(slice_from(config_setting_get_string_elem(senders, index))) == form;
}

enum row_kind {
    ROW_BROKEN, /* and reported: what is missing in it is not worth a second complaint */
    ROW_OPEN,   /* leaves hosts to the rows behind it */
    ROW_SETTLES /* decides about every host that comes to it */
};

static enum row_kind read_row(struct config_draft *d, struct config_table_draft *table,
                              struct policy_hat_draft *hat, const config_setting_t *at)
{
    struct row row = { .group = "" };
    const struct config_flow_draft *draft = NULL;
    bool has_all = false;

    (void)config_read_keys(&d->reader, at, "a HAT row", row_keys, ARRAY_LEN(row_keys), &row);
    if (row.policy != NULL)
        draft = config_flow_find(d, at, row.policy);
    if (row.senders == NULL)
        return ROW_BROKEN;
    if (draft == NULL ||
        !config_reader_check(
            &d->reader, at,
            policy_builder_add_hat_row(d->builder, hat, slice_from(row.group), draft->flow)))
        hat = NULL;
    for (int i = 0; i < config_setting_length(row.senders); i++) {
        read_sender(d, table, hat, at, config_setting_get_elem(row.senders, (unsigned)i));
        has_all = has_all || sender_has_form(row.senders, i, POLICY_SENDER_ALL);
    }
    if (hat == NULL || (draft->is_broken && has_all))
        return ROW_BROKEN;
    table->accepts_mail = table->accepts_mail || draft->flow->access == POLICY_ACCESS_ACCEPT;
    return has_all && draft->flow->access != POLICY_ACCESS_CONTINUE ? ROW_SETTLES : ROW_OPEN;
}

/* A compiled HAT has to end with a row for everybody; a broken one is given such a row, so that
 * the rest of the configuration can still be judged. */
static void close_hat(struct config_draft *d, const struct config_table_draft *table,
                      struct policy_hat_draft *hat)
{
    struct policy_mail_flow reject = policy_mail_flow_default();
    const struct policy_mail_flow *flow;

    reject.access = POLICY_ACCESS_REJECT;
    if (!config_reader_check(&d->reader, table->at,
                             policy_builder_add_mail_flow(d->builder, &reject, &flow)) ||
        !config_reader_check(&d->reader, table->at,
                             policy_builder_add_hat_row(d->builder, hat, SLICE(""), flow)))
        return;
    (void)config_reader_check(&d->reader, table->at,
                              policy_builder_add_hat_entry(d->builder, hat, SLICE("ALL")));
}

static size_t count_senders(const config_setting_t *rows)
{
    size_t count = 0;

    for (int i = 0; i < config_setting_length(rows); i++) {
        const config_setting_t *row = config_setting_get_elem(rows, (unsigned)i);
        const config_setting_t *senders =
            config_setting_is_group(row) ? config_setting_get_member(row, "senders") : NULL;

        if (senders != NULL && config_setting_is_aggregate(senders))
            count += (size_t)config_setting_length(senders);
    }
    return count;
}

static void read_hat(struct config_draft *d, const config_setting_t *at)
{
    struct config_table_draft *table = &d->hats[d->hats_count];
    struct policy_hat_draft *hat;
    enum row_kind last = ROW_OPEN;
    size_t senders_count;

    if (!config_setting_is_list(at) || config_setting_length(at) == 0) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "hat \"%s\" has to be a list of rows: ( { ... }, { ... } )",
                             config_setting_name(at));
        return;
    }
    senders_count = count_senders(at);
    table->name = config_setting_name(at);
    table->at = at;
    table->entries = config_draft_take(d, senders_count, sizeof(*table->entries));
    table->rows = config_draft_take(d, senders_count, sizeof(*table->rows));
    if (d->reader.is_out_of_memory ||
        !config_reader_check(&d->reader, at,
                             policy_builder_add_hat(d->builder, slice_from(table->name), &hat)))
        return;
    d->hats_count++;
    for (int i = 0; i < config_setting_length(at) && !d->reader.is_out_of_memory; i++) {
        const config_setting_t *row = config_element_group(&d->reader, at, (unsigned)i);

        last = row != NULL ? read_row(d, table, hat, row) : ROW_BROKEN;
    }
    if (last == ROW_OPEN)
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "the last row of hat \"%s\" has to have senders = [ \"ALL\" ] and a "
                             "policy that does not continue",
                             table->name);
    if (last != ROW_SETTLES)
        close_hat(d, table, hat);
}

void config_read_hats(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.hat, CONFIG_HATS_MAX);

    d->hats = config_draft_take(d, count, sizeof(*d->hats));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_hat(d, config_setting_get_elem(d->root.hat, (unsigned)i));
}

/* "row 3 (BLACK)" of a HAT, counted from 1. */
static const char *row_text(const config_setting_t *row, char *text, size_t text_bytes)
{
    const char *group = NULL;

    if (config_setting_lookup_string(row, "group", &group) == CONFIG_TRUE)
        (void)snprintf(text, text_bytes, "row %d (%s)", config_setting_index(row) + 1, group);
    else
        (void)snprintf(text, text_bytes, "row %d", config_setting_index(row) + 1);
    return text;
}

static void report_entry(struct config_draft *d, const struct config_table_draft *table,
                         size_t entry, size_t by, bool is_whole_row)
{
    char row[GROUP_BYTES_MAX + 32], other[GROUP_BYTES_MAX + 32];
    const char *text = config_setting_get_string(table->entries[entry]);
    const char *by_text = config_setting_get_string(table->entries[by]);

    row_text(table->rows[entry], row, sizeof(row));
    row_text(table->rows[by], other, sizeof(other));
    if (table->rows[entry] == table->rows[by])
        config_reader_report(&d->reader, CONFIG_WARNING, table->entries[entry],
                             "\"%s\" stands twice in %s of hat \"%s\"", text, row, table->name);
    else if (is_whole_row)
        config_reader_report(&d->reader, CONFIG_ERROR, table->rows[entry],
                             "%s of hat \"%s\" is never reached: \"%s\" of %s comes first", row,
                             table->name, by_text, other);
    else
        config_reader_report(
            &d->reader, CONFIG_ERROR, table->entries[entry],
            "\"%s\" in %s of hat \"%s\" is never reached: \"%s\" of %s comes first", text, row,
            table->name, by_text, other);
}

static void check_hat(struct config_draft *d, const struct config_table_draft *table)
{
    const struct policy_hat *hat = policy_snapshot_hat(d->snapshot, slice_from(table->name));
    const uint32_t *shadows;
    size_t next;

    if (!config_reader_check(&d->reader, table->at, policy_hat_shadows(hat, &d->scratch, &shadows)))
        return;
    if (!table->is_used && !d->has_broken_listener)
        config_reader_report(&d->reader, CONFIG_WARNING, table->at,
                             "hat \"%s\" is used by no listener", table->name);
    for (size_t first = 0; first < table->entries_count; first = next) {
        bool is_whole_row = true;

        for (next = first; next < table->entries_count && table->rows[next] == table->rows[first];
             next++) {
            is_whole_row = is_whole_row && shadows[next] < first;
        }
        for (size_t i = first; i < (is_whole_row ? first + 1 : next); i++) {
            if (shadows[i] != POLICY_NO_SHADOW)
                report_entry(d, table, i, shadows[i], is_whole_row);
        }
    }
}

void config_check_hats(struct config_draft *d)
{
    for (size_t i = 0; i < d->hats_count; i++)
        check_hat(d, &d->hats[i]);
}
