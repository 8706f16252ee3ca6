#include "smtp/client.h"

#include "smtp/client_transaction.h"

#define IN(state) SMTP_CLIENT_IN(state)

static const struct smtp_client_event more = { .kind = SMTP_CLIENT_MORE };

/* From each state, the states that may follow. ENDED may follow any. */
static const unsigned next_states[SMTP_CLIENT_STATES_COUNT] = {
    [SMTP_CLIENT_STATE_GREETING] = IN(EHLO),
    [SMTP_CLIENT_STATE_EHLO] = IN(HELO) | IN(READY),
    [SMTP_CLIENT_STATE_HELO] = IN(READY),
    [SMTP_CLIENT_STATE_READY] = IN(STARTTLS) | IN(ENVELOPE) | IN(QUIT),
    [SMTP_CLIENT_STATE_STARTTLS] = IN(TLS) | IN(READY),
    [SMTP_CLIENT_STATE_TLS] = IN(EHLO),
    [SMTP_CLIENT_STATE_ENVELOPE] = IN(READY) | IN(BODY) | IN(DISCARD),
    [SMTP_CLIENT_STATE_BODY] = IN(FINAL),
    [SMTP_CLIENT_STATE_FINAL] = IN(READY),
    [SMTP_CLIENT_STATE_DISCARD] = IN(READY),
};

void smtp_client_enter(struct smtp_client *c, enum smtp_client_state next)
{
    ASSERT(!smtp_client_is_in(c, IN(ENDED)));
    ASSERT(next == SMTP_CLIENT_STATE_ENDED || (next_states[c->state] & (1u << next)) != 0);
    c->state = (uint8_t)next;
}

struct smtp_client_event smtp_client_fail(struct smtp_client *c, enum smtp_client_failure failure,
                                          const struct smtp_reply *reply)
{
    struct smtp_client_event e = { .kind = SMTP_CLIENT_FAILED, .failure = failure };

    e.stage = smtp_client_transaction_stage(c);
    e.in_doubt = smtp_client_transaction_is_in_doubt(c, failure);
    if (reply != NULL)
        e.reply = *reply;
    c->envelope = NULL;
    smtp_client_enter(c, SMTP_CLIENT_STATE_ENDED);
    return e;
}

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
    *c = (struct smtp_client){ .options = options, .state = SMTP_CLIENT_STATE_GREETING };
    smtp_reply_parser_init(&c->parser);
    buffer_init(&c->verdict_text, SMTP_REPLY_TEXT_BYTES_MAX);
}

void smtp_client_finish(struct smtp_client *c)
{
    c->state = SMTP_CLIENT_STATE_ENDED;
    c->envelope = NULL;
    smtp_reply_parser_finish(&c->parser);
    buffer_finish(&c->verdict_text);
}

/* Goes to next and says a line, or fails. */
static struct smtp_client_event say(struct smtp_client *c, enum smtp_client_state next,
                                    const char *verb, struct slice argument, struct buffer *out)
{
    if (buffer_printf(out, "%s%s%.*s\r\n", verb, argument.len > 0 ? " " : "",
                      SLICE_ARGS(argument)) != STATUS_OK)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
    smtp_client_enter(c, next);
    return more;
}

static struct smtp_client_event ehlo_say(struct smtp_client *c, struct buffer *out)
{
    c->capabilities = (struct smtp_client_capabilities){ 0 };
    c->needs_rset = false;
    c->is_first_line = true;
    c->is_line_masked = false;
    return say(c, SMTP_CLIENT_STATE_EHLO, "EHLO", c->options->hostname, out);
}

/* One line of the reply to EHLO, RFC 5321 4.1.1.1; the first names the server. */
static void capability_read(struct smtp_client *c, struct slice line)
{
    if (c->is_first_line) {
        c->is_first_line = false;
        return;
    }
    smtp_client_capabilities_read(&c->capabilities, line, c->is_tls);
    if (smtp_client_line_is_masked(line))
        c->is_line_masked = true;
}

static struct smtp_client_event ready(struct smtp_client *c, bool esmtp,
                                      const struct smtp_reply *reply)
{
    c->capabilities.esmtp = esmtp;
    c->capabilities.starttls_masked =
        (c->is_line_masked || c->is_greeting_masked) && !c->is_tls && !c->capabilities.starttls;
    smtp_client_enter(c, SMTP_CLIENT_STATE_READY);
    return (struct smtp_client_event){ .kind = SMTP_CLIENT_READY, .reply = *reply };
}

/* 300 to 399 is no answer to anything but DATA. */
static struct smtp_client_event fail_by_reply(struct smtp_client *c,
                                              enum smtp_client_failure failure,
                                              const struct smtp_reply *reply)
{
    return smtp_client_fail(c, reply->code >= 400 ? failure : SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
}

static struct smtp_client_event reply_to_ehlo(struct smtp_client *c, const struct smtp_reply *reply,
                                              struct buffer *out)
{
    if (smtp_reply_is_positive(reply))
        return ready(c, true, reply);
    c->capabilities = (struct smtp_client_capabilities){ 0 };
    /* RFC 5321 3.2: an old server does not know EHLO. */
    if (smtp_reply_is_permanent(reply))
        return say(c, SMTP_CLIENT_STATE_HELO, "HELO", c->options->hostname, out);
    return fail_by_reply(c, SMTP_CLIENT_FAILURE_EHLO, reply);
}

static struct smtp_client_event reply_to_starttls(struct smtp_client *c,
                                                  const struct smtp_reply *reply)
{
    struct smtp_client_event e = { .kind = SMTP_CLIENT_TLS_GO, .reply = *reply };

    if (reply->code == 220) {
        smtp_client_enter(c, SMTP_CLIENT_STATE_TLS);
        return e;
    }
    if (reply->code < 400)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
    e.kind = SMTP_CLIENT_TLS_REFUSED;
    smtp_client_enter(c, SMTP_CLIENT_STATE_READY);
    return e;
}

static struct smtp_client_event reply_take(struct smtp_client *c, const struct smtp_reply *reply,
                                           struct buffer *out)
{
    if (smtp_client_is_in(c, IN(QUIT))) {
        smtp_client_enter(c, SMTP_CLIENT_STATE_ENDED);
        return (struct smtp_client_event){ .kind = SMTP_CLIENT_BYE, .reply = *reply };
    }
    /* RFC 5321 3.8: may come at any time. */
    if (reply->code == 421)
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_CLOSING, reply);

    switch ((enum smtp_client_state)c->state) {
    case SMTP_CLIENT_STATE_GREETING:
        c->is_greeting_masked = smtp_client_greeting_is_masked(reply->text);
        if (reply->code == 220)
            return ehlo_say(c, out);
        return fail_by_reply(c, SMTP_CLIENT_FAILURE_GREETING, reply);
    case SMTP_CLIENT_STATE_EHLO: return reply_to_ehlo(c, reply, out);
    case SMTP_CLIENT_STATE_HELO:
        if (smtp_reply_is_positive(reply))
            return ready(c, false, reply);
        return fail_by_reply(c, SMTP_CLIENT_FAILURE_EHLO, reply);
    case SMTP_CLIENT_STATE_STARTTLS: return reply_to_starttls(c, reply);
    case SMTP_CLIENT_STATE_ENVELOPE:
    case SMTP_CLIENT_STATE_BODY:
    case SMTP_CLIENT_STATE_FINAL:
    case SMTP_CLIENT_STATE_DISCARD: return smtp_client_transaction_reply(c, reply, out);
    case SMTP_CLIENT_STATE_READY: /* nothing was asked */
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, reply);
    case SMTP_CLIENT_STATE_TLS:
    case SMTP_CLIENT_STATE_QUIT:
    case SMTP_CLIENT_STATE_ENDED:
    case SMTP_CLIENT_STATES_COUNT: break;
    }
    UNREACHABLE();
}

struct smtp_client_event smtp_client_feed(struct smtp_client *c, struct slice input,
                                          size_t *used_out, struct buffer *out)
{
    struct smtp_client_event e;

    ASSERT(!smtp_client_is_in(c, IN(TLS) | IN(ENDED)));
    *used_out = 0;
    for (;;) {
        struct slice line;
        struct smtp_reply reply;
        size_t used;

        e = smtp_client_transaction_next(c, out);
        if (e.kind != SMTP_CLIENT_MORE)
            return e;
        switch (smtp_reply_parser_next(&c->parser, slice_after(input, *used_out), &used, &line,
                                       &reply)) {
        case SMTP_REPLY_MORE: *used_out += used; return more;
        case SMTP_REPLY_BAD: return smtp_client_fail(c, SMTP_CLIENT_FAILURE_BAD_REPLY, NULL);
        case SMTP_REPLY_NO_MEMORY: return smtp_client_fail(c, SMTP_CLIENT_FAILURE_NO_MEMORY, NULL);
        case SMTP_REPLY_LINE:
            *used_out += used;
            if (smtp_client_is_in(c, IN(EHLO)))
                capability_read(c, line);
            break;
        case SMTP_REPLY_DONE:
            *used_out += used;
            if (smtp_client_is_in(c, IN(EHLO)))
                capability_read(c, line);
            e = reply_take(c, &reply, out);
            if (e.kind != SMTP_CLIENT_MORE)
                return e;
            break;
        }
    }
}

const struct smtp_client_capabilities *smtp_client_capabilities(const struct smtp_client *c)
{
    return &c->capabilities;
}

bool smtp_client_is_ready(const struct smtp_client *c)
{
    return smtp_client_is_in(c, IN(READY));
}

bool smtp_client_is_greeted(const struct smtp_client *c)
{
    return !smtp_client_is_in(c, IN(GREETING));
}

uint32_t smtp_client_transactions_left(const struct smtp_client *c)
{
    uint32_t most = c->capabilities.mails_max;

    if (most == 0)
        return UINT32_MAX;
    return c->transactions_count < most ? most - c->transactions_count : 0;
}

struct smtp_client_event smtp_client_starttls(struct smtp_client *c, struct buffer *out)
{
    ASSERT(smtp_client_is_in(c, IN(READY)));
    ASSERT(c->capabilities.starttls);
    return say(c, SMTP_CLIENT_STATE_STARTTLS, "STARTTLS", SLICE(""), out);
}

struct smtp_client_event smtp_client_tls_started(struct smtp_client *c, struct buffer *out)
{
    ASSERT(smtp_client_is_in(c, IN(TLS)));
    c->is_tls = true;
    /* RFC 3207 4.2: nothing the server said in the clear counts any more. */
    return ehlo_say(c, out);
}

struct smtp_client_event smtp_client_quit(struct smtp_client *c, struct buffer *out)
{
    ASSERT(smtp_client_is_in(c, IN(READY)));
    return say(c, SMTP_CLIENT_STATE_QUIT, "QUIT", SLICE(""), out);
}

static struct smtp_client_event end(struct smtp_client *c, enum smtp_client_failure failure)
{
    struct smtp_reply refusal;

    if (smtp_client_transaction_is_refused(c, &refusal))
        return smtp_client_fail(c, SMTP_CLIENT_FAILURE_EARLY, &refusal);
    if (!smtp_client_is_in(c, IN(QUIT)))
        return smtp_client_fail(c, failure, NULL);
    smtp_client_enter(c, SMTP_CLIENT_STATE_ENDED);
    return (struct smtp_client_event){ .kind = SMTP_CLIENT_BYE };
}

struct smtp_client_event smtp_client_ended(struct smtp_client *c)
{
    return end(c, SMTP_CLIENT_FAILURE_ENDED);
}

struct smtp_client_event smtp_client_expire(struct smtp_client *c)
{
    return end(c, SMTP_CLIENT_FAILURE_TIMEOUT);
}

static uint32_t or_default(uint32_t value_ms, uint32_t default_ms)
{
    return value_ms > 0 ? value_ms : default_ms;
}

uint32_t smtp_client_timeout_ms(const struct smtp_client *c)
{
    const struct smtp_client_options *o = c->options;

    switch ((enum smtp_client_state)c->state) {
    case SMTP_CLIENT_STATE_GREETING: return or_default(o->greeting_ms_max, SMTP_CLIENT_GREETING_MS);
    case SMTP_CLIENT_STATE_ENVELOPE:
        if (smtp_client_transaction_awaits_data(c))
            return or_default(o->data_ms_max, SMTP_CLIENT_DATA_MS);
        return or_default(o->command_ms_max, SMTP_CLIENT_COMMAND_MS);
    case SMTP_CLIENT_STATE_EHLO:
    case SMTP_CLIENT_STATE_HELO:
    case SMTP_CLIENT_STATE_STARTTLS: return or_default(o->command_ms_max, SMTP_CLIENT_COMMAND_MS);
    case SMTP_CLIENT_STATE_BODY: return or_default(o->body_ms_max, SMTP_CLIENT_BODY_MS);
    case SMTP_CLIENT_STATE_FINAL:
    case SMTP_CLIENT_STATE_DISCARD: return or_default(o->final_ms_max, SMTP_CLIENT_FINAL_MS);
    case SMTP_CLIENT_STATE_QUIT: return or_default(o->quit_ms_max, SMTP_CLIENT_QUIT_MS);
    case SMTP_CLIENT_STATE_READY:
    case SMTP_CLIENT_STATE_TLS:
    case SMTP_CLIENT_STATE_ENDED:
    case SMTP_CLIENT_STATES_COUNT: break;
    }
    return 0;
}

const char *smtp_client_failure_text(enum smtp_client_failure failure)
{
    switch (failure) {
    case SMTP_CLIENT_FAILURE_NONE: return "none";
    case SMTP_CLIENT_FAILURE_BAD_REPLY: return "not an SMTP reply, or out of turn";
    case SMTP_CLIENT_FAILURE_GREETING: return "refused by the greeting";
    case SMTP_CLIENT_FAILURE_EHLO: return "EHLO and HELO refused";
    case SMTP_CLIENT_FAILURE_CLOSING: return "closing";
    case SMTP_CLIENT_FAILURE_EARLY: return "refused while the message was being sent";
    case SMTP_CLIENT_FAILURE_ENDED: return "connection closed by the other side";
    case SMTP_CLIENT_FAILURE_TIMEOUT: return "timeout";
    case SMTP_CLIENT_FAILURE_NO_MEMORY: return "no memory";
    }
    UNREACHABLE();
}
