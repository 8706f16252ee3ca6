#include "policy/range_map.h"

#include <assert.h>
#include <stdlib.h>

#define NARROW_FAN_OUT 16 /* starts of 4 bytes in a cache line */
#define WIDE_FAN_OUT   8  /* starts of 16 bytes in two, which are fetched as a pair */
#define LINE_BYTES     64

/* The six bits above the number of a piece: it ends where the next one begins, or it has
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

unsigned __int128 policy_range_key(const struct ip_address *a)
{
    uint64_t low = load_big_endian(a->bytes + 8);

    return ip_is_v4(a) ? (uint32_t)low : (unsigned __int128)load_big_endian(a->bytes) << 64 | low;
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
    return addresses == (unsigned __int128)1 << bits && bits % step == 0 && bits / step < SIZE_OPEN
               ? bits / step
               : SIZE_OPEN;
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

/* Level 0 holds all starts, each further level every fan_out-th of the one before. The last node
 * of a level is filled up with the highest key. */
static enum status build_tree(struct policy_range_map *m, const struct sweep *s, size_t count,
                              bool is_wide, struct arena *arena)
{
    size_t fan_out = is_wide ? WIDE_FAN_OUT : NARROW_FAN_OUT, every = 1;
    size_t bytes = is_wide ? sizeof(unsigned __int128) : sizeof(uint32_t);

    for (;; every *= fan_out, count = (count + fan_out - 1) / fan_out) {
        size_t room = (count + fan_out - 1) / fan_out * fan_out * bytes;
        void *level = take_lines(arena, room, 1);

        if (level == NULL)
            return STATUS_NO_MEMORY;
        memset(level, 0xff, room);
        for (size_t i = 0; i < count; i++) {
            if (is_wide)
                ((unsigned __int128 *)level)[i] = s->boundaries[i * every].start;
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
    count = make_pieces(&s, m->other, is_wide ? WIDE_STEP : NARROW_STEP, pieces);
    m->pieces = take_lines(arena, count, sizeof(*pieces));
    if (m->pieces == NULL)
        return STATUS_NO_MEMORY;
    memcpy((uint32_t *)m->pieces, pieces, count * sizeof(*pieces));
    return build_tree(m, &s, count, is_wide, arena);
}

/* The number of a piece for a key that is `behind` addresses behind its start. */
static inline uint32_t answer(const struct policy_range_map *m, size_t at, unsigned __int128 behind,
                              unsigned step)
{
    uint32_t size = m->pieces[at] >> POLICY_RANGE_NUMBER_BITS;

    if (size != SIZE_OPEN && behind >> (size * step) != 0)
        return m->other;
    return m->pieces[at] & POLICY_RANGE_NONE;
}

/* Starts of a node that are not above the key, but for the first, which never is. Branch-free, so
 * that the node costs its cache lines and no mispredicted jump. */
static inline size_t rank_in_node(const uint32_t *starts, uint32_t key)
{
    size_t rank = 0;

    for (size_t i = 1; i < NARROW_FAN_OUT; i++)
        rank += starts[i] <= key ? 1 : 0;
    return rank;
}

static inline size_t rank_in_wide_node(const unsigned __int128 *starts, unsigned __int128 key)
{
    size_t rank = 0;

    for (size_t i = 1; i < WIDE_FAN_OUT; i++)
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
    const uint32_t *starts;
    size_t at = 0;

    ASSERT(m->levels_count > 0);
    for (unsigned level = m->levels_count; level-- > 0;) {
        starts = (const uint32_t *)m->levels[level] + at * NARROW_FAN_OUT;
        at = least(at * NARROW_FAN_OUT + rank_in_node(starts, key), m->counts[level] - 1);
    }
    starts = m->levels[0];
    return answer(m, at, key - starts[at], NARROW_STEP);
}

uint32_t policy_range_map_find_wide(const struct policy_range_map *m, unsigned __int128 key)
{
    const unsigned __int128 *starts;
    size_t at = 0;

    ASSERT(m->levels_count > 0);
    for (unsigned level = m->levels_count; level-- > 0;) {
        starts = (const unsigned __int128 *)m->levels[level] + at * WIDE_FAN_OUT;
        at = least(at * WIDE_FAN_OUT + rank_in_wide_node(starts, key), m->counts[level] - 1);
    }
    starts = m->levels[0];
    return answer(m, at, key - starts[at], WIDE_STEP);
}
