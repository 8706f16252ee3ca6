/* tests/smtp/converse.h - holds a dialogue with a server session and writes down what it says.
 *
 * What is written down must not depend on how the input was cut, and is compared as text: each
 * reply as it was sent, each question as "<...>", each accepted body as "{...}".
 */
#pragma once
#include <stdlib.h>

#include "smtp/server.h"

#define CONVERSE_LOG_MAX (8 * 1024 * 1024)

struct converse {
    struct smtp_server server;
    struct buffer out;  /* the replies of one step */
    struct buffer body; /* of the message in progress */
    struct buffer log;
    struct smtp_server_event last;
};

static inline void converse_note(struct converse *c, struct slice text)
{
    ASSERT(buffer_append(&c->log, text) == STATUS_OK);
}

/* Appends what the session said to the log, and checks the promises of the event. */
static inline void converse_said(struct converse *c, struct smtp_server_event e)
{
    struct slice said = buffer_contents(&c->out);

    ASSERT((e.kind == SMTP_SERVER_CLOSE) == (e.reason != SMTP_CLOSE_NONE));
    ASSERT(e.code == 0 || said.len > 0);
    ASSERT(said.len == 0 || (said.len >= 6 && said.data[said.len - 1] == '\n'));
    converse_note(c, said);
    if (e.transaction_dropped) {
        converse_note(c, SLICE("(dropped)"));
        buffer_clear(&c->body);
    }
    if (e.kind == SMTP_SERVER_CLOSE)
        ASSERT(buffer_printf(&c->log, "[%s]", smtp_close_reason_text(e.reason)) == STATUS_OK);
    buffer_clear(&c->out);
    c->last = e;
}

/* "refuse..." is refused, "later..." is refused for now, "close..." is answered 421. */
static inline struct smtp_answer converse_opinion(struct slice local)
{
    if (local.len >= 6 && memcmp(local.data, "refuse", 6) == 0)
        return (struct smtp_answer){ 550, "5.7.1", SLICE("Refused\nfor a reason") };
    if (local.len >= 5 && memcmp(local.data, "later", 5) == 0)
        return (struct smtp_answer){ 451, "4.7.1", SLICE("Later") };
    if (local.len >= 5 && memcmp(local.data, "close", 5) == 0)
        return (struct smtp_answer){ 421, "4.7.0", SLICE("Go away") };
    return SMTP_ANSWER_ACCEPTED;
}

/* Writes down what an XCLIENT said; acts on a NAME as on the local part of an address, and else
 * restarts the session with the options that it has. */
static inline void converse_xclient(struct converse *c, const struct smtp_xclient *x)
{
    struct smtp_answer answer = converse_opinion(x->name);
    char address[IP_TEXT_MAX], destination[IP_TEXT_MAX];

    for (size_t i = 0; i < SMTP_XCLIENT_ATTRIBUTES_COUNT; i++)
        ASSERT(buffer_printf(&c->log, "%s%d", i == 0 ? "<" : "", x->states[i]) == STATUS_OK);
    ASSERT(buffer_printf(&c->log, "|%.*s|%.*s|%.*s|%s|%u|%s|%u|%d>\n", SLICE_ARGS(x->name),
                         SLICE_ARGS(x->helo), SLICE_ARGS(x->login), ip_format(&x->address, address),
                         x->port, ip_format(&x->destination_address, destination),
                         x->destination_port, x->is_esmtp) == STATUS_OK);
    if (answer.code != 0) {
        converse_said(c, smtp_server_answer(&c->server, &answer, &c->out));
        return;
    }
    smtp_server_restart(&c->server, c->server.options);
    converse_said(c, smtp_server_greet(&c->server, &c->out));
}

static inline void converse_note_dsn(struct converse *c, const struct smtp_command *m)
{
    ASSERT(m->notify == 0 || smtp_notify_is_valid(m->notify));
    if (m->ret != SMTP_RET_UNSAID || m->envid.len > 0)
        ASSERT(buffer_printf(&c->log, "|ret %d|envid %.*s", (int)m->ret, SLICE_ARGS(m->envid)) ==
               STATUS_OK);
    if (m->notify != 0 || m->orcpt.len > 0)
        ASSERT(buffer_printf(&c->log, "|notify %u|orcpt %.*s", m->notify, SLICE_ARGS(m->orcpt)) ==
               STATUS_OK);
}

static inline void converse_answer(struct converse *c, const struct smtp_server_event *e)
{
    struct smtp_answer answer = SMTP_ANSWER_ACCEPTED;

    if (e->kind == SMTP_SERVER_ASK_MAIL || e->kind == SMTP_SERVER_ASK_RCPT) {
        const struct smtp_mailbox *m = &e->command.mailbox;

        ASSERT(buffer_printf(&c->log, "<%.*s|%.*s|%.*s", SLICE_ARGS(m->whole), SLICE_ARGS(m->local),
                             SLICE_ARGS(m->domain)) == STATUS_OK);
        ASSERT(buffer_printf(&c->log, "|%llu%s%s%s", (unsigned long long)e->command.size_bytes,
                             e->command.body == SMTP_BODY_TYPE_8BITMIME ? "|8" : "",
                             e->command.smtputf8 ? "|u" : "",
                             e->command.require_tls ? "|t" : "") == STATUS_OK);
        converse_note_dsn(c, &e->command);
        converse_note(c, SLICE(">\n"));
        answer = converse_opinion(m->local);
    } else if (e->kind == SMTP_SERVER_END) {
        ASSERT(buffer_len(&c->body) == e->end.bytes_count);
        ASSERT(buffer_printf(&c->log, "{%llu %llu %u%s%s%s}",
                             (unsigned long long)e->end.bytes_count,
                             (unsigned long long)e->end.dots_count, e->end.line_bytes_max,
                             e->end.has_8bit ? " 8" : "", e->end.has_bare_lf ? " lf" : "",
                             e->end.has_bare_cr ? " cr" : "") == STATUS_OK);
        converse_note(c, SLICE("{"));
        converse_note(c, buffer_contents(&c->body));
        converse_note(c, SLICE("}\n"));
        buffer_clear(&c->body);
        answer.text = SLICE("Ok: queued");
    }
    converse_said(c, smtp_server_answer(&c->server, &answer, &c->out));
}

static inline void converse_start(struct converse *c, const struct smtp_server_options *options)
{
    buffer_init(&c->out, 64 * 1024);
    buffer_init(&c->body, CONVERSE_LOG_MAX);
    buffer_init(&c->log, CONVERSE_LOG_MAX);
    smtp_server_init(&c->server, options);
    c->last = (struct smtp_server_event){ 0 };
}

static inline bool converse_is_over(const struct converse *c)
{
    return c->last.kind == SMTP_SERVER_CLOSE;
}

/* The piece is copied to memory of its exact size, so that reading beyond it is seen. */
static inline void converse_feed(struct converse *c, struct slice piece)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    struct slice input = { copy, piece.len };
    size_t idle_rounds = 0;

    ASSERT(copy != NULL);
    if (piece.len > 0)
        memcpy(copy, piece.data, piece.len);
    while (input.len > 0 && !converse_is_over(c)) {
        size_t used = 0;
        struct smtp_server_event e = smtp_server_feed(&c->server, input, &used, &c->out);

        ASSERT(used <= input.len);
        idle_rounds = used > 0 ? 0 : idle_rounds + 1;
        ASSERT(idle_rounds < 3);
        input = slice_after(input, used);
        if (e.kind == SMTP_SERVER_BODY)
            ASSERT(buffer_append(&c->body, e.body) == STATUS_OK);
        converse_said(c, e);
        if (e.kind == SMTP_SERVER_MORE)
            ASSERT(input.len == 0);
        if (e.kind == SMTP_SERVER_STARTTLS) {
            converse_note(c, SLICE("[TLS]\n"));
            smtp_server_tls_started(&c->server);
        }
        if (e.kind == SMTP_SERVER_XCLIENT)
            converse_xclient(c, &e.xclient);
        if (e.kind == SMTP_SERVER_ASK_MAIL || e.kind == SMTP_SERVER_ASK_RCPT ||
            e.kind == SMTP_SERVER_ASK_DATA || e.kind == SMTP_SERVER_END)
            converse_answer(c, &e);
    }
    free(copy);
}

static inline void converse_finish(struct converse *c)
{
    smtp_server_finish(&c->server);
    buffer_finish(&c->out);
    buffer_finish(&c->body);
    buffer_finish(&c->log);
}

/* All of text, cut at `first` and `second` (in ascending order), into *c. The caller finishes. */
static inline void converse_cut(struct converse *c, const struct smtp_server_options *options,
                                struct slice text, size_t first, size_t second)
{
    converse_start(c, options);
    converse_said(c, smtp_server_greet(&c->server, &c->out));
    converse_feed(c, slice_first(text, first));
    converse_feed(c, slice_after(slice_first(text, second), first));
    converse_feed(c, slice_after(text, second));
}

/* The same, a byte at a time. */
static inline void converse_bytes(struct converse *c, const struct smtp_server_options *options,
                                  struct slice text)
{
    converse_start(c, options);
    converse_said(c, smtp_server_greet(&c->server, &c->out));
    for (size_t i = 0; i < text.len; i++)
        converse_feed(c, (struct slice){ text.data + i, 1 });
}
