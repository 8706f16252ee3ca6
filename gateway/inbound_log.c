#include "gateway/inbound_log.h"

#include "gateway/inquiry.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static time_t now_s(const struct gateway_inbound *in)
{
    return gateway_worker_now_s(in->worker);
}

void gateway_inbound_log_new(struct gateway_inbound *in)
{
    char ours[IP_TEXT_MAX] = "unknown", theirs[IP_TEXT_MAX];
    struct ip_endpoint local;

    if (engine_socket_local(&in->channel.socket, &local))
        (void)ip_format(&local.address, ours);
    observe_icid_new(in->worker->log, now_s(in),
                     &(struct observe_icid_new){
                         .icid = in->icid,
                         .interface_name = slice_from(gateway_inbound_listener(in)->name),
                         .interface_ip = slice_from(ours),
                         .address = slice_from(ip_format(&in->client.address, theirs)),
                         .reverse_name = in->name != NULL ? slice_from(in->name) : SLICE(""),
                         .verified = in->reverse == POLICY_REVERSE_VERIFIED,
                     });
}

void gateway_inbound_log_generation(struct gateway_inbound *in)
{
    observe_log_line(in->worker->log, OBSERVE_INFO, now_s(in),
                     "ICID %llu configuration generation %llu", (unsigned long long)in->icid,
                     (unsigned long long)in->view->generation->config->generation);
}

static enum observe_access access_of(enum policy_access access)
{
    switch (access) {
    case POLICY_ACCESS_ACCEPT: return OBSERVE_ACCEPT;
    case POLICY_ACCESS_RELAY: return OBSERVE_RELAY;
    case POLICY_ACCESS_REJECT: return OBSERVE_REJECT;
    case POLICY_ACCESS_REFUSE: return OBSERVE_TCPREFUSE;
    case POLICY_ACCESS_CONTINUE: break;
    }
    UNREACHABLE();
}

/* The score as AsyncOS writes it; empty: there is no source of scores. */
static struct slice score_text(const struct gateway_view *view, const struct policy_sender *sender,
                               char text[static POLICY_SCORE_TEXT_MAX])
{
    const struct config_reputation *reputation = &gateway_view_settings(view)->reputation;

    if (!reputation->has_file && reputation->zone[0] == '\0')
        return SLICE("");
    switch (sender->score.state) {
    case POLICY_SCORE_KNOWN: return slice_from(policy_score_format(sender->score.tenths, text));
    case POLICY_SCORE_FAILED: return SLICE("unable to retrieve");
    case POLICY_SCORE_UNKNOWN:
    case POLICY_SCORE_NONE: break;
    }
    return gateway_inquiry_is_private(&sender->address) ? SLICE("rfc1918") : SLICE("None");
}

void gateway_inbound_log_access(struct gateway_worker *w, const struct gateway_view *view,
                                uint64_t icid, const struct policy_hat *hat,
                                const struct policy_sender_verdict *verdict,
                                const struct policy_sender *sender)
{
    const struct config_country *country = view->generation->config->country;
    char score[POLICY_SCORE_TEXT_MAX];
    struct slice code = { 0 }, name = { 0 };

    if (country != NULL && !config_country_find(country, &sender->address, &code, &name))
        code = SLICE("None");
    observe_icid_access(w->log, gateway_worker_now_s(w),
                        &(struct observe_icid_access){
                            .icid = icid,
                            .access = access_of(verdict->flow->access),
                            .group = verdict->group,
                            .match = policy_hat_entry_text(hat, verdict->number),
                            .sbrs = score_text(view, sender, score),
                            .country = name.len > 0 ? name : code,
                        });
}

/* The formats of AsyncOS put the address of the client in brackets at the end. */
static void log_delayed(struct gateway_inbound *in, const char *what, struct slice address)
{
    char ip[IP_TEXT_MAX];

    observe_icid_delayed_reject(in->worker->log, now_s(in), in->icid, what, address,
                                slice_from(ip_format(&in->client.address, ip)));
}

void gateway_inbound_log_delayed(struct gateway_inbound *in)
{
    log_delayed(in, "continuing session for recipient logging", SLICE(""));
}

void gateway_inbound_log_delayed_sender(struct gateway_inbound *in, struct slice sender)
{
    log_delayed(in, "Message from:", sender);
}

void gateway_inbound_log_delayed_recipient(struct gateway_inbound *in, struct slice recipient)
{
    log_delayed(in, "Message recipient: ", recipient);
}
