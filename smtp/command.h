/* smtp/command.h - the grammar of one command line, RFC 5321 4.1.1 and its extensions.
 *
 * Knows no order of commands and no limits of the server; see server.h. Slices borrow from the
 * line. The verb is known even when its arguments are wrong, so that "not now" can be said
 * before "not so".
 */
#pragma once
#include "smtp/address.h"
#include "smtp/dsn.h"

#define SMTP_HELO_BYTES_MAX 255 /* RFC 5321 4.5.3.1.2 */

enum smtp_verb {
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_EHLO,
    SMTP_VERB_HELO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_VRFY,
    SMTP_VERB_HELP,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_XCLIENT,
    SMTP_VERB_OTHER, /* a known verb that is not offered: EXPN, AUTH, BDAT, TURN, ETRN... */
    SMTP_VERBS_COUNT
};

/* Extensions whose parameters a server may or may not offer; a set of them. */
enum smtp_extension {
    SMTP_EXTENSION_DSN = 1 << 0,        /* RFC 3461: RET, ENVID, NOTIFY, ORCPT */
    SMTP_EXTENSION_REQUIRE_TLS = 1 << 1 /* RFC 8689: REQUIRETLS */
};

enum smtp_command_error {
    SMTP_COMMAND_OK,
    SMTP_COMMAND_BAD_BYTES,     /* 500 5.5.2: control characters in the line */
    SMTP_COMMAND_BAD_SYNTAX,    /* 501 5.5.4: arguments missing, wrong or too many */
    SMTP_COMMAND_BAD_SENDER,    /* 501 5.1.7 */
    SMTP_COMMAND_BAD_RECIPIENT, /* 501 5.1.3 */
    SMTP_COMMAND_BAD_PARAMETER, /* 501 5.5.4: the value of a known parameter, or it comes twice */
    SMTP_COMMAND_UNKNOWN_PARAMETER, /* 555 5.5.4 */
    SMTP_COMMAND_NEEDS_SMTPUTF8     /* 553 5.6.7: a non-ASCII address without SMTPUTF8 */
};

enum smtp_body_type {
    SMTP_BODY_TYPE_7BIT, /* also when nothing was said, RFC 6152 section 2 */
    SMTP_BODY_TYPE_8BITMIME
};

struct smtp_command {
    enum smtp_verb verb;
    enum smtp_command_error error;
    struct slice argument;       /* EHLO, HELO: the name; NOOP, HELP, VRFY: the text; MAIL with
                                    BAD_SENDER: what stands in place of an address, "<>" off;
                                    XCLIENT: what smtp_xclient_parse() reads */
    struct smtp_mailbox mailbox; /* MAIL, RCPT */
    uint64_t size_bytes;         /* MAIL SIZE=, RFC 1870; 0 when not given; saturates */
    enum smtp_body_type body;    /* MAIL BODY= */
    bool smtputf8;               /* MAIL SMTPUTF8, RFC 6531 3.4 */
    bool require_tls;            /* MAIL REQUIRETLS, RFC 8689 section 4 */
    enum smtp_ret ret;           /* MAIL RET= */
    struct slice envid;          /* MAIL ENVID=, as coded; empty when not given */
    unsigned notify;             /* RCPT NOTIFY=, of enum smtp_notify; 0 when not given */
    struct slice orcpt;          /* RCPT ORCPT=, as coded; empty when not given. May hold UTF-8,
                                    which only SMTPUTF8 allows: the order of commands decides */
};

/* The line is without its CRLF. Parameters of extensions that are not in the set are unknown. */
void smtp_command_parse(struct slice line, unsigned extensions, struct smtp_command *out);

/* "EHLO"..., for logs; "?" for SMTP_VERB_UNKNOWN. */
const char *smtp_verb_name(enum smtp_verb verb);
