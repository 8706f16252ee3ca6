#include "config/draft.h"
#include "config/suggest.h"

/* A row of the exception table as it is written. */
struct row {
    const config_setting_t *senders;
    int action;
    uint32_t reply_code;
    const char *reply_text;
};

static const char *const action_words[] = { "allow", "reject", NULL };

static const struct config_key row_keys[] = {
    { "senders", CONFIG_KIND_STRINGS, offsetof(struct row, senders), true },
    { "action", CONFIG_KIND_WORD, offsetof(struct row, action), true, 0, 0, action_words },
    { "reply_code", CONFIG_KIND_NUMBER, offsetof(struct row, reply_code), false, 400, 599 },
    { "reply_text", CONFIG_KIND_TEXT, offsetof(struct row, reply_text), false, 1,
      POLICY_REPLY_TEXT_MAX },
};

/* Adds the valid patterns of a list behind the `used` first ones; returns how many there are. */
static size_t read_patterns(struct config_draft *d, const config_setting_t *list,
                            struct slice *patterns, size_t used)
{
    for (int i = 0; i < config_setting_length(list); i++) {
        struct slice text = slice_from(config_setting_get_string_elem(list, i));

        if (policy_address_list_takes(text))
            patterns[used++] = text;
        else
            config_reader_report(&d->reader, CONFIG_ERROR,
                                 config_setting_get_elem(list, (unsigned)i),
                                 "\"%.*s\" is not an address: \"user@example.com\", \"user@\", "
                                 "\"@example.com\", \"@.example.com\", \"user@[192.0.2.1]\" or "
                                 "\"ALL\"",
                                 SLICE_ARGS(text));
    }
    return used;
}

static bool is_strings(const config_setting_t *at)
{
    if (!config_setting_is_array(at) && !config_setting_is_list(at))
        return false;
    for (int i = 0; i < config_setting_length(at); i++)
        if (config_setting_get_string_elem(at, i) == NULL)
            return false;
    return true;
}

static void read_list(struct config_draft *d, const config_setting_t *at)
{
    struct config_address_list_draft *draft = &d->address_lists[d->address_lists_count];
    struct slice *patterns;
    size_t count;

    if (!is_strings(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "address list \"%s\" has to be a list of strings",
                             config_setting_name(at));
        return;
    }
    patterns = config_draft_take(d, (size_t)config_setting_length(at), sizeof(*patterns));
    if (patterns == NULL)
        return;
    count = read_patterns(d, at, patterns, 0);
    draft->name = config_setting_name(at);
    if (config_reader_check(&d->reader, at,
                            policy_builder_add_address_list(d->builder, slice_from(draft->name),
                                                            patterns, count, &draft->list)))
        d->address_lists_count++;
}

void config_read_address_lists(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.address_lists, POLICY_ADDRESS_LISTS_MAX);

    d->address_lists = config_draft_take(d, count, sizeof(*d->address_lists));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_list(d, config_setting_get_elem(d->root.address_lists, (unsigned)i));
}

const struct policy_address_list *config_address_list_find(struct config_draft *d,
                                                           const config_setting_t *group,
                                                           const char *key, const char *name)
{
    struct config_suggestion suggestion = config_suggestion_begin(name);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    for (size_t i = 0; i < d->address_lists_count; i++) {
        if (strcmp(d->address_lists[i].name, name) == 0)
            return d->address_lists[i].list;
        config_suggestion_offer(&suggestion, d->address_lists[i].name);
    }
    if (d->root.address_lists == NULL ||
        config_setting_get_member(d->root.address_lists, name) == NULL) /* else: reported */
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(group, key),
                             "%s = \"%s\" is not in address_lists%s", key, name,
                             config_suggestion_text(&suggestion, hint));
    return NULL;
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

static struct policy_exception_rule rule_of(struct config_draft *d, const config_setting_t *at,
                                            const struct row *row)
{
    struct policy_exception_rule rule = { .action = row->action == 0 ? POLICY_EXCEPTION_ALLOW
                                                                     : POLICY_EXCEPTION_REJECT };

    if (config_setting_get_member(at, "reply_code") == NULL &&
        config_setting_get_member(at, "reply_text") == NULL)
        return rule;
    rule.reply = (struct policy_reply){ row->reply_code, slice_from(row->reply_text) };
    if (rule.action == POLICY_EXCEPTION_ALLOW)
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "a reply can only be given with action = \"reject\"");
    if (!policy_reply_text_is_valid(rule.reply.text)) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "reply_text"),
                             "reply_text has to be ASCII");
        rule.reply.text = SLICE("");
    }
    return rule;
}

void config_read_exceptions(struct config_draft *d)
{
    const config_setting_t *list = d->root.exception_table;
    size_t count = list != NULL ? count_senders(list) : 0, used = 0;
    struct slice *patterns = config_draft_take(d, count, sizeof(*patterns));
    struct policy_exception_rule *rules = config_draft_take(d, count, sizeof(*rules));

    if (list == NULL || d->reader.is_out_of_memory)
        return;
    for (int i = 0; i < config_setting_length(list); i++) {
        const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)i);
        struct row row = { .reply_code = POLICY_EXCEPTION_REJECT_CODE,
                           .reply_text = POLICY_EXCEPTION_REJECT_TEXT };
        struct policy_exception_rule rule;
        size_t first = used;

        if (at == NULL || !config_read_keys(&d->reader, at, "the exception table", row_keys,
                                            ARRAY_LEN(row_keys), &row))
            continue;
        rule = rule_of(d, at, &row);
        used = read_patterns(d, row.senders, patterns, used);
        for (size_t k = first; k < used; k++)
            rules[k] = rule;
    }
    (void)config_reader_check(&d->reader, list,
                              policy_builder_set_exceptions(d->builder, patterns, rules, used));
}
