#include <stdio.h>

#include "base/json.h"
#include "cli/tls_check_report.h"

/* 64 addresses with 16 certificates of 2 KiB each, every byte of them escaped. */
#define JSON_BYTES_MAX (32u << 20)

#define DATA_BYTES_SHOWN 64 /* a SHA-512 */

static void member_bool(struct json_writer *w, const char *name, bool value)
{
    json_name(w, name);
    json_bool(w, value);
}

static void member_text(struct json_writer *w, const char *name, const char *text)
{
    json_member_text(w, name, slice_from(text));
}

static void open_member(struct json_writer *w, const char *name, bool is_array)
{
    json_name(w, name);
    if (is_array)
        json_open_array(w);
    else
        json_open_object(w);
}

/* --- one address ----------------------------------------------------------------------------- */

static const char *const stage_words[TLSCHECK_STAGES_COUNT] = {
    [TLSCHECK_CONNECT] = "connect",
    [TLSCHECK_GREETING] = "greeting",
    [TLSCHECK_EHLO] = "ehlo",
    [TLSCHECK_STARTTLS] = "starttls",
    [TLSCHECK_HANDSHAKE] = "handshake",
    [TLSCHECK_CERTIFICATE] = "certificate",
    [TLSCHECK_EHLO_AGAIN] = "ehlo_again",
    [TLSCHECK_SENDER] = "sender",
};

static const char *result_word(enum tlscheck_result result)
{
    switch (result) {
    case TLSCHECK_NOT_TRIED: return "not-tried";
    case TLSCHECK_OK: return "ok";
    case TLSCHECK_FAILED: return "failed";
    }
    UNREACHABLE();
}

static const char *event_word(enum policy_tls_event event)
{
    switch (event) {
    case POLICY_TLS_NOT_OFFERED: return "not-offered";
    case POLICY_TLS_REFUSED: return "refused";
    case POLICY_TLS_FAILED_BEFORE:
    case POLICY_TLS_HANDSHAKE_FAILED: return "handshake-failed";
    case POLICY_TLS_UNVERIFIED:
    case POLICY_TLS_ESTABLISHED: return "established";
    }
    UNREACHABLE();
}

static const char *ptr_word(enum dns_host_outcome outcome)
{
    switch (outcome) {
    case DNS_HOST_VERIFIED: return "verified";
    case DNS_HOST_NONE: return "none";
    case DNS_HOST_FAILED: return "failed";
    case DNS_HOST_MISMATCHED: return "mismatched";
    }
    UNREACHABLE();
}

static void write_stages(struct json_writer *w, const struct tlscheck_address *a)
{
    open_member(w, "stages", false);
    for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++) {
        open_member(w, stage_words[s], false);
        member_text(w, "result", result_word(a->steps[s].result));
        if (a->steps[s].has_time)
            json_member_number(w, "ms", a->steps[s].ms);
        json_close(w);
    }
    json_close(w);
}

static void write_time(struct json_writer *w, const char *name, time_t wall_s)
{
    char text[32] = "";
    struct tm parts;

    if (wall_s != -1 && gmtime_r(&wall_s, &parts) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    member_text(w, name, text);
}

static void write_certificate(struct json_writer *w, const struct tlscheck_findings *f,
                              const struct tls_chain_certificate *c)
{
    bool is_expired = c->not_after_s != -1 && (int64_t)c->not_after_s < f->wall_s;

    json_open_object(w);
    member_text(w, "subject", c->subject);
    member_text(w, "issuer", c->issuer);
    member_text(w, "names", c->names);
    write_time(w, "not_before", c->not_before_s);
    write_time(w, "not_after", c->not_after_s);
    member_bool(w, "is_expired", is_expired);
    if (c->not_after_s != -1 && !is_expired)
        json_member_number(w, "days_left", (uint64_t)((int64_t)c->not_after_s - f->wall_s) / 86400);
    member_text(w, "key", c->key);
    json_member_number(w, "key_bits", (uint64_t)c->key_bits);
    member_text(w, "signature", c->signature);
    member_text(w, "sha256", c->print);
    member_bool(w, "is_self_issued", c->is_self_issued);
    json_close(w);
}

static void write_check(struct json_writer *w, const char *name, const struct tls_peer_check *check)
{
    open_member(w, name, false);
    member_bool(w, "is_matched", check->is_matched);
    if (check->is_matched) {
        member_text(w, "wanted", check->wanted);
        member_text(w, "wanted_as", tls_check_input_text(check->input));
        member_text(w, "certificate_name", check->name);
    }
    member_text(w, "text", check->text);
    json_close(w);
}

static void write_tls(struct json_writer *w, const struct tlscheck_findings *f,
                      const struct tlscheck_address *a)
{
    const struct tlscheck_tls *tls = &a->tls;

    open_member(w, "tls", false);
    member_text(w, "protocol", tls->protocol);
    member_text(w, "cipher", tls->cipher);
    json_member_number(w, "cipher_bits", (uint64_t)tls->cipher_bits);
    member_text(w, "group", tls->group);
    member_bool(w, "stumbles_over_post_quantum", a->is_without_post_quantum);
    member_bool(w, "is_trusted", tls->is_trusted);
    member_text(w, "problem", tls->problem);
    if (!tls->is_trusted)
        json_member_number(w, "problem_depth", (uint64_t)tls->problem_depth);
    json_member_number(w, "chain_count", tls->chain_count);
    open_member(w, "chain", true);
    for (size_t i = 0; i < tls->chain_shown; i++)
        write_certificate(w, f, &tls->chain[i]);
    json_close(w);
    write_check(w, "verify", &tls->checks[POLICY_TLS_CHECK_VERIFY]);
    write_check(w, "hosted", &tls->checks[POLICY_TLS_CHECK_HOSTED]);
    write_check(w, "mta_sts", &tls->checks[POLICY_TLS_CHECK_MTA_STS]);
    json_close(w);
}

static void write_plan(struct json_writer *w, const char *name, const struct tlscheck_plan *p)
{
    open_member(w, name, false);
    member_text(w, "fate", tlscheck_fate_word(p->fate));
    member_text(w, "authority", policy_tls_authority_text(p->authority));
    member_text(w, "text", tlscheck_plan_text(p));
    member_text(w, "why", p->why);
    json_close(w);
}

/* For one address, or (SIZE_MAX) for all. */
static void write_plans(struct json_writer *w, const struct tlscheck_report *r, size_t address)
{
    struct tlscheck_plan p;

    open_member(w, "settings", false);
    for (unsigned i = 0; i <= POLICY_TLS_REQUIRED_VERIFY_HOSTED; i++) {
        const struct policy_destination d = tlscheck_setting((enum policy_tls)i);

        if (address == SIZE_MAX)
            tlscheck_plan_all(r->findings, &d, &p);
        else
            tlscheck_plan_address(r->findings, address, &d, &p);
        write_plan(w, policy_tls_text(d.tls), &p);
    }
    json_close(w);
    if (r->destination == NULL)
        return;
    if (address == SIZE_MAX)
        tlscheck_plan_all(r->findings, r->destination, &p);
    else
        tlscheck_plan_address(r->findings, address, r->destination, &p);
    write_plan(w, "entry", &p);
}

static void write_address(struct json_writer *w, const struct tlscheck_report *r, size_t address)
{
    const struct tlscheck_address *a = &r->findings->addresses[address];
    char ip[IP_TEXT_MAX];

    json_open_object(w);
    member_text(w, "ip", ip_format(&a->endpoint.address, ip));
    json_member_number(w, "port", a->endpoint.port);
    write_stages(w, a);
    member_text(w, "trouble", a->trouble);
    member_bool(w, "is_cut_off", a->is_cut_off);
    member_bool(w, "starttls_masked", a->is_masked);
    member_text(w, "starttls", a->has_event ? event_word(a->event) : "");
    member_text(w, "sender", a->sender);
    open_member(w, "ptr", false);
    member_text(w, "outcome", ptr_word(a->ptr));
    member_text(w, "name", a->ptr_name);
    json_close(w);
    if (a->has_event && a->event == POLICY_TLS_ESTABLISHED)
        write_tls(w, r->findings, a);
    open_member(w, "dane", false);
    member_bool(w, "is_judged", a->tls.is_dane_judged);
    member_bool(w, "is_matched", a->tls.checks[POLICY_TLS_CHECK_DANE].is_matched);
    member_text(w, "text", a->tls.checks[POLICY_TLS_CHECK_DANE].text);
    json_close(w);
    write_plans(w, r, address);
    json_close(w);
}

/* --- hosts and the domain -------------------------------------------------------------------- */

/* Of whole certificates the beginning. */
static const char *data_text(struct slice data, char text[static 2 * DATA_BYTES_SHOWN + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t shown = data.len < DATA_BYTES_SHOWN ? data.len : DATA_BYTES_SHOWN;

    for (size_t i = 0; i < shown; i++) {
        text[2 * i] = digits[(unsigned char)data.data[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)data.data[i] & 15];
    }
    text[2 * shown] = '\0';
    return text;
}

static void write_record(struct json_writer *w, const struct dns_association *a)
{
    char text[2 * DATA_BYTES_SHOWN + 1];

    json_open_object(w);
    json_member_number(w, "usage", a->usage);
    json_member_number(w, "selector", a->selector);
    json_member_number(w, "matching", a->matching);
    json_member_number(w, "bytes", a->data.len);
    member_text(w, "data", data_text(a->data, text));
    json_close(w);
}

static const char *tlsa_word(const struct tlscheck_host *host)
{
    if (host->tlsa == NULL)
        return "not-asked";
    switch (dns_tlsa_outcome(host->tlsa)) {
    case DNS_TLSA_FOUND: return host->tlsa_usable > 0 ? "usable" : "unusable";
    case DNS_TLSA_NONE: return "none";
    case DNS_TLSA_FAILED: return "failed";
    }
    UNREACHABLE();
}

static void write_tlsa(struct json_writer *w, const struct tlscheck_host *host)
{
    open_member(w, "tlsa", false);
    member_text(w, "outcome", tlsa_word(host));
    if (host->tlsa == NULL) {
        member_text(w, "reason", host->no_tlsa != NULL ? host->no_tlsa : "");
    } else {
        member_text(w, "reason", dns_tlsa_reason(host->tlsa));
        member_bool(w, "is_secure", dns_tlsa_security(host->tlsa) == DNS_SECURE);
        member_text(w, "base", dns_tlsa_base(host->tlsa));
        json_member_number(w, "usable", host->tlsa_usable);
        open_member(w, "records", true);
        for (size_t i = 0; i < dns_tlsa_records_count(host->tlsa); i++) {
            const struct dns_association a = dns_tlsa_record(host->tlsa, i);

            write_record(w, &a);
        }
        json_close(w);
    }
    json_close(w);
}

static void write_host(struct json_writer *w, const struct tlscheck_report *r, size_t index)
{
    const struct tlscheck_findings *f = r->findings;
    const struct tlscheck_host *host = &f->hosts[index];

    json_open_object(w);
    member_text(w, "name", host->name);
    json_member_number(w, f->is_route ? "priority" : "preference",
                       f->is_route ? host->priority : host->preference);
    member_bool(w, "is_alias", host->is_alias);
    member_bool(w, "is_ourselves", host->is_ourselves);
    member_bool(w, "is_unused", host->is_unused);
    member_bool(w, "has_address", host->outcome == DNS_FOUND);
    member_text(w, "reason", host->reason);
    if (f->sts.outcome == TLSCHECK_STS_FOUND)
        member_bool(w, "is_in_mta_sts", host->is_sts_host);
    write_tlsa(w, host);
    open_member(w, "addresses", true);
    for (size_t i = 0; i < f->addresses_count; i++)
        if (f->addresses[i].host == index)
            write_address(w, r, i);
    json_close(w);
    json_close(w);
}

static const char *sts_word(enum tlscheck_sts_outcome outcome)
{
    switch (outcome) {
    case TLSCHECK_STS_NOT_ASKED: return "not-asked";
    case TLSCHECK_STS_NONE: return "none";
    case TLSCHECK_STS_FAILED: return "failed";
    case TLSCHECK_STS_FOUND: return "found";
    }
    UNREACHABLE();
}

static void write_sts(struct json_writer *w, const struct tlscheck_sts_found *sts)
{
    struct slice rest = sts->policy.text, pattern;

    open_member(w, "mta_sts", false);
    member_text(w, "outcome", sts_word(sts->outcome));
    member_text(w, "id", sts->id);
    member_text(w, "reason", sts->reason);
    if (sts->outcome == TLSCHECK_STS_FOUND) {
        member_text(w, "mode", policy_mta_sts_mode_text(sts->policy.mode));
        json_member_number(w, "max_age_s", sts->policy.max_age_s);
        json_member_number(w, "ms", sts->ms);
        open_member(w, "mx", true);
        while (policy_mta_sts_pattern_next(&rest, &pattern))
            json_text(w, pattern);
        json_close(w);
    }
    json_close(w);
}

static const char *outcome_word(enum dns_exchange_outcome outcome)
{
    switch (outcome) {
    case DNS_EXCHANGE_FOUND: return "found";
    case DNS_EXCHANGE_NO_DOMAIN: return "no-domain";
    case DNS_EXCHANGE_NO_MAIL: return "no-mail";
    case DNS_EXCHANGE_NO_HOST: return "no-host";
    case DNS_EXCHANGE_FAILED: return "failed";
    }
    UNREACHABLE();
}

static const char *security_word(enum dns_security security)
{
    switch (security) {
    case DNS_INSECURE: return "insecure";
    case DNS_SECURE: return "secure";
    case DNS_BOGUS: return "bogus";
    }
    UNREACHABLE();
}

static void write_verdict(struct json_writer *w, const struct tlscheck_verdict *v)
{
    open_member(w, "verdict", false);
    member_text(w, "class", tlscheck_class_word(v->class));
    open_member(w, "proofs", true);
    for (unsigned i = 0; i < TLSCHECK_PROOFS_COUNT; i++)
        if ((v->proofs >> i & 1) != 0)
            json_text(w, slice_from(tlscheck_proof_word((enum tlscheck_proof)i)));
    json_close(w);
    member_bool(w, "is_complete", v->is_complete);
    member_bool(w, "is_safe", v->is_safe);
    json_member_number(w, "confidence", v->confidence);
    member_text(w, "text", v->text);
    json_close(w);
}

static void write_all(struct json_writer *w, const struct tlscheck_report *r)
{
    const struct tlscheck_findings *f = r->findings;

    json_open_object(w);
    member_text(w, "target", f->target.text);
    json_member_text(w, "domain", f->domain);
    member_text(w, "config", r->config != NULL ? r->config : "");
    json_member_text(w, "entry_name",
                     r->destination != NULL ? r->destination->name : (struct slice){ 0 });
    write_time(w, "time", (time_t)f->wall_s);
    json_member_number(w, "ms", f->ms);
    member_bool(w, "is_out_of_time", f->is_out_of_time);
    member_bool(w, "is_route", f->is_route);
    member_bool(w, "is_routed_elsewhere", f->is_routed_elsewhere);
    member_text(w, "dns", outcome_word(f->outcome));
    member_text(w, "reason", f->reason);
    if (f->has_mx)
        member_text(w, "mx_security", security_word(f->mx_security));
    write_sts(w, &f->sts);
    open_member(w, "hosts", true);
    for (size_t i = 0; i < f->hosts_count; i++)
        write_host(w, r, i);
    json_close(w);
    json_member_number(w, "addresses_left_out", f->addresses_left_out);
    if (f->addresses_count > 0)
        write_plans(w, r, SIZE_MAX);
    write_verdict(w, r->verdict);
    json_close(w);
}

enum status tlscheck_print_json(const struct tlscheck_report *r)
{
    struct buffer out;
    struct json_writer w;
    enum status status;

    buffer_init(&out, JSON_BYTES_MAX);
    json_init(&w, &out);
    write_all(&w, r);
    status = json_finish(&w);
    if (status == STATUS_OK) {
        fwrite(buffer_contents(&out).data, 1, buffer_len(&out), stdout);
        putchar('\n');
    }
    buffer_finish(&out);
    return status;
}
