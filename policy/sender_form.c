#include "policy/sender_form.h"

#include "policy/domain_map.h"
#include "policy/scores.h"

#define V4_OFFSET 12 /* of the four bytes of an IPv4 address in its mapped form */

static const char not_a_sender[] =
    "an address, a CIDR block, a range, a host name, \".domain\", dnslist[...], SBRS[...], geo[...]"
    " or \"ALL\"";
static const char not_v4[] = "an IPv4 address, block or range is wanted";
static const char not_v6[] = "an IPv6 address, block or range is wanted";
static const char backwards[] = "the range goes backwards";

/* One piece of IPv4 text, in the order of its parts. */
struct v4_text {
    const char *at;
    const char *end;
    uint32_t value; /* of the octets so far */
    unsigned octets;
};

static struct ip_address v4_address(uint32_t value)
{
    struct ip_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };

    for (unsigned i = 0; i < 4; i++)
        a.bytes[V4_OFFSET + i] = (uint8_t)(value >> (24 - 8 * i));
    return a;
}

/* A leading zero is refused, because some read what follows as octal. */
static const char *take_number(struct v4_text *t, uint32_t max, uint32_t *number_out)
{
    const char *first = t->at;
    uint32_t number = 0;

    while (t->at < t->end && ascii_is_digit(*t->at) && t->at - first < 4)
        number = 10 * number + (uint32_t)(*t->at++ - '0');
    if (t->at == first)
        return not_v4;
    if (*first == '0' && t->at - first > 1)
        return "a number begins with zero";
    if (number > max)
        return max == 32 ? "an IPv4 prefix has at most 32 bits" : "an octet is above 255";
    *number_out = number;
    return NULL;
}

/* "-20" behind the octets, with a dot at the end unless all four are there. */
static const char *take_v4_range(struct v4_text *t, uint32_t low, unsigned shift,
                                 struct policy_address_range *range_out)
{
    uint32_t high;
    const char *why;

    t->at++;
    why = take_number(t, 255, &high);
    if (why != NULL)
        return why;
    if (t->at < t->end && *t->at == '.' && t->octets < 4)
        t->at++;
    if (t->at != t->end)
        return "a range stands in the last given octet";
    if (high < low)
        return backwards;
    range_out->first = v4_address(t->value << shift);
    range_out->last =
        v4_address((t->value - low + high) << shift | (uint32_t)(((uint64_t)1 << shift) - 1));
    return NULL;
}

static const char *take_v4_prefix(struct v4_text *t, unsigned shift,
                                  struct policy_address_range *range_out, bool *loose_out)
{
    uint32_t bits, mask, first = t->value << shift;
    const char *why;

    t->at++;
    why = take_number(t, 32, &bits);
    if (why != NULL)
        return why;
    if (t->at != t->end)
        return not_v4;
    mask = (uint32_t)(((uint64_t)1 << (32 - bits)) - 1);
    *loose_out = (first & mask) != 0;
    range_out->first = v4_address(first & ~mask);
    range_out->last = v4_address(first | mask);
    return NULL;
}

static const char *parse_v4(struct slice text, struct policy_address_range *range_out,
                            bool *loose_out)
{
    struct v4_text t = { .at = text.data, .end = text.data + text.len };
    uint32_t octet;
    const char *why;

    *loose_out = false;
    for (;;) {
        unsigned shift;

        if (t.octets == 4)
            return "it has more than four octets";
        why = take_number(&t, 255, &octet);
        if (why != NULL)
            return why;
        t.value = t.value << 8 | octet;
        shift = 32 - 8 * ++t.octets;
        if (t.at < t.end && *t.at == '-')
            return take_v4_range(&t, octet, shift, range_out);
        if (t.at < t.end && *t.at == '/')
            return take_v4_prefix(&t, shift, range_out, loose_out);
        if (t.at < t.end && *t.at != '.')
            return not_v4;
        if (t.at == t.end || (t.at + 1 == t.end && t.octets < 4)) {
            range_out->first = v4_address(t.value << shift);
            range_out->last = v4_address(t.value << shift | (uint32_t)(((uint64_t)1 << shift) - 1));
            return NULL;
        }
        t.at++;
    }
}

/* What is put together of two pieces of a range in which only one group differs. */
static bool parse_joined(struct slice head, struct slice tail, struct ip_address *address_out)
{
    char text[IP_TEXT_MAX];

    if (head.len + tail.len >= sizeof(text))
        return false;
    memcpy(text, head.data, head.len);
    memcpy(text + head.len, tail.data, tail.len);
    return ip_parse((struct slice){ text, head.len + tail.len }, address_out);
}

static const char *parse_v6_range(struct slice low, struct slice high,
                                  struct policy_address_range *range_out)
{
    struct policy_address_range r;

    if (low.len == 0 || high.len == 0)
        return not_v6;
    if (!ip_parse(low, &r.first) || !ip_parse(high, &r.last)) {
        size_t group = low.len, colon = 0;

        while (group > 0 && low.data[group - 1] != ':')
            group--;
        while (colon < high.len && high.data[colon] != ':')
            colon++;
        if (group == low.len || colon == 0 ||
            !parse_joined(low, slice_after(high, colon), &r.first) ||
            !parse_joined(slice_first(low, group), high, &r.last))
            return not_v6;
    }
    if (ip_is_v4(&r.first) != ip_is_v4(&r.last))
        return "one end of the range is IPv4 and the other IPv6";
    if (memcmp(r.first.bytes, r.last.bytes, sizeof(r.first.bytes)) > 0)
        return backwards;
    *range_out = r;
    return NULL;
}

/* Splits at the bits of a prefix: what is behind them becomes all zero, and all one. */
static bool split_prefix(const struct ip_address *address, unsigned bits,
                         struct policy_address_range *range_out)
{
    bool loose = false;

    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        uint8_t behind = (uint8_t)(0xff >> kept), byte = address->bytes[i];

        loose = loose || (byte & behind) != 0;
        range_out->first.bytes[i] = byte & (uint8_t)~behind;
        range_out->last.bytes[i] = byte | behind;
    }
    return loose;
}

static const char *parse_v6(struct slice text, struct policy_address_range *range_out,
                            bool *loose_out)
{
    struct slice rest = text, head;
    struct ip_address address;
    uint64_t bits = 128;

    *loose_out = false;
    if (memchr(text.data, '-', text.len) != NULL) {
        head = slice_cut(&rest, '-');
        return parse_v6_range(head, rest, range_out);
    }
    head = slice_cut(&rest, '/');
    if (!ip_parse(head, &address))
        return not_v6;
    if (head.len < text.len && !slice_to_number(rest, 128, &bits))
        return "an IPv6 prefix has at most 128 bits";
    *loose_out = split_prefix(&address, (unsigned)bits, range_out);
    return NULL;
}

/* What stands between "WORD[" and "]". */
static bool is_bracketed(struct slice text, const char *word, struct slice *inside_out)
{
    size_t len = strlen(word);

    if (text.len < len + 2 || !slice_is_word(slice_first(text, len), word) ||
        text.data[len] != '[' || text.data[text.len - 1] != ']')
        return false;
    *inside_out = slice_trim(slice_first(slice_after(text, len + 1), text.len - len - 2));
    return true;
}

static bool begins_with(struct slice text, const char *word)
{
    return text.len >= strlen(word) && slice_is_word(slice_first(text, strlen(word)), word);
}

static bool is_v4_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_digit(text.data[i]) && text.data[i] != '.' && text.data[i] != '-' &&
            text.data[i] != '/')
            return false;
    return text.len > 0 && ascii_is_digit(text.data[0]);
}

static const char *parse_list(struct slice inside, struct policy_sender_entry *e)
{
    struct slice zone = slice_cut(&inside, '=');
    bool has_answer = zone.data + zone.len < inside.data + inside.len;
    bool loose;
    const char *why;

    zone = slice_trim(zone);
    inside = slice_trim(inside);
    e->form = POLICY_SENDER_LIST;
    e->name = policy_domain_normal(zone);
    if (!policy_domain_is_valid(zone))
        return "a DNS list is written dnslist[zone.example] or dnslist[zone.example=127.0.0.2]";
    e->has_answer = has_answer;
    if (!has_answer)
        return NULL;
    if (!is_v4_text(inside))
        return "the answer of a DNS list is an IPv4 address, block or range";
    why = parse_v4(inside, &e->range, &loose);
    return why == NULL && loose ? "the answer has bits set behind its prefix" : why;
}

static const char *parse_score(struct slice inside, struct policy_sender_entry *e)
{
    struct slice high = inside, low;

    e->form = POLICY_SENDER_NO_SCORE;
    if (slice_is_word(inside, "none"))
        return NULL;
    e->form = POLICY_SENDER_SCORE;
    low = slice_trim(slice_cut(&high, ':'));
    if (!policy_score_parse(low, &e->tenths_min) ||
        !policy_score_parse(slice_trim(high), &e->tenths_max))
        return "a reputation is written SBRS[-10.0:10.0] or SBRS[none]";
    return e->tenths_min > e->tenths_max ? backwards : NULL;
}

static const char *parse_country(struct slice inside, struct policy_sender_entry *e)
{
    e->form = POLICY_SENDER_COUNTRY;
    if (inside.len != 2 || !ascii_is_letter(inside.data[0]) || !ascii_is_letter(inside.data[1]))
        return "a country is written geo[DE], with the two letters of ISO 3166";
    for (unsigned i = 0; i < 2; i++)
        e->country[i] = (char)(ascii_lower(inside.data[i]) - 'a' + 'A');
    return NULL;
}

static const char *parse_address(struct slice text, bool is_v4, struct policy_sender_entry *e)
{
    bool loose = false;
    const char *why = is_v4 ? parse_v4(text, &e->range, &loose) : parse_v6(text, &e->range, &loose);

    e->form = loose ? POLICY_SENDER_LOOSE : POLICY_SENDER_ADDRESS;
    return why;
}

static const char *parse_name(struct slice text, struct policy_sender_entry *e)
{
    e->name = policy_domain_normal(text);
    for (enum policy_reverse r = POLICY_REVERSE_NONE; r <= POLICY_REVERSE_MISMATCHED; r++) {
        if (!slice_is_word(text, policy_reverse_text(r)))
            continue;
        e->form = POLICY_SENDER_REVERSE;
        e->reverse = r;
        return NULL;
    }
    if (policy_domain_is_partial(text))
        e->form = POLICY_SENDER_PARTIAL;
    else if (policy_domain_is_valid(text))
        e->form = POLICY_SENDER_NAME;
    else if (begins_with(text, "*."))
        return "the hosts below a domain are written .example.com";
    else
        return not_a_sender;
    return NULL;
}

const char *policy_sender_parse(struct slice text, struct policy_sender_entry *entry_out)
{
    struct policy_sender_entry e = { 0 };
    struct slice inside;
    const char *why;

    if (text.len == 0)
        return "it is empty";
    if (text.len > POLICY_SENDER_BYTES_MAX)
        return "it is too long";
    if (memchr(text.data, '\0', text.len) != NULL)
        return not_a_sender;
    if (is_v4_text(text)) {
        why = parse_address(text, true, &e);
    } else if (is_bracketed(text, "SBRS", &inside)) {
        why = parse_score(inside, &e);
    } else if (is_bracketed(text, "dnslist", &inside)) {
        why = parse_list(inside, &e);
    } else if (is_bracketed(text, "geo", &inside)) {
        why = parse_country(inside, &e);
    } else if (begins_with(text, "SBO:")) {
        why = "network owners (SBO) are not supported";
    } else if (memchr(text.data, ':', text.len) != NULL) {
        why = parse_address(text, false, &e);
    } else if (slice_is_word(text, "ALL")) {
        e.form = POLICY_SENDER_ALL;
        why = NULL;
    } else {
        why = parse_name(text, &e);
    }
    if (why == NULL)
        *entry_out = e;
    return why;
}

enum policy_sender_form policy_sender_form(struct slice text)
{
    struct policy_sender_entry e;

    return policy_sender_parse(text, &e) == NULL ? e.form : POLICY_SENDER_INVALID;
}

bool policy_address_range_holds(const struct policy_address_range *range,
                                const struct ip_address *address)
{
    return ip_is_v4(address) == ip_is_v4(&range->first) &&
           memcmp(range->first.bytes, address->bytes, sizeof(address->bytes)) <= 0 &&
           memcmp(address->bytes, range->last.bytes, sizeof(address->bytes)) <= 0;
}

const char *policy_reverse_text(enum policy_reverse reverse)
{
    switch (reverse) {
    case POLICY_REVERSE_NONE: return "nx.domain";
    case POLICY_REVERSE_FAILED: return "serv.fail";
    case POLICY_REVERSE_MISMATCHED: return "not.double.verified";
    case POLICY_REVERSE_UNKNOWN:
    case POLICY_REVERSE_VERIFIED: return "";
    }
    UNREACHABLE();
}
