/* base/table.h - intrusive chained hash table; a node lives in the object it links.
 *
 * The table compares hashes only; the caller walks the candidates of a hash and compares keys:
 *
 *     for (n = table_find(&t, hash); n != NULL; n = table_find_next(n))
 *         if (key matches CONTAINER_OF(n, ...)) ...
 *
 * The number of buckets doubles as nodes are added, up to the maximum given at the start;
 * when that allocation fails the table goes on with longer chains.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

struct table_node {
    struct table_node *next;
    uint64_t hash;
};

struct table { /* Fields are private. */
    struct table_node **buckets;
    size_t buckets_count; /* a power of two */
    size_t nodes_count;
};

MUST_USE enum status table_init(struct table *t);
void table_finish(struct table *t); /* does not touch the nodes; accepts an empty table */

void table_insert(struct table *t, struct table_node *n, uint64_t hash);
void table_remove(struct table *t, struct table_node *n); /* n must be in t */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_find_next(const struct table_node *n);

/* Any node, for emptying a table; NULL when there is none. */
struct table_node *table_any(const struct table *t);

/* Visits every node; the body may not change the table. */
#define TABLE_FOR_EACH(n, t)                                                                       \
    for (size_t n##_bucket = 0; n##_bucket < (t)->buckets_count; n##_bucket++)                     \
        for (struct table_node *n = (t)->buckets[n##_bucket]; n != NULL; n = n->next)
