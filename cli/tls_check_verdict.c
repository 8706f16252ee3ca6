#include "cli/tls_check_verdict.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/tls_check_words.h"

#define ALL_PROOFS ((1u << TLSCHECK_PROOFS_COUNT) - 1)

/* --- what is done with one address ----------------------------------------------------------- */

struct policy_destination tlscheck_setting(enum policy_tls tls)
{
    struct policy_destination d = policy_destination_default();

    d.tls = tls;
    return d;
}

/* The same with everything that can go before it. */
static struct policy_destination guarded_setting(enum policy_tls tls)
{
    struct policy_destination d = tlscheck_setting(tls);

    d.dane = POLICY_DANE_OPPORTUNISTIC;
    d.mta_sts = true;
    return d;
}

static void say_why(struct tlscheck_plan *p, const char *format, ...) PRINTF_LIKE(2, 3);
static void say_why(struct tlscheck_plan *p, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(p->why, sizeof(p->why), format, list);
    va_end(list);
}

static struct policy_tls_facts facts_of(const struct tlscheck_findings *f,
                                        const struct tlscheck_host *host)
{
    struct policy_tls_facts facts = { .is_host_of_sts = host->is_sts_host };

    if (host->tlsa != NULL && dns_tlsa_outcome(host->tlsa) == DNS_TLSA_FOUND)
        facts.dane = host->tlsa_usable > 0 ? POLICY_DANE_USABLE : POLICY_DANE_UNUSABLE;
    if (f->sts.outcome != TLSCHECK_STS_FOUND)
        return facts;
    switch (f->sts.policy.mode) {
    case POLICY_MTA_STS_NONE: break;
    case POLICY_MTA_STS_TESTING: facts.sts = POLICY_STS_TESTING; break;
    case POLICY_MTA_STS_ENFORCE: facts.sts = POLICY_STS_ENFORCED; break;
    }
    return facts;
}

/* Whether it is not to be used, whatever it would say; gateway/next_hops.h. */
static bool is_barred(const struct tlscheck_host *host, const struct tlscheck_address *a,
                      const struct policy_destination *d, const struct policy_tls_demand *demand,
                      struct tlscheck_plan *p)
{
    bool is_v4 = ip_is_v4(&a->endpoint.address);

    if (d->dane != POLICY_DANE_OFF && host->tlsa != NULL &&
        dns_tlsa_outcome(host->tlsa) == DNS_TLSA_FAILED)
        say_why(p, "its TLSA records cannot be had: %s", dns_tlsa_reason(host->tlsa));
    else if (demand->obstacle != POLICY_TLS_NO_OBSTACLE)
        say_why(p, "%s", policy_tls_obstacle_text(demand->obstacle));
    else if ((d->ip == POLICY_IP_REQUIRE_V4 && !is_v4) || (d->ip == POLICY_IP_REQUIRE_V6 && is_v4))
        say_why(p, "ip_version = \"%s\"", policy_ip_text(d->ip));
    else
        return false;
    return true;
}

/* By the demanded check; *text_out is what it has to say. */
static bool is_verified(const struct tlscheck_tls *tls, enum policy_tls_check check,
                        const char **text_out)
{
    *text_out = tls->checks[check].text;
    return check == POLICY_TLS_CHECK_NONE || tls->checks[check].is_matched;
}

static const char *event_text(const struct tlscheck_address *a)
{
    if (a->event == POLICY_TLS_NOT_OFFERED)
        return a->is_masked ? "STARTTLS seems to be masked on the way" : "STARTTLS is not offered";
    return a->trouble;
}

static void plan_reached(const struct tlscheck_address *a, const struct policy_tls_demand *demand,
                         struct tlscheck_plan *p)
{
    enum policy_tls_event event = a->event;
    const char *text = event_text(a);

    if (!demand->is_wanted) {
        p->fate = TLSCHECK_CLEAR;
        return;
    }
    if (event == POLICY_TLS_ESTABLISHED && !is_verified(&a->tls, demand->check, &text))
        event = POLICY_TLS_UNVERIFIED;
    switch (policy_tls_outcome(demand, event)) {
    case POLICY_TLS_SEND_CLEAR:
    case POLICY_TLS_TRY_CLEAR: p->fate = TLSCHECK_CLEAR; return;
    case POLICY_TLS_TRY_NEXT:
        p->fate = TLSCHECK_NOT_SENT;
        say_why(p, "%s", text);
        return;
    case POLICY_TLS_SEND_ENCRYPTED: break;
    }
    if (a->steps[TLSCHECK_EHLO_AGAIN].result != TLSCHECK_OK) {
        p->fate = TLSCHECK_NOT_SENT;
        say_why(p, "%s", a->trouble);
    } else if (event == POLICY_TLS_ESTABLISHED && demand->check != POLICY_TLS_CHECK_NONE) {
        p->fate = TLSCHECK_VERIFIED;
    } else {
        p->fate = TLSCHECK_ENCRYPTED;
        say_why(p, "%s", event == POLICY_TLS_UNVERIFIED ? text : "");
    }
}

const char *tlscheck_unreached_text(const struct tlscheck_address *a)
{
    return a->is_cut_off ? "no time was left for it" : a->trouble;
}

void tlscheck_plan_address(const struct tlscheck_findings *f, size_t address,
                           const struct policy_destination *destination,
                           struct tlscheck_plan *plan_out)
{
    const struct tlscheck_address *a = &f->addresses[address];
    const struct tlscheck_host *host = &f->hosts[a->host];
    const struct policy_tls_facts facts = facts_of(f, host);
    const struct policy_tls_demand demand = policy_tls_demand_of(destination, &facts);

    ASSERT(address < f->addresses_count && a->host < f->hosts_count);
    *plan_out = (struct tlscheck_plan){ .authority = demand.authority, .address = address };
    if (is_barred(host, a, destination, &demand, plan_out)) {
        plan_out->fate = TLSCHECK_NOT_SENT;
    } else if (!a->has_event) {
        plan_out->fate = TLSCHECK_UNREACHED;
        say_why(plan_out, "%s", tlscheck_unreached_text(a));
    } else {
        plan_reached(a, &demand, plan_out);
    }
}

/* --- all addresses --------------------------------------------------------------------------- */

/* Whether the fate of one address tells more about all than that of another: the weakest that is
 * sent, then what is refused, then what cannot be reached. */
static bool goes_before(enum tlscheck_fate a, enum tlscheck_fate b)
{
    if (a >= TLSCHECK_CLEAR && b >= TLSCHECK_CLEAR)
        return a < b;
    return a > b;
}

void tlscheck_plan_all(const struct tlscheck_findings *f,
                       const struct policy_destination *destination, struct tlscheck_plan *plan_out)
{
    size_t refused = 0;

    *plan_out = (struct tlscheck_plan){ .fate = TLSCHECK_UNREACHED };
    for (size_t i = 0; i < f->addresses_count; i++) {
        struct tlscheck_plan p;

        tlscheck_plan_address(f, i, destination, &p);
        refused += p.fate == TLSCHECK_NOT_SENT;
        if (i == 0 || goes_before(p.fate, plan_out->fate))
            *plan_out = p;
    }
    plan_out->refused_count = refused;
}

const char *tlscheck_plan_text(const struct tlscheck_plan *plan)
{
    switch (plan->fate) {
    case TLSCHECK_UNREACHED: return "not sent, nobody can be reached";
    case TLSCHECK_NOT_SENT: return "not sent";
    case TLSCHECK_CLEAR: return "sent in clear text";
    case TLSCHECK_ENCRYPTED:
        return plan->why[0] != '\0' ? "sent encrypted, not verified" : "sent encrypted";
    case TLSCHECK_VERIFIED: break;
    }
    switch (plan->authority) {
    case POLICY_TLS_BY_TABLE: return "sent encrypted and verified";
    case POLICY_TLS_BY_DANE: return "sent encrypted and verified by DANE";
    case POLICY_TLS_BY_MTA_STS: return "sent encrypted and verified by MTA-STS";
    }
    UNREACHABLE();
}

const char *tlscheck_fate_word(enum tlscheck_fate fate)
{
    switch (fate) {
    case TLSCHECK_UNREACHED: return "unreached";
    case TLSCHECK_NOT_SENT: return "not-sent";
    case TLSCHECK_CLEAR: return "clear";
    case TLSCHECK_ENCRYPTED: return "encrypted";
    case TLSCHECK_VERIFIED: return "verified";
    }
    UNREACHABLE();
}

/* --- what can be proved ---------------------------------------------------------------------- */

static unsigned proof_of_names(const struct tls_peer_check *check)
{
    switch (check->input) {
    case TLS_CHECK_DOMAIN:
    case TLS_CHECK_ROUTE: return 1u << TLSCHECK_PROOF_DOMAIN;
    case TLS_CHECK_MX: return 1u << TLSCHECK_PROOF_MX;
    case TLS_CHECK_PTR: return 1u << TLSCHECK_PROOF_PTR;
    case TLS_CHECK_INPUTS_COUNT: break;
    }
    return 0;
}

/* DANE and MTA-STS are alone in charge where they are at all. */
unsigned tlscheck_proofs_of(const struct tlscheck_findings *f, size_t address)
{
    const struct tlscheck_address *a = &f->addresses[address];
    const struct tlscheck_host *host = &f->hosts[a->host];
    const struct tlscheck_tls *tls = &a->tls;
    const struct {
        enum policy_tls tls;
        const struct tls_peer_check *check;
    } strict[] = {
        { POLICY_TLS_REQUIRED_VERIFY, &tls->checks[POLICY_TLS_CHECK_VERIFY] },
        { POLICY_TLS_REQUIRED_VERIFY_HOSTED, &tls->checks[POLICY_TLS_CHECK_HOSTED] },
    };
    unsigned proofs = 0;

    if (!a->has_event || a->event != POLICY_TLS_ESTABLISHED)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(strict); i++) {
        const struct policy_destination d = guarded_setting(strict[i].tls);
        const struct policy_tls_facts facts = facts_of(f, host);
        const struct policy_tls_demand demand = policy_tls_demand_of(&d, &facts);
        struct tlscheck_plan unused;
        const char *text;

        if (is_barred(host, a, &d, &demand, &unused) || !is_verified(tls, demand.check, &text))
            continue;
        switch (demand.authority) {
        case POLICY_TLS_BY_DANE: proofs |= 1u << TLSCHECK_PROOF_DANE; break;
        case POLICY_TLS_BY_MTA_STS: proofs |= 1u << TLSCHECK_PROOF_STS; break;
        case POLICY_TLS_BY_TABLE: proofs |= proof_of_names(strict[i].check); break;
        }
    }
    return proofs;
}

const char *tlscheck_proof_word(enum tlscheck_proof proof)
{
    switch (proof) {
    case TLSCHECK_PROOF_DANE: return "dane";
    case TLSCHECK_PROOF_STS: return "mta-sts";
    case TLSCHECK_PROOF_DOMAIN: return "domain";
    case TLSCHECK_PROOF_MX: return "mx";
    case TLSCHECK_PROOF_PTR: return "ptr";
    case TLSCHECK_PROOFS_COUNT: break;
    }
    UNREACHABLE();
}

static void settle_certificates(struct tlscheck_findings *f)
{
    for (size_t i = 0; i < f->addresses_count; i++) {
        struct tlscheck_address *a = &f->addresses[i];

        if (a->has_event && a->event == POLICY_TLS_ESTABLISHED)
            a->steps[TLSCHECK_CERTIFICATE].result =
                tlscheck_proofs_of(f, i) != 0 ? TLSCHECK_OK : TLSCHECK_FAILED;
    }
}

static unsigned confidence_of(const struct tlscheck_findings *f)
{
    unsigned sum = 0;

    for (size_t i = 0; i < f->addresses_count; i++) {
        const struct tlscheck_step *steps = f->addresses[i].steps;

        if (steps[TLSCHECK_EHLO_AGAIN].result == TLSCHECK_OK)
            sum += steps[TLSCHECK_CERTIFICATE].result == TLSCHECK_OK ? 100 : 50;
    }
    return f->addresses_count > 0 ? sum / (unsigned)f->addresses_count : 0;
}

/* --- the verdict ----------------------------------------------------------------------------- */

static struct tlscheck_weighing weigh(const struct tlscheck_findings *f)
{
    const struct policy_destination open = guarded_setting(POLICY_TLS_PREFERRED);
    struct tlscheck_weighing w = { .common = ALL_PROOFS };

    tlscheck_plan_all(f, &open, &w.open);
    for (size_t i = 0; i < f->addresses_count; i++) {
        unsigned proofs = tlscheck_proofs_of(f, i);
        struct tlscheck_plan p;

        tlscheck_plan_address(f, i, &open, &p);
        w.is_unknown[i] = p.fate == TLSCHECK_UNREACHED;
        if (p.fate < TLSCHECK_CLEAR)
            continue;
        w.common &= proofs;
        w.is_taken = w.is_taken || f->addresses[i].steps[TLSCHECK_SENDER].result != TLSCHECK_FAILED;
        if (proofs == 0 && !w.has_unproved) {
            w.has_unproved = true;
            w.unproved = i;
        }
    }
    return w;
}

static enum tlscheck_class class_of(const struct tlscheck_findings *f,
                                    const struct tlscheck_weighing *w)
{
    if (f->is_discarded)
        return TLSCHECK_CLASS_DISCARDED;
    if (f->is_loop)
        return TLSCHECK_CLASS_LOOP;
    switch (f->outcome) {
    case DNS_EXCHANGE_FOUND: break;
    case DNS_EXCHANGE_NO_DOMAIN: return TLSCHECK_CLASS_NO_DOMAIN;
    case DNS_EXCHANGE_NO_MAIL: return TLSCHECK_CLASS_NO_MAIL;
    case DNS_EXCHANGE_NO_HOST: return TLSCHECK_CLASS_NO_HOST;
    case DNS_EXCHANGE_FAILED: return TLSCHECK_CLASS_DNS_FAILED;
    }
    switch (w->open.fate) {
    case TLSCHECK_UNREACHED: return TLSCHECK_CLASS_UNREACHED;
    case TLSCHECK_NOT_SENT: return TLSCHECK_CLASS_NOT_SENT;
    case TLSCHECK_CLEAR:
        return f->addresses[w->open.address].is_masked ? TLSCHECK_CLASS_STRIPPED
                                                       : TLSCHECK_CLASS_CLEAR;
    case TLSCHECK_ENCRYPTED:
    case TLSCHECK_VERIFIED: break;
    }
    return w->has_unproved ? TLSCHECK_CLASS_ENCRYPTED : TLSCHECK_CLASS_VERIFIED;
}

const char *tlscheck_class_word(enum tlscheck_class class)
{
    switch (class) {
    case TLSCHECK_CLASS_NO_DOMAIN: return "no-domain";
    case TLSCHECK_CLASS_NO_MAIL: return "no-mail";
    case TLSCHECK_CLASS_NO_HOST: return "no-host";
    case TLSCHECK_CLASS_DNS_FAILED: return "dns-failed";
    case TLSCHECK_CLASS_LOOP: return "loop";
    case TLSCHECK_CLASS_DISCARDED: return "discarded";
    case TLSCHECK_CLASS_UNREACHED: return "unreached";
    case TLSCHECK_CLASS_NOT_SENT: return "not-sent";
    case TLSCHECK_CLASS_STRIPPED: return "stripped";
    case TLSCHECK_CLASS_CLEAR: return "clear";
    case TLSCHECK_CLASS_ENCRYPTED: return "encrypted";
    case TLSCHECK_CLASS_VERIFIED: return "verified";
    }
    UNREACHABLE();
}

/* With an entry it has to send the mail, too; and one that demands the proof is as good as hosts
 * that all have it. */
static bool is_safe(const struct tlscheck_verdict *v, const struct tlscheck_weighing *w)
{
    if (!w->is_taken || !v->is_complete)
        return false;
    if (!v->has_plan)
        return v->class == TLSCHECK_CLASS_VERIFIED;
    return v->plan.fate == TLSCHECK_VERIFIED ||
           (v->plan.fate == TLSCHECK_ENCRYPTED && v->class == TLSCHECK_CLASS_VERIFIED);
}

void tlscheck_judge(struct tlscheck_findings *f, const struct policy_destination *destination,
                    struct tlscheck_verdict *verdict_out)
{
    struct tlscheck_verdict *v = verdict_out;
    struct tlscheck_weighing w = weigh(f);

    *v = (struct tlscheck_verdict){ .class = class_of(f, &w),
                                    .is_complete = !f->is_out_of_time && f->addresses_left_out == 0,
                                    .has_plan = destination != NULL && f->addresses_count > 0 };
    settle_certificates(f);
    v->confidence = confidence_of(f);
    if (v->class == TLSCHECK_CLASS_VERIFIED)
        v->proofs = w.common;
    if (v->has_plan)
        tlscheck_plan_all(f, destination, &v->plan);
    tlscheck_say_verdict(f, destination, &w, v);
    v->is_safe = is_safe(v, &w);
}
