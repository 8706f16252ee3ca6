#include "gateway/certificate_watch.h"

#include <stdio.h>

#include "gateway/alerts.h"

#define DAY_S ((int64_t)86400)

unsigned gateway_certificate_stage(int64_t expires_wall_s, int64_t now_s)
{
    static const unsigned days[] = { 1, 2, 3, 4, 5, 15, 30, 60, 90 };

    if (expires_wall_s <= now_s)
        return GATEWAY_CERTIFICATE_EXPIRED;
    for (size_t i = 0; i < ARRAY_LEN(days); i++)
        if (expires_wall_s - now_s <= days[i] * DAY_S)
            return days[i];
    return GATEWAY_CERTIFICATE_FAR;
}

const char *gateway_certificate_end(int64_t expires_wall_s, int64_t now_s,
                                    char text[static GATEWAY_CERTIFICATE_END_MAX])
{
    long long days = (expires_wall_s - now_s + DAY_S - 1) / DAY_S;
    char date[CLOCK_DATE_MAX];

    (void)clock_format_log((time_t)expires_wall_s, date);
    if (expires_wall_s <= now_s)
        (void)snprintf(text, GATEWAY_CERTIFICATE_END_MAX, "expired on %s", date);
    else
        (void)snprintf(text, GATEWAY_CERTIFICATE_END_MAX, "expires in %lld day%s, on %s", days,
                       days == 1 ? "" : "s", date);
    return text;
}

void gateway_certificate_watch_add(struct gateway_certificate_watch *watch, const char *name,
                                   const struct tls_context *context)
{
    int64_t expires_s = tls_context_expires_wall_s(context);
    char cut[GATEWAY_CERTIFICATE_NAME_MAX];
    size_t at = 0;

    (void)snprintf(cut, sizeof(cut), "%s", name);
    while (at < watch->count && strcmp(watch->entries[at].name, cut) != 0)
        at++;
    if (expires_s == 0 || at == CONFIG_CERTIFICATES_MAX)
        return;
    if (at == watch->count) {
        memcpy(watch->entries[at].name, cut, sizeof(cut));
        watch->entries[at].told = GATEWAY_CERTIFICATE_FAR;
        watch->entries[at].told_s = 0;
        watch->count++;
    }
    watch->entries[at].expires_s = expires_s;
    watch->entries[at].is_in_view = true;
}

void gateway_certificate_watch_take(struct gateway_certificate_watch *watch,
                                    const struct gateway_view *view)
{
    const struct config_settings *settings = gateway_view_settings(view);

    watch->looked_s = 0;
    for (size_t i = 0; i < watch->count; i++)
        watch->entries[i].is_in_view = false;
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (view->servers[i] != NULL)
            gateway_certificate_watch_add(watch, settings->listeners[i].certificate->name,
                                          view->servers[i]);
    for (size_t i = 0; i < settings->tls_clients_count; i++)
        if (settings->tls_clients[i].certificate != NULL)
            gateway_certificate_watch_add(watch, settings->tls_clients[i].certificate->name,
                                          view->clients[i]);
}

static void raise_alert(struct gateway_alerts *alerts, const char *name, int64_t expires_s,
                        int64_t now_s)
{
    char end[GATEWAY_CERTIFICATE_END_MAX], text[OBSERVE_ALERT_TEXT_MAX];
    bool is_over = expires_s <= now_s;
    int len = snprintf(text, sizeof(text), "The certificate '%s' %s.", name,
                       gateway_certificate_end(expires_s, now_s, end));

    gateway_alerts_raise(
        alerts, &(struct observe_alert){
                    .kind = OBSERVE_ALERT_CERTIFICATE,
                    .severity = is_over ? OBSERVE_SEVERITY_CRITICAL : OBSERVE_SEVERITY_WARNING,
                    .subject = slice_from(name),
                    .text = { text, (size_t)len },
                });
}

static void look_at(struct gateway_certificate_watch *watch, size_t at,
                    struct gateway_alerts *alerts, int64_t now_s)
{
    const char *name = watch->entries[at].name;
    int64_t expires_s = watch->entries[at].expires_s;
    unsigned told = watch->entries[at].told;
    unsigned stage = watch->entries[at].is_in_view ? gateway_certificate_stage(expires_s, now_s)
                                                   : GATEWAY_CERTIFICATE_FAR;
    bool is_due = stage == GATEWAY_CERTIFICATE_EXPIRED &&
                  now_s - watch->entries[at].told_s >= DAY_S; /* once more */

    if (stage > told)
        gateway_alerts_clear(alerts, OBSERVE_ALERT_CERTIFICATE, slice_from(name));
    watch->entries[at].told = stage;
    if (stage == GATEWAY_CERTIFICATE_FAR || (stage == told && !is_due))
        return;
    watch->entries[at].told_s = now_s;
    raise_alert(alerts, name, expires_s, now_s);
}

void gateway_certificate_watch_look(struct gateway_certificate_watch *watch,
                                    struct gateway_alerts *alerts, int64_t now_s)
{
    size_t kept = 0;

    if (now_s - watch->looked_s < GATEWAY_CERTIFICATE_LOOK_S && now_s >= watch->looked_s)
        return;
    watch->looked_s = now_s;
    for (size_t i = 0; i < watch->count; i++) {
        look_at(watch, i, alerts, now_s);
        if (watch->entries[i].is_in_view)
            watch->entries[kept++] = watch->entries[i];
    }
    watch->count = kept;
}
