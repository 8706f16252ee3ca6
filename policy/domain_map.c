#include "policy/domain_map.h"

#include "base/hash.h"
#include "policy/hat.h"

#define LABEL_BYTES_MAX 63

struct policy_domain_slot {
    const char *key; /* NULL in a free slot */
    uint32_t number;
    uint16_t len;
    uint16_t tag; /* of the hash; tells most keys apart without a look at their texts */
};

/* A hash that grows from the last byte to the first, so that one pass over a name has the hash of
 * every suffix on its way. Not keyed, as the header says. */
#define HASH_START 0xcbf29ce484222325ull

static inline uint64_t hash_add(uint64_t hash, char c)
{
    return (hash ^ (uint8_t)ascii_lower(c)) * 0x100000001b3ull;
}

static uint64_t hash_of(struct slice key)
{
    uint64_t hash = HASH_START;

    for (size_t i = key.len; i-- > 0;)
        hash = hash_add(hash, key.data[i]);
    return hash_number(hash);
}

bool policy_domain_map_init(struct policy_domain_map *m, struct arena *arena, size_t keys_max)
{
    size_t slots_count = 4;

    *m = (struct policy_domain_map){ 0 };
    if (keys_max == 0)
        return true;
    if (keys_max > POLICY_DOMAIN_MAP_KEYS_MAX)
        return false;
    while (slots_count < 2 * keys_max)
        slots_count *= 2;
    m->slots = arena_take(arena, slots_count, sizeof(*m->slots));
    if (m->slots == NULL)
        return false;
    m->mask = slots_count - 1;
    m->free_count = keys_max;
    return true;
}

static bool is_key(const struct policy_domain_slot *slot, struct slice key, uint16_t tag)
{
    return slot->tag == tag &&
           slice_equal_nocase((struct slice){ .data = slot->key, .len = slot->len }, key);
}

/* The slot that holds key, or the free one where it belongs. At least half of the slots are
 * free, so the loop ends. */
static struct policy_domain_slot *slot_of(const struct policy_domain_map *m, struct slice key,
                                          uint64_t hash)
{
    uint16_t tag = (uint16_t)(hash >> 48);
    size_t at = hash & m->mask;

    while (m->slots[at].key != NULL && !is_key(&m->slots[at], key, tag))
        at = (at + 1) & m->mask;
    return &m->slots[at];
}

void policy_domain_map_add(struct policy_domain_map *m, struct slice key, size_t number)
{
    uint64_t hash = hash_of(key);
    struct policy_domain_slot *slot;

    ASSERT(m->free_count > 0);
    ASSERT(key.data != NULL && key.len <= UINT16_MAX);
    ASSERT(number <= UINT32_MAX);
    m->free_count--;
    slot = slot_of(m, key, hash);
    if (slot->key == NULL)
        *slot = (struct policy_domain_slot){ .key = key.data,
                                             .number = (uint32_t)number,
                                             .len = (uint16_t)key.len,
                                             .tag = (uint16_t)(hash >> 48) };
}

bool policy_domain_map_get(const struct policy_domain_map *m, struct slice key, size_t *number_out)
{
    const struct policy_domain_slot *slot;

    if (m->slots == NULL)
        return false;
    slot = slot_of(m, key, hash_of(key));
    if (slot->key == NULL)
        return false;
    *number_out = slot->number;
    return true;
}

/* The keys that cover a domain, the least specific first. */
struct scan {
    struct slice domain;
    size_t at; /* bytes that are not yet hashed */
    uint64_t hash;
};

static struct scan scan_begin(struct slice domain)
{
    return (struct scan){ .domain = policy_domain_walk_begin(domain).rest,
                          .at = policy_domain_walk_begin(domain).rest.len,
                          .hash = HASH_START };
}

/* Goes on to the next suffix that has a key; false behind the first byte of the domain. */
static bool scan_next(struct scan *s, const struct policy_domain_map *m, size_t *number_out)
{
    while (s->at > 0) {
        char c = s->domain.data[--s->at];
        const struct policy_domain_slot *slot;

        s->hash = hash_add(s->hash, c);
        if (c != '.' && s->at > 0)
            continue;
        slot = slot_of(m, slice_after(s->domain, s->at), hash_number(s->hash));
        if (slot->key == NULL)
            continue;
        *number_out = slot->number;
        return true;
    }
    return false;
}

bool policy_domain_map_lowest(const struct policy_domain_map *m, struct slice domain,
                              size_t *number_out)
{
    struct scan scan = scan_begin(domain);
    size_t number, lowest = SIZE_MAX;

    while (m->slots != NULL && scan_next(&scan, m, &number))
        lowest = number < lowest ? number : lowest;
    if (lowest == SIZE_MAX)
        return false;
    *number_out = lowest;
    return true;
}

bool policy_domain_map_find(const struct policy_domain_map *m, struct slice domain,
                            size_t *number_out)
{
    struct scan scan = scan_begin(domain);
    bool found = false;

    while (m->slots != NULL && scan_next(&scan, m, number_out))
        found = true;
    return found;
}

struct slice policy_domain_normal(struct slice domain)
{
    if (domain.len > 0 && domain.data[domain.len - 1] == '.')
        domain.len--;
    return domain;
}

struct policy_domain_walk policy_domain_walk_begin(struct slice domain)
{
    domain = policy_domain_normal(domain);
    if (domain.len > POLICY_NAME_BYTES_MAX + 1)
        domain.len = 0;
    return (struct policy_domain_walk){ .rest = domain };
}

bool policy_domain_walk_next(struct policy_domain_walk *w, struct slice *key_out)
{
    const char *dot;

    if (w->rest.len == 0)
        return false;
    *key_out = w->rest;
    dot = memchr(w->rest.data + 1, '.', w->rest.len - 1);
    w->rest =
        dot != NULL ? slice_after(w->rest, (size_t)(dot - w->rest.data)) : (struct slice){ 0 };
    return true;
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.data[i];

        if (!ascii_is_letter(c) && !ascii_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

bool policy_domain_is_valid(struct slice domain)
{
    bool last_numeric = true;

    domain = policy_domain_normal(domain);
    if (domain.len == 0 || domain.len > POLICY_NAME_BYTES_MAX || domain.data[domain.len - 1] == '.')
        return false;
    while (domain.len > 0) {
        struct slice label = slice_cut(&domain, '.');

        if (!is_label(label))
            return false;
        last_numeric = true;
        for (size_t i = 0; i < label.len; i++)
            last_numeric = last_numeric && (ascii_is_digit(label.data[i]) || label.data[i] == '-');
    }
    return !last_numeric; /* "10.1" is a mistyped address, RFC 1123 2.1, "10.1.1.1-9" a range */
}

bool policy_domain_is_partial(struct slice domain)
{
    return domain.len > 1 && domain.data[0] == '.' &&
           policy_domain_is_valid(slice_after(domain, 1));
}
