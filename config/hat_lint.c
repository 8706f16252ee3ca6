/* What only a compiled HAT can tell: entries that never count, and names that may not be meant. */
#include <stdio.h>

#include "config/senders.h"

#define ROW_TEXT_MAX 112 /* a group has 64 bytes */
#define TOLD_MAX     5   /* problems of one kind in one file; a block list would bury the others */

/* One HAT while it is looked through. */
struct lint {
    struct config_draft *d;
    const struct config_table_draft *table;
    const struct policy_hat *hat;
    const uint32_t *shadows;
    bool has_names;
    size_t hidden_count; /* in the current file */
    size_t names_count;
};

/* "row 3 (BLACK)" of a HAT, counted from 1. */
static const char *row_text(const config_setting_t *row, char text[static ROW_TEXT_MAX])
{
    const char *group = NULL;

    if (config_setting_lookup_string(row, "group", &group) == CONFIG_TRUE)
        (void)snprintf(text, ROW_TEXT_MAX, "row %d (%s)", config_setting_index(row) + 1, group);
    else
        (void)snprintf(text, ROW_TEXT_MAX, "row %d", config_setting_index(row) + 1);
    return text;
}

static bool is_in_file(const struct lint *l, size_t entry)
{
    return config_senders_run_of(l->table, entry)->settings == NULL;
}

static void report_hidden(struct lint *l, size_t entry)
{
    const config_setting_t *row = config_senders_run_of(l->table, entry)->row;
    const config_setting_t *by_row = config_senders_run_of(l->table, l->shadows[entry])->row;
    struct slice text = policy_hat_entry_text(l->hat, entry);
    struct slice by = policy_hat_entry_text(l->hat, l->shadows[entry]);
    char own[ROW_TEXT_MAX], other[ROW_TEXT_MAX];

    if (is_in_file(l, entry) && l->hidden_count++ >= TOLD_MAX)
        return;
    row_text(row, own);
    if (row == by_row)
        config_senders_report(l->d, l->table, entry, CONFIG_WARNING,
                              "\"%.*s\" stands twice in %s of hat \"%s\"", SLICE_ARGS(text), own,
                              l->table->name);
    else
        config_senders_report(
            l->d, l->table, entry, CONFIG_WARNING,
            "\"%.*s\" in %s of hat \"%s\" is never reached: \"%.*s\" of %s comes first",
            SLICE_ARGS(text), own, l->table->name, SLICE_ARGS(by), row_text(by_row, other));
}

/* What is doubtful about a name; NULL: nothing. A name of two labels is a domain more often than a
 * host; with the hosts below it listed too, both are meant. */
static const char *doubt_of(const struct lint *l, struct slice text)
{
    struct policy_sender_entry e;
    struct slice rest;

    if (policy_sender_parse(text, &e) != NULL || e.form != POLICY_SENDER_NAME)
        return NULL;
    rest = e.name;
    if (slice_cut(&rest, '.').len == e.name.len)
        return slice_is_word(e.name, "NotDoubleVerified")
                   ? "is no host; the word for a name that does not lead back is "
                     "\"not.double.verified\""
                   : "has no domain: no host of the DNS is named so";
    if (slice_cut(&rest, '.').len > 0 && rest.len == 0 && !policy_hat_has_domain(l->hat, e.name))
        return "names one host; with a dot in front it would match the hosts below it";
    return NULL;
}

static void report_name(struct lint *l, size_t entry, const char *doubt)
{
    struct slice text = policy_hat_entry_text(l->hat, entry);

    if (is_in_file(l, entry) && l->names_count++ >= TOLD_MAX)
        return;
    config_senders_report(l->d, l->table, entry, CONFIG_WARNING, "\"%.*s\" %s", SLICE_ARGS(text),
                          doubt);
}

/* The count of what was not told about a file. */
static void close_run(struct lint *l, const struct config_senders_run *run)
{
    struct config_problems *problems = l->d->reader.problems;

    if (l->hidden_count > TOLD_MAX)
        config_problems_add(problems, CONFIG_WARNING, run->path, 0,
                            "%zu more senders are never reached, or stand twice",
                            l->hidden_count - TOLD_MAX);
    if (l->names_count > TOLD_MAX)
        config_problems_add(problems, CONFIG_WARNING, run->path, 0, "%zu more names are doubtful",
                            l->names_count - TOLD_MAX);
    l->hidden_count = l->names_count = 0;
}

/* Whether earlier rows hide every entry of the row that has the entries [first, next). */
static bool is_hidden_row(const struct lint *l, size_t first, size_t next)
{
    for (size_t i = first; i < next; i++)
        if (l->shadows[i] >= first)
            return false;
    return true;
}

static void report_row(struct lint *l, const config_setting_t *row, size_t first)
{
    const config_setting_t *by_row = config_senders_run_of(l->table, l->shadows[first])->row;
    char own[ROW_TEXT_MAX], other[ROW_TEXT_MAX];

    config_reader_report(&l->d->reader, CONFIG_WARNING, row,
                         "%s of hat \"%s\" is never reached: \"%.*s\" of %s comes first",
                         row_text(row, own), l->table->name,
                         SLICE_ARGS(policy_hat_entry_text(l->hat, l->shadows[first])),
                         row_text(by_row, other));
}

static void lint_run(struct lint *l, const struct config_senders_run *run, bool is_row_hidden)
{
    for (size_t i = run->first; i < run->first + run->count; i++) {
        const char *doubt;

        if (!is_row_hidden && l->shadows[i] != POLICY_NO_SHADOW)
            report_hidden(l, i);
        doubt = l->has_names ? doubt_of(l, policy_hat_entry_text(l->hat, i)) : NULL;
        if (doubt != NULL)
            report_name(l, i, doubt);
    }
    close_run(l, run);
}

static void lint_rows(struct lint *l)
{
    const struct config_senders_run *runs = l->table->runs;
    size_t next;

    for (size_t r = 0; r < l->table->runs_count; r = next) {
        size_t end = runs[r].first;
        bool is_hidden;

        for (next = r; next < l->table->runs_count && runs[next].row == runs[r].row; next++)
            end += runs[next].count;
        is_hidden = is_hidden_row(l, runs[r].first, end);
        if (is_hidden)
            report_row(l, runs[r].row, runs[r].first);
        for (size_t i = r; i < next; i++)
            lint_run(l, &runs[i], is_hidden);
    }
}

void config_check_hats(struct config_draft *d)
{
    for (size_t i = 0; i < d->hats_count; i++) {
        const struct config_table_draft *table = &d->hats[i];
        struct lint l = { .d = d,
                          .table = table,
                          .hat = policy_snapshot_hat(d->snapshot, slice_from(table->name)) };
        struct policy_hat_needs uses;

        if (!config_reader_check(&d->reader, table->at,
                                 policy_hat_shadows(l.hat, &d->scratch, &l.shadows)))
            return;
        if (!table->is_used && !d->has_broken_listener)
            config_reader_report(&d->reader, CONFIG_WARNING, table->at,
                                 "hat \"%s\" is used by no listener", table->name);
        policy_hat_uses(l.hat, &uses);
        l.has_names = uses.reverse;
        lint_rows(&l);
    }
}

/* Sources of reputations and countries are settings of their own. */
void config_check_hat_sources(struct config_draft *d)
{
    for (size_t i = 0; i < d->hats_count; i++) {
        const struct config_table_draft *table = &d->hats[i];
        struct policy_hat_needs uses;

        policy_hat_uses(policy_snapshot_hat(d->snapshot, slice_from(table->name)), &uses);
        if (uses.score && d->settings.reputation.zone[0] == '\0' &&
            !d->settings.reputation.has_file)
            config_reader_report(&d->reader, CONFIG_WARNING, table->at,
                                 "hat \"%s\" looks at reputations, but \"reputation\" names no "
                                 "source of them: every host is SBRS[none]",
                                 table->name);
        if (uses.country && d->country == NULL)
            config_reader_report(&d->reader, CONFIG_WARNING, table->at,
                                 "hat \"%s\" looks at countries, but \"country\" names no "
                                 "database: geo[...] never matches",
                                 table->name);
    }
}
