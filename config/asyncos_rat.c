#include "config/asyncos_rat.h"

#include <stdio.h>

#include "base/ip.h"
#include "config/asyncos_block.h"
#include "config/asyncos_look.h"
#include "config/asyncos_write.h"
#include "policy/domain_map.h"
#include "policy/rat.h"

#define INDENT_ROW   4
#define INDENT_KEY   6
#define INDENT_ENTRY 8
#define CODE_MIN     400
#define CODE_MAX     599

#define LITERAL_BYTES_MAX (POLICY_ADDRESS_LOCAL_BYTES_MAX + IP_TEXT_MAX + 16)

struct entry {
    struct slice text;
    uint32_t mark;
};

/* Recipients that stand in front of one action, and then all that follow with the same. */
struct row {
    size_t first, count; /* entries */
    enum policy_rat_action action;
    uint64_t code; /* 0: none */
    struct slice text, comment;
    bool bypasses_limits;
    unsigned line;
    uint32_t mark, marks_end; /* of its block */
};

struct rat {
    struct config_asyncos_block block; /* gives its pairs to row */
    struct config_asyncos a;
    struct buffer entries, rows;
    struct row row; /* being read */
    struct row all;
    uint32_t end_mark;
    bool has_all, is_all; /* is_all: the row being read */
};

static const struct entry *entry_at(const struct rat *rat, size_t index)
{
    return config_asyncos_item(&rat->entries, index, sizeof(struct entry));
}

static size_t entries_count(const struct rat *rat)
{
    return buffer_len(&rat->entries) / sizeof(struct entry);
}

static struct row *row_at(const struct rat *rat, size_t index)
{
    return config_asyncos_item(&rat->rows, index, sizeof(struct row));
}

static size_t rows_count(const struct rat *rat)
{
    return buffer_len(&rat->rows) / sizeof(struct row);
}

static bool parse_action(struct slice word, enum policy_rat_action *action_out)
{
    bool is_accept = slice_is_word(word, "ACCEPT");

    *action_out = is_accept ? POLICY_RAT_ACCEPT : POLICY_RAT_REJECT;
    return is_accept || slice_is_word(word, "REJECT");
}

/* AsyncOS writes "[2001:db8::1]", SMTP and we "[IPv6:2001:db8::1]" (RFC 5321 4.1.3); with a local
 * part in front or without. The text itself when it is none. */
static struct slice literal_of(struct config_asyncos *a, struct slice text)
{
    const char *open = memchr(text.data, '[', text.len);
    size_t before = open != NULL ? (size_t)(open - text.data) + 1 : 0;
    struct slice inside;
    struct ip_address address;
    char tagged[LITERAL_BYTES_MAX];
    char *copy;
    int len;

    if (open == NULL || text.data[text.len - 1] != ']')
        return text;
    inside = slice_first(slice_after(text, before), text.len - before - 1);
    if (!ip_parse(inside, &address) || ip_is_v4(&address))
        return text;
    len = snprintf(tagged, sizeof(tagged), "%.*sIPv6:%.*s]", (int)before, text.data,
                   SLICE_ARGS(inside));
    if (len < 0 || (size_t)len >= sizeof(tagged))
        return text;
    copy = arena_text(&a->arena, slice_from(tagged));
    if (copy == NULL)
        a->status = STATUS_NO_MEMORY;
    return copy != NULL ? slice_from(copy) : text;
}

static void read_recipient(struct rat *rat)
{
    struct config_asyncos *a = &rat->a;
    struct entry entry = { .text = a->token.text, .mark = config_asyncos_mark(a) };
    unsigned line = a->token.line;

    if (rat->row.count == 0) {
        rat->row = (struct row){ .first = entries_count(rat), .line = line };
        rat->is_all = false;
    }
    if (slice_is_word(entry.text, "ALL")) {
        rat->is_all = true;
        entry.text = SLICE("ALL");
    } else if (policy_address_form(literal_of(a, entry.text)) != POLICY_ADDRESS_INVALID) {
        entry.text = literal_of(a, entry.text);
    } else {
        config_asyncos_error(a, line,
                             "\"%.*s\" is not a recipient: \"example.com\", \".example.com\", "
                             "\"user@example.com\", \"user@\", \"[192.0.2.1]\" or ALL",
                             SLICE_ARGS(entry.text));
    }
    config_asyncos_next(a);
    if (entries_count(rat) == CONFIG_ASYNCOS_RECIPIENTS_MAX) {
        config_asyncos_error(a, line, "more than %d recipients", CONFIG_ASYNCOS_RECIPIENTS_MAX);
        a->status = STATUS_LIMIT;
    } else if (config_asyncos_push(a, &rat->entries, &entry, sizeof(entry))) {
        rat->row.count++;
    }
}

static void set(struct config_asyncos_block *block, const struct config_asyncos_pair *p)
{
    struct rat *rat = CONTAINER_OF(block, struct rat, block);
    struct config_asyncos *a = &rat->a;
    bool is_on;

    if (slice_is_word(p->name, "smtp_response_code")) {
        if (rat->row.action == POLICY_RAT_ACCEPT)
            config_asyncos_note(a, p->name, "not carried over: only a rejection has its own reply",
                                p->line);
        else
            (void)config_asyncos_pair_range(a, p, CODE_MIN, CODE_MAX, &rat->row.code);
    } else if (slice_is_word(p->name, "smtp_response_text")) {
        if (rat->row.action == POLICY_RAT_ACCEPT)
            config_asyncos_note(a, p->name, "not carried over: only a rejection has its own reply",
                                p->line);
        else
            (void)config_asyncos_pair_reply(a, p, &rat->row.text);
    } else if (slice_is_word(p->name, "bypass_receiving_control")) {
        if (config_asyncos_pair_switch(a, p, &is_on))
            rat->row.bypasses_limits = is_on;
    } else if (slice_is_word(p->name, "bypass_ldap_accept")) {
        config_asyncos_note(a, p->name, "ignored: Postern asks no LDAP server about recipients",
                            p->line);
    } else {
        config_asyncos_note(a, p->name, "not carried over: not an attribute that Postern knows",
                            p->line);
    }
}

/* A text in parentheses may say an attribute: "bypass receiving control". */
static void read_text(struct rat *rat)
{
    struct config_asyncos *a = &rat->a;
    struct config_asyncos_pair pair = { .line = a->token.line, .value = SLICE("on") };
    struct slice text = config_asyncos_take_text(a);

    if (slice_is_word(text, "bypass receiving control") ||
        slice_is_word(text, "bypass_receiving_control"))
        pair.name = SLICE("bypass_receiving_control");
    else if (slice_is_word(text, "bypass ldap accept") || slice_is_word(text, "bypass_ldap_accept"))
        pair.name = SLICE("bypass_ldap_accept");
    if (pair.name.len > 0)
        set(&rat->block, &pair);
    else if (rat->row.comment.len == 0)
        rat->row.comment = text;
    else
        config_asyncos_keep(a, text);
}

static void close_row(struct rat *rat)
{
    struct row row = rat->row;

    rat->row.count = 0;
    if (rat->has_all && !rat->is_all)
        config_asyncos_note(&rat->a, SLICE("ALL"),
                            "stands before other entries: it is asked last on an ESA, and written "
                            "last",
                            rat->all.line);
    if (!rat->is_all) {
        (void)config_asyncos_push(&rat->a, &rat->rows, &row, sizeof(row));
        return;
    }
    if (row.count > 1)
        config_asyncos_error(&rat->a, row.line, "ALL has to stand alone");
    if (rat->has_all)
        config_asyncos_error(&rat->a, row.line, "a second entry for ALL (see line %u)",
                             rat->all.line);
    if (row.action == POLICY_RAT_ACCEPT)
        config_asyncos_warn(&rat->a, row.line,
                            "ALL ACCEPT takes mail for every domain of the world, as on the ESA: "
                            "an open relay, where a route covers them");
    rat->all = row;
    rat->has_all = true;
}

/* At the action. */
static void read_action(struct rat *rat, enum policy_rat_action action)
{
    struct config_asyncos *a = &rat->a;
    unsigned line = a->token.line;
    bool has_recipients = rat->row.count > 0;

    rat->row.action = action;
    rat->row.mark = config_asyncos_mark(a);
    config_asyncos_next(a);
    while (a->token.kind == CONFIG_ASYNCOS_TEXT || a->token.kind == CONFIG_ASYNCOS_OPEN) {
        if (a->token.kind == CONFIG_ASYNCOS_TEXT)
            read_text(rat);
        else
            config_asyncos_block_read(a, &rat->block);
    }
    rat->row.marks_end = config_asyncos_marks_count(a);
    if (has_recipients)
        close_row(rat);
    else
        config_asyncos_error(a, line, "an action without a recipient in front of it");
}

static void read_word(struct rat *rat)
{
    enum policy_rat_action action;
    struct slice word = rat->a.token.text;

    if (parse_action(word, &action)) {
        read_action(rat, action);
        return;
    }
    if (slice_is_word(word, "RELAY") || slice_is_word(word, "TCPREFUSE") ||
        slice_is_word(word, "CONTINUE")) {
        config_asyncos_error(&rat->a, rat->a.token.line,
                             "%.*s is an access rule of a HAT; a RAT has ACCEPT and REJECT",
                             SLICE_ARGS(word));
        rat->row.count = 0;
        config_asyncos_next(&rat->a);
        return;
    }
    read_recipient(rat);
}

static void read_table(struct rat *rat)
{
    struct config_asyncos *a = &rat->a;

    config_asyncos_next(a);
    for (;;) {
        switch (a->token.kind) {
        case CONFIG_ASYNCOS_END:
            if (rat->row.count > 0)
                config_asyncos_error(a, rat->row.line, "this recipient has no action");
            else if (rows_count(rat) == 0 && !rat->has_all)
                config_asyncos_no_row(a);
            rat->end_mark = config_asyncos_mark(a);
            return;
        case CONFIG_ASYNCOS_WORD: read_word(rat); continue;
        case CONFIG_ASYNCOS_TEXT: config_asyncos_keep(a, a->token.text); break;
        case CONFIG_ASYNCOS_COMMA: break;
        case CONFIG_ASYNCOS_STRING:
        case CONFIG_ASYNCOS_EQUALS:
        case CONFIG_ASYNCOS_OPEN:
        case CONFIG_ASYNCOS_CLOSE:
            config_asyncos_error(a, a->token.line, "\"%.*s\" does not belong here",
                                 SLICE_ARGS(a->token.text));
            break;
        }
        config_asyncos_next(a);
    }
}

static bool row_has_marks(const struct rat *rat, const struct row *row)
{
    size_t at;

    for (uint32_t mark = row->mark; mark < row->marks_end; mark++)
        if (config_asyncos_marked(&rat->a, mark, &at) > 0)
            return true;
    return false;
}

/* Whether b, which follows a, can share a's row. */
static bool can_share(const struct rat *rat, const struct row *a, const struct row *b)
{
    return a->action == b->action && a->code == b->code && slice_equal(a->text, b->text) &&
           a->bypasses_limits == b->bypasses_limits && a->comment.len == 0 && b->comment.len == 0 &&
           !row_has_marks(rat, a) && !row_has_marks(rat, b);
}

static enum status write_recipients(const struct rat *rat, const struct row *row,
                                    struct buffer *out)
{
    struct config_asyncos_elements e = { .out = out, .indent = INDENT_ENTRY };
    size_t at;

    if (row->count == 1 &&
        config_asyncos_marked(&rat->a, entry_at(rat, row->first)->mark, &at) == 0) {
        TRY(buffer_printf(out, "%*srecipients = [ ", INDENT_KEY, ""));
        TRY(config_asyncos_write_string(out, entry_at(rat, row->first)->text));
        return buffer_append(out, SLICE(" ];\n"));
    }
    TRY(buffer_printf(out, "%*srecipients = [\n", INDENT_KEY, ""));
    for (size_t i = 0; i < row->count; i++) {
        const struct entry *entry = entry_at(rat, row->first + i);

        if (config_asyncos_marked(&rat->a, entry->mark, &at) > 0)
            TRY(config_asyncos_write_elements_end(&e));
        TRY(config_asyncos_write_marks(&rat->a, out, INDENT_ENTRY, entry->mark, entry->mark + 1));
        TRY(config_asyncos_write_element(&e, entry->text, SLICE(""), i + 1 == row->count));
    }
    TRY(config_asyncos_write_elements_end(&e));
    return buffer_printf(out, "%*s];\n", INDENT_KEY, "");
}

static enum status write_row(const struct rat *rat, const struct row *row, struct buffer *out,
                             bool is_last)
{
    TRY(buffer_printf(out, "%*s{\n", INDENT_ROW, ""));
    TRY(write_recipients(rat, row, out));
    TRY(config_asyncos_write_marks(&rat->a, out, INDENT_KEY, row->mark, row->marks_end));
    TRY(config_asyncos_write_text(out, INDENT_KEY, "action",
                                  row->action == POLICY_RAT_ACCEPT ? SLICE("accept")
                                                                   : SLICE("reject")));
    if (row->code > 0)
        TRY(buffer_printf(out, "%*sreply_code = %u;\n", INDENT_KEY, "", (unsigned)row->code));
    if (row->text.len > 0)
        TRY(config_asyncos_write_text(out, INDENT_KEY, "reply_text", row->text));
    if (row->bypasses_limits)
        TRY(buffer_printf(out, "%*sbypass_limits = true;\n", INDENT_KEY, ""));
    if (row->comment.len > 0)
        TRY(config_asyncos_write_text(out, INDENT_KEY, "comment", row->comment));
    return buffer_printf(out, "%*s}%s\n", INDENT_ROW, "", is_last ? "" : ",");
}

static enum status write_table(const struct rat *rat, const struct config_asyncos_import *import,
                               struct buffer *out)
{
    size_t count = rows_count(rat), next;

    TRY(config_asyncos_write_comment(out, 0,
                                     SLICE("A Recipient Access Table of AsyncOS, written "
                                           "by `postern import rat`.")));
    TRY(buffer_printf(out, "\nrat = {\n  %s = (\n", import->name));
    for (size_t i = 0; i < count; i = next) {
        struct row row = *row_at(rat, i);

        /* Entries follow each other in the list, unless ALL stood between them. */
        for (next = i + 1; next < count && can_share(rat, &row, row_at(rat, next)) &&
                           row_at(rat, next)->first == row.first + row.count;
             next++)
            row.count += row_at(rat, next)->count;
        TRY(write_row(rat, &row, out, next == count && !rat->has_all));
    }
    if (rat->has_all)
        TRY(write_row(rat, &rat->all, out, true));
    else
        TRY(config_asyncos_write_comment(out, INDENT_ROW,
                                         SLICE("ALL is not in the export: all other recipients are "
                                               "rejected.")));
    TRY(buffer_append(out, SLICE("  );\n};\n")));
    return config_asyncos_write_marks(&rat->a, out, 0, rat->end_mark, rat->end_mark + 1);
}

enum status config_import_rat(const struct config_asyncos_import *import, struct buffer *out,
                              struct config_problems *problems)
{
    struct rat rat = { .block = { .set = set } };
    enum status status;

    config_asyncos_begin(&rat.a, import, problems);
    config_asyncos_list_init(&rat.entries, CONFIG_ASYNCOS_RECIPIENTS_MAX, sizeof(struct entry));
    config_asyncos_list_init(&rat.rows, CONFIG_ASYNCOS_RECIPIENTS_MAX, sizeof(struct row));
    if (config_asyncos_expect(&rat.a, import, CONFIG_ASYNCOS_RAT))
        read_table(&rat);
    status = rat.a.status;
    if (status == STATUS_OK && problems->errors_count == 0)
        status = write_table(&rat, import, out);
    if (status != STATUS_OK && problems->errors_count == 0)
        config_asyncos_error(&rat.a, 0, "%s", status_text(status));
    config_asyncos_report(&rat.a);
    if (problems->errors_count > 0)
        status = STATUS_INVALID;
    buffer_finish(&rat.entries);
    buffer_finish(&rat.rows);
    config_asyncos_end(&rat.a);
    return status;
}
