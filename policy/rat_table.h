/* policy/rat_table.h - the inside of a compiled RAT, for rat.c and builder.c. */
#pragma once
#include "base/status.h"
#include "policy/rat.h"

struct policy_rat_entry {
    struct slice text;
    struct policy_rat_rule rule;
};

struct policy_rat {
    struct slice name;
    struct policy_rat *next;
    struct policy_rat_entry *entries;
    size_t entries_count;
    struct policy_address_table table;
};

/* The entries are filled in; builds the rest. */
MUST_USE enum status policy_rat_compile(struct policy_rat *rat, struct arena *arena);
