/* base/slim_list.h - base/list.h in three quarters of the room, for objects of which there are
 * millions. Everything else is as there.
 */
#pragma once
#include "base/list.h"
#include "base/slim_pointer.h"

struct slim_node { /* Fields are private. */
    struct slim_pointer next;
    struct slim_pointer prev;
};

struct slim_list { /* Fields are private. */
    struct slim_node head;
};

static_assert(sizeof(struct slim_node) == 12, "instead of 16");

static inline struct slim_node *slim_list_next(const struct slim_node *n)
{
    return slim_pointer_get(&n->next);
}

static inline struct slim_node *slim_list_prev(const struct slim_node *n)
{
    return slim_pointer_get(&n->prev);
}

static inline void slim_list_join(struct slim_node *a, struct slim_node *b)
{
    slim_pointer_set(&a->next, b);
    slim_pointer_set(&b->prev, a);
}

static inline void slim_list_init(struct slim_list *l)
{
    slim_list_join(&l->head, &l->head);
}

/* NULL when the list is empty. */
static inline struct slim_node *slim_list_first(const struct slim_list *l)
{
    struct slim_node *n = slim_list_next(&l->head);

    return n != &l->head ? n : NULL;
}

static inline bool slim_list_is_empty(const struct slim_list *l)
{
    return slim_list_first(l) == NULL;
}

static inline bool slim_list_is_linked(const struct slim_node *n)
{
    return slim_list_next(n) != NULL;
}

static inline void slim_list_insert_before(struct slim_node *n, struct slim_node *before)
{
    ASSERT(!slim_list_is_linked(n));
    slim_list_join(slim_list_prev(before), n);
    slim_list_join(n, before);
}

static inline void slim_list_append(struct slim_list *l, struct slim_node *n)
{
    slim_list_insert_before(n, &l->head);
}

static inline void slim_list_prepend(struct slim_list *l, struct slim_node *n)
{
    slim_list_insert_before(n, slim_list_next(&l->head));
}

/* Does nothing to a node that is in no list. */
static inline void slim_list_remove(struct slim_node *n)
{
    if (!slim_list_is_linked(n))
        return;
    slim_list_join(slim_list_prev(n), slim_list_next(n));
    *n = (struct slim_node){ 0 };
}

/* Takes the first node off the list; NULL when it is empty. */
static inline struct slim_node *slim_list_take_first(struct slim_list *l)
{
    struct slim_node *n = slim_list_first(l);

    if (n != NULL)
        slim_list_remove(n);
    return n;
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void slim_list_take_all(struct slim_list *to, struct slim_list *from)
{
    if (slim_list_is_empty(from))
        return;
    slim_list_join(slim_list_prev(&to->head), slim_list_next(&from->head));
    slim_list_join(slim_list_prev(&from->head), &to->head);
    slim_list_init(from);
}

/* The body may remove n, and nothing else. */
#define SLIM_LIST_FOR_EACH(n, l)                                                                   \
    for (struct slim_node *n = slim_list_next(&(l)->head), *n##_next = slim_list_next(n);          \
         n != &(l)->head; n = n##_next, n##_next = slim_list_next(n))
