/* cli/load_report.h - what the load generator tells: while it runs, and at the end. */
#pragma once
#include "cli/load_options.h"
#include "cli/load_stats.h"

/* A moment of the run; all counts are sums over the workers. */
struct load_moment {
    uint64_t elapsed_ns;
    uint64_t accepted;
    uint64_t failed;
    uint64_t errors;
    uint64_t ready;
};

/* Redraws the line on standard error; before is the moment that it showed last. */
void load_report_progress(const struct load_options *options, const struct load_moment *before,
                          const struct load_moment *now);
void load_report_progress_clear(void);

struct load_result {
    const struct load_stats *stats; /* of all workers */
    uint64_t elapsed_ns;            /* until the last message was dealt with */
    uint64_t unsent;                /* messages that were asked for and not tried */
    bool is_interrupted;
};

/* The table, or one JSON object, on standard output. */
void load_report_result(const struct load_options *options, const struct load_result *result);
