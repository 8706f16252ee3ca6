/* smtp/address.h - the grammar of mailboxes and paths, RFC 5321 4.1.2 and RFC 6531 3.3.
 *
 * Everything returned borrows from the text that was parsed. Nothing is unquoted, folded or
 * repaired: what the peer wrote is what the policy sees and what is relayed.
 */
#pragma once
#include "base/slice.h"

#define SMTP_LOCAL_BYTES_MAX   252 /* 4.5.3.1.1 asks for 64 or more; VERP needs it */
#define SMTP_DOMAIN_BYTES_MAX  255 /* RFC 5321 4.5.3.1.2 */
#define SMTP_LABEL_BYTES_MAX   63  /* RFC 1035 2.3.4 */
#define SMTP_MAILBOX_BYTES_MAX 254 /* RFC 5321 4.5.3.1.3: a path of 256 less its brackets */

enum smtp_domain_kind {
    SMTP_DOMAIN_NONE,    /* <>, or <postmaster> */
    SMTP_DOMAIN_NAME,    /* example.com */
    SMTP_DOMAIN_LITERAL, /* [192.0.2.1], [IPv6:2001:db8::1]; general literals are refused */
};

struct smtp_mailbox {
    struct slice whole;  /* "local@domain" without brackets and source route; empty for <> */
    struct slice local;  /* with its quotes, if it has any */
    struct slice domain; /* with its brackets, if it is a literal */
    enum smtp_domain_kind domain_kind;
    bool is_quoted;     /* the local part is a quoted string */
    bool has_non_ascii; /* legal only with SMTPUTF8; it is well-formed UTF-8 */
};

enum smtp_path_kind {
    SMTP_PATH_REVERSE, /* MAIL: may be <> */
    SMTP_PATH_FORWARD  /* RCPT: may be <postmaster>, in any case, without a domain (4.5.1) */
};

/* Takes a path in angle brackets off the start of *rest. A source route is accepted and left out
 * of the result (RFC 5321 4.1.1.3, appendix C). False, with *rest unchanged, when there is none,
 * when it is too long, or when it holds anything that the grammar does not (controls, spaces
 * outside quotes, broken UTF-8). */
bool smtp_path_parse(struct slice *rest, enum smtp_path_kind kind, struct smtp_mailbox *out);

/* The same for all of text without brackets: "user@example.com". */
bool smtp_mailbox_parse(struct slice text, struct smtp_mailbox *out);

/* Copies the texts of a mailbox to room, where they then lie: those of a command are gone with the
 * input that it came in. */
void smtp_mailbox_keep(struct smtp_mailbox *mailbox, char room[static SMTP_MAILBOX_BYTES_MAX]);

/* A host name: labels of letters, digits, hyphens, underscores and UTF-8. */
bool smtp_domain_is_valid(struct slice text);

/* Well-formed UTF-8 (RFC 3629 section 4): no overlong form, no surrogate, no value above 10FFFF. */
bool smtp_utf8_is_valid(struct slice text);

bool smtp_has_non_ascii(struct slice text);
