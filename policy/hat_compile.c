#include "policy/hat_table.h"

#include <stdlib.h>

#define DEPTH_MAX 130 /* strictly longer prefixes inside each other: 0 to 128 bits */

/* One prefix of the nest that is open while the sorted prefixes are swept. */
struct open_prefix {
    struct ip_prefix prefix;
    size_t best; /* the lowest deciding entry of this prefix and those around it */
};

struct sweep {
    struct policy_hat *hat;
    struct open_prefix open[DEPTH_MAX];
    size_t depth;
};

static bool entry_decides(const struct policy_hat *hat, size_t number)
{
    return policy_hat_row_decides(&hat->rows[hat->entries[number].row]);
}

static bool is_prefix(const struct policy_hat_entry *e)
{
    return e->form == POLICY_SENDER_ADDRESS || e->form == POLICY_SENDER_LOOSE ||
           e->form == POLICY_SENDER_ALL;
}

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->bits == b->bits && ip_equal(&a->address, &b->address);
}

/* By first address, the wider first, then as listed. */
static int compare_entries(const void *left, const void *right)
{
    const struct policy_hat_entry *a = *(const struct policy_hat_entry *const *)left;
    const struct policy_hat_entry *b = *(const struct policy_hat_entry *const *)right;
    int order = memcmp(a->prefix.address.bytes, b->prefix.address.bytes, 16);

    if (order != 0)
        return order;
    if (a->prefix.bits != b->prefix.bits)
        return a->prefix.bits < b->prefix.bits ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The first address behind the prefix; false when it reaches the end of the address space. */
static bool prefix_end(const struct ip_prefix *p, struct ip_address *end_out)
{
    struct ip_address end = p->address;

    if (p->bits == 0)
        return false;
    for (unsigned i = (p->bits - 1) / 8 + 1, add = 1u << (7 - (p->bits - 1) % 8); i-- > 0;
         add = 1) {
        unsigned sum = end.bytes[i] + add;

        end.bytes[i] = (uint8_t)sum;
        if (sum <= 0xff) {
            *end_out = end;
            return true;
        }
    }
    return false;
}

/* From this address on, `entry` is the answer. An interval that would be empty is replaced, one
 * that says what the previous says is left out. */
static void emit(struct policy_hat *hat, const struct ip_address *first, size_t entry)
{
    size_t count = hat->intervals_count;

    if (count > 0 && ip_equal(&hat->intervals[count - 1].first, first))
        count--;
    if (count == 0 || hat->intervals[count - 1].entry != entry)
        hat->intervals[count++] =
            (struct policy_hat_interval){ .first = *first, .entry = (uint32_t)entry };
    hat->intervals_count = count;
}

/* Closes every open prefix that ends before the address begins (NULL: all of them). */
static void close_before(struct sweep *s, const struct ip_address *address)
{
    while (s->depth > 1) {
        const struct open_prefix *top = &s->open[s->depth - 1];
        struct ip_address end;

        if (address != NULL && ip_prefix_contains(&top->prefix, address))
            return;
        s->depth--;
        if (prefix_end(&top->prefix, &end))
            emit(s->hat, &end, s->open[s->depth - 1].best);
    }
}

/* An entry is shadowed by the lowest deciding one around it when that is in an earlier row, or
 * by one of its own row that says the same. */
static size_t shadow_of(const struct policy_hat *hat, size_t number, size_t around, bool is_equal)
{
    if (around == POLICY_NO_ENTRY || around >= number)
        return POLICY_NO_ENTRY;
    if (hat->entries[around].row < hat->entries[number].row)
        return around;
    return is_equal ? around : POLICY_NO_ENTRY;
}

static void sweep_entry(struct sweep *s, struct policy_hat_entry *e)
{
    size_t number = (size_t)(e - s->hat->entries);
    bool decides = entry_decides(s->hat, number);
    struct open_prefix *top;
    bool is_equal;

    close_before(s, &e->prefix.address);
    top = &s->open[s->depth - 1];
    is_equal = s->depth > 1 && prefix_equal(&top->prefix, &e->prefix);
    e->shadowed_by = shadow_of(s->hat, number, top->best, is_equal);
    if (!is_equal) {
        ASSERT(s->depth < DEPTH_MAX);
        s->depth++;
        top[1] = (struct open_prefix){ .prefix = e->prefix, .best = top->best };
        top++;
    }
    if (decides && number < top->best)
        top->best = number;
    if (top->best != POLICY_NO_ENTRY)
        emit(s->hat, &e->prefix.address, top->best);
}

static enum status compile_addresses(struct policy_hat *hat, struct arena *arena,
                                     struct arena *scratch)
{
    struct policy_hat_entry **sorted = arena_take(scratch, hat->entries_count, sizeof(*sorted));
    struct sweep s = { .hat = hat, .depth = 1 };
    size_t count = 0;

    /* Each prefix begins one interval and ends one. */
    hat->intervals = arena_take(arena, 2 * hat->entries_count, sizeof(*hat->intervals));
    if (sorted == NULL || hat->intervals == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < hat->entries_count; i++)
        if (is_prefix(&hat->entries[i]))
            sorted[count++] = &hat->entries[i];
    qsort(sorted, count, sizeof(struct policy_hat_entry *), compare_entries);
    s.open[0].best = POLICY_NO_ENTRY; /* a level below everything */
    for (size_t i = 0; i < count; i++)
        sweep_entry(&s, sorted[i]);
    close_before(&s, NULL);
    ASSERT(hat->intervals_count > 0);
    ASSERT(hat->intervals_count <= 2 * hat->entries_count);
    return STATUS_OK;
}

static void shadow_name(struct policy_hat *hat, size_t number, size_t lowest_all)
{
    struct policy_hat_entry *e = &hat->entries[number];
    struct policy_domain_walk walk = policy_domain_walk_begin(e->text);
    size_t around, best = shadow_of(hat, number, lowest_all, false);
    struct slice key;

    for (bool is_equal = true; policy_domain_walk_next(&walk, &key); is_equal = false) {
        if (!policy_domain_map_get(&hat->names, key, &around))
            continue;
        around = shadow_of(hat, number, around, is_equal);
        if (around < best)
            best = around;
    }
    e->shadowed_by = best;
}

static enum status compile_names(struct policy_hat *hat, struct arena *arena)
{
    size_t names_count = 0, lowest_all = POLICY_NO_ENTRY;

    hat->names_lowest = POLICY_NO_ENTRY;
    for (size_t i = 0; i < hat->entries_count; i++)
        names_count += is_prefix(&hat->entries[i]) ? 0 : 1;
    if (!policy_domain_map_init(&hat->names, arena, names_count))
        return STATUS_NO_MEMORY;
    for (size_t i = hat->entries_count; i-- > 0;)
        if (hat->entries[i].form == POLICY_SENDER_ALL && entry_decides(hat, i))
            lowest_all = i;
    for (size_t i = 0; i < hat->entries_count; i++) {
        if (is_prefix(&hat->entries[i]) || !entry_decides(hat, i))
            continue;
        policy_domain_map_add(&hat->names, policy_domain_normal(hat->entries[i].text), i);
        if (hat->names_lowest == POLICY_NO_ENTRY)
            hat->names_lowest = i;
    }
    for (size_t i = 0; i < hat->entries_count; i++)
        if (!is_prefix(&hat->entries[i]))
            shadow_name(hat, i, lowest_all);
    return STATUS_OK;
}

/* The last row has to settle every host that no other row did. */
static bool settles_all(const struct policy_hat *hat)
{
    const struct policy_hat_row *last =
        hat->rows_count > 0 ? &hat->rows[hat->rows_count - 1] : NULL;

    if (last == NULL || !policy_hat_row_decides(last))
        return false;
    for (size_t i = 0; i < last->entries_count; i++)
        if (hat->entries[last->entries_first + i].form == POLICY_SENDER_ALL)
            return true;
    return false;
}

enum status policy_hat_compile(struct policy_hat *hat, struct arena *arena, struct arena *scratch)
{
    if (!settles_all(hat))
        return STATUS_INVALID;
    if (hat->entries_count > POLICY_HAT_ENTRIES_MAX)
        return STATUS_LIMIT;
    TRY(compile_names(hat, arena));
    return compile_addresses(hat, arena, scratch);
}
