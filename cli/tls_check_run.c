#include "cli/tls_check_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/crew.h"
#include "cli/options.h"
#include "cli/tls_check_probe.h"
#include "cli/tls_check_search.h"
#include "cli/tls_check_sts.h"
#include "engine/timer.h"
#include "gateway/names.h"

#define NS_PER_MS     1000000u
#define TICK_MS       200 /* of the progress */
#define QUESTIONS_MAX 1024
#define JOBS_MAX      4

struct run {
    const struct tlscheck_setup *setup;
    struct tlscheck_findings *findings;
    struct engine_loop *loop;
    struct engine_helper *helper;
    struct gateway_names *names;
    struct tls_context *tls;
    struct tlscheck_tools tools;
    struct tlscheck_search search;
    struct tlscheck_sts sts;
    struct tlscheck_probe probes[TLSCHECK_PROBES_MAX];
    size_t next; /* address */
    size_t probes_active;
    bool is_searched;
    struct engine_timer deadline, tick;
    bool was_shown;
    uint64_t started_ns;
};

/* --- progress -------------------------------------------------------------------------------- */

static void on_tick(struct engine_timer *timer)
{
    struct run *r = CONTAINER_OF(timer, struct run, tick);
    unsigned s = (unsigned)((cli_now_ns() - r->started_ns) / NS_PER_MS / 1000);

    r->was_shown = true;
    if (!r->is_searched)
        fprintf(stderr, "\r\033[K%s: asking the DNS, %u s", r->findings->target.text, s);
    else
        fprintf(stderr, "\r\033[K%s: %zu of %zu addresses looked at, %u s",
                r->findings->target.text, r->next - r->probes_active, r->findings->addresses_count,
                s);
    fflush(stderr);
    engine_timer_start(r->loop, &r->tick, TICK_MS, on_tick);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void start_probes(struct run *r);

static void on_probed(struct tlscheck_probe *p)
{
    struct run *r = CONTAINER_OF(p->tools, struct run, tools);

    ASSERT(r->probes_active > 0);
    r->probes_active--;
    start_probes(r);
}

static void start_probes(struct run *r)
{
    struct tlscheck_findings *f = r->findings;

    while (f->is_out_of_time && r->next < f->addresses_count)
        f->addresses[r->next++].is_cut_off = true;
    for (size_t i = 0; i < ARRAY_LEN(r->probes) && r->next < f->addresses_count; i++) {
        if (tlscheck_probe_is_running(&r->probes[i]))
            continue;
        r->probes_active++;
        tlscheck_probe_start(&r->probes[i], r->next++, on_probed);
    }
}

static void on_searched(struct tlscheck_search *s)
{
    struct run *r = CONTAINER_OF(s, struct run, search);

    r->is_searched = true;
    start_probes(r);
}

static void on_sts(struct tlscheck_sts *s)
{
    (void)s; /* it is in the findings */
}

static void on_deadline(struct engine_timer *timer)
{
    struct run *r = CONTAINER_OF(timer, struct run, deadline);

    r->findings->is_out_of_time = true;
    tlscheck_search_cut(&r->search);
    tlscheck_sts_cut(&r->sts);
    for (size_t i = 0; i < ARRAY_LEN(r->probes); i++)
        tlscheck_probe_cut(&r->probes[i]);
    start_probes(r); /* it marks those that had no turn */
}

static bool is_over(const struct run *r)
{
    return r->is_searched && r->probes_active == 0 && r->next == r->findings->addresses_count &&
           !tlscheck_sts_is_running(&r->sts);
}

static void apply_sts(struct tlscheck_findings *f)
{
    for (size_t i = 0; i < f->hosts_count && f->sts.outcome == TLSCHECK_STS_FOUND; i++)
        f->hosts[i].is_sts_host =
            policy_mta_sts_allows(&f->sts.policy, slice_from(f->hosts[i].name));
}

static void go(struct run *r)
{
    const struct tlscheck_setup *setup = r->setup;
    struct dns_source *source = gateway_names_source(r->names);
    const struct tlscheck_search_options options = {
        .loop = r->loop,
        .source = source,
        .tls = r->tls,
        .port = setup->port,
        .route = setup->route,
        .settings = setup->settings,
    };

    r->tools = (struct tlscheck_tools){
        .loop = r->loop, .source = source, .tls = r->tls, .hostname = setup->hostname
    };
    for (size_t i = 0; i < ARRAY_LEN(r->probes); i++)
        tlscheck_probe_init(&r->probes[i], &r->tools, r->findings);
    engine_timer_start(r->loop, &r->deadline, setup->timeout_s * UINT64_C(1000), on_deadline);
    if (setup->has_progress)
        engine_timer_start(r->loop, &r->tick, TICK_MS, on_tick);
    tlscheck_search_start(&r->search, r->findings, &options, on_searched);
    if (setup->wants_sts)
        tlscheck_sts_start(&r->sts, r->findings, r->loop, source, r->helper, &setup->sts, on_sts);
    while (!is_over(r))
        engine_loop_turn(r->loop);
    engine_timer_stop(r->loop, &r->deadline);
    engine_timer_stop(r->loop, &r->tick);
    if (r->was_shown)
        fputs("\r\033[K", stderr);
    tlscheck_search_finish(&r->search);
    tlscheck_sts_finish(&r->sts);
    apply_sts(r->findings);
}

/* --- what it takes --------------------------------------------------------------------------- */

static bool tell(const char *what, enum status status, const char *why)
{
    if (status != STATUS_OK)
        (void)cli_error(what, "%s", why[0] != '\0' ? why : status_text(status));
    return status == STATUS_OK;
}

static enum status create_context(struct run *r, const struct config_certificate *certificate,
                                  struct tls_trust *trust, struct tls_error *error)
{
    const struct config_tls_client *client = r->setup->client;
    struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
    struct tls_client_options options = {
        .min_version = client != NULL && client->min_version == CONFIG_TLS_1_3 ? TLS_VERSION_1_3
                                                                               : TLS_VERSION_1_2,
        .security = TLS_SECURITY_OPPORTUNISTIC, /* as a delivery: gateway/generation.c */
        .trust = trust,
    };

    if (certificate != NULL) {
        for (size_t i = 0; i < certificate->pairs_count; i++)
            files[i] = (struct tls_certificate_files){ certificate->pairs[i].chain_path,
                                                       certificate->pairs[i].key_path };
        options.certificates = files;
        options.certificates_count = certificate->pairs_count;
    }
    return tls_context_create_client(&options, &r->tls, error);
}

static bool create_tls(struct run *r)
{
    const struct tlscheck_setup *setup = r->setup;
    const struct config_certificate *certificate =
        setup->client != NULL ? setup->client->certificate : NULL;
    struct tls_trust *trust = NULL;
    struct tls_error error = { 0 };
    enum status status = STATUS_OK;

    r->findings->has_authorities =
        setup->trust.ca_file != NULL || setup->trust.custom_ca_file != NULL;
    if (r->findings->has_authorities)
        status = tls_trust_create(&setup->trust, &trust, &error);
    if (!tell("tls", status, error.text))
        return false;
    status = create_context(r, certificate, trust, &error);
    if (status != STATUS_OK && certificate != NULL) {
        /* Keys are for the gateway's user to read; most hosts never ask. */
        fprintf(stderr, "postern: certificate %s: %s; it is not shown to hosts that ask\n",
                certificate->name, error.text);
        status = create_context(r, NULL, trust, &error);
    }
    tls_trust_release(trust);
    return tell("tls", status, error.text);
}

static bool create(struct run *r)
{
    struct engine_reason reason = { "" };
    struct dns_reason dns_reason = { "" };
    enum status status = engine_loop_create(&(struct engine_loop_options){ 0 }, &r->loop, &reason);

    if (!tell("io_uring", status, reason.text))
        return false;
    status = gateway_names_create(r->loop, &r->setup->dns, QUESTIONS_MAX, &r->names, &dns_reason);
    if (!tell("dns", status, dns_reason.text))
        return false;
    if (!tell("tls-check", engine_helper_create(1, JOBS_MAX, &r->helper), ""))
        return false;
    return create_tls(r);
}

static void destroy(struct run *r)
{
    gateway_names_release(r->names);
    engine_helper_destroy(r->helper);
    while (r->loop != NULL && engine_loop_owners(r->loop) > 0)
        engine_loop_turn(r->loop);
    engine_loop_destroy(r->loop);
    tls_context_destroy(r->tls);
}

bool tlscheck_run(const struct tlscheck_setup *setup, struct tlscheck_findings *findings)
{
    struct run *r = calloc(1, sizeof(*r));
    bool ok;

    if (r == NULL)
        return tell("tls-check", STATUS_NO_MEMORY, "");
    r->setup = setup;
    r->findings = findings;
    r->started_ns = cli_now_ns();
    findings->wall_s = clock_wall_s();
    findings->is_validating = setup->dns.trust_anchor_path[0] != '\0';
    ok = create(r);
    if (ok)
        go(r);
    findings->ms = (uint32_t)((cli_now_ns() - r->started_ns) / NS_PER_MS);
    destroy(r);
    free(r);
    return ok;
}
