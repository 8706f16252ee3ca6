#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/tls_check_report.h"

#define DAY_S            86400
#define DATE_MAX         16
#define RECORDS_SHOWN    8
#define DIGITS_SHOWN     32
#define PATTERNS_SHOWN   8
#define LINE_COLUMNS_MAX 96
#define WHY_COLUMNS_MAX  60

static const char *date_text(time_t wall_s, char text[static DATE_MAX])
{
    struct tm parts;

    if (wall_s == -1 || gmtime_r(&wall_s, &parts) == NULL ||
        strftime(text, DATE_MAX, "%Y-%m-%d", &parts) == 0)
        (void)snprintf(text, DATE_MAX, "unknown");
    return text;
}

/* --- one address ----------------------------------------------------------------------------- */

static void print_certificate(const struct tlscheck_findings *f,
                              const struct tls_chain_certificate *c, size_t number)
{
    char from[DATE_MAX], to[DATE_MAX];
    long long days = ((long long)c->not_after_s - f->wall_s) / DAY_S;

    printf("    %zu        subject %s\n", number, c->subject);
    printf("             issuer %s%s\n", c->issuer, c->is_self_issued ? " (itself)" : "");
    printf("             valid %s to %s", date_text(c->not_before_s, from),
           date_text(c->not_after_s, to));
    if (c->not_after_s != -1 && (int64_t)c->not_after_s < f->wall_s)
        printf(", expired");
    else if (c->not_after_s != -1)
        printf(", %lld day%s left", days, days == 1 ? "" : "s");
    printf("; %s %d bits, %s\n", c->key, c->key_bits, c->signature);
    if (c->names_count > 0)
        printf("             names %s\n", c->names);
}

static void print_ptr(const struct tlscheck_address *a)
{
    switch (a->ptr) {
    case DNS_HOST_VERIFIED: printf("    PTR      %s\n", a->ptr_name); break;
    case DNS_HOST_NONE: printf("    PTR      none\n"); break;
    case DNS_HOST_FAILED: printf("    PTR      could not be asked for\n"); break;
    case DNS_HOST_MISMATCHED:
        printf("    PTR      %s, which does not lead back to the address: does not count\n",
               a->ptr_name);
        break;
    }
}

static void print_check(const char *caption, const struct tls_peer_check *check)
{
    printf("    %-8s %s%s\n", caption, check->is_matched ? "yes: " : "no: ", check->text);
}

static void print_tls(const struct tlscheck_report *r, const struct tlscheck_address *a)
{
    const struct tlscheck_tls *tls = &a->tls;

    printf("    TLS      %s, %s (%d bits)%s%s%s\n", tls->protocol, tls->cipher, tls->cipher_bits,
           tls->group[0] != '\0' ? ", " : "", tls->group,
           a->is_without_post_quantum ? "; it stumbles over a post-quantum key share" : "");
    if (tls->is_trusted)
        printf("    chain    trusted\n");
    else
        printf("    chain    not trusted: %s (certificate %d)\n", tls->problem, tls->problem_depth);
    for (size_t i = 0; i < tls->chain_shown; i++)
        print_certificate(r->findings, &tls->chain[i], i);
    if (tls->chain_count > tls->chain_shown)
        printf("             and %zu more\n", tls->chain_count - tls->chain_shown);
    print_ptr(a);
    print_check("Verify", &tls->checks[POLICY_TLS_CHECK_VERIFY]);
    print_check("Hosted", &tls->checks[POLICY_TLS_CHECK_HOSTED]);
}

static void print_records(const struct dns_tlsa *t)
{
    size_t count = dns_tlsa_records_count(t);

    for (size_t i = 0; i < count && i < RECORDS_SHOWN; i++) {
        const struct dns_association a = dns_tlsa_record(t, i);
        size_t shown = a.data.len < DIGITS_SHOWN / 2 ? a.data.len : DIGITS_SHOWN / 2;

        printf("             %u %u %u ", a.usage, a.selector, a.matching);
        for (size_t k = 0; k < shown; k++)
            printf("%02x", (unsigned char)a.data.data[k]);
        printf("%s\n", shown < a.data.len ? "..." : "");
    }
    if (count > RECORDS_SHOWN)
        printf("             and %zu more\n", count - RECORDS_SHOWN);
}

static void print_dane(const struct tlscheck_host *host, const struct tlscheck_address *a)
{
    const struct dns_tlsa *t = host->tlsa;

    if (t == NULL) {
        printf("    DANE     none: %s\n", host->no_tlsa != NULL ? host->no_tlsa : "not asked for");
        return;
    }
    switch (dns_tlsa_outcome(t)) {
    case DNS_TLSA_NONE:
        printf("    DANE     none: no TLSA records at _%u._tcp.%s%s\n", host->port, host->name,
               dns_tlsa_security(t) == DNS_SECURE ? "" : " that are signed");
        return;
    case DNS_TLSA_FAILED:
        printf("    DANE     failed: %s; the host must not be used\n", dns_tlsa_reason(t));
        return;
    case DNS_TLSA_FOUND: break;
    }
    if (host->tlsa_usable == 0)
        printf("    DANE     %zu records at %s, none of them usable: TLS is mandatory, whoever "
               "answers\n",
               dns_tlsa_records_count(t), dns_tlsa_base(t));
    else if (a->tls.checks[POLICY_TLS_CHECK_DANE].text[0] != '\0')
        printf("    DANE     %s: %s\n",
               a->tls.checks[POLICY_TLS_CHECK_DANE].is_matched ? "yes" : "no",
               a->tls.checks[POLICY_TLS_CHECK_DANE].text);
    else
        printf("    DANE     %zu usable records, and no TLS to compare them with\n",
               host->tlsa_usable);
    print_records(t);
}

static void print_address(const struct tlscheck_report *r, const struct tlscheck_address *a)
{
    const struct tlscheck_findings *f = r->findings;
    const struct tlscheck_host *host = &f->hosts[a->host];
    char end[IP_ENDPOINT_MAX];

    printf("\n%s%s%s%s\n", host->name, host->name[0] != '\0' ? " " : "",
           ip_endpoint_format(&a->endpoint, end),
           host->is_alias ? " (an alias, which RFC 2181 10.3 forbids)" : "");
    if (a->trouble[0] != '\0')
        printf("    trouble  %s\n", a->trouble);
    if (a->has_event && a->event == POLICY_TLS_ESTABLISHED)
        print_tls(r, a);
    if (a->has_event)
        print_dane(host, a);
    if (a->has_event && f->sts.outcome == TLSCHECK_STS_FOUND)
        printf("    MTA-STS  %s%s%s\n", host->is_sts_host ? "listed" : "not listed",
               a->tls.checks[POLICY_TLS_CHECK_MTA_STS].text[0] != '\0' ? "; " : "",
               a->tls.checks[POLICY_TLS_CHECK_MTA_STS].text);
    if (a->sender[0] != '\0')
        printf("    sender   %s\n", a->sender);
}

/* --- the domain ------------------------------------------------------------------------------ */

static void print_patterns(const struct policy_mta_sts *policy)
{
    struct slice rest = policy->text, pattern;
    size_t shown = 0;

    while (shown < PATTERNS_SHOWN && policy_mta_sts_pattern_next(&rest, &pattern)) {
        printf("%s%.*s", shown == 0 ? ", mx " : ", ", SLICE_ARGS(pattern));
        shown++;
    }
    if (policy->mx_count > shown)
        printf(" and %zu more", policy->mx_count - shown);
}

static void print_sts(const struct tlscheck_findings *f)
{
    const struct tlscheck_sts_found *sts = &f->sts;

    switch (sts->outcome) {
    case TLSCHECK_STS_NOT_ASKED: return;
    case TLSCHECK_STS_NONE: printf("MTA-STS  none: %s\n", sts->reason); return;
    case TLSCHECK_STS_FAILED:
        printf("MTA-STS  none that counts%s%s: %s\n", sts->id[0] != '\0' ? ", record id " : "",
               sts->id, sts->reason);
        return;
    case TLSCHECK_STS_FOUND: break;
    }
    printf("MTA-STS  record id %s, mode %s, max_age %u s", sts->id,
           policy_mta_sts_mode_text(sts->policy.mode), sts->policy.max_age_s);
    print_patterns(&sts->policy);
    printf("; fetched in %u ms\n", sts->ms);
}

static const char *security_text(enum dns_security security)
{
    switch (security) {
    case DNS_INSECURE: return "not signed";
    case DNS_SECURE: return "signed and validated (DNSSEC)";
    case DNS_BOGUS: return "signed, and the signatures are wrong";
    }
    UNREACHABLE();
}

static void print_domain(const struct tlscheck_report *r)
{
    const struct tlscheck_findings *f = r->findings;

    if (f->is_route || f->is_discarded)
        printf("hosts    those of the route of %.*s in %s\n", SLICE_ARGS(f->domain), r->config);
    else if (f->target.is_host)
        printf("hosts    the one that was named\n");
    else if (f->has_mx && f->outcome != DNS_EXCHANGE_NO_DOMAIN)
        printf("MX       %s\n", security_text(f->mx_security));
    else if (f->outcome == DNS_EXCHANGE_FOUND)
        printf("MX       none: the domain is its own mail server\n");
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].outcome != DNS_FOUND && !f->hosts[i].is_unused)
            printf("         %s has no address that can be used%s%s\n", f->hosts[i].name,
                   f->hosts[i].reason[0] != '\0' ? ": " : "", f->hosts[i].reason);
    print_sts(f);
    if (!f->has_authorities)
        printf("CA list  none: nothing is trusted (tls: ca_file)\n");
    if (f->is_routed_elsewhere)
        printf(
            "route    the configuration has one for this domain; without --mx it is looked at\n");
}

/* --- what is done with mail ------------------------------------------------------------------ */

static void print_plan(const char *caption, const struct tlscheck_plan *p)
{
    printf("    %-23s %s", caption, tlscheck_plan_text(p));
    if (p->fate >= TLSCHECK_CLEAR && p->refused_count > 0)
        printf(", to some of the hosts only");
    if (p->why[0] != '\0')
        printf(" (%.*s%s)", WHY_COLUMNS_MAX, p->why, strlen(p->why) > WHY_COLUMNS_MAX ? "..." : "");
    putchar('\n');
}

static void print_plans(const struct tlscheck_report *r)
{
    printf("\nMail under each setting of tls, when neither DANE nor MTA-STS has a say:\n");
    for (unsigned i = 0; i <= POLICY_TLS_REQUIRED_VERIFY_HOSTED; i++) {
        const struct policy_destination d = tlscheck_setting((enum policy_tls)i);
        struct tlscheck_plan p;

        tlscheck_plan_all(r->findings, &d, &p);
        print_plan(policy_tls_text(d.tls), &p);
    }
    if (!r->verdict->has_plan)
        return;
    printf("By the entry %.*s of %s:\n", SLICE_ARGS(r->destination->name), r->config);
    print_plan(policy_tls_text(r->destination->tls), &r->verdict->plan);
}

/* In lines, broken between words. */
static void print_wrapped(const char *text)
{
    struct slice rest = slice_from(text);
    size_t column = 0;

    while (rest.len > 0) {
        struct slice word = slice_cut(&rest, ' ');

        if (column > 0 && column + 1 + word.len > LINE_COLUMNS_MAX) {
            putchar('\n');
            column = 0;
        }
        printf("%s%.*s", column > 0 ? " " : "", SLICE_ARGS(word));
        column += word.len + (column > 0 ? 1 : 0);
    }
    putchar('\n');
}

void tlscheck_print_details(const struct tlscheck_report *r)
{
    const struct tlscheck_findings *f = r->findings;

    for (size_t i = 0; i < f->addresses_count; i++)
        print_address(r, &f->addresses[i]);
    putchar('\n');
    print_domain(r);
    if (f->addresses_count > 0)
        print_plans(r);
    putchar('\n');
    print_wrapped(r->verdict->text);
}
