#include "smtp/server_state.h"

#include <assert.h>

#include "base/pool.h"

#define IN(state)      SMTP_SERVER_IN(state)
#define IN_BODY        (IN(BODY) | IN(SWALLOW) | IN(ASK_END))
#define IN_LINE        (~(IN_BODY | IN(ASK_XCLIENT)))
#define IN_TRANSACTION (IN(MAIL) | IN(RCPT) | IN(ASK_RCPT) | IN(ASK_DATA) | IN_BODY)

static_assert(SMTP_SERVER_STATES_COUNT <= 32, "sets of states are bits of an unsigned");

/* From each state, the states that may follow. */
static const unsigned next_states[SMTP_SERVER_STATES_COUNT] = {
    [SMTP_SERVER_STATE_NEW] = IN(NEW) | IN(READY) | IN(REJECTED) | IN(ASK_XCLIENT) | IN(CLOSED),
    [SMTP_SERVER_STATE_READY] = IN(READY) | IN(ASK_MAIL) | IN(ASK_XCLIENT) | IN(TLS) | IN(CLOSED),
    [SMTP_SERVER_STATE_MAIL] = IN(MAIL) | IN(READY) | IN(ASK_RCPT) | IN(CLOSED),
    [SMTP_SERVER_STATE_RCPT] = IN(RCPT) | IN(READY) | IN(ASK_RCPT) | IN(ASK_DATA) | IN(CLOSED),
    [SMTP_SERVER_STATE_BODY] = IN(SWALLOW) | IN(ASK_END) | IN(CLOSED),
    [SMTP_SERVER_STATE_SWALLOW] = IN(READY) | IN(CLOSED),
    [SMTP_SERVER_STATE_ASK_MAIL] = IN(MAIL) | IN(READY) | IN(CLOSED),
    [SMTP_SERVER_STATE_ASK_RCPT] = IN(MAIL) | IN(RCPT) | IN(CLOSED),
    [SMTP_SERVER_STATE_ASK_DATA] = IN(BODY) | IN(READY) | IN(CLOSED),
    [SMTP_SERVER_STATE_ASK_END] = IN(READY) | IN(CLOSED),
    [SMTP_SERVER_STATE_ASK_XCLIENT] = IN(NEW) | IN(READY) | IN(CLOSED),
    [SMTP_SERVER_STATE_TLS] = IN(NEW) | IN(CLOSED),
    [SMTP_SERVER_STATE_REJECTED] = IN(REJECTED) | IN(CLOSED),
    [SMTP_SERVER_STATE_CLOSED] = 0,
};

void smtp_server_helo_finish(char **helo)
{
    if (*helo != NULL)
        pool_give(*helo, strlen(*helo) + 1);
    *helo = NULL;
}

static void xclient_finish(struct smtp_server_xclient *x)
{
    buffer_finish(&x->memory);
    smtp_server_helo_finish(&x->helo);
}

void smtp_server_enter(struct smtp_server *s, enum smtp_server_state next)
{
    bool was_line = smtp_server_is_in(s, IN_LINE);
    bool is_line = (IN_LINE & (1u << next)) != 0;

    ASSERT((next_states[s->state] & (1u << next)) != 0);
    if (smtp_server_is_in(s, IN(ASK_XCLIENT)))
        xclient_finish(&s->xclient);
    if (was_line && !is_line) {
        smtp_line_finish(&s->line);
        if (next == SMTP_SERVER_STATE_ASK_XCLIENT)
            s->xclient = (struct smtp_server_xclient){ 0 };
        else
            smtp_body_init(&s->body);
    } else if (!was_line && is_line) {
        smtp_line_init(&s->line);
    }
    s->state = (uint8_t)next;
}

bool smtp_server_in_transaction(const struct smtp_server *s)
{
    return smtp_server_is_in(s, IN_TRANSACTION);
}

struct smtp_server_event smtp_server_close(struct smtp_server *s, enum smtp_close_reason reason,
                                           unsigned code, const char *enhanced, struct slice text,
                                           struct buffer *out)
{
    struct smtp_server_event e = { .kind = SMTP_SERVER_CLOSE, .reason = reason };

    e.transaction_dropped = smtp_server_in_transaction(s);
    /* A session that ends may end without its last words. */
    if (smtp_reply_write(out, code, enhanced, text) == STATUS_OK)
        e.code = (uint16_t)code;
    smtp_server_enter(s, SMTP_SERVER_STATE_CLOSED);
    return e;
}

struct smtp_server_event smtp_server_step(struct smtp_server *s, enum smtp_server_state next,
                                          unsigned code, const char *enhanced, struct slice text,
                                          struct buffer *out)
{
    struct smtp_server_event e = { .kind = SMTP_SERVER_REPLIED, .code = (uint16_t)code };
    bool was_open = smtp_server_in_transaction(s);

    if (smtp_reply_write(out, code, enhanced, text) != STATUS_OK)
        return smtp_server_close(s, SMTP_CLOSE_NO_MEMORY, 421, "4.3.0",
                                 SLICE("Insufficient system resources"), out);
    smtp_server_enter(s, next);
    e.transaction_dropped = was_open && !smtp_server_in_transaction(s);
    return e;
}

struct smtp_server_event smtp_server_error(struct smtp_server *s, unsigned code,
                                           const char *enhanced, struct slice text,
                                           struct buffer *out)
{
    if (s->errors_count < UINT16_MAX)
        s->errors_count++;
    if (s->errors_count > smtp_server_limit(s->options->errors_max, SMTP_SERVER_ERRORS_MAX))
        return smtp_server_close(s, SMTP_CLOSE_ERRORS, 421, "4.7.0",
                                 SLICE("Too many errors on this connection"), out);
    return smtp_server_step(s, smtp_server_state_now(s), code, enhanced, text, out);
}
