#include "gateway/outbound_log.h"

#include <errno.h>
#include <string.h>

#include "gateway/worker.h"
#include "observe/mail_events.h"

static void log_error(const struct gateway_outbound *out, unsigned code, struct slice details,
                      struct slice reason)
{
    struct gateway_worker *w = out->worker;
    char remote[IP_TEXT_MAX], local[IP_TEXT_MAX] = "unknown";
    struct ip_endpoint ours;

    if (engine_socket_local(&out->hop.channel.socket, &ours))
        (void)ip_format(&ours.address, local);
    observe_dcid_error(w->log, gateway_worker_now_s(w),
                       &(struct observe_dcid_error){
                           .dcid = out->dcid,
                           .domain = delivery_destination_domain(out->delivery.destination),
                           .address = slice_from(ip_format(&out->remote.address, remote)),
                           .port = out->remote.port,
                           .code = code,
                           .details = details,
                           .interface_ip = slice_from(local),
                           .reason = reason,
                       });
}

void gateway_outbound_log_new(const struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;
    char remote[IP_TEXT_MAX], local[IP_TEXT_MAX] = "unknown";
    struct ip_endpoint ours;

    if (engine_socket_local(&out->hop.channel.socket, &ours))
        (void)ip_format(&ours.address, local);
    observe_dcid_new(w->log, gateway_worker_now_s(w), out->dcid, slice_from(local),
                     slice_from(ip_format(&out->remote.address, remote)), out->remote.port);
}

void gateway_outbound_log_connect(const struct gateway_outbound *out, int error)
{
    const char *name = error == ETIMEDOUT ? "timeout" : strerrordesc_np(error);

    log_error(out, 0, slice_from(name != NULL ? name : "unknown error"), SLICE("network error"));
}

void gateway_outbound_log_reply(const struct gateway_outbound *out, const struct smtp_reply *reply)
{
    log_error(out, reply->code, reply->text, SLICE("unexpected SMTP response"));
}

void gateway_outbound_log_failure(const struct gateway_outbound *out,
                                  const struct smtp_client_event *event)
{
    switch (event->failure) {
    case SMTP_CLIENT_FAILURE_NONE: break;
    case SMTP_CLIENT_FAILURE_GREETING:
    case SMTP_CLIENT_FAILURE_EHLO:
    case SMTP_CLIENT_FAILURE_CLOSING:
    case SMTP_CLIENT_FAILURE_EARLY:
        log_error(out, event->reply.code, event->reply.text, SLICE("unexpected SMTP response"));
        break;
    case SMTP_CLIENT_FAILURE_ENDED: log_error(out, 0, SLICE("EOF"), SLICE("network error")); break;
    case SMTP_CLIENT_FAILURE_TIMEOUT:
        log_error(out, 0, SLICE("timeout"), SLICE("network error"));
        break;
    case SMTP_CLIENT_FAILURE_BAD_REPLY:
        log_error(out, 0, slice_from(smtp_client_failure_text(event->failure)),
                  SLICE("protocol error"));
        break;
    case SMTP_CLIENT_FAILURE_NO_MEMORY:
        log_error(out, 0, slice_from(smtp_client_failure_text(event->failure)),
                  SLICE("local error"));
        break;
    }
}

enum delivery_failure gateway_outbound_failure(const struct smtp_client_event *event)
{
    switch (event->failure) {
    case SMTP_CLIENT_FAILURE_GREETING:
        return smtp_reply_is_permanent(&event->reply) ? DELIVERY_FAILURE_GREETING_5XX
                                                      : DELIVERY_FAILURE_GREETING_4XX;
    case SMTP_CLIENT_FAILURE_EHLO: return DELIVERY_FAILURE_EHLO;
    case SMTP_CLIENT_FAILURE_TIMEOUT: return DELIVERY_FAILURE_TIMEOUT;
    case SMTP_CLIENT_FAILURE_NO_MEMORY: return DELIVERY_FAILURE_LOCAL;
    case SMTP_CLIENT_FAILURE_NONE:
    case SMTP_CLIENT_FAILURE_BAD_REPLY:
    case SMTP_CLIENT_FAILURE_CLOSING:
    case SMTP_CLIENT_FAILURE_EARLY:
    case SMTP_CLIENT_FAILURE_ENDED: break;
    }
    return DELIVERY_FAILURE_LOST;
}

enum delivery_stage gateway_outbound_stage(enum smtp_client_stage stage)
{
    switch (stage) {
    case SMTP_CLIENT_STAGE_NONE: return DELIVERY_STAGE_EHLO;
    case SMTP_CLIENT_STAGE_LOCAL:
    case SMTP_CLIENT_STAGE_MAIL: return DELIVERY_STAGE_MAIL;
    case SMTP_CLIENT_STAGE_RCPT: return DELIVERY_STAGE_RCPT;
    case SMTP_CLIENT_STAGE_DATA:
    case SMTP_CLIENT_STAGE_BODY: return DELIVERY_STAGE_DATA;
    case SMTP_CLIENT_STAGE_FINAL: return DELIVERY_STAGE_FINAL;
    }
    UNREACHABLE();
}
