#include "policy/range_map.h"

#include <assert.h>
#include <stdlib.h>

#define LINE_BYTES     64
#define NARROW_FAN_OUT 16 /* starts in a line */
#define WIDE_FAN_OUT   8  /* first halves of starts */
#define NARROW_LEAF    8  /* starts in a line with their pieces */
#define WIDE_LEAF      5

/* A filter takes FILTER_BYTES, so it pays with many pieces only. */
#define FILTER_BITS       8 /* of a key that share a bit */
#define FILTER_BYTES      ((size_t)1 << (32 - FILTER_BITS - 3))
#define FILTER_PIECES_MIN ((size_t)1 << 18)

struct narrow_leaf {
    uint32_t starts[NARROW_LEAF];
    uint32_t pieces[NARROW_LEAF];
};

struct wide_leaf {
    uint64_t starts[WIDE_LEAF]; /* their first halves */
    uint32_t pieces[WIDE_LEAF];
    uint32_t unused;
};

static_assert(sizeof(struct narrow_leaf) == LINE_BYTES, "a node is a line");
static_assert(sizeof(struct wide_leaf) == LINE_BYTES, "a node is a line");

/* The six bits above the number of a piece: it ends where the next one begins, or it is a block of
 * 2^(size * step) addresses, with no piece behind them. */
#define SIZE_OPEN   63u
#define NARROW_STEP 1u
#define WIDE_STEP   2u

static_assert((uint64_t)(SIZE_OPEN + 1) << POLICY_RANGE_NUMBER_BITS == (uint64_t)1 << 32,
              "a piece is 32 bits");

/* From this start on, number is the answer. */
struct boundary {
    unsigned __int128 start;
    uint32_t number;
};

/* The ranges that are open at the point the sweep has come to, as a heap: the lowest number in
 * front. One that has ended is taken out when it comes to the front. */
struct sweep {
    const struct policy_range *ranges;
    uint32_t *heap;
    size_t heap_count;
    struct boundary *boundaries;
    size_t boundaries_count;
};

static uint64_t load_big_endian(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return __builtin_bswap64(word);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_big_endian() swaps");

uint32_t policy_range_key(const struct ip_address *a)
{
    return (uint32_t)load_big_endian(a->bytes + 8);
}

unsigned __int128 policy_range_key_wide(const struct ip_address *a)
{
    return (unsigned __int128)load_big_endian(a->bytes) << 64 | load_big_endian(a->bytes + 8);
}

static int compare_ranges(const void *left, const void *right)
{
    const struct policy_range *a = left, *b = right;

    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static bool is_lower(const struct sweep *s, size_t a, size_t b)
{
    return s->ranges[s->heap[a]].number < s->ranges[s->heap[b]].number;
}

static void swap(struct sweep *s, size_t a, size_t b)
{
    uint32_t kept = s->heap[a];

    s->heap[a] = s->heap[b];
    s->heap[b] = kept;
}

static void push(struct sweep *s, size_t range)
{
    size_t at = s->heap_count++;

    s->heap[at] = (uint32_t)range;
    for (; at > 0 && is_lower(s, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(s, at, (at - 1) / 2);
}

static void pop(struct sweep *s)
{
    size_t at = 0, child;

    s->heap[0] = s->heap[--s->heap_count];
    while ((child = 2 * at + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && is_lower(s, child + 1, child))
            child++;
        if (!is_lower(s, child, at))
            return;
        swap(s, at, child);
        at = child;
    }
}

/* A boundary that would stand where the previous one does replaces it; one that says what the
 * previous says is left out. */
static void emit(struct sweep *s, unsigned __int128 start, uint32_t number)
{
    size_t count = s->boundaries_count;

    if (count > 0 && s->boundaries[count - 1].start == start)
        count--;
    if (count == 0 || s->boundaries[count - 1].number != number)
        s->boundaries[count++] = (struct boundary){ start, number };
    s->boundaries_count = count;
}

/* Ends the ranges that end before `to`, and those at the end of all keys never. */
static void close_before(struct sweep *s, unsigned __int128 to)
{
    while (s->heap_count > 0 && s->ranges[s->heap[0]].last < to) {
        unsigned __int128 last = s->ranges[s->heap[0]].last;

        do
            pop(s);
        while (s->heap_count > 0 && s->ranges[s->heap[0]].last <= last);
        emit(s, last + 1, s->heap_count > 0 ? s->ranges[s->heap[0]].number : POLICY_RANGE_NONE);
    }
}

static void sweep_ranges(struct sweep *s, size_t count, unsigned __int128 key_max)
{
    emit(s, 0, POLICY_RANGE_NONE); /* so that every key has a boundary before it */
    for (size_t i = 0; i < count; i++) {
        ASSERT(s->ranges[i].first <= s->ranges[i].last && s->ranges[i].last <= key_max);
        ASSERT(s->ranges[i].number < POLICY_RANGE_NONE);
        close_before(s, s->ranges[i].first);
        push(s, i);
        emit(s, s->ranges[i].first, s->ranges[s->heap[0]].number);
    }
    close_before(s, key_max);
}

/* The size of the piece that begins with boundary i: SIZE_OPEN, unless what follows is the other
 * number and the piece has a size that can be said. */
static uint32_t piece_size(const struct sweep *s, size_t i, uint32_t other, unsigned step)
{
    unsigned __int128 addresses;
    unsigned bits = 0;

    if (i + 1 == s->boundaries_count || s->boundaries[i + 1].number != other)
        return SIZE_OPEN;
    addresses = s->boundaries[i + 1].start - s->boundaries[i].start;
    while (addresses >> bits > 1)
        bits++;
    if (addresses != (unsigned __int128)1 << bits ||
        (s->boundaries[i].start & (addresses - 1)) != 0 || bits % step != 0 ||
        bits / step >= SIZE_OPEN)
        return SIZE_OPEN;
    return bits / step;
}

/* Drops the boundaries that the size of the piece before them says already, and gives each that
 * stays its piece. */
static size_t make_pieces(struct sweep *s, uint32_t other, unsigned step, uint32_t *pieces)
{
    size_t count = 0;

    for (size_t i = 0; i < s->boundaries_count; i++) {
        uint32_t size = piece_size(s, i, other, step);

        s->boundaries[count] = s->boundaries[i];
        pieces[count++] = size << POLICY_RANGE_NUMBER_BITS | s->boundaries[i].number;
        if (size != SIZE_OPEN)
            i++;
    }
    return count;
}

static void *take_lines(struct arena *arena, size_t count, size_t bytes)
{
    char *piece = arena_take(arena, count * bytes + LINE_BYTES, 1);
    size_t over = (uintptr_t)piece % LINE_BYTES;

    return piece == NULL || over == 0 ? piece : piece + (LINE_BYTES - over);
}

/* Leaves are filled up with the highest start, which a lookup does not go beyond. */
static enum status build_leaves(struct policy_range_map *m, const struct sweep *s,
                                const uint32_t *pieces, bool is_wide, struct arena *arena)
{
    size_t per_leaf = is_wide ? WIDE_LEAF : NARROW_LEAF;
    size_t leaves_count = (m->count + per_leaf - 1) / per_leaf;
    char *leaves = take_lines(arena, leaves_count, LINE_BYTES);
    uint64_t *lows = is_wide ? arena_take(arena, m->count, sizeof(*lows)) : NULL;

    if (leaves == NULL || (is_wide && lows == NULL))
        return STATUS_NO_MEMORY;
    memset(leaves, 0xff, leaves_count * LINE_BYTES);
    for (size_t i = 0; i < m->count; i++) {
        if (is_wide) {
            struct wide_leaf *leaf = (struct wide_leaf *)leaves + i / WIDE_LEAF;

            leaf->starts[i % WIDE_LEAF] = (uint64_t)(s->boundaries[i].start >> 64);
            leaf->pieces[i % WIDE_LEAF] = pieces[i];
            lows[i] = (uint64_t)s->boundaries[i].start;
        } else {
            struct narrow_leaf *leaf = (struct narrow_leaf *)leaves + i / NARROW_LEAF;

            leaf->starts[i % NARROW_LEAF] = (uint32_t)s->boundaries[i].start;
            leaf->pieces[i % NARROW_LEAF] = pieces[i];
        }
    }
    m->leaves = leaves;
    m->lows = lows;
    return STATUS_OK;
}

/* Level 0 holds the first start of each leaf, each further level every fan_out-th of the one
 * before. The last node of a level is filled up with the highest key. */
static enum status build_levels(struct policy_range_map *m, const struct sweep *s, bool is_wide,
                                struct arena *arena)
{
    size_t fan_out = is_wide ? WIDE_FAN_OUT : NARROW_FAN_OUT;
    size_t every = is_wide ? WIDE_LEAF : NARROW_LEAF;
    size_t count = (m->count + every - 1) / every;

    for (;; every *= fan_out, count = (count + fan_out - 1) / fan_out) {
        size_t room = (count + fan_out - 1) / fan_out * LINE_BYTES;
        void *level = take_lines(arena, room, 1);

        if (level == NULL)
            return STATUS_NO_MEMORY;
        memset(level, 0xff, room);
        for (size_t i = 0; i < count; i++) {
            if (is_wide)
                ((uint64_t *)level)[i] = (uint64_t)(s->boundaries[i * every].start >> 64);
            else
                ((uint32_t *)level)[i] = (uint32_t)s->boundaries[i * every].start;
        }
        ASSERT(m->levels_count < POLICY_RANGE_LEVELS_MAX);
        m->counts[m->levels_count] = count;
        m->levels[m->levels_count++] = level;
        if (count <= fan_out)
            return STATUS_OK;
    }
}

/* The last key of a piece of a narrow map. */
static uint32_t piece_last(const struct policy_range_map *m, const struct sweep *s, size_t i,
                           uint32_t piece)
{
    uint32_t size = piece >> POLICY_RANGE_NUMBER_BITS, start = (uint32_t)s->boundaries[i].start;

    if (size != SIZE_OPEN)
        return (uint32_t)(start + (((uint64_t)1 << size) - 1));
    return i + 1 < m->count ? (uint32_t)s->boundaries[i + 1].start - 1 : UINT32_MAX;
}

static enum status build_filter(struct policy_range_map *m, const struct sweep *s,
                                const uint32_t *pieces, struct arena *arena)
{
    uint64_t *filter = take_lines(arena, FILTER_BYTES, 1);

    if (filter == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->count; i++) {
        uint32_t block = (uint32_t)s->boundaries[i].start >> FILTER_BITS;
        uint32_t last = piece_last(m, s, i, pieces[i]) >> FILTER_BITS;

        if ((pieces[i] & POLICY_RANGE_NONE) == m->other)
            continue;
        for (; block <= last; block++)
            filter[block / 64] |= (uint64_t)1 << block % 64;
    }
    m->filter = filter;
    return STATUS_OK;
}

/* The lowest number over all keys: what most of the pieces are surrounded by. */
static uint32_t number_of_all(const struct policy_range *ranges, size_t count,
                              unsigned __int128 key_max)
{
    uint32_t number = POLICY_RANGE_NONE;

    for (size_t i = 0; i < count; i++)
        if (ranges[i].first == 0 && ranges[i].last == key_max && ranges[i].number < number)
            number = ranges[i].number;
    return number;
}

enum status policy_range_map_init(struct policy_range_map *m, bool is_wide,
                                  struct policy_range *ranges, size_t count, struct arena *arena,
                                  struct arena *scratch)
{
    unsigned __int128 key_max = is_wide ? ~(unsigned __int128)0 : UINT32_MAX;
    struct sweep s = { .ranges = ranges };
    uint32_t *pieces;

    ASSERT(count < POLICY_RANGE_NONE);
    *m = (struct policy_range_map){ .other = number_of_all(ranges, count, key_max) };
    qsort(ranges, count, sizeof(*ranges), compare_ranges);
    s.heap = arena_take(scratch, count, sizeof(*s.heap));
    /* Each range begins a piece and ends one, and the first begins where the keys do. */
    s.boundaries = arena_take(scratch, 2 * count + 1, sizeof(*s.boundaries));
    pieces = arena_take(scratch, 2 * count + 1, sizeof(*pieces));
    if (s.heap == NULL || s.boundaries == NULL || pieces == NULL)
        return STATUS_NO_MEMORY;
    sweep_ranges(&s, count, key_max);
    ASSERT(s.boundaries_count > 0 && s.boundaries_count <= 2 * count + 1);
    m->count = make_pieces(&s, m->other, is_wide ? WIDE_STEP : NARROW_STEP, pieces);
    TRY(build_leaves(m, &s, pieces, is_wide, arena));
    TRY(build_levels(m, &s, is_wide, arena));
    return is_wide || m->count < FILTER_PIECES_MIN ? STATUS_OK : build_filter(m, &s, pieces, arena);
}

/* Starts of a node that are not above the key, but for the first, which never is. Branch-free, so
 * that a node costs its line and no mispredicted jump. */
static inline size_t rank(const uint32_t *starts, size_t count, uint32_t key)
{
    size_t rank = 0;

    for (size_t i = 1; i < count; i++)
        rank += starts[i] <= key ? 1 : 0;
    return rank;
}

static inline size_t rank_wide(const uint64_t *starts, size_t count, uint64_t key)
{
    size_t rank = 0;

    for (size_t i = 1; i < count; i++)
        rank += starts[i] <= key ? 1 : 0;
    return rank;
}

/* The highest key is not below what fills up a node. */
static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

uint32_t policy_range_map_find(const struct policy_range_map *m, uint32_t key)
{
    const struct narrow_leaf *leaf;
    uint32_t block = key >> FILTER_BITS, piece, size;
    size_t at = 0;

    ASSERT(m->levels_count > 0);
    if (m->filter != NULL && (m->filter[block / 64] >> block % 64 & 1) == 0)
        return m->other;
    for (unsigned level = m->levels_count; level-- > 0;) {
        const uint32_t *starts = (const uint32_t *)m->levels[level] + at * NARROW_FAN_OUT;

        at = least(at * NARROW_FAN_OUT + rank(starts, NARROW_FAN_OUT, key), m->counts[level] - 1);
    }
    leaf = (const struct narrow_leaf *)m->leaves + at;
    at = least(rank(leaf->starts, NARROW_LEAF, key), m->count - 1 - at * NARROW_LEAF);
    piece = leaf->pieces[at];
    size = piece >> POLICY_RANGE_NUMBER_BITS;
    if (size != SIZE_OPEN && (uint64_t)(key - leaf->starts[at]) >> size != 0)
        return m->other;
    return piece & POLICY_RANGE_NONE;
}

static const struct wide_leaf *wide_leaf_of(const struct policy_range_map *m, size_t at)
{
    return (const struct wide_leaf *)m->leaves + at / WIDE_LEAF;
}

/* Whether the piece starts behind the key. */
static bool is_behind(const struct policy_range_map *m, size_t at, unsigned __int128 key)
{
    unsigned __int128 start =
        (unsigned __int128)wide_leaf_of(m, at)->starts[at % WIDE_LEAF] << 64 | m->lows[at];

    return start > key;
}

/* The last piece that does not start behind the key, where `at` is the last whose first half does
 * not. Hosts of one /64 are told apart here: back in steps that double, then by halves. */
static size_t settle_low(const struct policy_range_map *m, size_t at, unsigned __int128 key)
{
    size_t step = 1, low, high = at + 1; /* high is behind the key, or the end */

    while (is_behind(m, at, key)) {
        ASSERT(at > 0); /* the first piece starts at 0 */
        high = at;
        at -= least(step, at);
        step *= 2;
    }
    for (low = at; high - low > 1;) {
        size_t middle = low + (high - low) / 2;

        if (is_behind(m, middle, key))
            high = middle;
        else
            low = middle;
    }
    return low;
}

uint32_t policy_range_map_find_wide(const struct policy_range_map *m, unsigned __int128 key)
{
    uint64_t first_half = (uint64_t)(key >> 64), start;
    uint32_t piece;
    unsigned bits;
    size_t at = 0;

    ASSERT(m->levels_count > 0);
    for (unsigned level = m->levels_count; level-- > 0;) {
        const uint64_t *starts = (const uint64_t *)m->levels[level] + at * WIDE_FAN_OUT;

        at = least(at * WIDE_FAN_OUT + rank_wide(starts, WIDE_FAN_OUT, first_half),
                   m->counts[level] - 1);
    }
    at = least(at * WIDE_LEAF +
                   rank_wide(wide_leaf_of(m, at * WIDE_LEAF)->starts, WIDE_LEAF, first_half),
               m->count - 1);
    start = wide_leaf_of(m, at)->starts[at % WIDE_LEAF];
    if (start == first_half) {
        at = settle_low(m, at, key);
        start = wide_leaf_of(m, at)->starts[at % WIDE_LEAF];
    }
    piece = wide_leaf_of(m, at)->pieces[at % WIDE_LEAF];
    bits = (piece >> POLICY_RANGE_NUMBER_BITS) * WIDE_STEP;
    if (bits == SIZE_OPEN * WIDE_STEP)
        return piece & POLICY_RANGE_NONE;
    /* A block is aligned: of 2^64 addresses and more its second half is zero, of fewer it has one
     * first half only. */
    if (bits >= 64 ? (first_half - start) >> (bits - 64) != 0
                   : first_half != start || ((uint64_t)key - m->lows[at]) >> bits != 0)
        return m->other;
    return piece & POLICY_RANGE_NONE;
}
