#include "policy/hat.h"

#include "policy/hat_table.h"

bool policy_hat_row_decides(const struct policy_hat_row *row)
{
    return row->flow->access != POLICY_ACCESS_CONTINUE;
}

struct slice policy_hat_text(const struct policy_hat *hat, uint32_t entry)
{
    ASSERT(entry < hat->entries_count);
    return (struct slice){ .data = hat->texts + hat->offsets[entry],
                           .len = hat->offsets[entry + 1] - hat->offsets[entry] - 1 };
}

struct policy_sender_entry policy_hat_entry(const struct policy_hat *hat, uint32_t entry)
{
    struct policy_sender_entry e;
    const char *why = policy_sender_parse(policy_hat_text(hat, entry), &e);

    ASSERT(why == NULL); /* the builder took it */
    return e;
}

uint32_t policy_hat_row_of(const struct policy_hat *hat, uint32_t entry)
{
    uint32_t row = policy_range_map_find(&hat->row_of, entry);

    ASSERT(entry < hat->entries_count && row < hat->rows_count);
    return row;
}

size_t policy_hat_list_find(const struct policy_hat *hat, struct slice zone)
{
    size_t i = 0;

    while (i < hat->lists_count && !slice_equal_nocase(hat->lists[i].zone, zone))
        i++;
    return i;
}

struct slice policy_hat_known_name(const struct policy_sender *sender)
{
    return policy_domain_walk_begin(sender->name).rest;
}

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t find_address(const struct policy_hat *hat, const struct ip_address *address)
{
    return ip_is_v4(address) ? policy_range_map_find(&hat->v4, policy_range_key(address))
                             : policy_range_map_find_wide(&hat->v6, policy_range_key_wide(address));
}

static uint32_t find_name(const struct policy_hat *hat, struct slice name)
{
    size_t number;

    return policy_domain_map_lowest(&hat->names, name, &number) ? (uint32_t)number
                                                                : POLICY_HAT_NONE;
}

static uint32_t find_reverse(const struct policy_hat *hat, const struct policy_sender *sender)
{
    return sender->reverse == POLICY_REVERSE_VERIFIED ? find_name(hat, sender->name)
                                                      : hat->reverses[sender->reverse];
}

static uint32_t find_score(const struct policy_hat *hat, const struct policy_score *score)
{
    if (hat->scores == NULL)
        return POLICY_HAT_NONE;
    switch (score->state) {
    case POLICY_SCORE_UNKNOWN: break;
    case POLICY_SCORE_KNOWN:
        ASSERT(score->tenths >= POLICY_SCORE_TENTHS_MIN &&
               score->tenths <= POLICY_SCORE_TENTHS_MAX);
        return hat->scores[score->tenths - POLICY_SCORE_TENTHS_MIN];
    case POLICY_SCORE_NONE:
    case POLICY_SCORE_FAILED: return hat->scores[POLICY_HAT_SCORE_NONE];
    }
    return POLICY_HAT_NONE;
}

static uint32_t find_country(const struct policy_hat *hat, const struct policy_sender *sender)
{
    struct slice country = sender->country;
    unsigned first, second;

    if (hat->countries == NULL || !sender->is_country_known || country.len != 2)
        return POLICY_HAT_NONE;
    first = (unsigned)(ascii_lower(country.data[0]) - 'a');
    second = (unsigned)(ascii_lower(country.data[1]) - 'a');
    return first < 26 && second < 26 ? hat->countries[26 * first + second] : POLICY_HAT_NONE;
}

static uint32_t find_listing(const struct policy_hat_list *list,
                             const struct policy_listing *listing)
{
    uint32_t best = list->lowest_any;

    if (listing->state != POLICY_LISTING_LISTED)
        return POLICY_HAT_NONE;
    ASSERT(listing->addresses_count <= POLICY_LISTED_ADDRESSES_MAX);
    for (size_t i = 0; list->answers.levels_count > 0 && i < listing->addresses_count; i++)
        if (ip_is_v4(&listing->addresses[i]))
            best = lower(best, policy_range_map_find(&list->answers,
                                                     policy_range_key(&listing->addresses[i])));
    return best;
}

/* The lowest deciding entry that matches. */
static uint32_t find(const struct policy_hat *hat, const struct policy_sender *sender)
{
    uint32_t best = find_address(hat, &sender->address);

    best = lower(best, find_reverse(hat, sender));
    best = lower(best, find_score(hat, &sender->score));
    best = lower(best, find_country(hat, sender));
    for (size_t i = 0; i < hat->lists_count && i < sender->listings_count; i++)
        if (hat->lists[i].lowest < best)
            best = lower(best, find_listing(&hat->lists[i], &sender->listings[i]));
    ASSERT(best < hat->entries_count);
    return best;
}

struct policy_sender_verdict policy_hat_find(const struct policy_hat *hat,
                                             const struct policy_sender *sender)
{
    uint32_t number = find(hat, sender);
    uint32_t row = policy_hat_row_of(hat, number);

    return (struct policy_sender_verdict){
        .row = row, .number = number, .group = hat->rows[row].group, .flow = hat->rows[row].flow
    };
}

/* What the double lookup could give at best. */
static uint32_t reverse_at_best(const struct policy_hat *hat, const struct policy_sender *known)
{
    struct slice name = policy_hat_known_name(known);
    uint32_t best;

    if (name.len > 0)
        return lower(hat->reverses[POLICY_REVERSE_MISMATCHED], find_name(hat, name));
    best = hat->names_lowest;
    for (size_t i = 0; i < POLICY_HAT_REVERSES; i++)
        best = lower(best, hat->reverses[i]);
    return best;
}

static bool is_listing_unknown(const struct policy_sender *known, size_t list)
{
    return list >= known->listings_count || known->listings[list].state == POLICY_LISTING_UNKNOWN;
}

void policy_hat_needs(const struct policy_hat *hat, const struct policy_sender *known,
                      struct policy_hat_needs *out)
{
    struct policy_hat_needs needs = { 0 };
    /* Numbers rise with the rows, so all that is below the first of the row is in an earlier one.
     */
    uint32_t first = hat->rows[policy_hat_row_of(hat, find(hat, known))].entries_first;

    needs.reverse = known->reverse == POLICY_REVERSE_UNKNOWN && reverse_at_best(hat, known) < first;
    needs.score = known->score.state == POLICY_SCORE_UNKNOWN && hat->scores_lowest < first;
    needs.country = !known->is_country_known && hat->countries_lowest < first;
    for (size_t i = 0; i < hat->lists_count; i++)
        if (is_listing_unknown(known, i) && hat->lists[i].lowest < first)
            needs.listings |= (uint64_t)1 << i;
    needs.any = needs.reverse || needs.score || needs.country || needs.listings != 0;
    *out = needs;
}

size_t policy_hat_lists_count(const struct policy_hat *hat)
{
    return hat->lists_count;
}

struct slice policy_hat_list_zone(const struct policy_hat *hat, size_t list)
{
    ASSERT(list < hat->lists_count);
    return hat->lists[list].zone;
}

void policy_hat_uses(const struct policy_hat *hat, struct policy_hat_needs *out)
{
    const struct policy_sender nothing = { 0 };
    struct policy_hat_needs uses = { .score = hat->scores_lowest != POLICY_HAT_NONE,
                                     .country = hat->countries_lowest != POLICY_HAT_NONE };

    uses.reverse = reverse_at_best(hat, &nothing) != POLICY_HAT_NONE;
    for (size_t i = 0; i < hat->lists_count; i++)
        if (hat->lists[i].lowest != POLICY_HAT_NONE)
            uses.listings |= (uint64_t)1 << i;
    uses.any = uses.reverse || uses.score || uses.country || uses.listings != 0;
    *out = uses;
}

bool policy_hat_relays(const struct policy_hat *hat)
{
    for (size_t i = 0; i < hat->rows_count; i++)
        if (hat->rows[i].flow->access == POLICY_ACCESS_RELAY)
            return true;
    return false;
}

struct slice policy_hat_name(const struct policy_hat *hat)
{
    return hat->name;
}

size_t policy_hat_rows_count(const struct policy_hat *hat)
{
    return hat->rows_count;
}

const struct policy_mail_flow *policy_hat_row_flow(const struct policy_hat *hat, size_t row)
{
    ASSERT(row < hat->rows_count);
    return hat->rows[row].flow;
}

size_t policy_hat_entries_count(const struct policy_hat *hat)
{
    return hat->entries_count;
}

size_t policy_hat_entry_row(const struct policy_hat *hat, size_t entry)
{
    ASSERT(entry < hat->entries_count);
    return policy_hat_row_of(hat, (uint32_t)entry);
}

struct slice policy_hat_entry_text(const struct policy_hat *hat, size_t entry)
{
    ASSERT(entry < hat->entries_count);
    return policy_hat_text(hat, (uint32_t)entry);
}

struct slice policy_hat_entry_group(const struct policy_hat *hat, size_t entry)
{
    return hat->rows[policy_hat_entry_row(hat, entry)].group;
}

bool policy_hat_has_domain(const struct policy_hat *hat, struct slice domain)
{
    char text[POLICY_NAME_BYTES_MAX + 1] = ".";
    size_t number;

    if (domain.len == 0 || domain.len > POLICY_NAME_BYTES_MAX)
        return false;
    memcpy(text + 1, domain.data, domain.len);
    return policy_domain_map_get(&hat->names, (struct slice){ text, domain.len + 1 }, &number);
}

struct policy_range policy_hat_range(const struct policy_address_range *range, uint32_t number)
{
    struct policy_range r = { .number = number };

    if (ip_is_v4(&range->first)) {
        r.first = policy_range_key(&range->first);
        r.last = policy_range_key(&range->last);
    } else {
        r.first = policy_range_key_wide(&range->first);
        r.last = policy_range_key_wide(&range->last);
    }
    return r;
}
