#include "gateway/mta_sts.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/mta_sts_domain.h"
#include "gateway/worker.h"
#include "policy/domain_map.h"

#define ANSWERS_PER_TASK 256
#define EVICTION_LOOKS   64 /* at domains with something under way, before it is given up */

/* --- policies -------------------------------------------------------------------------------- */

void gateway_mta_sts_held_release(struct gateway_mta_sts_held *held)
{
    if (held == NULL)
        return;
    ASSERT(held->users_count > 0);
    if (--held->users_count == 0)
        free(held);
}

/* --- answers --------------------------------------------------------------------------------- */

/* Whoever is answered may forget, ask and free what he likes. */
static void give_answers(struct engine_task *task)
{
    struct gateway_mta_sts *sts = CONTAINER_OF(task, struct gateway_mta_sts, task);
    struct list_node *node;

    for (unsigned i = 0; i < ANSWERS_PER_TASK; i++) {
        struct gateway_mta_sts_query *q;

        node = list_take_first(&sts->answered);
        if (node == NULL)
            return;
        q = CONTAINER_OF(node, struct gateway_mta_sts_query, node);
        q->sts = NULL;
        q->done(q, q->held != NULL ? &q->held->policy : NULL, q->reason);
    }
    if (!list_is_empty(&sts->answered))
        engine_loop_defer(sts->worker->loop, &sts->task, give_answers);
}

static void answer(struct gateway_mta_sts *sts, struct gateway_mta_sts_query *q,
                   enum gateway_mta_sts_outcome outcome, enum observe_tls_result_type trouble,
                   const char *reason)
{
    q->outcome = outcome;
    q->trouble = trouble;
    (void)snprintf(q->reason, sizeof(q->reason), "%s", reason);
    list_append(&sts->answered, &q->node);
    engine_loop_defer(sts->worker->loop, &sts->task, give_answers);
}

static void answer_all(struct gateway_mta_sts_domain *d, enum gateway_mta_sts_outcome outcome,
                       enum observe_tls_result_type trouble, const char *reason)
{
    struct list_node *node;

    ASSERT(outcome != GATEWAY_MTA_STS_FOUND || d->held != NULL);
    while ((node = list_take_first(&d->waiting)) != NULL) {
        struct gateway_mta_sts_query *q = CONTAINER_OF(node, struct gateway_mta_sts_query, node);

        if (outcome == GATEWAY_MTA_STS_FOUND) {
            q->held = d->held;
            q->held->users_count++;
        }
        answer(d->sts, q, outcome, trouble, reason);
    }
}

void gateway_mta_sts_domain_answer(struct gateway_mta_sts_domain *d,
                                   enum gateway_mta_sts_outcome outcome, const char *reason)
{
    answer_all(d, outcome, OBSERVE_TLS_SUCCESS, reason);
}

void gateway_mta_sts_domain_has_none(struct gateway_mta_sts_domain *d,
                                     enum observe_tls_result_type trouble, const char *reason)
{
    answer_all(d, GATEWAY_MTA_STS_ABSENT, trouble, reason);
}

void gateway_mta_sts_forget(struct gateway_mta_sts_query *query)
{
    list_remove(&query->node);
    query->sts = NULL;
    gateway_mta_sts_held_release(query->held);
    query->held = NULL;
}

/* --- domains --------------------------------------------------------------------------------- */

static void domain_destroy(struct gateway_mta_sts_domain *d)
{
    struct gateway_mta_sts *sts = d->sts;

    ASSERT(sts->domains_count > 0 && list_is_empty(&d->waiting));
    table_remove(&sts->domains, &d->node);
    list_remove(&d->age);
    sts->domains_count--;
    if (d->held != NULL)
        sts->bytes -= d->held->policy.text.len;
    gateway_mta_sts_held_release(d->held);
    free(d);
}

/* Room for one more, by the one that was not asked for the longest. */
static bool evict(struct gateway_mta_sts *sts)
{
    struct list_node *node = sts->ages.head.prev;

    for (unsigned i = 0; i < EVICTION_LOOKS && node != &sts->ages.head; i++) {
        struct gateway_mta_sts_domain *d = CONTAINER_OF(node, struct gateway_mta_sts_domain, age);

        node = node->prev;
        if (!gateway_mta_sts_domain_is_idle(d))
            continue;
        gateway_mta_sts_domain_stop(d);
        domain_destroy(d);
        return true;
    }
    return false;
}

/* Not from inside of what makes it grow: that domain may be the one to go. */
static void trim(struct engine_task *task)
{
    struct gateway_mta_sts *sts = CONTAINER_OF(task, struct gateway_mta_sts, trim);

    while (sts->bytes > GATEWAY_MTA_STS_BYTES_MAX && evict(sts))
        ;
}

void gateway_mta_sts_has_grown(struct gateway_mta_sts *sts)
{
    if (sts->bytes > GATEWAY_MTA_STS_BYTES_MAX)
        engine_loop_defer(sts->worker->loop, &sts->trim, trim);
}

static struct gateway_mta_sts_domain *find(const struct gateway_mta_sts *sts, struct slice name,
                                           uint64_t hash)
{
    for (struct table_node *n = table_find(&sts->domains, hash); n != NULL;
         n = table_find_next(n)) {
        struct gateway_mta_sts_domain *d = CONTAINER_OF(n, struct gateway_mta_sts_domain, node);

        if (slice_equal_nocase(slice_from(d->name), name))
            return d;
    }
    return NULL;
}

/* NULL: no room, or no memory. */
static struct gateway_mta_sts_domain *get(struct gateway_mta_sts *sts, struct slice name)
{
    uint64_t hash = hash_text_nocase(&sts->worker->process->seed, name);
    struct gateway_mta_sts_domain *d = find(sts, name, hash);

    if (d != NULL) {
        list_remove(&d->age);
        list_prepend(&sts->ages, &d->age);
        return d;
    }
    if (sts->domains_count >= GATEWAY_MTA_STS_DOMAINS_MAX && !evict(sts))
        return NULL;
    d = calloc(1, sizeof(*d) + name.len + 1);
    if (d == NULL)
        return NULL;
    d->sts = sts;
    d->txt_reason = "";
    list_init(&d->waiting);
    for (size_t i = 0; i < name.len; i++)
        d->name[i] = ascii_lower(name.data[i]);
    table_insert(&sts->domains, &d->node, hash);
    list_prepend(&sts->ages, &d->age);
    sts->domains_count++;
    return d;
}

void gateway_mta_sts_ask(struct gateway_mta_sts *sts, struct gateway_mta_sts_query *query,
                         struct slice domain,
                         void (*done)(struct gateway_mta_sts_query *query,
                                      const struct policy_mta_sts *policy, const char *reason))
{
    struct gateway_mta_sts_domain *d;

    ASSERT(query->sts == NULL && done != NULL);
    gateway_mta_sts_forget(query);
    query->sts = sts;
    query->done = done;
    domain = policy_domain_normal(domain);
    if (sts->is_stopping) {
        answer(sts, query, GATEWAY_MTA_STS_UNKNOWN, OBSERVE_TLS_SUCCESS, "shutting down");
        return;
    }
    /* An address literal, or what no DNS has. */
    if (domain.len >= DNS_NAME_MAX || !policy_domain_is_valid(domain)) {
        answer(sts, query, GATEWAY_MTA_STS_ABSENT, OBSERVE_TLS_SUCCESS, "not the name of a domain");
        return;
    }
    d = get(sts, domain);
    if (d == NULL) {
        answer(sts, query, GATEWAY_MTA_STS_UNKNOWN, OBSERVE_TLS_SUCCESS,
               "too many domains at once");
        return;
    }
    list_append(&d->waiting, &query->node);
    gateway_mta_sts_domain_advance(d);
}

void gateway_mta_sts_next_turn(struct gateway_mta_sts *sts)
{
    struct list_node *node;

    while (sts->fetches_count < GATEWAY_MTA_STS_FETCHES_MAX &&
           (node = list_take_first(&sts->turns)) != NULL)
        gateway_mta_sts_domain_advance(CONTAINER_OF(node, struct gateway_mta_sts_domain, turn));
}

/* --- the whole ------------------------------------------------------------------------------- */

void gateway_mta_sts_stop(struct gateway_mta_sts *sts)
{
    sts->is_stopping = true;
    LIST_FOR_EACH (age, &sts->ages) {
        struct gateway_mta_sts_domain *d = CONTAINER_OF(age, struct gateway_mta_sts_domain, age);

        gateway_mta_sts_domain_stop(d);
        gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_UNKNOWN, "shutting down");
    }
}

enum status gateway_mta_sts_create(struct gateway_worker *worker,
                                   const struct gateway_mta_sts_ops *ops,
                                   struct gateway_mta_sts **sts_out)
{
    struct gateway_mta_sts *sts = calloc(1, sizeof(*sts));

    if (sts == NULL || table_init(&sts->domains) != STATUS_OK) {
        free(sts);
        return STATUS_NO_MEMORY;
    }
    sts->worker = worker;
    sts->ops = ops;
    list_init(&sts->ages);
    list_init(&sts->turns);
    list_init(&sts->answered);
    *sts_out = sts;
    return STATUS_OK;
}

void gateway_mta_sts_destroy(struct gateway_mta_sts *sts)
{
    if (sts == NULL)
        return;
    LIST_FOR_EACH (age, &sts->ages) {
        struct gateway_mta_sts_domain *d = CONTAINER_OF(age, struct gateway_mta_sts_domain, age);

        gateway_mta_sts_domain_free_work(d);
        domain_destroy(d);
    }
    table_finish(&sts->domains);
    free(sts);
}
