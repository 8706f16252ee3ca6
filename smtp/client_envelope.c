#include "smtp/client_envelope.h"

#include <stdio.h>

#include "base/check.h"
#include "smtp/address.h"

/* --- whether it can be sent ------------------------------------------------------------------ */

/* What our own storage may hold after damage must not become a command of its own. */
static bool address_is_safe(struct slice address)
{
    if (address.len > SMTP_COMMAND_BYTES_MAX / 4)
        return false;
    for (size_t i = 0; i < address.len; i++)
        if ((unsigned char)address.data[i] < ' ' || address.data[i] == 0x7f)
            return false;
    return true;
}

static bool is_safe(const struct smtp_client_envelope *e)
{
    for (size_t i = 0; i < e->recipients_count; i++)
        if (e->recipients[i].address.len == 0 || !address_is_safe(e->recipients[i].address))
            return false;
    return address_is_safe(e->sender);
}

/* Whatever the caller says of the header: an address alone can need it, RFC 6531 3.4. */
static bool needs_smtputf8(const struct smtp_client_envelope *e)
{
    bool is_needed = e->smtputf8 || smtp_has_non_ascii(e->sender);

    for (size_t i = 0; i < e->recipients_count && !is_needed; i++)
        is_needed = smtp_has_non_ascii(e->recipients[i].address);
    return is_needed;
}

static struct smtp_reply refusal(uint16_t code, uint16_t subject, uint16_t detail, const char *text)
{
    return (struct smtp_reply){ .code = code,
                                .enhanced = { 5, subject, detail },
                                .text = slice_from(text) };
}

bool smtp_client_envelope_is_possible(const struct smtp_client_envelope *e,
                                      const struct smtp_client_capabilities *can,
                                      struct buffer *text, struct smtp_reply *reply_out)
{
    char size_text[96];
    struct smtp_reply r;

    if (!is_safe(e)) {
        r = refusal(553, 1, 3, "Malformed address");
    } else if (can->size_bytes_max > 0 && e->message_bytes > can->size_bytes_max) {
        /* RFC 1870 6.1: it would say so itself. */
        (void)snprintf(size_text, sizeof(size_text),
                       "Message size exceeds the host's limit of %llu",
                       (unsigned long long)can->size_bytes_max);
        r = refusal(552, 3, 4, size_text);
    } else if (!can->smtputf8 && needs_smtputf8(e)) {
        /* RFC 6531 3.5. A domain alone could be coded for the DNS, but the header behind it may
         * hold UTF-8 as well, and is not for us to rewrite. */
        r = refusal(553, 6, 7, "SMTPUTF8 is required, but was not offered by host");
    } else if (e->has_8bit && !can->eight_bit_mime && !e->eight_bit_as_is) {
        /* RFC 6152 section 3: converted or refused; converting breaks signatures. */
        r = refusal(554, 6, 3, "8BITMIME is required, but was not offered by host");
    } else if (e->require_tls && !can->require_tls) {
        r = refusal(550, 7, 30, "REQUIRETLS support required"); /* RFC 8689 4.2.1, section 8 */
    } else {
        return true;
    }
    buffer_clear(text);
    if (buffer_append(text, r.text) != STATUS_OK)
        buffer_clear(text); /* without memory the code must do */
    r.text = buffer_contents(text);
    *reply_out = r;
    return false;
}

/* --- how much of it at a time ---------------------------------------------------------------- */

static struct slice domain_of(struct slice address)
{
    const char *at = address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;

    return at != NULL ? slice_after(address, (size_t)(at - address.data) + 1) : (struct slice){ 0 };
}

size_t smtp_client_envelope_recipients_max(const struct smtp_client_envelope *e,
                                           const struct smtp_client_capabilities *can)
{
    size_t count = e->recipients_count;
    uint32_t domains = 1;

    if (can->recipients_max > 0 && can->recipients_max < count)
        count = can->recipients_max;
    /* A domain counts anew each time that it comes after another. That is never too few, takes one
     * look at each, and is exact where the caller has them in the order of their domains. */
    for (size_t i = 1; i < count && can->recipient_domains_max > 0; i++) {
        if (!slice_equal_nocase(domain_of(e->recipients[i].address),
                                domain_of(e->recipients[i - 1].address)))
            domains++;
        if (domains > can->recipient_domains_max)
            return i;
    }
    return count;
}

/* --- its commands ---------------------------------------------------------------------------- */

static const char *if_said(bool is_said, const char *text)
{
    return is_said ? text : "";
}

/* A value that is none is left out: a report that lacks something is better than mail that does
 * not go. */
static struct slice if_valid(struct slice value, bool is_valid)
{
    return is_valid ? value : (struct slice){ 0 };
}

enum status smtp_client_mail_write(const struct smtp_client_envelope *e,
                                   const struct smtp_client_capabilities *can, struct buffer *out)
{
    static const char *const rets[] = {
        [SMTP_RET_UNSAID] = "",
        [SMTP_RET_FULL] = " RET=FULL",
        [SMTP_RET_HDRS] = " RET=HDRS",
    };
    struct slice envid = if_valid(e->envid, can->dsn && smtp_envid_is_valid(e->envid));
    char size[32] = "";

    /* RFC 1870 section 6, 6152 section 3, 6531 3.4, 3461 5.2.1: parameters only where they are
     * offered. */
    if (can->size && e->message_bytes > 0)
        (void)snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)e->message_bytes);
    return buffer_printf(out, "MAIL FROM:<%.*s>%s%s%s%s%s%s%.*s\r\n", SLICE_ARGS(e->sender), size,
                         if_said(can->eight_bit_mime && e->has_8bit, " BODY=8BITMIME"),
                         if_said(can->smtputf8 && needs_smtputf8(e), " SMTPUTF8"),
                         if_said(e->require_tls, " REQUIRETLS"), if_said(can->dsn, rets[e->ret]),
                         if_said(envid.len > 0, " ENVID="), SLICE_ARGS(envid));
}

enum status smtp_client_rcpt_write(const struct smtp_client_envelope *e, size_t recipient,
                                   const struct smtp_client_capabilities *can, struct buffer *out)
{
    const struct smtp_client_recipient *r = &e->recipients[recipient];
    bool has_notify = can->dsn && smtp_notify_is_valid(r->notify);
    /* RFC 6533 section 3: in a transaction with SMTPUTF8, which any of these is enough for. */
    bool may_be_utf8 = can->smtputf8 && (e->smtputf8 || smtp_has_non_ascii(r->address));
    struct slice orcpt = if_valid(r->orcpt, can->dsn && smtp_orcpt_is_valid(r->orcpt) &&
                                                (may_be_utf8 || !smtp_has_non_ascii(r->orcpt)));

    return buffer_printf(out, "RCPT TO:<%.*s>%s%s%s%.*s\r\n", SLICE_ARGS(r->address),
                         if_said(has_notify, " NOTIFY="),
                         has_notify ? smtp_notify_text(r->notify) : "",
                         if_said(orcpt.len > 0, " ORCPT="), SLICE_ARGS(orcpt));
}
