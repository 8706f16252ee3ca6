/* delivery/dsn.h - the message that tells a sender what became of his.
 *
 * RFC 3464 in RFC 6522's multipart/report: a part for people, the message/delivery-status part,
 * and the original: whole (message/rfc822) when it is no larger than the caller allows and made of
 * proper lines, otherwise its header (text/rfc822-headers), cut at DELIVERY_DSN_HEADER_MAX.
 *
 * One report has one action for all of its recipients:
 *
 *     FAILED   given up
 *     DELAYED  not delivered yet, and still tried (RFC 3461 5.2.5)
 *     RELAYED  handed on to a host that tells nobody of the delivery (5.2.2)
 *
 * What is not ASCII (RFC 6533). Of an original that came with SMTPUTF8 a report may speak UTF-8:
 * its sender can read it. A part that holds some has the type that says so, text/plain with charset
 * utf-8, message/global-delivery-status, message/global or message/global-headers, in 8 bits; the
 * others stay what they were. Nothing of that asks for SMTPUTF8 on the way: UTF-8 inside a part is
 * content, for which 8BITMIME is enough; only an address in the report's own header asks for it.
 * Of any other original nothing but what it returns is in 8 bits, and an address that is not ASCII
 * is written out (utf-8-addr-xtext, section 3).
 *
 * Form of the result: header and body as they would arrive after DATA: CRLF line ends, lines of
 * at most 998 bytes, DOT-STUFFED (a line that starts with a dot has it doubled), and without the
 * final ".\r\n". Form of the original that goes in: the same, when original_is_stuffed; it is
 * copied as it stands. Otherwise (a BDAT body) it is stuffed on the way.
 *
 * All values may come from an enemy: control bytes become spaces, so none can start a line, bytes
 * that are no UTF-8 (or not allowed to be) become "?", and each is cut at DELIVERY_DSN_VALUE_MAX.
 * Pure: dates, numbers and the Message-ID are arguments.
 */
#pragma once
#include "base/buffer.h"

#define DELIVERY_DSN_ORIGINAL_MAX   ((size_t)256 * 1024) /* whatever the caller allows */
#define DELIVERY_DSN_HEADER_MAX     ((size_t)10 * 1024)
#define DELIVERY_DSN_VALUE_MAX      900u
#define DELIVERY_DSN_RECIPIENTS_MAX 10000u
#define DELIVERY_DSN_LINE_MAX       998u /* without CRLF, RFC 5322 2.1.1 */

enum delivery_dsn_action { DELIVERY_DSN_FAILED, DELIVERY_DSN_DELAYED, DELIVERY_DSN_RELAYED };

struct delivery_dsn_recipient {
    struct slice address;        /* as in RCPT, without the angle brackets */
    struct slice original;       /* ORCPT, decoded: "rfc822;user@example.com"; may be empty */
    struct slice status;         /* "5.1.1"; anything else becomes the action's "x.0.0" */
    struct slice reason;         /* "5.1.1 - Bad destination email address"; may be empty */
    struct slice remote_name;    /* of the host that was asked last; empty: not known */
    struct slice remote_address; /* "192.0.2.1", "2001:db8::1"; empty: no host was involved */
    struct slice reply;          /* code and text as that host sent them; empty: none */
    bool reply_is_ours;          /* they are words of ours: what it lacks, or what went wrong */
    struct slice last_attempt;   /* RFC 5322 date-time; empty: there was none */
};

struct delivery_dsn {
    enum delivery_dsn_action action;
    struct slice hostname;     /* ours: Reporting-MTA, and MAILER-DAEMON's domain */
    struct slice to;           /* whom it is for, not null: see delivery_dsn_wanted() */
    struct slice message_id;   /* of the DSN, without angle brackets */
    struct slice date;         /* RFC 5322 date-time, of now */
    struct slice arrival_date; /* the same, of the original's acceptance */
    struct slice envelope_id;  /* ENVID of the original, decoded; may be empty */
    struct slice retry_until;  /* RFC 5322 date-time, DELAYED only; empty: not known */
    bool is_double;            /* the original is a bounce; this is for the postmaster */
    uint64_t mid;              /* the DSN's own MID; makes the boundary */
    const struct delivery_dsn_recipient *recipients;
    size_t recipients_count; /* 1..DELIVERY_DSN_RECIPIENTS_MAX */
    struct slice original;   /* header and body; may be cut behind the header or anywhere */
    bool original_is_cut;    /* then only its header is returned */
    bool original_is_stuffed;
    bool original_is_smtputf8;   /* it came with SMTPUTF8 (RFC 6531) */
    uint64_t original_bytes_max; /* of a larger one only the header; 0: always */
};

struct delivery_dsn_traits {
    bool eight_bit; /* the result holds bytes above 127: BODY=8BITMIME */
    bool smtputf8;  /* its header does, for the address it is for: SMTPUTF8 as well */
};

/* False for the null sender, "" or "<>": nobody is to be told (RFC 5321 4.5.5). */
bool delivery_dsn_wanted(struct slice sender);

/* Appends the DSN to out. STATUS_LIMIT when out or DELIVERY_DSN_RECIPIENTS_MAX is too small for
 * it, STATUS_INVALID without an address or recipients, STATUS_NO_MEMORY; out is then unchanged. */
MUST_USE enum status delivery_dsn_build(const struct delivery_dsn *dsn, struct buffer *out,
                                        struct delivery_dsn_traits *traits_out);
