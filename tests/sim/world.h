/* tests/sim/world.h - the clock, the dice and the queue of events of a simulated history.
 *
 * A history runs in one thread of a process of its own: whatever happens in it is an event of one
 * queue, at a virtual time, drawn from one seed. Two runs of a seed do the same, in the same order,
 * which sim_digest() shows. So the state of the modules here is static, and nothing that the world
 * (not the gateway) allocates is freed before the process ends.
 *
 * Events of a life belong to the gateway's process: a crash (sim_life_end()) drops them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define SIM_MS       1000ull /* the unit of time is the microsecond */
#define SIM_S        (1000 * SIM_MS)
#define SIM_EVER     UINT64_MAX
#define SIM_EPOCH_S  1790000000ll   /* the wall clock when a history begins */
#define SIM_EPOCH_US (1000 * SIM_S) /* the monotonic one */

/* trace: every note is written to standard error as well. */
void sim_world_begin(uint64_t seed, bool trace);

uint64_t sim_now_us(void); /* since the beginning of the history */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);                    /* 0 .. n - 1; n > 0 */
uint64_t sim_between(uint64_t low, uint64_t high); /* both included */
bool sim_chance(unsigned permille);

/* Runs `run` later; events of the same time run in an order that the dice decide. */
void sim_after(uint64_t delay_us, void (*run)(void *subject), void *subject);
void sim_after_in_life(uint64_t delay_us, void (*run)(void *subject), void *subject);

/* Drops the events of the life that ends; those that follow belong to the next one. */
void sim_life_end(void);

/* Runs the next event. False: there is none before the time given, which it is now. */
bool sim_step(uint64_t until_us);

/* A line of the history. */
PRINTF_LIKE(1, 2) void sim_note(const char *format, ...);
bool sim_is_traced(void);
uint64_t sim_digest(void);

/* The history has shown a fault: prints why, and ends the process with SIM_EXIT_FAULT. */
#define SIM_EXIT_FAULT 3
_Noreturn PRINTF_LIKE(1, 2) void sim_fault(const char *format, ...);

void *sim_allocate(size_t bytes); /* zeroed; never NULL */
