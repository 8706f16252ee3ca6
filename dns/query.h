/* dns/query.h - one question, embedded in whoever asks it, and where answers come from.
 *
 *     start -> done(query, answer)     once, never from inside start
 *          \-> cancel                  done is not called any more
 *
 * A source answers queries: the resolver (dns/resolver.h), or a test's. A query that was answered
 * or cancelled may be started again or freed, also from inside its own done().
 */
#pragma once
#include "base/list.h"
#include "dns/answer.h"

struct dns_source;
struct dns_ticket;

struct dns_query { /* Fields are private. Zeroed at first. */
    struct list_node node;
    struct dns_source *source; /* NULL: not running */
    struct dns_ticket *ticket; /* the source's */
    const char *refusal;       /* the source's */
    enum dns_type type;
    void (*done)(struct dns_query *q, const struct dns_answer *answer);
};

struct dns_source {
    const struct dns_source_ops *ops;
};

struct dns_source_ops {
    /* Takes up a query; q->type, q->node, q->ticket and q->refusal are the source's to use. name is
     * valid and in lower case, or "": what was asked can be no name, the answer is DNS_NO_NAME. It
     * is borrowed for the call. */
    void (*start)(struct dns_source *s, struct dns_query *q, const char *name);
    void (*cancel)(struct dns_source *s, struct dns_query *q);
};

/* q is not running. name is borrowed for the call; a final dot does not matter. The answer and
 * what it points to live until done() returns. */
void dns_query_start(struct dns_query *q, struct dns_source *source, struct slice name,
                     enum dns_type type,
                     void (*done)(struct dns_query *q, const struct dns_answer *answer));

/* Does nothing to a query that is not running. */
void dns_query_cancel(struct dns_query *q);

static inline bool dns_query_is_running(const struct dns_query *q)
{
    return q->source != NULL;
}

/* For sources: the end of a running query. q may be gone afterwards. */
void dns_query_answer(struct dns_query *q, const struct dns_answer *answer);
