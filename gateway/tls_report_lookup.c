#include "gateway/tls_report_lookup.h"

#include <unistd.h>

#include "gateway/worker.h"

void gateway_tls_lookup_init(struct gateway_tls_lookup *lookup, enum gateway_tls_lookup_kind kind,
                             int bell)
{
    *lookup = (struct gateway_tls_lookup){ .kind = kind, .bell = bell };
}

/* --- the worker's part ----------------------------------------------------------------------- */

static void end(struct gateway_tls_lookup *lookup)
{
    const uint64_t one = 1;
    int bell = lookup->bell;

    list_remove(&lookup->node);
    gateway_names_release(lookup->names);
    lookup->names = NULL;
    /* The keeper may free it from here on. */
    atomic_store(&lookup->state, GATEWAY_TLS_LOOKUP_DONE);
    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (bell >= 0 && write(bell, &one, sizeof(one)) < 0)
        return;
}

static void take_record(struct gateway_tls_lookup *lookup, const struct dns_answer *a, size_t index)
{
    char text[OBSERVE_TLS_RECORD_BYTES_MAX + 1]; /* one more byte shows that it is too long */
    size_t len;

    if (!dns_answer_text(a, index, text, sizeof(text), &len) ||
        !observe_tls_record_is_one((struct slice){ text, len }))
        return;
    if (lookup->records_count++ > 0)
        return;
    memcpy(lookup->record, text, len);
    lookup->record_bytes = len;
}

static void take_address(struct gateway_tls_lookup *lookup, const struct dns_answer *a,
                         size_t index)
{
    struct ip_address address;

    if (lookup->addresses_count < GATEWAY_TLS_LOOKUP_ADDRESSES_MAX &&
        dns_answer_address(a, index, &address))
        lookup->addresses[lookup->addresses_count++] = address;
}

static void take(struct gateway_tls_lookup *lookup, const struct dns_answer *a)
{
    lookup->is_failed = lookup->is_failed || a->outcome == DNS_FAILED;
    for (size_t i = 0; i < a->records; i++) {
        if (lookup->kind == GATEWAY_TLS_LOOKUP_RECORD)
            take_record(lookup, a, i);
        else
            take_address(lookup, a, i);
    }
    if (!dns_query_is_running(&lookup->queries[0]) && !dns_query_is_running(&lookup->queries[1]))
        end(lookup);
}

static void on_first(struct dns_query *query, const struct dns_answer *a)
{
    take(CONTAINER_OF(query, struct gateway_tls_lookup, queries[0]), a);
}

static void on_second(struct dns_query *query, const struct dns_answer *a)
{
    take(CONTAINER_OF(query, struct gateway_tls_lookup, queries[1]), a);
}

static void deliver(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_tls_lookup *lookup = CONTAINER_OF(post, struct gateway_tls_lookup, post);
    struct gateway_worker *w = lookup->worker;
    struct slice name = slice_from(lookup->name);
    struct dns_source *source;

    ASSERT(w->loop == here);
    if (gateway_worker_is_stopping(w) || w->names == NULL) {
        lookup->is_failed = true;
        end(lookup);
        return;
    }
    /* A reload may replace the worker's names meanwhile. */
    lookup->names = gateway_names_acquire(w->names);
    source = gateway_names_source(lookup->names);
    list_append(&w->tls_gatherer.lookups, &lookup->node);
    if (lookup->kind == GATEWAY_TLS_LOOKUP_RECORD) {
        dns_query_start(&lookup->queries[0], source, name, DNS_TYPE_TXT, on_first);
        return;
    }
    dns_query_start(&lookup->queries[0], source, name, DNS_TYPE_A, on_first);
    dns_query_start(&lookup->queries[1], source, name, DNS_TYPE_AAAA, on_second);
}

void gateway_tls_lookups_stop(struct gateway_worker *worker)
{
    struct list_node *node;

    while ((node = list_take_first(&worker->tls_gatherer.lookups)) != NULL) {
        struct gateway_tls_lookup *lookup = CONTAINER_OF(node, struct gateway_tls_lookup, node);

        dns_query_cancel(&lookup->queries[0]);
        dns_query_cancel(&lookup->queries[1]);
        lookup->is_failed = true;
        end(lookup);
    }
}

/* --- the keeper's part ----------------------------------------------------------------------- */

bool gateway_tls_lookup_ask(struct gateway_tls_lookup *lookup, struct gateway_process *process)
{
    ASSERT(gateway_tls_lookup_state_of(lookup) == GATEWAY_TLS_LOOKUP_IDLE);
    lookup->worker = gateway_worker_choose(process);
    if (lookup->worker == NULL)
        return false;
    lookup->post.deliver = deliver;
    atomic_store(&lookup->state, GATEWAY_TLS_LOOKUP_ASKED);
    engine_mailbox_post(lookup->worker->loop, NULL, &lookup->post);
    return true;
}
