#include "policy/hat.h"

#include "policy/hat_table.h"

bool policy_hat_entry_parse(struct slice text, struct policy_hat_entry *entry_out)
{
    struct policy_hat_entry e = { .text = text, .shadowed_by = POLICY_NO_ENTRY };
    bool loose = false;

    if (slice_is_word(text, "ALL"))
        e.form = POLICY_SENDER_ALL; /* its zeroed prefix holds every address */
    else if (ip_prefix_parse(text, &e.prefix, &loose))
        e.form = loose ? POLICY_SENDER_LOOSE : POLICY_SENDER_ADDRESS;
    else if (policy_domain_is_partial(text))
        e.form = POLICY_SENDER_PARTIAL;
    else if (policy_domain_is_valid(text))
        e.form = POLICY_SENDER_NAME;
    else
        return false;
    *entry_out = e;
    return true;
}

enum policy_sender_form policy_sender_form(struct slice text)
{
    struct policy_hat_entry e;

    return policy_hat_entry_parse(text, &e) ? e.form : POLICY_SENDER_INVALID;
}

bool policy_hat_row_decides(const struct policy_hat_row *row)
{
    return row->flow->access != POLICY_ACCESS_CONTINUE;
}

/* The lowest deciding entry that covers the address. */
static size_t find_address(const struct policy_hat *hat, const struct ip_address *address)
{
    size_t low = 0, high = hat->intervals_count; /* the answer is in [low, high) */

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(hat->intervals[middle].first.bytes, address->bytes, sizeof(address->bytes)) <= 0)
            low = middle;
        else
            high = middle;
    }
    return hat->intervals[low].entry;
}

struct policy_sender_verdict policy_hat_find(const struct policy_hat *hat,
                                             const struct policy_sender *sender)
{
    size_t best = find_address(hat, &sender->address);
    struct policy_domain_walk walk = policy_domain_walk_begin(sender->name);
    struct slice key;
    size_t number;

    while (hat->names_lowest < best && policy_domain_walk_next(&walk, &key))
        if (policy_domain_map_get(&hat->names, key, &number) && number < best)
            best = number;
    ASSERT(best < hat->entries_count);
    const struct policy_hat_entry *entry = &hat->entries[best];
    const struct policy_hat_row *row = &hat->rows[entry->row];

    return (struct policy_sender_verdict){
        .row = entry->row, .group = row->group, .entry = entry->text, .flow = row->flow
    };
}

bool policy_hat_needs_name(const struct policy_hat *hat, const struct ip_address *address)
{
    const struct policy_hat_entry *entry = &hat->entries[find_address(hat, address)];

    return hat->names_lowest != POLICY_NO_ENTRY && hat->entries[hat->names_lowest].row < entry->row;
}

bool policy_hat_relays(const struct policy_hat *hat)
{
    for (size_t i = 0; i < hat->rows_count; i++)
        if (hat->rows[i].flow->access == POLICY_ACCESS_RELAY)
            return true;
    return false;
}

struct slice policy_hat_name(const struct policy_hat *hat)
{
    return hat->name;
}

size_t policy_hat_rows_count(const struct policy_hat *hat)
{
    return hat->rows_count;
}

const struct policy_mail_flow *policy_hat_row_flow(const struct policy_hat *hat, size_t row)
{
    ASSERT(row < hat->rows_count);
    return hat->rows[row].flow;
}

size_t policy_hat_entries_count(const struct policy_hat *hat)
{
    return hat->entries_count;
}

size_t policy_hat_entry_row(const struct policy_hat *hat, size_t entry)
{
    ASSERT(entry < hat->entries_count);
    return hat->entries[entry].row;
}

struct slice policy_hat_entry_text(const struct policy_hat *hat, size_t entry)
{
    ASSERT(entry < hat->entries_count);
    return hat->entries[entry].text;
}

size_t policy_hat_entry_shadowed_by(const struct policy_hat *hat, size_t entry)
{
    ASSERT(entry < hat->entries_count);
    return hat->entries[entry].shadowed_by;
}
