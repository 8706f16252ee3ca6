#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/tls_check_report.h"

#define RECORDS_SHOWN    8
#define DIGITS_SHOWN     32
#define PATTERNS_SHOWN   8
#define LINE_COLUMNS_MAX 80
#define LINE_BYTES_MAX   4096
#define WHY_COLUMNS_MAX  60
#define OF_ADDRESS       4 /* columns in front of a caption */
#define OF_DOMAIN        0
#define CAPTION_COLUMNS  9
#define SETTING_COLUMNS  24

/* --- lines ----------------------------------------------------------------------------------- */

/* Broken between words; the first line goes on at the column, the others begin there. */
static void print_wrapped(const char *text, size_t begin)
{
    struct slice rest = slice_from(text);
    size_t column = begin;

    while (rest.len > 0) {
        struct slice word = slice_cut(&rest, ' ');

        if (column > begin && column + 1 + word.len > LINE_COLUMNS_MAX) {
            printf("\n%*s", (int)begin, "");
            column = begin;
        }
        printf("%s%.*s", column > begin ? " " : "", SLICE_ARGS(word));
        column += word.len + (column > begin ? 1 : 0);
    }
    putchar('\n');
}

/* "    CAPTION  what is told of it" */
static void tell(int indent, const char *caption, const char *format, ...) PRINTF_LIKE(3, 4);
static void tell(int indent, const char *caption, const char *format, ...)
{
    char text[LINE_BYTES_MAX];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    printf("%*s%-*s", indent, "", CAPTION_COLUMNS, caption);
    print_wrapped(text, (size_t)indent + CAPTION_COLUMNS);
}

/* --- one address ----------------------------------------------------------------------------- */

static void print_certificate(const struct tlscheck_findings *f,
                              const struct tls_chain_certificate *c, size_t number)
{
    char from[TLSCHECK_DATE_MAX], to[TLSCHECK_DATE_MAX], caption[24], left[32] = "";
    long long days = ((long long)c->not_after_s - f->wall_s) / TLSCHECK_DAY_S;
    const char *note = "";

    if (c->not_after_s != -1 && (int64_t)c->not_after_s < f->wall_s)
        note = ", expired";
    else if (c->not_before_s != -1 && (int64_t)c->not_before_s > f->wall_s)
        note = ", not yet";
    else if (c->not_after_s != -1)
        (void)snprintf(left, sizeof(left), ", %lld day%s left", days, days == 1 ? "" : "s");
    (void)snprintf(caption, sizeof(caption), "%zu", number);
    tell(OF_ADDRESS, caption, "subject %s", c->subject);
    tell(OF_ADDRESS, "", "issuer %s%s", c->issuer, c->is_self_issued ? " (itself)" : "");
    tell(OF_ADDRESS, "", "valid %s to %s%s%s; %s %d bits, %s",
         tlscheck_date_text(c->not_before_s, from), tlscheck_date_text(c->not_after_s, to), note,
         left, c->key, c->key_bits, c->signature);
    if (c->names_count > 0)
        tell(OF_ADDRESS, "", "names %s", c->names);
}

static void print_ptr(const struct tlscheck_address *a)
{
    switch (a->ptr) {
    case DNS_HOST_VERIFIED: tell(OF_ADDRESS, "PTR", "%s", a->ptr_name); break;
    case DNS_HOST_NONE: tell(OF_ADDRESS, "PTR", "none"); break;
    case DNS_HOST_FAILED: tell(OF_ADDRESS, "PTR", "could not be asked for"); break;
    case DNS_HOST_MISMATCHED:
        tell(OF_ADDRESS, "PTR", "%s, which does not lead back to the address: does not count",
             a->ptr_name);
        break;
    }
}

static void print_check(const char *caption, const struct tls_peer_check *check)
{
    tell(OF_ADDRESS, caption, "%s%s", check->is_matched ? "yes: " : "no: ", check->text);
}

/* An address further up that has shown the same certificates; NULL: none has. */
static const struct tlscheck_address *find_same_chain(const struct tlscheck_findings *f,
                                                      const struct tlscheck_address *a)
{
    for (const struct tlscheck_address *b = f->addresses; b < a; b++) {
        size_t same = 0;

        if (b->tls.chain_shown != a->tls.chain_shown || b->tls.chain_count != a->tls.chain_count)
            continue;
        while (same < a->tls.chain_shown &&
               strcmp(a->tls.chain[same].print, b->tls.chain[same].print) == 0)
            same++;
        if (same > 0 && same == a->tls.chain_shown)
            return b;
    }
    return NULL;
}

static void print_chain(const struct tlscheck_findings *f, const struct tlscheck_address *a)
{
    const struct tlscheck_address *same = find_same_chain(f, a);
    const struct tlscheck_tls *tls = &a->tls;
    char above[IP_ENDPOINT_MAX + 32] = "", end[IP_ENDPOINT_MAX];

    if (same != NULL)
        (void)snprintf(above, sizeof(above), "; the chain of %s above",
                       ip_endpoint_format(&same->endpoint, end));
    if (tls->is_trusted)
        tell(OF_ADDRESS, "chain", "trusted%s", above);
    else
        tell(OF_ADDRESS, "chain", "not trusted: %s (certificate %d)%s", tls->problem,
             tls->problem_depth, above);
    for (size_t i = 0; i < tls->chain_shown && same == NULL; i++)
        print_certificate(f, &tls->chain[i], i);
    if (tls->chain_count > tls->chain_shown && same == NULL)
        tell(OF_ADDRESS, "", "and %zu more", tls->chain_count - tls->chain_shown);
}

static void print_tls(const struct tlscheck_report *r, const struct tlscheck_address *a)
{
    const struct tlscheck_tls *tls = &a->tls;

    tell(OF_ADDRESS, "TLS", "%s, %s (%d bits)%s%s%s", tls->protocol, tls->cipher, tls->cipher_bits,
         tls->group[0] != '\0' ? ", " : "", tls->group,
         a->is_without_post_quantum ? "; it stumbles over a post-quantum key share" : "");
    print_chain(r->findings, a);
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
        tell(OF_ADDRESS, "DANE", "none: %s",
             host->no_tlsa != NULL ? host->no_tlsa : "not asked for");
        return;
    }
    switch (dns_tlsa_outcome(t)) {
    case DNS_TLSA_NONE:
        tell(OF_ADDRESS, "DANE", "none: no TLSA records at _%u._tcp.%s%s", host->port, host->name,
             dns_tlsa_security(t) == DNS_SECURE ? "" : " that are signed");
        return;
    case DNS_TLSA_FAILED:
        tell(OF_ADDRESS, "DANE", "failed: %s; the host must not be used", dns_tlsa_reason(t));
        return;
    case DNS_TLSA_FOUND: break;
    }
    if (host->tlsa_usable == 0)
        tell(OF_ADDRESS, "DANE",
             "%zu records at %s, none of them usable: TLS is mandatory, whoever answers",
             dns_tlsa_records_count(t), dns_tlsa_base(t));
    else if (a->tls.checks[POLICY_TLS_CHECK_DANE].text[0] != '\0')
        tell(OF_ADDRESS, "DANE", "%s: %s",
             a->tls.checks[POLICY_TLS_CHECK_DANE].is_matched ? "yes" : "no",
             a->tls.checks[POLICY_TLS_CHECK_DANE].text);
    else
        tell(OF_ADDRESS, "DANE", "%zu usable records, and no TLS to compare them with",
             host->tlsa_usable);
    print_records(t);
}

/* What becomes of it alone, under each setting. */
static void print_settings(const struct tlscheck_report *r, size_t address)
{
    char text[LINE_BYTES_MAX] = "";
    size_t used = 0;

    for (unsigned i = 0; i <= POLICY_TLS_REQUIRED_VERIFY_HOSTED; i++) {
        const struct policy_destination d = tlscheck_setting((enum policy_tls)i);
        struct tlscheck_plan p;

        tlscheck_plan_address(r->findings, address, &d, &p);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s: %s", i > 0 ? ", " : "",
                                 policy_tls_text(d.tls), tlscheck_fate_word(p.fate));
        ASSERT(used < sizeof(text));
    }
    tell(OF_ADDRESS, "mail", "%s", text);
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
        tell(OF_ADDRESS, "trouble", "%s", a->trouble);
    if (a->has_event && a->event == POLICY_TLS_ESTABLISHED)
        print_tls(r, a);
    if (a->has_event)
        print_dane(host, a);
    if (a->has_event && f->sts.outcome == TLSCHECK_STS_FOUND)
        tell(OF_ADDRESS, "MTA-STS", "%s%s%s", host->is_sts_host ? "listed" : "not listed",
             a->tls.checks[POLICY_TLS_CHECK_MTA_STS].text[0] != '\0' ? "; " : "",
             a->tls.checks[POLICY_TLS_CHECK_MTA_STS].text);
    if (a->sender[0] != '\0')
        tell(OF_ADDRESS, "sender", "%s", a->sender);
    if (a->has_event && f->addresses_count > 1)
        print_settings(r, (size_t)(a - f->addresses));
}

/* --- the domain ------------------------------------------------------------------------------ */

static const char *patterns_text(const struct policy_mta_sts *policy,
                                 char text[static LINE_BYTES_MAX])
{
    struct slice rest = policy->text, pattern;
    size_t shown = 0, used = 0;

    text[0] = '\0';
    while (shown < PATTERNS_SHOWN && policy_mta_sts_pattern_next(&rest, &pattern)) {
        used += (size_t)snprintf(text + used, LINE_BYTES_MAX - used, "%s%.*s",
                                 shown == 0 ? ", mx " : ", ", SLICE_ARGS(pattern));
        ASSERT(used < LINE_BYTES_MAX);
        shown++;
    }
    if (policy->mx_count > shown)
        (void)snprintf(text + used, LINE_BYTES_MAX - used, " and %zu more",
                       policy->mx_count - shown);
    return text;
}

static void print_sts(const struct tlscheck_findings *f)
{
    const struct tlscheck_sts_found *sts = &f->sts;
    char patterns[LINE_BYTES_MAX];

    switch (sts->outcome) {
    case TLSCHECK_STS_NOT_ASKED: return;
    case TLSCHECK_STS_NONE: tell(OF_DOMAIN, "MTA-STS", "none: %s", sts->reason); return;
    case TLSCHECK_STS_FAILED:
        tell(OF_DOMAIN, "MTA-STS", "none that counts%s%s: %s",
             sts->id[0] != '\0' ? ", record id " : "", sts->id, sts->reason);
        return;
    case TLSCHECK_STS_FOUND: break;
    }
    tell(OF_DOMAIN, "MTA-STS", "record id %s, mode %s, max_age %u s%s; fetched in %u ms", sts->id,
         policy_mta_sts_mode_text(sts->policy.mode), sts->policy.max_age_s,
         patterns_text(&sts->policy, patterns), sts->ms);
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
        tell(OF_DOMAIN, "hosts", "those of the route of %.*s in %s", SLICE_ARGS(f->domain),
             r->config);
    else if (f->target.is_host)
        tell(OF_DOMAIN, "hosts", "the one that was named");
    else if (f->has_mx && f->outcome != DNS_EXCHANGE_NO_DOMAIN)
        tell(OF_DOMAIN, "MX", "%s", security_text(f->mx_security));
    else if (f->outcome == DNS_EXCHANGE_FOUND)
        tell(OF_DOMAIN, "MX", "none: the domain is its own mail server");
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].outcome != DNS_FOUND && !f->hosts[i].is_unused)
            tell(OF_DOMAIN, "", "%s has no address that can be used%s%s", f->hosts[i].name,
                 f->hosts[i].reason[0] != '\0' ? ": " : "", f->hosts[i].reason);
    print_sts(f);
    if (!f->has_authorities)
        tell(OF_DOMAIN, "CA list", "none: nothing is trusted (tls: ca_file)");
    if (f->is_routed_elsewhere)
        tell(OF_DOMAIN, "route",
             "the configuration has one for this domain; without --mx it is looked at");
}

/* --- what is done with mail ------------------------------------------------------------------ */

static void print_plan(const char *caption, const struct tlscheck_plan *p)
{
    bool is_long = strlen(p->why) > WHY_COLUMNS_MAX;
    char text[LINE_BYTES_MAX], why[WHY_COLUMNS_MAX + 8] = "";

    if (p->why[0] != '\0')
        (void)snprintf(why, sizeof(why), " (%.*s%s)", WHY_COLUMNS_MAX, p->why,
                       is_long ? "..." : "");
    (void)snprintf(text, sizeof(text), "%s%s%s", tlscheck_plan_text(p),
                   p->fate >= TLSCHECK_CLEAR && p->refused_count > 0 ? ", to some of the hosts only"
                                                                     : "",
                   why);
    printf("%*s%-*s", OF_ADDRESS, "", SETTING_COLUMNS, caption);
    print_wrapped(text, OF_ADDRESS + SETTING_COLUMNS);
}

/* Who decides, beside the setting: "preferred + dane". */
static const char *entry_caption(const struct policy_destination *d, const struct tlscheck_plan *p,
                                 char text[static SETTING_COLUMNS * 2])
{
    const char *more = "";

    switch (p->authority) {
    case POLICY_TLS_BY_TABLE: break;
    case POLICY_TLS_BY_DANE: more = " + dane"; break;
    case POLICY_TLS_BY_MTA_STS: more = " + mta_sts"; break;
    }
    /* One blank at least goes before the text, also behind the longest. */
    (void)snprintf(text, SETTING_COLUMNS * 2, "%s%s%s", policy_tls_text(d->tls), more,
                   more[0] != '\0' ? " " : "");
    return text;
}

static void print_plans(const struct tlscheck_report *r)
{
    char caption[SETTING_COLUMNS * 2], text[LINE_BYTES_MAX];

    printf("\nMail under each setting of tls, when neither DANE nor MTA-STS has a say:\n");
    for (unsigned i = 0; i <= POLICY_TLS_REQUIRED_VERIFY_HOSTED; i++) {
        const struct policy_destination d = tlscheck_setting((enum policy_tls)i);
        struct tlscheck_plan p;

        tlscheck_plan_all(r->findings, &d, &p);
        print_plan(policy_tls_text(d.tls), &p);
    }
    if (!r->verdict->has_plan)
        return;
    (void)snprintf(text, sizeof(text), "By the entry %.*s of %s:", SLICE_ARGS(r->destination->name),
                   r->config);
    print_wrapped(text, 0);
    print_plan(entry_caption(r->destination, &r->verdict->plan, caption), &r->verdict->plan);
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
    print_wrapped(r->verdict->text, 0);
}
