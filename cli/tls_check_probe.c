#include "cli/tls_check_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/crew.h"
#include "gateway/hop_identity.h"
#include "gateway/verifier.h"
#include "tls/post_quantum.h"

#define NS_PER_MS 1000000u

static void open_hop(struct tlscheck_probe *p, enum tlscheck_purpose purpose);

static struct tlscheck_probe *probe_of(struct gateway_hop *h)
{
    return CONTAINER_OF(h, struct tlscheck_probe, hop);
}

static const struct tlscheck_host *host_of(const struct tlscheck_probe *p)
{
    return &p->findings->hosts[p->address->host];
}

/* --- stages ---------------------------------------------------------------------------------- */

static void begin(struct tlscheck_probe *p, enum tlscheck_stage stage)
{
    p->stage = stage;
    p->stage_ns = cli_now_ns();
}

/* The stage is over; those of a second connection are not counted. */
static void end(struct tlscheck_probe *p, enum tlscheck_result result, bool has_time)
{
    uint64_t ns = cli_now_ns() - p->stage_ns;

    ASSERT(p->stage < TLSCHECK_STAGES_COUNT);
    if (p->purpose == TLSCHECK_DANE)
        return;
    p->address->steps[p->stage] = (struct tlscheck_step){
        .result = result,
        .has_time = has_time,
        .ms = (uint32_t)((ns + NS_PER_MS / 2) / NS_PER_MS),
    };
}

static void pass(struct tlscheck_probe *p, enum tlscheck_stage next)
{
    end(p, TLSCHECK_OK, p->stage != TLSCHECK_STARTTLS);
    begin(p, next);
}

static void note_event(struct tlscheck_probe *p, enum policy_tls_event event)
{
    if (p->purpose == TLSCHECK_DANE)
        return;
    p->address->has_event = true;
    p->address->event = event;
}

/* --- in the clear ---------------------------------------------------------------------------- */

static void on_connected(struct gateway_hop *h)
{
    pass(probe_of(h), TLSCHECK_GREETING);
}

static void on_greeted(struct gateway_hop *h)
{
    pass(probe_of(h), TLSCHECK_EHLO);
}

/* There is no TLS; the connection goes on without, unless it is there for DANE alone. */
static void fail_before(struct tlscheck_probe *p, enum policy_tls_event event, const char *why)
{
    (void)snprintf(p->why, sizeof(p->why), "%s", why);
    if (p->purpose == TLSCHECK_DANE)
        return;
    note_event(p, event);
    tlscheck_note_trouble(p->address, "%s", p->why);
    end(p, TLSCHECK_FAILED, false);
    begin(p, TLSCHECK_SENDER);
}

static void on_answered(struct gateway_hop *h)
{
    struct tlscheck_probe *p = probe_of(h);
    const struct smtp_client_capabilities *can = smtp_client_capabilities(&h->smtp);

    if (gateway_channel_is_secure(&h->channel)) {
        pass(p, TLSCHECK_SENDER);
        return;
    }
    pass(p, TLSCHECK_STARTTLS);
    if (can->starttls)
        return;
    p->address->is_masked = can->starttls_masked;
    fail_before(p, POLICY_TLS_NOT_OFFERED,
                !can->esmtp            ? "EHLO is refused, and with HELO there is no TLS"
                : can->starttls_masked ? "STARTTLS seems to be masked (XXXXXXXX) on the way"
                                       : "STARTTLS is not offered");
}

static void on_refused(struct gateway_hop *h, const struct smtp_reply *reply)
{
    char text[GATEWAY_VERIFIER_REPLY_MAX], why[TLSCHECK_TEXT_MAX];

    (void)snprintf(why, sizeof(why), "STARTTLS is refused: %.200s",
                   gateway_verifier_reply_text(reply, text));
    fail_before(probe_of(h), POLICY_TLS_REFUSED, why);
}

/* --- the handshake --------------------------------------------------------------------------- */

static struct gateway_hop_identity identity_of(const struct tlscheck_probe *p)
{
    const struct tlscheck_host *host = host_of(p);
    struct gateway_hop_identity i = {
        .domain = p->findings->domain,
        .host = slice_from(host->name),
        .is_route = p->findings->is_route,
    };
    struct dns_dane_way way = {
        .host = i.host,
        .domain = slice_from(host->mx_of),
        .alias = slice_from(host->mx_alias),
        .is_by_mx = host->mx_of[0] != '\0',
        .is_mx_secure = host->is_mx_secure,
    };

    if (p->purpose == TLSCHECK_DANE) {
        way.base = i.base = slice_from(dns_tlsa_base(host->tlsa));
        i.dane_names_count = dns_dane_names(&way, i.dane_names);
    }
    if (p->address->ptr == DNS_HOST_VERIFIED)
        i.ptr = slice_from(p->address->ptr_name);
    return i;
}

static enum status expect_dane(const struct tlscheck_probe *p, struct tls_session *session)
{
    const struct gateway_hop_identity identity = identity_of(p);
    const struct dns_tlsa *tlsa = host_of(p)->tlsa;
    struct tls_dane_record records[DNS_TLSA_RECORDS_MAX];

    for (size_t i = 0; i < dns_tlsa_records_count(tlsa); i++) {
        const struct dns_association a = dns_tlsa_record(tlsa, i);

        records[i] = (struct tls_dane_record){ a.usage, a.selector, a.matching, a.data };
    }
    return gateway_hop_identity_expect_dane(&identity, session, records,
                                            dns_tlsa_records_count(tlsa));
}

static enum status on_session(struct gateway_hop *h, struct tls_session **session_out)
{
    struct tlscheck_probe *p = probe_of(h);
    const struct gateway_hop_identity identity = identity_of(p);
    struct tls_session *session;

    pass(p, TLSCHECK_HANDSHAKE);
    TRY(tls_session_create(p->tools->tls, TLS_ROLE_CLIENT,
                           gateway_hop_identity_server_name(&identity), &session));
    if (p->purpose == TLSCHECK_DANE && expect_dane(p, session) != STATUS_OK) {
        tls_session_destroy(session);
        return STATUS_NO_MEMORY;
    }
    if (p->purpose == TLSCHECK_ALL_STAGES_CLASSIC || p->address->is_without_post_quantum)
        (void)tls_session_without_post_quantum(session);
    p->session = session;
    *session_out = session;
    return STATUS_OK;
}

/* Also when STARTTLS was refused, about which all is said by then. */
static void on_unsecured(struct gateway_hop *h, struct slice why)
{
    struct tlscheck_probe *p = probe_of(h);

    if (p->why[0] != '\0')
        return;
    p->is_blaming_post_quantum = p->purpose == TLSCHECK_ALL_STAGES && p->session != NULL &&
                                 tls_session_blames_post_quantum(p->session);
    (void)snprintf(p->why, sizeof(p->why), "the TLS handshake failed: %.*s", SLICE_ARGS(why));
}

static void describe_chain(const struct tls_session *session, struct tlscheck_tls *tls)
{
    size_t shown = tls_session_peer_chain_count(session);

    tls->chain_count = shown;
    if (shown > TLS_CHAIN_MAX)
        shown = TLS_CHAIN_MAX;
    if (shown == 0)
        return;
    tls->chain = calloc(shown, sizeof(*tls->chain));
    if (tls->chain == NULL)
        return;
    tls->chain_shown = shown;
    for (size_t i = 0; i < shown; i++)
        tls_session_peer_chain_describe(session, i, &tls->chain[i]);
}

/* One of them alone is demanded by a delivery. */
static void check_names(const struct tlscheck_probe *p, struct tlscheck_tls *tls)
{
    static const enum policy_tls_check checks[] = { POLICY_TLS_CHECK_VERIFY,
                                                    POLICY_TLS_CHECK_HOSTED,
                                                    POLICY_TLS_CHECK_MTA_STS };
    const struct gateway_hop_identity identity = identity_of(p);

    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        gateway_hop_identity_check(&identity, p->session, checks[i], &tls->checks[checks[i]]);
}

static void describe(struct tlscheck_probe *p)
{
    const struct tls_session *s = p->session;
    struct tlscheck_tls *tls = &p->address->tls;
    const char *problem = tls_session_verify_problem(s);

    (void)snprintf(tls->protocol, sizeof(tls->protocol), "%s", tls_session_protocol(s));
    (void)snprintf(tls->cipher, sizeof(tls->cipher), "%s", tls_session_cipher(s));
    (void)snprintf(tls->group, sizeof(tls->group), "%s", tls_session_group(s));
    tls->cipher_bits = tls_session_cipher_bits(s);
    tls->is_trusted = problem == NULL;
    if (problem != NULL) {
        (void)snprintf(tls->problem, sizeof(tls->problem), "%s", problem);
        tls->problem_depth = tls_session_verify_depth(s);
        tlscheck_text_clean(tls->problem);
    }
    describe_chain(s, tls);
    check_names(p, tls);
    note_event(p, POLICY_TLS_ESTABLISHED);
}

static void judge_dane(struct tlscheck_probe *p)
{
    const struct gateway_hop_identity identity = identity_of(p);
    struct tlscheck_tls *tls = &p->address->tls;

    tls->is_dane_judged = true;
    gateway_hop_identity_check(&identity, p->session, POLICY_TLS_CHECK_DANE,
                               &tls->checks[POLICY_TLS_CHECK_DANE]);
}

static void on_secured(struct gateway_hop *h)
{
    struct tlscheck_probe *p = probe_of(h);

    pass(p, TLSCHECK_EHLO_AGAIN);
    if (p->purpose == TLSCHECK_DANE)
        judge_dane(p);
    else
        describe(p);
    begin(p, TLSCHECK_EHLO_AGAIN); /* what the description took is not the host's */
    gateway_hop_judged(h, true, (struct slice){ 0 });
}

/* --- the sender, and the end ----------------------------------------------------------------- */

static void on_opened(struct gateway_hop *h)
{
    struct tlscheck_probe *p = probe_of(h);
    struct smtp_client_event event;

    if (p->purpose == TLSCHECK_DANE) {
        gateway_hop_quit(h);
        return;
    }
    p->sender = (struct smtp_client_envelope){ .recipients_count = 0 };
    event = smtp_client_verify(&h->smtp, &p->sender, gateway_channel_output(&h->channel));
    gateway_hop_set_time(h, 0);
    gateway_hop_go(h, &event);
}

static void on_event(struct gateway_hop *h, const struct smtp_client_event *event)
{
    struct tlscheck_probe *p = probe_of(h);
    struct tlscheck_address *a = p->address;
    char text[GATEWAY_VERIFIER_REPLY_MAX];
    bool is_taken = smtp_reply_is_positive(&event->reply);

    ASSERT(event->kind == SMTP_CLIENT_DONE && p->stage == TLSCHECK_SENDER);
    (void)snprintf(a->sender, sizeof(a->sender), "%s",
                   gateway_verifier_reply_text(&event->reply, text));
    tlscheck_text_clean(a->sender);
    if (!is_taken)
        tlscheck_note_trouble(a, "the sender is refused: %s", a->sender);
    end(p, is_taken ? TLSCHECK_OK : TLSCHECK_FAILED, true);
    p->stage = TLSCHECK_STAGES_COUNT;
    gateway_hop_quit(h);
}

static void on_drained(struct gateway_hop *h)
{
    (void)h; /* what is said here always fits */
}

static void on_idle(struct gateway_hop *h)
{
    gateway_hop_quit(h);
}

static const char *error_text(int error)
{
    const char *text = error == ETIMEDOUT ? "no answer in time" : strerrordesc_np(error);

    return text != NULL ? text : "unknown error";
}

static void describe_end(struct tlscheck_probe *p, const struct gateway_hop_end *hop_end,
                         char text[static TLSCHECK_TEXT_MAX])
{
    const struct smtp_client_event *event = &hop_end->event;
    char reply[GATEWAY_VERIFIER_REPLY_MAX] = "";

    switch (hop_end->kind) {
    case GATEWAY_HOP_END_QUIT:
        (void)snprintf(text, TLSCHECK_TEXT_MAX, "%s",
                       smtp_client_failure_text(SMTP_CLIENT_FAILURE_ENDED));
        break;
    case GATEWAY_HOP_END_CONNECT:
        (void)snprintf(text, TLSCHECK_TEXT_MAX, "%s", error_text(hop_end->error));
        break;
    case GATEWAY_HOP_END_TLS: (void)snprintf(text, TLSCHECK_TEXT_MAX, "%s", p->why); break;
    case GATEWAY_HOP_END_SMTP:
        if (event->reply.code != 0)
            (void)gateway_verifier_reply_text(&event->reply, reply);
        (void)snprintf(text, TLSCHECK_TEXT_MAX, "%s%s%.200s",
                       smtp_client_failure_text(event->failure), reply[0] != '\0' ? ": " : "",
                       reply);
        break;
    }
}

/* The first word of a sentence about the stage. */
static const char *stage_text(enum tlscheck_stage stage)
{
    switch (stage) {
    case TLSCHECK_CONNECT: return "connect: ";
    case TLSCHECK_GREETING: return "greeting: ";
    case TLSCHECK_EHLO: return "EHLO: ";
    case TLSCHECK_STARTTLS: return "STARTTLS: ";
    case TLSCHECK_EHLO_AGAIN: return "EHLO under TLS: ";
    case TLSCHECK_SENDER: return "MAIL: ";
    case TLSCHECK_HANDSHAKE:
    case TLSCHECK_CERTIFICATE:
    case TLSCHECK_STAGES_COUNT: break;
    }
    return "";
}

static void on_failed(struct gateway_hop *h, const struct gateway_hop_end *hop_end)
{
    struct tlscheck_probe *p = probe_of(h);
    struct tlscheck_address *a = p->address;
    char *dane = a->tls.checks[POLICY_TLS_CHECK_DANE].text, text[TLSCHECK_TEXT_MAX];

    if (p->stage == TLSCHECK_STAGES_COUNT)
        return; /* all was said */
    describe_end(p, hop_end, text);
    if (p->purpose == TLSCHECK_DANE) {
        if (!a->tls.is_dane_judged)
            (void)snprintf(dane, TLS_CHECK_TEXT_MAX,
                           "another connection, to be judged by DANE, failed: %.200s", text);
        tlscheck_text_clean(dane);
        return;
    }
    if (p->is_blaming_post_quantum)
        return; /* once more */
    /* Without a reply to STARTTLS, too: there is nobody left to go on with in the clear. */
    if (p->stage == TLSCHECK_STARTTLS || p->stage == TLSCHECK_HANDSHAKE)
        note_event(p, POLICY_TLS_HANDSHAKE_FAILED);
    if (p->stage == TLSCHECK_SENDER) {
        (void)snprintf(a->sender, sizeof(a->sender), "%s", text);
        tlscheck_text_clean(a->sender);
    }
    tlscheck_note_trouble(a, "%s%s", stage_text(p->stage), text);
    end(p, TLSCHECK_FAILED, false);
}

static bool wants_dane(const struct tlscheck_probe *p)
{
    return p->purpose != TLSCHECK_DANE && host_of(p)->tlsa_usable > 0 && p->address->has_event &&
           p->address->event == POLICY_TLS_ESTABLISHED;
}

static void leave(struct tlscheck_probe *p)
{
    p->address = NULL;
    p->done(p);
}

static void on_closed(struct gateway_hop *h)
{
    struct tlscheck_probe *p = probe_of(h);

    if (p->is_cut) {
        leave(p);
    } else if (p->is_blaming_post_quantum) {
        p->address->is_without_post_quantum = true;
        open_hop(p, TLSCHECK_ALL_STAGES_CLASSIC);
    } else if (wants_dane(p)) {
        open_hop(p, TLSCHECK_DANE);
    } else {
        leave(p);
    }
}

/* --- for the run ----------------------------------------------------------------------------- */

static void open_hop(struct tlscheck_probe *p, enum tlscheck_purpose purpose)
{
    static const struct gateway_hop_handlers handlers = {
        .connected = on_connected,
        .greeted = on_greeted,
        .answered = on_answered,
        .refused = on_refused,
        .session = on_session,
        .unsecured = on_unsecured,
        .secured = on_secured,
        .opened = on_opened,
        .event = on_event,
        .drained = on_drained,
        .idle = on_idle,
        .failed = on_failed,
        .closed = on_closed,
    };
    const struct gateway_hop_options options = {
        .remote = p->address->endpoint,
        .hostname = p->tools->hostname,
        .demand = { .is_wanted = true, .is_required = purpose == TLSCHECK_DANE },
        .reply_ms_max = TLSCHECK_REPLY_MS,
        .opening_ms = TLSCHECK_PROBE_MS,
    };

    p->hop = (struct gateway_hop){ .state = GATEWAY_HOP_CONNECTING };
    p->purpose = purpose;
    p->session = NULL;
    p->is_blaming_post_quantum = false;
    p->why[0] = '\0';
    begin(p, TLSCHECK_CONNECT);
    gateway_hop_open(&p->hop, p->tools->loop, &handlers, &options);
}

void tlscheck_probe_init(struct tlscheck_probe *p, const struct tlscheck_tools *tools,
                         struct tlscheck_findings *findings)
{
    *p = (struct tlscheck_probe){ .tools = tools, .findings = findings };
}

/* Whether it has come, or its time is over. */
static void on_ptr(struct dns_host *ptr)
{
    struct tlscheck_probe *p = CONTAINER_OF(ptr, struct tlscheck_probe, ptr);

    engine_timer_stop(p->tools->loop, &p->ptr_time);
    p->address->ptr = dns_host_outcome(ptr);
    (void)snprintf(p->address->ptr_name, sizeof(p->address->ptr_name), "%.*s",
                   SLICE_ARGS(dns_host_name(ptr)));
    open_hop(p, TLSCHECK_ALL_STAGES);
}

static void on_ptr_late(struct engine_timer *timer)
{
    struct tlscheck_probe *p = CONTAINER_OF(timer, struct tlscheck_probe, ptr_time);

    dns_host_cancel(&p->ptr);
    p->address->ptr = DNS_HOST_FAILED;
    open_hop(p, TLSCHECK_ALL_STAGES);
}

void tlscheck_probe_start(struct tlscheck_probe *p, size_t address,
                          void (*done)(struct tlscheck_probe *p))
{
    ASSERT(!tlscheck_probe_is_running(p));
    ASSERT(address < p->findings->addresses_count);
    p->address = &p->findings->addresses[address];
    p->done = done;
    p->is_cut = false;
    p->stage = TLSCHECK_CONNECT;
    engine_timer_start(p->tools->loop, &p->ptr_time, TLSCHECK_PTR_MS, on_ptr_late);
    dns_host_start(&p->ptr, p->tools->source, &p->address->endpoint.address, on_ptr);
}

void tlscheck_probe_cut(struct tlscheck_probe *p)
{
    if (!tlscheck_probe_is_running(p) || p->is_cut)
        return;
    p->is_cut = true;
    p->address->is_cut_off = true;
    tlscheck_note_trouble(p->address, "%sno time was left", stage_text(p->stage));
    if (!dns_host_is_running(&p->ptr)) {
        gateway_hop_reset(&p->hop);
        return;
    }
    dns_host_cancel(&p->ptr);
    engine_timer_stop(p->tools->loop, &p->ptr_time);
    leave(p);
}
