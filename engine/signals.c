#include "engine/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/check.h"

static void fill(sigset_t *set)
{
    static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1 };

    ASSERT(sigemptyset(set) == 0);
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        ASSERT(sigaddset(set, numbers[i]) == 0);
}

void engine_signals_block(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t set;

    fill(&set);
    ASSERT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    ASSERT(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

int engine_signals_wait(uint64_t timeout_ms)
{
    struct timespec timeout = { .tv_sec = (time_t)(timeout_ms / 1000),
                                .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
    sigset_t set;
    int number;

    fill(&set);
    number = sigtimedwait(&set, NULL, &timeout);
    ASSERT(number > 0 || errno == EAGAIN || errno == EINTR);
    return number > 0 ? number : 0;
}
