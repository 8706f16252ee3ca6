#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/spool.h"
#include "cli/spool_bench.h"
#include "cli/spool_disk.h"
#include "cli/values.h"

#define SECONDS_DEFAULT 10
#define SECONDS_MAX     3600

/* A message of 4 KiB takes this much of a batch, envelope and our header line included. */
#define MESSAGE_BYTES 4608

static const char *seconds_text;

static const struct cli_option options[] = {
    { "seconds", '\0', "N", "how long it may take, about; default 10", &seconds_text },
};

static const struct cli_usage usage = {
    .name = "spool selftest",
    .operands = "DIR",
    .about =
        "Measures what the disk below DIR can do for a spool, and looks whether it keeps its\n"
        "word as far as software can tell. A file of 64 MiB is made as a segment is, written to\n"
        "as a log is, and gone at the end, however that comes.\n"
        "\n"
        "A commit is one durable write. One session that sends one message after the other waits\n"
        "for one commit of 4 KiB each time; the messages of many sessions share a commit, up to\n"
        "1 MiB of them. COMMITS is per second, the rest in milliseconds.\n"
        "\n"
        "Exit status 1 where a message with a 250 can be lost. What is only doubtful is said,\n"
        "with exit status 0. docs/STABLE_STORAGE.md says what is behind each finding. Only a\n"
        "power cut can show that a disk keeps its word.\n",
    .has_json = true,
    .options = options,
    .options_count = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
};

enum phase { PHASE_PLAIN, PHASE_ONE, PHASE_SOME, PHASE_MANY, PHASES_COUNT };

static const struct {
    size_t bytes;
    unsigned parts; /* of ten, of the time that is left behind the preparation */
    const char *text;
} phases[PHASES_COUNT] = {
    [PHASE_PLAIN] = { 4u << 10, 1, "4 KiB, not synced" },
    [PHASE_ONE] = { 4u << 10, 4, "4 KiB" },
    [PHASE_SOME] = { 64u << 10, 3, "64 KiB" },
    [PHASE_MANY] = { 1u << 20, 2, "1 MiB" },
};

struct selftest {
    struct cli_bench bench;
    struct cli_bench_result results[PHASES_COUNT];
    struct cli_disk_facts facts;
    struct cli_disk_measures measures;
    struct cli_disk_verdict verdict;
    uint64_t file_bytes;
};

static uint64_t per_second(uint64_t count, uint64_t us)
{
    return us > 0 ? count * 1000000 / us : 0;
}

static uint64_t commits_per_second(const struct cli_bench_result *r)
{
    return per_second(load_histogram_count(&r->latency_us), r->elapsed_us);
}

static double percentile_ms(const struct cli_bench_result *r, uint32_t parts_per_million)
{
    return (double)load_histogram_percentile(&r->latency_us, parts_per_million) / 1000;
}

static const char *weight_name(enum cli_disk_weight weight)
{
    switch (weight) {
    case CLI_DISK_NOTE: return "note";
    case CLI_DISK_DOUBT: return "doubt";
    case CLI_DISK_BAD: return "bad";
    }
    UNREACHABLE();
}

static const char *cache_text(const struct cli_disk_device *d)
{
    switch (d->cache) {
    case CLI_DISK_CACHE_UNKNOWN: return "unknown";
    case CLI_DISK_CACHE_THROUGH: return "none that a power cut empties";
    case CLI_DISK_CACHE_BACK:
        return d->has_fua ? "volatile, passed by (FUA)" : "volatile, flushed at each commit";
    }
    UNREACHABLE();
}

/* --- text ------------------------------------------------------------------------------------ */

static void print_facts(const struct selftest *s)
{
    printf("file system   %s on %s\n", s->facts.mount.type, s->facts.mount.source);
    printf("mounted       %s\n", s->facts.mount.options);
    for (size_t i = 0; i < s->facts.devices_count; i++) {
        const struct cli_disk_device *d = &s->facts.devices[i];

        printf("device        %s%s%s%s; write cache: %s\n", d->name,
               d->model[0] != '\0' ? ", " : "", d->model, d->is_rotating ? ", rotating" : "",
               cache_text(d));
    }
    printf("written with  %s\n",
           s->measures.is_direct ? "O_DIRECT and RWF_DSYNC" : "pwrite and fdatasync");
    printf("prepared      %llu MiB in %llu ms\n\n", (unsigned long long)(s->file_bytes >> 20),
           (unsigned long long)(s->bench.prepare_us / 1000));
}

static void print_results(const struct selftest *s)
{
    printf("%-18s %9s %9s %9s %9s %9s\n", "WRITE", "COMMITS", "MB/S", "P50", "P99", "MAX");
    for (int i = 0; i < PHASES_COUNT; i++) {
        const struct cli_bench_result *r = &s->results[i];
        uint64_t commits = commits_per_second(r);

        printf("%-18s %9llu %9.1f %9.3f %9.3f %9.3f\n", phases[i].text, (unsigned long long)commits,
               (double)commits * (double)r->bytes / 1e6, percentile_ms(r, 500000),
               percentile_ms(r, 990000), (double)load_histogram_max(&r->latency_us) / 1000);
    }
    printf("\nMessages of 4 KiB per second: %llu one after the other, up to %llu from many "
           "sessions,\nby one worker.\n\n",
           (unsigned long long)commits_per_second(&s->results[PHASE_ONE]),
           (unsigned long long)(commits_per_second(&s->results[PHASE_MANY]) *
                                (s->results[PHASE_MANY].bytes / MESSAGE_BYTES)));
}

static void print_verdict(const struct selftest *s)
{
    static const char *const words[] = {
        [CLI_DISK_NOTE] = "GOOD: nothing that software can see speaks against a spool here.",
        [CLI_DISK_DOUBT] = "DOUBTFUL: a spool can be here if you know the answer to the above.",
        [CLI_DISK_BAD] = "BAD: put no spool here, mail that was accepted can be lost.",
    };

    for (size_t i = 0; i < s->verdict.count; i++)
        printf("%-6s %s\n", weight_name(s->verdict.findings[i].weight),
               s->verdict.findings[i].text);
    printf("%s%s\n", s->verdict.count > 0 ? "\n" : "", words[s->verdict.worst]);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void print_facts_json(const struct selftest *s)
{
    cli_json_member(false, "file_system", slice_from(s->facts.mount.type));
    cli_json_member(false, "source", slice_from(s->facts.mount.source));
    cli_json_member(false, "options", slice_from(s->facts.mount.options));
    cli_json_bool(false, "direct", s->measures.is_direct);
    cli_json_number(false, "prepared_bytes", s->file_bytes);
    cli_json_number(false, "prepared_us", s->bench.prepare_us);
    cli_json_name(false, "devices");
    putchar('[');
    for (size_t i = 0; i < s->facts.devices_count; i++) {
        const struct cli_disk_device *d = &s->facts.devices[i];

        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_member(true, "name", slice_from(d->name));
        cli_json_member(false, "model", slice_from(d->model));
        cli_json_member(false, "write_cache",
                        d->cache == CLI_DISK_CACHE_BACK      ? SLICE("write back")
                        : d->cache == CLI_DISK_CACHE_THROUGH ? SLICE("write through")
                                                             : SLICE("unknown"));
        cli_json_bool(false, "fua", d->has_fua);
        cli_json_bool(false, "rotating", d->is_rotating);
        putchar('}');
    }
    putchar(']');
}

static void print_json(const struct selftest *s)
{
    putchar('{');
    cli_json_member(true, "verdict",
                    s->verdict.worst == CLI_DISK_NOTE    ? SLICE("good")
                    : s->verdict.worst == CLI_DISK_DOUBT ? SLICE("doubtful")
                                                         : SLICE("bad"));
    print_facts_json(s);
    cli_json_name(false, "writes");
    putchar('[');
    for (int i = 0; i < PHASES_COUNT; i++) {
        const struct cli_bench_result *r = &s->results[i];

        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_number(true, "bytes", r->bytes);
        cli_json_bool(false, "synced", i != PHASE_PLAIN);
        cli_json_number(false, "count", load_histogram_count(&r->latency_us));
        cli_json_number(false, "per_second", commits_per_second(r));
        cli_json_number(false, "p50_us", load_histogram_percentile(&r->latency_us, 500000));
        cli_json_number(false, "p99_us", load_histogram_percentile(&r->latency_us, 990000));
        cli_json_number(false, "max_us", load_histogram_max(&r->latency_us));
        putchar('}');
    }
    fputs("]", stdout);
    cli_json_name(false, "findings");
    putchar('[');
    for (size_t i = 0; i < s->verdict.count; i++) {
        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_member(true, "weight", slice_from(weight_name(s->verdict.findings[i].weight)));
        cli_json_member(false, "text", slice_from(s->verdict.findings[i].text));
        putchar('}');
    }
    puts("]}");
}

/* --- the whole ------------------------------------------------------------------------------- */

static enum status measure(struct selftest *s, int folder_fd, uint64_t seconds)
{
    uint64_t limit_us = seconds * 1000000, left_us;

    TRY(cli_bench_open(&s->bench, folder_fd));
    TRY(cli_bench_prepare(&s->bench, limit_us / 3));
    left_us = s->bench.prepare_us < limit_us ? limit_us - s->bench.prepare_us : 0;
    for (int i = 0; i < PHASES_COUNT; i++)
        TRY(cli_bench_run(&s->bench, phases[i].bytes, i == PHASE_PLAIN,
                          left_us * phases[i].parts / 10, &s->results[i]));
    s->file_bytes = s->bench.file_bytes;
    s->measures = (struct cli_disk_measures){
        .is_direct = s->bench.is_direct,
        .reads_back = cli_bench_reads_back(&s->bench),
        .durable_p50_us = load_histogram_percentile(&s->results[PHASE_ONE].latency_us, 500000),
        .plain_p50_us = load_histogram_percentile(&s->results[PHASE_PLAIN].latency_us, 500000),
    };
    return STATUS_OK;
}

static int selftest(struct selftest *s, const char *path, uint64_t seconds, bool json)
{
    enum status status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return cli_error(usage.name, "%s: %m", path);
    status = cli_disk_facts_read(fd, &s->facts);
    if (status != STATUS_OK)
        (void)snprintf(s->facts.mount.type, sizeof(s->facts.mount.type), "unknown");
    status = measure(s, fd, seconds);
    (void)close(fd);
    if (status != STATUS_OK)
        return cli_error(usage.name, "%s: cannot be written to: %s", path, status_text(status));
    cli_disk_judge(&s->facts, &s->measures, &s->verdict);
    if (json) {
        print_json(s);
    } else {
        print_facts(s);
        print_results(s);
        print_verdict(s);
    }
    return cli_finish(s->verdict.worst == CLI_DISK_BAD ? CLI_EXIT_FAILED : CLI_EXIT_OK);
}

int cli_spool_selftest(int argc, char **argv)
{
    static struct selftest s;
    uint64_t seconds = SECONDS_DEFAULT;
    struct cli_arguments a;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!cli_value_number(usage.name, "seconds", seconds_text, 1, SECONDS_MAX, &seconds))
        return CLI_EXIT_MISUSE;
    code = selftest(&s, a.operands[0], seconds, a.json);
    cli_bench_close(&s.bench);
    return code;
}
