#include "gateway/report.h"

#include <stdlib.h>

#include "base/pool.h"
#include "gateway/message.h"
#include "gateway/worker.h"

static size_t bytes_for(unsigned verdicts)
{
    return sizeof(struct gateway_report) + verdicts * sizeof(struct gateway_verdict);
}

enum status gateway_report_create(struct gateway_item *item, unsigned verdicts,
                                  struct gateway_report **report_out)
{
    struct gateway_report *report = pool_take_zeroed(bytes_for(verdicts));

    if (report == NULL)
        return STATUS_NO_MEMORY;
    report->item = item;
    report->verdicts_max = verdicts;
    *report_out = report;
    return STATUS_OK;
}

void gateway_report_destroy(struct gateway_report *report)
{
    if (report == NULL)
        return;
    for (unsigned i = 0; i < report->verdicts_count; i++)
        free(report->verdicts[i].failure);
    pool_give(report, bytes_for(report->verdicts_max));
}

void gateway_report_add(struct gateway_report *report, const struct spool_result *result,
                        enum gateway_notice notice, struct gateway_failure *failure)
{
    ASSERT(report->verdicts_count < report->verdicts_max);
    ASSERT(failure == NULL || notice != GATEWAY_NOTICE_NONE);
    ASSERT((notice == GATEWAY_NOTICE_FAILED) == (result->state == SPOOL_RESULT_BOUNCED));
    report->verdicts[report->verdicts_count++] =
        (struct gateway_verdict){ .result = *result, .notice = notice, .failure = failure };
}

static void take(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_report *report = CONTAINER_OF(post, struct gateway_report, post);
    struct gateway_message *m = gateway_item_message(report->item);

    ASSERT(m->home->loop == here);
    gateway_message_reported(m, report);
}

static void take_delivered(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_item *item = CONTAINER_OF(post, struct gateway_item, delivered.post);

    ASSERT(gateway_item_message(item)->home->loop == here);
    gateway_message_delivered(item);
}

/* Whether the item can say it all: the verdicts are of those who waited, in their order, and each
 * of them has been delivered by the same try. */
static bool is_plain_delivery(const struct gateway_report *report)
{
    const uint16_t *rids = gateway_item_waiting(report->item);
    const struct gateway_verdict *first = &report->verdicts[0];

    if (report->is_word || report->verdicts_count == 0 ||
        report->verdicts_count > report->item->all_count || first->result.attempts > UINT16_MAX)
        return false;
    for (unsigned i = 0; i < report->verdicts_count; i++) {
        const struct gateway_verdict *v = &report->verdicts[i];

        if (v->result.state != SPOOL_RESULT_DELIVERED || v->notice != GATEWAY_NOTICE_NONE ||
            v->result.attempts != first->result.attempts || v->result.rid != rids[i])
            return false;
    }
    return true;
}

/* The report goes back to where it came from. */
static void let_item_say_it(struct gateway_report *report)
{
    struct gateway_item *item = report->item;

    item->delivered = (struct gateway_delivered){
        .count = (uint16_t)report->verdicts_count,
        .attempts = (uint16_t)report->verdicts[0].result.attempts,
    };
    gateway_report_destroy(report);
}

void gateway_report_end(struct gateway_item *item, struct gateway_report *report_or_null,
                        struct engine_loop *from)
{
    struct engine_loop *home = gateway_item_message(item)->home->loop;

    if (report_or_null != NULL) {
        report_or_null->item_ended = true;
        report_or_null->post.deliver = take;
        engine_mailbox_post(home, from, &report_or_null->post);
    } else {
        gateway_item_finish(item); /* here, where its memory came from */
        item->delivered.post.deliver = take_delivered;
        engine_mailbox_post(home, from, &item->delivered.post);
    }
}

static void end(struct gateway_report *report, struct engine_loop *from)
{
    struct gateway_item *item = report->item;

    gateway_dispatch_let_go(item);
    if (is_plain_delivery(report)) {
        let_item_say_it(report);
        report = NULL;
    }
    if (!gateway_item_part_later(item, report))
        gateway_report_end(item, report, from);
}

void gateway_report_post(struct gateway_report *report, struct engine_loop *from, bool item_ended)
{
    if (item_ended) {
        end(report, from);
        return;
    }
    report->item_ended = false;
    report->post.deliver = take;
    engine_mailbox_post(gateway_item_message(report->item)->home->loop, from, &report->post);
}
