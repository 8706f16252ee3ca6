/* tests/smtp/client_converse.h - plays a server's words to a client session and writes down what
 * it says and tells. The log must not depend on how the words were cut. */
#pragma once
#include <stdlib.h>

#include "smtp/client.h"

struct client_converse {
    struct smtp_client client;
    struct buffer out;
    struct buffer log;
    const struct smtp_client_envelope *envelopes;
    size_t envelopes_count;
    size_t next_envelope;
    bool wants_tls;
    bool only_asks; /* for the one recipient of each envelope */
    bool is_over;
    struct smtp_client_event last; /* anything but MORE; its slices are gone */
};

static inline void client_converse_note_out(struct client_converse *c)
{
    ASSERT(buffer_append(&c->log, buffer_contents(&c->out)) == STATUS_OK);
    buffer_clear(&c->out);
}

/* Nothing where all recipients were in the transaction. */
static inline void client_converse_note_sent(struct client_converse *c,
                                             const struct smtp_client_event *e)
{
    size_t count = c->envelopes[c->next_envelope - 1].recipients_count;

    ASSERT((e->recipients_sent >= 1 || count == 0) && e->recipients_sent <= count);
    if (e->recipients_sent < count)
        ASSERT(buffer_printf(&c->log, "(%zu of %zu)\n", e->recipients_sent, count) == STATUS_OK);
}

static inline void client_converse_note_event(struct client_converse *c,
                                              const struct smtp_client_event *e)
{
    static const char *const kinds[] = { "more", "ready", "tls", "no-tls", "rcpt",
                                         "body", "done",  "bye", "failed" };

    client_converse_note_out(c);
    ASSERT(buffer_printf(&c->log, "[%s stage=%d rcpt=%zu %u %u.%u.%u '%.*s'%s%s]\n", kinds[e->kind],
                         (int)e->stage, e->recipient, e->reply.code, e->reply.enhanced.class,
                         e->reply.enhanced.subject, e->reply.enhanced.detail,
                         SLICE_ARGS(e->reply.text),
                         e->kind == SMTP_CLIENT_FAILED ? smtp_client_failure_text(e->failure) : "",
                         e->in_doubt ? " in doubt" : "") == STATUS_OK);
    if (e->kind == SMTP_CLIENT_DONE)
        client_converse_note_sent(c, e);
}

/* The next thing to do with a session that is ready. */
static inline struct smtp_client_event client_converse_go_on(struct client_converse *c)
{
    if (c->wants_tls && smtp_client_capabilities(&c->client)->starttls) {
        c->wants_tls = false;
        return smtp_client_starttls(&c->client, &c->out);
    }
    if (c->next_envelope < c->envelopes_count && c->only_asks)
        return smtp_client_verify(&c->client, &c->envelopes[c->next_envelope++], &c->out);
    if (c->next_envelope < c->envelopes_count)
        return smtp_client_send(&c->client, &c->envelopes[c->next_envelope++], &c->out);
    return smtp_client_quit(&c->client, &c->out);
}

/* Acts on an event until the session wants to read. */
static inline void client_converse_act(struct client_converse *c, struct smtp_client_event e)
{
    while (e.kind != SMTP_CLIENT_MORE && !c->is_over) {
        client_converse_note_event(c, &e);
        c->last = e;
        switch (e.kind) {
        case SMTP_CLIENT_READY:
        case SMTP_CLIENT_TLS_REFUSED:
        case SMTP_CLIENT_DONE: e = client_converse_go_on(c); break;
        case SMTP_CLIENT_TLS_GO: e = smtp_client_tls_started(&c->client, &c->out); break;
        case SMTP_CLIENT_BODY_WANTED:
            ASSERT(buffer_append_text(&c->out, e.by_bdat ? "{chunk}" : "{body}") == STATUS_OK);
            e = smtp_client_body_sent(&c->client, &c->out);
            break;
        case SMTP_CLIENT_FAILED:
        case SMTP_CLIENT_BYE: c->is_over = true; return;
        case SMTP_CLIENT_RECIPIENT:
        case SMTP_CLIENT_MORE: return;
        }
    }
}

static inline void client_converse_feed(struct client_converse *c, struct slice piece)
{
    char *copy = malloc(piece.len > 0 ? piece.len : 1);
    struct slice input = { copy, piece.len };

    ASSERT(copy != NULL);
    if (piece.len > 0)
        memcpy(copy, piece.data, piece.len);
    while (!c->is_over) {
        size_t used = 0;
        struct smtp_client_event e = smtp_client_feed(&c->client, input, &used, &c->out);

        ASSERT(used <= input.len);
        input = slice_after(input, used);
        if (e.kind == SMTP_CLIENT_MORE) {
            ASSERT(input.len == 0);
            break;
        }
        client_converse_act(c, e);
    }
    client_converse_note_out(c);
    free(copy);
}

static inline void client_converse_start(struct client_converse *c,
                                         const struct smtp_client_options *options,
                                         const struct smtp_client_envelope *envelopes, size_t count,
                                         bool wants_tls)
{
    *c = (struct client_converse){ .envelopes = envelopes,
                                   .envelopes_count = count,
                                   .wants_tls = wants_tls };
    smtp_client_init(&c->client, options);
    buffer_init(&c->out, 1024 * 1024);
    buffer_init(&c->log, 8 * 1024 * 1024);
}

static inline void client_converse_finish(struct client_converse *c)
{
    smtp_client_finish(&c->client);
    buffer_finish(&c->out);
    buffer_finish(&c->log);
}

/* All of the server's words, cut at two places. The caller finishes. */
static inline void client_converse_cut(struct client_converse *c,
                                       const struct smtp_client_options *options,
                                       const struct smtp_client_envelope *envelopes, size_t count,
                                       bool wants_tls, struct slice text, size_t first,
                                       size_t second)
{
    client_converse_start(c, options, envelopes, count, wants_tls);
    client_converse_feed(c, slice_first(text, first));
    client_converse_feed(c, slice_after(slice_first(text, second), first));
    client_converse_feed(c, slice_after(text, second));
}
