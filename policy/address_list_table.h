/* policy/address_list_table.h - the inside of address lists, for address_list.c and builder.c. */
#pragma once
#include "policy/address_list.h"
#include "policy/address_table.h"

struct policy_address_list {
    struct slice name;
    struct policy_address_table table;
};

/* Entry i of the table has rule i. */
struct policy_exceptions {
    struct policy_address_table table;
    struct policy_exception_rule *rules;
    size_t count;
};

/* The pattern without the "@" of AsyncOS's domains. */
struct slice policy_address_list_pattern(struct slice text);
