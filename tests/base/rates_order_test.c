/* Every step of base/rates.c that another thread could see, in random orders.
 *
 * Threads of a real machine meet within the few nanoseconds of a claim once in a billion times.
 * Here the callers are coroutines, and each atomic access is a place where another may go on, as
 * a seed decides. So the file is included, with its atomic operations wrapped.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

static void step(void);

#undef atomic_load
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_strong
#define ORDER                                      memory_order_seq_cst
#define atomic_load(at)                            (step(), atomic_load_explicit(at, ORDER))
#define atomic_compare_exchange_strong(at, is, to) (step(), exchange(at, is, to))
#define atomic_compare_exchange_weak(at, is, to)   (step(), exchange(at, is, to))

static bool exchange(_Atomic uint64_t *at, uint64_t *is, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(at, is, to, ORDER, ORDER);
}

#include "base/rates.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <ucontext.h>

#include <cmocka.h>

#define CALLERS     3u
#define ORDERS      3000u
#define STACK_BYTES 65536
#define HOUR        3600u
#define NOW_S       10000u
#define LIMIT       2u

static const struct hash_seed seed = { 1, 2 };
static struct rates_table *table;

static ucontext_t scheduler;
static struct caller {
    ucontext_t context;
    uint64_t key;
    uint64_t now_s;
    unsigned allowed;
    bool has_ended;
    char stack[STACK_BYTES];
} callers[CALLERS], *running;

static void step(void)
{
    struct caller *c = running;

    if (c != NULL)
        (void)swapcontext(&c->context, &scheduler);
}

static void call(void)
{
    struct caller *c = running;

    for (unsigned i = 0; i < LIMIT; i++)
        c->allowed += rates_add(table, c->key, 1, LIMIT, HOUR, c->now_s).allowed;
    c->has_ended = true;
}

static void prepare(struct caller *c)
{
    c->allowed = 0;
    c->has_ended = false;
    (void)getcontext(&c->context);
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = sizeof(c->stack);
    c->context.uc_link = &scheduler;
    makecontext(&c->context, call, 0);
}

/* Runs all callers to their end, in the order that order says. */
static void run(uint64_t order)
{
    unsigned left = CALLERS;

    for (unsigned i = 0; i < CALLERS; i++)
        prepare(&callers[i]);
    while (left > 0) {
        /* Mostly another one at each step, sometimes the same for long. */
        running = &callers[hash_number(order++) % CALLERS];
        for (uint64_t n = hash_number(order++) % 4; !running->has_ended; n--) {
            (void)swapcontext(&scheduler, &running->context);
            left -= running->has_ended;
            if (n == 0)
                break;
        }
        running = NULL;
    }
}

static unsigned words_that_count(uint64_t key)
{
    unsigned count = 0;

    for (size_t i = 0; i < BUCKET_WORDS; i++)
        count += is_of(table->buckets[0].words[i], key & KEY_MASK);
    return count;
}

static uint64_t key(uint64_t number)
{
    return hash_number(number ^ 0x5eed);
}

static void fill(uint64_t pattern)
{
    for (size_t i = 0; i < BUCKET_WORDS; i++) {
        struct event other = { key(100 + i + pattern) & KEY_MASK, NOW_S, 1, 0, HOUR };

        /* One in four is free for all, one for those whose clock is ahead, one counts nothing
         * (and is replaced when nothing is free), and one is not to be had. */
        switch (pattern >> 2 * i & 3) {
        case 0: table->buckets[0].words[i] = 0; continue;
        case 1: other.period_s = 1; break;
        case 2: table->buckets[0].words[i] = word_of(&other, 0); continue;
        default: break;
        }
        table->buckets[0].words[i] = word_of(&other, RATES_COUNT_MAX);
    }
}

/* same: all callers count one key; else one of them counts another in the same bucket. */
static void try_orders(bool same)
{
    unsigned claims;

    assert_int_equal(rates_create(RATES_WORDS_MIN, &seed, &table), STATUS_OK);
    for (uint64_t order = 0; order < ORDERS; order++) {
        uint64_t pattern = hash_number(order) | 0xf0f0 >> order % 2 * 4; /* some choice, not much */
        unsigned allowed = 0;

        fill(pattern & ~(uint64_t)0xc003); /* at least two are free */
        for (unsigned i = 0; i < CALLERS; i++) {
            callers[i].key = key(same || i < CALLERS - 1 ? order : order + ORDERS);
            callers[i].now_s = NOW_S + (i + order) % 2;
        }
        run(order << 20);
        for (unsigned i = 0; i < CALLERS; i++)
            allowed += callers[i].allowed;
        if (allowed != (same ? LIMIT : 2 * LIMIT) || words_that_count(callers[0].key) != 1)
            fail_msg("order %llu: %u let through, counted in %u words", (unsigned long long)order,
                     allowed, words_that_count(callers[0].key));
        assert_int_equal(rates_get(table, callers[0].key, NOW_S + 1), LIMIT);
    }
    claims = (unsigned)atomic_load_explicit(&table->tickets, ORDER);
    printf("%u orders, %u claims\n", ORDERS, claims);
    assert_true(claims > ORDERS * 5 / 4); /* they did meet */
    rates_destroy(table);
}

static void test_in_no_order_do_callers_pass_the_limit_of_one_key(void **state)
{
    (void)state;
    try_orders(true);
}

static void test_in_no_order_does_another_key_disturb_them(void **state)
{
    (void)state;
    try_orders(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_no_order_do_callers_pass_the_limit_of_one_key),
        cmocka_unit_test(test_in_no_order_does_another_key_disturb_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
