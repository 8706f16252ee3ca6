#include <stdarg.h>
#include <stdio.h>

#include "policy/hat_table.h"

#define WHY_BYTES_MAX 4096
#define LISTED_MAX    3 /* entries of a kind */

static bool name_is_below(struct slice name, struct slice partial)
{
    return name.len > partial.len && slice_ends_nocase(name, partial);
}

static bool entry_matches(const struct policy_hat_entry *e, const struct policy_sender *sender)
{
    struct slice name = policy_domain_normal(sender->name);
    struct slice text = policy_domain_normal(e->text);

    switch (e->form) {
    case POLICY_SENDER_INVALID: break;
    case POLICY_SENDER_ALL: return true;
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE: return ip_prefix_contains(&e->prefix, &sender->address);
    case POLICY_SENDER_NAME: return name.len > 0 && slice_equal_nocase(name, text);
    case POLICY_SENDER_PARTIAL: return name_is_below(name, text);
    }
    return false;
}

static void why_matched(const struct policy_hat_entry *e, const struct policy_sender *sender,
                        char why[static WHY_BYTES_MAX])
{
    char address[IP_TEXT_MAX];
    struct slice name = sender->name;

    switch (e->form) {
    case POLICY_SENDER_INVALID: UNREACHABLE();
    case POLICY_SENDER_ALL: (void)snprintf(why, WHY_BYTES_MAX, "ALL matches every host"); return;
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE:
        ip_format(&sender->address, address);
        if (e->prefix.bits == 128)
            (void)snprintf(why, WHY_BYTES_MAX, "the address is %s", address);
        else
            (void)snprintf(why, WHY_BYTES_MAX, "%s is in %.*s", address, SLICE_ARGS(e->text));
        return;
    case POLICY_SENDER_NAME:
        (void)snprintf(why, WHY_BYTES_MAX, "the verified name is %.*s", SLICE_ARGS(name));
        return;
    case POLICY_SENDER_PARTIAL:
        (void)snprintf(why, WHY_BYTES_MAX, "the verified name %.*s is below %.*s", SLICE_ARGS(name),
                       SLICE_ARGS(e->text));
        return;
    }
}

static bool is_name(const struct policy_hat_entry *e)
{
    return e->form == POLICY_SENDER_NAME || e->form == POLICY_SENDER_PARTIAL;
}

/* Appends what fits; the rest is left out. */
static void append(char why[static WHY_BYTES_MAX], const char *format, ...) PRINTF_LIKE(2, 3);

static void append(char why[static WHY_BYTES_MAX], const char *format, ...)
{
    size_t used = strlen(why);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why + used, WHY_BYTES_MAX - used, format, args);
    va_end(args);
}

/* Appends the first names, or the first addresses, of the row. */
static void append_entries(char why[static WHY_BYTES_MAX], const struct policy_hat *hat,
                           const struct policy_hat_row *row, bool names, size_t count)
{
    size_t listed = 0;

    for (size_t i = 0; i < row->entries_count && listed < LISTED_MAX; i++) {
        const struct policy_hat_entry *e = &hat->entries[row->entries_first + i];

        if (is_name(e) == names)
            append(why, "%s%.*s", listed++ > 0 ? ", " : "", SLICE_ARGS(e->text));
    }
    if (count > listed)
        append(why, " and %zu more", count - listed);
}

static void why_not(const struct policy_hat *hat, const struct policy_hat_row *row,
                    const struct policy_sender *sender, char why[static WHY_BYTES_MAX])
{
    char address[IP_TEXT_MAX];
    size_t names = 0, addresses;

    for (size_t i = 0; i < row->entries_count; i++)
        names += is_name(&hat->entries[row->entries_first + i]) ? 1 : 0;
    addresses = row->entries_count - names;
    why[0] = '\0';
    if (row->entries_count == 0)
        append(why, "the row has no senders");
    if (addresses > 0) {
        append(why, "%s is not in ", ip_format(&sender->address, address));
        append_entries(why, hat, row, false, addresses);
    }
    if (names == 0)
        return;
    if (addresses > 0)
        append(why, "; ");
    if (sender->name.len == 0)
        append(why, "the host has no verified name to compare with ");
    else
        append(why, "the verified name %.*s is not ", SLICE_ARGS(sender->name));
    append_entries(why, hat, row, true, names);
}

static const struct policy_hat_entry *find_in_row(const struct policy_hat *hat,
                                                  const struct policy_hat_row *row,
                                                  const struct policy_sender *sender)
{
    for (size_t i = 0; i < row->entries_count; i++)
        if (entry_matches(&hat->entries[row->entries_first + i], sender))
            return &hat->entries[row->entries_first + i];
    return NULL;
}

void policy_hat_explain(const struct policy_hat *hat, const struct policy_sender *sender,
                        struct policy_hat_visitor *visitor)
{
    struct policy_sender known = *sender;
    bool decided = false;

    if (known.name.len > POLICY_NAME_BYTES_MAX + 1)
        known.name.len = 0; /* as policy_hat_find() sees it */
    for (size_t i = 0; i < hat->rows_count && !decided; i++) {
        const struct policy_hat_row *row = &hat->rows[i];
        const struct policy_hat_entry *e = find_in_row(hat, row, &known);
        struct policy_hat_step step = { .row = i, .group = row->group, .flow = row->flow };
        char why[WHY_BYTES_MAX];

        if (e != NULL) {
            step.matched = true;
            step.entry = e->text;
            why_matched(e, &known, why);
        } else {
            why_not(hat, row, &known, why);
        }
        step.why = slice_from(why);
        decided = e != NULL && policy_hat_row_decides(row);
        visitor->step(visitor, &step);
    }
    ASSERT(decided);
}
