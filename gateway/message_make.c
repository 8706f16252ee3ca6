#include "gateway/message_make.h"

#include <stdlib.h>

#define FEW_RECIPIENTS 16u /* are sorted without an allocation */
#define HEAD_WORDS     (sizeof(struct gateway_item_recipients) / sizeof(uint32_t))

static_assert(SPOOL_RECIPIENTS_MAX * (HEAD_WORDS + 2) <= UINT16_MAX,
              "places behind the items have 16 bits");
static_assert(SPOOL_ADDRESS_MAX <= UINT16_MAX && SPOOL_INFO_MAX <= UINT16_MAX,
              "lengths of names have 16 bits");

/* The recipients, in order of their domains. */
struct grouping {
    const struct spool_message *spool;
    struct slice hostname;
    struct gateway_lanes *lanes;
    uint32_t *rids;
    unsigned count;
    unsigned groups;
    unsigned words; /* of struct gateway_item_recipients, for all groups */
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

/* Of struct gateway_item_recipients: all of them are listed twice where there are several. */
static unsigned words_of(unsigned count)
{
    return HEAD_WORDS + (count > 1 ? 2 * count : 1);
}

static void group(struct grouping *g)
{
    unsigned all = spool_message_recipients_count(g->spool);

    for (unsigned rid = 0; rid < all; rid++)
        g->rids[g->count++] = rid;
    if (g->count > 1)
        qsort_r(g->rids, g->count, sizeof(*g->rids), compare_domains, g);
    for (unsigned from = 0, to; from < g->count; from = to) {
        to = group_end(g, from);
        g->groups++;
        g->words += words_of(to - from);
    }
}

static bool is_tls_optional(const struct spool_message *spool)
{
    unsigned flags = spool_message_flags(spool);

    return (flags & SPOOL_MESSAGE_TLS_OPTIONAL) != 0 && (flags & SPOOL_MESSAGE_REQUIRE_TLS) == 0;
}

/* The next item, for rids[0..count - 1]; behind it at `word` what it has behind the items. False:
 * no memory. */
static bool fill_item(struct gateway_message *m, const struct grouping *g, const uint32_t *rids,
                      unsigned count, unsigned word)
{
    const struct gateway_lane_key key = {
        .domain = domain_of(g, rids[0]),
        .listener = spool_message_info(g->spool, SPOOL_INFO_LISTENER),
        .is_tls_optional = is_tls_optional(g->spool),
    };
    struct gateway_item *item = &m->items[m->open_count];
    struct gateway_item_recipients *r;

    item->lane = gateway_lane_acquire(g->lanes, &key);
    if (item->lane == NULL)
        return false;
    item->place = (uint16_t)m->open_count++;
    item->recipients_at = (uint16_t)word;
    item->waiting_count = (uint16_t)count;
    r = gateway_item_recipients(item);
    r->all_count = (uint16_t)count;
    memcpy(r->rids, rids, count * sizeof(*rids));
    if (count > 1)
        memcpy(r->rids + count, rids, count * sizeof(*rids));
    return true;
}

static bool fill(struct gateway_message *m, const struct grouping *g)
{
    struct slice sender = spool_message_sender(g->spool);
    unsigned word = 0;

    for (unsigned from = 0, to; from < g->count; from = to) {
        to = group_end(g, from);
        if (!fill_item(m, g, g->rids + from, to - from, word))
            return false;
        word += words_of(to - from);
    }
    ASSERT(m->open_count == m->items_count && word == g->words);
    if (sender.len > 0)
        memcpy(gateway_message_words(m) + word, sender.data, sender.len);
    return true;
}

/* Behind the items. */
static unsigned words_in(const struct gateway_message *m)
{
    const struct gateway_item *last = m->items_count > 0 ? &m->items[m->items_count - 1] : NULL;

    return last != NULL ? last->recipients_at + words_of(gateway_item_recipients(last)->all_count)
                        : 0;
}

struct slice gateway_message_sender(const struct gateway_message *m)
{
    return (struct slice){ (const char *)(gateway_message_words(m) + words_in(m)),
                           m->sender_bytes };
}

static size_t bytes_for(unsigned items, unsigned recipients, unsigned words, size_t sender_bytes)
{
    return sizeof(struct gateway_message) + items * sizeof(struct gateway_item) +
           recipients * sizeof(struct gateway_known) + words * sizeof(uint32_t) + sender_bytes;
}

size_t gateway_message_own_bytes(const struct gateway_message *m)
{
    return bytes_for(m->items_count, m->recipients_count, words_in(m), m->sender_bytes);
}

void gateway_message_unmake(struct gateway_message *m)
{
    for (unsigned i = 0; i < m->items_count; i++)
        gateway_lane_release(m->items[i].lane);
    free(m->errand);
    free(m);
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

    group(g);
    m = calloc(1, bytes_for(g->groups, recipients, g->words, sender.len));
    if (m == NULL)
        return NULL;
    m->mid = spool_message_mid(g->spool);
    m->arrival_wall_s = wall_s(spool_message_arrival_wall_s(g->spool));
    m->recipients_count = (uint16_t)recipients;
    m->items_count = (uint16_t)g->groups;
    m->sender_bytes = (uint16_t)sender.len;
    if ((spool_message_body_in_file(g->spool) && gateway_message_begin_errand(m) != STATUS_OK) ||
        !fill(m, g)) {
        gateway_message_unmake(m);
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
