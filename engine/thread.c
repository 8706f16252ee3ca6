#include "engine/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "base/check.h"

/* The set that the process was started with, seen from a thread that is not pinned. */
static bool allowed_cpus(cpu_set_t *set_out)
{
    return sched_getaffinity(0, sizeof(*set_out), set_out) == 0 && CPU_COUNT(set_out) > 0;
}

static void pin(pthread_attr_t *attributes, int cpu)
{
    cpu_set_t allowed;
    cpu_set_t one;
    int wanted;

    if (cpu < 0 || !allowed_cpus(&allowed))
        return;
    wanted = cpu % CPU_COUNT(&allowed);
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &allowed) || wanted-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        (void)pthread_attr_setaffinity_np(attributes, sizeof(one), &one);
        return;
    }
}

static void *run(void *argument)
{
    struct engine_thread *thread = argument;

    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread);
    return NULL;
}

/* Signals stay blocked in the new thread from its first instruction on: the mask is inherited. */
static int create_blocked(struct engine_thread *thread, int cpu)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    int error;

    ASSERT(sigfillset(&all) == 0);
    ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    ASSERT(pthread_attr_init(&attributes) == 0);
    pin(&attributes, cpu);
    error = pthread_create(&thread->id, &attributes, run, thread);
    ASSERT(pthread_attr_destroy(&attributes) == 0);
    ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return error;
}

enum status engine_thread_start(struct engine_thread *thread, const char *name, int cpu,
                                void (*run_thread)(struct engine_thread *thread))
{
    int error;

    ASSERT(!thread->started && run_thread != NULL);
    thread->run = run_thread;
    thread->cpu = cpu;
    (void)snprintf(thread->name, sizeof(thread->name), "%s", name);
    error = create_blocked(thread, cpu);
    thread->started = error == 0;
    return status_from_errno(error);
}

void engine_thread_join(struct engine_thread *thread)
{
    if (!thread->started)
        return;
    ASSERT(pthread_join(thread->id, NULL) == 0);
    thread->started = false;
}

unsigned engine_thread_cpus(void)
{
    cpu_set_t allowed;

    return allowed_cpus(&allowed) ? (unsigned)CPU_COUNT(&allowed) : 1;
}
