#include "config/asyncos_hat.h"

#include <stdio.h>

#include "config/asyncos_look.h"
#include "config/asyncos_sender.h"

#define ENTRY_BYTES sizeof(struct config_asyncos_entry)

/* A table while it is read. */
struct reading {
    struct config_asyncos_hat *hat;
    struct config_asyncos *a;
    struct config_asyncos_row row;
    bool is_open;     /* row has begun and waits for entries and its policy */
    bool may_default; /* the row of ALL has just ended: the default parameters may follow */
    bool has_defaults;
};

size_t config_asyncos_rows_count(const struct config_asyncos_hat *hat)
{
    return buffer_len(&hat->rows) / sizeof(struct config_asyncos_row);
}

struct config_asyncos_row *config_asyncos_row_at(const struct config_asyncos_hat *hat, size_t index)
{
    return config_asyncos_item(&hat->rows, index, sizeof(struct config_asyncos_row));
}

const struct config_asyncos_entry *config_asyncos_entry_at(const struct config_asyncos_hat *hat,
                                                           size_t index)
{
    return config_asyncos_item(&hat->entries, index, ENTRY_BYTES);
}

static bool is_access(const struct config_asyncos_token *t)
{
    enum policy_access access;

    return t->kind == CONFIG_ASYNCOS_WORD && config_asyncos_access_parse(t->text, &access);
}

/* "NAME:", where an IPv6 address has more colons. */
static bool is_group(struct slice word)
{
    return word.len > 1 && word.data[word.len - 1] == ':' &&
           memchr(word.data, ':', word.len - 1) == NULL;
}

/* Texts behind each other become one. */
static void add_comment(struct config_asyncos *a, struct slice *comment, struct slice text)
{
    char room[CONFIG_ASYNCOS_TEXT_MAX];
    int len;

    if (comment->len == 0 || text.len == 0) {
        *comment = text.len > 0 ? text : *comment;
        return;
    }
    len = snprintf(room, sizeof(room), "%.*s; %.*s", SLICE_ARGS(*comment), SLICE_ARGS(text));
    if (len < 0 || (size_t)len >= sizeof(room))
        len = (int)sizeof(room) - 1;
    *comment = config_asyncos_copy(a, (struct slice){ room, (size_t)len });
}

static const char *row_name(const struct config_asyncos_row *row, char text[static 96])
{
    if (row->group.len > 0)
        (void)snprintf(text, 96, "sender group %.*s", SLICE_ARGS(row->group));
    else
        (void)snprintf(text, 96, "this row");
    return text;
}

static void report_open(struct reading *r)
{
    char name[96];

    config_asyncos_error(r->a, r->row.line, "%s has neither a policy nor an access rule",
                         row_name(&r->row, name));
    r->is_open = false;
}

static void open_row(struct reading *r, struct slice group)
{
    struct config_asyncos_token *t = &r->a->token;

    if (group.len > CONFIG_ASYNCOS_GROUP_MAX) {
        config_asyncos_error(r->a, t->line, "the name of a sender group is longer than %d bytes",
                             CONFIG_ASYNCOS_GROUP_MAX);
        group.len = CONFIG_ASYNCOS_GROUP_MAX;
    }
    r->row = (struct config_asyncos_row){ .group = group,
                                          .line = t->line,
                                          .first = buffer_len(&r->hat->entries) / ENTRY_BYTES,
                                          .mark = config_asyncos_mark(r->a) };
    r->is_open = true;
    r->may_default = false;
}

static void close_row(struct reading *r)
{
    struct config_asyncos_hat *hat = r->hat;
    char name[96];

    r->is_open = false;
    if (r->row.count == 0 && slice_is_word(r->row.group, "ALL"))
        r->row.is_all = true;
    if (r->row.is_all) {
        if (hat->has_all)
            config_asyncos_error(r->a, r->row.line, "a second row for ALL (see line %u)",
                                 hat->all.line);
        hat->all = r->row;
        hat->has_all = r->may_default = true;
        return;
    }
    if (hat->has_all && !hat->has_rows_behind_all) {
        hat->has_rows_behind_all = true;
        config_asyncos_warn(r->a, hat->all.line,
                            "ALL stands before other rows (the first is in line %u): it is asked "
                            "last on an ESA, and written last",
                            r->row.line);
    }
    if (r->row.count == r->row.dropped_count)
        config_asyncos_warn(r->a, r->row.line, "%s has no entries%s: it is written as a comment",
                            row_name(&r->row, name), r->row.count > 0 ? " left" : "");
    if (config_asyncos_rows_count(hat) == CONFIG_ASYNCOS_ROWS_MAX) {
        config_asyncos_error(r->a, r->row.line, "more than %d rows", CONFIG_ASYNCOS_ROWS_MAX);
        r->a->status = STATUS_LIMIT;
        return;
    }
    (void)config_asyncos_push(r->a, &hat->rows, &r->row, sizeof(r->row));
}

static void read_entry(struct reading *r)
{
    struct config_asyncos *a = r->a;
    struct config_asyncos_entry entry = { .text = a->token.text };
    char text[CONFIG_ASYNCOS_SENDER_MAX];
    const char *why = NULL;
    unsigned line = a->token.line;
    bool is_first = !r->is_open;

    if (is_first)
        open_row(r, SLICE(""));
    entry.mark = is_first ? CONFIG_ASYNCOS_NO_MARK : config_asyncos_mark(a);
    switch (config_asyncos_sender_convert(entry.text, text, &why)) {
    case CONFIG_ASYNCOS_SENDER_SAME: break;
    case CONFIG_ASYNCOS_SENDER_CHANGED:
        config_asyncos_warn(a, line, "\"%.*s\" %s: written as \"%s\"", SLICE_ARGS(entry.text), why,
                            text);
        entry.text = config_asyncos_copy(a, slice_from(text));
        break;
    case CONFIG_ASYNCOS_SENDER_SPELT:
        if (!slice_equal(entry.text, slice_from(text)))
            entry.text = config_asyncos_copy(a, slice_from(text));
        break;
    case CONFIG_ASYNCOS_SENDER_FOREIGN:
        config_asyncos_warn(a, line, "\"%.*s\" is not carried over: %s", SLICE_ARGS(entry.text),
                            why);
        entry.is_dropped = true;
        r->row.dropped_count++;
        break;
    case CONFIG_ASYNCOS_SENDER_INVALID:
        config_asyncos_error(a, line, "\"%.*s\": %s", SLICE_ARGS(entry.text), why);
        break;
    }
    r->row.is_all = r->row.is_all || slice_equal(entry.text, SLICE("ALL"));
    config_asyncos_next(a);
    entry.comment = config_asyncos_take_text(a);
    if (config_asyncos_push(a, &r->hat->entries, &entry, ENTRY_BYTES))
        r->row.count++;
}

static void read_group(struct reading *r)
{
    struct slice word = r->a->token.text;

    if (r->is_open)
        report_open(r);
    open_row(r, slice_first(word, word.len - 1));
    config_asyncos_next(r->a);
    r->row.comment = config_asyncos_take_text(r->a);
}

/* At "$NAME": the end of a row, or the start of a policy. */
static void read_policy(struct reading *r)
{
    struct config_asyncos *a = r->a;
    struct config_asyncos_policy p = { .name = slice_after(a->token.text, 1),
                                       .line = a->token.line,
                                       .mark = config_asyncos_mark(a) };

    config_asyncos_next(a);
    p.comment = config_asyncos_take_text(a);
    /* The action behind ALL's policy is that of the defaults. */
    if (r->is_open && is_access(&a->token) && !r->row.is_all &&
        !(r->row.count == 0 && slice_is_word(r->row.group, "ALL")))
        report_open(r);
    if (r->is_open) {
        r->row.policy_name = p.name;
        r->row.policy_mark = p.mark;
        add_comment(a, &r->row.comment, p.comment);
        if (p.name.len == 0)
            config_asyncos_error(a, p.line, "a name is missing behind \"$\"");
        else
            close_row(r);
        r->is_open = false;
        return;
    }
    if (!is_access(&a->token)) {
        config_asyncos_error(a, p.line,
                             "policy $%.*s has no access rule behind it, and ends no row",
                             SLICE_ARGS(p.name));
        return;
    }
    config_asyncos_action_read(a, &r->hat->settings, &p.action);
    add_comment(a, &p.comment, config_asyncos_take_text(a));
    config_asyncos_policy_define(r->hat, &p);
}

/* At an access rule that is not a policy's. */
static void read_rule(struct reading *r)
{
    struct config_asyncos *a = r->a;
    struct config_asyncos_action action;
    uint32_t mark = config_asyncos_mark(a);
    unsigned line = a->token.line;
    struct slice comment;

    config_asyncos_action_read(a, &r->hat->settings, &action);
    comment = config_asyncos_take_text(a);
    if (r->is_open) {
        r->row.action = action;
        r->row.policy_mark = mark;
        add_comment(a, &r->row.comment, comment);
        close_row(r);
        return;
    }
    if (!r->may_default || r->has_defaults) {
        config_asyncos_error(a, line, "this access rule belongs to no policy and no row");
        return;
    }
    if (comment.len > 0)
        config_asyncos_keep(a, comment);
    r->hat->defaults = action;
    r->hat->defaults_mark = mark;
    r->has_defaults = true;
}

static void read_word(struct reading *r)
{
    struct slice word = r->a->token.text;

    if (word.data[0] == '$')
        read_policy(r);
    else if (is_access(&r->a->token))
        read_rule(r);
    else if (is_group(word))
        read_group(r);
    else
        read_entry(r);
}

static void read_table(struct reading *r)
{
    struct config_asyncos *a = r->a;

    config_asyncos_next(a);
    for (;;) {
        switch (a->token.kind) {
        case CONFIG_ASYNCOS_END:
            if (r->is_open)
                report_open(r);
            else if (config_asyncos_rows_count(r->hat) == 0 && !r->hat->has_all)
                config_asyncos_no_row(a);
            r->hat->end_mark = config_asyncos_mark(a);
            return;
        case CONFIG_ASYNCOS_WORD: read_word(r); continue;
        case CONFIG_ASYNCOS_TEXT: config_asyncos_keep(a, a->token.text); break;
        case CONFIG_ASYNCOS_COMMA:
            if (!r->is_open)
                config_asyncos_error(a, a->token.line, "a comma that parts no entries");
            break;
        case CONFIG_ASYNCOS_STRING:
        case CONFIG_ASYNCOS_EQUALS:
        case CONFIG_ASYNCOS_OPEN:
        case CONFIG_ASYNCOS_CLOSE:
            config_asyncos_error(a, a->token.line, "%s does not belong here",
                                 a->token.kind == CONFIG_ASYNCOS_STRING   ? "a string"
                                 : a->token.kind == CONFIG_ASYNCOS_EQUALS ? "\"=\""
                                 : a->token.kind == CONFIG_ASYNCOS_OPEN   ? "\"{\""
                                                                          : "\"}\"");
            break;
        }
        config_asyncos_next(a);
    }
}

enum status config_import_hat(const struct config_asyncos_import *import, struct buffer *out,
                              struct config_problems *problems)
{
    struct config_asyncos_hat hat = { .defaults_mark = CONFIG_ASYNCOS_NO_MARK,
                                      .end_mark = CONFIG_ASYNCOS_NO_MARK };
    struct reading reading = { .hat = &hat, .a = &hat.a };
    enum status status;

    config_asyncos_begin(&hat.a, import, problems);
    config_asyncos_list_init(&hat.settings, CONFIG_ASYNCOS_ITEMS_MAX,
                             sizeof(struct config_asyncos_setting));
    config_asyncos_list_init(&hat.policies, CONFIG_ASYNCOS_POLICIES_MAX,
                             sizeof(struct config_asyncos_policy));
    config_asyncos_list_init(&hat.rows, CONFIG_ASYNCOS_ROWS_MAX, sizeof(struct config_asyncos_row));
    config_asyncos_list_init(&hat.entries, CONFIG_ASYNCOS_ITEMS_MAX, ENTRY_BYTES);
    if (config_asyncos_expect(&hat.a, import, CONFIG_ASYNCOS_HAT)) {
        read_table(&reading);
        config_asyncos_policies_resolve(&hat);
    }
    status = hat.a.status;
    if (status == STATUS_OK && problems->errors_count == 0)
        status = config_asyncos_hat_write(&hat, import, out);
    if (status != STATUS_OK && problems->errors_count == 0)
        config_asyncos_error(&hat.a, 0, "%s", status_text(status));
    config_asyncos_report(&hat.a);
    if (problems->errors_count > 0)
        status = STATUS_INVALID;
    buffer_finish(&hat.settings);
    buffer_finish(&hat.policies);
    buffer_finish(&hat.rows);
    buffer_finish(&hat.entries);
    config_asyncos_end(&hat.a);
    return status;
}
