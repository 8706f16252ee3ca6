/* The commands of an envelope are numbered in the order they are sent:
 *
 *     [RSET] MAIL RCPT RCPT ... DATA      a message
 *     [RSET] MAIL RCPT RCPT ...           a message by BDAT, which is said when all is answered
 *     [RSET] MAIL RCPT                    a question
 *     [RSET] MAIL RSET                    a question without a recipient: about the sender
 *
 * commands_sent and commands_answered count along that line, so a reply belongs to the command
 * whose number is commands_answered. With PIPELINING (RFC 2920) up to SMTP_CLIENT_PIPELINED_MAX
 * are under way, else one.
 */
#include "smtp/client_transaction.h"

#include "smtp/client_envelope.h"

#define IN(state) SMTP_CLIENT_IN(state)

enum command_kind { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA };

static const struct smtp_client_event more = { .kind = SMTP_CLIENT_MORE };

static size_t commands_before_data(const struct smtp_client *c)
{
    return (size_t)c->has_rset + 1 + c->recipients_sent;
}

static bool is_about_sender(const struct smtp_client *c)
{
    return c->is_question && c->recipients_sent == 0;
}

static size_t commands_total(const struct smtp_client *c)
{
    bool has_last = is_about_sender(c) || (!c->is_question && !c->is_by_bdat);

    return commands_before_data(c) + (has_last ? 1 : 0);
}

/* *recipient_out is set for RCPT. */
static enum command_kind command_kind(const struct smtp_client *c, size_t number,
                                      size_t *recipient_out)
{
    ASSERT(number < commands_total(c));
    if (c->has_rset) {
        if (number == 0)
            return COMMAND_RSET;
        number--;
    }
    if (number == 0)
        return COMMAND_MAIL;
    if (number > c->recipients_sent)
        return is_about_sender(c) ? COMMAND_RSET : COMMAND_DATA;
    *recipient_out = number - 1;
    return COMMAND_RCPT;
}

/* No recipient was accepted, and all of them were answered. */
static bool is_without_recipients(const struct smtp_client *c)
{
    return c->recipients_accepted == 0 && c->commands_answered >= commands_before_data(c);
}

/* Nothing more is to be sent for this envelope. */
static bool is_hopeless(const struct smtp_client *c)
{
    if (is_about_sender(c))
        return c->verdict_stage == SMTP_CLIENT_STAGE_MAIL && !smtp_reply_is_positive(&c->verdict);
    return c->verdict_stage == SMTP_CLIENT_STAGE_MAIL || is_without_recipients(c);
}

bool smtp_client_transaction_awaits_data(const struct smtp_client *c)
{
    return smtp_client_is_in(c, IN(ENVELOPE)) && !c->is_question && !c->is_by_bdat &&
           c->commands_answered == commands_before_data(c);
}

enum smtp_client_stage smtp_client_transaction_stage(const struct smtp_client *c)
{
    size_t recipient;

    if (smtp_client_is_in(c, IN(FINAL)))
        return SMTP_CLIENT_STAGE_FINAL;
    if (smtp_client_is_in(c, IN(BODY)))
        return SMTP_CLIENT_STAGE_BODY;
    if (smtp_client_is_in(c, IN(DISCARD)))
        return c->verdict_stage;
    if (!smtp_client_is_in(c, IN(ENVELOPE)))
        return SMTP_CLIENT_STAGE_NONE;
    if (c->commands_answered == commands_total(c))
        return c->is_question ? SMTP_CLIENT_STAGE_RCPT : SMTP_CLIENT_STAGE_DATA;
    switch (command_kind(c, c->commands_answered, &recipient)) {
    case COMMAND_RSET:
    case COMMAND_MAIL: return SMTP_CLIENT_STAGE_MAIL;
    case COMMAND_RCPT: return SMTP_CLIENT_STAGE_RCPT;
    case COMMAND_DATA: return SMTP_CLIENT_STAGE_DATA;
    }
    UNREACHABLE();
}

/* Keeps the reply that decides about the message until DONE; the first of a stage stands. */
static void verdict_keep(struct smtp_client *c, enum smtp_client_stage stage,
                         const struct smtp_reply *reply)
{
    if (c->verdict_stage == stage)
        return;
    c->verdict_stage = stage;
    c->verdict = *reply;
    buffer_clear(&c->verdict_text);
    /* Without memory the code must do. */
    if (buffer_append(&c->verdict_text, reply->text) != STATUS_OK)
        buffer_clear(&c->verdict_text);
}

static void verdict_forget(struct smtp_client *c)
{
    c->verdict_stage = SMTP_CLIENT_STAGE_NONE;
    c->verdict = (struct smtp_reply){ 0 };
    buffer_clear(&c->verdict_text); /* its memory is for the next one */
}

static struct smtp_client_event done(struct smtp_client *c, enum smtp_client_stage stage,
                                     const struct smtp_reply *reply, bool needs_rset)
{
    c->needs_rset = needs_rset;
    c->envelope = NULL;
    smtp_client_enter(c, SMTP_CLIENT_STATE_READY);
    return (struct smtp_client_event){ .kind = SMTP_CLIENT_DONE,
                                       .stage = stage,
                                       .recipients_sent = c->recipients_sent,
                                       .reply = *reply };
}

static struct smtp_reply verdict_reply(const struct smtp_client *c)
{
    struct smtp_reply reply = c->verdict;

    reply.text = buffer_contents(&c->verdict_text);
    return reply;
}

static struct smtp_client_event done_by_verdict(struct smtp_client *c, bool needs_rset)
{
    struct smtp_reply reply = verdict_reply(c);

    return done(c, c->verdict_stage, &reply, needs_rset);
}

/* The reply to a chunk came before body_sent(). */
static bool has_early_verdict(const struct smtp_client *c)
{
    return smtp_client_is_in(c, IN(BODY)) && c->verdict_stage == SMTP_CLIENT_STAGE_FINAL;
}

bool smtp_client_transaction_is_refused(const struct smtp_client *c, struct smtp_reply *reply_out)
{
    if (!has_early_verdict(c) || smtp_reply_is_positive(&c->verdict))
        return false;
    *reply_out = verdict_reply(c);
    return true;
}

/* RFC 5321 4.5.3.2.6: whether a message without a reply was accepted cannot be known. Behind BDAT
 * no dot has to follow the body, so the server may have all of it before that is known here. */
bool smtp_client_transaction_is_in_doubt(const struct smtp_client *c,
                                         enum smtp_client_failure failure)
{
    if (has_early_verdict(c))
        return smtp_reply_is_positive(&c->verdict);
    return failure != SMTP_CLIENT_FAILURE_CLOSING &&
           (smtp_client_is_in(c, IN(FINAL)) || (smtp_client_is_in(c, IN(BODY)) && c->is_by_bdat));
}

static enum status command_write(const struct smtp_client *c, size_t number, struct buffer *out)
{
    size_t recipient = 0;

    switch (command_kind(c, number, &recipient)) {
    case COMMAND_RSET: return buffer_append_text(out, "RSET\r\n");
    case COMMAND_MAIL: return smtp_client_mail_write(c->envelope, &c->capabilities, out);
    case COMMAND_RCPT: return smtp_client_rcpt_write(c->envelope, recipient, &c->capabilities, out);
    case COMMAND_DATA: return buffer_append_text(out, "DATA\r\n");
    }
    UNREACHABLE();
}

/* Sends as many commands as may be under way. */
static enum status commands_send(struct smtp_client *c, struct buffer *out)
{
    size_t total = commands_total(c);
    size_t window = c->capabilities.pipelining ? SMTP_CLIENT_PIPELINED_MAX : 1;

    while (c->commands_sent < total && c->commands_sent - c->commands_answered < window) {
        if (is_hopeless(c))
            return STATUS_OK;
        TRY(command_write(c, c->commands_sent, out));
        c->commands_sent++;
    }
    return STATUS_OK;
}

/* RFC 3030 section 2: all of the message in one chunk, which has no end mark of its own. */
static struct smtp_client_event chunk_begin(struct smtp_client *c, struct buffer *out)
{
    if (buffer_printf(out, "BDAT %llu LAST\r\n", (unsigned long long)c->envelope->message_bytes) !=
        STATUS_OK)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
    smtp_client_enter(c, SMTP_CLIENT_STATE_BODY);
    return (struct smtp_client_event){ .kind = SMTP_CLIENT_BODY_WANTED,
                                       .stage = SMTP_CLIENT_STAGE_DATA,
                                       .by_bdat = true };
}

struct smtp_client_event smtp_client_transaction_next(struct smtp_client *c, struct buffer *out)
{
    if (!smtp_client_is_in(c, IN(ENVELOPE)))
        return more;
    if (commands_send(c, out) != STATUS_OK)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
    if (c->commands_answered < c->commands_sent)
        return more;
    if (c->is_by_bdat && !is_hopeless(c))
        return chunk_begin(c, out);
    /* Where MAIL was accepted a transaction is open on the other side (RFC 5321 3.3). */
    return done_by_verdict(c, c->verdict_stage != SMTP_CLIENT_STAGE_MAIL);
}

static struct smtp_client_event reply_to_rcpt(struct smtp_client *c, size_t recipient,
                                              const struct smtp_reply *reply)
{
    if (c->verdict_stage == SMTP_CLIENT_STAGE_MAIL)
        return more;
    if (c->is_question) {
        verdict_keep(c, SMTP_CLIENT_STAGE_RCPT, reply);
        return more;
    }
    if (smtp_reply_is_positive(reply))
        c->recipients_accepted++;
    else if (c->recipients_accepted == 0)
        verdict_keep(c, SMTP_CLIENT_STAGE_RCPT, reply);
    return (struct smtp_client_event){ .kind = SMTP_CLIENT_RECIPIENT,
                                       .stage = SMTP_CLIENT_STAGE_RCPT,
                                       .recipient = recipient,
                                       .reply = *reply };
}

static struct smtp_client_event reply_to_data(struct smtp_client *c, const struct smtp_reply *reply,
                                              struct buffer *out)
{
    bool has_recipients = c->recipients_accepted > 0 && c->verdict_stage != SMTP_CLIENT_STAGE_MAIL;

    if (reply->code == 354) {
        if (has_recipients) {
            smtp_client_enter(c, SMTP_CLIENT_STATE_BODY);
            return (struct smtp_client_event){ .kind = SMTP_CLIENT_BODY_WANTED,
                                               .stage = SMTP_CLIENT_STAGE_DATA,
                                               .reply = *reply };
        }
        /* RFC 2920 section 3.1: a server that says 354 without a recipient gets a lone dot. */
        if (buffer_append_text(out, ".\r\n") != STATUS_OK)
            return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
        smtp_client_enter(c, SMTP_CLIENT_STATE_DISCARD);
        return more;
    }
    if (reply->code < 400)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
    if (has_recipients)
        verdict_keep(c, SMTP_CLIENT_STAGE_DATA, reply);
    return more;
}

static struct smtp_client_event reply_to_envelope(struct smtp_client *c,
                                                  const struct smtp_reply *reply,
                                                  struct buffer *out)
{
    size_t recipient = 0;
    enum command_kind kind;

    ASSERT(c->commands_answered < c->commands_sent);
    kind = command_kind(c, c->commands_answered, &recipient);
    if (kind != COMMAND_DATA && reply->code >= 300 && reply->code < 400)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
    switch (kind) {
    case COMMAND_RSET:
        /* RFC 5321 4.1.1.5: there is no other answer than 250. */
        if (!smtp_reply_is_positive(reply))
            return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
        c->commands_answered++;
        return more;
    case COMMAND_MAIL:
        if (!smtp_reply_is_positive(reply) || is_about_sender(c))
            verdict_keep(c, SMTP_CLIENT_STAGE_MAIL, reply);
        c->commands_answered++;
        return more;
    case COMMAND_RCPT: c->commands_answered++; return reply_to_rcpt(c, recipient, reply);
    case COMMAND_DATA: c->commands_answered++; return reply_to_data(c, reply, out);
    }
    UNREACHABLE();
}

/* While the body is being sent. That to a chunk may overtake the caller, who learns later than the
 * server that all of it has left; and where it is an early refusal the server still counts the
 * bytes of the chunk (RFC 3030 section 2). So it waits for body_sent(). */
static struct smtp_client_event reply_to_body(struct smtp_client *c, const struct smtp_reply *reply)
{
    bool is_answer = reply->code < 300 || reply->code >= 400;

    if (c->is_by_bdat && is_answer && !has_early_verdict(c)) {
        verdict_keep(c, SMTP_CLIENT_STAGE_FINAL, reply);
        return more;
    }
    return smtp_client_fail(c,
                            !c->is_by_bdat && reply->code >= 400 ? SMTP_CLIENT_FAILURE_EARLY
                                                                 : SMTP_CLIENT_FAILURE_BAD_REPLY,
                            reply);
}

struct smtp_client_event smtp_client_transaction_reply(struct smtp_client *c,
                                                       const struct smtp_reply *reply,
                                                       struct buffer *out)
{
    if (smtp_client_is_in(c, IN(ENVELOPE)))
        return reply_to_envelope(c, reply, out);
    if (smtp_client_is_in(c, IN(BODY)))
        return reply_to_body(c, reply);
    ASSERT(smtp_client_is_in(c, IN(FINAL) | IN(DISCARD)));
    if (reply->code >= 300 && reply->code < 400)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
    if (smtp_client_is_in(c, IN(DISCARD)))
        return done_by_verdict(c, false);
    return done(c, SMTP_CLIENT_STAGE_FINAL, reply, false);
}

static struct smtp_client_event begin(struct smtp_client *c,
                                      const struct smtp_client_envelope *envelope, bool is_question,
                                      struct buffer *out)
{
    struct smtp_reply refusal;

    ASSERT(smtp_client_is_in(c, IN(READY)));
    ASSERT(envelope->recipients_count > 0 || is_question);
    verdict_forget(c);
    if (!smtp_client_envelope_is_possible(envelope, &c->capabilities, &c->verdict_text, &refusal))
        return (struct smtp_client_event){ .kind = SMTP_CLIENT_DONE,
                                           .stage = SMTP_CLIENT_STAGE_LOCAL,
                                           .recipients_sent = envelope->recipients_count,
                                           .reply = refusal };
    c->envelope = envelope;
    c->is_question = is_question;
    c->is_by_bdat = c->capabilities.chunking && envelope->may_chunk && !is_question;
    c->recipients_sent = smtp_client_envelope_recipients_max(envelope, &c->capabilities);
    if (c->transactions_count < UINT32_MAX)
        c->transactions_count++;
    c->has_rset = c->needs_rset;
    c->needs_rset = false;
    c->commands_sent = 0;
    c->commands_answered = 0;
    c->recipients_accepted = 0;
    smtp_client_enter(c, SMTP_CLIENT_STATE_ENVELOPE);
    return smtp_client_transaction_next(c, out);
}

struct smtp_client_event smtp_client_send(struct smtp_client *c,
                                          const struct smtp_client_envelope *envelope,
                                          struct buffer *out)
{
    return begin(c, envelope, false, out);
}

struct smtp_client_event smtp_client_verify(struct smtp_client *c,
                                            const struct smtp_client_envelope *envelope,
                                            struct buffer *out)
{
    ASSERT(envelope->recipients_count <= 1);
    return begin(c, envelope, true, out);
}

struct smtp_client_event smtp_client_body_sent(struct smtp_client *c, struct buffer *out)
{
    ASSERT(smtp_client_is_in(c, IN(BODY)));
    if (c->is_by_bdat) {
        bool is_answered = has_early_verdict(c);

        smtp_client_enter(c, SMTP_CLIENT_STATE_FINAL);
        return is_answered ? done_by_verdict(c, false) : more;
    }
    if (buffer_append_text(out, ".\r\n") != STATUS_OK)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
    smtp_client_enter(c, SMTP_CLIENT_STATE_FINAL);
    return more;
}
