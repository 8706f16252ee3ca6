#include "gateway/message_recover.h"

#include <stdlib.h>

#include "gateway/known.h"
#include "gateway/message_make.h"
#include "gateway/shelf.h"
#include "gateway/worker.h"

enum status gateway_message_keep(const struct gateway_message_keeping *keeping,
                                 const struct spool_recovered_message *found,
                                 const struct spool_message *view,
                                 struct gateway_message **message_out)
{
    struct gateway_process *process = keeping->process;
    struct gateway_message *m = gateway_message_make(keeping->lanes, view, keeping->hostname);

    if (m == NULL)
        return STATUS_NO_MEMORY;
    m->home = &process->workers[0]; /* which only says whose memory it is, so far */
    m->location.offset = found->offset;
    m->location.bytes = found->bytes;
    gateway_shelf_keep(m, view, keeping->message_bytes);
    atomic_fetch_add(&process->queue_bytes, gateway_message_own_bytes(m));
    atomic_fetch_add(&process->body_bytes, gateway_message_file_bytes(m));
    *message_out = m;
    return STATUS_OK;
}

struct spool_recovered_message *gateway_message_room(struct gateway_message *m)
{
    ASSERT(m->items_count > 0);
    return &m->items[0].found;
}

/* Nobody reads there any more: the owner's things begin with nothing. */
static void leave_room(struct gateway_message *m)
{
    *gateway_message_room(m) = (struct spool_recovered_message){ 0 };
}

void gateway_message_discard(struct gateway_message *m)
{
    leave_room(m);
    gateway_message_destroy(m);
}

static bool is_final(const struct spool_result *result)
{
    return result->state != SPOOL_RESULT_WAITING && result->state != SPOOL_RESULT_DEFERRED;
}

/* What is the same for all recipients of an item that wait. */
static void note_results(struct gateway_item *item, const struct spool_result *results)
{
    uint32_t *warned_wall_s = gateway_item_warned_wall_s(item);
    const uint16_t *waiting = gateway_item_waiting(item);
    unsigned holds = 0;
    bool is_held = false;

    for (unsigned i = 0; i < item->waiting_count; i++) {
        const struct spool_result *said = &results[waiting[i]];

        if (said->holds > holds)
            holds = said->holds;
        is_held = is_held || spool_result_is_held(said);
        if (said->warned_wall_s > *warned_wall_s)
            *warned_wall_s = said->warned_wall_s;
    }
    /* A crash while it was being released may have left some of them held: then all are. */
    atomic_store(&item->holds, (uint16_t)(is_held ? holds | 1u : holds));
}

/* Who has a final result does not wait. */
static void shorten(struct gateway_item *item, const struct spool_result *results)
{
    uint16_t *waiting = gateway_item_waiting(item);
    uint16_t left = 0;

    for (unsigned i = 0; i < item->waiting_count; i++)
        if (!is_final(&results[waiting[i]]))
            waiting[left++] = waiting[i];
    item->waiting_count = left;
}

void gateway_message_recall(struct gateway_message *m, const struct spool_result *results)
{
    for (unsigned rid = 0; rid < m->recipients_count; rid++)
        gateway_known_merge(&gateway_message_known(m)[rid], &results[rid]);
    for (unsigned i = 0; i < m->items_count; i++) {
        struct gateway_item *item = &m->items[i];

        shorten(item, results);
        note_results(item, results);
        if (item->waiting_count == 0)
            m->open_count--;
    }
}

/* What it was made with belongs to the recovery. */
static enum status change_lane(struct gateway_item *item, struct gateway_lanes *lanes)
{
    const struct gateway_lane_key key = {
        .domain = gateway_lane_domain(item->lane),
        .listener = gateway_lane_listener(item->lane),
        .is_tls_optional = item->lane->is_tls_optional,
    };
    struct gateway_lane *lane;

    if (item->lane->lanes == lanes)
        return STATUS_OK;
    lane = gateway_lane_acquire(lanes, &key);
    if (lane == NULL)
        return STATUS_NO_MEMORY;
    item->lane = lane;
    return STATUS_OK;
}

enum status gateway_message_settle(struct gateway_message *m, struct gateway_worker *home,
                                   struct spool_segment *segment)
{
    for (unsigned i = 0; i < m->items_count; i++)
        TRY(change_lane(&m->items[i], &home->lanes));
    leave_room(m);
    m->home = home;
    m->location.segment = segment;
    home->living_bytes += m->location.bytes;
    gateway_shelf_settle(m);
    return STATUS_OK;
}
