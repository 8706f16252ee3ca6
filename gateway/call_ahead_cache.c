#include "gateway/call_ahead_cache.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/table.h"

struct entry {
    struct table_node node;
    struct list_node age; /* the one asked for last stands first */
    uint64_t expires_ms;
    struct gateway_call_ahead_key key; /* its text is behind the entry */
    enum gateway_call_ahead_verdict verdict;
    char text[];
};

struct gateway_call_ahead_cache {
    struct hash_seed seed;
    struct table entries;
    struct list ages;
    size_t entries_count;
    size_t entries_max;
};

uint64_t gateway_call_ahead_key_hash(const struct hash_seed *seed,
                                     const struct gateway_call_ahead_key *key)
{
    return hash_text_nocase(seed, key->recipient) ^ hash_number(key->route);
}

bool gateway_call_ahead_key_equal(const struct gateway_call_ahead_key *a,
                                  const struct gateway_call_ahead_key *b)
{
    return a->route == b->route && slice_equal_nocase(a->recipient, b->recipient);
}

enum status gateway_call_ahead_cache_create(const struct hash_seed *seed, size_t entries_max,
                                            struct gateway_call_ahead_cache **cache_out)
{
    struct gateway_call_ahead_cache *cache = calloc(1, sizeof(*cache));

    ASSERT(entries_max > 0);
    if (cache == NULL || table_init(&cache->entries) != STATUS_OK) {
        free(cache);
        return STATUS_NO_MEMORY;
    }
    cache->seed = *seed;
    cache->entries_max = entries_max;
    list_init(&cache->ages);
    *cache_out = cache;
    return STATUS_OK;
}

static void forget(struct gateway_call_ahead_cache *cache, struct entry *e)
{
    ASSERT(cache->entries_count > 0);
    table_remove(&cache->entries, &e->node);
    list_remove(&e->age);
    cache->entries_count--;
    free(e);
}

void gateway_call_ahead_cache_destroy(struct gateway_call_ahead_cache *cache)
{
    if (cache == NULL)
        return;
    LIST_FOR_EACH (age, &cache->ages) {
        forget(cache, CONTAINER_OF(age, struct entry, age));
    }
    ASSERT(cache->entries_count == 0);
    table_finish(&cache->entries);
    free(cache);
}

static struct entry *look(const struct gateway_call_ahead_cache *cache,
                          const struct gateway_call_ahead_key *key, uint64_t hash)
{
    for (struct table_node *n = table_find(&cache->entries, hash); n != NULL;
         n = table_find_next(n)) {
        struct entry *e = CONTAINER_OF(n, struct entry, node);

        if (gateway_call_ahead_key_equal(&e->key, key))
            return e;
    }
    return NULL;
}

void gateway_call_ahead_cache_put(struct gateway_call_ahead_cache *cache,
                                  const struct gateway_call_ahead_key *key,
                                  enum gateway_call_ahead_verdict verdict, uint64_t now_ms,
                                  uint64_t lifetime_ms)
{
    uint64_t hash = gateway_call_ahead_key_hash(&cache->seed, key);
    struct entry *e = look(cache, key, hash);

    ASSERT(verdict != GATEWAY_CALL_AHEAD_STOPPING);
    if (e != NULL)
        forget(cache, e);
    if (lifetime_ms == 0)
        return;
    e = malloc(sizeof(*e) + key->recipient.len);
    if (e == NULL)
        return;
    if (cache->entries_count == cache->entries_max)
        forget(cache, CONTAINER_OF(cache->ages.head.prev, struct entry, age));
    *e = (struct entry){ .expires_ms = now_ms + lifetime_ms, .key = *key, .verdict = verdict };
    if (key->recipient.len > 0)
        memcpy(e->text, key->recipient.data, key->recipient.len);
    e->key.recipient.data = e->text;
    table_insert(&cache->entries, &e->node, hash);
    list_prepend(&cache->ages, &e->age);
    cache->entries_count++;
}

bool gateway_call_ahead_cache_find(struct gateway_call_ahead_cache *cache,
                                   const struct gateway_call_ahead_key *key, uint64_t now_ms,
                                   enum gateway_call_ahead_verdict *verdict_out)
{
    struct entry *e = look(cache, key, gateway_call_ahead_key_hash(&cache->seed, key));

    if (e == NULL)
        return false;
    if (now_ms >= e->expires_ms) {
        forget(cache, e);
        return false;
    }
    list_remove(&e->age);
    list_prepend(&cache->ages, &e->age);
    *verdict_out = e->verdict;
    return true;
}

size_t gateway_call_ahead_cache_count(const struct gateway_call_ahead_cache *cache)
{
    return cache->entries_count;
}
