/* policy/rat_table.h - the inside of a compiled RAT, for rat.c and builder.c. */
#pragma once
#include "base/status.h"
#include "policy/domain_map.h"
#include "policy/rat.h"

struct policy_rat_entry {
    struct slice text;
    enum policy_recipient_form form;
    enum policy_rat_action action;
    struct policy_reply reply;
};

struct policy_rat {
    struct slice name;
    struct policy_rat *next;
    struct policy_rat_entry *entries;
    size_t entries_count;
    struct policy_domain_map keys; /* every entry but ALL by its text, to its number */
    size_t lowest_all;             /* POLICY_RAT_IMPLICIT_ENTRY when there is none */
};

/* The entries are filled in; builds the rest. */
MUST_USE enum status policy_rat_compile(struct policy_rat *rat, struct arena *arena);
