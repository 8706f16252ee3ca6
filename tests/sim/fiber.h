/* tests/sim/fiber.h - the gateway's threads, as coroutines of one thread.
 *
 * What the gateway starts as a thread (engine_thread_start()) becomes a fiber with a stack of its
 * own. It runs until it waits, sleeps or makes a slow call, and goes on by an event of world.h: so
 * a worker's thread is the unchanged one, and the seed decides who runs when. A crash abandons all
 * of them where they stand, with their memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sim_fiber;

/* Runs for the first time by an event. */
struct sim_fiber *sim_fiber_start(const char *name, void (*run)(void *subject), void *subject);

struct sim_fiber *sim_fiber_current(void); /* NULL: an event of the world runs */
const char *sim_fiber_name(const struct sim_fiber *fiber);
bool sim_fiber_has_ended(const struct sim_fiber *fiber);

/* For the current fiber. park: until it is woken or the time is over; false: it is over. */
void sim_fiber_sleep(uint64_t us);
bool sim_fiber_park(uint64_t us_max);

/* Does nothing to one that is not parked. */
void sim_fiber_wake(struct sim_fiber *fiber);

/* Never returns to the current fiber: the process has crashed. */
_Noreturn void sim_fiber_die(void);
