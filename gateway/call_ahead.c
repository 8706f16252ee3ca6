#include "gateway/call_ahead.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/call_ahead_line.h"
#include "gateway/worker.h"

/* --- answers --------------------------------------------------------------------------------- */

static const char *word_of(enum gateway_call_ahead_verdict verdict)
{
    switch (verdict) {
    case GATEWAY_CALL_AHEAD_VALID: return "valid";
    case GATEWAY_CALL_AHEAD_INVALID: return "invalid";
    case GATEWAY_CALL_AHEAD_TEMPORARY: return "temporary";
    case GATEWAY_CALL_AHEAD_UNREACHABLE:
    case GATEWAY_CALL_AHEAD_STOPPING: break;
    }
    return "unreachable";
}

/* The whole line is escaped: the words of the host are anybody's. */
void gateway_call_ahead_tell(const struct gateway_call_ahead_question *q, const char *word,
                             struct slice why)
{
    const struct gateway_worker *w = q->line->ahead->worker;
    char remote[IP_ENDPOINT_MAX];

    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "MID %llu ICID %llu To: <%.*s> call-ahead to %s: %s%s%.*s",
                     (unsigned long long)q->mid, (unsigned long long)q->icid,
                     SLICE_ARGS(q->key.recipient),
                     ip_endpoint_format(&q->line->hops->endpoints[q->endpoint].address, remote),
                     word, why.len > 0 ? " " : "", SLICE_ARGS(why));
}

static void keep(const struct gateway_call_ahead_question *q,
                 enum gateway_call_ahead_verdict verdict)
{
    const struct config_call_ahead *settings = &gateway_view_settings(q->line->view)->call_ahead;
    struct gateway_call_ahead *ahead = q->line->ahead;
    struct gateway_call_ahead_key key = q->key;
    uint32_t seconds = 0;

    switch (verdict) {
    case GATEWAY_CALL_AHEAD_VALID: seconds = settings->positive_s; break;
    case GATEWAY_CALL_AHEAD_INVALID: seconds = settings->negative_s; break;
    case GATEWAY_CALL_AHEAD_TEMPORARY: seconds = settings->unreachable_s; break;
    case GATEWAY_CALL_AHEAD_UNREACHABLE:
        seconds = settings->unreachable_s;
        if (!q->is_tried)
            return; /* our own limits: says nothing of the host */
        if (!q->was_open)
            key.recipient = SLICE("");
        break;
    case GATEWAY_CALL_AHEAD_STOPPING: return;
    }
    gateway_call_ahead_cache_put(ahead->cache, &key, verdict, gateway_worker_now_ms(ahead->worker),
                                 (uint64_t)seconds * 1000);
}

void gateway_call_ahead_finish(struct gateway_call_ahead_question *q,
                               enum gateway_call_ahead_verdict verdict, struct slice why)
{
    struct gateway_call_ahead *ahead = q->line->ahead;
    struct list_node *node;

    ASSERT(q->connection == NULL);
    if (q->is_tried)
        gateway_call_ahead_tell(q, word_of(verdict), why);
    keep(q, verdict);
    engine_timer_stop(ahead->worker->loop, &q->timer);
    table_remove(&ahead->questions, &q->node);
    list_remove(&q->place);
    ahead->questions_count--;
    /* Where the line goes when this was its last question. */
    gateway_call_ahead_line_pump_soon(q->line);
    while ((node = list_take_first(&q->waiters)) != NULL) {
        struct gateway_call_ahead_waiter *waiter =
            CONTAINER_OF(node, struct gateway_call_ahead_waiter, node);

        waiter->question = NULL;
        ahead->waiters_count--;
        waiter->answered(waiter, verdict);
    }
    free(q);
}

/* --- questions ------------------------------------------------------------------------------- */

static void on_deadline(struct engine_timer *timer)
{
    struct gateway_call_ahead_question *q =
        CONTAINER_OF(timer, struct gateway_call_ahead_question, timer);

    if (q->connection != NULL)
        gateway_call_ahead_line_abandon(q);
    gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_UNREACHABLE, SLICE("timeout"));
}

static struct gateway_call_ahead_question *find(const struct gateway_call_ahead *ahead,
                                                const struct gateway_call_ahead_key *key,
                                                uint64_t hash)
{
    for (struct table_node *n = table_find(&ahead->questions, hash); n != NULL;
         n = table_find_next(n)) {
        struct gateway_call_ahead_question *q =
            CONTAINER_OF(n, struct gateway_call_ahead_question, node);

        if (gateway_call_ahead_key_equal(&q->key, key))
            return q;
    }
    return NULL;
}

/* NULL when there is no room or no memory for another one. */
static struct gateway_call_ahead_question *question_create(
    struct gateway_call_ahead *ahead, const struct gateway_call_ahead_request *request,
    const struct gateway_call_ahead_key *key, uint64_t hash)
{
    uint64_t timeout_ms =
        (uint64_t)gateway_view_settings(request->view)->call_ahead.timeout_s * 1000;
    struct gateway_call_ahead_question *q;
    struct gateway_call_ahead_line *line;

    if (ahead->questions_count >= GATEWAY_CALL_AHEAD_QUESTIONS_MAX)
        return NULL;
    q = calloc(1, sizeof(*q) + key->recipient.len);
    line = q != NULL ? gateway_call_ahead_line_get(ahead, request, key->route) : NULL;
    if (line == NULL) {
        free(q);
        return NULL;
    }
    list_init(&q->waiters);
    q->line = line;
    q->key = *key;
    q->key.recipient.data = q->text;
    memcpy(q->text, key->recipient.data, key->recipient.len);
    q->mid = request->mid;
    q->icid = request->icid;
    q->is_smtputf8 = request->smtputf8;
    q->deadline_ms = gateway_worker_now_ms(ahead->worker) + timeout_ms;
    engine_timer_start(ahead->worker->loop, &q->timer, timeout_ms, on_deadline);
    table_insert(&ahead->questions, &q->node, hash);
    ahead->questions_count++;
    list_append(&line->waiting, &q->place);
    gateway_call_ahead_line_pump_soon(line);
    return q;
}

/* Of the recipient, or of its whole route. */
static bool is_cached(struct gateway_call_ahead *ahead, const struct gateway_call_ahead_key *key,
                      enum gateway_call_ahead_verdict *verdict_out)
{
    uint64_t now_ms = gateway_worker_now_ms(ahead->worker);
    struct gateway_call_ahead_key whole = { .route = key->route };

    return gateway_call_ahead_cache_find(ahead->cache, key, now_ms, verdict_out) ||
           gateway_call_ahead_cache_find(ahead->cache, &whole, now_ms, verdict_out);
}

bool gateway_call_ahead_ask(struct gateway_call_ahead *ahead,
                            const struct gateway_call_ahead_request *request,
                            struct gateway_call_ahead_waiter *waiter,
                            enum gateway_call_ahead_verdict *verdict_out)
{
    struct gateway_worker *w = ahead->worker;
    const struct hash_seed *seed = &w->process->seed;
    struct gateway_call_ahead_key key = { gateway_call_ahead_route_number(seed, request),
                                          request->recipient };
    uint64_t hash = gateway_call_ahead_key_hash(seed, &key);
    struct gateway_call_ahead_question *q;

    ASSERT(waiter->question == NULL && waiter->answered != NULL);
    ASSERT(key.recipient.len > 0);
    if (is_cached(ahead, &key, verdict_out)) {
        observe_count(&w->counters, OBSERVE_CALL_AHEAD_CACHED, 1);
        return true;
    }
    *verdict_out = GATEWAY_CALL_AHEAD_STOPPING;
    if (ahead->is_stopping)
        return true;
    q = find(ahead, &key, hash);
    if (q == NULL && ahead->waiters_count < GATEWAY_CALL_AHEAD_WAITERS_MAX)
        q = question_create(ahead, request, &key, hash);
    if (q == NULL || ahead->waiters_count >= GATEWAY_CALL_AHEAD_WAITERS_MAX) {
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "MID %llu ICID %llu To: <%.*s> call-ahead: too many questions",
                         (unsigned long long)request->mid, (unsigned long long)request->icid,
                         SLICE_ARGS(request->recipient));
        *verdict_out = GATEWAY_CALL_AHEAD_UNREACHABLE;
        return true;
    }
    list_append(&q->waiters, &waiter->node);
    waiter->question = q;
    ahead->waiters_count++;
    return false;
}

void gateway_call_ahead_forget(struct gateway_call_ahead_waiter *waiter)
{
    struct gateway_call_ahead_question *q = waiter->question;

    if (q == NULL)
        return;
    list_remove(&waiter->node);
    waiter->question = NULL;
    q->line->ahead->waiters_count--;
    /* What has begun goes on: the answer will be wanted again. */
    if (list_is_empty(&q->waiters) && !q->is_tried)
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_STOPPING, SLICE(""));
}

/* --- the whole ------------------------------------------------------------------------------- */

void gateway_call_ahead_stop(struct gateway_call_ahead *ahead)
{
    struct table_node *node;

    ahead->is_stopping = true;
    while ((node = table_any(&ahead->questions)) != NULL) {
        struct gateway_call_ahead_question *q =
            CONTAINER_OF(node, struct gateway_call_ahead_question, node);

        if (q->connection != NULL)
            gateway_call_ahead_line_abandon(q);
        gateway_call_ahead_finish(q, GATEWAY_CALL_AHEAD_STOPPING, SLICE("shutting down"));
    }
    gateway_call_ahead_line_quit_idle(ahead);
    ASSERT(ahead->connections_count == 0 && ahead->waiters_count == 0);
}

void gateway_call_ahead_reset(struct gateway_call_ahead *ahead)
{
    ASSERT(ahead->is_stopping);
    TABLE_FOR_EACH (node, &ahead->lines) {
        LIST_FOR_EACH (c, &CONTAINER_OF(node, struct gateway_call_ahead_line, node)->connections) {
            gateway_verifier_drop(
                &CONTAINER_OF(c, struct gateway_call_ahead_connection, node)->verifier);
        }
    }
}

enum status gateway_call_ahead_create(struct gateway_worker *worker,
                                      struct gateway_call_ahead **ahead_out)
{
    struct gateway_call_ahead *ahead = calloc(1, sizeof(*ahead));

    if (ahead == NULL)
        return STATUS_NO_MEMORY;
    ahead->worker = worker;
    list_init(&ahead->idle);
    if (table_init(&ahead->questions) != STATUS_OK || table_init(&ahead->lines) != STATUS_OK ||
        gateway_call_ahead_cache_create(&worker->process->seed, GATEWAY_CALL_AHEAD_CACHE_MAX,
                                        &ahead->cache) != STATUS_OK) {
        gateway_call_ahead_destroy(ahead);
        return STATUS_NO_MEMORY;
    }
    *ahead_out = ahead;
    return STATUS_OK;
}

void gateway_call_ahead_destroy(struct gateway_call_ahead *ahead)
{
    struct table_node *node;

    if (ahead == NULL)
        return;
    ASSERT(ahead->questions_count == 0 && ahead->connections_count == 0);
    /* The loop may have ended before the last tasks had their turn. */
    while ((node = table_any(&ahead->lines)) != NULL)
        gateway_call_ahead_line_destroy(CONTAINER_OF(node, struct gateway_call_ahead_line, node));
    table_finish(&ahead->lines);
    table_finish(&ahead->questions);
    gateway_call_ahead_cache_destroy(ahead->cache);
    free(ahead);
}
