#include "gateway/host_marks.h"

#include <assert.h>
#include <stdlib.h>

struct mark {
    struct table_node by_host;
    struct list_node by_age;
    struct ip_endpoint host;
    uint64_t until_ms;
};

static_assert(sizeof(struct mark) <= 64, "as the header has it");
static_assert(sizeof(struct ip_endpoint) == 16 + 2, "all of its bytes are hashed");

enum status gateway_host_marks_init(struct gateway_host_marks *marks, const struct hash_seed *seed,
                                    uint64_t keep_ms)
{
    ASSERT(keep_ms > 0);
    *marks = (struct gateway_host_marks){ .seed = *seed, .keep_ms = keep_ms };
    list_init(&marks->by_age);
    return table_init(&marks->by_host);
}

static struct mark *oldest(const struct gateway_host_marks *marks)
{
    return CONTAINER_OF(marks->by_age.head.next, struct mark, by_age);
}

static void take_out(struct gateway_host_marks *marks, struct mark *m)
{
    ASSERT(marks->count > 0);
    table_remove(&marks->by_host, &m->by_host);
    list_remove(&m->by_age);
    marks->count--;
}

static void forget(struct gateway_host_marks *marks, struct mark *m)
{
    take_out(marks, m);
    free(m);
}

void gateway_host_marks_finish(struct gateway_host_marks *marks)
{
    while (marks->count > 0)
        forget(marks, oldest(marks));
    table_finish(&marks->by_host);
}

static uint64_t hash_of(const struct gateway_host_marks *marks, const struct ip_endpoint *host)
{
    return hash_bytes(&marks->seed, (struct slice){ (const char *)host, sizeof(*host) });
}

/* Also one whose time is over; NULL: it is not there. */
static struct mark *find(const struct gateway_host_marks *marks, uint64_t hash,
                         const struct ip_endpoint *host)
{
    for (struct table_node *n = table_find(&marks->by_host, hash); n != NULL;
         n = table_find_next(n)) {
        struct mark *m = CONTAINER_OF(n, struct mark, by_host);

        if (ip_endpoint_equal(&m->host, host))
            return m;
    }
    return NULL;
}

bool gateway_host_marks_has(const struct gateway_host_marks *marks, uint64_t now_ms,
                            const struct ip_endpoint *host)
{
    const struct mark *m = find(marks, hash_of(marks, host), host);

    return m != NULL && m->until_ms > now_ms;
}

/* A mark of nobody; NULL: no memory. */
static struct mark *vacant(struct gateway_host_marks *marks)
{
    struct mark *m = NULL;

    if (marks->count < GATEWAY_HOST_MARKS_MAX)
        m = calloc(1, sizeof(*m));
    if (m == NULL && marks->count > 0) {
        m = oldest(marks);
        take_out(marks, m);
    }
    return m;
}

bool gateway_host_marks_add(struct gateway_host_marks *marks, uint64_t now_ms,
                            const struct ip_endpoint *host)
{
    uint64_t hash = hash_of(marks, host);
    struct mark *m;

    while (marks->count > 0 && oldest(marks)->until_ms <= now_ms)
        forget(marks, oldest(marks));
    m = find(marks, hash, host);
    if (m != NULL)
        take_out(marks, m);
    else
        m = vacant(marks);
    if (m == NULL)
        return false;
    m->host = *host;
    m->until_ms = now_ms + marks->keep_ms;
    table_insert(&marks->by_host, &m->by_host, hash);
    list_append(&marks->by_age, &m->by_age);
    marks->count++;
    return true;
}

bool gateway_host_marks_take(struct gateway_host_marks *marks, uint64_t now_ms,
                             const struct ip_endpoint *host)
{
    struct mark *m = find(marks, hash_of(marks, host), host);
    bool is_good = m != NULL && m->until_ms > now_ms;

    if (m != NULL)
        forget(marks, m);
    return is_good;
}

size_t gateway_host_marks_count(const struct gateway_host_marks *marks)
{
    return marks->count;
}
