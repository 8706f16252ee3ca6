#include "dns/name.h"

#include <assert.h>
#include <stdio.h>

#define REVERSED_MAX 65 /* 32 nibbles with their dots, NUL included */

static bool is_label_byte(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

bool dns_name_is_valid(struct slice name)
{
    size_t label = 0;

    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len >= DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_label_byte(name.data[i]) || ++label > DNS_LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

bool dns_name_copy(struct slice name, char text[static DNS_NAME_MAX])
{
    size_t used = 0;

    if (dns_name_is_valid(name)) {
        if (name.data[name.len - 1] == '.')
            name.len--;
        for (; used < name.len; used++)
            text[used] = ascii_lower(name.data[used]);
    }
    text[used] = '\0';
    return used > 0;
}

/* The labels of the address, each with its dot. */
static size_t reverse(const struct ip_address *a, char text[static REVERSED_MAX])
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;

    if (ip_is_v4(a))
        return (size_t)snprintf(text, REVERSED_MAX, "%u.%u.%u.%u.", a->bytes[15], a->bytes[14],
                                a->bytes[13], a->bytes[12]);
    for (size_t i = sizeof(a->bytes); i-- > 0;) {
        text[used++] = digits[a->bytes[i] & 15];
        text[used++] = '.';
        text[used++] = digits[a->bytes[i] >> 4];
        text[used++] = '.';
    }
    text[used] = '\0';
    return used;
}

static_assert(REVERSED_MAX + sizeof("in-addr.arpa") < DNS_NAME_MAX, "a reversed name always fits");

const char *dns_name_reverse(const struct ip_address *a, char text[static DNS_NAME_MAX])
{
    char labels[REVERSED_MAX];

    (void)reverse(a, labels);
    (void)snprintf(text, DNS_NAME_MAX, "%s%s", labels, ip_is_v4(a) ? "in-addr.arpa" : "ip6.arpa");
    return text;
}

bool dns_name_listed(const struct ip_address *a, struct slice zone, char text[static DNS_NAME_MAX])
{
    char labels[REVERSED_MAX];
    size_t used = reverse(a, labels);

    if (!dns_name_is_valid(zone))
        return false;
    if (zone.data[zone.len - 1] == '.')
        zone.len--;
    if (used + zone.len >= DNS_NAME_MAX)
        return false;
    memcpy(text, labels, used);
    memcpy(text + used, zone.data, zone.len);
    text[used + zone.len] = '\0';
    return true;
}
