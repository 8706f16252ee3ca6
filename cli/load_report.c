#include "cli/load_report.h"

#include <stdio.h>

#include "cli/json.h"

#define NS_PER_S 1e9

static const struct percentile {
    const char *name;
    const char *json;
    uint32_t parts_per_million;
} percentiles[] = {
    { "p50", "p50_ms", 500000 },     { "p90", "p90_ms", 900000 },  { "p99", "p99_ms", 990000 },
    { "p99.9", "p99_9_ms", 999000 }, { "max", "max_ms", 1000000 },
};

static double seconds_of(uint64_t ns)
{
    return (double)ns / NS_PER_S;
}

static double per_second(uint64_t count, uint64_t ns)
{
    return ns > 0 ? (double)count / seconds_of(ns) : 0;
}

void load_report_progress(const struct load_options *o, const struct load_moment *before,
                          const struct load_moment *now)
{
    double rate =
        per_second(now->accepted - before->accepted, now->elapsed_ns - before->elapsed_ns);

    if (o->idle)
        (void)fprintf(stderr, "\r\033[K%.0f s  %llu of %u sessions open  %llu errors",
                      seconds_of(now->elapsed_ns), (unsigned long long)now->ready, o->sessions,
                      (unsigned long long)now->errors);
    else
        (void)fprintf(stderr,
                      "\r\033[K%.0f s  %llu messages  %.0f/s  %llu failed  %llu errors  "
                      "%llu sessions",
                      seconds_of(now->elapsed_ns), (unsigned long long)now->accepted, rate,
                      (unsigned long long)now->failed, (unsigned long long)now->errors,
                      (unsigned long long)now->ready);
    (void)fflush(stderr);
}

void load_report_progress_clear(void)
{
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
}

/* --- the table ------------------------------------------------------------------------------- */

static void print_latency_row(const char *name, const struct load_histogram *h)
{
    printf("%-10s", name);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        printf(" %9.3f",
               (double)load_histogram_percentile(h, percentiles[i].parts_per_million) / 1000);
    printf(" %9llu\n", (unsigned long long)load_histogram_count(h));
}

static void print_latencies(const struct load_stats *s)
{
    printf("\n%-10s", "ms");
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        printf(" %9s", percentiles[i].name);
    printf(" %9s\n", "count");
    print_latency_row("session", &s->session_us);
    if (load_histogram_count(&s->message_us) > 0) {
        print_latency_row("message", &s->message_us);
        print_latency_row("final dot", &s->dot_us);
    }
}

static void print_errors(const struct load_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct load_error *e = &errors->items[i];
        const char *name = load_error_name(e->code);

        printf("%-10s ", i == 0 ? "errors" : "");
        if (name != NULL)
            printf("%-11s", name);
        else
            printf("%-11u", (unsigned)e->code);
        printf(" %9llu   %s\n", (unsigned long long)e->count, e->text);
    }
}

static void print_messages(const struct load_result *r)
{
    const struct load_stats *s = r->stats;
    uint64_t accepted = s->tallies.accepted;

    printf("%-10s %llu accepted, %llu failed", "messages", (unsigned long long)accepted,
           (unsigned long long)s->tallies.failed);
    if (r->unsent > 0)
        printf(", %llu not tried", (unsigned long long)r->unsent);
    if (s->recipients_refused > 0)
        printf(", %llu recipients refused", (unsigned long long)s->recipients_refused);
    printf("\n%-10s %.3f s, %.1f messages/s, %.2f MiB/s\n", "time", seconds_of(r->elapsed_ns),
           per_second(accepted, r->elapsed_ns),
           per_second(s->bytes, r->elapsed_ns) / (1024.0 * 1024.0));
}

static void print_table(const struct load_options *o, const struct load_result *r)
{
    const struct load_stats *s = r->stats;

    if (r->is_interrupted && !o->idle)
        printf("%-10s before the end\n", "stopped");
    if (!o->idle)
        print_messages(r);
    printf("%-10s %llu opened, %llu with TLS%s%s%s", "sessions",
           (unsigned long long)s->sessions_opened, (unsigned long long)s->sessions_tls,
           s->tls[0] != '\0' ? " (" : "", s->tls, s->tls[0] != '\0' ? ")" : "");
    if (s->sessions_given_up > 0)
        printf(", %llu given up", (unsigned long long)s->sessions_given_up);
    putchar('\n');
    print_errors(&s->errors);
    print_latencies(s);
    if (o->size_min != o->size_max || o->dots)
        printf("\n%-10s %llu\n", "seed", (unsigned long long)o->seed);
}

/* --- the same for programs ------------------------------------------------------------------- */

static void json_milliseconds(bool is_first, const char *name, uint64_t us)
{
    cli_json_name(is_first, name);
    printf("%llu.%03llu", (unsigned long long)(us / 1000), (unsigned long long)(us % 1000));
}

static void json_latency(const char *name, const struct load_histogram *h)
{
    cli_json_name(false, name);
    putchar('{');
    cli_json_number(true, "count", load_histogram_count(h));
    json_milliseconds(false, "mean_ms", load_histogram_mean(h));
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        json_milliseconds(false, percentiles[i].json,
                          load_histogram_percentile(h, percentiles[i].parts_per_million));
    putchar('}');
}

static void json_errors(const struct load_errors *errors)
{
    cli_json_name(false, "errors");
    putchar('[');
    for (size_t i = 0; i < errors->count; i++) {
        const struct load_error *e = &errors->items[i];
        const char *name = load_error_name(e->code);

        fputs(i > 0 ? ", {" : "{", stdout);
        if (name != NULL)
            cli_json_member(true, "kind", slice_from(name));
        else
            cli_json_number(true, "code", e->code);
        cli_json_number(false, "count", e->count);
        cli_json_member(false, "text", slice_from(e->text));
        putchar('}');
    }
    putchar(']');
}

static void print_json(const struct load_options *o, const struct load_result *r)
{
    const struct load_stats *s = r->stats;

    putchar('{');
    cli_json_number(true, "accepted", s->tallies.accepted);
    cli_json_number(false, "failed", s->tallies.failed);
    cli_json_number(false, "not_tried", r->unsent);
    cli_json_bool(false, "interrupted", r->is_interrupted);
    cli_json_number(false, "recipients_refused", s->recipients_refused);
    cli_json_number(false, "bytes", s->bytes);
    cli_json_name(false, "seconds");
    printf("%.6f", seconds_of(r->elapsed_ns));
    cli_json_name(false, "messages_per_second");
    printf("%.3f", per_second(s->tallies.accepted, r->elapsed_ns));
    cli_json_number(false, "sessions_opened", s->sessions_opened);
    cli_json_number(false, "sessions_tls", s->sessions_tls);
    cli_json_number(false, "sessions_given_up", s->sessions_given_up);
    cli_json_member(false, "tls", slice_from(s->tls));
    cli_json_number(false, "seed", o->seed);
    json_errors(&s->errors);
    json_latency("session_latency", &s->session_us);
    json_latency("message_latency", &s->message_us);
    json_latency("dot_latency", &s->dot_us);
    fputs("}\n", stdout);
}

void load_report_result(const struct load_options *o, const struct load_result *r)
{
    if (o->json)
        print_json(o, r);
    else
        print_table(o, r);
}
