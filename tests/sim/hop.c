#include "tests/sim/hop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#define HOSTS_EACH   2
#define HOSTS        (SIM_DOMAINS_MAX * HOSTS_EACH + 1) /* and that of the senders */
#define SENDERS_HOST (HOSTS - 1)
#define LINE_MAX_    1100
#define RCPTS_MAX    (SIM_RECIPIENTS_MAX + 1)

enum step { STEP_GREETING, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_DOT, STEP_OTHER };

enum fate {
    FATE_YES,
    FATE_DEFERRED,
    FATE_FAILED,
    FATE_HANGS,
    FATE_DROPS,
    FATE_YES_UNHEARD /* accepted, and then gone */
};

struct rcpt {
    char address[128];
    struct sim_message *message; /* NULL: a report to a sender */
    struct sim_recipient *recipient;
};

struct host {
    struct sim_server server;
    unsigned domain; /* SIM_DOMAINS_MAX: the senders' */
};

struct session {
    struct sim_peer peer;
    struct host *host;
    char line[LINE_MAX_];
    size_t fill;
    char *text; /* of the message */
    size_t text_bytes;
    size_t text_capacity;
    struct rcpt rcpts[RCPTS_MAX];
    unsigned rcpts_count;
    char sender[128];
    uint64_t reply_us; /* when the last one leaves */
    bool has_mail;
    bool is_data;
    bool is_deaf; /* it hangs, or is over */
};

struct reply {
    struct session *session;
    char text[256];
    struct sim_acceptance *acceptances[RCPTS_MAX];
    unsigned acceptances_count;
    bool ends;
    bool is_cut; /* and the connection with it */
};

struct sim_hop_faults sim_hop_faults;
void (*sim_hop_accepted)(void);

static struct host hosts[HOSTS];
static char routes[1024];

static struct session *session_of(struct sim_peer *peer)
{
    return CONTAINER_OF(peer, struct session, peer);
}

/* --- what it does ---------------------------------------------------------------------------- */

/* A report to a sender gets no 5xx: then nobody would be left to hear of it. */
static enum fate draw(const struct session *s, enum step step)
{
    const struct sim_hop_faults *f = &sim_hop_faults;
    bool is_senders = s->host->domain == SIM_DOMAINS_MAX;

    if (sim_chance(f->hangs))
        return FATE_HANGS;
    if (sim_chance(f->drops))
        return FATE_DROPS;
    if (sim_chance(f->defers))
        return FATE_DEFERRED;
    if (step == STEP_OTHER || is_senders)
        return step == STEP_DOT && sim_chance(f->drops_accepted) ? FATE_YES_UNHEARD : FATE_YES;
    if (step <= STEP_EHLO)
        return sim_chance(f->fails_session) ? FATE_FAILED : FATE_YES;
    if (sim_chance(f->fails))
        return FATE_FAILED;
    return step == STEP_DOT && sim_chance(f->drops_accepted) ? FATE_YES_UNHEARD : FATE_YES;
}

static void on_reply(void *subject)
{
    struct reply *r = subject;
    struct sim_link *link = r->session->peer.link;
    struct slice text = slice_from(r->text);

    if (r->is_cut)
        text = slice_first(text, (size_t)sim_below(text.len));
    sim_link_send(link, text);
    for (unsigned i = 0; i < r->acceptances_count && !r->is_cut; i++)
        sim_link_mark(link, &r->acceptances[i]->read_us);
    if (r->is_cut)
        sim_link_reset(link);
    else if (r->ends)
        sim_link_finish(link);
}

static struct reply *answer(struct session *s, const char *text)
{
    struct reply *r = sim_allocate(sizeof(*r));
    uint64_t delay_us = sim_between(10, 3 * SIM_MS);

    if (sim_chance(sim_hop_faults.is_late))
        delay_us = sim_between(1, sim_hop_faults.late_s * SIM_S);
    r->session = s;
    (void)snprintf(r->text, sizeof(r->text), "%s", text);
    if (s->reply_us < sim_now_us())
        s->reply_us = sim_now_us();
    s->reply_us += delay_us;
    sim_after(s->reply_us - sim_now_us(), on_reply, r);
    return r;
}

static void drop(struct session *s)
{
    if (sim_chance(500))
        sim_link_reset(s->peer.link);
    else
        sim_link_finish(s->peer.link);
    s->is_deaf = true;
}

/* True: the answer is yes. Else it was given. */
static bool is_granted(struct session *s, enum step step, enum fate fate)
{
    (void)step;
    switch (fate) {
    case FATE_YES:
    case FATE_YES_UNHEARD: return true;
    case FATE_DEFERRED:
        if (sim_chance(200)) {
            answer(s, "421 4.3.2 the host goes down\r\n")->ends = true;
            s->is_deaf = true;
            return false;
        }
        answer(s, "451 4.3.0 later\r\n");
        return false;
    case FATE_FAILED: answer(s, "550 5.7.1 never\r\n"); return false;
    case FATE_HANGS:
        s->is_deaf = true;
        if (sim_chance(500))
            sim_link_stop_reading(s->peer.link);
        return false;
    case FATE_DROPS: drop(s); return false;
    }
    return false;
}

static void refuse_all(struct session *s)
{
    for (unsigned i = 0; i < s->rcpts_count; i++)
        if (s->rcpts[i].recipient != NULL)
            s->rcpts[i].recipient->is_refused_by_hop = true;
}

/* --- the commands ---------------------------------------------------------------------------- */

static void start_over(struct session *s)
{
    s->has_mail = false;
    s->rcpts_count = 0;
    s->text_bytes = 0;
}

/* What stands between < and >. */
static bool address_of(const char *line, char *to, size_t room)
{
    const char *from = strchr(line, '<'), *end = from != NULL ? strchr(from, '>') : NULL;

    if (end == NULL || (size_t)(end - from) > room)
        return false;
    memcpy(to, from + 1, (size_t)(end - from - 1));
    to[end - from - 1] = '\0';
    return true;
}

/* The sender of a message that has one tells which it is; all its recipients here fail. */
static void mail_refused(struct session *s)
{
    struct sim_message *m;
    char text[140];

    for (unsigned i = 0; s->sender[0] == 's' && i < SIM_RECIPIENTS_MAX; i++)
        for (unsigned d = 0; d < SIM_DOMAINS_MAX; d++) {
            struct sim_recipient *r;
            int digits = (int)strcspn(s->sender + 1, "@");

            (void)snprintf(text, sizeof(text), "r%.*s-%u@d%u.sim", digits, s->sender + 1, i, d);
            r = sim_ledger_recipient(slice_from(text), &m);
            if (r != NULL && r->domain == s->host->domain)
                r->is_refused_by_hop = true;
        }
    if (s->sender[0] == '\0') /* whichever it is of those without a sender */
        sim_ledger_session_refused(s->host->domain);
}

static void on_mail(struct session *s)
{
    enum fate fate = draw(s, STEP_MAIL);

    if (s->has_mail || !address_of(s->line, s->sender, sizeof(s->sender)))
        sim_fault("a next hop is told: %s", s->line);
    if (fate == FATE_FAILED)
        mail_refused(s);
    if (!is_granted(s, STEP_MAIL, fate))
        return;
    s->has_mail = true;
    answer(s, "250 2.1.0 ok\r\n");
}

static void on_rcpt(struct session *s)
{
    enum fate fate = draw(s, STEP_RCPT);
    struct rcpt *r = &s->rcpts[s->rcpts_count];

    ASSERT(s->rcpts_count < RCPTS_MAX);
    *r = (struct rcpt){ .message = NULL };
    if (!address_of(s->line, r->address, sizeof(r->address)))
        sim_fault("a next hop is told: %s", s->line);
    r->recipient = sim_ledger_recipient(slice_from(r->address), &r->message);
    if (r->recipient == NULL &&
        (s->sender[0] != '\0' || !sim_ledger_is_sender(slice_from(r->address))))
        sim_fault("mail from <%s> comes to <%s>", s->sender, r->address);
    if (!s->has_mail) { /* by pipelining */
        answer(s, "503 5.5.1 MAIL first\r\n");
        return;
    }
    if (fate == FATE_FAILED && r->recipient != NULL)
        r->recipient->is_refused_by_hop = true;
    if (!is_granted(s, STEP_RCPT, fate))
        return;
    s->rcpts_count++;
    answer(s, "250 2.1.5 ok\r\n");
}

static void on_data(struct session *s)
{
    enum fate fate = draw(s, STEP_DATA);

    if (s->rcpts_count == 0) {
        answer(s, "503 5.5.1 RCPT first\r\n");
        return;
    }
    if (fate == FATE_FAILED)
        refuse_all(s);
    if (!is_granted(s, STEP_DATA, fate))
        return;
    s->is_data = true;
    answer(s, "354 go\r\n");
}

static void accept_message(struct session *s, bool is_unheard)
{
    struct slice text = { s->text, s->text_bytes };
    struct reply *reply = answer(s, "250 2.0.0 taken\r\n");

    for (unsigned i = 0; i < s->rcpts_count; i++) {
        const struct rcpt *r = &s->rcpts[i];

        if (r->recipient != NULL)
            reply->acceptances[reply->acceptances_count++] =
                sim_ledger_delivered(r->message, r->recipient, text);
        else
            sim_ledger_told(slice_from(r->address), text);
    }
    if (sim_hop_accepted != NULL)
        sim_hop_accepted();
    reply->is_cut = is_unheard;
    s->is_deaf = is_unheard;
}

static void on_dot(struct session *s)
{
    enum fate fate = draw(s, STEP_DOT);

    s->is_data = false;
    if (s->text_bytes == 0) {
        answer(s, "554 5.6.0 empty\r\n"); /* the client had to say DATA, and has changed its mind */
        start_over(s);
        return;
    }
    if (fate == FATE_FAILED)
        refuse_all(s);
    if (is_granted(s, STEP_DOT, fate))
        accept_message(s, fate == FATE_YES_UNHEARD);
    start_over(s);
}

static void on_ehlo(struct session *s)
{
    enum fate fate = draw(s, STEP_EHLO);
    char text[256];

    if (fate == FATE_FAILED)
        sim_ledger_session_refused(s->host->domain);
    if (!is_granted(s, STEP_EHLO, fate))
        return;
    (void)snprintf(text, sizeof(text), "250-hop.sim\r\n%s%s%s250 ENHANCEDSTATUSCODES\r\n",
                   sim_chance(500) ? "250-PIPELINING\r\n" : "",
                   sim_chance(500) ? "250-DSN\r\n" : "", sim_chance(800) ? "250-8BITMIME\r\n" : "");
    answer(s, text);
}

static void on_command(struct session *s)
{
    char verb[5] = { 0 };

    memcpy(verb, s->line, s->fill < 4 ? s->fill : 4);
    if (strcmp(verb, "EHLO") == 0 || strcmp(verb, "HELO") == 0) {
        on_ehlo(s);
    } else if (strcmp(verb, "MAIL") == 0) {
        on_mail(s);
    } else if (strcmp(verb, "RCPT") == 0) {
        on_rcpt(s);
    } else if (strcmp(verb, "DATA") == 0) {
        on_data(s);
    } else if (strcmp(verb, "RSET") == 0) {
        start_over(s);
        if (is_granted(s, STEP_OTHER, draw(s, STEP_OTHER)))
            answer(s, "250 2.0.0 ok\r\n");
    } else if (strcmp(verb, "QUIT") == 0) {
        answer(s, "221 2.0.0 bye\r\n")->ends = true;
        s->is_deaf = true;
    } else {
        sim_fault("a next hop is told: %s", s->line);
    }
}

static void on_line(struct session *s)
{
    if (s->is_data && s->fill == 3 && s->line[0] == '.') {
        on_dot(s);
        return;
    }
    if (!s->is_data) {
        s->line[s->fill - 2] = '\0';
        on_command(s);
        return;
    }
    if (s->text_bytes + s->fill > s->text_capacity) {
        s->text_capacity = 2 * (s->text_bytes + s->fill);
        s->text = realloc(s->text, s->text_capacity);
        ASSERT(s->text != NULL);
    }
    memcpy(s->text + s->text_bytes, s->line, s->fill);
    s->text_bytes += s->fill;
}

/* --- connections ----------------------------------------------------------------------------- */

static void on_received(struct sim_peer *peer, struct slice bytes)
{
    struct session *s = session_of(peer);

    for (size_t i = 0; i < bytes.len && !s->is_deaf; i++) {
        if (s->fill == sizeof(s->line))
            sim_fault("a next hop gets a line without end");
        s->line[s->fill++] = bytes.data[i];
        if (bytes.data[i] != '\n')
            continue;
        if (s->fill < 2 || s->line[s->fill - 2] != '\r')
            sim_fault("a next hop gets a bare LF");
        on_line(s);
        s->fill = 0;
    }
}

static void on_opened(struct sim_peer *peer)
{
    struct session *s = session_of(peer);
    enum fate fate = draw(s, STEP_GREETING);

    if (fate == FATE_FAILED)
        sim_ledger_session_refused(s->host->domain);
    if (is_granted(s, STEP_GREETING, fate))
        answer(s, "220 hop.sim\r\n");
}

static void on_ended(struct sim_peer *peer, int error)
{
    struct session *s = session_of(peer);

    if (error == 0)
        sim_link_finish(peer->link);
    s->is_deaf = true;
    free(s->text);
    s->text = NULL;
}

static const struct sim_peer_ops session_ops = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

static enum sim_mood mood(struct sim_server *server)
{
    (void)server;
    if (sim_chance(sim_hop_faults.refuses))
        return SIM_MOOD_REFUSES;
    return sim_chance(sim_hop_faults.is_silent) ? SIM_MOOD_SILENT : SIM_MOOD_TAKES;
}

static struct sim_peer *on_accept(struct sim_server *server)
{
    struct session *s = sim_allocate(sizeof(*s));

    s->peer.ops = &session_ops;
    s->host = CONTAINER_OF(server, struct host, server);
    return &s->peer;
}

void sim_hops_begin(void)
{
    size_t fill = 0;
    char text[IP_ENDPOINT_MAX];

    for (unsigned i = 0; i < HOSTS; i++) {
        struct host *h = &hosts[i];

        h->domain = i / HOSTS_EACH;
        h->server.mood = mood;
        h->server.accept = on_accept;
        (void)snprintf(text, sizeof(text), "10.1.%u.%u:25", h->domain, i % HOSTS_EACH + 1);
        if (!ip_endpoint_parse(slice_from(text), 0, &h->server.endpoint))
            UNREACHABLE();
        sim_server_listen(&h->server);
    }
    for (unsigned d = 0; d < SIM_DOMAINS_MAX; d++)
        fill += (size_t)snprintf(routes + fill, sizeof(routes) - fill,
                                 "{ domain = \"d%u.sim\"; to = [ \"10.1.%u.1:25\", "
                                 "\"10.1.%u.2:25%s\" ]; }, ",
                                 d, d, d, d % 2 == 0 ? "" : "/pri=10");
    (void)snprintf(routes + fill, sizeof(routes) - fill,
                   "{ domain = \"src.sim\"; to = [ \"10.1.%u.1:25\" ]; }", SIM_DOMAINS_MAX);
}

const char *sim_hops_routes(void)
{
    return routes;
}
