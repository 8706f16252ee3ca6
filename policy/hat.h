/* policy/hat.h - the Host Access Table: which mail flow policy a connecting host gets.
 *
 * Rows are asked in their listed order and the first that matches decides, except that a row
 * whose policy says "continue" decides nothing. A row matches when any of its entries does; what
 * an entry may be is in policy/sender_form.h, and what is known of a host in policy/sender.h. A
 * fact that was not asked for matches no entry.
 *
 * The last row of every HAT matches every host and decides, so a lookup always has a verdict.
 * Pure: facts in, verdict out. Every result borrows from the snapshot that holds the HAT.
 */
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "policy/mail_flow.h"
#include "policy/sender.h"
#include "policy/sender_form.h"

#define POLICY_NAME_BYTES_MAX 255 /* a domain or host name, RFC 1035 2.3.4 */
#define POLICY_HAT_ROWS_MAX   65536
#define POLICY_HAT_LISTS_MAX  64 /* zones of DNS lists in one HAT: a bit each */
#define POLICY_NO_ENTRY       SIZE_MAX

struct policy_hat;

struct policy_sender_verdict {
    size_t row;         /* from 0 */
    size_t number;      /* of the entry that matched, from 0 over all rows: its text is
                           policy_hat_entry_text(), for those who show it */
    struct slice group; /* the row's sender group; empty when it has no name */
    const struct policy_mail_flow *flow; /* never NULL, never "continue" */
};

/* The lowest deciding row that matches; of its entries, the first that does. Cost: one descent for
 * the address, one pass over a verified name with a hash probe for each label, a table access for
 * every other fact and a descent for every answer of a DNS list; independent of the number of
 * rows and entries but for the depth of the trees. */
struct policy_sender_verdict policy_hat_find(const struct policy_hat *hat,
                                             const struct policy_sender *sender);

/* Facts about a host. */
struct policy_hat_needs {
    bool reverse; /* the double lookup, or what is left of it */
    bool score;
    bool country;
    uint64_t listings; /* bit i: list i of the HAT */
    bool any;          /* one of the above */
};

/* Which facts that are not known yet could change the row of the verdict. Call it again with each
 * answer: as soon as there is none, the row is final and the other lookups need not be awaited.
 *
 * What holds: a fact that is not needed cannot change the row, whatever its value is and whatever
 * the other unknown facts turn out to be. A fact that is needed has a value that changes the row
 * even when the others stay unknown. The entry within the row may still change (the row of a
 * listing decides just the same when its address is added to it). Each listing is a fact of its
 * own, reverse and name are one: while reverse is unknown, a name in `known` is taken for the one
 * that the PTR lookup gave, so that only "verified" and "not.double.verified" are still open. */
void policy_hat_needs(const struct policy_hat *hat, const struct policy_sender *known,
                      struct policy_hat_needs *out);

/* The zones of the DNS lists that the rows name, each once, in the order of their first entry. The
 * zone has no dot at its end. A row that continues counts: a person may ask why it matched. */
size_t policy_hat_lists_count(const struct policy_hat *hat);
struct slice policy_hat_list_zone(const struct policy_hat *hat, size_t list);

/* Which facts the deciding rows look at, whatever is known of a host: what a listener with this HAT
 * has to be able to find out. */
void policy_hat_uses(const struct policy_hat *hat, struct policy_hat_needs *out);

/* Whether any policy of the HAT lets hosts relay. */
bool policy_hat_relays(const struct policy_hat *hat);

struct slice policy_hat_name(const struct policy_hat *hat);
size_t policy_hat_rows_count(const struct policy_hat *hat);
const struct policy_mail_flow *policy_hat_row_flow(const struct policy_hat *hat, size_t row);

/* One row as evaluation sees it. */
struct policy_hat_step {
    size_t row; /* from 0 */
    struct slice group;
    const struct policy_mail_flow *flow;
    bool matched;                 /* with flow->access "continue" evaluation went on all the same */
    bool is_behind;               /* an earlier row has decided; this one is not asked */
    struct slice entry;           /* the entry that matched; empty when none did */
    struct slice why;             /* a phrase: why it matched or why not; valid during the call */
    struct policy_hat_needs uses; /* facts that its entries look at, besides the address */
    struct policy_hat_needs unknown; /* those of them that are not known */
};

/* Embed it, and take the outer object from the argument with CONTAINER_OF. */
struct policy_hat_visitor {
    void (*step)(struct policy_hat_visitor *visitor, const struct policy_hat_step *step);
};

/* Visits every row from the first to the deciding one, in order, and then those behind it that have
 * something to say: a row that has this host too and is hidden, or one that looks at facts
 * that are not known. Meant for a person: it reads every entry of the rows that continue and of
 * those behind the deciding one. */
void policy_hat_explain(const struct policy_hat *hat, const struct policy_sender *sender,
                        struct policy_hat_visitor *visitor);

/* Entries are numbered from 0 over all rows of a HAT, in listed order. */
size_t policy_hat_entries_count(const struct policy_hat *hat);
size_t policy_hat_entry_row(const struct policy_hat *hat, size_t entry);
struct slice policy_hat_entry_text(const struct policy_hat *hat, size_t entry);
struct slice policy_hat_entry_group(const struct policy_hat *hat, size_t entry); /* its row's */

/* Whether a deciding row has the hosts below the domain, as ".domain". */
bool policy_hat_has_domain(const struct policy_hat *hat, struct slice domain);

/* For each entry the number of the first entry of an earlier deciding row that alone matches
 * whatever this one could match, so that this one never counts; or, within its own row, of the
 * first that says the same; otherwise POLICY_NO_SHADOW. Slow, about a second for a million
 * entries. The array belongs to scratch. */
#define POLICY_NO_SHADOW UINT32_MAX
MUST_USE enum status policy_hat_shadows(const struct policy_hat *hat, struct arena *scratch,
                                        const uint32_t **shadows_out);
