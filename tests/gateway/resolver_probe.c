/* resolver_probe: the real resolver on a real loop, for tests/system/test_dns.py.
 *
 *     resolver_probe [--server ADDRESS:PORT]... [--stub ZONE=ADDRESS:PORT]... [--unsigned ZONE=...]
 *                    [--anchor FILE] [--queries-max N] [--query-ms N] STEP...
 *
 * A step: TYPE:NAME (A, AAAA, PTR, TXT, MX, TLSA, CNAME), HOST:ADDRESS (the double lookup),
 * MAIL:DOMAIN (its hosts, and of each what TLSA records say), wait (for all
 * that was asked), sleep=MS, flood=COUNT:TYPE:ZONE (n0.ZONE, n1.ZONE...), cancel=COUNT:TYPE:ZONE
 * (started and cancelled), destroy (with whatever is in flight), again (a new one, same settings).
 * Prints a line for each answer, a sum for a flood, and at the end what it cost.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "dns/exchange.h"
#include "dns/host.h"
#include "dns/tlsa.h"
#include "engine/timer.h"
#include "gateway/resolver.h"

#define SERVERS_MAX 8
#define TEXT_SHOWN  4096
#define TICK_MS     10

struct probe {
    struct engine_loop *loop;
    struct dns_options options;
    struct ip_endpoint servers[SERVERS_MAX];
    struct dns_stub stubs[SERVERS_MAX];
    struct ip_endpoint stub_servers[SERVERS_MAX];
    struct gateway_resolver *resolver;
    struct list questions; /* that run */
    struct list destinations;
    unsigned outcomes[DNS_FAILED + 1]; /* of a flood */
    struct engine_timer tick;
    uint64_t ticked_ms;
    uint64_t gap_ms_max; /* how long the loop stood still */
    struct engine_timer sleep;
    bool is_asleep;
};

struct question {
    struct list_node node;
    struct dns_query query;
    struct dns_host host;
    struct probe *probe;
    bool is_flood;
    char what[300];
};

struct destination {
    struct list_node node;
    struct dns_exchange exchange;
    struct dns_tlsa tlsa;
    struct dns_source *source;
    size_t host; /* that is looked at */
    char line[TEXT_SHOWN];
};

static const char *const outcome_names[] = { "FOUND", "NO_NAME", "NO_DATA", "FAILED" };
static const char *const security_names[] = { "INSECURE", "SECURE", "BOGUS" };
static const char *const exchange_names[] = { "FOUND", "NO_DOMAIN", "NO_MAIL", "NO_HOST",
                                              "FAILED" };
static const char *const tlsa_names[] = { "FOUND", "NONE", "FAILED" };
static const char *const host_names[] = { "VERIFIED", "NONE", "FAILED", "MISMATCHED" };

static const struct {
    const char *name;
    enum dns_type type;
} types[] = { { "A", DNS_TYPE_A },        { "AAAA", DNS_TYPE_AAAA }, { "PTR", DNS_TYPE_PTR },
              { "MX", DNS_TYPE_MX },      { "TXT", DNS_TYPE_TXT },   { "TLSA", DNS_TYPE_TLSA },
              { "CNAME", DNS_TYPE_CNAME } };

static _Noreturn void misused(const char *what)
{
    fprintf(stderr, "resolver_probe: %s\n", what);
    exit(2);
}

static enum dns_type type_of(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (slice_is_word(name, types[i].name))
            return types[i].type;
    misused("unknown type");
}

static void print_record(const struct dns_answer *a, size_t i)
{
    struct ip_address address;
    char address_text[IP_TEXT_MAX];
    char text[TEXT_SHOWN];
    uint16_t preference;
    size_t len;

    if (dns_answer_address(a, i, &address))
        printf(" %s", ip_format(&address, address_text));
    else if (dns_answer_name(a, i, text))
        printf(" %s", text);
    else if (dns_answer_exchange(a, i, &preference, text))
        printf(" %u/%s", preference, text);
    else if (dns_answer_text(a, i, text, sizeof(text), &len))
        printf(" \"%.*s\"", (int)len, text);
    else
        printf(" (%zu bytes)", dns_answer_data(a, i).len);
}

static void end(struct question *q)
{
    list_remove(&q->node);
    free(q);
}

static void answered(struct dns_query *q, const struct dns_answer *a)
{
    struct question *question = CONTAINER_OF(q, struct question, query);

    question->probe->outcomes[a->outcome]++;
    if (!question->is_flood) {
        printf("%s %s %s ttl=%u", question->what, outcome_names[a->outcome],
               security_names[a->security], (unsigned)a->ttl_s);
        if (a->reason[0] != '\0')
            printf(" (%s)", a->reason);
        for (size_t i = 0; i < a->records; i++)
            print_record(a, i);
        printf("\n");
    }
    end(question);
}

static void looked_up(struct dns_host *h)
{
    struct question *question = CONTAINER_OF(h, struct question, host);
    struct slice name = dns_host_name(h);

    printf("%s %s %.*s\n", question->what, host_names[dns_host_outcome(h)], SLICE_ARGS(name));
    end(question);
}

static struct question *new_question(struct probe *p, const char *what)
{
    struct question *q = calloc(1, sizeof(*q));

    if (q == NULL || p->resolver == NULL)
        misused("no resolver");
    q->probe = p;
    (void)snprintf(q->what, sizeof(q->what), "%s", what);
    list_append(&p->questions, &q->node);
    return q;
}

/* --- where mail goes ------------------------------------------------------------------------- */

static void add(struct destination *d, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct destination *d, const char *format, ...)
{
    size_t used = strlen(d->line);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(d->line + used, sizeof(d->line) - used, format, args);
    va_end(args);
}

static void describe_next_host(struct destination *d);

static void proof_came(struct dns_tlsa *t)
{
    struct destination *d = CONTAINER_OF(t, struct destination, tlsa);

    add(d, " tlsa=%s/%s", tlsa_names[dns_tlsa_outcome(t)], security_names[dns_tlsa_security(t)]);
    if (dns_tlsa_base(t)[0] != '\0')
        add(d, "/%s/%zu", dns_tlsa_base(t), dns_tlsa_records_count(t));
    d->host++;
    describe_next_host(d);
}

static void describe_next_host(struct destination *d)
{
    char address[IP_TEXT_MAX];

    for (; d->host < dns_exchange_hosts_count(&d->exchange); d->host++) {
        const struct dns_exchange_host *h = dns_exchange_host(&d->exchange, d->host);

        add(d, "; %s/%u %s %s", h->name, h->preference, outcome_names[h->outcome],
            security_names[h->security]);
        for (size_t i = 0; i < h->addresses_count; i++)
            add(d, " %s", ip_format(&h->addresses[i], address));
        if (h->outcome == DNS_FOUND && dns_exchange_wants_tlsa(&d->exchange, d->host)) {
            dns_tlsa_start(&d->tlsa, d->source,
                           &(struct dns_tlsa_wanted){ .host = slice_from(h->name),
                                                      .base = slice_from(h->base),
                                                      .is_insecure = h->security != DNS_SECURE,
                                                      .port = 25 },
                           proof_came);
            return;
        }
    }
    printf("%s\n", d->line);
    list_remove(&d->node);
    free(d);
}

static void hosts_came(struct dns_exchange *x)
{
    struct destination *d = CONTAINER_OF(x, struct destination, exchange);

    add(d, " %s %s%s", exchange_names[dns_exchange_outcome(x)],
        security_names[dns_exchange_security(x)], dns_exchange_is_implicit(x) ? " implicit" : "");
    if (dns_exchange_alias(x)[0] != '\0')
        add(d, " alias=%s", dns_exchange_alias(x));
    describe_next_host(d);
}

static void look_for_hosts(struct probe *p, const char *what, struct slice domain)
{
    struct destination *d = calloc(1, sizeof(*d));

    if (d == NULL || p->resolver == NULL)
        misused("no resolver");
    (void)snprintf(d->line, sizeof(d->line), "%s", what);
    d->source = gateway_resolver_source(p->resolver);
    list_append(&p->destinations, &d->node);
    dns_exchange_start(&d->exchange, d->source, domain, DNS_EXCHANGE_MX, DNS_EXCHANGE_V4_V6,
                       hosts_came);
}

static void turn(struct probe *p)
{
    fflush(stdout);
    engine_loop_turn(p->loop);
}

static void wait_all(struct probe *p)
{
    while (!list_is_empty(&p->questions) || !list_is_empty(&p->destinations))
        turn(p);
}

static void flood(struct probe *p, struct slice rest, bool is_cancelled)
{
    uint64_t count;
    struct slice count_text = slice_cut(&rest, ':');
    struct slice type_text = slice_cut(&rest, ':');
    enum dns_type type = type_of(type_text);
    char name[300];

    if (!slice_to_number(count_text, 1000000, &count))
        misused("flood=COUNT:TYPE:ZONE");
    memset(p->outcomes, 0, sizeof(p->outcomes));
    p->gap_ms_max = 0;
    uint64_t begin_ms = clock_monotonic_ms();
    for (uint64_t i = 0; i < count; i++) {
        struct question *q = new_question(p, "");

        q->is_flood = true;
        (void)snprintf(name, sizeof(name), "n%u.%.*s", (unsigned)i, SLICE_ARGS(rest));
        dns_query_start(&q->query, gateway_resolver_source(p->resolver), slice_from(name), type,
                        answered);
        if (is_cancelled) {
            dns_query_cancel(&q->query);
            end(q);
        } else if (i % 50 == 49) {
            turn(p); /* as they come in from the network */
        }
    }
    wait_all(p);
    printf("flood");
    for (size_t i = 0; i < ARRAY_LEN(outcome_names); i++)
        printf(" %s=%u", outcome_names[i], p->outcomes[i]);
    printf(" ms=%llu gap=%llu in-flight=%u\n",
           (unsigned long long)(clock_monotonic_ms() - begin_ms), (unsigned long long)p->gap_ms_max,
           gateway_resolver_in_flight(p->resolver));
}

static void awake(struct engine_timer *t)
{
    CONTAINER_OF(t, struct probe, sleep)->is_asleep = false;
}

static void sleep_ms(struct probe *p, struct slice text)
{
    uint64_t ms;

    if (!slice_to_number(text, 100000, &ms))
        misused("sleep=MS");
    p->is_asleep = true;
    engine_timer_start(p->loop, &p->sleep, ms, awake);
    while (p->is_asleep)
        turn(p);
}

static void ticked(struct engine_timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, tick);
    uint64_t now_ms = clock_monotonic_ms();

    if (p->ticked_ms != 0 && now_ms - p->ticked_ms > p->gap_ms_max)
        p->gap_ms_max = now_ms - p->ticked_ms;
    p->ticked_ms = now_ms;
    engine_timer_start(p->loop, &p->tick, TICK_MS, ticked);
}

static void create(struct probe *p)
{
    struct dns_reason reason;
    struct timespec begin, end;

    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    if (gateway_resolver_create(p->loop, &p->options, &p->resolver, &reason) != STATUS_OK) {
        printf("create failed: %s\n", reason.text);
        exit(1);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    printf("created us=%lld\n",
           (long long)(end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
}

static void destroy(struct probe *p)
{
    uint64_t begin_ms = clock_monotonic_ms();

    gateway_resolver_destroy(p->resolver);
    p->resolver = NULL;
    LIST_FOR_EACH (n, &p->questions)
        end(CONTAINER_OF(n, struct question, node)); /* cancelled */
    LIST_FOR_EACH (n, &p->destinations) {
        list_remove(n);
        free(CONTAINER_OF(n, struct destination, node));
    }
    while (engine_loop_owners(p->loop) > 0)
        turn(p);
    printf("destroyed ms=%llu\n", (unsigned long long)(clock_monotonic_ms() - begin_ms));
}

static void step(struct probe *p, const char *text)
{
    struct slice rest = slice_from(text);
    struct slice word = slice_cut(&rest, memchr(text, ':', strcspn(text, "=")) ? ':' : '=');
    struct ip_address address;

    if (slice_is_word(word, "wait")) {
        wait_all(p);
    } else if (slice_is_word(word, "sleep")) {
        sleep_ms(p, rest);
    } else if (slice_is_word(word, "flood") || slice_is_word(word, "cancel")) {
        flood(p, rest, slice_is_word(word, "cancel"));
    } else if (slice_is_word(word, "destroy")) {
        destroy(p);
    } else if (slice_is_word(word, "again")) {
        create(p);
    } else if (slice_is_word(word, "MAIL")) {
        look_for_hosts(p, text, rest);
    } else if (slice_is_word(word, "HOST")) {
        if (!ip_parse(rest, &address))
            misused("HOST:ADDRESS");
        dns_host_start(&new_question(p, text)->host, gateway_resolver_source(p->resolver), &address,
                       looked_up);
    } else {
        dns_query_start(&new_question(p, text)->query, gateway_resolver_source(p->resolver), rest,
                        type_of(word), answered);
    }
}

static void add_stub(struct probe *p, const char *text, bool is_unsigned)
{
    struct slice rest = slice_from(text);
    struct slice zone = slice_cut(&rest, '=');
    size_t i = p->options.stubs_count;

    if (i == SERVERS_MAX || !ip_endpoint_parse(rest, 0, &p->stub_servers[i]))
        misused("--stub ZONE=ADDRESS:PORT");
    p->stubs[i] = (struct dns_stub){ .zone = strndup(zone.data, zone.len),
                                     .servers = &p->stub_servers[i],
                                     .servers_count = 1,
                                     .is_unsigned = is_unsigned };
    p->options.stubs_count++;
}

static unsigned number(const char *text)
{
    uint64_t value;

    if (!slice_to_number(slice_from(text), UINT32_MAX, &value))
        misused("not a number");
    return (unsigned)value;
}

static void option(struct probe *p, const char *name, const char *value)
{
    struct slice word = slice_from(name);

    if (slice_is_word(word, "--server")) {
        if (p->options.servers_count == SERVERS_MAX ||
            !ip_endpoint_parse(slice_from(value), 0, &p->servers[p->options.servers_count++]))
            misused("--server ADDRESS:PORT");
    } else if (slice_is_word(word, "--stub") || slice_is_word(word, "--unsigned")) {
        add_stub(p, value, slice_is_word(word, "--unsigned"));
    } else if (slice_is_word(word, "--anchor")) {
        p->options.trust_anchor_file = value;
        p->options.is_validating = true;
    } else if (slice_is_word(word, "--queries-max")) {
        p->options.queries_max = number(value);
    } else if (slice_is_word(word, "--query-ms")) {
        p->options.query_ms_max = number(value);
    } else {
        misused("unknown option");
    }
}

int main(int argc, char **argv)
{
    static struct probe p;
    struct engine_reason reason;
    struct rusage usage;
    int i = 1;

    list_init(&p.questions);
    list_init(&p.destinations);
    p.options.servers = p.servers;
    p.options.stubs = p.stubs;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2)
        option(&p, argv[i], argv[i + 1]);
    if (engine_loop_create(&(struct engine_loop_options){ 0 }, &p.loop, &reason) != STATUS_OK)
        misused(reason.text);
    create(&p);
    engine_timer_start(p.loop, &p.tick, TICK_MS, ticked);
    for (; i < argc; i++)
        step(&p, argv[i]);
    wait_all(&p);
    if (p.resolver != NULL)
        destroy(&p);
    engine_timer_stop(p.loop, &p.tick);
    engine_loop_destroy(p.loop);
    for (size_t s = 0; s < p.options.stubs_count; s++)
        free((char *)p.stubs[s].zone);
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("end rss-kib=%ld cpu-ms=%ld\n", usage.ru_maxrss,
           usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 +
               usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000);
    return 0;
}
