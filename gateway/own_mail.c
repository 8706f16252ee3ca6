#include "gateway/own_mail.h"

#include <unistd.h>

#include "gateway/message.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

/* --- the worker's part ----------------------------------------------------------------------- */

static enum status fill(const struct gateway_own_mail *mail, uint64_t mid, time_t now_s,
                        struct slice text, struct spool_draft *draft)
{
    const struct spool_envelope envelope = {
        .mid = mid,
        .arrival_wall_s = now_s,
        .flags = mail->flags,
        .sender = mail->sender,
    };

    TRY(spool_draft_begin(draft, &envelope, text.len));
    for (size_t i = 0; i < mail->recipients_count; i++)
        TRY(spool_draft_add_recipient(draft, mail->recipients[i]));
    TRY(spool_draft_body(draft, text));
    gateway_message_look(draft);
    return STATUS_OK;
}

static void log_envelope(const struct gateway_own_mail *mail, uint64_t mid, time_t now_s)
{
    struct observe_log_writer *log = mail->worker->log;

    observe_mid_start(log, now_s, mid, 0);
    observe_mid_from(log, now_s, mid, 0, mail->sender);
    for (size_t i = 0; i < mail->recipients_count; i++)
        observe_mid_to(log, now_s, mid, 0, i, mail->recipients[i]);
}

static enum status commit(struct gateway_own_mail *mail)
{
    struct gateway_worker *w = mail->worker;
    time_t now_s = gateway_worker_now_s(w);
    uint64_t mid = spool_ids_take(&w->process->ids, SPOOL_ID_MID);
    struct spool_draft draft;
    struct buffer text;
    enum status status;

    /* Drained workers take nothing: their last commit may be over. */
    if (mid == 0 || w->state >= GATEWAY_WORKER_DRAINED)
        return STATUS_LIMIT;
    buffer_init(&text, mail->bytes_max);
    spool_draft_init(&draft);
    status = mail->compose(mail, mid, now_s, &text);
    if (status == STATUS_OK)
        status = fill(mail, mid, now_s, buffer_contents(&text), &draft);
    if (status == STATUS_OK) {
        log_envelope(mail, mid, now_s);
        status = gateway_message_commit(w, &draft, NULL, NULL);
        if (status != STATUS_OK)
            observe_mid_aborted(w->log, now_s, mid, slice_from(status_text(status)));
    }
    spool_draft_finish(&draft);
    buffer_finish(&text);
    return status;
}

static void deliver(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_own_mail *mail = CONTAINER_OF(post, struct gateway_own_mail, post);
    const uint64_t one = 1;
    int bell = mail->bell;
    enum status status;

    ASSERT(mail->worker->loop == here);
    status = commit(mail);
    /* The owner may free it from here on. */
    atomic_store(&mail->state,
                 status == STATUS_OK ? GATEWAY_OWN_MAIL_COMMITTED : GATEWAY_OWN_MAIL_REFUSED);
    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (bell >= 0 && write(bell, &one, sizeof(one)) < 0)
        return;
}

/* --- the owner's part ------------------------------------------------------------------------ */

void gateway_own_mail_init(struct gateway_own_mail *mail)
{
    *mail = (struct gateway_own_mail){ .bell = GATEWAY_OWN_MAIL_NO_BELL };
}

bool gateway_own_mail_post(struct gateway_own_mail *mail, struct gateway_process *process)
{
    ASSERT(gateway_own_mail_state_of(mail) == GATEWAY_OWN_MAIL_WAITING);
    ASSERT(mail->recipients_count > 0 && mail->compose != NULL);
    mail->worker = gateway_worker_choose(process);
    if (mail->worker == NULL)
        return false;
    mail->post.deliver = deliver;
    atomic_store(&mail->state, GATEWAY_OWN_MAIL_POSTED);
    engine_mailbox_post(mail->worker->loop, NULL, &mail->post);
    return true;
}

void gateway_own_mail_wait(struct gateway_own_mail *mail)
{
    ASSERT(gateway_own_mail_state_of(mail) == GATEWAY_OWN_MAIL_REFUSED);
    atomic_store(&mail->state, GATEWAY_OWN_MAIL_WAITING);
}
