/* policy/address_table.h - patterns of mail addresses, asked in their listed order.
 *
 * A pattern is one of
 *
 *     example.com         every address of the domain
 *     .example.com        every address of a domain below it, not of itself
 *     user@example.com    one address
 *     user@               the local part at any domain
 *     [192.0.2.1]  user@[192.0.2.1]    the same of an address literal, RFC 5321 4.1.3
 *     ALL                 every address
 *
 * Case does not matter, in local parts neither; a quoted local part is compared unquoted, so that
 * "us\er"@ is not a way around a pattern for user@. Patterns are numbered from 0 by their owner,
 * who also keeps their texts: the table borrows them.
 */
#pragma once
#include "policy/domain_map.h"

#define POLICY_ADDRESS_NONE            SIZE_MAX
#define POLICY_ADDRESS_LOCAL_BYTES_MAX 256 /* four times what RFC 5321 4.5.3.1.1 allows */

enum policy_address_form {
    POLICY_ADDRESS_INVALID,
    POLICY_ADDRESS_DOMAIN,
    POLICY_ADDRESS_PARTIAL,
    POLICY_ADDRESS_WHOLE, /* user@domain */
    POLICY_ADDRESS_USER,
    POLICY_ADDRESS_ALL
};

/* POLICY_ADDRESS_INVALID: the text is no pattern. */
enum policy_address_form policy_address_form(struct slice text);

struct policy_address_table { /* Fields are private; a zeroed table matches nothing. */
    struct policy_domain_map keys;
    size_t lowest_all; /* plus 1; 0: there is none */
};

/* Room for patterns_max; false when the arena has none. */
MUST_USE bool policy_address_table_init(struct policy_address_table *t, struct arena *arena,
                                        size_t patterns_max);

/* In the order of the numbers; the text is a valid pattern. */
void policy_address_table_add(struct policy_address_table *t, struct slice text, size_t number);

/* The lowest number of a pattern that matches local@domain, as they came in a command, without a
 * source route; POLICY_ADDRESS_NONE when none does. */
size_t policy_address_table_find(const struct policy_address_table *t, struct slice local,
                                 struct slice domain);

/* The same without "ALL": what was said of this address on purpose. */
size_t policy_address_table_find_named(const struct policy_address_table *t, struct slice local,
                                       struct slice domain);

/* The lowest number of a pattern that matches everything this one could, the pattern itself
 * included. */
size_t policy_address_table_cover(const struct policy_address_table *t, struct slice text);

/* Whether the local part, unquoted, is this word in any case. */
bool policy_address_local_is(struct slice local, const char *word);
