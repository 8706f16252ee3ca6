/* What one rates_add() costs: a table that has its keys, in cache and out of it; all threads on
 * one key; and new keys in a table that is full of others. */
#include <benchmark/benchmark.h>

#define _Noreturn [[noreturn]]
extern "C" {
#include "base/rates.h"
}

static const uint32_t hour = 3600;
static struct rates_table *table;

static void set_up(const benchmark::State &)
{
    const struct hash_seed seed = {1, 2};

    if (rates_create(RATES_WORDS_DEFAULT, &seed, &table) != STATUS_OK)
        abort();
}

static void tear_down(const benchmark::State &)
{
    rates_destroy(table);
}

/* range(0): how many keys there are. */
static void add_known(benchmark::State &state)
{
    uint64_t mask = (uint64_t)state.range(0) - 1, n = (uint64_t)state.thread_index() << 40;

    for (auto _ : state)
        benchmark::DoNotOptimize(rates_add(table, hash_number((hash_number(n++) & mask) + 1), 1, 0,
                                           hour, 1));
}

static void add_new(benchmark::State &state)
{
    uint64_t n = ((uint64_t)state.thread_index() + 1) << 40;

    if (state.thread_index() == 0)
        for (uint64_t i = 0; i < 4 * RATES_WORDS_DEFAULT; i++)
            (void)rates_add(table, hash_number(i + 1), 1, 0, hour, 1);
    for (auto _ : state)
        benchmark::DoNotOptimize(rates_add(table, hash_number(n++), 1, 0, hour, 1));
}

static void key_of_text(benchmark::State &state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(rates_key_text(table, 1, SLICE("somebody@example.com")));
}

BENCHMARK(add_known)->Setup(set_up)->Teardown(tear_down)->Arg(1)->Arg(1024)->Arg(1 << 17)
    ->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(add_new)->Setup(set_up)->Teardown(tear_down)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(key_of_text)->Setup(set_up)->Teardown(tear_down);
BENCHMARK_MAIN();
