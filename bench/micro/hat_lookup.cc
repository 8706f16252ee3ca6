// Lookups in a HAT whose senders came from a file: a million of them, and fewer to see what the
// size of the table adds. Google Benchmark gives the time of lookups one behind the other (which
// overlap in the processor); median_ns and p99_ns are those of single lookups, each timed by
// itself, and memory_ns is what one access to memory costs meanwhile: see hat_workload.h.
#include <benchmark/benchmark.h>

#include "bench/micro/hat_workload.h"

namespace
{

constexpr int64_t kEntries = 1000000;

void Lookup(benchmark::State &state, hat_workload_kind kind, hat_workload_addresses addresses)
{
    hat_workload *workload = hat_workload_create(kind, static_cast<size_t>(state.range(0)));
    double median, p99;

    hat_workload_draw(workload, addresses);
    for (auto _ : state)
        benchmark::DoNotOptimize(hat_workload_find(workload));
    hat_workload_percentiles(workload, &median, &p99);
    state.counters["median_ns"] = median;
    state.counters["p99_ns"] = p99;
    state.counters["memory_ns"] = hat_workload_memory_ns();
    state.counters["entry_bytes"] = hat_workload_entry_bytes(workload);
    state.counters["load_s"] = hat_workload_load_seconds(workload);
    state.SetItemsProcessed(state.iterations());
    hat_workload_destroy(workload);
}

// A fixed number of iterations, so that each workload is made once.
#define LOOKUP(name, kind, addresses)                                                              \
    BENCHMARK_CAPTURE(Lookup, name, kind, addresses)->Iterations(4000000)->Arg(kEntries)

LOOKUP(ipv4_random, HAT_WORKLOAD_V4, HAT_WORKLOAD_RANDOM);
LOOKUP(ipv4_listed, HAT_WORKLOAD_V4, HAT_WORKLOAD_LISTED)->Arg(100)->Arg(10000);
LOOKUP(ipv6_random, HAT_WORKLOAD_V6, HAT_WORKLOAD_RANDOM);
LOOKUP(ipv6_listed, HAT_WORKLOAD_V6, HAT_WORKLOAD_LISTED);
LOOKUP(ipv6_hosts_listed, HAT_WORKLOAD_V6_HOSTS, HAT_WORKLOAD_LISTED);

} // namespace

BENCHMARK_MAIN();
