/* policy/address_list.h - named lists of mail addresses, and the exceptions for envelope senders.
 *
 * The patterns of a list are those of policy/address_table.h, and "@example.com", "@.example.com"
 * for its domains, as AsyncOS writes them. Results borrow from the snapshot.
 */
#pragma once
#include "base/slice.h"
#include "policy/reply.h"

#define POLICY_ADDRESS_LISTS_MAX      1000
#define POLICY_ADDRESS_LIST_ITEMS_MAX 1000000
#define POLICY_EXCEPTIONS_MAX         1000000
#define POLICY_EXCEPTION_REJECT_CODE  553
#define POLICY_EXCEPTION_REJECT_TEXT  "5.7.1 Sender address rejected"

struct policy_address_list;
struct policy_snapshot;

bool policy_address_list_has(const struct policy_address_list *list, struct slice local,
                             struct slice domain);
struct slice policy_address_list_name(const struct policy_address_list *list);

/* Whether the text may stand in a list. */
bool policy_address_list_takes(struct slice text);

/* The exception table: what is said of an envelope sender before the DNS is asked. */
enum policy_exception { POLICY_EXCEPTION_NONE, POLICY_EXCEPTION_ALLOW, POLICY_EXCEPTION_REJECT };

struct policy_exception_rule {
    enum policy_exception action; /* ALLOW or REJECT */
    struct policy_reply reply;    /* of REJECT, 400..599; code 0: the default above */
};

/* The first entry that matches; action NONE when none does. */
struct policy_exception_rule policy_exception_find(const struct policy_snapshot *snapshot,
                                                   struct slice local, struct slice domain);
