#include "gateway/alert_sources.h"

#include <stdio.h>

#include "gateway/alerts.h"
#include "gateway/worker.h"

#define PART_MAX 256 /* of what others chose; the rest is cut, so that all of it fits */

void gateway_alert_raise(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject, enum observe_severity severity, struct slice text)
{
    const struct observe_alert alert = {
        .kind = kind,
        .severity = severity,
        .subject = subject,
        .text = text,
    };

    gateway_alerts_raise(w->process->alerts, &alert);
}

void gateway_alert_clear(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject)
{
    gateway_alerts_clear(w->process->alerts, kind, subject);
}

void gateway_alert_unreadable(struct gateway_worker *w, uint64_t mid, const char *what)
{
    char text[PART_MAX];
    int len = snprintf(text, sizeof(text), "Spool: MID %llu %s", (unsigned long long)mid, what);

    ASSERT(len > 0 && (size_t)len < sizeof(text));
    observe_count(&w->counters, OBSERVE_SPOOL_ERRORS, 1);
    observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w), "%s", text);
    gateway_alert_raise(w, OBSERVE_ALERT_SPOOL, SLICE("messages"), OBSERVE_SEVERITY_CRITICAL,
                        (struct slice){ text, (size_t)len });
}

/* Its place among the hashes, or count. */
static unsigned find(const struct gateway_alert_domains *d, uint64_t hash)
{
    unsigned i = 0;

    while (i < d->count && d->hashes[i] != hash)
        i++;
    return i;
}

static void note(struct gateway_worker *w, struct slice domain)
{
    struct gateway_alert_domains *d = &w->alert_domains;
    uint64_t hash = hash_text_nocase(&w->process->seed, domain);

    if (find(d, hash) < d->count)
        return;
    if (d->count < GATEWAY_ALERT_DOMAINS_MAX) {
        d->hashes[d->count++] = hash;
        return;
    }
    d->hashes[d->next] = hash;
    d->next = (d->next + 1) % GATEWAY_ALERT_DOMAINS_MAX;
}

static struct slice part(struct slice text)
{
    return slice_first(text, text.len < PART_MAX ? text.len : PART_MAX);
}

void gateway_alert_tls_failed(struct gateway_worker *w, struct slice domain, struct slice host,
                              const struct ip_endpoint *endpoint, struct slice reason,
                              uint64_t queued)
{
    char address[IP_TEXT_MAX];
    struct buffer b;
    enum status status;

    buffer_init(&b, OBSERVE_ALERT_TEXT_MAX);
    status = buffer_printf(&b, "A required TLS connection to domain '%.*s' failed: %.*s.",
                           SLICE_ARGS(part(domain)), SLICE_ARGS(part(reason)));
    if (status == STATUS_OK && endpoint != NULL)
        status = buffer_printf(&b, " Host: %.*s%s[%s]:%u.", SLICE_ARGS(part(host)),
                               host.len > 0 ? " " : "", ip_format(&endpoint->address, address),
                               endpoint->port);
    if (status == STATUS_OK)
        status = buffer_printf(&b, " %llu message%s queued.", (unsigned long long)queued,
                               queued == 1 ? " is" : "s are");
    if (status == STATUS_OK) {
        note(w, domain);
        gateway_alert_raise(w, OBSERVE_ALERT_REQUIRED_TLS, domain, OBSERVE_SEVERITY_WARNING,
                            buffer_contents(&b));
    }
    buffer_finish(&b);
}

void gateway_alert_tls_recovered(struct gateway_worker *w, struct slice domain)
{
    struct gateway_alert_domains *d = &w->alert_domains;
    unsigned at;

    if (d->count == 0)
        return;
    at = find(d, hash_text_nocase(&w->process->seed, domain));
    if (at == d->count)
        return;
    d->hashes[at] = d->hashes[--d->count];
    gateway_alert_clear(w, OBSERVE_ALERT_REQUIRED_TLS, domain);
}
