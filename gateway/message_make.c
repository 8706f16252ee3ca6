#include "gateway/message_make.h"

#include <stdlib.h>

#define FEW_RECIPIENTS 16u /* are sorted without an allocation */

/* The recipients, in order of their domains. */
struct grouping {
    const struct spool_message *spool;
    struct slice hostname;
    uint32_t *rids;
    unsigned count;
    unsigned groups;
    size_t text_bytes; /* of the domains, each once */
};

static struct slice domain_of(const struct grouping *g, uint32_t rid)
{
    struct slice address = spool_message_recipient(g->spool, rid);
    size_t at = address.len;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    if (at == 0 || at == address.len) /* <postmaster>, RFC 5321 4.5.1: ours */
        return g->hostname;
    return slice_after(address, at);
}

/* Orders recipients by domain, and within it by number, so that groups lie together. */
static int compare_domains(const void *a, const void *b, void *arg)
{
    const struct grouping *g = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    struct slice dx = domain_of(g, x), dy = domain_of(g, y);

    for (size_t i = 0; i < dx.len && i < dy.len; i++)
        if (ascii_lower(dx.data[i]) != ascii_lower(dy.data[i]))
            return ascii_lower(dx.data[i]) - ascii_lower(dy.data[i]);
    if (dx.len != dy.len)
        return dx.len < dy.len ? -1 : 1;
    return x < y ? -1 : 1;
}

static unsigned group_end(const struct grouping *g, unsigned from)
{
    unsigned to = from + 1;

    while (to < g->count &&
           slice_equal_nocase(domain_of(g, g->rids[from]), domain_of(g, g->rids[to])))
        to++;
    return to;
}

static void group(struct grouping *g)
{
    unsigned all = spool_message_recipients_count(g->spool);

    for (unsigned rid = 0; rid < all; rid++)
        g->rids[g->count++] = rid;
    if (g->count > 1)
        qsort_r(g->rids, g->count, sizeof(*g->rids), compare_domains, g);
    for (unsigned i = 0; i < g->count; i = group_end(g, i)) {
        g->groups++;
        g->text_bytes += domain_of(g, g->rids[i]).len;
    }
}

static struct slice keep(char **room, struct slice text)
{
    struct slice kept = { *room, text.len };

    if (text.len > 0)
        memcpy(*room, text.data, text.len);
    *room += text.len;
    return kept;
}

static void fill(struct gateway_message *m, const struct grouping *g)
{
    uint32_t *all = (uint32_t *)&m->items[g->groups], *waiting = all + g->count;
    char *texts = (char *)(waiting + g->count);

    memcpy(all, g->rids, g->count * sizeof(*all));
    memcpy(waiting, g->rids, g->count * sizeof(*waiting));
    m->sender = keep(&texts, spool_message_sender(g->spool));
    m->listener = keep(&texts, spool_message_info(g->spool, SPOOL_INFO_LISTENER));
    for (unsigned from = 0, to; from < g->count; from = to) {
        struct gateway_item *item = &m->items[m->items_count++];

        to = group_end(g, from);
        *item = (struct gateway_item){
            .message = m,
            .domain = keep(&texts, domain_of(g, g->rids[from])),
            .all = all + from,
            .waiting = waiting + from,
            .all_count = to - from,
            .waiting_count = to - from,
        };
    }
    ASSERT(m->items_count == g->groups);
    m->open_count = g->groups;
}

static bool is_tls_optional(const struct spool_message *spool)
{
    unsigned flags = spool_message_flags(spool);

    return (flags & SPOOL_MESSAGE_TLS_OPTIONAL) != 0 && (flags & SPOOL_MESSAGE_REQUIRE_TLS) == 0;
}

size_t gateway_message_own_bytes(const struct gateway_message *m)
{
    size_t bytes =
        sizeof(*m) + m->items_count * sizeof(struct gateway_item) + m->listener.len + m->sender.len;

    for (unsigned i = 0; i < m->items_count; i++)
        bytes += m->items[i].all_count * 2 * sizeof(uint32_t) + m->items[i].domain.len;
    return bytes;
}

/* Seconds since 1970, as a record has them. */
static uint32_t wall_s(int64_t s)
{
    return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static struct gateway_message *make(struct grouping *g)
{
    struct gateway_message *m;
    size_t bytes;

    group(g);
    bytes = sizeof(*m) + g->groups * sizeof(struct gateway_item) + g->count * 2 * sizeof(*g->rids) +
            g->text_bytes + spool_message_info(g->spool, SPOOL_INFO_LISTENER).len +
            spool_message_sender(g->spool).len;
    m = calloc(1, bytes);
    if (m == NULL)
        return NULL;
    if (spool_message_body_in_file(g->spool) && gateway_message_begin_errand(m) != STATUS_OK) {
        free(m);
        return NULL;
    }
    m->mid = spool_message_mid(g->spool);
    m->arrival_wall_s = wall_s(spool_message_arrival_wall_s(g->spool));
    m->is_tls_optional = is_tls_optional(g->spool);
    if (m->errand != NULL)
        m->errand->file_bytes = spool_message_body_bytes(g->spool);
    m->record_text_bytes = (uint32_t)(spool_message_size(g->spool) - gateway_message_file_bytes(m));
    m->recipients_count = (uint16_t)spool_message_recipients_count(g->spool);
    fill(m, g);
    return m;
}

struct gateway_message *gateway_message_make(const struct spool_message *spool,
                                             struct slice hostname)
{
    struct grouping g = { .spool = spool, .hostname = hostname };
    unsigned all = spool_message_recipients_count(spool);
    uint32_t few[FEW_RECIPIENTS], *many = NULL;
    struct gateway_message *m;

    g.rids = few;
    if (all > FEW_RECIPIENTS) {
        many = malloc(all * sizeof(*many));
        if (many == NULL)
            return NULL;
        g.rids = many;
    }
    m = make(&g);
    free(many);
    return m;
}
