// The pure parts that each message goes through, by the size of what they get. bytes_per_second is
// what they look at, and items_per_second of the histogram are values.
#include <benchmark/benchmark.h>

#include "bench/micro/hot_workload.h"

namespace
{

constexpr int64_t kSmall = 4 << 10, kLarge = 1 << 20;

void Once(benchmark::State &state, size_t (*work)())
{
    size_t bytes = 0;

    for (auto _ : state)
        bytes += work();
    state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

// dotted: one of so many lines begins with a dot.
void Body(benchmark::State &state, size_t (*work)(hot_body *), size_t dotted)
{
    hot_body *body = hot_body_create(static_cast<size_t>(state.range(0)), dotted);
    size_t bytes = 0;

    for (auto _ : state)
        bytes += work(body);
    state.SetBytesProcessed(static_cast<int64_t>(bytes));
    hot_body_destroy(body);
}

void HistogramRecord(benchmark::State &state)
{
    uint64_t value = 1;

    for (auto _ : state) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        hot_histogram_record(value >> 40); // microseconds, up to 16 s
    }
    state.SetItemsProcessed(state.iterations());
}

void HistogramPercentile(benchmark::State &state)
{
    hot_histogram_record(1);
    for (auto _ : state)
        benchmark::DoNotOptimize(hot_histogram_percentile());
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK_CAPTURE(Once, lines_cut, hot_lines_cut);
BENCHMARK_CAPTURE(Once, commands_parse, hot_commands_parse);
BENCHMARK_CAPTURE(Once, paths_parse, hot_paths_parse);
BENCHMARK_CAPTURE(Once, reply_parse, hot_reply_parse);

#define BODY(name, work, dotted)                                                                   \
    BENCHMARK_CAPTURE(Body, name, work, dotted)->Arg(kSmall)->Arg(kLarge)

BODY(frame, hot_body_frame, 0);
BODY(frame_dotted, hot_body_frame, 4);
BODY(unstuff, hot_body_unstuff, 0);
BODY(unstuff_dotted, hot_body_unstuff, 4);
BODY(crc32c, hot_body_checksum, 0);
BODY(crc32c_plain, hot_body_checksum_plain, 0);
BODY(record, hot_body_record, 0);
BENCHMARK_CAPTURE(Body, message, hot_body_message, 0)->Arg(kSmall);
BENCHMARK(HistogramRecord);
BENCHMARK(HistogramPercentile);

} // namespace

BENCHMARK_MAIN();
