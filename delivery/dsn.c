#include "delivery/dsn.h"

#include <assert.h>
#include <stdio.h>

#define FIELD_COLUMNS  76 /* where lines of ours are folded, if there is a space */
#define BOUNDARY_MAX   48
#define BOUNDARY_TRIES 16
#define STATUS_LEN_MAX 9
#define HOST_BYTES_MAX 255 /* of a name, RFC 5321 4.5.3.1.2 */

/* What differs by action. */
static const struct {
    const char *subject;
    const char *headline; /* behind "The following message to <x> " */
    const char *action;
    struct slice status; /* where none is given */
} words[] = {
    [DELIVERY_DSN_FAILED] = { "Failure", "was undeliverable.", "failed", { "5.0.0", 5 } },
    [DELIVERY_DSN_DELAYED] = { "Delay", "has not been delivered yet.", "delayed", { "4.0.0", 5 } },
    [DELIVERY_DSN_RELAYED] = { "Relay", "was handed on.", "relayed", { "2.0.0", 5 } },
};

/* The DSN while it is written: the first error stays, and later appends do nothing. */
struct writer {
    struct buffer text;
    enum status status;
};

static void put(struct writer *w, struct slice bytes)
{
    if (w->status == STATUS_OK)
        w->status = buffer_append(&w->text, bytes);
}

static void put_text(struct writer *w, const char *text)
{
    put(w, slice_from(text));
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool has_eight_bit(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return true;
    return false;
}

/* A value on one line: control bytes become spaces, bytes above 127 become "?" unless they are
 * kept, and it is cut at DELIVERY_DSN_VALUE_MAX. */
static void put_value(struct writer *w, struct slice value, bool keep_eight_bit)
{
    char clean[DELIVERY_DSN_VALUE_MAX];
    size_t len = value.len < sizeof clean ? value.len : sizeof clean;

    for (size_t i = 0; i < len; i++) {
        char c = value.data[i];

        clean[i] = is_control(c) ? ' ' : c;
        if ((unsigned char)c >= 0x80 && !keep_eight_bit)
            clean[i] = '?';
    }
    put(w, slice_trim((struct slice){ clean, len }));
}

/* The same, folded at spaces: each further line starts with `indent`, so it is never taken for
 * a field or a boundary and never starts with a dot. */
static void put_folded(struct writer *w, size_t column, const char *indent, struct slice value)
{
    char clean[DELIVERY_DSN_VALUE_MAX];
    size_t len = value.len < sizeof clean ? value.len : sizeof clean;
    struct slice rest = { clean, len };
    bool is_first = true;

    for (size_t i = 0; i < len; i++) {
        char c = value.data[i];

        clean[i] = is_control(c) ? ' ' : (unsigned char)c >= 0x80 ? '?' : c;
    }
    while (rest.len > 0) {
        struct slice word = slice_cut(&rest, ' ');

        if (word.len == 0)
            continue;
        if (!is_first && column + 1 + word.len > FIELD_COLUMNS) {
            put_text(w, "\r\n");
            put_text(w, indent);
            column = strlen(indent);
        } else if (!is_first) {
            put_text(w, " ");
            column++;
        }
        put(w, word);
        column += word.len;
        is_first = false;
    }
}

static void put_field(struct writer *w, const char *name, struct slice value)
{
    put_text(w, name);
    put_value(w, value, false);
    put_text(w, "\r\n");
}

static void put_folded_field(struct writer *w, const char *name, struct slice value)
{
    put_text(w, name);
    put_folded(w, strlen(name), "    ", value);
    put_text(w, "\r\n");
}

/* One code point of UTF-8 as \x{HEX} (RFC 6533 3); a byte that is no UTF-8 as "?". Returns the
 * bytes used. */
static size_t put_code_point(struct writer *w, struct slice s)
{
    unsigned char first = (unsigned char)s.data[0];
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t point = first & (0x7fu >> len);
    char text[16];

    if (first < 0xc2 || first > 0xf4 || s.len < len) {
        put_text(w, "?");
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s.data[i] & 0xc0) != 0x80) {
            put_text(w, "?");
            return 1;
        }
        point = point << 6 | ((unsigned char)s.data[i] & 0x3f);
    }
    (void)snprintf(text, sizeof text, "\\x{%04X}", (unsigned)point);
    put_text(w, text);
    return len;
}

/* With what is not ASCII written out. An address is not folded: a space in it may be part of a
 * quoted string. */
static void put_address_field(struct writer *w, const char *name, struct slice address)
{
    if (!has_eight_bit(address)) {
        put_field(w, name, address);
        return;
    }
    put_text(w, name);
    /* Two bytes become up to eight. */
    if (address.len > DELIVERY_DSN_VALUE_MAX / 4)
        address.len = DELIVERY_DSN_VALUE_MAX / 4;
    while (address.len > 0) {
        char c = address.data[0];
        size_t used = 1;

        if ((unsigned char)c >= 0x80)
            used = put_code_point(w, address);
        else
            put(w, (struct slice){ is_control(c) ? " " : address.data, 1 });
        address = slice_after(address, used);
    }
    put_text(w, "\r\n");
}

static bool is_status(struct slice s)
{
    unsigned dots = 0;

    if (s.len < 5 || s.len > STATUS_LEN_MAX || s.data[1] != '.' || s.data[s.len - 1] == '.')
        return false;
    if (s.data[0] != '2' && s.data[0] != '4' && s.data[0] != '5')
        return false;
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == '.' && s.data[i - 1] != '.')
            dots++;
        else if (!ascii_is_digit(s.data[i]))
            return false;
    }
    return dots == 2;
}

/* ---- the original ---- */

/* Proper lines only: CRLF ends, no bare CR or LF, no NUL, none too long. */
static bool is_well_formed(struct slice text)
{
    size_t column = 0;

    if (text.len < 2 || text.data[text.len - 2] != '\r' || text.data[text.len - 1] != '\n')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '\0' || (c == '\n') != (i > 0 && text.data[i - 1] == '\r'))
            return false;
        column = c == '\n' ? 0 : column + (c != '\r');
        /* Stuffing may add a byte. */
        if (column >= DELIVERY_DSN_LINE_MAX)
            return false;
    }
    return true;
}

/* The lines of the header with their last CRLF, without the empty line; cut at
 * DELIVERY_DSN_HEADER_MAX, at the end of a line where there is one. */
static struct slice header_of(struct slice original)
{
    size_t end = 0, start = 0;

    if (original.len > DELIVERY_DSN_HEADER_MAX)
        original.len = DELIVERY_DSN_HEADER_MAX;
    for (size_t i = 0; i < original.len; i++) {
        if (original.data[i] != '\n')
            continue;
        if (i == start || (i == start + 1 && original.data[start] == '\r'))
            return slice_first(original, end);
        end = start = i + 1;
    }
    return end > 0 ? slice_first(original, end) : original;
}

/* One line of the original. What a proper message may not hold becomes a space; what is too long
 * goes on in a folded line, so that it stays one field. */
static void put_original_line(struct writer *w, struct slice line, bool is_stuffed)
{
    size_t column = 0;

    /* A lone dot would end the DSN on its way out (behind a bare LF, for example, it was not a
     * line before), so what is said to be stuffed is not simply believed. */
    if (line.len > 0 && line.data[0] == '.' &&
        (!is_stuffed || line.len == 1 || line.data[1] != '.')) {
        put_text(w, ".");
        column = 1;
    }
    while (line.len > 0) {
        size_t room = DELIVERY_DSN_LINE_MAX - column, run = 0;

        while (run < line.len && run < room && line.data[run] != '\r' && line.data[run] != '\0')
            run++;
        put(w, slice_first(line, run));
        column += run;
        line = slice_after(line, run);
        if (line.len == 0)
            break;
        if (column >= DELIVERY_DSN_LINE_MAX) {
            put_text(w, "\r\n ");
            column = 1;
            continue;
        }
        put_text(w, " ");
        column++;
        line = slice_after(line, 1);
    }
    put_text(w, "\r\n");
}

static void put_original(struct writer *w, struct slice text, bool is_stuffed)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        put_original_line(w, line, is_stuffed);
    }
}

/* ---- the parts ---- */

static void put_head(struct writer *w, const struct delivery_dsn *dsn, const char *boundary,
                     bool eight_bit)
{
    put_text(w, "From: \"Mail Delivery System\" <MAILER-DAEMON@");
    put_value(w, dsn->hostname, false);
    put_text(w, ">\r\nTo: <");
    put_value(w, dsn->to, true);
    put_text(w, ">\r\nSubject: Delivery Status Notification (");
    put_text(w, words[dsn->action].subject);
    put_text(w, dsn->is_double ? " of a bounce)\r\n" : ")\r\n");
    put_field(w, "Date: ", dsn->date);
    put_text(w, "Message-ID: <");
    put_value(w, dsn->message_id, false);
    put_text(w, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/report; report-type=delivery-status;\r\n    boundary=\"");
    put_text(w, boundary);
    put_text(w, "\"\r\nContent-Transfer-Encoding: ");
    put_text(w, eight_bit ? "8bit" : "7bit");
    put_text(w, "\r\n\r\n");
}

static void put_boundary(struct writer *w, const char *boundary, const char *end)
{
    put_text(w, "\r\n--");
    put_text(w, boundary);
    put_text(w, end);
    put_text(w, "\r\n");
}

static struct slice cut(struct slice value, size_t len)
{
    return value.len > len ? slice_first(value, len) : value;
}

/* "mx.example.net [192.0.2.1]", or what there is of it. */
static void put_host(struct writer *w, const struct delivery_dsn_recipient *r)
{
    put_value(w, cut(r->remote_name, HOST_BYTES_MAX), false);
    if (r->remote_address.len == 0)
        return;
    put_text(w, r->remote_name.len > 0 ? " [" : "[");
    put_value(w, cut(r->remote_address, HOST_BYTES_MAX), false);
    put_text(w, "]");
}

static bool has_host(const struct delivery_dsn_recipient *r)
{
    return r->remote_name.len > 0 || r->remote_address.len > 0;
}

/* Why, and what the host said of it. */
static void put_reason(struct writer *w, const struct delivery_dsn_recipient *r)
{
    put_text(w, "The reason for the problem:\r\n    ");
    if (r->reason.len > 0)
        put_folded(w, 4, "    ", r->reason);
    else
        put_value(w, r->status, false);
    put_text(w, "\r\n");
    if (r->reply.len == 0)
        return;
    if (r->reply_is_ours) {
        put_text(w, "In detail:\r\n    ");
    } else if (has_host(r)) {
        put_text(w, "The host ");
        put_host(w, r);
        put_text(w, " said:\r\n    ");
    } else {
        put_text(w, "The receiving host said:\r\n    ");
    }
    put_folded(w, 4, "    ", r->reply);
    put_text(w, "\r\n");
}

static void put_handed_on(struct writer *w, const struct delivery_dsn_recipient *r)
{
    put_text(w, "The host that has it now does not tell of its delivery");
    if (has_host(r)) {
        put_text(w, ":\r\n    ");
        put_host(w, r);
    }
    put_text(w, "\r\n");
}

/* For people; folded lines start with spaces. */
static void put_human_part(struct writer *w, const struct delivery_dsn *dsn)
{
    put_text(w, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    if (dsn->is_double)
        put_text(w,
                 "What could not be delivered is a bounce, or other mail that nobody can be told "
                 "of.\r\n\r\n");
    for (size_t i = 0; i < dsn->recipients_count; i++) {
        const struct delivery_dsn_recipient *r = &dsn->recipients[i];

        put_text(w, "The following message to <");
        put_value(w, r->address, false);
        put_text(w, "> ");
        put_text(w, words[dsn->action].headline);
        put_text(w, "\r\n");
        if (dsn->action == DELIVERY_DSN_RELAYED)
            put_handed_on(w, r);
        else
            put_reason(w, r);
        put_text(w, "\r\n");
    }
    if (dsn->action != DELIVERY_DSN_DELAYED)
        return;
    put_text(w, "This is only a warning: there is nothing to be done. It will be tried again");
    if (dsn->retry_until.len > 0) {
        put_text(w, " until\r\n    ");
        put_value(w, dsn->retry_until, false);
    }
    put_text(w, "\r\n");
}

/* RFC 3464 2.3.5: a name or, in the form of RFC 5321 4.1.3, an address. */
static void put_remote_mta(struct writer *w, const struct delivery_dsn_recipient *r)
{
    struct slice address = r->remote_address;

    if (!has_host(r))
        return;
    if (r->remote_name.len > 0) {
        put_field(w, "Remote-MTA: dns; ", r->remote_name);
        return;
    }
    put_text(w, memchr(address.data, ':', address.len) != NULL ? "Remote-MTA: dns; [IPv6:"
                                                               : "Remote-MTA: dns; [");
    put_value(w, address, false);
    put_text(w, "]\r\n");
}

static void put_recipient(struct writer *w, const struct delivery_dsn *dsn,
                          const struct delivery_dsn_recipient *r)
{
    put_text(w, "\r\n");
    if (r->original.len > 0)
        put_address_field(w, "Original-Recipient: ", r->original);
    put_address_field(
        w, has_eight_bit(r->address) ? "Final-Recipient: utf-8; " : "Final-Recipient: rfc822; ",
        r->address);
    put_text(w, "Action: ");
    put_text(w, words[dsn->action].action);
    put_text(w, "\r\n");
    put_field(w, "Status: ", is_status(r->status) ? r->status : words[dsn->action].status);
    put_remote_mta(w, r);
    if (r->reply.len > 0)
        put_folded_field(
            w, r->reply_is_ours ? "Diagnostic-Code: X-Postern; " : "Diagnostic-Code: smtp; ",
            r->reply);
    if (r->last_attempt.len > 0)
        put_field(w, "Last-Attempt-Date: ", r->last_attempt);
    if (dsn->action == DELIVERY_DSN_DELAYED && dsn->retry_until.len > 0)
        put_field(w, "Will-Retry-Until: ", dsn->retry_until);
}

/* RFC 3464 2.1: fields about the message, then a group for each recipient. */
static void put_status_part(struct writer *w, const struct delivery_dsn *dsn)
{
    put_text(w, "Content-Type: message/delivery-status\r\n\r\n");
    if (dsn->envelope_id.len > 0)
        put_field(w, "Original-Envelope-Id: ", dsn->envelope_id);
    put_field(w, "Reporting-MTA: dns; ", dsn->hostname);
    put_field(w, "Arrival-Date: ", dsn->arrival_date);
    for (size_t i = 0; i < dsn->recipients_count; i++)
        put_recipient(w, dsn, &dsn->recipients[i]);
}

static bool holds(struct slice text, const char *word)
{
    return text.len > 0 && memmem(text.data, text.len, word, strlen(word)) != NULL;
}

/* One that the original does not hold. Who has guessed our MID and put all that are tried into a
 * message does not get it back: the search must not take longer for a larger original. */
static void choose_boundary(uint64_t mid, struct slice *original,
                            char boundary[static BOUNDARY_MAX])
{
    for (unsigned i = 0; i < BOUNDARY_TRIES; i++) {
        (void)snprintf(boundary, BOUNDARY_MAX, "=_%llu.%u_=", (unsigned long long)mid, i);
        if (!holds(*original, boundary))
            return;
    }
    original->len = 0;
}

bool delivery_dsn_wanted(struct slice sender)
{
    return sender.len > 0 && !slice_equal(sender, SLICE("<>"));
}

enum status delivery_dsn_build(const struct delivery_dsn *dsn, struct buffer *out,
                               struct delivery_dsn_traits *traits_out)
{
    struct writer w = { .status = STATUS_OK };
    char boundary[BOUNDARY_MAX];
    struct slice original = dsn->original;
    struct delivery_dsn_traits traits;
    bool is_whole;

    if (!delivery_dsn_wanted(dsn->to) || dsn->recipients_count == 0)
        return STATUS_INVALID;
    if (dsn->recipients_count > DELIVERY_DSN_RECIPIENTS_MAX)
        return STATUS_LIMIT;
    is_whole = !dsn->original_is_cut && original.len <= dsn->original_bytes_max &&
               original.len <= DELIVERY_DSN_ORIGINAL_MAX && is_well_formed(original);
    if (!is_whole)
        original = header_of(original);
    choose_boundary(dsn->mid, &original, boundary);
    is_whole = is_whole && original.len > 0;
    traits.smtputf8 = has_eight_bit(dsn->to);
    traits.eight_bit = traits.smtputf8 || has_eight_bit(original);
    /* It is written apart, so that a failure leaves out as it was. */
    buffer_init(&w.text, out->bytes_max - buffer_len(out));
    put_head(&w, dsn, boundary, traits.eight_bit);
    put_boundary(&w, boundary, "");
    put_human_part(&w, dsn);
    put_boundary(&w, boundary, "");
    put_status_part(&w, dsn);
    put_boundary(&w, boundary, "");
    put_text(&w, is_whole ? "Content-Type: message/rfc822\r\n"
                          : "Content-Type: text/rfc822-headers\r\n");
    put_text(&w, has_eight_bit(original) ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
    put_original(&w, original, dsn->original_is_stuffed);
    put_boundary(&w, boundary, "--");
    if (w.status == STATUS_OK)
        w.status = buffer_append(out, buffer_contents(&w.text));
    buffer_finish(&w.text);
    if (w.status == STATUS_OK)
        *traits_out = traits;
    return w.status;
}
