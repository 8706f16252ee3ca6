#include "policy/scores.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/scores_table.h"
#include "policy/snapshot_table.h"

#define DEPTH_MAX 130 /* strictly longer prefixes inside each other: 0 to 128 bits */

struct policy_score policy_score_find(const struct policy_snapshot *snapshot,
                                      const struct ip_address *address)
{
    const struct policy_scores *s = &snapshot->scores;
    size_t low = 0, high = s->count; /* the answer is below high */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(s->intervals[middle].first.bytes, address->bytes, sizeof(address->bytes)) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !s->intervals[low - 1].is_known)
        return (struct policy_score){ .state = POLICY_SCORE_NONE };
    return (struct policy_score){ POLICY_SCORE_KNOWN, s->intervals[low - 1].tenths };
}

bool policy_score_parse(struct slice text, int *tenths_out)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    struct slice whole, rest;
    uint64_t units, tenths = 0;

    if (is_negative || (text.len > 0 && text.data[0] == '+'))
        text = slice_after(text, 1);
    rest = text;
    whole = slice_cut(&rest, '.');
    if (!slice_to_number(whole, 10, &units) || whole.len > 2)
        return false;
    if (whole.len < text.len && (rest.len != 1 || !slice_to_number(rest, 9, &tenths)))
        return false;
    if (units * 10 + tenths > POLICY_SCORE_TENTHS_MAX)
        return false;
    *tenths_out = (int)(units * 10 + tenths) * (is_negative ? -1 : 1);
    return true;
}

bool policy_score_from_address(const struct ip_address *address, int *tenths_out)
{
    const uint8_t *octets = &address->bytes[12];

    if (!ip_is_v4(address) || octets[0] != 127 || octets[1] != 0 || octets[2] != 4 ||
        octets[3] > POLICY_SCORE_TENTHS_MAX)
        return false;
    *tenths_out = 2 * octets[3] + POLICY_SCORE_TENTHS_MIN;
    return true;
}

const char *policy_score_format(int tenths, char text[static POLICY_SCORE_TEXT_MAX])
{
    int size = abs(tenths);

    (void)snprintf(text, POLICY_SCORE_TEXT_MAX, "%s%d.%d", tenths < 0 ? "-" : "", size / 10 % 100,
                   size % 10);
    return text;
}

/* By first address, the wider first, then as listed: qsort() need not be stable. */
static int compare(const void *left, const void *right)
{
    const struct policy_score_entry *a = left, *b = right;
    int order = memcmp(a->prefix.address.bytes, b->prefix.address.bytes, 16);

    if (order != 0)
        return order;
    if (a->prefix.bits != b->prefix.bits)
        return a->prefix.bits < b->prefix.bits ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The first address behind the prefix; false when it reaches the end of the address space. */
static bool find_end(const struct ip_prefix *p, struct ip_address *end_out)
{
    struct ip_address end = p->address;
    unsigned add;

    if (p->bits == 0)
        return false;
    add = 1u << (7 - (p->bits - 1) % 8);
    for (unsigned i = (p->bits - 1) / 8 + 1; i-- > 0; add = 1) {
        unsigned sum = end.bytes[i] + add;

        end.bytes[i] = (uint8_t)sum;
        if (sum <= UINT8_MAX) {
            *end_out = end;
            return true;
        }
    }
    return false;
}

/* The blocks that are open while the sorted ones are swept, each inside the one before. */
struct sweep {
    struct policy_scores *scores;
    const struct policy_score_entry *open[DEPTH_MAX];
    size_t depth;
};

/* From this address on the innermost open block counts. An interval that would be empty is
 * replaced. */
static void emit(struct sweep *s, const struct ip_address *first)
{
    struct policy_scores *scores = s->scores;
    size_t count = scores->count;

    if (count > 0 && ip_equal(&scores->intervals[count - 1].first, first))
        count--;
    scores->intervals[count++] = (struct policy_score_interval){
        .first = *first,
        .tenths = s->depth > 0 ? (int16_t)s->open[s->depth - 1]->tenths : (int16_t)0,
        .is_known = s->depth > 0,
    };
    scores->count = count;
}

/* Closes every open block that ends before the address begins (NULL: all of them). */
static void close_before(struct sweep *s, const struct ip_address *address)
{
    while (s->depth > 0) {
        const struct ip_prefix *top = &s->open[s->depth - 1]->prefix;
        struct ip_address end;

        if (address != NULL && ip_prefix_contains(top, address))
            return;
        s->depth--;
        if (find_end(top, &end))
            emit(s, &end);
    }
}

enum status policy_scores_compile(struct policy_scores *scores, struct arena *arena,
                                  struct policy_score_entry *entries, size_t count)
{
    struct sweep s = { .scores = scores };

    if (count > POLICY_SCORES_MAX)
        return STATUS_LIMIT;
    /* Each block begins one interval and ends one. */
    scores->intervals = arena_take(arena, 2 * count, sizeof(*scores->intervals));
    if (scores->intervals == NULL)
        return STATUS_NO_MEMORY;
    scores->count = 0;
    for (size_t i = 0; i < count; i++)
        entries[i].number = (uint32_t)i;
    if (count > 0) /* qsort() wants an array even of nothing */
        qsort(entries, count, sizeof(*entries), compare);
    for (size_t i = 0; i < count; i++) {
        const struct ip_prefix *p = &entries[i].prefix;

        close_before(&s, &p->address);
        if (s.depth > 0 && s.open[s.depth - 1]->prefix.bits == p->bits)
            s.depth--; /* said anew */
        ASSERT(s.depth < DEPTH_MAX);
        s.open[s.depth++] = &entries[i];
        emit(&s, &p->address);
    }
    close_before(&s, NULL);
    return STATUS_OK;
}
