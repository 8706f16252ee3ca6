#include "policy/domain_map.h"

#include "base/hash.h"
#include "policy/hat.h"

#define LABEL_BYTES_MAX 63

struct policy_domain_slot {
    struct slice key; /* data is NULL in a free slot */
    size_t number;
};

static const struct hash_seed seed = { 0x706f737465726e31u, 0x646f6d61696e7331u };

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

/* The slot that holds key, or the free one where it belongs. At least half of the slots are
 * free, so the loop ends. */
static struct policy_domain_slot *slot_of(const struct policy_domain_map *m, struct slice key)
{
    size_t at = hash_text_nocase(&seed, key) & m->mask;

    while (m->slots[at].key.data != NULL && !slice_equal_nocase(m->slots[at].key, key))
        at = (at + 1) & m->mask;
    return &m->slots[at];
}

void policy_domain_map_add(struct policy_domain_map *m, struct slice key, size_t number)
{
    struct policy_domain_slot *slot;

    ASSERT(m->free_count > 0);
    ASSERT(key.data != NULL);
    m->free_count--;
    slot = slot_of(m, key);
    if (slot->key.data == NULL)
        *slot = (struct policy_domain_slot){ .key = key, .number = number };
}

bool policy_domain_map_get(const struct policy_domain_map *m, struct slice key, size_t *number_out)
{
    const struct policy_domain_slot *slot;

    if (m->slots == NULL)
        return false;
    slot = slot_of(m, key);
    if (slot->key.data == NULL)
        return false;
    *number_out = slot->number;
    return true;
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
