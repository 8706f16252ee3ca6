#include "gateway/report.h"

#include <stdlib.h>

#include "gateway/message.h"
#include "gateway/worker.h"

enum status gateway_report_create(struct gateway_item *item, unsigned verdicts,
                                  struct gateway_report **report_out)
{
    struct gateway_report *report =
        calloc(1, sizeof(*report) + verdicts * sizeof(struct gateway_verdict));

    if (report == NULL)
        return STATUS_NO_MEMORY;
    report->item = item;
    report->verdicts_max = verdicts;
    *report_out = report;
    return STATUS_OK;
}

void gateway_report_destroy(struct gateway_report *report)
{
    for (unsigned i = 0; report != NULL && i < report->verdicts_count; i++)
        free(report->verdicts[i].failure);
    free(report);
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

void gateway_report_post(struct gateway_report *report, struct engine_loop *from, bool item_ended)
{
    if (item_ended)
        gateway_dispatch_let_go(report->item);
    if (item_ended && gateway_item_part_later(report->item, report))
        return;
    report->item_ended = item_ended;
    report->post.deliver = take;
    engine_mailbox_post(gateway_item_message(report->item)->home->loop, from, &report->post);
}
