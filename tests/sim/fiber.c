#include "tests/sim/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/sim/world.h"

#define STACK_BYTES ((size_t)1 << 20) /* of address space; a page counts when it is touched */
#define NAME_MAX_   24

struct sim_fiber {
    ucontext_t context;
    char name[NAME_MAX_];
    void (*run)(void *subject);
    void *subject;
    char *stack;
    void *sanitizer;
    uint64_t turn; /* an event of an earlier one comes too late */
    bool is_parked;
    bool is_woken;
    bool has_ended;
};

struct wake_up {
    struct sim_fiber *fiber;
    uint64_t turn;
    bool is_woken;
};

static struct {
    ucontext_t context;
    struct sim_fiber *current;
    void *sanitizer;
    const void *stack;
    size_t stack_bytes;
} scheduler;

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                     size_t *size_old);

static void switch_begins(void **saved, const void *bottom, size_t bytes)
{
    __sanitizer_start_switch_fiber(saved, bottom, bytes);
}

static void switch_is_over(void *saved, const void **bottom_out, size_t *bytes_out)
{
    __sanitizer_finish_switch_fiber(saved, bottom_out, bytes_out);
}
#else
static void switch_begins(void **saved, const void *bottom, size_t bytes)
{
    (void)saved;
    (void)bottom;
    (void)bytes;
}

static void switch_is_over(void *saved, const void **bottom_out, size_t *bytes_out)
{
    (void)saved;
    (void)bottom_out;
    (void)bytes_out;
}
#endif

/* Back to the scheduler, and on from here some day. */
static void leave(struct sim_fiber *fiber)
{
    scheduler.current = NULL;
    switch_begins(&fiber->sanitizer, scheduler.stack, scheduler.stack_bytes);
    ASSERT(swapcontext(&fiber->context, &scheduler.context) == 0);
    switch_is_over(fiber->sanitizer, &scheduler.stack, &scheduler.stack_bytes);
}

static void begin(void)
{
    struct sim_fiber *fiber = scheduler.current;

    switch_is_over(NULL, &scheduler.stack, &scheduler.stack_bytes);
    fiber->run(fiber->subject);
    fiber->has_ended = true;
    leave(fiber);
    UNREACHABLE();
}

static void resume(struct sim_fiber *fiber)
{
    ASSERT(scheduler.current == NULL && !fiber->has_ended);
    fiber->turn++;
    fiber->is_parked = false;
    scheduler.current = fiber;
    switch_begins(&scheduler.sanitizer, fiber->stack, STACK_BYTES);
    ASSERT(swapcontext(&scheduler.context, &fiber->context) == 0);
    switch_is_over(scheduler.sanitizer, NULL, NULL);
}

static void on_wake_up(void *subject)
{
    struct wake_up *taken = subject;
    struct wake_up w = *taken;

    free(taken);
    if (w.turn != w.fiber->turn)
        return;
    w.fiber->is_woken = w.is_woken;
    resume(w.fiber);
}

static void wake_after(struct sim_fiber *fiber, uint64_t us, bool is_woken)
{
    struct wake_up *w = sim_allocate(sizeof(*w));

    *w = (struct wake_up){ .fiber = fiber, .turn = fiber->turn, .is_woken = is_woken };
    sim_after_in_life(us, on_wake_up, w);
}

struct sim_fiber *sim_fiber_start(const char *name, void (*run)(void *subject), void *subject)
{
    struct sim_fiber *fiber = sim_allocate(sizeof(*fiber));

    (void)snprintf(fiber->name, sizeof(fiber->name), "%s", name);
    fiber->run = run;
    fiber->subject = subject;
    fiber->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(fiber->stack != MAP_FAILED);
    ASSERT(getcontext(&fiber->context) == 0);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, begin, 0);
    wake_after(fiber, 0, true);
    return fiber;
}

struct sim_fiber *sim_fiber_current(void)
{
    return scheduler.current;
}

const char *sim_fiber_name(const struct sim_fiber *fiber)
{
    return fiber != NULL ? fiber->name : "world";
}

bool sim_fiber_has_ended(const struct sim_fiber *fiber)
{
    return fiber->has_ended;
}

void sim_fiber_sleep(uint64_t us)
{
    struct sim_fiber *fiber = scheduler.current;

    ASSERT(fiber != NULL);
    wake_after(fiber, us, false);
    leave(fiber);
}

bool sim_fiber_park(uint64_t us_max)
{
    struct sim_fiber *fiber = scheduler.current;

    ASSERT(fiber != NULL);
    fiber->is_parked = true;
    if (us_max != SIM_EVER)
        wake_after(fiber, us_max, false);
    leave(fiber);
    return fiber->is_woken;
}

void sim_fiber_wake(struct sim_fiber *fiber)
{
    if (!fiber->is_parked)
        return;
    fiber->is_parked = false;
    wake_after(fiber, 0, true);
}

void sim_fiber_die(void)
{
    ASSERT(scheduler.current != NULL);
    leave(scheduler.current);
    UNREACHABLE();
}
