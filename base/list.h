/* base/list.h - intrusive doubly linked list; a node lives in the object it links.
 *
 * A list head is a node that links to itself when empty. A node that is in no list links to
 * NULL, so list_is_linked() can be asked at any time after list_node_init() or zeroing.
 */
#pragma once
#include "base/check.h"
#include "base/slice.h"

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

struct list {
    struct list_node head;
};

static inline void list_init(struct list *l)
{
    l->head.next = l->head.prev = &l->head;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline bool list_is_linked(const struct list_node *n)
{
    return n->next != NULL;
}

static inline void list_insert_before(struct list_node *n, struct list_node *before)
{
    ASSERT(!list_is_linked(n));
    n->prev = before->prev;
    n->next = before;
    before->prev->next = n;
    before->prev = n;
}

static inline void list_append(struct list *l, struct list_node *n)
{
    list_insert_before(n, &l->head);
}

static inline void list_prepend(struct list *l, struct list_node *n)
{
    list_insert_before(n, l->head.next);
}

/* Does nothing to a node that is in no list. */
static inline void list_remove(struct list_node *n)
{
    if (!list_is_linked(n))
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}

/* Takes the first node off the list; NULL when it is empty. */
static inline struct list_node *list_take_first(struct list *l)
{
    struct list_node *n = l->head.next;

    if (n == &l->head)
        return NULL;
    list_remove(n);
    return n;
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void list_take_all(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->head.next->prev = to->head.prev;
    from->head.prev->next = &to->head;
    to->head.prev->next = from->head.next;
    to->head.prev = from->head.prev;
    list_init(from);
}

/* The body may remove n, and nothing else. */
#define LIST_FOR_EACH(n, l)                                                                        \
    for (struct list_node *n = (l)->head.next, *n##_next = n->next; n != &(l)->head;               \
         n = n##_next, n##_next = n->next)
