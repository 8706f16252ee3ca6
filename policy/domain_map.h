/* policy/domain_map.h - names to numbers, for tables with "example.com" and ".example.com".
 *
 * A key is any text without regard to ASCII case; a partial key begins with its dot. The map is
 * filled once with the capacity given at its start and then only read. Its hash is not keyed:
 * the keys are the administrator's, and a peer can only look up. Keys are borrowed, the slots
 * belong to the arena.
 */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

#define POLICY_DOMAIN_MAP_KEYS_MAX ((size_t)1 << 28)

struct policy_domain_slot;

struct policy_domain_map { /* Fields are private; a zeroed map is empty and can be asked. */
    struct policy_domain_slot *slots;
    size_t mask;
    size_t free_count;
};

/* Room for keys_max keys; false when the arena has none. */
MUST_USE bool policy_domain_map_init(struct policy_domain_map *m, struct arena *arena,
                                     size_t keys_max);

/* The number of the first of equal keys stays. At most keys_max calls. */
void policy_domain_map_add(struct policy_domain_map *m, struct slice key, size_t number);
bool policy_domain_map_get(const struct policy_domain_map *m, struct slice key, size_t *number_out);

/* Of all keys that cover the domain, as the walk below gives them: the lowest number, and the
 * number of the most specific key. The domain is hashed once for all of them. */
bool policy_domain_map_lowest(const struct policy_domain_map *m, struct slice domain,
                              size_t *number_out);
bool policy_domain_map_find(const struct policy_domain_map *m, struct slice domain,
                            size_t *number_out);

/* The keys that cover a domain, the most specific first: "a.b.c", ".b.c", ".c". A partial key
 * may be walked as well: ".b.c", ".c". A domain that is empty or too long has none. */
struct policy_domain_walk {
    struct slice rest;
};

struct policy_domain_walk policy_domain_walk_begin(struct slice domain);
bool policy_domain_walk_next(struct policy_domain_walk *w, struct slice *key_out);

/* Takes one dot off the end. */
struct slice policy_domain_normal(struct slice domain);

/* Letters, digits, "-" and "_" in labels of 1 to 63 bytes, with dots between (RFC 1035 2.3.4;
 * the underscore because hosts have it). An internationalised name has to be in its A-form. */
bool policy_domain_is_valid(struct slice domain);

/* The same with a dot in front. */
bool policy_domain_is_partial(struct slice domain);
