/* policy/hat_table.h - the inside of a compiled HAT, for the files policy/hat*.c and builder.c.
 *
 * Addresses: the prefixes of all deciding rows cut the address space into intervals; each keeps
 * the lowest entry that covers it. Names: a map from each name to the lowest deciding entry with
 * it. Both answers are entry numbers, and the lower one wins, so first match over rows and a
 * million entries cost one binary search. The other choice, a hash per prefix length, needs up
 * to 129 probes for the same answer.
 */
#pragma once
#include "base/arena.h"
#include "base/ip.h"
#include "policy/domain_map.h"
#include "policy/hat.h"

#define POLICY_HAT_ENTRIES_MAX ((size_t)1 << 26)

struct policy_hat_entry {
    struct slice text;
    enum policy_sender_form form;
    struct ip_prefix prefix; /* of an address, and of ALL (everything) */
    uint32_t row;
    size_t shadowed_by;
};

struct policy_hat_row {
    struct slice group;
    const struct policy_mail_flow *flow;
    size_t entries_first;
    size_t entries_count;
};

struct policy_hat_interval {
    struct ip_address first; /* up to the next interval's first */
    uint32_t entry;
};

struct policy_hat {
    struct slice name;
    struct policy_hat *next;
    struct policy_hat_row *rows;
    size_t rows_count;
    struct policy_hat_entry *entries;
    size_t entries_count;
    struct policy_hat_interval *intervals; /* at least one, the first begins at :: */
    size_t intervals_count;
    struct policy_domain_map names;
    size_t names_lowest; /* entry number, POLICY_NO_ENTRY when no deciding row has a name */
};

/* Fills an entry from its text; false when it is of no known form. */
bool policy_hat_entry_parse(struct slice text, struct policy_hat_entry *entry_out);

bool policy_hat_row_decides(const struct policy_hat_row *row);

/* Rows and entries are filled in; builds the rest. scratch is for the time of the call. */
MUST_USE enum status policy_hat_compile(struct policy_hat *hat, struct arena *arena,
                                        struct arena *scratch);
