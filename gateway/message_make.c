#include "gateway/message_make.h"

#include <stdlib.h>

#include "base/pool.h"

#define FEW_RECIPIENTS 16u /* are sorted without an allocation */

static_assert(SPOOL_RECIPIENTS_MAX * 2 <= UINT16_MAX, "places behind the items have 16 bits");
static_assert(SPOOL_ADDRESS_MAX <= UINT16_MAX && SPOOL_INFO_MAX <= UINT16_MAX,
              "lengths of names have 16 bits");

/* The recipients, in order of their domains. */
struct grouping {
    const struct spool_message *spool;
    struct slice hostname;
    struct gateway_lanes *lanes;
    uint16_t *rids;
    unsigned count;
    unsigned groups;
    unsigned listed; /* numbers of recipients, for all groups */
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
    uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
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

/* How many numbers an item has: all of them are listed twice where there are several. */
static unsigned listed_of(unsigned count)
{
    return count > 1 ? 2 * count : 1;
}

static void group(struct grouping *g)
{
    unsigned all = spool_message_recipients_count(g->spool);

    for (unsigned rid = 0; rid < all; rid++)
        g->rids[g->count++] = (uint16_t)rid;
    if (g->count > 1)
        qsort_r(g->rids, g->count, sizeof(*g->rids), compare_domains, g);
    for (unsigned from = 0, to; from < g->count; from = to) {
        to = group_end(g, from);
        g->groups++;
        g->listed += listed_of(to - from);
    }
}

static bool is_tls_optional(const struct spool_message *spool)
{
    unsigned flags = spool_message_flags(spool);

    return (flags & SPOOL_MESSAGE_TLS_OPTIONAL) != 0 && (flags & SPOOL_MESSAGE_REQUIRE_TLS) == 0;
}

/* The next item, for rids[0..count - 1], which are listed at `at`. False: no memory. */
static bool fill_item(struct gateway_message *m, const struct grouping *g, const uint16_t *rids,
                      unsigned count, unsigned at)
{
    const struct gateway_lane_key key = {
        .domain = domain_of(g, rids[0]),
        .listener = spool_message_info(g->spool, SPOOL_INFO_LISTENER),
        .is_tls_optional = is_tls_optional(g->spool),
    };
    struct gateway_item *item = &m->items[m->open_count];
    uint16_t *listed;

    item->lane = gateway_lane_acquire(g->lanes, &key);
    if (item->lane == NULL)
        return false;
    item->place = (uint16_t)m->open_count++;
    item->recipients_at = (uint16_t)at;
    item->waiting_count = (uint16_t)count;
    item->all_count = (uint16_t)count;
    listed = gateway_item_waiting(item);
    memcpy(listed, rids, count * sizeof(*rids));
    if (count > 1)
        memcpy(listed + count, rids, count * sizeof(*rids));
    return true;
}

static bool fill(struct gateway_message *m, const struct grouping *g)
{
    struct slice sender = spool_message_sender(g->spool);
    unsigned at = 0;

    for (unsigned from = 0, to; from < g->count; from = to) {
        to = group_end(g, from);
        if (!fill_item(m, g, g->rids + from, to - from, at))
            return false;
        at += listed_of(to - from);
    }
    ASSERT(m->open_count == m->items_count && at == g->listed);
    if (sender.len > 0)
        memcpy(gateway_message_rids(m) + at, sender.data, sender.len);
    return true;
}

/* Behind the items. */
static unsigned listed_in(const struct gateway_message *m)
{
    const struct gateway_item *last = m->items_count > 0 ? &m->items[m->items_count - 1] : NULL;

    return last != NULL ? last->recipients_at + listed_of(last->all_count) : 0;
}

struct slice gateway_message_sender(const struct gateway_message *m)
{
    return (struct slice){ (const char *)(gateway_message_rids(m) + listed_in(m)),
                           m->sender_bytes };
}

static size_t bytes_for(unsigned items, unsigned recipients, unsigned listed, size_t sender_bytes)
{
    return sizeof(struct gateway_message) + items * sizeof(struct gateway_item) +
           items * sizeof(uint32_t) + recipients * sizeof(struct gateway_known) +
           listed * sizeof(uint16_t) + sender_bytes;
}

size_t gateway_message_own_bytes(const struct gateway_message *m)
{
    return bytes_for(m->items_count, m->recipients_count, listed_in(m), m->sender_bytes);
}

static void unmake(struct gateway_message *m, size_t bytes)
{
    for (unsigned i = 0; i < m->items_count; i++)
        gateway_lane_release(m->items[i].lane);
    pool_give(m->errand, sizeof(*m->errand));
    pool_give(m, bytes);
}

void gateway_message_unmake(struct gateway_message *m)
{
    unmake(m, gateway_message_own_bytes(m));
}

/* Seconds since 1970, as a record has them. */
static uint32_t wall_s(int64_t s)
{
    return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static struct gateway_message *make(struct grouping *g)
{
    unsigned recipients = spool_message_recipients_count(g->spool);
    struct slice sender = spool_message_sender(g->spool);
    struct gateway_message *m;
    size_t bytes;

    group(g);
    bytes = bytes_for(g->groups, recipients, g->listed, sender.len);
    m = pool_take_zeroed(bytes);
    if (m == NULL)
        return NULL;
    m->mid = spool_message_mid(g->spool);
    m->arrival_wall_s = wall_s(spool_message_arrival_wall_s(g->spool));
    m->recipients_count = (uint16_t)recipients;
    m->items_count = (uint16_t)g->groups;
    m->sender_bytes = (uint16_t)sender.len;
    if ((spool_message_body_in_file(g->spool) && gateway_message_begin_errand(m) != STATUS_OK) ||
        !fill(m, g)) {
        unmake(m, bytes); /* its items may not say how much that is */
        return NULL;
    }
    m->has_file = m->errand != NULL;
    if (m->has_file)
        m->errand->file_bytes = spool_message_body_bytes(g->spool);
    m->record_text_bytes = (uint32_t)(spool_message_size(g->spool) - gateway_message_file_bytes(m));
    return m;
}

struct gateway_message *gateway_message_make(struct gateway_lanes *lanes,
                                             const struct spool_message *spool,
                                             struct slice hostname)
{
    struct grouping g = { .spool = spool, .hostname = hostname, .lanes = lanes };
    unsigned all = spool_message_recipients_count(spool);
    uint16_t few[FEW_RECIPIENTS], *many = NULL;
    struct gateway_message *m;

    g.rids = few;
    if (all > FEW_RECIPIENTS) {
        many = pool_take(all * sizeof(*many));
        if (many == NULL)
            return NULL;
        g.rids = many;
    }
    m = make(&g);
    pool_give(many, all * sizeof(*many));
    return m;
}
