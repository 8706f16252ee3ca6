#include "dns/resolver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

#include "dns/event.h"
#include "dns/settings.h"

#define CLASS_IN        1
#define DELIVERED_MAX   64 /* answers that are handed over in one turn */
#define SECURITY_BOGUS  1  /* libunbound's numbers */
#define SECURITY_SECURE 2

struct dns_resolver {
    struct dns_source source;
    struct dns_world *world;
    struct dns_events events;
    struct ub_ctx *context;
    struct list asked; /* tickets of queries, the oldest first: that is the next to be cut off */
    struct list abandoned; /* tickets whose query is gone; libunbound will call back */
    struct list answered;  /* tickets to be delivered */
    struct list refused;   /* queries without a ticket, to be delivered */
    struct dns_timer cut_off;
    unsigned in_flight;
    unsigned queries_max;
    unsigned query_ms_max;
    bool is_delivering;
    bool is_closing;
};

/* What libunbound holds of a query. It calls back exactly once, also for what nobody waits for any
 * more, unless the context is deleted before. ub_cancel() would spare the call, but not the work,
 * and would leave nobody to say when that ends. */
struct dns_ticket {
    struct list_node node;
    struct dns_resolver *resolver;
    struct dns_query *query; /* NULL: abandoned */
    uint64_t due_ms;
    bool is_answered;
    int rcode;
    int security;
    char *packet;
    size_t packet_len;
    char reason[DNS_REASON_MAX];
};

static struct dns_resolver *resolver_of(struct dns_source *s)
{
    return CONTAINER_OF(s, struct dns_resolver, source);
}

static void free_ticket(struct dns_ticket *t)
{
    list_remove(&t->node);
    free(t->packet);
    free(t);
}

/* Why an answer is bogus is said in words that hold names from the zone. */
static void take_reason(struct dns_ticket *t, const char *why)
{
    size_t used = 0;

    for (; why[used] != '\0' && used < sizeof(t->reason) - 1; used++)
        t->reason[used] = why[used] >= ' ' && why[used] <= '~' ? why[used] : '?';
    t->reason[used] = '\0';
}

static void answer_came(void *data, int rcode, void *packet, int packet_len, int security,
                        char *why_bogus, int was_ratelimited)
{
    struct dns_ticket *t = data;
    struct dns_resolver *r = t->resolver;

    (void)was_ratelimited;
    if (r->is_closing)
        return; /* within ub_ctx_delete(): everything is freed behind it */
    ASSERT(!t->is_answered && r->in_flight > 0);
    r->in_flight--;
    if (t->query == NULL) {
        free_ticket(t);
        return;
    }
    t->is_answered = true;
    t->rcode = rcode;
    t->security = security;
    if (why_bogus != NULL)
        take_reason(t, why_bogus);
    /* libunbound takes its buffer back, and nothing of ours may run inside it. */
    if (rcode == 0 && packet != NULL && packet_len > 0) {
        t->packet = malloc((size_t)packet_len);
        if (t->packet != NULL) {
            memcpy(t->packet, packet, (size_t)packet_len);
            t->packet_len = (size_t)packet_len;
        }
    }
    list_remove(&t->node);
    list_append(&r->answered, &t->node);
    r->world->ops->defer(r->world);
}

static void refuse(struct dns_resolver *r, struct dns_query *q, const char *why)
{
    q->refusal = why;
    list_append(&r->refused, &q->node);
    r->world->ops->defer(r->world);
}

/* --- the cut-off ----------------------------------------------------------------------------- */

static void abandon(struct dns_ticket *t)
{
    t->query->ticket = NULL;
    t->query = NULL;
    list_remove(&t->node);
    list_append(&t->resolver->abandoned, &t->node);
}

/* Fails the queries that are due; all of them: UINT64_MAX. */
static void cut_off_until(struct dns_resolver *r, uint64_t now_ms, const char *why)
{
    LIST_FOR_EACH (n, &r->asked) {
        struct dns_ticket *t = CONTAINER_OF(n, struct dns_ticket, node);
        struct dns_query *q = t->query;

        if (t->due_ms > now_ms)
            break;
        abandon(t);
        refuse(r, q, why);
    }
}

static void set_cut_off(struct dns_resolver *r);

static void cut_off(struct dns_timer *timer)
{
    struct dns_resolver *r = CONTAINER_OF(timer, struct dns_resolver, cut_off);

    cut_off_until(r, r->world->ops->now_ms(r->world), "no answer in time");
    set_cut_off(r);
}

/* One timer for all: every query has the same time, so the first in the list is the first due. */
static void set_cut_off(struct dns_resolver *r)
{
    if (r->cut_off.bound != NULL || list_is_empty(&r->asked))
        return;
    struct dns_ticket *first = CONTAINER_OF(r->asked.head.next, struct dns_ticket, node);
    uint64_t now_ms = r->world->ops->now_ms(r->world);

    r->cut_off.handler = cut_off;
    if (r->world->ops->timer_start(r->world, &r->cut_off,
                                   first->due_ms > now_ms ? first->due_ms - now_ms : 0) !=
        STATUS_OK)
        cut_off_until(r, UINT64_MAX, "no memory");
}

/* --- the source ------------------------------------------------------------------------------ */

static void start(struct dns_source *s, struct dns_query *q, const char *name)
{
    struct dns_resolver *r = resolver_of(s);

    ASSERT(!r->is_closing);
    if (name[0] == '\0') {
        refuse(r, q, NULL);
        return;
    }
    if (r->in_flight >= r->queries_max) {
        refuse(r, q, "too many queries in flight");
        return;
    }
    struct dns_ticket *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        refuse(r, q, "no memory");
        return;
    }
    t->resolver = r;
    t->query = q;
    t->due_ms = r->world->ops->now_ms(r->world) + r->query_ms_max;
    q->ticket = t;
    list_append(&r->asked, &t->node);
    r->in_flight++;
    /* May call answer_came() before it returns. */
    if (ub_resolve_event(r->context, name, (int)q->type, CLASS_IN, t, answer_came, NULL) != 0) {
        r->in_flight--;
        q->ticket = NULL;
        free_ticket(t);
        refuse(r, q, "the resolver has no memory");
        return;
    }
    set_cut_off(r);
}

static void cancel(struct dns_source *s, struct dns_query *q)
{
    struct dns_ticket *t = q->ticket;

    ASSERT(t == NULL || (t->resolver == resolver_of(s) && t->query == q));
    list_remove(&q->node);
    if (t == NULL)
        return;
    if (t->is_answered)
        free_ticket(t);
    else
        abandon(t);
}

struct dns_source *dns_resolver_source(struct dns_resolver *r)
{
    return &r->source;
}

unsigned dns_resolver_in_flight(const struct dns_resolver *r)
{
    return r->in_flight;
}

/* --- delivery -------------------------------------------------------------------------------- */

static void deliver_answer(struct dns_ticket *t)
{
    struct dns_query *q = t->query;
    struct dns_answer answer;

    list_remove(&t->node);
    if (t->rcode != 0)
        dns_answer_set(DNS_FAILED, q->type, "server failure", &answer);
    else if (t->packet == NULL)
        dns_answer_set(DNS_FAILED, q->type, "no memory", &answer);
    else
        dns_answer_parse((struct slice){ t->packet, t->packet_len }, q->type, &answer);
    if (t->security == SECURITY_BOGUS) {
        dns_answer_set(DNS_FAILED, q->type, t->reason[0] != '\0' ? t->reason : "bogus", &answer);
        answer.security = DNS_BOGUS;
    } else if (t->security == SECURITY_SECURE && answer.outcome != DNS_FAILED) {
        answer.security = DNS_SECURE;
    }
    dns_query_answer(q, &answer);
    free_ticket(t);
}

static void deliver_refusal(struct dns_query *q)
{
    struct dns_answer answer;

    if (q->refusal != NULL)
        dns_answer_set(DNS_FAILED, q->type, q->refusal, &answer);
    else
        dns_answer_set(DNS_NO_NAME, q->type, "", &answer);
    list_remove(&q->node);
    dns_query_answer(q, &answer);
}

void dns_resolver_deliver(struct dns_resolver *r)
{
    ASSERT(!r->is_delivering && !r->is_closing);
    r->is_delivering = true;
    for (unsigned i = 0; i < DELIVERED_MAX; i++) {
        if (!list_is_empty(&r->refused))
            deliver_refusal(CONTAINER_OF(r->refused.head.next, struct dns_query, node));
        else if (!list_is_empty(&r->answered))
            deliver_answer(CONTAINER_OF(r->answered.head.next, struct dns_ticket, node));
        else
            break;
    }
    r->is_delivering = false;
    if (!list_is_empty(&r->refused) || !list_is_empty(&r->answered))
        r->world->ops->defer(r->world);
}

/* --- birth and death ------------------------------------------------------------------------- */

/* libunbound and the settings it makes in passing (its log, limits of times) are global to the
 * process, and not protected where a context is made or deleted. */
static pthread_mutex_t global_state = PTHREAD_MUTEX_INITIALIZER;

static void ignore_answer(void *data, int rcode, void *packet, int packet_len, int security,
                          char *why_bogus, int was_ratelimited)
{
    (void)data;
    (void)rcode;
    (void)packet;
    (void)packet_len;
    (void)security;
    (void)why_bogus;
    (void)was_ratelimited;
}

static enum status make_context(struct dns_resolver *r, const struct dns_options *options,
                                struct dns_reason *reason)
{
    r->context = ub_ctx_create_ub_event(&r->events.base);
    if (r->context == NULL)
        return STATUS_NO_MEMORY;
    TRY(dns_settings_apply(r->context, options, r->queries_max, reason));
    /* A name that libunbound answers itself. What the first query sets up, and what is wrong with
     * the settings, then comes to light here, and not while mail is waiting. */
    int error =
        ub_resolve_event(r->context, "localhost", DNS_TYPE_A, CLASS_IN, NULL, ignore_answer, NULL);
    if (error == 0)
        return STATUS_OK;
    const char *anchor = options->is_validating ? options->trust_anchor_file : NULL;
    /* All other settings were looked at when they were made. */
    (void)snprintf(reason->text, sizeof(reason->text), "%s%slibunbound: %s",
                   anchor != NULL ? anchor : "", anchor != NULL ? ": " : "", ub_strerror(error));
    return error == UB_NOMEM ? STATUS_NO_MEMORY : STATUS_INVALID;
}

static bool is_sound(const struct dns_options *o)
{
    return o->servers_count <= DNS_SERVERS_MAX && o->stubs_count <= DNS_STUBS_MAX &&
           o->queries_max <= DNS_QUERIES_MAX;
}

enum status dns_resolver_create(const struct dns_options *options, struct dns_world *world,
                                struct dns_resolver **resolver_out, struct dns_reason *reason_out)
{
    static const struct dns_source_ops ops = { .start = start, .cancel = cancel };

    (void)snprintf(reason_out->text, sizeof(reason_out->text), "too many servers or zones");
    if (!is_sound(options))
        return STATUS_LIMIT;
    (void)snprintf(reason_out->text, sizeof(reason_out->text), "no memory");
    struct dns_resolver *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return STATUS_NO_MEMORY;
    r->source.ops = &ops;
    r->world = world;
    r->queries_max = options->queries_max != 0 ? options->queries_max : DNS_QUERIES_DEFAULT;
    r->query_ms_max = options->query_ms_max != 0 ? options->query_ms_max : DNS_QUERY_MS_DEFAULT;
    list_init(&r->asked);
    list_init(&r->abandoned);
    list_init(&r->answered);
    list_init(&r->refused);
    dns_events_init(&r->events, world);
    (void)pthread_mutex_lock(&global_state);
    enum status status = make_context(r, options, reason_out);
    (void)pthread_mutex_unlock(&global_state);
    if (status != STATUS_OK) {
        dns_resolver_destroy(r);
        return status;
    }
    *resolver_out = r;
    return STATUS_OK;
}

static void cancel_tickets(struct list *tickets)
{
    LIST_FOR_EACH (n, tickets)
        dns_query_cancel(CONTAINER_OF(n, struct dns_ticket, node)->query);
}

void dns_resolver_cancel_all(struct dns_resolver *r)
{
    cancel_tickets(&r->asked);
    cancel_tickets(&r->answered);
    LIST_FOR_EACH (n, &r->refused)
        dns_query_cancel(CONTAINER_OF(n, struct dns_query, node));
}

void dns_resolver_destroy(struct dns_resolver *r)
{
    if (r == NULL)
        return;
    ASSERT(!r->is_delivering);
    dns_resolver_cancel_all(r);
    r->is_closing = true;
    if (r->cut_off.bound != NULL)
        r->world->ops->timer_stop(r->world, &r->cut_off);
    (void)pthread_mutex_lock(&global_state);
    ub_ctx_delete(r->context);
    (void)pthread_mutex_unlock(&global_state);
    ASSERT(r->events.events == 0);
    ASSERT(list_is_empty(&r->asked) && list_is_empty(&r->answered) && list_is_empty(&r->refused));
    LIST_FOR_EACH (n, &r->abandoned)
        free_ticket(CONTAINER_OF(n, struct dns_ticket, node));
    free(r);
}
