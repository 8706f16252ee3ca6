#include "base/table.h"

#include <stdlib.h>

#define FIRST_BUCKETS 16
#define BUCKETS_MAX   ((size_t)1 << 26)
#define NODES_EACH    2u /* in a bucket, before there are more of them */

enum status table_init(struct table *t)
{
    *t = (struct table){ .buckets = calloc(FIRST_BUCKETS, sizeof(struct table_node *)) };
    if (t->buckets == NULL)
        return STATUS_NO_MEMORY;
    t->buckets_count = FIRST_BUCKETS;
    return STATUS_OK;
}

void table_finish(struct table *t)
{
    free(t->buckets);
    *t = (struct table){ 0 };
}

static struct table_node **bucket_of(const struct table *t, uint64_t hash)
{
    ASSERT(t->buckets_count > 0);
    return &t->buckets[hash & (t->buckets_count - 1)];
}

static void push(struct table *t, struct table_node *n)
{
    struct table_node **bucket = bucket_of(t, n->hash);

    n->next = *bucket;
    *bucket = n;
}

static void grow(struct table *t)
{
    struct table old = *t;
    struct table_node **buckets;

    if (t->nodes_count < t->buckets_count * NODES_EACH || t->buckets_count >= BUCKETS_MAX)
        return;
    buckets = calloc(old.buckets_count * 2, sizeof(struct table_node *));
    if (buckets == NULL)
        return;
    t->buckets = buckets;
    t->buckets_count = old.buckets_count * 2;
    for (size_t i = 0; i < old.buckets_count; i++) {
        for (struct table_node *n = old.buckets[i], *next; n != NULL; n = next) {
            next = n->next;
            push(t, n);
        }
    }
    free(old.buckets);
}

void table_insert(struct table *t, struct table_node *n, uint64_t hash)
{
    grow(t);
    n->hash = hash;
    push(t, n);
    t->nodes_count++;
}

void table_remove(struct table *t, struct table_node *n)
{
    struct table_node **at = bucket_of(t, n->hash);

    while (*at != n) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    t->nodes_count--;
}

static struct table_node *first_with(struct table_node *n, uint64_t hash)
{
    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

struct table_node *table_find(const struct table *t, uint64_t hash)
{
    return first_with(*bucket_of(t, hash), hash);
}

struct table_node *table_find_next(const struct table_node *n)
{
    return first_with(n->next, n->hash);
}

struct table_node *table_any(const struct table *t)
{
    for (size_t i = 0; t->nodes_count > 0 && i < t->buckets_count; i++)
        if (t->buckets[i] != NULL)
            return t->buckets[i];
    return NULL;
}
