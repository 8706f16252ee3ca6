#include "gateway/outbound_trouble.h"

#include <stdio.h>

#include "gateway/failure.h"
#include "gateway/outbound_tls.h"
#include "gateway/worker.h"

static const char *phrase_of(const struct gateway_outbound *out, enum delivery_failure why)
{
    switch (why) {
    case DELIVERY_FAILURE_REFUSED: return "refused the connection";
    case DELIVERY_FAILURE_UNREACHABLE: return "cannot be reached";
    case DELIVERY_FAILURE_TIMEOUT: return "did not answer in time";
    case DELIVERY_FAILURE_GREETING_4XX:
    case DELIVERY_FAILURE_GREETING_5XX: return "did not welcome the connection";
    case DELIVERY_FAILURE_EHLO: return "refused EHLO";
    case DELIVERY_FAILURE_TLS: return gateway_outbound_tls_trouble(out);
    case DELIVERY_FAILURE_LOST: return "broke off the connection";
    case DELIVERY_FAILURE_NONE:
    case DELIVERY_FAILURE_DNS:
    case DELIVERY_FAILURE_OTHER_WAY:
    case DELIVERY_FAILURE_LOCAL: break;
    }
    return "could not be used";
}

void gateway_outbound_note_trouble(const struct gateway_outbound *out, enum delivery_failure why,
                                   const struct smtp_reply *reply)
{
    char text[GATEWAY_DISPATCH_TROUBLE_MAX], ip[IP_ENDPOINT_MAX];
    const char *name = out->host->name;
    int len;

    if (why == DELIVERY_FAILURE_NONE || why == DELIVERY_FAILURE_LOCAL ||
        why == DELIVERY_FAILURE_OTHER_WAY || out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    (void)ip_endpoint_format_short(&out->remote, GATEWAY_FAILURE_PORT, ip);
    len = snprintf(text, sizeof(text), "host %s%s%s%s%s %s", name, name[0] != '\0' ? " (" : "", ip,
                   name[0] != '\0' ? ")" : "",
                   why == DELIVERY_FAILURE_TLS ? ": TLS is required:" : "", phrase_of(out, why));
    if (reply != NULL && reply->code != 0 && len > 0 && (size_t)len < sizeof(text))
        (void)snprintf(text + len, sizeof(text) - (size_t)len, ": %03u %.*s", reply->code % 1000u,
                       SLICE_ARGS(reply->text));
    gateway_dispatch_note_trouble(out->delivery.destination, text);
}
