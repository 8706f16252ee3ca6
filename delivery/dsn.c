#include "delivery/dsn.h"

#include <stdio.h>

#include "delivery/dsn_original.h"

#define BOUNDARY_MAX   48
#define BOUNDARY_TRIES 16
#define STATUS_LEN_MAX 9
#define HOST_BYTES_MAX 255 /* of a name, RFC 5321 4.5.3.1.2 */
#define EIGHT_BIT      "Content-Transfer-Encoding: 8bit\r\n"

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

static void put_head(struct delivery_dsn_text *t, const struct delivery_dsn *dsn,
                     const char *boundary, bool eight_bit)
{
    delivery_dsn_put_text(t, "From: \"Mail Delivery System\" <MAILER-DAEMON@");
    delivery_dsn_put_value(t, dsn->hostname);
    delivery_dsn_put_text(t, ">\r\nTo: <");
    delivery_dsn_put_utf8(t, dsn->to);
    delivery_dsn_put_text(t, ">\r\nSubject: Delivery Status Notification (");
    delivery_dsn_put_text(t, words[dsn->action].subject);
    delivery_dsn_put_text(t, dsn->is_double ? " of a bounce)\r\n" : ")\r\n");
    delivery_dsn_put_field(t, "Date: ", dsn->date);
    delivery_dsn_put_text(t, "Message-ID: <");
    delivery_dsn_put_value(t, dsn->message_id);
    delivery_dsn_put_text(
        t, ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
           "Content-Type: multipart/report; report-type=delivery-status;\r\n    boundary=\"");
    delivery_dsn_put_text(t, boundary);
    delivery_dsn_put_text(t, "\"\r\nContent-Transfer-Encoding: ");
    delivery_dsn_put_text(t, eight_bit ? "8bit" : "7bit");
    delivery_dsn_put_text(t, "\r\n\r\n");
}

static void put_boundary(struct delivery_dsn_text *t, const char *boundary, const char *end)
{
    delivery_dsn_put_text(t, "\r\n--");
    delivery_dsn_put_text(t, boundary);
    delivery_dsn_put_text(t, end);
    delivery_dsn_put_text(t, "\r\n");
}

static struct slice cut(struct slice value, size_t len)
{
    return value.len > len ? slice_first(value, len) : value;
}

/* "mx.example.net [192.0.2.1]", or what there is of it. */
static void put_host(struct delivery_dsn_text *t, const struct delivery_dsn_recipient *r)
{
    delivery_dsn_put_value(t, cut(r->remote_name, HOST_BYTES_MAX));
    if (r->remote_address.len == 0)
        return;
    delivery_dsn_put_text(t, r->remote_name.len > 0 ? " [" : "[");
    delivery_dsn_put_value(t, cut(r->remote_address, HOST_BYTES_MAX));
    delivery_dsn_put_text(t, "]");
}

static bool has_host(const struct delivery_dsn_recipient *r)
{
    return r->remote_name.len > 0 || r->remote_address.len > 0;
}

/* Why, and what the host said of it. */
static void put_reason(struct delivery_dsn_text *t, const struct delivery_dsn_recipient *r)
{
    delivery_dsn_put_text(t, "The reason for the problem:\r\n    ");
    if (r->reason.len > 0)
        delivery_dsn_put_folded(t, 4, "    ", r->reason);
    else
        delivery_dsn_put_value(t, r->status);
    delivery_dsn_put_text(t, "\r\n");
    if (r->reply.len == 0)
        return;
    if (r->reply_is_ours) {
        delivery_dsn_put_text(t, "In detail:\r\n    ");
    } else if (has_host(r)) {
        delivery_dsn_put_text(t, "The host ");
        put_host(t, r);
        delivery_dsn_put_text(t, " said:\r\n    ");
    } else {
        delivery_dsn_put_text(t, "The receiving host said:\r\n    ");
    }
    delivery_dsn_put_folded(t, 4, "    ", r->reply);
    delivery_dsn_put_text(t, "\r\n");
}

static void put_handed_on(struct delivery_dsn_text *t, const struct delivery_dsn_recipient *r)
{
    delivery_dsn_put_text(t, "The host that has it now does not tell of its delivery");
    if (has_host(r)) {
        delivery_dsn_put_text(t, ":\r\n    ");
        put_host(t, r);
    }
    delivery_dsn_put_text(t, "\r\n");
}

/* For people; folded lines start with spaces. */
static void put_human_part(struct delivery_dsn_text *t, const struct delivery_dsn *dsn)
{
    delivery_dsn_put_text(t, t->is_utf8 ? "Content-Type: text/plain; charset=utf-8\r\n" EIGHT_BIT
                                          "\r\n"
                                        : "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    if (dsn->is_double)
        delivery_dsn_put_text(
            t, "What could not be delivered is a bounce, or other mail that nobody can be told "
               "of.\r\n\r\n");
    for (size_t i = 0; i < dsn->recipients_count; i++) {
        const struct delivery_dsn_recipient *r = &dsn->recipients[i];

        delivery_dsn_put_text(t, "The following message to <");
        delivery_dsn_put_address(t, r->address, false);
        delivery_dsn_put_text(t, "> ");
        delivery_dsn_put_text(t, words[dsn->action].headline);
        delivery_dsn_put_text(t, "\r\n");
        if (dsn->action == DELIVERY_DSN_RELAYED)
            put_handed_on(t, r);
        else
            put_reason(t, r);
        delivery_dsn_put_text(t, "\r\n");
    }
    if (dsn->action != DELIVERY_DSN_DELAYED)
        return;
    delivery_dsn_put_text(
        t, "This is only a warning: there is nothing to be done. It will be tried again");
    if (dsn->retry_until.len > 0) {
        delivery_dsn_put_text(t, " until\r\n    ");
        delivery_dsn_put_value(t, dsn->retry_until);
    }
    delivery_dsn_put_text(t, "\r\n");
}

/* RFC 3464 2.3.5: a name or, in the form of RFC 5321 4.1.3, an address. */
static void put_remote_mta(struct delivery_dsn_text *t, const struct delivery_dsn_recipient *r)
{
    struct slice address = r->remote_address;

    if (!has_host(r))
        return;
    if (r->remote_name.len > 0) {
        delivery_dsn_put_field(t, "Remote-MTA: dns; ", r->remote_name);
        return;
    }
    delivery_dsn_put_text(t, memchr(address.data, ':', address.len) != NULL
                                 ? "Remote-MTA: dns; [IPv6:"
                                 : "Remote-MTA: dns; [");
    delivery_dsn_put_value(t, address);
    delivery_dsn_put_text(t, "]\r\n");
}

static void put_recipient(struct delivery_dsn_text *t, const struct delivery_dsn *dsn,
                          const struct delivery_dsn_recipient *r)
{
    delivery_dsn_put_text(t, "\r\n");
    if (r->original.len > 0) {
        delivery_dsn_put_text(t, "Original-Recipient: ");
        delivery_dsn_put_address(t, r->original, true);
        delivery_dsn_put_text(t, "\r\n");
    }
    delivery_dsn_put_text(t, delivery_dsn_has_eight_bit(r->address) ? "Final-Recipient: utf-8; "
                                                                    : "Final-Recipient: rfc822; ");
    delivery_dsn_put_address(t, r->address, false);
    delivery_dsn_put_text(t, "\r\nAction: ");
    delivery_dsn_put_text(t, words[dsn->action].action);
    delivery_dsn_put_text(t, "\r\n");
    delivery_dsn_put_field(
        t, "Status: ", is_status(r->status) ? r->status : words[dsn->action].status);
    put_remote_mta(t, r);
    if (r->reply.len > 0)
        delivery_dsn_put_folded_field(
            t, r->reply_is_ours ? "Diagnostic-Code: X-Postern; " : "Diagnostic-Code: smtp; ",
            r->reply);
    if (r->last_attempt.len > 0)
        delivery_dsn_put_field(t, "Last-Attempt-Date: ", r->last_attempt);
    if (dsn->action == DELIVERY_DSN_DELAYED && dsn->retry_until.len > 0)
        delivery_dsn_put_field(t, "Will-Retry-Until: ", dsn->retry_until);
}

/* RFC 3464 2.1: fields about the message, then a group for each recipient. The type says
 * whether there is UTF-8 in them, RFC 6533 section 4. */
static void put_status_part(struct delivery_dsn_text *t, const struct delivery_dsn *dsn)
{
    delivery_dsn_put_text(
        t, t->is_utf8 ? "Content-Type: message/global-delivery-status\r\n" EIGHT_BIT "\r\n"
                      : "Content-Type: message/delivery-status\r\n\r\n");
    if (dsn->envelope_id.len > 0)
        delivery_dsn_put_field(t, "Original-Envelope-Id: ", dsn->envelope_id);
    delivery_dsn_put_field(t, "Reporting-MTA: dns; ", dsn->hostname);
    delivery_dsn_put_field(t, "Arrival-Date: ", dsn->arrival_date);
    for (size_t i = 0; i < dsn->recipients_count; i++)
        put_recipient(t, dsn, &dsn->recipients[i]);
}

/* The types of a message whose header is UTF-8, RFC 6533 section 4. One that is in 8 bits and is no
 * UTF-8, or that nobody declared, is in the types that readers take for anything. */
static void put_original_part(struct delivery_dsn_text *t, const struct delivery_dsn *dsn,
                              struct slice original, bool is_whole)
{
    struct slice header = delivery_dsn_original_header(original);
    bool is_global = dsn->original_is_smtputf8 && delivery_dsn_has_eight_bit(header) &&
                     delivery_dsn_is_utf8(header);

    delivery_dsn_put_text(t, "Content-Type: ");
    if (is_whole)
        delivery_dsn_put_text(t, is_global ? "message/global\r\n" : "message/rfc822\r\n");
    else
        delivery_dsn_put_text(t,
                              is_global ? "message/global-headers\r\n" : "text/rfc822-headers\r\n");
    delivery_dsn_put_text(t, delivery_dsn_has_eight_bit(original) ? EIGHT_BIT "\r\n" : "\r\n");
    delivery_dsn_put_original(t, original, dsn->original_is_stuffed);
}

/* Whether there is something to say in UTF-8, to somebody who reads it. */
static bool speaks_utf8(const struct delivery_dsn *dsn)
{
    for (size_t i = 0; dsn->original_is_smtputf8 && i < dsn->recipients_count; i++) {
        const struct delivery_dsn_recipient *r = &dsn->recipients[i];

        if (delivery_dsn_has_eight_bit(r->address) || delivery_dsn_has_eight_bit(r->original) ||
            delivery_dsn_has_eight_bit(r->reply))
            return true;
    }
    return false;
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
    struct delivery_dsn_text t = { .status = STATUS_OK };
    char boundary[BOUNDARY_MAX];
    struct slice original = dsn->original;
    struct delivery_dsn_traits traits;
    bool is_whole;

    if (!delivery_dsn_wanted(dsn->to) || dsn->recipients_count == 0)
        return STATUS_INVALID;
    if (dsn->recipients_count > DELIVERY_DSN_RECIPIENTS_MAX)
        return STATUS_LIMIT;
    is_whole = !dsn->original_is_cut && original.len <= dsn->original_bytes_max &&
               original.len <= DELIVERY_DSN_ORIGINAL_MAX &&
               delivery_dsn_original_is_proper(original);
    if (!is_whole)
        original = delivery_dsn_original_header(original);
    choose_boundary(dsn->mid, &original, boundary);
    is_whole = is_whole && original.len > 0;
    traits.smtputf8 = delivery_dsn_has_eight_bit(dsn->to);
    t.is_utf8 = speaks_utf8(dsn);
    traits.eight_bit = traits.smtputf8 || t.is_utf8 || delivery_dsn_has_eight_bit(original);
    /* It is written apart, so that a failure leaves out as it was. */
    buffer_init(&t.text, out->bytes_max - buffer_len(out));
    put_head(&t, dsn, boundary, traits.eight_bit);
    put_boundary(&t, boundary, "");
    put_human_part(&t, dsn);
    put_boundary(&t, boundary, "");
    put_status_part(&t, dsn);
    put_boundary(&t, boundary, "");
    put_original_part(&t, dsn, original, is_whole);
    put_boundary(&t, boundary, "--");
    if (t.status == STATUS_OK)
        t.status = buffer_append(out, buffer_contents(&t.text));
    buffer_finish(&t.text);
    if (t.status == STATUS_OK)
        *traits_out = traits;
    return t.status;
}
