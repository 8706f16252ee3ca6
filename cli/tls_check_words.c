#include "cli/tls_check_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define UNKNOWN_NAMED_MAX 3
#define DAYS_LEFT_MIN     14 /* of a certificate; with fewer it is told */

static void say(struct tlscheck_verdict *v, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct tlscheck_verdict *v, const char *format, ...)
{
    size_t used = strlen(v->text);
    va_list list;

    va_start(list, format);
    (void)vsnprintf(v->text + used, sizeof(v->text) - used, format, list);
    va_end(list);
}

/* By which a person knows it. */
static const char *address_name(const struct tlscheck_findings *f, size_t address,
                                char text[static IP_ENDPOINT_MAX])
{
    const struct tlscheck_address *a = &f->addresses[address];
    const char *name = f->hosts[a->host].name;

    return name[0] != '\0' ? name : ip_endpoint_format(&a->endpoint, text);
}

static const char *proof_text(unsigned proofs)
{
    static const char *const texts[TLSCHECK_PROOFS_COUNT] = {
        [TLSCHECK_PROOF_DANE] = "by DANE",
        [TLSCHECK_PROOF_STS] = "by MTA-STS",
        [TLSCHECK_PROOF_DOMAIN] = "by a certificate for the name that was asked for",
        [TLSCHECK_PROOF_MX] =
            ("by the certificates of its mail servers (tls = \"required-verify-hosted\"). Their "
             "names come from the DNS, and neither DANE nor MTA-STS protects them: who can forge "
             "answers of the DNS can still lead it elsewhere"),
        [TLSCHECK_PROOF_PTR] =
            ("by the names that the addresses of its mail servers are said to have (tls = "
             "\"required-verify\"), which is weak: who leads it elsewhere can have such a name, "
             "too"),
    };

    for (size_t i = 0; i < TLSCHECK_PROOFS_COUNT; i++)
        if ((proofs >> i & 1) != 0)
            return texts[i];
    return "by one means or another, each of its mail servers by its own";
}

/* "Mail to example.com", "Mail through mx1.example.com:25". */
static void say_subject(const struct tlscheck_findings *f, struct tlscheck_verdict *v)
{
    say(v, "Mail %s %s", f->target.is_host ? "through" : "to", f->target.text);
}

static void say_clear(const struct tlscheck_findings *f, const struct tlscheck_weighing *w,
                      struct tlscheck_verdict *v)
{
    char room[IP_ENDPOINT_MAX];
    const char *name = address_name(f, w->open.address, room);

    if (v->class == TLSCHECK_CLASS_STRIPPED) {
        say(v,
            "Something on the path to %s very likely takes STARTTLS away: words of the host "
            "are blotted out, as by a firewall that inspects SMTP (Cisco PIX and ASA: \"inspect "
            "esmtp\"). ",
            name);
        say_subject(f, v);
        say(v, " goes in clear text: anybody on the path can read it.");
        return;
    }
    say_subject(f, v);
    if (f->addresses_count > 1)
        say(v, " may go in clear text, because of %s: anybody on the path can read it.", name);
    else
        say(v, " goes in clear text: anybody on the path can read it.");
}

/* Of those that had somebody to talk to. */
static void say_class(const struct tlscheck_findings *f, const struct tlscheck_weighing *w,
                      struct tlscheck_verdict *v)
{
    char room[IP_ENDPOINT_MAX];

    switch (v->class) {
    case TLSCHECK_CLASS_NO_DOMAIN:
        say(v, "%s does not exist: mail to it is returned to its sender.", f->target.text);
        break;
    case TLSCHECK_CLASS_NO_MAIL:
        say(v, "%s takes no mail at all (null MX, RFC 7505): it is returned to its sender.",
            f->target.text);
        break;
    case TLSCHECK_CLASS_NO_HOST:
        say_subject(f, v);
        say(v, " cannot be delivered: %s.", f->reason);
        break;
    case TLSCHECK_CLASS_DNS_FAILED:
        say_subject(f, v);
        say(v, " waits: the DNS does not say where it goes (%s).", f->reason);
        break;
    case TLSCHECK_CLASS_LOOP:
        say_subject(f, v);
        say(v, " is returned to its sender: its best mail server is this gateway, and no route "
               "says where it goes.");
        break;
    case TLSCHECK_CLASS_DISCARDED:
        say_subject(f, v);
        say(v, " is thrown away: its route is /dev/null.");
        break;
    case TLSCHECK_CLASS_UNREACHED:
        say_subject(f, v);
        say(v, " waits: no mail server can be talked to (%s).", w->open.why);
        break;
    case TLSCHECK_CLASS_NOT_SENT:
        say_subject(f, v);
        say(v, " is not sent (%s: %s).", address_name(f, w->open.address, room), w->open.why);
        break;
    case TLSCHECK_CLASS_STRIPPED:
    case TLSCHECK_CLASS_CLEAR: say_clear(f, w, v); break;
    case TLSCHECK_CLASS_ENCRYPTED:
        say_subject(f, v);
        say(v,
            " can be sent encrypted, but %s does not prove that it is the right host (%s): who is "
            "on the path and answers in its place can read it.",
            address_name(f, w->unproved, room),
            f->addresses[w->unproved].tls.checks[POLICY_TLS_CHECK_HOSTED].text);
        break;
    case TLSCHECK_CLASS_VERIFIED:
        say_subject(f, v);
        say(v, " can be sent encrypted and verified %s.", proof_text(v->proofs));
        break;
    }
}

/* The entry of the configuration, which may want less, or more. */
static void say_plan(const struct tlscheck_findings *f, const struct policy_destination *d,
                     const struct tlscheck_weighing *w, struct tlscheck_verdict *v)
{
    bool is_sent = v->plan.fate >= TLSCHECK_CLEAR;
    const char *would = f->is_routed_elsewhere ? "would" : "will";
    char room[IP_ENDPOINT_MAX];

    say(v, " By the entry %.*s (tls = \"%s\"", SLICE_ARGS(d->name), policy_tls_text(d->tls));
    if (d->dane != POLICY_DANE_OFF)
        say(v, ", dane = \"%s\"", policy_dane_text(d->dane));
    if (d->mta_sts)
        say(v, ", mta_sts = true");
    if (is_sent)
        say(v, ") it %s be %s", would, tlscheck_plan_text(&v->plan));
    else
        say(v, ") it %s not be sent", would);
    if (is_sent && v->plan.refused_count > 0)
        say(v, ", though not to all of its hosts");
    /* What was said of the class needs no repetition. */
    if (v->plan.why[0] != '\0' && strcmp(v->plan.why, w->open.why) != 0)
        say(v, " (%s: %s)", address_name(f, v->plan.address, room), v->plan.why);
    say(v, ".");
}

/* --- what is not known ----------------------------------------------------------------------- */

/* Those of a host stand in a row. */
static bool has_siblings(const struct tlscheck_findings *f, size_t address)
{
    size_t host = f->addresses[address].host;

    return (address > 0 && f->addresses[address - 1].host == host) ||
           (address + 1 < f->addresses_count && f->addresses[address + 1].host == host);
}

/* "Nothing is known of mx2.example.com (connect: Connection refused)": *count_io are told so far.
 */
static void say_unknown(struct tlscheck_verdict *v, size_t *count_io, const char *name,
                        const char *endpoint, const char *why)
{
    if ((*count_io)++ < UNKNOWN_NAMED_MAX)
        say(v, "%s%s%s%s (%s)", *count_io == 1 ? " Nothing is known of " : ", nor of ", name,
            endpoint[0] != '\0' ? " at " : "", endpoint, why);
}

static void say_what_is_unknown(const struct tlscheck_findings *f,
                                const struct tlscheck_weighing *w, struct tlscheck_verdict *v)
{
    char name[IP_ENDPOINT_MAX], end[IP_ENDPOINT_MAX];
    size_t count = 0;

    for (size_t i = 0; i < f->addresses_count; i++) {
        const struct tlscheck_address *a = &f->addresses[i];

        if (w->is_unknown[i])
            say_unknown(v, &count, address_name(f, i, name),
                        has_siblings(f, i) ? ip_endpoint_format(&a->endpoint, end) : "",
                        tlscheck_unreached_text(a));
    }
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].outcome == DNS_FAILED && !f->hosts[i].is_unused)
            say_unknown(v, &count, f->hosts[i].name, "", f->hosts[i].reason);
    if (count > UNKNOWN_NAMED_MAX)
        say(v, ", nor of %zu more", count - UNKNOWN_NAMED_MAX);
    if (count > 0)
        say(v, ".");
}

static void say_what_is_missing(const struct tlscheck_findings *f, struct tlscheck_verdict *v)
{
    if (f->addresses_left_out > 0)
        say(v, " %zu more %s not looked at, of which there are too many.", f->addresses_left_out,
            f->addresses_left_out == 1 ? "address was" : "addresses were");
    if (f->is_out_of_time)
        say(v, " The time was over before all was looked at (--timeout).");
}

/* --- certificates ---------------------------------------------------------------------------- */

/* Of all that were shown the one that ends first, and one whose time has not come. What has expired
 * is told where it is the reason. */
static void say_dates(const struct tlscheck_findings *f, struct tlscheck_verdict *v)
{
    const struct tls_chain_certificate *ending = NULL, *early = NULL;
    size_t of_ending = 0, of_early = 0;
    char room[IP_ENDPOINT_MAX], date[TLSCHECK_DATE_MAX];

    for (size_t i = 0; i < f->addresses_count; i++) {
        for (size_t k = 0; k < f->addresses[i].tls.chain_shown; k++) {
            const struct tls_chain_certificate *c = &f->addresses[i].tls.chain[k];

            if (early == NULL && c->not_before_s != -1 && (int64_t)c->not_before_s > f->wall_s) {
                early = c;
                of_early = i;
            }
            if (c->not_after_s == -1 || (int64_t)c->not_after_s < f->wall_s ||
                (int64_t)c->not_after_s - f->wall_s >= DAYS_LEFT_MIN * TLSCHECK_DAY_S ||
                (ending != NULL && ending->not_after_s <= c->not_after_s))
                continue;
            ending = c;
            of_ending = i;
        }
    }
    if (early != NULL)
        say(v, " A certificate of %s is not valid before %s.", address_name(f, of_early, room),
            tlscheck_date_text(early->not_before_s, date));
    if (ending != NULL) {
        unsigned days = (unsigned)(((int64_t)ending->not_after_s - f->wall_s) / TLSCHECK_DAY_S);

        say(v, " A certificate of %s expires in %u day%s, on %s.", address_name(f, of_ending, room),
            days, days == 1 ? "" : "s", tlscheck_date_text(ending->not_after_s, date));
    }
}

void tlscheck_say_verdict(const struct tlscheck_findings *f,
                          const struct policy_destination *destination,
                          const struct tlscheck_weighing *w, struct tlscheck_verdict *v)
{
    say_class(f, w, v);
    if (v->has_plan)
        say_plan(f, destination, w, v);
    if (w->open.fate >= TLSCHECK_CLEAR && !w->is_taken)
        say(v, " But our sender is refused: %s.", f->addresses[w->open.address].sender);
    say_dates(f, v);
    if (w->open.fate != TLSCHECK_UNREACHED)
        say_what_is_unknown(f, w, v);
    say_what_is_missing(f, v);
    if (f->is_routed_elsewhere)
        say(v, " All of this is about its MX: by the configuration mail goes by a route instead.");
}
