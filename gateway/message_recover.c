#include "gateway/message_recover.h"

#include <stdlib.h>

#include "gateway/message_make.h"
#include "gateway/shelf.h"
#include "gateway/worker.h"

enum status gateway_message_keep(const struct gateway_message_keeping *keeping, uint64_t mid,
                                 struct slice payload, struct gateway_message **message_out)
{
    struct gateway_process *process = keeping->process;
    struct spool_message *spool;
    struct gateway_message *m;

    TRY(spool_message_decode(mid, payload, &spool));
    m = gateway_message_make(spool, keeping->hostname);
    if (m == NULL) {
        spool_message_destroy(spool);
        return STATUS_NO_MEMORY;
    }
    m->home = &process->workers[0]; /* which only says whose memory it is, so far */
    gateway_shelf_keep(m, spool, keeping->message_bytes);
    atomic_fetch_add(&process->queue_bytes, gateway_message_own_bytes(m));
    atomic_fetch_add(&process->body_bytes, gateway_message_file_bytes(m));
    *message_out = m;
    return STATUS_OK;
}

/* What is known of its recipients, as one. */
static void take_over(struct gateway_item *item, const struct spool_result *known, time_t now_s)
{
    int64_t wait_s = 0;
    bool is_held = false;

    for (unsigned i = 0; i < item->all_count; i++) {
        const struct spool_result *r = &known[item->all[i]];
        int64_t later_s = r->state == SPOOL_RESULT_DEFERRED ? r->next_attempt_wall_s - now_s : 0;

        if (r->attempts > item->attempts)
            item->attempts = r->attempts;
        if (r->warnings > item->warnings)
            item->warnings = r->warnings;
        if (r->holds > item->holds)
            item->holds = r->holds;
        is_held = is_held || spool_result_is_held(r);
        if (r->warned_wall_s > item->warned_s)
            item->warned_s = r->warned_wall_s;
        if (later_s > wait_s)
            wait_s = later_s;
    }
    /* A crash while it was being released may have left some of them held: then all are. */
    if (is_held)
        item->holds |= 1;
    item->wait_ms = (uint64_t)wait_s * 1000;
}

static bool is_final(const struct spool_result *known)
{
    return known->state != SPOOL_RESULT_WAITING && known->state != SPOOL_RESULT_DEFERRED;
}

/* Leaves out the recipients that have a final result. */
static void shorten(struct gateway_item *item, const struct spool_result *known)
{
    unsigned left = 0;

    for (unsigned i = 0; i < item->all_count; i++)
        if (!is_final(&known[item->all[i]]))
            item->waiting[left++] = item->all[i];
    memcpy(item->all, item->waiting, left * sizeof(*item->waiting));
    item->all_count = item->waiting_count = left;
}

void gateway_message_recall(struct gateway_message *m, struct spool_result *results,
                            const struct spool_recovered_message *found, time_t now_s)
{
    size_t bytes = gateway_message_own_bytes(m);
    uint16_t count = 0;

    m->location.offset = found->offset;
    m->location.bytes = found->bytes;
    if (results == NULL)
        return;
    ASSERT(m->known == NULL && found->recipients_count == m->recipients_count);
    m->known = results;
    for (unsigned i = 0; i < m->items_count; i++) {
        struct gateway_item *item = &m->items[i];

        shorten(item, results);
        if (item->all_count == 0)
            continue;
        take_over(item, results, now_s);
        if (count < i)
            m->items[count] = *item;
        count++;
    }
    m->items_count = count;
    m->open_count = count;
    atomic_fetch_sub(&m->home->process->queue_bytes, bytes - gateway_message_own_bytes(m));
}

void gateway_message_settle(struct gateway_message *m, struct gateway_worker *home,
                            struct spool_segment *segment)
{
    m->home = home;
    m->location.segment = segment;
    home->living_bytes += m->location.bytes;
    gateway_shelf_settle(m);
}
