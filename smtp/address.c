#include "smtp/address.h"

#include "base/check.h"

#include "base/ip.h"

static bool is_non_ascii(char c)
{
    return ((unsigned char)c & 0x80) != 0;
}

/* RFC 5322 3.2.3, with the UTF-8 of RFC 6531 3.3. */
static bool is_atom_char(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || is_non_ascii(c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* RFC 5321 4.1.2, qtextSMTP and quoted-pairSMTP: printable ASCII and the space. */
static bool is_quotable(char c)
{
    return (c >= ' ' && c <= '~') || is_non_ascii(c);
}

/* The number of bytes behind the lead byte, and the range of the first of them, which is what
 * keeps out overlong forms, surrogates and values above 10FFFF (RFC 3629 section 4). */
static int utf8_tail(unsigned char lead, unsigned char *low_out, unsigned char *high_out)
{
    *low_out = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high_out = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 0;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 1;
    if (lead >= 0xe0 && lead <= 0xef)
        return 2;
    return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

bool smtp_utf8_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char low, high;
        int tail = utf8_tail((unsigned char)text.data[i], &low, &high);

        if (tail < 0 || (size_t)tail >= text.len - i)
            return false;
        for (; tail > 0; tail--) {
            unsigned char c = (unsigned char)text.data[++i];

            if (c < low || c > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

bool smtp_has_non_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_non_ascii(text.data[i]))
            return true;
    return false;
}

/* RFC 5321 4.1.2, sub-domain. The underscore is not in the grammar, but host names in use have it,
 * and refusing their mail would protect nobody. */
static bool is_label_char(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || is_non_ascii(c) || c == '-' || c == '_';
}

static bool label_is_valid(struct slice label)
{
    if (label.len == 0 || label.len > SMTP_LABEL_BYTES_MAX)
        return false;
    if (label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_label_char(label.data[i]))
            return false;
    return true;
}

bool smtp_domain_is_valid(struct slice text)
{
    if (text.len == 0 || text.len > SMTP_DOMAIN_BYTES_MAX || text.data[text.len - 1] == '.')
        return false;
    while (text.len > 0)
        if (!label_is_valid(slice_cut(&text, '.')))
            return false;
    return true;
}

/* RFC 5321 4.1.3. General literals name no protocol that this gateway could speak. */
static bool literal_is_valid(struct slice text)
{
    static const struct slice tag = { "IPv6:", 5 };
    struct slice inner;
    struct ip_address address;

    if (text.len < 2 || text.data[0] != '[' || text.data[text.len - 1] != ']')
        return false;
    inner = slice_first(slice_after(text, 1), text.len - 2);
    if (inner.len > tag.len && slice_equal_nocase(slice_first(inner, tag.len), tag)) {
        inner = slice_after(inner, tag.len);
        return memchr(inner.data, ':', inner.len) != NULL && ip_parse(inner, &address);
    }
    return inner.len > 0 && memchr(inner.data, ':', inner.len) == NULL && ip_parse(inner, &address);
}

/* Length of the local part at the start of text, 0 when there is none. */
static size_t local_span(struct slice text, bool *is_quoted_out)
{
    size_t i = 0;

    *is_quoted_out = text.len > 0 && text.data[0] == '"';
    if (*is_quoted_out) {
        for (i = 1; i < text.len && text.data[i] != '"'; i++) {
            if (text.data[i] == '\\')
                i++;
            if (i >= text.len || !is_quotable(text.data[i]))
                return 0;
        }
        return i < text.len ? i + 1 : 0;
    }
    while (i < text.len && (is_atom_char(text.data[i]) || text.data[i] == '.')) {
        if (text.data[i] == '.' && (i == 0 || text.data[i - 1] == '.'))
            return 0;
        i++;
    }
    return i > 0 && text.data[i - 1] != '.' ? i : 0;
}

/* Length of the name or literal at the start of text. Whether it is valid is asked later. */
static size_t domain_span(struct slice text)
{
    size_t i = 0;

    if (text.len > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);

        return end != NULL ? (size_t)(end - text.data) + 1 : 0;
    }
    while (i < text.len && (is_label_char(text.data[i]) || text.data[i] == '.'))
        i++;
    return i;
}

static bool domain_parse(struct slice text, enum smtp_domain_kind *kind_out)
{
    if (smtp_domain_is_valid(text)) {
        *kind_out = SMTP_DOMAIN_NAME;
        return true;
    }
    if (literal_is_valid(text)) {
        *kind_out = SMTP_DOMAIN_LITERAL;
        return true;
    }
    return false;
}

/* Takes a mailbox off the start of *rest. With allow_bare, the domain may be missing. */
static bool mailbox_take(struct slice *rest, bool allow_bare, struct smtp_mailbox *out)
{
    struct smtp_mailbox m = { 0 };
    struct slice text = *rest;
    size_t local_len = local_span(text, &m.is_quoted);

    if (local_len == 0 || local_len > SMTP_LOCAL_BYTES_MAX)
        return false;
    m.local = slice_first(text, local_len);
    m.whole = m.local;
    text = slice_after(text, local_len);
    if (text.len > 0 && text.data[0] == '@') {
        text = slice_after(text, 1);
        m.domain = slice_first(text, domain_span(text));
        if (!domain_parse(m.domain, &m.domain_kind))
            return false;
        m.whole.len += 1 + m.domain.len;
        text = slice_after(text, m.domain.len);
    } else if (!allow_bare) {
        return false;
    }
    if (m.whole.len > SMTP_MAILBOX_BYTES_MAX || !smtp_utf8_is_valid(m.whole))
        return false;
    m.has_non_ascii = smtp_has_non_ascii(m.whole);
    *rest = text;
    *out = m;
    return true;
}

/* "@a.example,@b.example:" RFC 5321 4.1.1.3: must be accepted, should be ignored. */
static bool source_route_skip(struct slice *rest)
{
    struct slice text = *rest;
    enum smtp_domain_kind kind;

    while (text.len > 0 && text.data[0] == '@') {
        struct slice domain;

        text = slice_after(text, 1);
        domain = slice_first(text, domain_span(text));
        if (!domain_parse(domain, &kind) || !smtp_utf8_is_valid(domain))
            return false;
        text = slice_after(text, domain.len);
        if (text.len > 1 && text.data[0] == ',' && text.data[1] == '@') {
            text = slice_after(text, 1);
            continue;
        }
        if (text.len == 0 || text.data[0] != ':')
            return false;
        *rest = slice_after(text, 1);
        return true;
    }
    return true;
}

bool smtp_path_parse(struct slice *rest, enum smtp_path_kind kind, struct smtp_mailbox *out)
{
    struct smtp_mailbox m = { 0 };
    struct slice text = *rest;

    if (text.len < 2 || text.data[0] != '<')
        return false;
    text = slice_after(text, 1);
    if (kind == SMTP_PATH_FORWARD || text.data[0] != '>') {
        if (!source_route_skip(&text) || !mailbox_take(&text, kind == SMTP_PATH_FORWARD, &m))
            return false;
        if (m.domain_kind == SMTP_DOMAIN_NONE && !slice_is_word(m.local, "postmaster"))
            return false;
    }
    if (text.len == 0 || text.data[0] != '>')
        return false;
    *rest = slice_after(text, 1);
    *out = m;
    return true;
}

bool smtp_mailbox_parse(struct slice text, struct smtp_mailbox *out)
{
    struct smtp_mailbox m;

    if (!mailbox_take(&text, false, &m) || text.len > 0)
        return false;
    *out = m;
    return true;
}

/* The same part of the copy; a part that is not there stays so. */
static struct slice moved(struct slice part, struct slice whole, const char *room)
{
    if (part.len == 0)
        return (struct slice){ 0 };
    ASSERT(part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
    return (struct slice){ room + (part.data - whole.data), part.len };
}

void smtp_mailbox_keep(struct smtp_mailbox *mailbox, char room[static SMTP_MAILBOX_BYTES_MAX])
{
    struct slice whole = mailbox->whole;

    ASSERT(whole.len <= SMTP_MAILBOX_BYTES_MAX);
    if (whole.len > 0)
        memcpy(room, whole.data, whole.len);
    mailbox->local = moved(mailbox->local, whole, room);
    mailbox->domain = moved(mailbox->domain, whole, room);
    mailbox->whole = (struct slice){ room, whole.len };
}
