/* policy/rat.h - the Recipient Access Table: which recipients a public listener accepts.
 *
 * Entries are asked in their listed order, the first that matches decides, and what no entry
 * matches is rejected. An entry is one of
 *
 *     example.com         every recipient of the domain
 *     .example.com        every recipient of a domain below it, not of itself
 *     user@example.com    one recipient
 *     user@               the local part at any domain
 *     ALL                 everybody
 *
 * Case does not matter, in local parts neither. "postmaster" without a domain is accepted
 * unless an entry names it ("postmaster@"), RFC 5321 4.5.1. A host that may relay does not
 * pass through here. Results borrow from the snapshot.
 */
#pragma once
#include "base/slice.h"

#define POLICY_RAT_ENTRIES_MAX    1000000
#define POLICY_RAT_REJECT_CODE    550
#define POLICY_RAT_REJECT_TEXT    "5.1.0 Address rejected."
#define POLICY_REPLY_TEXT_MAX     400 /* RFC 5321 4.5.3.1.5 allows 512 with code and CRLF */
#define POLICY_RAT_IMPLICIT_ENTRY SIZE_MAX

struct policy_rat;

enum policy_rat_action { POLICY_RAT_ACCEPT, POLICY_RAT_REJECT };

/* A reply to RCPT; text is all that follows the code, enhanced status code included. */
struct policy_reply {
    unsigned code; /* 400..599 */
    struct slice text;
};

struct policy_rat_verdict {
    enum policy_rat_action action;
    size_t index;              /* of the entry, from 0; POLICY_RAT_IMPLICIT_ENTRY: none matched */
    struct slice entry;        /* as it was written; "ALL" for the implicit last entry */
    struct policy_reply reply; /* for POLICY_RAT_REJECT: what to answer; never empty */
};

/* local and domain are the two sides of the "@" as they came in RCPT, without a source route;
 * domain is empty for the bare "postmaster". A quoted local part is compared unquoted. */
struct policy_rat_verdict policy_rat_find(const struct policy_rat *rat, struct slice local,
                                          struct slice domain);

struct slice policy_rat_name(const struct policy_rat *rat);

enum policy_recipient_form {
    POLICY_RECIPIENT_INVALID,
    POLICY_RECIPIENT_DOMAIN,
    POLICY_RECIPIENT_PARTIAL,
    POLICY_RECIPIENT_ADDRESS,
    POLICY_RECIPIENT_USER,
    POLICY_RECIPIENT_ALL
};

enum policy_recipient_form policy_recipient_form(struct slice text);

/* The number of the first earlier entry that matches everything this one could match, so that
 * this one never counts; POLICY_RAT_IMPLICIT_ENTRY when there is none. */
size_t policy_rat_entry_shadowed_by(const struct policy_rat *rat, size_t entry);
struct slice policy_rat_entry_text(const struct policy_rat *rat, size_t entry);
