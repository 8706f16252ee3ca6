/* policy/rat.h - the Recipient Access Table: which recipients a public listener accepts.
 *
 * Entries are asked in their listed order, the first that matches decides, and what no entry
 * matches is rejected. An entry is a pattern of policy/address_table.h. "postmaster" without a
 * domain is accepted unless an entry names it ("postmaster@"), RFC 5321 4.5.1. A host that may
 * relay does not pass through here. Results borrow from the snapshot.
 */
#pragma once
#include "policy/address_table.h"
#include "policy/reply.h"

#define POLICY_RAT_ENTRIES_MAX    1000000
#define POLICY_RAT_REJECT_CODE    550
#define POLICY_RAT_REJECT_TEXT    "5.1.0 Address rejected."
#define POLICY_RAT_IMPLICIT_ENTRY POLICY_ADDRESS_NONE

struct policy_rat;

enum policy_rat_action { POLICY_RAT_ACCEPT, POLICY_RAT_REJECT };

/* What an entry says. */
struct policy_rat_rule {
    enum policy_rat_action action;
    bool bypasses_limits;
    bool is_called_ahead;
    struct policy_reply reply; /* code 0: the default */
};

struct policy_rat_verdict {
    enum policy_rat_action action;
    size_t index;              /* of the entry, from 0; POLICY_RAT_IMPLICIT_ENTRY: none matched */
    struct slice entry;        /* as it was written; "ALL" for the implicit last entry */
    bool bypasses_limits;      /* ACCEPT: rates and invalid recipients do not count for it */
    bool is_called_ahead;      /* ACCEPT: only if its host accepts it too (call-ahead) */
    struct policy_reply reply; /* REJECT: what to answer, 400..599; never empty */
};

/* local and domain are the two sides of the "@" as they came in RCPT, without a source route;
 * domain is empty for the bare "postmaster". */
struct policy_rat_verdict policy_rat_find(const struct policy_rat *rat, struct slice local,
                                          struct slice domain);

struct slice policy_rat_name(const struct policy_rat *rat);

/* The number of the first earlier entry that matches everything this one could match, so that
 * this one never counts; POLICY_RAT_IMPLICIT_ENTRY when there is none. */
size_t policy_rat_entry_shadowed_by(const struct policy_rat *rat, size_t entry);
struct slice policy_rat_entry_text(const struct policy_rat *rat, size_t entry);
