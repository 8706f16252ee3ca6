#include "smtp/server.h"

#include <stdio.h>

#include "smtp/server_state.h"
#include "smtp/server_verbs.h"

#define IN(state)   SMTP_SERVER_IN(state)
#define IN_COMMANDS (IN(NEW) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(REJECTED))
#define IN_INPUT    (IN_COMMANDS | IN(BODY) | IN(SWALLOW))
#define IN_ASK      (IN(ASK_MAIL) | IN(ASK_RCPT) | IN(ASK_DATA) | IN(ASK_END) | IN(ASK_XCLIENT))

static const struct smtp_server_event more = { .kind = SMTP_SERVER_MORE };

void smtp_server_init(struct smtp_server *s, const struct smtp_server_options *options)
{
    ASSERT(options->errors_max < UINT16_MAX);
    *s = (struct smtp_server){ .options = options, .state = SMTP_SERVER_STATE_NEW };
    smtp_line_init(&s->line);
}

void smtp_server_finish(struct smtp_server *s)
{
    if (!smtp_server_is_in(s, IN(CLOSED)))
        smtp_server_enter(s, SMTP_SERVER_STATE_CLOSED);
    smtp_line_finish(&s->line);
    smtp_server_helo_finish(&s->helo);
}

struct smtp_server_event smtp_server_greet(struct smtp_server *s, struct buffer *out)
{
    char text[SMTP_REPLY_LINE_BYTES_MAX];
    struct slice banner = s->options->banner.len > 0 ? s->options->banner : SLICE("ESMTP");
    struct slice name =
        s->options->has_banner_name ? s->options->banner_name : s->options->hostname;

    ASSERT(smtp_server_is_in(s, IN(NEW)));
    (void)snprintf(text, sizeof(text), "%.*s%s%.*s", SLICE_ARGS(name), name.len > 0 ? " " : "",
                   SLICE_ARGS(banner));
    return smtp_server_step(s, SMTP_SERVER_STATE_NEW,
                            s->options->banner_code > 0 ? s->options->banner_code : 220, NULL,
                            slice_from(text), out);
}

struct smtp_server_event smtp_server_reject(struct smtp_server *s, unsigned code, struct slice text,
                                            struct buffer *out)
{
    ASSERT(smtp_server_is_in(s, IN(NEW)));
    ASSERT(code >= 400 && code <= 599);
    /* Without a status code: RFC 2034 section 4 leaves them out of the greeting. */
    if (code == 421)
        return smtp_server_close(s, SMTP_CLOSE_ANSWER, code, NULL, text, out);
    return smtp_server_step(s, SMTP_SERVER_STATE_REJECTED, code, NULL, text, out);
}

static struct smtp_server_event run_bare_newline(struct smtp_server *s, struct buffer *out)
{
    return smtp_server_close(s, SMTP_CLOSE_BARE_NEWLINE, 554, "5.5.2",
                             SLICE("Lone CR or LF; lines must end in CRLF"), out);
}

static struct smtp_server_event feed_command(struct smtp_server *s, struct slice input,
                                             size_t *used_out, struct buffer *out)
{
    struct smtp_server_event e = more;
    struct smtp_command command;
    size_t used, total = 0;
    struct slice line;
    enum smtp_line_result result;

    do {
        result = smtp_line_next(&s->line, slice_after(input, total), &used, &line);
        total += used;
    } while (result == SMTP_LINE_BARE_LF &&
             s->options->bare_newlines == SMTP_SERVER_BARE_NEWLINES_ACCEPT);
    *used_out = total;

    switch (result) {
    case SMTP_LINE_PARTIAL: return more;
    case SMTP_LINE_BARE_LF: return run_bare_newline(s, out);
    case SMTP_LINE_TOO_LONG: return smtp_server_error(s, 500, "5.5.6", SLICE("Line too long"), out);
    case SMTP_LINE_ENDLESS:
        return smtp_server_close(s, SMTP_CLOSE_ENDLESS_LINE, 421, "4.7.0", SLICE("Line too long"),
                                 out);
    case SMTP_LINE_NO_MEMORY:
        return smtp_server_close(s, SMTP_CLOSE_NO_MEMORY, 421, "4.3.0",
                                 SLICE("Insufficient system resources"), out);
    case SMTP_LINE_DONE: break;
    }
    smtp_command_parse(line, smtp_server_extensions(s), &command);
    e = smtp_server_run(s, &command, out);
    e.verb = command.verb;
    if (!smtp_server_is_in(s, IN_ASK) && !e.is_bad_sender)
        smtp_line_release(&s->line); /* what an event speaks of goes with the next line */
    return e;
}

static bool body_is_too_large(const struct smtp_server *s)
{
    return smtp_body_size(&s->body) > smtp_server_message_bytes_max(s);
}

/* Looks at the facts after another run of the body; *is_over_out when the session ends for it. */
static struct smtp_server_event body_judge(struct smtp_server *s, uint64_t bytes_max,
                                           bool *is_over_out, struct buffer *out)
{
    *is_over_out = true;
    if ((s->body.has_bare_lf || s->body.has_bare_cr) &&
        s->options->bare_newlines == SMTP_SERVER_BARE_NEWLINES_REFUSE)
        return run_bare_newline(s, out);
    if (s->body.bytes_count > bytes_max) {
        struct smtp_answer answer = smtp_server_size_answer(s);

        return smtp_server_close(s, SMTP_CLOSE_OVERSIZE, answer.code, answer.enhanced, answer.text,
                                 out);
    }
    if (smtp_server_is_in(s, IN(BODY)) &&
        (body_is_too_large(s) || s->body.received_count > SMTP_SERVER_RECEIVED_LINES_MAX))
        smtp_server_enter(s, SMTP_SERVER_STATE_SWALLOW);
    *is_over_out = false;
    return more;
}

static struct smtp_server_event body_end(struct smtp_server *s, struct buffer *out)
{
    if (smtp_server_is_in(s, IN(BODY))) {
        smtp_server_enter(s, SMTP_SERVER_STATE_ASK_END);
        return (struct smtp_server_event){ .kind = SMTP_SERVER_END, .end = s->body };
    }
    if (body_is_too_large(s)) {
        struct smtp_answer answer = smtp_server_size_answer(s);

        return smtp_server_limited(s, SMTP_SERVER_STATE_READY, &answer, SMTP_CLOSE_OVERSIZE, out);
    }
    /* RFC 5321 6.3: so many Received: lines are a loop. */
    return smtp_server_step(s, SMTP_SERVER_STATE_READY, 554, "5.4.6",
                            SLICE("Too many hops, this message loops"), out);
}

static struct smtp_server_event feed_body(struct smtp_server *s, struct slice input,
                                          size_t *used_out, struct buffer *out)
{
    uint64_t limit = smtp_server_message_bytes_max(s);
    uint64_t bytes_max = limit < UINT64_MAX / 4 ? limit * SMTP_SERVER_OVERSIZE_FACTOR : limit;

    *used_out = 0;
    for (;;) {
        /* Not a byte more than it takes to pass the limit is looked at, so that what is said then
         * does not depend on how the stream was cut. */
        struct slice rest = slice_after(input, *used_out);
        uint64_t room = bytes_max + 1 - s->body.bytes_count;
        struct smtp_server_event e;
        enum smtp_body_result result;
        struct slice run;
        size_t used;
        bool is_over;

        ASSERT(s->body.bytes_count <= bytes_max);
        if (rest.len > room)
            rest.len = (size_t)room;
        result = smtp_body_next(&s->body, rest, &used, &run);
        *used_out += used;
        if (result == SMTP_BODY_END)
            return body_end(s, out);
        if (result == SMTP_BODY_RUN) {
            e = body_judge(s, bytes_max, &is_over, out);
            if (is_over)
                return e;
            if (smtp_server_is_in(s, IN(BODY)))
                return (struct smtp_server_event){ .kind = SMTP_SERVER_BODY, .body = run };
        } else if (*used_out == input.len) {
            return more;
        }
    }
}

struct smtp_server_event smtp_server_feed(struct smtp_server *s, struct slice input,
                                          size_t *used_out, struct buffer *out)
{
    ASSERT(smtp_server_is_in(s, IN_INPUT));
    *used_out = 0;
    if (input.len == 0)
        return more;
    if (smtp_server_is_in(s, IN_COMMANDS))
        return feed_command(s, input, used_out, out);
    return feed_body(s, input, used_out, out);
}

/* Where an answer leads, and the usual words of acceptance. */
static const struct {
    enum smtp_server_state if_accepted;
    enum smtp_server_state if_refused;
    unsigned code;
    const char *enhanced;
    const char *text;
} answers[SMTP_SERVER_STATES_COUNT] = {
    [SMTP_SERVER_STATE_ASK_MAIL] = { SMTP_SERVER_STATE_MAIL, SMTP_SERVER_STATE_READY, 250, "2.1.0",
                                     "Ok" },
    [SMTP_SERVER_STATE_ASK_RCPT] = { SMTP_SERVER_STATE_RCPT, SMTP_SERVER_STATE_RCPT, 250, "2.1.5",
                                     "Ok" },
    [SMTP_SERVER_STATE_ASK_DATA] = { SMTP_SERVER_STATE_BODY, SMTP_SERVER_STATE_READY, 354, NULL,
                                     "End data with <CR><LF>.<CR><LF>" },
    [SMTP_SERVER_STATE_ASK_END] = { SMTP_SERVER_STATE_READY, SMTP_SERVER_STATE_READY, 250, "2.0.0",
                                    "Ok" },
};

static struct smtp_server_event answer_refused(struct smtp_server *s, const struct smtp_answer *a,
                                               struct buffer *out)
{
    enum smtp_server_state next = answers[s->state].if_refused;

    ASSERT(a->code >= 400 && a->code <= 599);
    if (smtp_server_is_in(s, IN(ASK_XCLIENT)))
        next = (enum smtp_server_state)s->xclient.before;
    if (a->code == 421)
        return smtp_server_close(s, SMTP_CLOSE_ANSWER, a->code, a->enhanced, a->text, out);
    if (smtp_server_is_in(s, IN(ASK_RCPT)) && s->recipients_count == 0)
        next = SMTP_SERVER_STATE_MAIL;
    return smtp_server_step(s, next, a->code, a->enhanced, a->text, out);
}

struct smtp_server_event smtp_server_answer(struct smtp_server *s, const struct smtp_answer *answer,
                                            struct buffer *out)
{
    enum smtp_server_state state = smtp_server_state_now(s);
    struct slice text = answer->text;
    struct smtp_server_event e;

    ASSERT(smtp_server_is_in(s, IN_ASK));
    if (state != SMTP_SERVER_STATE_ASK_END && state != SMTP_SERVER_STATE_ASK_XCLIENT)
        smtp_line_release(&s->line);
    if (answer->code != 0)
        return answer_refused(s, answer, out);
    ASSERT(state != SMTP_SERVER_STATE_ASK_XCLIENT); /* to accept it is smtp_server_restart() */
    if (text.len == 0)
        text = slice_from(answers[state].text);
    e = smtp_server_step(s, answers[state].if_accepted, answers[state].code,
                         answers[state].enhanced, text, out);
    if (state == SMTP_SERVER_STATE_ASK_MAIL)
        s->mail_refused = false;
    if (state == SMTP_SERVER_STATE_ASK_RCPT)
        s->recipients_count++;
    if (state == SMTP_SERVER_STATE_ASK_END) {
        s->messages_count++;
        e.transaction_dropped = false;
    }
    return e;
}

void smtp_server_tls_started(struct smtp_server *s)
{
    ASSERT(smtp_server_is_in(s, IN(TLS)));
    smtp_line_finish(&s->line);
    smtp_line_init(&s->line);
    smtp_server_helo_finish(&s->helo);
    s->esmtp = false;
    s->smtputf8 = false;
    s->tls = true;
    smtp_server_enter(s, SMTP_SERVER_STATE_NEW);
}

void smtp_server_restart(struct smtp_server *s, const struct smtp_server_options *options)
{
    ASSERT(smtp_server_is_in(s, IN(ASK_XCLIENT)));
    smtp_server_helo_finish(&s->helo);
    s->helo = s->xclient.helo;
    s->xclient.helo = NULL; /* it has moved */
    s->options = options;
    s->messages_count = s->recipients_count = 0;
    s->errors_count = 0;
    s->esmtp = false;
    s->smtputf8 = false;
    s->mail_refused = false;
    smtp_server_enter(s, SMTP_SERVER_STATE_NEW);
}

void smtp_server_tls_set_unavailable(struct smtp_server *s, bool unavailable)
{
    s->tls_unavailable = unavailable;
}

uint32_t smtp_server_timeout_ms(const struct smtp_server *s)
{
    if (smtp_server_is_in(s, IN_COMMANDS))
        return smtp_server_limit(s->options->command_ms_max, SMTP_SERVER_COMMAND_MS);
    if (smtp_server_is_in(s, IN_INPUT))
        return smtp_server_limit(s->options->body_ms_max, SMTP_SERVER_BODY_MS);
    return 0;
}

struct smtp_server_event smtp_server_expire(struct smtp_server *s, struct buffer *out)
{
    ASSERT(smtp_server_is_in(s, IN_INPUT));
    return smtp_server_close(s, SMTP_CLOSE_TIMEOUT, 421, "4.4.2", SLICE("Timeout, closing"), out);
}

struct smtp_server_event smtp_server_shutdown(struct smtp_server *s, struct buffer *out)
{
    if (!smtp_server_is_in(s, IN(NEW) | IN(READY) | IN(REJECTED)))
        return more;
    return smtp_server_close(s, SMTP_CLOSE_SHUTDOWN, 421, "4.3.2",
                             SLICE("Service is shutting down"), out);
}

struct slice smtp_server_helo(const struct smtp_server *s)
{
    return slice_from(s->helo != NULL ? s->helo : "");
}

bool smtp_server_is_esmtp(const struct smtp_server *s)
{
    return s->esmtp;
}

bool smtp_server_is_tls(const struct smtp_server *s)
{
    return s->tls;
}

bool smtp_server_is_smtputf8(const struct smtp_server *s)
{
    return s->smtputf8;
}

uint32_t smtp_server_messages_count(const struct smtp_server *s)
{
    return s->messages_count;
}

uint32_t smtp_server_recipients_count(const struct smtp_server *s)
{
    return s->recipients_count;
}

const char *smtp_close_reason_text(enum smtp_close_reason reason)
{
    switch (reason) {
    case SMTP_CLOSE_NONE: return "open";
    case SMTP_CLOSE_QUIT: return "quit";
    case SMTP_CLOSE_ANSWER: return "refused";
    case SMTP_CLOSE_ERRORS: return "too many errors";
    case SMTP_CLOSE_COMMANDS: return "too many commands";
    case SMTP_CLOSE_MESSAGES: return "too many messages";
    case SMTP_CLOSE_BARE_NEWLINE: return "lone CR or LF";
    case SMTP_CLOSE_ENDLESS_LINE: return "endless line";
    case SMTP_CLOSE_OVERSIZE: return "message far too large";
    case SMTP_CLOSE_TIMEOUT: return "timeout";
    case SMTP_CLOSE_SHUTDOWN: return "shutdown";
    case SMTP_CLOSE_NO_MEMORY: return "no memory";
    }
    UNREACHABLE();
}
