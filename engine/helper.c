#include "engine/helper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/thread.h"

struct engine_helper {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list waiting; /* under lock, as are the next two */
    unsigned waiting_count;
    bool ending;
    unsigned waiting_max;
    unsigned threads_count;
    struct helper_thread {
        struct engine_thread thread;
        struct engine_helper *helper;
    } threads[ENGINE_HELPER_THREADS_MAX];
};

static void deliver_done(struct engine_loop *here, struct engine_message *m)
{
    struct engine_job *job = CONTAINER_OF(m, struct engine_job, message);

    ASSERT(job->loop == here);
    job->done(here, job); /* the job may be gone now */
}

static void run_job(struct engine_job *job, struct engine_loop *from_or_null)
{
    job->run(job);
    engine_mailbox_post(job->loop, from_or_null, &job->message);
}

/* NULL when the helper is ending and nothing waits any more. */
static struct engine_job *next_job(struct engine_helper *h)
{
    struct list_node *n;

    ASSERT(pthread_mutex_lock(&h->lock) == 0);
    while (list_is_empty(&h->waiting) && !h->ending)
        ASSERT(pthread_cond_wait(&h->wake, &h->lock) == 0);
    n = list_take_first(&h->waiting);
    if (n != NULL)
        h->waiting_count--;
    ASSERT(pthread_mutex_unlock(&h->lock) == 0);
    return n != NULL ? CONTAINER_OF(n, struct engine_job, node) : NULL;
}

static void run_thread(struct engine_thread *thread)
{
    struct engine_helper *h = CONTAINER_OF(thread, struct helper_thread, thread)->helper;
    struct engine_job *job;

    while ((job = next_job(h)) != NULL)
        run_job(job, NULL);
}

enum status engine_helper_create(unsigned threads, unsigned jobs_max,
                                 struct engine_helper **helper_out)
{
    struct engine_helper *h = calloc(1, sizeof(*h));

    ASSERT(threads <= ENGINE_HELPER_THREADS_MAX && jobs_max > 0);
    if (h == NULL)
        return STATUS_NO_MEMORY;
    ASSERT(pthread_mutex_init(&h->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&h->wake, NULL) == 0);
    list_init(&h->waiting);
    h->waiting_max = jobs_max;
    for (unsigned i = 0; i < threads; i++) {
        struct helper_thread *t = &h->threads[i];
        char name[ENGINE_THREAD_NAME_MAX];
        enum status status;

        t->helper = h;
        (void)snprintf(name, sizeof(name), "helper %u", i % ENGINE_HELPER_THREADS_MAX);
        status = engine_thread_start(&t->thread, name, ENGINE_THREAD_ANY_CPU, run_thread);
        if (status != STATUS_OK) {
            engine_helper_destroy(h);
            return status;
        }
        h->threads_count++;
    }
    *helper_out = h;
    return STATUS_OK;
}

void engine_helper_destroy(struct engine_helper *helper)
{
    if (helper == NULL)
        return;
    ASSERT(pthread_mutex_lock(&helper->lock) == 0);
    helper->ending = true;
    ASSERT(pthread_cond_broadcast(&helper->wake) == 0);
    ASSERT(pthread_mutex_unlock(&helper->lock) == 0);
    for (unsigned i = 0; i < helper->threads_count; i++)
        engine_thread_join(&helper->threads[i].thread);
    ASSERT(list_is_empty(&helper->waiting));
    ASSERT(pthread_cond_destroy(&helper->wake) == 0);
    ASSERT(pthread_mutex_destroy(&helper->lock) == 0);
    free(helper);
}

enum status engine_helper_submit(struct engine_helper *helper, struct engine_loop *loop,
                                 struct engine_job *job)
{
    bool full;

    ASSERT(job->run != NULL && job->done != NULL);
    job->loop = loop;
    job->message.deliver = deliver_done;
    if (helper->threads_count == 0) {
        run_job(job, loop);
        return STATUS_OK;
    }
    ASSERT(pthread_mutex_lock(&helper->lock) == 0);
    full = helper->waiting_count >= helper->waiting_max;
    if (!full) {
        list_append(&helper->waiting, &job->node);
        helper->waiting_count++;
        ASSERT(pthread_cond_signal(&helper->wake) == 0);
    }
    ASSERT(pthread_mutex_unlock(&helper->lock) == 0);
    return full ? STATUS_LIMIT : STATUS_OK;
}
