#include "cli/tls_check_sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/crew.h"
#include "gateway/mta_sts_txt.h"

#define NS_PER_MS 1000000u

static void end(struct tlscheck_sts *s, enum tlscheck_sts_outcome outcome, const char *reason)
{
    struct tlscheck_sts_found *found = &s->findings->sts;

    ASSERT(s->is_running);
    found->outcome = outcome;
    found->ms = (uint32_t)((cli_now_ns() - s->started_ns) / NS_PER_MS);
    (void)snprintf(found->reason, sizeof(found->reason), "%s", reason);
    tlscheck_text_clean(found->reason);
    s->is_running = false;
    s->done(s);
}

/* --- the policy ------------------------------------------------------------------------------ */

static void take_policy(struct tlscheck_sts *s)
{
    struct tlscheck_sts_found *found = &s->findings->sts;
    struct slice body = buffer_contents(&s->fetch.body);
    char reason[TLSCHECK_TEXT_MAX];
    const char *why;

    found->text = malloc(body.len + 1);
    if (found->text == NULL) {
        end(s, TLSCHECK_STS_FAILED, "no memory");
        return;
    }
    if (body.len > 0)
        memcpy(found->text, body.data, body.len);
    if (policy_mta_sts_parse((struct slice){ found->text, body.len }, &found->policy, &why)) {
        end(s, TLSCHECK_STS_FOUND, "");
        return;
    }
    (void)snprintf(reason, sizeof(reason), "what its host has is not a policy: %s", why);
    end(s, TLSCHECK_STS_FAILED, reason);
}

static void run_fetch(struct engine_job *job)
{
    gateway_mta_sts_fetch_run(CONTAINER_OF(job, struct gateway_mta_sts_fetch, job));
}

static void on_fetched(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_mta_sts_fetch *fetch = CONTAINER_OF(job, struct gateway_mta_sts_fetch, job);
    struct tlscheck_sts *s = CONTAINER_OF(fetch, struct tlscheck_sts, fetch);

    (void)loop;
    s->is_fetching = false;
    if (atomic_load(&s->is_stopped))
        end(s, TLSCHECK_STS_FAILED, "no time was left to fetch the policy");
    else if (fetch->is_ok)
        take_policy(s);
    else
        end(s, TLSCHECK_STS_FAILED, fetch->reason);
}

static void begin_fetch(struct tlscheck_sts *s)
{
    struct gateway_mta_sts_fetch *fetch = &s->fetch;

    if (fetch->addresses_count == 0) {
        end(s, TLSCHECK_STS_FAILED, fetch->reason);
        return;
    }
    fetch->port = (uint16_t)s->settings->port;
    fetch->timeout_ms = s->settings->timeout_s * 1000;
    fetch->is_stopped = &s->is_stopped;
    fetch->job.run = run_fetch;
    fetch->job.done = on_fetched;
    if (s->settings->ca_path[0] != '\0')
        fetch->ca_path = strdup(s->settings->ca_path);
    /* Without the list that is meant another one would count. */
    if (s->settings->ca_path[0] != '\0' && fetch->ca_path == NULL)
        end(s, TLSCHECK_STS_FAILED, "no memory");
    else if (engine_helper_submit(s->helper, s->loop, &fetch->job) != STATUS_OK)
        end(s, TLSCHECK_STS_FAILED, "no thread to fetch the policy with");
    else
        s->is_fetching = true;
}

/* --- its host -------------------------------------------------------------------------------- */

static void on_address(struct tlscheck_sts *s, const struct dns_answer *a)
{
    struct gateway_mta_sts_fetch *fetch = &s->fetch;
    size_t room = GATEWAY_MTA_STS_ADDRESSES_MAX / ARRAY_LEN(s->addresses);

    for (size_t i = 0; i < a->records && room > 0; i++) {
        if (!dns_answer_address(a, i, &fetch->addresses[fetch->addresses_count]))
            continue;
        fetch->addresses_count++;
        room--;
    }
    if (a->outcome == DNS_FAILED || fetch->reason[0] == '\0')
        (void)snprintf(fetch->reason, sizeof(fetch->reason), "the address of %.64s: %.64s",
                       fetch->host, a->outcome == DNS_FAILED ? a->reason : "there is none");
    ASSERT(s->addresses_open > 0);
    if (--s->addresses_open == 0)
        begin_fetch(s);
}

static void on_v4(struct dns_query *q, const struct dns_answer *a)
{
    on_address(CONTAINER_OF(q, struct tlscheck_sts, addresses[0]), a);
}

static void on_v6(struct dns_query *q, const struct dns_answer *a)
{
    on_address(CONTAINER_OF(q, struct tlscheck_sts, addresses[1]), a);
}

static void ask_addresses(struct tlscheck_sts *s)
{
    char name[sizeof(POLICY_MTA_STS_HOST_LABEL) + DNS_NAME_MAX];
    int len = snprintf(name, sizeof(name), POLICY_MTA_STS_HOST_LABEL "%.*s",
                       SLICE_ARGS(s->findings->domain));

    if (len < 0 || !dns_name_copy((struct slice){ name, (size_t)len }, s->fetch.host)) {
        end(s, TLSCHECK_STS_FAILED, "the name of its host would be too long");
        return;
    }
    s->addresses_open = ARRAY_LEN(s->addresses);
    dns_query_start(&s->addresses[0], s->source, slice_from(s->fetch.host), DNS_TYPE_A, on_v4);
    dns_query_start(&s->addresses[1], s->source, slice_from(s->fetch.host), DNS_TYPE_AAAA, on_v6);
}

/* --- the record ------------------------------------------------------------------------------ */

static void take_records(struct tlscheck_sts *s, const struct dns_answer *a)
{
    char room[GATEWAY_MTA_STS_TXT_BYTES];
    struct slice text, id;
    size_t count = gateway_mta_sts_txt_find(a, room, &text);

    if (count == 0) {
        end(s, TLSCHECK_STS_NONE, "the domain has no MTA-STS record");
    } else if (count > 1) {
        end(s, TLSCHECK_STS_FAILED, "more than one MTA-STS record: none counts");
    } else if (!policy_mta_sts_record_id(text, &id)) {
        end(s, TLSCHECK_STS_FAILED, "the MTA-STS record is malformed");
    } else {
        (void)snprintf(s->findings->sts.id, sizeof(s->findings->sts.id), "%.*s", SLICE_ARGS(id));
        ask_addresses(s);
    }
}

static void on_record(struct dns_query *q, const struct dns_answer *a)
{
    struct tlscheck_sts *s = CONTAINER_OF(q, struct tlscheck_sts, record);
    char reason[TLSCHECK_TEXT_MAX];

    switch (a->outcome) {
    case DNS_FOUND: take_records(s, a); break;
    case DNS_NO_NAME:
    case DNS_NO_DATA: end(s, TLSCHECK_STS_NONE, "the domain has no MTA-STS record"); break;
    case DNS_FAILED:
        (void)snprintf(reason, sizeof(reason), "the MTA-STS record cannot be looked up: %s",
                       a->reason);
        end(s, TLSCHECK_STS_FAILED, reason);
        break;
    }
}

/* --- for the run ----------------------------------------------------------------------------- */

void tlscheck_sts_start(struct tlscheck_sts *s, struct tlscheck_findings *findings,
                        struct engine_loop *loop, struct dns_source *source,
                        struct engine_helper *helper, const struct config_mta_sts *settings,
                        void (*done)(struct tlscheck_sts *s))
{
    char name[sizeof(POLICY_MTA_STS_TXT_LABEL) + DNS_NAME_MAX];

    ASSERT(findings->domain.len > 0 && !s->is_running);
    s->findings = findings;
    s->loop = loop;
    s->source = source;
    s->helper = helper;
    s->settings = settings;
    s->done = done;
    s->started_ns = cli_now_ns();
    s->is_running = true;
    gateway_mta_sts_fetch_init(&s->fetch);
    (void)snprintf(name, sizeof(name), POLICY_MTA_STS_TXT_LABEL "%.*s",
                   SLICE_ARGS(findings->domain));
    dns_query_start(&s->record, source, slice_from(name), DNS_TYPE_TXT, on_record);
}

void tlscheck_sts_cut(struct tlscheck_sts *s)
{
    if (!s->is_running)
        return;
    atomic_store(&s->is_stopped, true);
    if (s->is_fetching)
        return; /* its end is near */
    dns_query_cancel(&s->record);
    for (size_t i = 0; i < ARRAY_LEN(s->addresses); i++)
        dns_query_cancel(&s->addresses[i]);
    end(s, TLSCHECK_STS_FAILED, "no answer in time");
}

void tlscheck_sts_finish(struct tlscheck_sts *s)
{
    ASSERT(!s->is_running);
    gateway_mta_sts_fetch_finish(&s->fetch);
}
