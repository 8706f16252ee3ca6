#include "policy/rat.h"

#include "policy/rat_table.h"

struct policy_rat_verdict policy_rat_find(const struct policy_rat *rat, struct slice local,
                                          struct slice domain)
{
    struct policy_rat_verdict verdict = { .action = POLICY_RAT_REJECT,
                                          .index = POLICY_RAT_IMPLICIT_ENTRY,
                                          .entry = SLICE("ALL"),
                                          .reply = { POLICY_RAT_REJECT_CODE,
                                                     SLICE(POLICY_RAT_REJECT_TEXT) } };
    bool is_postmaster = domain.len == 0 && policy_address_local_is(local, "postmaster");
    size_t best = is_postmaster ? policy_address_table_find_named(&rat->table, local, domain)
                                : policy_address_table_find(&rat->table, local, domain);

    if (best != POLICY_ADDRESS_NONE) {
        const struct policy_rat_entry *e = &rat->entries[best];

        verdict.action = e->rule.action;
        verdict.index = best;
        verdict.entry = e->text;
        verdict.bypasses_limits = e->rule.bypasses_limits;
        verdict.is_called_ahead = e->rule.is_called_ahead;
        verdict.reply = e->rule.reply;
    } else if (is_postmaster) {
        verdict.action = POLICY_RAT_ACCEPT;
        verdict.entry = SLICE("postmaster");
    }
    return verdict;
}

enum status policy_rat_compile(struct policy_rat *rat, struct arena *arena)
{
    if (!policy_address_table_init(&rat->table, arena, rat->entries_count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < rat->entries_count; i++)
        policy_address_table_add(&rat->table, rat->entries[i].text, i);
    return STATUS_OK;
}

size_t policy_rat_entry_shadowed_by(const struct policy_rat *rat, size_t entry)
{
    size_t best;

    ASSERT(entry < rat->entries_count);
    best = policy_address_table_cover(&rat->table, rat->entries[entry].text);
    return best < entry ? best : POLICY_RAT_IMPLICIT_ENTRY;
}

struct slice policy_rat_entry_text(const struct policy_rat *rat, size_t entry)
{
    ASSERT(entry < rat->entries_count);
    return rat->entries[entry].text;
}

struct slice policy_rat_name(const struct policy_rat *rat)
{
    return rat->name;
}
