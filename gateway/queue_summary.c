#include "gateway/queue_summary.h"

#include <stdlib.h>

struct entry {
    struct table_node node;
    struct list_node order;
    struct gateway_queue_load load;
    size_t len;
    char domain[];
};

enum status gateway_queue_summary_init(struct gateway_queue_summary *s,
                                       const struct hash_seed *seed)
{
    *s = (struct gateway_queue_summary){ .seed = *seed };
    list_init(&s->order);
    TRY(table_init(&s->domains));
    s->is_open = true;
    return STATUS_OK;
}

static struct entry *find(const struct gateway_queue_summary *s, struct slice domain, uint64_t hash)
{
    for (struct table_node *n = table_find(&s->domains, hash); n != NULL; n = table_find_next(n)) {
        struct entry *e = CONTAINER_OF(n, struct entry, node);

        if (slice_equal_nocase((struct slice){ e->domain, e->len }, domain))
            return e;
    }
    return NULL;
}

static struct entry *make(struct gateway_queue_summary *s, struct slice domain, uint64_t hash)
{
    struct entry *e = NULL;

    if (s->domains.nodes_count < GATEWAY_QUEUE_DESTINATIONS_MAX)
        e = malloc(sizeof(*e) + domain.len);
    if (e == NULL)
        return NULL;
    *e = (struct entry){ .len = domain.len };
    memcpy(e->domain, domain.data, domain.len);
    table_insert(&s->domains, &e->node, hash);
    list_append(&s->order, &e->order);
    return e;
}

static void add(struct gateway_queue_load *to, const struct gateway_queue_load *item)
{
    if (to->entries == 0 || item->oldest_s < to->oldest_s)
        to->oldest_s = item->oldest_s;
    to->entries += item->entries;
    to->recipients += item->recipients;
    to->held += item->held;
}

void gateway_queue_summary_add(struct gateway_queue_summary *s, struct slice domain,
                               const struct gateway_queue_load *item)
{
    uint64_t hash = hash_text_nocase(&s->seed, domain);
    struct entry *e = find(s, domain, hash);

    if (e == NULL)
        e = make(s, domain, hash);
    add(e != NULL ? &e->load : &s->others, item);
}

bool gateway_queue_summary_take(struct gateway_queue_summary *s,
                                char domain[static GATEWAY_QUEUE_DOMAIN_MAX],
                                struct gateway_queue_load *load_out)
{
    struct list_node *n = s->is_open ? list_take_first(&s->order) : NULL;
    struct entry *e;
    size_t len;

    if (n == NULL)
        return false;
    e = CONTAINER_OF(n, struct entry, order);
    len = e->len < GATEWAY_QUEUE_DOMAIN_MAX ? e->len : GATEWAY_QUEUE_DOMAIN_MAX - 1;
    memcpy(domain, e->domain, len);
    domain[len] = '\0';
    *load_out = e->load;
    table_remove(&s->domains, &e->node);
    free(e);
    return true;
}

void gateway_queue_summary_finish(struct gateway_queue_summary *s)
{
    char domain[GATEWAY_QUEUE_DOMAIN_MAX];
    struct gateway_queue_load load;

    while (gateway_queue_summary_take(s, domain, &load))
        continue;
    if (s->is_open)
        table_finish(&s->domains);
    s->is_open = false;
}
