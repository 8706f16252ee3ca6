#include "tests/sim/client.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#define REPLY_LINE_MAX 600
#define REPLIES_MAX    64 /* that are owed to a client */
#define PATIENCE_US    (600 * SIM_S)
#define PAUSE_US_MAX   (12 * SIM_S)
#define BODY_SMALL     4000

enum said {               /* what a reply belongs to */
            SAID_NOTHING, /* the greeting */
            SAID_EHLO,
            SAID_MAIL,
            SAID_RCPT,
            SAID_DATA,
            SAID_DOT,
            SAID_RSET,
            SAID_QUIT
};

enum misdeed {
    MISDEED_NONE,
    MISDEED_RSET,         /* instead of DATA */
    MISDEED_CUT_BODY,     /* gone in the middle */
    MISDEED_STALL,        /* silent in the middle */
    MISDEED_GONE_AT_DOT,  /* without waiting for the reply */
    MISDEED_GONE_AT_DATA, /* instead of the body */
    MISDEED_COUNT
};

struct owed {
    enum said what;
    struct sim_message *message;
    unsigned recipient;
};

/* One of two who read the replies: the wire, and the client itself. */
struct reader {
    char line[REPLY_LINE_MAX];
    size_t fill;
    uint64_t replies;
};

struct client {
    struct sim_peer peer;
    struct owed owed[REPLIES_MAX]; /* a ring */
    uint64_t owed_count;
    struct reader wire;
    struct reader mine;
    struct sim_message *message;
    unsigned messages_left;
    unsigned rcpt_next;     /* without pipelining */
    unsigned rcpt_accepted; /* as the client has heard */
    bool is_pipelining;
    bool is_over;
    enum misdeed misdeed;
    uint64_t heard; /* a time-out of before does not count */
};

struct patience {
    struct client *client;
    uint64_t heard;
};

/* In the middle of a body, or in front of its dot. */
struct pause {
    struct client *client;
    struct slice rest;
};

struct sim_client_traits sim_client_traits;
static unsigned clients_count;

static struct client *client_of(struct sim_peer *peer)
{
    return CONTAINER_OF(peer, struct client, peer);
}

static void over(struct client *c)
{
    if (!c->is_over)
        clients_count--;
    c->is_over = true;
}

static void leave(struct client *c)
{
    if (sim_chance(500))
        sim_link_reset(c->peer.link);
    else
        sim_link_finish(c->peer.link);
    over(c);
}

static void on_patience(void *subject)
{
    const struct patience *p = subject;

    if (p->client->is_over || p->client->heard != p->heard)
        return;
    sim_link_reset(p->client->peer.link);
    over(p->client);
}

static void wait_for_reply(struct client *c)
{
    struct patience *p = sim_allocate(sizeof(*p));

    *p = (struct patience){ .client = c, .heard = ++c->heard };
    sim_after(PATIENCE_US, on_patience, p);
}

static void say(struct client *c, enum said what, unsigned recipient, const char *text)
{
    ASSERT(c->owed_count - c->mine.replies < REPLIES_MAX);
    c->owed[c->owed_count++ % REPLIES_MAX] =
        (struct owed){ .what = what, .message = c->message, .recipient = recipient };
    sim_link_send(c->peer.link, slice_from(text));
    wait_for_reply(c);
}

static void say_mail(struct client *c)
{
    char sender[64], text[128];

    (void)snprintf(text, sizeof(text), "MAIL FROM:<%s>%s\r\n",
                   sim_message_sender(c->message, sender),
                   c->message->number % 2 == 0 ? " BODY=8BITMIME" : "");
    say(c, SAID_MAIL, 0, text);
}

static void say_rcpt(struct client *c, unsigned i)
{
    static const char *const notify[] = {
        [SIM_NOTIFY_UNSAID] = "",
        [SIM_NOTIFY_NEVER] = " NOTIFY=NEVER",
        [SIM_NOTIFY_SUCCESS] = " NOTIFY=SUCCESS",
    };
    char recipient[64], text[128];

    (void)snprintf(text, sizeof(text), "RCPT TO:<%s>%s\r\n",
                   sim_message_recipient(c->message, i, recipient),
                   notify[c->message->recipients[i].notify]);
    say(c, SAID_RCPT, i, text);
}

static void begin_message(struct client *c)
{
    if (c->messages_left == 0) {
        say(c, SAID_QUIT, 0, "QUIT\r\n");
        return;
    }
    c->messages_left--;
    c->message = sim_ledger_message(sim_chance(sim_client_traits.body_is_large)
                                        ? sim_client_traits.body_bytes_max
                                        : BODY_SMALL);
    c->misdeed = sim_chance(sim_client_traits.misbehaves)
                     ? (enum misdeed)sim_between(1, MISDEED_COUNT - 1)
                     : MISDEED_NONE;
    c->rcpt_next = 0;
    c->rcpt_accepted = 0;
    say_mail(c);
    if (!c->is_pipelining)
        return;
    for (unsigned i = 0; i < c->message->recipients_count; i++)
        say_rcpt(c, i);
    if (c->misdeed == MISDEED_RSET)
        say(c, SAID_RSET, 0, "RSET\r\n");
    else
        say(c, SAID_DATA, 0, "DATA\r\n");
}

static void say_rest(struct client *c, struct slice body);

static void on_pause_end(void *subject)
{
    struct pause *pause = subject;

    if (!pause->client->is_over)
        say_rest(pause->client, pause->rest);
}

/* Some take their time: nothing may come for long, and then no more than the dot. */
static void say_rest(struct client *c, struct slice body)
{
    if (sim_chance(sim_client_traits.pauses)) {
        struct pause *pause = sim_allocate(sizeof(*pause));
        size_t now = sim_chance(400) ? body.len : (size_t)sim_below(body.len + 1);

        sim_link_send(c->peer.link, slice_first(body, now));
        *pause = (struct pause){ .client = c, .rest = slice_after(body, now) };
        sim_after(sim_below(PAUSE_US_MAX), on_pause_end, pause);
        return;
    }
    sim_link_send(c->peer.link, body);
    c->message->is_complete = true;
    say(c, SAID_DOT, 0, ".\r\n");
    if (c->misdeed == MISDEED_GONE_AT_DOT)
        leave(c);
}

static void say_body(struct client *c)
{
    struct sim_message *m = c->message;
    struct slice body = { m->body, m->body_bytes };

    if (c->rcpt_accepted == 0) { /* RFC 2920 3.1: then only the dot is to be sent */
        say(c, SAID_DOT, 0, ".\r\n");
        return;
    }
    if (c->misdeed == MISDEED_GONE_AT_DATA) {
        leave(c);
        return;
    }
    if (c->misdeed == MISDEED_CUT_BODY || c->misdeed == MISDEED_STALL) {
        sim_link_send(c->peer.link, slice_first(body, (size_t)sim_below(body.len)));
        if (c->misdeed == MISDEED_CUT_BODY)
            leave(c);
        else
            wait_for_reply(c);
        return;
    }
    say_rest(c, body);
}

/* Without pipelining: what follows a reply to MAIL or RCPT. */
static void step(struct client *c)
{
    if (c->rcpt_next < c->message->recipients_count) {
        say_rcpt(c, c->rcpt_next++);
        return;
    }
    if (c->rcpt_accepted == 0 || c->misdeed == MISDEED_RSET)
        say(c, SAID_RSET, 0, "RSET\r\n");
    else
        say(c, SAID_DATA, 0, "DATA\r\n");
}

static void hear(struct client *c, const struct owed *to, unsigned code)
{
    bool is_yes = code >= 200 && code < 300;

    wait_for_reply(c);
    if (code == 421 || (code == 554 && to->what == SAID_NOTHING)) {
        leave(c);
        return;
    }
    switch (to->what) {
    case SAID_NOTHING: say(c, SAID_EHLO, 0, "EHLO client.sim\r\n"); return;
    case SAID_MAIL:
        if (!c->is_pipelining && is_yes)
            step(c);
        else if (!c->is_pipelining)
            say(c, SAID_RSET, 0, "RSET\r\n");
        return;
    case SAID_RCPT:
        c->rcpt_accepted += is_yes;
        if (!c->is_pipelining)
            step(c);
        return;
    case SAID_DATA:
        if (code == 354)
            say_body(c);
        else
            say(c, SAID_RSET, 0, "RSET\r\n");
        return;
    case SAID_EHLO:
    case SAID_DOT:
    case SAID_RSET: begin_message(c); return;
    case SAID_QUIT: leave(c); return;
    }
}

/* The code of the next reply that is whole; 0: there is none yet. */
static unsigned read_reply(struct reader *r, struct slice *bytes)
{
    while (bytes->len > 0) {
        char next = bytes->data[0];

        *bytes = slice_after(*bytes, 1);
        if (r->fill < sizeof(r->line))
            r->line[r->fill++] = next;
        if (next != '\n')
            continue;
        if (r->fill < 5)
            sim_fault("the gateway's reply is %zu bytes long", r->fill);
        r->fill = 0;
        if (r->line[3] == '-')
            continue;
        r->replies++;
        return (unsigned)(100 * (r->line[0] - '0') + 10 * (r->line[1] - '0') + r->line[2] - '0');
    }
    return 0;
}

static void on_opened(struct sim_peer *peer)
{
    struct client *c = client_of(peer);

    c->owed[c->owed_count++] = (struct owed){ .what = SAID_NOTHING };
    wait_for_reply(c);
}

/* What the gateway has said, whether or not it arrives. */
static void on_wired(struct sim_peer *peer, struct slice bytes)
{
    struct client *c = client_of(peer);
    unsigned code;

    while ((code = read_reply(&c->wire, &bytes)) > 0) {
        const struct owed *to = &c->owed[(c->wire.replies - 1) % REPLIES_MAX];

        if (code >= 400)
            sim_note("client: %.*s", (int)strcspn(c->wire.line, "\r"), c->wire.line);
        if (c->wire.replies > c->owed_count) {
            if (code != 421)
                sim_fault("the gateway says %u, and nothing was asked", code);
            return;
        }
        if (to->what == SAID_RCPT)
            to->message->recipients[to->recipient].is_accepted = code == 250;
        else if (to->what == SAID_DOT && to->message->is_complete)
            sim_ledger_answered(to->message, code);
    }
}

static void on_received(struct sim_peer *peer, struct slice bytes)
{
    struct client *c = client_of(peer);
    unsigned code;

    while (!c->is_over && (code = read_reply(&c->mine, &bytes)) > 0) {
        struct owed to = c->owed[(c->mine.replies - 1) % REPLIES_MAX];

        if (c->mine.replies > c->owed_count) {
            leave(c);
            return;
        }
        hear(c, &to, code);
    }
}

static void on_ended(struct sim_peer *peer, int error)
{
    struct client *c = client_of(peer);

    if (error == 0)
        sim_link_finish(c->peer.link);
    over(c);
}

static const struct sim_peer_ops client_ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .wired = on_wired,
};

void sim_client_start(const struct ip_endpoint *gateway)
{
    struct client *c = sim_allocate(sizeof(*c));
    char text[IP_ENDPOINT_MAX];
    struct ip_endpoint from;

    c->peer.ops = &client_ops;
    c->is_pipelining = sim_chance(500);
    c->messages_left = (unsigned)sim_between(1, sim_client_traits.messages_max);
    (void)snprintf(text, sizeof(text), "10.9.0.%u:%u", (unsigned)sim_between(1, 250),
                   (unsigned)sim_between(1024, 60000));
    if (!ip_endpoint_parse(slice_from(text), 0, &from))
        UNREACHABLE();
    clients_count++;
    sim_net_connect(&c->peer, &from, gateway);
}

unsigned sim_clients_count(void)
{
    return clients_count;
}
