#include "config/asyncos_sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/ip.h"
#include "config/asyncos_country.h"
#include "policy/domain_map.h"
#include "policy/scores.h"
#include "policy/sender.h"

#define OCTETS         4
#define OCTET_MAX      255
#define V4_BITS        32
#define V6_BITS        128
#define V6_TEXT_MAX    64
#define HEXTET_LETTERS 4

/* The three outcomes of the double lookup, as conditions of a sender group. */
static const char *const lookup_words[] = { "nx.domain", "serv.fail", "not.double.verified" };

static bool has_only(struct slice text, const char *letters)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(letters, text.data[i]) == NULL)
            return false;
    return text.len > 0;
}

static bool has(struct slice text, char c)
{
    return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

/* Without zeroes in front, which some would read as octal. Serves for prefixes too. */
static bool read_octet(struct slice text, uint64_t *octet_out)
{
    return (text.len == 1 || (text.len > 1 && text.data[0] != '0')) &&
           slice_to_number(text, OCTET_MAX, octet_out);
}

/* One octet, or with is_last a range of them; *low_out is its lower end. */
static bool read_octet_range(struct slice text, bool is_last, uint64_t *low_out)
{
    bool has_range = has(text, '-');
    struct slice low = slice_cut(&text, '-');
    uint64_t high;

    if (!read_octet(low, low_out))
        return false;
    return !has_range || (is_last && read_octet(text, &high) && *low_out <= high);
}

/* "10.1.1.10-20", "10.1.": up to four octets, the last of them perhaps a range. What is not
 * written is 0. */
static bool read_octets(struct slice text, uint64_t octets[static OCTETS])
{
    bool has_dot_behind = text.len > 1 && text.data[text.len - 1] == '.', has_more = true;
    size_t count = 0;

    text.len -= has_dot_behind ? 1 : 0;
    while (has_more) {
        struct slice octet;

        has_more = has(text, '.');
        octet = slice_cut(&text, '.');
        if (count == OCTETS || !read_octet_range(octet, !has_more, &octets[count]))
            return false;
        count++;
    }
    return count < OCTETS || !has_dot_behind;
}

/* The same, or a network: "10/8", which has neither a range nor a dot at the end. */
static enum config_asyncos_sender_result convert_v4(struct slice text, char *entry,
                                                    const char **why_out)
{
    char full[IP_TEXT_MAX + OCTETS], address[IP_TEXT_MAX];
    uint64_t octets[OCTETS] = { 0 }, bits;
    bool has_prefix = has(text, '/'), is_loose;
    struct slice rest = text, body = slice_cut(&rest, '/');
    struct ip_prefix prefix;

    *why_out = "not an IPv4 address, network or range";
    if (!read_octets(body, octets))
        return CONFIG_ASYNCOS_SENDER_INVALID;
    if (!has_prefix)
        return CONFIG_ASYNCOS_SENDER_SAME;
    if (has(body, '-') || body.data[body.len - 1] == '.' || !read_octet(rest, &bits) ||
        bits > V4_BITS)
        return CONFIG_ASYNCOS_SENDER_INVALID;
    (void)snprintf(full, sizeof(full), "%u.%u.%u.%u/%u", (unsigned)octets[0], (unsigned)octets[1],
                   (unsigned)octets[2], (unsigned)octets[3], (unsigned)bits);
    if (!ip_prefix_parse(slice_from(full), &prefix, &is_loose))
        return CONFIG_ASYNCOS_SENDER_INVALID;
    if (!is_loose)
        return CONFIG_ASYNCOS_SENDER_SAME;
    (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "%s/%u", ip_format(&prefix.address, address),
                   (unsigned)bits);
    *why_out = "has bits set behind its prefix";
    return CONFIG_ASYNCOS_SENDER_CHANGED;
}

static bool hextet(struct slice text, unsigned *value_out)
{
    unsigned value = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.data[i]);

        value = value * 16 + (unsigned)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *value_out = value;
    return text.len > 0 && text.len <= HEXTET_LETTERS && has_only(text, "0123456789abcdefABCDEF");
}

/* "2001:db8::1-ff", where with either end of the range it has to be an address; or two whole
 * addresses. */
static bool is_v6_range(struct slice text)
{
    char address[V6_TEXT_MAX];
    struct ip_address parsed, last;
    const char *dash = memchr(text.data, '-', text.len);
    size_t at = dash != NULL ? (size_t)(dash - text.data) : 0, from = at, to = at + 1;
    unsigned low, high;

    if (dash == NULL)
        return false;
    while (from > 0 && text.data[from - 1] != ':')
        from--;
    while (to < text.len && text.data[to] != ':')
        to++;
    if (ip_parse(slice_first(text, at), &parsed) && ip_parse(slice_after(text, at + 1), &last))
        return ip_is_v4(&parsed) == ip_is_v4(&last) &&
               memcmp(parsed.bytes, last.bytes, sizeof(last.bytes)) <= 0;
    if (!hextet((struct slice){ text.data + from, at - from }, &low) ||
        !hextet((struct slice){ text.data + at + 1, to - at - 1 }, &high) || low > high)
        return false;
    (void)snprintf(address, sizeof(address), "%.*s%.*s", SLICE_ARGS(slice_first(text, at)),
                   SLICE_ARGS(slice_after(text, to)));
    return ip_parse(slice_from(address), &parsed);
}

static enum config_asyncos_sender_result convert_v6(struct slice text, char *entry,
                                                    const char **why_out)
{
    char address[IP_TEXT_MAX];
    struct ip_prefix prefix;
    bool is_loose;

    *why_out = "not an IPv6 address, network or range";
    if (has(text, '-'))
        return is_v6_range(text) ? CONFIG_ASYNCOS_SENDER_SAME : CONFIG_ASYNCOS_SENDER_INVALID;
    if (!ip_prefix_parse(text, &prefix, &is_loose))
        return CONFIG_ASYNCOS_SENDER_INVALID;
    if (!is_loose)
        return CONFIG_ASYNCOS_SENDER_SAME;
    (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "%s/%u", ip_format(&prefix.address, address),
                   ip_is_v4(&prefix.address) ? prefix.bits - (V6_BITS - V4_BITS) : prefix.bits);
    *why_out = "has bits set behind its prefix";
    return CONFIG_ASYNCOS_SENDER_CHANGED;
}

static enum config_asyncos_sender_result convert_score(struct slice inside, char *entry,
                                                       const char **why_out)
{
    struct slice rest = inside, from = slice_trim(slice_cut(&rest, ':'));
    int low, high;

    if (slice_is_word(inside, "none")) {
        (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "SBRS[none]");
        return CONFIG_ASYNCOS_SENDER_SPELT;
    }
    rest = slice_trim(rest);
    if (!policy_score_parse(from, &low) || !policy_score_parse(rest, &high) || low > high) {
        *why_out = "not a range of scores from -10.0 to 10.0, the lower one first";
        return CONFIG_ASYNCOS_SENDER_INVALID;
    }
    (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "SBRS[%s%d.%d:%s%d.%d]", low < 0 ? "-" : "",
                   abs(low) / 10, abs(low) % 10, high < 0 ? "-" : "", abs(high) / 10,
                   abs(high) % 10);
    return CONFIG_ASYNCOS_SENDER_SPELT;
}

/* "WORD[inside]". */
static enum config_asyncos_sender_result convert_condition(struct slice text, char *entry,
                                                           const char **why_out)
{
    struct slice inside = text, word = slice_cut(&inside, '[');
    const char *code;

    *why_out = "nothing may stand behind \"]\"";
    if (inside.len == 0 || inside.data[inside.len - 1] != ']' ||
        memchr(inside.data, ']', inside.len - 1) != NULL)
        return CONFIG_ASYNCOS_SENDER_INVALID;
    inside = slice_trim(slice_first(inside, inside.len - 1));
    if (slice_is_word(word, "sbrs"))
        return convert_score(inside, entry, why_out);
    if (slice_is_word(word, "dnslist")) {
        *why_out = "the name of a DNS list has to be a domain";
        if (!policy_domain_is_valid(inside))
            return CONFIG_ASYNCOS_SENDER_INVALID;
        (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "dnslist[%.*s]", SLICE_ARGS(inside));
        return CONFIG_ASYNCOS_SENDER_SPELT;
    }
    if (slice_is_word(word, "geo")) {
        code = config_asyncos_country_code(inside);
        *why_out = "no country of that name in ISO 3166-1; write geo[XX] with its code";
        if (code == NULL)
            return CONFIG_ASYNCOS_SENDER_FOREIGN;
        (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "geo[%s]", code);
        return CONFIG_ASYNCOS_SENDER_SPELT;
    }
    *why_out = "Postern has no such condition";
    return CONFIG_ASYNCOS_SENDER_FOREIGN;
}

static enum config_asyncos_sender_result convert_name(struct slice text, char *entry,
                                                      const char **why_out)
{
    struct slice normal = policy_domain_normal(text);

    for (size_t i = 0; i < ARRAY_LEN(lookup_words); i++)
        if (slice_is_word(text, lookup_words[i])) {
            (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "%s", lookup_words[i]);
            return CONFIG_ASYNCOS_SENDER_SPELT;
        }
    *why_out = "not a sender: an address, network or range, a host name, \".domain\", SBRS[], "
               "dnslist[], geo[] or ALL";
    if (text.len > 1 && text.data[0] == '*' && policy_domain_is_partial(slice_after(text, 1))) {
        *why_out = "not a sender: the hosts below a domain are written \".domain\"";
        return CONFIG_ASYNCOS_SENDER_INVALID;
    }
    if (!policy_domain_is_valid(normal) && !policy_domain_is_partial(normal))
        return CONFIG_ASYNCOS_SENDER_INVALID;
    if (normal.len == text.len)
        return CONFIG_ASYNCOS_SENDER_SAME;
    (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "%.*s", SLICE_ARGS(normal));
    return CONFIG_ASYNCOS_SENDER_SPELT;
}

enum config_asyncos_sender_result config_asyncos_sender_convert(
    struct slice text, char entry[static CONFIG_ASYNCOS_SENDER_MAX], const char **why_out)
{
    if (slice_is_word(text, "ALL")) {
        (void)snprintf(entry, CONFIG_ASYNCOS_SENDER_MAX, "ALL");
        return CONFIG_ASYNCOS_SENDER_SPELT;
    }
    if (text.len > 4 && slice_is_word(slice_first(text, 4), "SBO:")) {
        *why_out = "network owners are known to SenderBase only";
        return CONFIG_ASYNCOS_SENDER_FOREIGN;
    }
    if (has(text, '['))
        return convert_condition(text, entry, why_out);
    if (has_only(text, "0123456789.-/"))
        return convert_v4(text, entry, why_out);
    if (has(text, ':'))
        return convert_v6(text, entry, why_out);
    return convert_name(text, entry, why_out);
}
