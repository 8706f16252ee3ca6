/* policy/hat.h - the Host Access Table: which mail flow policy a connecting host gets.
 *
 * Rows are asked in their listed order and the first that matches decides, except that a row
 * whose policy says "continue" decides nothing. A row matches when any of its entries does. An
 * entry is one of
 *
 *     192.0.2.1  192.0.2.0/24  2001:db8::1  2001:db8::/32     the address
 *     mail.example.com                                        the host's verified name
 *     .example.com                                            a verified name below the domain
 *     ALL                                                     every host
 *
 * The last row of every HAT matches every host and decides, so a lookup always has a verdict.
 * Pure: facts in, verdict out. Every result borrows from the snapshot that holds the HAT.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"
#include "base/status.h"
#include "policy/mail_flow.h"
#include "policy/sender.h"

#define POLICY_NAME_BYTES_MAX 255 /* a domain or host name, RFC 1035 2.3.4 */
#define POLICY_HAT_ROWS_MAX   65536
#define POLICY_NO_ENTRY       SIZE_MAX

struct policy_hat;

struct policy_sender_verdict {
    size_t row;                          /* from 0 */
    struct slice group;                  /* the row's sender group; empty when it has no name */
    struct slice entry;                  /* the entry that matched, as it was written */
    const struct policy_mail_flow *flow; /* never NULL, never "continue" */
};

/* The lowest deciding row that matches. Cost: one binary search, and with a verified name one
 * hash probe per label; independent of the number of rows. */
struct policy_sender_verdict policy_hat_find(const struct policy_hat *hat,
                                             const struct policy_sender *sender);

/* Whether a verified name could change what policy_hat_find() says about this address: false
 * means that asking the DNS for it would be wasted. */
bool policy_hat_needs_name(const struct policy_hat *hat, const struct ip_address *address);

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
    bool matched;       /* with flow->access "continue" evaluation went on all the same */
    struct slice entry; /* the entry that matched; empty when none did */
    struct slice why;   /* a phrase: why it matched or why not; valid during the call */
};

/* Embed it, and take the outer object from the argument with CONTAINER_OF. */
struct policy_hat_visitor {
    void (*step)(struct policy_hat_visitor *visitor, const struct policy_hat_step *step);
};

/* Visits every row from the first to the deciding one, in order. Slow (it looks at every entry)
 * and meant for a person. */
void policy_hat_explain(const struct policy_hat *hat, const struct policy_sender *sender,
                        struct policy_hat_visitor *visitor);

enum policy_sender_form {
    POLICY_SENDER_INVALID,
    POLICY_SENDER_ADDRESS, /* an address or a prefix */
    POLICY_SENDER_LOOSE,   /* a prefix with bits set behind it; they count as zero */
    POLICY_SENDER_NAME,    /* a host name */
    POLICY_SENDER_PARTIAL, /* ".example.com" */
    POLICY_SENDER_ALL
};

/* What the text of an entry is; POLICY_SENDER_INVALID when no row may hold it. */
enum policy_sender_form policy_sender_form(struct slice text);

/* Entries are numbered from 0 over all rows of a HAT, in listed order. The number of the first
 * entry of an earlier deciding row that matches whatever this one could match, so that this one
 * never counts; or, within its own row, of an earlier entry that says the same; otherwise
 * POLICY_NO_ENTRY. */
size_t policy_hat_entry_shadowed_by(const struct policy_hat *hat, size_t entry);
size_t policy_hat_entries_count(const struct policy_hat *hat);
size_t policy_hat_entry_row(const struct policy_hat *hat, size_t entry);
struct slice policy_hat_entry_text(const struct policy_hat *hat, size_t entry);
