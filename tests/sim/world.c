#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIFE_NONE 0 /* of events of the world */
#define NOTE_MAX  512

struct event {
    uint64_t at_us;
    uint64_t lot;
    uint64_t number;
    uint64_t life;
    void (*run)(void *subject);
    void *subject;
};

static struct {
    uint64_t now_us;
    uint64_t dice;
    uint64_t digest;
    uint64_t events_ever;
    uint64_t life;
    struct event *heap;
    size_t count;
    size_t capacity;
    bool is_traced;
} world;

void *sim_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);

    ASSERT(memory != NULL);
    return memory;
}

void sim_world_begin(uint64_t seed, bool trace)
{
    world.dice = seed * 0x9e3779b97f4a7c15ull + 1;
    world.digest = 0xcbf29ce484222325ull;
    world.life = LIFE_NONE + 1;
    world.is_traced = trace;
    (void)sim_random();
}

uint64_t sim_now_us(void)
{
    return world.now_us;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t sim_random(void)
{
    uint64_t z = world.dice += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_below(uint64_t n)
{
    ASSERT(n > 0);
    return sim_random() % n;
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    return low + sim_below(high - low + 1);
}

bool sim_chance(unsigned permille)
{
    return permille > 0 && sim_below(1000) < permille;
}

/* --- the queue, a binary heap ---------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    return a->lot != b->lot ? a->lot < b->lot : a->number < b->number;
}

static void swap(size_t a, size_t b)
{
    struct event held = world.heap[a];

    world.heap[a] = world.heap[b];
    world.heap[b] = held;
}

static void add(uint64_t delay_us, uint64_t life, void (*run)(void *subject), void *subject)
{
    size_t at = world.count;

    if (world.count == world.capacity) {
        world.capacity = world.capacity > 0 ? 2 * world.capacity : 1024;
        world.heap = realloc(world.heap, world.capacity * sizeof(struct event));
        ASSERT(world.heap != NULL);
    }
    world.heap[world.count++] = (struct event){
        .at_us = world.now_us + delay_us,
        .lot = sim_random(),
        .number = world.events_ever++,
        .life = life,
        .run = run,
        .subject = subject,
    };
    while (at > 0 && is_before(&world.heap[at], &world.heap[(at - 1) / 2])) {
        swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct event take_first(void)
{
    struct event first = world.heap[0];
    size_t at = 0;

    world.heap[0] = world.heap[--world.count];
    for (;;) {
        size_t least = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < world.count; child++)
            if (is_before(&world.heap[child], &world.heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(at, least);
        at = least;
    }
}

void sim_after(uint64_t delay_us, void (*run)(void *subject), void *subject)
{
    add(delay_us, LIFE_NONE, run, subject);
}

void sim_after_in_life(uint64_t delay_us, void (*run)(void *subject), void *subject)
{
    add(delay_us, world.life, run, subject);
}

void sim_life_end(void)
{
    world.life++;
}

bool sim_step(uint64_t until_us)
{
    while (world.count > 0 && world.heap[0].at_us <= until_us) {
        struct event event = take_first();

        if (event.life != LIFE_NONE && event.life != world.life)
            continue;
        ASSERT(event.at_us >= world.now_us);
        world.now_us = event.at_us;
        event.run(event.subject);
        return true;
    }
    world.now_us = until_us;
    return false;
}

/* --- what has happened ----------------------------------------------------------------------- */

static void digest(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        world.digest = (world.digest ^ (uint8_t)text[i]) * 0x100000001b3ull;
}

void sim_note(const char *format, ...)
{
    char text[NOTE_MAX];
    va_list arguments;
    int len =
        snprintf(text, sizeof(text), "%llu.%06llu ", (unsigned long long)(world.now_us / SIM_S),
                 (unsigned long long)(world.now_us % SIM_S));

    va_start(arguments, format);
    len += vsnprintf(text + len, sizeof(text) - (size_t)len, format, arguments);
    va_end(arguments);
    if (len >= NOTE_MAX)
        len = NOTE_MAX - 1;
    digest(text, (size_t)len);
    if (world.is_traced)
        fprintf(stderr, "%s\n", text);
}

bool sim_is_traced(void)
{
    return world.is_traced;
}

uint64_t sim_digest(void)
{
    return world.digest;
}

void sim_fault(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "fault at %llu.%06llu s: ", (unsigned long long)(world.now_us / SIM_S),
            (unsigned long long)(world.now_us % SIM_S));
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(SIM_EXIT_FAULT);
}
