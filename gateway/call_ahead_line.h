/* gateway/call_ahead_line.h - inside call-ahead: the questions, and the connections to one route.
 *
 * For call_ahead.c, which has the questions and their answers, and call_ahead_line.c, which puts
 * them to the hosts of a route. A question is in one of two places: in the `waiting` list of its
 * line, or bound to a connection of it. All that moves questions on runs as a task of the loop, so
 * that nothing here calls back into a session that is just asking.
 */
#pragma once
#include "base/table.h"
#include "gateway/call_ahead.h"
#include "gateway/verifier.h"

struct gateway_call_ahead {
    struct gateway_worker *worker;
    struct gateway_call_ahead_cache *cache;
    struct table questions;
    struct table lines;
    struct list idle; /* connections, the one idle for the longest first */
    size_t questions_count;
    size_t waiters_count;
    size_t connections_count; /* without those that are gone */
    bool is_stopping;
};

/* What goes to the same hosts by the same rules of one view. */
struct gateway_call_ahead_line {
    struct table_node node; /* its hash is the route of the questions' keys */
    struct gateway_call_ahead *ahead;
    struct gateway_view *view;
    struct gateway_next_hops *hops;               /* counted */
    const struct policy_destination *destination; /* of the view */
    struct engine_task task;
    struct list waiting;
    struct list connections;  /* with those that are gone */
    size_t connections_count; /* without them */
    size_t domain_len;
    char domain[];
};

struct gateway_call_ahead_question {
    struct table_node node;
    struct list_node place; /* in line->waiting */
    struct list waiters;
    struct gateway_call_ahead_line *line;
    struct gateway_call_ahead_connection *connection; /* NULL: it waits */
    struct engine_timer timer;
    uint64_t deadline_ms;
    struct gateway_call_ahead_key key;
    uint64_t mid, icid; /* of who asked first */
    size_t endpoint;    /* of the line's hops */
    bool is_smtputf8;
    bool is_tried;    /* a connection was opened, or asked, for it */
    bool was_open;    /* one of them got as far as to be asked */
    bool is_repeated; /* it was put on a connection that turned out to be closed, or whose
                         handshake failed for what the next one does without */
    char text[];      /* of the key */
};

struct gateway_call_ahead_connection {
    struct gateway_verifier verifier;
    struct list_node node; /* in line->connections */
    struct list_node idle;
    struct gateway_call_ahead_line *line;
    struct gateway_call_ahead_question *question; /* NULL: idle, or gone */
    size_t endpoint;
    unsigned answers, refusals;
    bool is_gone;
};

/* The route of a key: equal for the same endpoints by the same TLS rules; where a certificate is
 * checked, also for the same domain, which may be in it, the same names of hosts and the same TLSA
 * records. */
uint64_t gateway_call_ahead_route_number(const struct hash_seed *seed,
                                         const struct gateway_call_ahead_request *request);

/* The line of the request, a new one if need be; NULL: no memory. One without questions and
 * connections goes with its next pump. */
struct gateway_call_ahead_line *gateway_call_ahead_line_get(
    struct gateway_call_ahead *ahead, const struct gateway_call_ahead_request *request,
    uint64_t number);
void gateway_call_ahead_line_pump_soon(struct gateway_call_ahead_line *line);
void gateway_call_ahead_line_destroy(struct gateway_call_ahead_line *line);

/* Takes a bound question off its connection, which is of no more use. */
void gateway_call_ahead_line_abandon(struct gateway_call_ahead_question *q);

/* Says QUIT on all connections that wait for a question. */
void gateway_call_ahead_line_quit_idle(struct gateway_call_ahead *ahead);

/* call_ahead.c: the end of a question that is bound to no connection; it is freed. */
void gateway_call_ahead_finish(struct gateway_call_ahead_question *q,
                               enum gateway_call_ahead_verdict verdict, struct slice why);

/* call_ahead.c: the line in the log, about the endpoint that the question is at. */
void gateway_call_ahead_tell(const struct gateway_call_ahead_question *q, const char *word,
                             struct slice why);
