/* Windows and limits against an exact account; an attacker's keys; many threads at once, which a
 * thread sanitizer should watch (tools/test tsan). */
#include "base/rates.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/ip.h"

#define HOUR 3600u

/* A sanitizer is here for the threads: the counting of millions is the ordinary build's part. */
#ifdef __SANITIZE_THREAD__
#define SCALE 20u
#else
#define SCALE 1u
#endif

static const struct hash_seed seed = { 0x0123456789abcdef, 0xfedcba9876543210 };
static struct rates_table *table;
static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state += 0x9e3779b97f4a7c15ull;
    return hash_number(random_state);
}

static uint64_t key(uint64_t number)
{
    return hash_bytes(&seed, (struct slice){ (const char *)&number, sizeof(number) });
}

static int set_up(void **state)
{
    (void)state;
    random_state = 20261125;
    return rates_create(RATES_WORDS_DEFAULT, &seed, &table) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rates_destroy(table);
    return 0;
}

static void expect(uint64_t of, uint32_t add, uint32_t limit, uint64_t now_s, bool allowed,
                   uint32_t count)
{
    struct rates_result r = rates_add(table, of, add, limit, HOUR, now_s);

    assert_int_equal(r.allowed, allowed);
    assert_int_equal(r.count, count);
}

static void test_a_window_begins_with_the_first_event_and_ends_a_period_later(void **state)
{
    static const uint64_t starts[] = {
        0, 1, 1000, (1u << 20) - HOUR, (1u << 20) - 1, 1u << 20, (uint64_t)1 << 40
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        uint64_t t = starts[i], k = key(i);

        assert_int_equal(rates_get(table, k, t), 0);
        expect(k, 1, 0, t, true, 1);
        expect(k, 2, 0, t + HOUR / 2, true, 3);
        expect(k, 1, 0, t + HOUR - 1, true, 4);
        assert_int_equal(rates_get(table, k, t + HOUR - 1), 4);
        assert_int_equal(rates_get(table, k, t + HOUR), 0);
        expect(k, 7, 0, t + HOUR, true, 7);
        assert_int_equal(rates_get(table, k, t + 2 * HOUR - 1), 7);
        assert_int_equal(rates_get(table, k, t + 2 * HOUR), 0);
    }
}

static void test_what_would_pass_the_limit_is_refused_and_not_counted(void **state)
{
    static const struct {
        uint32_t limit, add;
        bool allowed;
        uint32_t count;
    } steps[] = {
        { 10, 11, false, 0 }, { 10, 4, true, 4 },   { 10, 7, false, 4 },
        { 10, 6, true, 10 },  { 10, 1, false, 10 }, { 5, 1, false, 10 }, /* a reload lowered it */
        { 0, 1, true, 11 },                                              /* none */
        { 12, 1, true, 12 },  { 12, 1, false, 12 }, { RATES_COUNT_MAX, RATES_COUNT_MAX, false, 12 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        expect(key(1), steps[i].add, steps[i].limit, 50, steps[i].allowed, steps[i].count);
    expect(key(1), 1, 12, 50 + HOUR, true, 1);
}

static void test_what_is_taken_back_can_be_used_again(void **state)
{
    (void)state;
    rates_take_back(table, key(1), 1, 10); /* nothing there */
    expect(key(1), 3, 3, 10, true, 3);
    expect(key(1), 1, 3, 10, false, 3);
    rates_take_back(table, key(1), 2, 11);
    assert_int_equal(rates_get(table, key(1), 11), 1);
    expect(key(1), 2, 3, 12, true, 3);
    rates_take_back(table, key(1), 9, 12); /* not below 0 */
    assert_int_equal(rates_get(table, key(1), 12), 0);
    expect(key(1), 1, 3, 10 + HOUR - 1, true, 1);
    assert_int_equal(rates_get(table, key(1), 10 + HOUR), 0); /* the window is the first one's */
    rates_take_back(table, key(1), 1, 10 + HOUR);
    expect(key(1), 1, 3, 10 + HOUR, true, 1);
}

static void test_a_count_stays_at_what_its_word_holds(void **state)
{
    (void)state;
    expect(key(1), 1000000, 1000000, 0, true, 1000000);
    expect(key(1), 1, 1000000, 0, false, 1000000);
    expect(key(2), RATES_COUNT_MAX - 1, 0, 0, true, RATES_COUNT_MAX - 1);
    for (unsigned i = 0; i < 3; i++)
        expect(key(2), 1, 0, 0, true, RATES_COUNT_MAX);
    expect(key(2), RATES_COUNT_MAX, 0, 0, true, RATES_COUNT_MAX);
    expect(key(2), 1, RATES_COUNT_MAX, 0, false, RATES_COUNT_MAX);
    assert_int_equal(rates_get(table, key(2), HOUR - 1), RATES_COUNT_MAX);
    assert_int_equal(rates_get(table, key(2), HOUR), 0);
}

static void test_a_clock_that_is_behind_by_a_little_sees_the_same_window(void **state)
{
    (void)state;
    for (uint64_t start = 100; start < 1u << 21; start += 99991) {
        uint64_t k = key(start);

        expect(k, 1, 2, start, true, 1);
        expect(k, 1, 2, start - 5, true, 2);
        expect(k, 1, 2, start - 60, false, 2);
        expect(k, 1, 2, start + HOUR, true, 1);
        expect(k, 1, 2, start + HOUR - 3, true, 2); /* the new window */
    }
}

static void test_a_swept_table_forgets_what_has_ended_and_nothing_else(void **state)
{
    uint64_t again = ((uint64_t)1 << 20) + 10; /* the ends' circle has come round */

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        expect(key(i), 1, 0, 0, true, 1);
        expect(key(1000000 + i), 2, 0, 2 * HOUR, true, 2);
    }
    assert_int_equal(rates_get(table, key(0), again), 1); /* why there is rates_sweep() */
    for (unsigned i = 0; i < RATES_SWEEP_STEPS; i++)
        rates_sweep(table, 2 * HOUR);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(rates_get(table, key(i), again), 0);
        assert_int_equal(rates_get(table, key(1000000 + i), 2 * HOUR), 2);
    }
}

static long page_faults(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/* To read a page is to have it, on a kernel without a page of zeros. The table has 2,048, as long
 * as they are small ones. */
static void test_a_sweep_leaves_alone_what_was_never_used(void **state)
{
    long before;

    (void)state;
    assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    expect(key(1), 1, 0, 0, true, 1);
    before = page_faults();
    for (unsigned i = 0; i < RATES_SWEEP_STEPS; i++)
        rates_sweep(table, 2 * HOUR);
    assert_true(page_faults() - before < 100);
    assert_int_equal(rates_get(table, key(1), 0), 0);
    assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
}

static void test_keys_tell_kinds_networks_and_texts_apart(void **state)
{
    struct ip_address a, b, c;

    (void)state;
    assert_true(ip_parse(SLICE("192.0.2.1"), &a));
    assert_true(ip_parse(SLICE("192.0.2.200"), &b));
    assert_true(ip_parse(SLICE("192.0.3.1"), &c));
    assert_true(rates_key_address(table, 1, &a, 120) == rates_key_address(table, 1, &b, 120));
    assert_true(rates_key_address(table, 1, &a, 120) != rates_key_address(table, 1, &c, 120));
    assert_true(rates_key_address(table, 1, &a, 119) == rates_key_address(table, 1, &c, 119));
    assert_true(rates_key_address(table, 1, &a, 120) != rates_key_address(table, 1, &a, 119));
    assert_true(rates_key_address(table, 1, &a, 120) != rates_key_address(table, 2, &a, 120));
    assert_true(rates_key_address(table, 1, &a, 128) != rates_key_address(table, 1, &b, 128));
    assert_true(rates_key_address(table, 1, &a, 0) == rates_key_address(table, 1, &c, 0));
    assert_true(rates_key_text(table, 1, SLICE("A@b.example")) ==
                rates_key_text(table, 1, SLICE("a@B.EXAMPLE")));
    assert_true(rates_key_text(table, 1, SLICE("a@b.example")) !=
                rates_key_text(table, 2, SLICE("a@b.example")));
    assert_true(rates_key_text(table, 1, SLICE("a@b.example")) !=
                rates_key_text(table, 1, SLICE("a@c.example")));
}

/* --- honest loads ---------------------------------------------------------------------------- */

#define HONEST_KEYS   100000u
#define HONEST_EVENTS (4000000u / SCALE)

/* What one key's count should be. */
struct account {
    uint64_t end_s;
    uint32_t count;
};

/* Heavy-tailed: half of the events come from about a hundredth of the keys, and all keys come. */
static unsigned some_key(void)
{
    double u = (double)(random_next() >> 11) / (double)((uint64_t)1 << 53);

    return (unsigned)((double)HONEST_KEYS * u * u * u * u * u * u);
}

static void test_honest_loads_are_counted_to_within_one_percent(void **state)
{
    static const uint32_t limits[] = { 0, 5, 100, 100000 };
    struct account *accounts = calloc(HONEST_KEYS, sizeof(*accounts));
    unsigned wrong_counts = 0, wrong_answers = 0, wrong_keys = 0;
    uint64_t end_s = 3 * HOUR, now_s = 0;

    (void)state;
    assert_non_null(accounts);
    for (uint64_t n = 0; n < HONEST_EVENTS; n++) {
        unsigned which = some_key();
        struct account *a = &accounts[which];
        uint32_t limit = limits[which % ARRAY_LEN(limits)], add = 1 + (uint32_t)(random_next() % 3);
        struct rates_result r;
        bool allowed;

        now_s = n * end_s / HONEST_EVENTS;
        if (a->end_s <= now_s)
            *a = (struct account){ .end_s = now_s };
        allowed = limit == 0 || a->count + add <= limit;
        if (allowed && a->end_s == now_s)
            a->end_s = now_s + HOUR;
        a->count += allowed ? add : 0;
        r = rates_add(table, key(which), add, limit, HOUR, now_s);
        wrong_counts += r.count != a->count;
        wrong_answers += r.allowed != allowed;
    }
    for (unsigned i = 0; i < HONEST_KEYS; i++) {
        uint32_t count = accounts[i].end_s > now_s ? accounts[i].count : 0;
        uint32_t told = rates_get(table, key(i), now_s);

        wrong_keys += told > count + count / 100 || count > told + told / 100;
    }
    printf("%u events: %u counts, %u answers wrong; %u keys not within 1 %%\n", HONEST_EVENTS,
           wrong_counts, wrong_answers, wrong_keys);
    assert_true(wrong_counts <= HONEST_EVENTS / 10000);
    assert_true(wrong_answers <= HONEST_EVENTS / 10000);
    assert_true(wrong_keys <= HONEST_KEYS / 10000);
    free(accounts);
}

/* --- an attacker ----------------------------------------------------------------------------- */

#define ATTACK_KEYS (10000000u / SCALE)
#define HEAVY_KEYS  1000u

static void test_a_new_key_with_every_packet_does_not_disturb_heavy_senders(void **state)
{
    uint32_t counts[HEAVY_KEYS] = { 0 }, worst = 0;
    uint64_t attack = (uint64_t)1 << 40;
    unsigned wrong = 0;

    (void)state;
    /* The table is his before the others come. */
    for (unsigned n = 0; n < ATTACK_KEYS / 4; n++)
        (void)rates_add(table, key(attack++), 1, 100, HOUR, 0);
    for (unsigned n = ATTACK_KEYS / 4; n < ATTACK_KEYS; n++) {
        (void)rates_add(table, key(attack++), 1 + n % 2, 100, HOUR, 1);
        if (n % 5 == 0) {
            unsigned which = (unsigned)(random_next() % HEAVY_KEYS);

            counts[which]++;
            (void)rates_add(table, key(which), 1, 0, HOUR, 1);
        }
    }
    for (unsigned i = 0; i < HEAVY_KEYS; i++) {
        uint32_t told = rates_get(table, key(i), 1);
        uint32_t off = counts[i] > told ? counts[i] - told : told - counts[i];

        worst = off > worst ? off : worst;
        wrong += off > counts[i] / 100;
    }
    printf("%u attacking keys, %u heavy ones of about %u: %u not within 1 %%, worst off by %u\n",
           ATTACK_KEYS, HEAVY_KEYS, ATTACK_KEYS * 3 / 4 / 5 / HEAVY_KEYS, wrong, worst);
    assert_true(wrong <= HEAVY_KEYS / 100);
}

/* Even in one bucket, where all that is counted stands against each other. */
static void test_a_full_bucket_keeps_those_who_count_most(void **state)
{
    struct rates_table *small;

    (void)state;
    assert_int_equal(rates_create(RATES_WORDS_MIN, &seed, &small), STATUS_OK);
    for (unsigned i = 0; i < 7; i++)
        (void)rates_add(small, key(i), 1000 + i, 0, HOUR, 0);
    for (unsigned i = 0; i < 1000000 / SCALE; i++)
        assert_true(rates_add(small, key(1000 + i), 1, 1, HOUR, 0).allowed);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(rates_get(small, key(i), 0), 1000 + i);
    rates_destroy(small);
}

/* --- threads --------------------------------------------------------------------------------- */

#define THREADS   8u
#define KEYS_MAX  4096u
#define SKEW_KEYS 4u

/* Rounds of a table in which all threads count the same keys, each in an order of its own. */
struct rounds {
    unsigned rounds;
    unsigned keys; /* new ones in each round */
    unsigned limit;
    unsigned tries; /* of each thread, for each key */
    bool is_skewed; /* every second thread is a second ahead */
    struct rates_table *table;
    pthread_barrier_t barrier;
    _Atomic unsigned allowed[KEYS_MAX];
    _Atomic unsigned wrong;
};

struct crew_member {
    struct rounds *rounds;
    unsigned index;
};

static void check_round(struct rounds *r, unsigned round, uint64_t now_s)
{
    for (unsigned i = 0; i < r->keys; i++) {
        uint64_t k = key((uint64_t)round * r->keys + i);
        unsigned want = r->limit < r->tries * THREADS ? r->limit : r->tries * THREADS;

        if (atomic_load(&r->allowed[i]) != want || rates_get(r->table, k, now_s) != want)
            atomic_fetch_add(&r->wrong, 1);
        atomic_store(&r->allowed[i], 0);
    }
}

static void *count_rounds(void *argument)
{
    const struct crew_member *member = argument;
    struct rounds *r = member->rounds;

    for (unsigned round = 0; round < r->rounds; round++) {
        uint64_t now_s = 1000 + (uint64_t)round * HOUR + (r->is_skewed ? member->index % 2 : 0);

        (void)pthread_barrier_wait(&r->barrier);
        for (unsigned n = 0; n < r->tries * r->keys; n++) {
            unsigned i = (n + member->index / 2) % r->keys;
            uint64_t k = key((uint64_t)round * r->keys + i);

            if (rates_add(r->table, k, 1, r->limit, HOUR, now_s).allowed)
                atomic_fetch_add(&r->allowed[i], 1);
        }
        (void)pthread_barrier_wait(&r->barrier);
        if (member->index == 0)
            check_round(r, round, now_s);
    }
    return NULL;
}

static void run_rounds(struct rounds *r, size_t words)
{
    struct crew_member members[THREADS];
    pthread_t threads[THREADS];

    assert_true(r->keys <= KEYS_MAX);
    assert_int_equal(rates_create(words, &seed, &r->table), STATUS_OK);
    assert_int_equal(pthread_barrier_init(&r->barrier, NULL, THREADS), 0);
    for (unsigned t = 0; t < THREADS; t++) {
        members[t] = (struct crew_member){ r, t };
        assert_int_equal(pthread_create(&threads[t], NULL, count_rounds, &members[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    (void)pthread_barrier_destroy(&r->barrier);
    rates_destroy(r->table);
    assert_int_equal(atomic_load(&r->wrong), 0);
}

static void test_threads_let_exactly_the_limit_through_for_few_keys(void **state)
{
    static struct rounds one = { .rounds = 20, .keys = 1, .limit = 5000, .tries = 1000 };
    static struct rounds few = { .rounds = 20, .keys = 5, .limit = 777, .tries = 200 };
    static struct rounds less = { .rounds = 20, .keys = 5, .limit = 5000, .tries = 200 };

    (void)state;
    run_rounds(&one, RATES_WORDS_MIN);
    run_rounds(&few, RATES_WORDS_DEFAULT);
    run_rounds(&less, RATES_WORDS_DEFAULT);
}

static void test_threads_let_exactly_the_limit_through_for_many_keys(void **state)
{
    static struct rounds many = { .rounds = 20, .keys = KEYS_MAX, .limit = 3, .tries = 1 };

    (void)state;
    run_rounds(&many, RATES_WORDS_DEFAULT);
}

/* One bucket, in which words become free for one half of the threads a second before they do for
 * the other, so that threads choose different words for one key. */
static void test_threads_that_see_other_words_free_still_agree_on_one(void **state)
{
    static struct rounds skewed = {
        .rounds = 4000, .keys = SKEW_KEYS, .limit = 2, .tries = 2, .is_skewed = true
    };

    (void)state;
    run_rounds(&skewed, RATES_WORDS_MIN);
}

static _Atomic bool is_over;

static void *sweep_on(void *argument)
{
    for (uint64_t now_s = 0; !atomic_load(&is_over); now_s = (now_s + 1) % HOUR)
        rates_sweep(argument, now_s);
    return NULL;
}

static void *add_and_take_back(void *argument)
{
    for (unsigned n = 0; n < 40000; n++) {
        uint64_t k = key(n % 3);

        if (rates_add(argument, k, 2, 2 * THREADS - 2, HOUR, 5).allowed)
            rates_take_back(argument, k, 2, 5);
    }
    return NULL;
}

static void test_threads_that_take_back_leave_nothing_behind(void **state)
{
    pthread_t threads[THREADS], sweeper;

    (void)state;
    assert_int_equal(pthread_create(&sweeper, NULL, sweep_on, table), 0);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, add_and_take_back, table), 0);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(sweeper, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rates_get(table, key(i), 5), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_window_begins_with_the_first_event_and_ends_a_period_later),
        TEST(what_would_pass_the_limit_is_refused_and_not_counted),
        TEST(what_is_taken_back_can_be_used_again),
        TEST(a_count_stays_at_what_its_word_holds),
        TEST(a_clock_that_is_behind_by_a_little_sees_the_same_window),
        TEST(a_swept_table_forgets_what_has_ended_and_nothing_else),
        TEST(a_sweep_leaves_alone_what_was_never_used),
        TEST(keys_tell_kinds_networks_and_texts_apart),
        TEST(honest_loads_are_counted_to_within_one_percent),
        TEST(a_new_key_with_every_packet_does_not_disturb_heavy_senders),
        TEST(a_full_bucket_keeps_those_who_count_most),
        TEST(threads_let_exactly_the_limit_through_for_few_keys),
        TEST(threads_let_exactly_the_limit_through_for_many_keys),
        TEST(threads_that_see_other_words_free_still_agree_on_one),
        TEST(threads_that_take_back_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
