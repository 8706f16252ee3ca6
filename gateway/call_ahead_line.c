#include "gateway/call_ahead_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/worker.h"

static void pump(struct engine_task *task);

void gateway_call_ahead_line_pump_soon(struct gateway_call_ahead_line *line)
{
    engine_loop_defer(line->ahead->worker->loop, &line->task, pump);
}

/* --- routes ---------------------------------------------------------------------------------- */

/* What a host has to show, besides how it is checked: by another name, or other TLSA records, what
 * a connection was found to be says nothing. Their order is nobody's. */
static uint64_t proof_number(const struct hash_seed *seed, const struct gateway_next_host *host)
{
    uint64_t number = hash_text_nocase(seed, slice_from(host->name));

    for (size_t i = 0; host->tlsa != NULL && i < host->tlsa->records_count; i++) {
        const struct tls_dane_record *r = &host->tlsa->records[i];
        uint64_t kind =
            (uint64_t)r->usage << 16 | (uint64_t)r->selector << 8 | (uint64_t)r->matching;

        number += hash_number(hash_bytes(seed, r->data) ^ hash_number(kind));
    }
    return number;
}

/* What hosts of equal preference are first is drawn by lot each time, and so makes no difference.
 */
uint64_t gateway_call_ahead_route_number(const struct hash_seed *seed,
                                         const struct gateway_call_ahead_request *request)
{
    const struct gateway_next_hops *hops = request->hops;
    uint64_t number = hash_number(hops->endpoints_count);
    bool is_checked = false;

    for (size_t i = 0; i < hops->endpoints_count; i++) {
        const struct delivery_endpoint *endpoint = &hops->endpoints[i];
        const struct gateway_next_host *host = gateway_next_hops_host(hops, i);
        const struct policy_tls_demand *demand = &host->demand;
        uint64_t rule = (uint64_t)endpoint->preference << 32 | (uint64_t)demand->check << 16 |
                        (uint64_t)demand->is_check_required << 9 |
                        (uint64_t)demand->is_required << 8 | demand->is_wanted;
        char text[IP_ENDPOINT_MAX];

        if (demand->check != POLICY_TLS_CHECK_NONE) {
            is_checked = true;
            rule ^= proof_number(seed, host);
        }
        number +=
            hash_number(hash_bytes(seed, slice_from(ip_endpoint_format(&endpoint->address, text))) ^
                        hash_number(rule));
    }
    return is_checked ? number ^ hash_text_nocase(seed, request->domain) : number;
}

static void unbind(struct gateway_call_ahead_question *q)
{
    ASSERT(q->connection->question == q);
    q->connection->question = NULL;
    q->connection = NULL;
}

static void wait_in_front(struct gateway_call_ahead_question *q)
{
    list_prepend(&q->line->waiting, &q->place);
    gateway_call_ahead_line_pump_soon(q->line);
}

/* This host did not answer the question. */
static void try_next(struct gateway_call_ahead_question *q, struct slice why)
{
    if (q->endpoint + 1 == q->line->hops->endpoints_count) {
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_UNREACHABLE, why);
        return;
    }
    gateway_call_ahead_tell(q, "failed, the next host is tried:", why);
    q->endpoint++;
    wait_in_front(q);
}

/* --- connections ----------------------------------------------------------------------------- */

static struct gateway_call_ahead_connection *connection_of(struct gateway_verifier *v)
{
    return CONTAINER_OF(v, struct gateway_call_ahead_connection, verifier);
}

static void note_gone(struct gateway_call_ahead_connection *c)
{
    ASSERT(!c->is_gone);
    c->is_gone = true;
    list_remove(&c->idle);
    c->line->connections_count--;
    c->line->ahead->connections_count--;
    gateway_call_ahead_line_pump_soon(c->line);
}

void gateway_call_ahead_line_abandon(struct gateway_call_ahead_question *q)
{
    struct gateway_call_ahead_connection *c = q->connection;

    unbind(q);
    note_gone(c);
    gateway_verifier_drop(&c->verifier);
}

static void note_tried(struct gateway_call_ahead_question *q)
{
    if (!q->is_tried)
        observe_count(&q->line->ahead->worker->counters, OBSERVE_CALL_AHEADS, 1);
    q->is_tried = true;
}

static void ask(struct gateway_call_ahead_connection *c)
{
    list_remove(&c->idle);
    note_tried(c->question);
    c->question->was_open = true;
    gateway_verifier_ask(&c->verifier, c->question->key.recipient, c->question->is_smtputf8);
}

static void on_opened(struct gateway_verifier *v)
{
    ask(connection_of(v));
}

static enum gateway_call_ahead_verdict verdict_of(const struct smtp_reply *reply)
{
    return smtp_reply_is_positive(reply)    ? GATEWAY_CALL_AHEAD_VALID
           : smtp_reply_is_permanent(reply) ? GATEWAY_CALL_AHEAD_INVALID
                                            : GATEWAY_CALL_AHEAD_TEMPORARY;
}

static void on_answered(struct gateway_verifier *v, const struct smtp_client_event *done)
{
    struct gateway_call_ahead_connection *c = connection_of(v);
    struct gateway_call_ahead_question *q = c->question;
    const struct smtp_reply *reply = &done->reply;
    char text[GATEWAY_VERIFIER_REPLY_MAX], why[sizeof(text) + 32];
    bool is_answer = done->stage == SMTP_CLIENT_STAGE_RCPT;
    bool is_valid = is_answer && smtp_reply_is_positive(reply);

    c->answers++;
    c->refusals += !is_valid;
    (void)snprintf(why, sizeof(why), "%s%s", is_answer ? "" : "the question was refused: ",
                   is_valid ? "" : gateway_verifier_reply_text(reply, text));
    unbind(q);
    if (is_answer)
        gateway_call_ahead_finish(q, verdict_of(reply), slice_from(why));
    else
        try_next(q, slice_from(why));
    if (c->answers >= GATEWAY_CALL_AHEAD_ANSWERS_MAX ||
        c->refusals >= GATEWAY_CALL_AHEAD_REFUSALS_MAX) {
        gateway_verifier_quit(v);
        return;
    }
    list_append(&c->line->ahead->idle, &c->idle);
    gateway_call_ahead_line_pump_soon(c->line);
}

static void on_gone(struct gateway_verifier *v, struct slice why)
{
    struct gateway_call_ahead_connection *c = connection_of(v);
    struct gateway_call_ahead_question *q = c->question;

    note_gone(c);
    if (q == NULL)
        return;
    unbind(q);
    if (q->is_repeated || (c->answers == 0 && !gateway_verifier_is_curable(v))) {
        try_next(q, why);
        return;
    }
    q->is_repeated = true;
    wait_in_front(q);
}

static void on_closed(struct gateway_verifier *v)
{
    struct gateway_call_ahead_connection *c = connection_of(v);

    ASSERT(c->is_gone && c->question == NULL);
    list_remove(&c->node);
    gateway_call_ahead_line_pump_soon(c->line);
    free(c);
}

/* Opens a connection for the question; false when there is no memory. */
static bool open_for(struct gateway_call_ahead_question *q)
{
    static const struct gateway_verifier_handlers handlers = {
        .opened = on_opened,
        .answered = on_answered,
        .gone = on_gone,
        .closed = on_closed,
    };
    struct gateway_verifier_target target;
    struct gateway_call_ahead_line *line = q->line;
    struct gateway_worker *w = line->ahead->worker;
    uint64_t now_ms = gateway_worker_now_ms(w);
    uint64_t left_ms = q->deadline_ms > now_ms ? q->deadline_ms - now_ms : 0;
    uint64_t share_ms = left_ms / (line->hops->endpoints_count - q->endpoint);
    struct gateway_call_ahead_connection *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return false;
    c->line = line;
    c->endpoint = q->endpoint;
    c->question = q;
    q->connection = c;
    note_tried(q);
    list_append(&line->connections, &c->node);
    line->connections_count++;
    line->ahead->connections_count++;
    target = (struct gateway_verifier_target){
        .view = line->view,
        .destination = line->destination,
        .domain = { line->domain, line->domain_len },
        .hops = line->hops,
        .endpoint = c->endpoint,
    };
    gateway_verifier_open(&c->verifier, w, &handlers, &target, share_ms > 0 ? share_ms : 1);
    return true;
}

/* --- lines ----------------------------------------------------------------------------------- */

static struct gateway_call_ahead_connection *idle_of(const struct gateway_call_ahead_line *line,
                                                     size_t endpoint)
{
    LIST_FOR_EACH (node, &line->connections) {
        struct gateway_call_ahead_connection *c =
            CONTAINER_OF(node, struct gateway_call_ahead_connection, node);

        if (list_is_linked(&c->idle) && c->endpoint == endpoint)
            return c;
    }
    return NULL;
}

/* Whether the line may have one more connection. One that is idle makes room. */
static bool has_room(struct gateway_call_ahead_line *line)
{
    struct gateway_call_ahead *ahead = line->ahead;

    if (line->connections_count >= GATEWAY_CALL_AHEAD_PER_ROUTE_MAX) {
        LIST_FOR_EACH (node, &line->connections) {
            struct gateway_call_ahead_connection *c =
                CONTAINER_OF(node, struct gateway_call_ahead_connection, node);

            if (list_is_linked(&c->idle)) {
                gateway_verifier_quit(&c->verifier);
                return true;
            }
        }
        return false;
    }
    if (ahead->connections_count < GATEWAY_CALL_AHEAD_CONNECTIONS_MAX)
        return true;
    if (list_is_empty(&ahead->idle))
        return false;
    gateway_verifier_quit(
        &CONTAINER_OF(ahead->idle.head.next, struct gateway_call_ahead_connection, idle)->verifier);
    return true;
}

static bool is_known_unreachable(struct gateway_call_ahead_line *line)
{
    struct gateway_call_ahead_key key = { .route = line->node.hash };
    enum gateway_call_ahead_verdict verdict;

    return gateway_call_ahead_cache_find(line->ahead->cache, &key,
                                         gateway_worker_now_ms(line->ahead->worker), &verdict);
}

/* Gives a waiting question what it needs; false: it has to wait on. */
static bool move_on(struct gateway_call_ahead_question *q)
{
    struct gateway_call_ahead_line *line = q->line;
    struct gateway_call_ahead_connection *c = idle_of(line, q->endpoint);

    if (c == NULL && is_known_unreachable(line)) {
        list_remove(&q->place);
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_UNREACHABLE,
                                  SLICE("as for another recipient"));
        return true;
    }
    if (c == NULL && !has_room(line)) {
        if (line->connections_count > 0)
            return false;
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_UNREACHABLE, SLICE("too many connections"));
        return true;
    }
    list_remove(&q->place);
    if (c != NULL) {
        c->question = q;
        q->connection = c;
        ask(c);
    } else if (!open_for(q)) {
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_UNREACHABLE, SLICE("no memory"));
    }
    return true;
}

void gateway_call_ahead_line_quit_idle(struct gateway_call_ahead *ahead)
{
    while (!list_is_empty(&ahead->idle))
        gateway_verifier_quit(
            &CONTAINER_OF(ahead->idle.head.next, struct gateway_call_ahead_connection, idle)
                 ->verifier);
}

void gateway_call_ahead_line_destroy(struct gateway_call_ahead_line *line)
{
    table_remove(&line->ahead->lines, &line->node);
    gateway_next_hops_release(line->hops);
    gateway_view_release(line->view);
    free(line);
}

/* The only place that frees a line. A question belongs to it while it waits or is bound. */
static void pump(struct engine_task *task)
{
    struct gateway_call_ahead_line *line = CONTAINER_OF(task, struct gateway_call_ahead_line, task);

    while (!list_is_empty(&line->waiting)) {
        struct list_node *first = line->waiting.head.next;

        if (!move_on(CONTAINER_OF(first, struct gateway_call_ahead_question, place)))
            return;
    }
    if (list_is_empty(&line->connections)) {
        engine_loop_defer_cancel(line->ahead->worker->loop, &line->task); /* asked for meanwhile */
        gateway_call_ahead_line_destroy(line);
    }
}

struct gateway_call_ahead_line *gateway_call_ahead_line_get(
    struct gateway_call_ahead *ahead, const struct gateway_call_ahead_request *request,
    uint64_t number)
{
    struct gateway_call_ahead_line *line;

    for (struct table_node *n = table_find(&ahead->lines, number); n != NULL;
         n = table_find_next(n)) {
        line = CONTAINER_OF(n, struct gateway_call_ahead_line, node);
        if (line->view == request->view)
            return line;
    }
    line = calloc(1, sizeof(*line) + request->domain.len);
    if (line == NULL)
        return NULL;
    line->ahead = ahead;
    line->view = gateway_view_acquire(request->view);
    line->hops = gateway_next_hops_acquire(request->hops);
    line->destination =
        policy_destination_find(gateway_view_policy(request->view), request->domain);
    line->domain_len = request->domain.len;
    memcpy(line->domain, request->domain.data, request->domain.len);
    list_init(&line->waiting);
    list_init(&line->connections);
    table_insert(&ahead->lines, &line->node, number);
    return line;
}
