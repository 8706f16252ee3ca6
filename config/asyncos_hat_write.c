#include <stdio.h>

#include "config/asyncos_hat.h"
#include "config/asyncos_write.h"
#include "config/units.h"

#define INDENT_POLICY  2
#define INDENT_SETTING 4
#define INDENT_ROW     4
#define INDENT_KEY     6
#define INDENT_ENTRY   8

static enum status write_setting(struct buffer *out, const struct config_asyncos_setting *s)
{
    char text[CONFIG_UNIT_TEXT_MAX];

    switch (s->value) {
    case CONFIG_ASYNCOS_VALUE_NUMBER:
        return buffer_printf(out, "%*s%s = %llu;\n", INDENT_SETTING, "", s->key,
                             (unsigned long long)s->number);
    case CONFIG_ASYNCOS_VALUE_SIZE:
        return config_asyncos_write_text(out, INDENT_SETTING, s->key,
                                         slice_from(config_size_format(s->number, text)));
    case CONFIG_ASYNCOS_VALUE_MINUTES:
        return config_asyncos_write_text(out, INDENT_SETTING, s->key,
                                         slice_from(config_duration_format(60 * s->number, text)));
    case CONFIG_ASYNCOS_VALUE_TEXT:
        return config_asyncos_write_text(out, INDENT_SETTING, s->key, s->text);
    case CONFIG_ASYNCOS_VALUE_BOOL:
        return buffer_printf(out, "%*s%s = %s;\n", INDENT_SETTING, "", s->key,
                             s->number != 0 ? "true" : "false");
    }
    UNREACHABLE();
}

/* The settings of the policy, with the comments of its block where it is in the file. */
static enum status write_settings(const struct config_asyncos_hat *hat,
                                  const struct config_asyncos_policy *p, struct buffer *out)
{
    uint32_t next = p->origin == NULL ? p->mark + 1 : CONFIG_ASYNCOS_NO_MARK;

    for (size_t i = 0; i < p->action.count; i++) {
        const struct config_asyncos_setting *s =
            config_asyncos_setting_at(&hat->settings, p->action.first + i);

        if (next != CONFIG_ASYNCOS_NO_MARK && s->mark != CONFIG_ASYNCOS_NO_MARK &&
            s->mark >= next) {
            TRY(config_asyncos_write_marks(&hat->a, out, INDENT_SETTING, next, s->mark + 1));
            next = s->mark + 1;
        }
        TRY(write_setting(out, s));
    }
    return config_asyncos_write_marks(&hat->a, out, INDENT_SETTING, next, p->action.marks_end);
}

/* Whether the policy says it by itself. Verification of clients is a part of their "tls". */
static bool says(const struct config_asyncos_hat *hat, const struct config_asyncos_policy *p,
                 const char *key)
{
    if (strcmp(key, "hostname") == 0 && p->action.leaves_hostname)
        return true;
    if (strcmp(key, "verify_client") == 0)
        key = "tls";
    return config_asyncos_setting_find(&hat->settings, &p->action, key) != NULL;
}

/* Whether the key of the default parameters is for policies with this access rule. */
static bool concerns(const char *key, enum policy_access access)
{
    if (strncmp(key, "reject_", strlen("reject_")) == 0)
        return access == POLICY_ACCESS_REJECT;
    return access == POLICY_ACCESS_ACCEPT || access == POLICY_ACCESS_RELAY;
}

/* What the policy leaves to the default parameters of the listener. */
static enum status write_inherited(const struct config_asyncos_hat *hat,
                                   const struct config_asyncos_policy *p, struct buffer *out)
{
    bool is_first = true;

    for (size_t i = 0; i < hat->defaults.count; i++) {
        const struct config_asyncos_setting *s =
            config_asyncos_setting_at(&hat->settings, hat->defaults.first + i);

        if (!concerns(s->key, p->action.access) || says(hat, p, s->key))
            continue;
        if (is_first)
            TRY(config_asyncos_write_comment(out, INDENT_SETTING,
                                             SLICE("from the default policy parameters:")));
        is_first = false;
        TRY(write_setting(out, s));
    }
    return STATUS_OK;
}

static enum status write_policy(const struct config_asyncos_hat *hat,
                                const struct config_asyncos_policy *p, struct buffer *out)
{
    if (p->mark != CONFIG_ASYNCOS_NO_MARK)
        TRY(config_asyncos_write_marks(&hat->a, out, INDENT_POLICY, p->mark, p->mark + 1));
    if (p->origin != NULL)
        TRY(config_asyncos_write_comment(out, INDENT_POLICY, slice_from(p->origin)));
    if (p->comment.len > 0)
        TRY(config_asyncos_write_comment(out, INDENT_POLICY, p->comment));
    TRY(buffer_printf(out, "%*s%.*s = {\n", INDENT_POLICY, "", SLICE_ARGS(p->key)));
    TRY(config_asyncos_write_text(out, INDENT_SETTING, "access",
                                  slice_from(policy_access_text(p->action.access))));
    TRY(write_settings(hat, p, out));
    TRY(write_inherited(hat, p, out));
    return buffer_printf(out, "%*s};\n", INDENT_POLICY, "");
}

static enum status write_dropped(struct buffer *out, unsigned indent,
                                 const struct config_asyncos_entry *entry)
{
    char text[CONFIG_ASYNCOS_WORD_MAX + CONFIG_ASYNCOS_TEXT_MAX + 32];

    (void)snprintf(text, sizeof(text), "not carried over: %.*s%s%.*s", SLICE_ARGS(entry->text),
                   entry->comment.len > 0 ? ": " : "", SLICE_ARGS(entry->comment));
    return config_asyncos_write_comment(out, indent, slice_from(text));
}

/* All senders of the row, which has one at least that is written. */
static enum status write_entries(const struct config_asyncos_hat *hat,
                                 const struct config_asyncos_row *row, struct buffer *out)
{
    struct config_asyncos_elements e = { .out = out, .indent = INDENT_ENTRY };
    size_t left = row->count - row->dropped_count;

    for (size_t i = 0; i < row->count; i++) {
        const struct config_asyncos_entry *entry = config_asyncos_entry_at(hat, row->first + i);
        size_t at;

        if (entry->is_dropped || config_asyncos_marked(&hat->a, entry->mark, &at) > 0)
            TRY(config_asyncos_write_elements_end(&e));
        TRY(config_asyncos_write_marks(&hat->a, out, INDENT_ENTRY, entry->mark, entry->mark + 1));
        if (!entry->is_dropped) {
            TRY(config_asyncos_write_element(&e, entry->text, entry->comment, --left == 0));
            continue;
        }
        TRY(write_dropped(out, INDENT_ENTRY, entry));
    }
    return config_asyncos_write_elements_end(&e);
}

static enum status write_senders(const struct config_asyncos_hat *hat,
                                 const struct config_asyncos_row *row, struct buffer *out)
{
    const struct config_asyncos_entry *first =
        row->count > 0 ? config_asyncos_entry_at(hat, row->first) : NULL;
    size_t at;

    if (first == NULL || (row->count == 1 && first->comment.len == 0 &&
                          config_asyncos_marked(&hat->a, first->mark, &at) == 0)) {
        TRY(buffer_printf(out, "%*ssenders = [ ", INDENT_KEY, ""));
        TRY(config_asyncos_write_string(out, first != NULL ? first->text : SLICE("ALL")));
        return buffer_append(out, SLICE(" ];\n"));
    }
    TRY(buffer_printf(out, "%*ssenders = [\n", INDENT_KEY, ""));
    TRY(write_entries(hat, row, out));
    return buffer_printf(out, "%*s];\n", INDENT_KEY, "");
}

/* A row of ours has to have a sender: one that has none is kept where a person may fill it. */
static enum status write_empty_row(const struct config_asyncos_hat *hat,
                                   const struct config_asyncos_row *row, struct buffer *out)
{
    const struct config_asyncos_policy *p = config_asyncos_policy_at(hat, row->policy);

    TRY(config_asyncos_write_comment(out, INDENT_ROW, SLICE("without senders in the export:")));
    TRY(buffer_printf(out, "%*s# { group = ", INDENT_ROW, ""));
    TRY(config_asyncos_write_string(out, row->group));
    TRY(buffer_printf(out, "; senders = [ ]; policy = \"%.*s\"; comment = ", SLICE_ARGS(p->key)));
    TRY(config_asyncos_write_string(out, row->comment));
    TRY(buffer_append(out, SLICE("; },\n")));
    for (size_t i = 0; i < row->count; i++) {
        const struct config_asyncos_entry *entry = config_asyncos_entry_at(hat, row->first + i);

        TRY(write_dropped(out, INDENT_ROW, entry));
        TRY(config_asyncos_write_marks(&hat->a, out, INDENT_ROW, entry->mark, entry->mark + 1));
    }
    return STATUS_OK;
}

/* Comments in front of the policy, and in the block of a row that has one of its own. */
static enum status write_policy_marks(const struct config_asyncos_hat *hat,
                                      const struct config_asyncos_row *row, struct buffer *out,
                                      unsigned indent)
{
    uint32_t end = row->policy_name.len > 0 ? row->policy_mark + 1 : row->action.marks_end;

    return config_asyncos_write_marks(&hat->a, out, indent, row->policy_mark, end);
}

static enum status write_row(const struct config_asyncos_hat *hat,
                             const struct config_asyncos_row *row, struct buffer *out)
{
    const struct config_asyncos_policy *p = config_asyncos_policy_at(hat, row->policy);
    struct slice group = row->is_all && row->group.len == 0 ? SLICE("ALL") : row->group;

    TRY(config_asyncos_write_marks(&hat->a, out, INDENT_ROW, row->mark, row->mark + 1));
    if (!row->is_all && row->count == row->dropped_count) {
        TRY(write_empty_row(hat, row, out));
        return write_policy_marks(hat, row, out, INDENT_ROW);
    }
    if (row->is_all && !hat->has_all)
        TRY(config_asyncos_write_comment(
            out, INDENT_ROW, SLICE("Not in the export: the default of a public listener.")));
    TRY(buffer_printf(out, "%*s{\n", INDENT_ROW, ""));
    if (group.len > 0)
        TRY(config_asyncos_write_text(out, INDENT_KEY, "group", group));
    TRY(write_senders(hat, row, out));
    TRY(write_policy_marks(hat, row, out, INDENT_KEY));
    TRY(config_asyncos_write_text(out, INDENT_KEY, "policy", p->key));
    if (row->comment.len > 0)
        TRY(config_asyncos_write_text(out, INDENT_KEY, "comment", row->comment));
    return buffer_printf(out, "%*s}%s\n", INDENT_ROW, "", row->is_all ? "" : ",");
}

enum status config_asyncos_hat_write(const struct config_asyncos_hat *hat,
                                     const struct config_asyncos_import *import, struct buffer *out)
{
    TRY(config_asyncos_write_comment(out, 0,
                                     SLICE("A Host Access Table of AsyncOS, written by "
                                           "`postern import hat`.")));
    TRY(config_asyncos_write_comment(out, 0,
                                     SLICE("What a policy does not say is as Postern has "
                                           "it by default, not as the ESA had.")));
    TRY(config_asyncos_write_marks(&hat->a, out, 0, hat->defaults_mark, hat->defaults.marks_end));
    TRY(buffer_append(out, SLICE("\nmail_flow_policies = {\n")));
    for (size_t i = 0; i < config_asyncos_policies_count(hat); i++)
        TRY(write_policy(hat, config_asyncos_policy_at(hat, i), out));
    TRY(buffer_printf(out, "};\n\nhat = {\n  %s = (\n", import->name));
    for (size_t i = 0; i < config_asyncos_rows_count(hat); i++)
        TRY(write_row(hat, config_asyncos_row_at(hat, i), out));
    TRY(write_row(hat, &hat->all, out));
    TRY(buffer_append(out, SLICE("  );\n};\n")));
    return config_asyncos_write_marks(&hat->a, out, 0, hat->end_mark, hat->end_mark + 1);
}
