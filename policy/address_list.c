#include "policy/address_list.h"

#include "policy/snapshot_table.h"

struct slice policy_address_list_pattern(struct slice text)
{
    return text.len > 0 && text.data[0] == '@' ? slice_after(text, 1) : text;
}

bool policy_address_list_takes(struct slice text)
{
    enum policy_address_form form = policy_address_form(policy_address_list_pattern(text));

    if (text.len > 0 && text.data[0] == '@')
        return form == POLICY_ADDRESS_DOMAIN || form == POLICY_ADDRESS_PARTIAL;
    return form != POLICY_ADDRESS_INVALID;
}

bool policy_address_list_has(const struct policy_address_list *list, struct slice local,
                             struct slice domain)
{
    return policy_address_table_find(&list->table, local, domain) != POLICY_ADDRESS_NONE;
}

struct slice policy_address_list_name(const struct policy_address_list *list)
{
    return list->name;
}

struct policy_exception_rule policy_exception_find(const struct policy_snapshot *snapshot,
                                                   struct slice local, struct slice domain)
{
    const struct policy_exceptions *e = &snapshot->exceptions;
    size_t number = policy_address_table_find(&e->table, local, domain);

    if (number == POLICY_ADDRESS_NONE)
        return (struct policy_exception_rule){ .action = POLICY_EXCEPTION_NONE };
    return e->rules[number];
}
