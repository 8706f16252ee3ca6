#include "smtp/xclient.h"

#include <assert.h>

#include "base/check.h"
#include "smtp/address.h"
#include "smtp/xtext.h"

static const char *const attribute_names[] = {
    "NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT",
};
static_assert(ARRAY_LEN(attribute_names) == SMTP_XCLIENT_ATTRIBUTES_COUNT, "each has a name");

static bool attribute_find(struct slice word, enum smtp_xclient_attribute *attribute_out)
{
    for (size_t i = 0; i < ARRAY_LEN(attribute_names); i++)
        if (slice_is_word(word, attribute_names[i])) {
            *attribute_out = (enum smtp_xclient_attribute)i;
            return true;
        }
    return false;
}

static bool text_parse(struct slice value, char lowest, bool may_be_utf8, struct slice *out)
{
    if (value.len == 0 || value.len > SMTP_XCLIENT_TEXT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c < (unsigned char)lowest || c == 0x7f || (c > 0x7f && !may_be_utf8))
            return false;
    }
    if (!smtp_utf8_is_valid(value))
        return false;
    *out = value;
    return true;
}

static bool host_parse(struct slice value, struct slice *out)
{
    return smtp_domain_is_valid(value) && text_parse(value, '!', false, out);
}

/* "An IPv6 address prefixed with IPV6:", as in the literals of RFC 5321 4.1.3, but no brackets. */
static bool address_parse(struct slice value, struct ip_address *out)
{
    const struct slice prefix = SLICE("IPV6:");
    bool is_v6 =
        value.len > prefix.len && slice_equal_nocase(slice_first(value, prefix.len), prefix);

    if (is_v6)
        value = slice_after(value, prefix.len);
    return value.len > 0 && (memchr(value.data, ':', value.len) != NULL) == is_v6 &&
           ip_parse(value, out);
}

static bool port_parse(struct slice value, uint16_t *out)
{
    uint64_t port;

    if (value.len > 5 || !slice_to_number(value, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool protocol_parse(struct slice value, bool *is_esmtp_out)
{
    *is_esmtp_out = slice_is_word(value, "ESMTP");
    return *is_esmtp_out || slice_is_word(value, "SMTP");
}

static bool value_parse(enum smtp_xclient_attribute attribute, struct slice value,
                        struct smtp_xclient *x)
{
    switch (attribute) {
    case SMTP_XCLIENT_NAME: return host_parse(value, &x->name);
    case SMTP_XCLIENT_ADDR: return address_parse(value, &x->address);
    case SMTP_XCLIENT_PORT: return port_parse(value, &x->port);
    case SMTP_XCLIENT_PROTO: return protocol_parse(value, &x->is_esmtp);
    case SMTP_XCLIENT_HELO: return text_parse(value, '!', false, &x->helo);
    case SMTP_XCLIENT_LOGIN: return text_parse(value, ' ', true, &x->login);
    case SMTP_XCLIENT_DESTADDR: return address_parse(value, &x->destination_address);
    case SMTP_XCLIENT_DESTPORT: return port_parse(value, &x->destination_port);
    case SMTP_XCLIENT_ATTRIBUTES_COUNT: break;
    }
    UNREACHABLE();
}

/* One "NAME=value"; *memory is moved behind what was decoded. */
static bool attribute_parse(struct slice text, char **memory, struct smtp_xclient *x)
{
    struct slice rest = text, word = slice_cut(&rest, '=');
    struct slice value = { *memory, 0 };
    enum smtp_xclient_attribute attribute;

    if (!attribute_find(word, &attribute) || x->states[attribute] != SMTP_XCLIENT_ABSENT ||
        !smtp_xtext_decode(rest, SMTP_XTEXT_ANY_CASE, *memory, &value.len))
        return false;
    *memory += value.len;
    if (slice_is_word(value, "[UNAVAILABLE]")) {
        x->states[attribute] = SMTP_XCLIENT_UNAVAILABLE;
        return true;
    }
    if (slice_is_word(value, "[TEMPUNAVAIL]")) {
        x->states[attribute] = SMTP_XCLIENT_TEMPORARY;
        return attribute == SMTP_XCLIENT_NAME;
    }
    x->states[attribute] = SMTP_XCLIENT_GIVEN;
    return value_parse(attribute, value, x);
}

bool smtp_xclient_parse(struct slice arguments, char *memory, struct smtp_xclient *out)
{
    struct smtp_xclient x = { .is_esmtp = false };
    bool has_any = false;

    while ((arguments = slice_trim(arguments)).len > 0) {
        if (!attribute_parse(slice_cut(&arguments, ' '), &memory, &x))
            return false;
        has_any = true;
    }
    if (has_any)
        *out = x;
    return has_any;
}
