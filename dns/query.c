#include "dns/query.h"

void dns_query_start(struct dns_query *q, struct dns_source *source, struct slice name,
                     enum dns_type type,
                     void (*done)(struct dns_query *q, const struct dns_answer *answer))
{
    char text[DNS_NAME_MAX];

    ASSERT(q->source == NULL && done != NULL);
    (void)dns_name_copy(name, text);
    *q = (struct dns_query){ .source = source, .type = type, .done = done };
    source->ops->start(source, q, text);
}

void dns_query_cancel(struct dns_query *q)
{
    if (q->source == NULL)
        return;
    q->source->ops->cancel(q->source, q);
    ASSERT(!list_is_linked(&q->node));
    q->source = NULL;
    q->ticket = NULL;
}

void dns_query_answer(struct dns_query *q, const struct dns_answer *answer)
{
    ASSERT(q->source != NULL && !list_is_linked(&q->node));
    q->source = NULL;
    q->ticket = NULL;
    q->done(q, answer); /* q may be gone now */
}
