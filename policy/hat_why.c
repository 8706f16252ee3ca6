#include "policy/hat_why.h"

#include <stdarg.h>
#include <stdio.h>

#include "policy/scores.h"

#define LISTED_MAX      3 /* entries of a kind */
#define NUMBER_TEXT_MAX 32

#define append policy_hat_why_append

void policy_hat_why_append(char why[static POLICY_HAT_WHY_BYTES], const char *format, ...)
{
    size_t used = strlen(why);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why + used, POLICY_HAT_WHY_BYTES - used, format, args);
    va_end(args);
}

/* "1,000,000" */
static const char *number_text(size_t number, char text[static NUMBER_TEXT_MAX])
{
    char digits[NUMBER_TEXT_MAX];
    int count = snprintf(digits, sizeof(digits), "%zu", number);
    size_t used = 0;

    for (int i = 0; i < count && used < NUMBER_TEXT_MAX - 2; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

static const char *reverse_result(const struct policy_sender *sender)
{
    switch (sender->reverse) {
    case POLICY_REVERSE_UNKNOWN: return "was not looked up";
    case POLICY_REVERSE_VERIFIED: return "is verified";
    case POLICY_REVERSE_NONE: return "is missing: there is no PTR record (nx.domain)";
    case POLICY_REVERSE_FAILED: return "is not known: the PTR lookup failed (serv.fail)";
    case POLICY_REVERSE_MISMATCHED: return "is not verified (not.double.verified)";
    }
    UNREACHABLE();
}

/* "the host name mail.example is not verified (not.double.verified)" */
static void append_reverse(char why[static POLICY_HAT_WHY_BYTES],
                           const struct policy_sender *sender)
{
    append(why, "the host name %.*s%s%s", SLICE_ARGS(sender->name), sender->name.len > 0 ? " " : "",
           reverse_result(sender));
}

static void append_address_match(char why[static POLICY_HAT_WHY_BYTES],
                                 const struct policy_sender_entry *e, struct slice text,
                                 const struct ip_address *address)
{
    char address_text[IP_TEXT_MAX];

    ip_format(address, address_text);
    if (ip_equal(&e->range.first, &e->range.last))
        append(why, "the address is %s", address_text);
    else
        append(why, "%s is in %.*s", address_text, SLICE_ARGS(text));
}

void policy_hat_why(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                    uint32_t entry, const struct policy_sender *sender)
{
    struct policy_sender_entry e = policy_hat_entry(hat, entry);
    struct slice text = policy_hat_text(hat, entry), name = policy_hat_known_name(sender);
    char score[POLICY_SCORE_TEXT_MAX];

    switch (e.form) {
    case POLICY_SENDER_INVALID: UNREACHABLE();
    case POLICY_SENDER_ALL: append(why, "ALL matches every host"); return;
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE: append_address_match(why, &e, text, &sender->address); return;
    case POLICY_SENDER_NAME: append(why, "the verified name is %.*s", SLICE_ARGS(name)); return;
    case POLICY_SENDER_PARTIAL:
        append(why, "the verified name %.*s is below %.*s", SLICE_ARGS(name), SLICE_ARGS(text));
        return;
    case POLICY_SENDER_LIST:
        append(why, "the list %.*s has it: %.*s", SLICE_ARGS(e.name), SLICE_ARGS(text));
        return;
    case POLICY_SENDER_REVERSE: append_reverse(why, sender); return;
    case POLICY_SENDER_SCORE:
        append(why, "the score %s is in %.*s", policy_score_format(sender->score.tenths, score),
               SLICE_ARGS(text));
        return;
    case POLICY_SENDER_NO_SCORE:
        append(why, sender->score.state == POLICY_SCORE_FAILED ? "the score could not be found out"
                                                               : "the host has no score");
        return;
    case POLICY_SENDER_COUNTRY:
        append(why, "the country is %.*s", SLICE_ARGS(sender->country));
        return;
    }
}

/* Entries that are told together. */
struct kind {
    enum policy_sender_form first, second;
};

static const struct kind addresses = { POLICY_SENDER_ADDRESS, POLICY_SENDER_LOOSE };
static const struct kind names = { POLICY_SENDER_NAME, POLICY_SENDER_PARTIAL };
static const struct kind reverses = { POLICY_SENDER_REVERSE, POLICY_SENDER_REVERSE };
static const struct kind scores = { POLICY_SENDER_SCORE, POLICY_SENDER_NO_SCORE };
static const struct kind countries = { POLICY_SENDER_COUNTRY, POLICY_SENDER_COUNTRY };

static size_t count_kind(const struct policy_hat_row *row, struct kind kind)
{
    return row->counts[kind.first] +
           (kind.second != kind.first ? row->counts[kind.second] : (size_t)0);
}

/* Appends the first entries of a kind in the row, and how many more there are. */
static void append_kind(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                        const struct policy_hat_row *row, struct kind kind)
{
    size_t listed = 0, count = count_kind(row, kind);
    char number[NUMBER_TEXT_MAX];

    for (uint32_t i = 0; i < row->entries_count && listed < LISTED_MAX && listed < count; i++) {
        struct policy_sender_entry e = policy_hat_entry(hat, row->entries_first + i);

        if (e.form == kind.first || e.form == kind.second)
            append(why, "%s%.*s", listed++ > 0 ? ", " : "",
                   SLICE_ARGS(policy_hat_text(hat, row->entries_first + i)));
    }
    if (count > listed)
        append(why, " and %s more", number_text(count - listed, number));
}

static bool has_entry(const struct policy_hat_row *row, size_t number)
{
    return number >= row->entries_first && number - row->entries_first < row->entries_count;
}

/* The dot in front of a domain is forgotten, and typed, by mistake. The map of names knows one
 * entry for each text; a row that says the same later is told without the hint. */
static void append_dot_hint(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                            const struct policy_hat_row *row, struct slice name)
{
    char dotted[POLICY_NAME_BYTES_MAX + 1] = ".";
    struct policy_domain_walk walk = policy_domain_walk_begin(name);
    struct slice key;
    size_t number;

    while (policy_domain_walk_next(&walk, &key)) {
        if (key.data[0] != '.')
            continue;
        key = slice_after(key, 1);
        if (policy_domain_map_get(&hat->names, key, &number) && has_entry(row, number))
            append(why, " (%.*s names one host; .%.*s would match the hosts below it)",
                   SLICE_ARGS(key), SLICE_ARGS(key));
    }
    if (name.len == 0 || name.len > POLICY_NAME_BYTES_MAX)
        return;
    memcpy(dotted + 1, name.data, name.len);
    key = (struct slice){ .data = dotted, .len = name.len + 1 };
    if (policy_domain_map_get(&hat->names, key, &number) && has_entry(row, number))
        append(why, " (%.*s matches the hosts below the domain, not %.*s itself)", SLICE_ARGS(key),
               SLICE_ARGS(name));
}

static void append_names(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                         const struct policy_hat_row *row, const struct policy_sender *sender)
{
    struct slice name = policy_hat_known_name(sender);
    size_t number;

    if (sender->reverse == POLICY_REVERSE_VERIFIED) {
        append(why, "the verified name %.*s is not ", SLICE_ARGS(name));
        append_kind(why, hat, row, names);
        append_dot_hint(why, hat, row, name);
        return;
    }
    append_reverse(why, sender);
    append(why, ", so it is not compared with ");
    append_kind(why, hat, row, names);
    if (policy_domain_map_lowest(&hat->names, name, &number) && has_entry(row, number))
        append(why, ", of which %.*s would match",
               SLICE_ARGS(policy_hat_text(hat, (uint32_t)number)));
}

static void append_scores(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                          const struct policy_hat_row *row, const struct policy_sender *sender)
{
    char score[POLICY_SCORE_TEXT_MAX];

    switch (sender->score.state) {
    case POLICY_SCORE_UNKNOWN: append(why, "the score was not asked for: "); break;
    case POLICY_SCORE_KNOWN:
        append(why, "the score %s is outside ", policy_score_format(sender->score.tenths, score));
        break;
    case POLICY_SCORE_NONE: append(why, "the host has no score: "); break;
    case POLICY_SCORE_FAILED: append(why, "the score could not be found out: "); break;
    }
    append_kind(why, hat, row, scores);
}

static void append_countries(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                             const struct policy_hat_row *row, const struct policy_sender *sender)
{
    if (!sender->is_country_known)
        append(why, "the country was not looked up: ");
    else if (sender->country.len == 0)
        append(why, "the country is not known: ");
    else
        append(why, "the country %.*s is not ", SLICE_ARGS(sender->country));
    append_kind(why, hat, row, countries);
}

static void append_listing(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                           size_t list, const struct policy_sender *sender)
{
    const struct policy_listing *l = list < sender->listings_count ? &sender->listings[list] : NULL;
    char address[IP_TEXT_MAX];

    append(why, "the list %.*s ", SLICE_ARGS(hat->lists[list].zone));
    switch (l != NULL ? l->state : POLICY_LISTING_UNKNOWN) {
    case POLICY_LISTING_UNKNOWN: append(why, "was not asked"); break;
    case POLICY_LISTING_NOT_LISTED: append(why, "does not have it"); break;
    case POLICY_LISTING_FAILED: append(why, "failed"); break;
    case POLICY_LISTING_LISTED:
        append(why, "has it with other answers than the row wants");
        for (size_t i = 0; i < l->addresses_count; i++)
            append(why, "%s%s", i > 0 ? ", " : ": ", ip_format(&l->addresses[i], address));
        break;
    }
}

void policy_hat_why_not(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                        const struct policy_hat_row *row, const struct policy_sender *sender)
{
    char address[IP_TEXT_MAX];
    const char *then = "";

    if (row->entries_count == 0)
        append(why, "the row has no senders");
    if (count_kind(row, addresses) > 0) {
        append(why, "%s is not in ", ip_format(&sender->address, address));
        append_kind(why, hat, row, addresses);
        then = "; ";
    }
    if (count_kind(row, names) > 0) {
        append(why, "%s", then);
        append_names(why, hat, row, sender);
        then = "; ";
    }
    if (count_kind(row, reverses) > 0) {
        append(why, "%s", then);
        append_reverse(why, sender);
        append(why, ", not ");
        append_kind(why, hat, row, reverses);
        then = "; ";
    }
    for (size_t i = 0; i < hat->lists_count; i++) {
        if ((row->listings >> i & 1) == 0)
            continue;
        append(why, "%s", then);
        append_listing(why, hat, i, sender);
        then = "; ";
    }
    if (count_kind(row, scores) > 0) {
        append(why, "%s", then);
        append_scores(why, hat, row, sender);
        then = "; ";
    }
    if (count_kind(row, countries) > 0) {
        append(why, "%s", then);
        append_countries(why, hat, row, sender);
    }
}

void policy_hat_why_unknown(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                            const struct policy_hat_needs *unknown)
{
    const char *then = "it looks at ";

    if (unknown->reverse) {
        append(why, "%sthe host name", then);
        then = ", ";
    }
    for (size_t i = 0; i < hat->lists_count; i++) {
        if ((unknown->listings >> i & 1) == 0)
            continue;
        append(why, "%s%.*s", then, SLICE_ARGS(hat->lists[i].zone));
        then = ", ";
    }
    if (unknown->score) {
        append(why, "%sthe score", then);
        then = ", ";
    }
    if (unknown->country)
        append(why, "%sthe country", then);
}
