#include "config/senders.h"

#define GROUP_BYTES_MAX   64
#define COMMENT_BYTES_MAX 1024

/* A row of a HAT as it is written. */
struct row {
    const char *group;
    const config_setting_t *senders;
    const char *senders_file;
    const char *policy;
    const char *comment; /* for people */
};

static const struct config_key row_keys[] = {
    { "group", CONFIG_KIND_TEXT, offsetof(struct row, group), false, 1, GROUP_BYTES_MAX },
    { "senders", CONFIG_KIND_STRINGS, offsetof(struct row, senders), false },
    { "senders_file", CONFIG_KIND_PATH, offsetof(struct row, senders_file), false, 1 },
    { "policy", CONFIG_KIND_TEXT, offsetof(struct row, policy), true, 1 },
    { "comment", CONFIG_KIND_TEXT, offsetof(struct row, comment), false, 0, COMMENT_BYTES_MAX },
};

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

/* Entries of the file come after those of the list. Runs that turn out empty are left out, so that
 * every entry is in the last run that does not begin behind it. */
static void read_row_senders(struct config_draft *d, struct config_table_draft *table,
                             struct policy_hat_draft *hat, const config_setting_t *at,
                             const struct row *row)
{
    for (unsigned is_file = 0; is_file <= 1; is_file++) {
        struct config_senders_run *run = &table->runs[table->runs_count];

        *run = (struct config_senders_run){ .row = at, .first = table->entries_count };
        if (is_file == 0 && row->senders != NULL)
            config_read_senders(d, hat, row->senders, run);
        else if (is_file == 1 && row->senders_file != NULL)
            config_read_senders_file(d, hat, config_member(at, "senders_file"), row->senders_file,
                                     run);
        table->entries_count += run->count;
        table->runs_count += run->count > 0 ? 1 : 0;
    }
}

static bool has_senders(struct config_draft *d, const config_setting_t *at, const struct row *row)
{
    if (row->senders != NULL || row->senders_file != NULL)
        return true;
    if (!config_is_meant(at, row_keys, ARRAY_LEN(row_keys), "senders") &&
        !config_is_meant(at, row_keys, ARRAY_LEN(row_keys), "senders_file"))
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "a HAT row: \"senders\" or \"senders_file\" is missing");
    return false;
}

static enum row_kind read_row(struct config_draft *d, struct config_table_draft *table,
                              struct policy_hat_draft *hat, const config_setting_t *at)
{
    struct row row = { .group = "" };
    const struct config_flow_draft *draft = NULL;
    bool has_all = false;

    (void)config_read_keys(&d->reader, at, "a HAT row", row_keys, ARRAY_LEN(row_keys), &row);
    if (row.policy != NULL)
        draft = config_flow_find(d, at, row.policy);
    if (!has_senders(d, at, &row))
        return ROW_BROKEN;
    if (draft == NULL ||
        !config_reader_check(
            &d->reader, at,
            policy_builder_add_hat_row(d->builder, hat, slice_from(row.group), draft->flow)))
        hat = NULL;
    read_row_senders(d, table, hat, at, &row);
    for (int i = 0; row.senders != NULL && i < config_setting_length(row.senders); i++)
        has_all = has_all || sender_has_form(row.senders, i, POLICY_SENDER_ALL);
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

static void read_hat(struct config_draft *d, const config_setting_t *at)
{
    struct config_table_draft *table = &d->hats[d->hats_count];
    struct policy_hat_draft *hat;
    enum row_kind last = ROW_OPEN;

    if (!config_setting_is_list(at) || config_setting_length(at) == 0) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "hat \"%s\" has to be a list of rows: ( { ... }, { ... } )",
                             config_setting_name(at));
        return;
    }
    table->name = config_setting_name(at);
    table->at = at;
    /* Two for each row, and one to look at behind the last. */
    table->runs =
        config_draft_take(d, 2 * (size_t)config_setting_length(at) + 1, sizeof(*table->runs));
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
