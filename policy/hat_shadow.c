#include <stdlib.h>

#include "policy/hat_table.h"

/* An address entry is hidden by a lower one whose range holds its own. Sorted by first address, the
 * wider first, whatever may hold a range comes before it; of those the lowest number is wanted
 * that reaches at least as far: the minimum over a suffix of the last addresses, which a
 * Fenwick tree over their ranks keeps. Names: a probe for each suffix. The other forms are few
 * and compared with their tables. */
struct sorted_entry {
    struct policy_range range;
    uint32_t rank; /* of range.last among all */
    bool is_all;   /* holds both families, so one of them says nothing about it */
};

struct shadows {
    const struct policy_hat *hat;
    uint32_t *shadows;
    struct sorted_entry *entries; /* IPv4 from the front, IPv6 from the end */
    size_t v4_count, v6_count;
    uint32_t *rare; /* numbers of the forms that are few */
    size_t rare_count;
    struct sorted_entry *sorted; /* of the family in hand */
    size_t count;
    uint32_t *lowest;    /* the tree */
    uint32_t lowest_all; /* deciding "ALL" */
};

static bool decides(const struct policy_hat *hat, uint32_t number)
{
    return policy_hat_row_decides(&hat->rows[policy_hat_row_of(hat, number)]);
}

static int compare_lasts(const void *left, const void *right)
{
    const struct sorted_entry *a = left, *b = right;

    return a->range.last < b->range.last ? -1 : a->range.last > b->range.last;
}

static int compare_entries(const void *left, const void *right)
{
    const struct sorted_entry *a = left, *b = right;

    if (a->range.first != b->range.first)
        return a->range.first < b->range.first ? -1 : 1;
    if (a->range.last != b->range.last)
        return a->range.last > b->range.last ? -1 : 1;
    return a->range.number < b->range.number ? -1 : a->range.number > b->range.number;
}

/* Ranks count from the end, so that a prefix of the tree is what reaches far enough. */
static void rank_lasts(struct shadows *s)
{
    uint32_t rank = 0;

    qsort(s->sorted, s->count, sizeof(*s->sorted), compare_lasts);
    for (size_t i = s->count; i-- > 0;) {
        if (i + 1 == s->count || s->sorted[i].range.last != s->sorted[i + 1].range.last)
            rank++;
        s->sorted[i].rank = rank;
    }
}

static void tree_add(struct shadows *s, uint32_t rank, uint32_t number)
{
    for (size_t i = rank; i <= s->count; i += i & -i)
        if (number < s->lowest[i])
            s->lowest[i] = number;
}

static uint32_t tree_lowest(const struct shadows *s, uint32_t rank)
{
    uint32_t number = POLICY_HAT_NONE;

    for (size_t i = rank; i > 0; i -= i & -i)
        if (s->lowest[i] < number)
            number = s->lowest[i];
    return number;
}

/* By one of an earlier row that holds it, or by the first of its own that says the same. */
static uint32_t shadow_of(const struct policy_hat *hat, uint32_t number, uint32_t around,
                          uint32_t equal)
{
    uint32_t row = policy_hat_row_of(hat, number);

    if (around < number && policy_hat_row_of(hat, around) < row)
        return around;
    if (equal < number && policy_hat_row_of(hat, equal) == row)
        return equal;
    return POLICY_NO_SHADOW;
}

static bool is_same_range(const struct sorted_entry *a, const struct sorted_entry *b)
{
    return a->range.first == b->range.first && a->range.last == b->range.last;
}

static void sweep(struct shadows *s)
{
    uint32_t equal = POLICY_HAT_NONE; /* the first of the current row with this range */

    qsort(s->sorted, s->count, sizeof(*s->sorted), compare_entries);
    for (size_t i = 0; i < s->count; i++) {
        const struct sorted_entry *e = &s->sorted[i];
        uint32_t number = e->range.number;

        if (i == 0 || !is_same_range(&e[-1], e) ||
            policy_hat_row_of(s->hat, equal) != policy_hat_row_of(s->hat, number))
            equal = number;
        if (!e->is_all)
            s->shadows[number] = shadow_of(s->hat, number, tree_lowest(s, e->rank), equal);
        if (decides(s->hat, number))
            tree_add(s, e->rank, number);
    }
}

static bool is_rare(enum policy_sender_form form)
{
    return form >= POLICY_SENDER_LIST && form <= POLICY_SENDER_COUNTRY;
}

static struct sorted_entry entry_of_all(bool is_v4, uint32_t number)
{
    return (struct sorted_entry){ .is_all = true,
                                  .range.last = is_v4 ? UINT32_MAX : ~(unsigned __int128)0,
                                  .range.number = number };
}

/* Reads each entry once. Every one of them has room, "ALL" in both families. */
static void gather(struct shadows *s, size_t room)
{
    for (uint32_t i = 0; i < s->hat->entries_count; i++) {
        struct policy_sender_entry e = policy_hat_entry(s->hat, i);

        if (e.form == POLICY_SENDER_ALL) {
            s->entries[s->v4_count++] = entry_of_all(true, i);
            s->entries[room - ++s->v6_count] = entry_of_all(false, i);
        } else if (is_rare(e.form)) {
            s->rare[s->rare_count++] = i;
        } else if (e.form == POLICY_SENDER_ADDRESS || e.form == POLICY_SENDER_LOOSE) {
            size_t at = ip_is_v4(&e.range.first) ? s->v4_count++ : room - ++s->v6_count;

            s->entries[at] = (struct sorted_entry){ .range = policy_hat_range(&e.range, i) };
        }
    }
}

static void shadow_addresses(struct shadows *s, struct sorted_entry *entries, size_t count)
{
    s->sorted = entries;
    s->count = count;
    for (size_t i = 0; i <= count; i++)
        s->lowest[i] = POLICY_HAT_NONE;
    rank_lasts(s);
    sweep(s);
}

static void shadow_name(struct shadows *s, uint32_t number, struct slice name,
                        const struct policy_domain_map *names)
{
    struct policy_domain_walk walk = policy_domain_walk_begin(name);
    uint32_t best = s->lowest_all, equal = POLICY_HAT_NONE;
    struct slice key;
    size_t around;

    for (bool is_own = true; policy_domain_walk_next(&walk, &key); is_own = false) {
        if (is_own && policy_domain_map_get(names, key, &around))
            equal = (uint32_t)around;
        if (policy_domain_map_get(&s->hat->names, key, &around) && around < best)
            best = (uint32_t)around;
    }
    s->shadows[number] = shadow_of(s->hat, number, best, equal);
}

/* A name by the same name, or by a partial one above it. A row that continues is not in the HAT's
 * own map, so the first in a row that says the same is found in one of its own. */
static enum status shadow_names(struct shadows *s, struct arena *scratch)
{
    const struct policy_hat *hat = s->hat;

    for (size_t r = 0; r < hat->rows_count; r++) {
        const struct policy_hat_row *row = &hat->rows[r];
        size_t count = row->counts[POLICY_SENDER_NAME] + row->counts[POLICY_SENDER_PARTIAL];
        struct policy_domain_map names;

        if (count == 0)
            continue;
        if (!policy_domain_map_init(&names, scratch, count))
            return STATUS_NO_MEMORY;
        for (uint32_t i = 0; i < row->entries_count; i++) {
            struct policy_sender_entry e = policy_hat_entry(hat, row->entries_first + i);

            if (e.form != POLICY_SENDER_NAME && e.form != POLICY_SENDER_PARTIAL)
                continue;
            policy_domain_map_add(&names, e.name, row->entries_first + i);
            shadow_name(s, row->entries_first + i, e.name, &names);
        }
    }
    return STATUS_OK;
}

/* Whether a matches whatever b does, of two entries of the same kind. */
static bool covers(const struct policy_sender_entry *a, const struct policy_sender_entry *b)
{
    if (a->form != b->form)
        return false;
    switch (a->form) {
    case POLICY_SENDER_LIST:
        return slice_equal_nocase(a->name, b->name) &&
               (!a->has_answer ||
                (b->has_answer && policy_address_range_holds(&a->range, &b->range.first) &&
                 policy_address_range_holds(&a->range, &b->range.last)));
    case POLICY_SENDER_REVERSE: return a->reverse == b->reverse;
    case POLICY_SENDER_SCORE:
        return a->tenths_min <= b->tenths_min && b->tenths_max <= a->tenths_max;
    case POLICY_SENDER_NO_SCORE: return true;
    case POLICY_SENDER_COUNTRY: return memcmp(a->country, b->country, sizeof(a->country)) == 0;
    case POLICY_SENDER_INVALID:
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE:
    case POLICY_SENDER_NAME:
    case POLICY_SENDER_PARTIAL:
    case POLICY_SENDER_ALL: break;
    }
    return false;
}

/* Every pair is looked at: there are not many of these. */
#define RARE_MAX 4096

static void shadow_rare(struct shadows *s)
{
    const uint32_t *rare = s->rare;
    size_t count = s->rare_count;

    for (size_t i = 0; i < count; i++) {
        struct policy_sender_entry e = policy_hat_entry(s->hat, rare[i]);
        uint32_t around = s->lowest_all, equal = POLICY_HAT_NONE;

        for (size_t k = 0; k < i && count <= RARE_MAX; k++) {
            struct policy_sender_entry other = policy_hat_entry(s->hat, rare[k]);

            if (!covers(&other, &e))
                continue;
            if (rare[k] < around && decides(s->hat, rare[k]))
                around = rare[k];
            if (equal == POLICY_HAT_NONE && covers(&e, &other) &&
                policy_hat_row_of(s->hat, rare[k]) == policy_hat_row_of(s->hat, rare[i]))
                equal = rare[k];
        }
        s->shadows[rare[i]] = shadow_of(s->hat, rare[i], around, equal);
    }
}

static uint32_t find_all(const struct policy_hat *hat)
{
    for (size_t r = 0; r < hat->rows_count; r++) {
        const struct policy_hat_row *row = &hat->rows[r];
        uint32_t i = row->entries_first;

        if (!policy_hat_row_decides(row) || row->counts[POLICY_SENDER_ALL] == 0)
            continue;
        while (policy_hat_entry(hat, i).form != POLICY_SENDER_ALL)
            i++;
        return i;
    }
    return POLICY_HAT_NONE;
}

static void shadow_alls(struct shadows *s)
{
    uint32_t equal = POLICY_HAT_NONE; /* the first of the current row */

    for (size_t r = 0; r < s->hat->rows_count; r++, equal = POLICY_HAT_NONE) {
        const struct policy_hat_row *row = &s->hat->rows[r];

        for (uint32_t i = 0; row->counts[POLICY_SENDER_ALL] > 0 && i < row->entries_count; i++) {
            uint32_t number = row->entries_first + i;

            if (policy_hat_entry(s->hat, number).form != POLICY_SENDER_ALL)
                continue;
            s->shadows[number] = shadow_of(s->hat, number, s->lowest_all, equal);
            if (equal == POLICY_HAT_NONE)
                equal = number;
        }
    }
}

enum status policy_hat_shadows(const struct policy_hat *hat, struct arena *scratch,
                               const uint32_t **shadows_out)
{
    struct shadows s = { .hat = hat, .lowest_all = find_all(hat) };
    size_t count = hat->entries_count, room = count;

    for (size_t r = 0; r < hat->rows_count; r++)
        room += hat->rows[r].counts[POLICY_SENDER_ALL];
    s.shadows = arena_take(scratch, count, sizeof(*s.shadows));
    s.entries = arena_take(scratch, room, sizeof(*s.entries));
    s.rare = arena_take(scratch, count, sizeof(*s.rare));
    s.lowest = arena_take(scratch, count + 1, sizeof(*s.lowest));
    if (s.shadows == NULL || s.entries == NULL || s.rare == NULL || s.lowest == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        s.shadows[i] = POLICY_NO_SHADOW;
    gather(&s, room);
    shadow_addresses(&s, s.entries, s.v4_count);
    shadow_addresses(&s, s.entries + room - s.v6_count, s.v6_count);
    shadow_alls(&s);
    shadow_rare(&s);
    TRY(shadow_names(&s, scratch));
    *shadows_out = s.shadows;
    return STATUS_OK;
}
