#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/sim/history.h"
#include "tests/sim/plant.h"
#include "tests/sim/world.h"

/* In an ordinary run. The sanitizers take seven times as long. */
#ifdef __SANITIZE_ADDRESS__
#define HISTORIES 40
#else
#define HISTORIES 120
#endif

#define JOBS_MAX    64
#define AGAIN_EACH  50  /* of so many histories one is run twice */
#define PLANT_SEEDS 400 /* a planted bug is found within so many */
#define CPU_S_MAX   120
#define LINE_BYTES  512

struct options {
    uint64_t seed;
    uint64_t histories;
    unsigned jobs;
    enum sim_plant plant;
    bool is_calm;
    bool is_traced;
    bool plants; /* all of them, one after the other */
    bool has_progress;
};

/* What a history's process tells at its end. */
struct verdict {
    struct sim_counts counts;
    uint64_t digest;
};

struct job {
    pid_t pid;
    int pipe;
    uint64_t seed;
    bool is_again;
    uint64_t digest; /* of the first run */
};

struct total {
    uint64_t histories;
    uint64_t failed;
    uint64_t again;
    uint64_t first_failed; /* the seed */
    struct sim_counts counts;
};

/* For jemalloc: the process ends soon. */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1";

/* --- one history ----------------------------------------------------------------------------- */

static _Noreturn void run_child(const struct options *o, uint64_t seed, int to)
{
    struct sim_history history = { .seed = seed, .is_calm = o->is_calm, .is_traced = o->is_traced };
    struct rlimit cpu = { CPU_S_MAX, CPU_S_MAX + 5 }, core = { 0, 0 };
    struct verdict verdict = { 0 };

    (void)setrlimit(RLIMIT_CPU, &cpu);
    (void)setrlimit(RLIMIT_CORE, &core);
    sim_plant = o->plant;
    sim_history_run(&history);
    verdict.counts = sim_counts;
    verdict.digest = sim_digest();
    if (write(to, &verdict, sizeof(verdict)) != sizeof(verdict))
        _exit(1);
    _exit(0);
}

static void start_job(const struct options *o, struct job *job)
{
    int ends[2];

    fflush(stdout);
    if (pipe(ends) != 0) {
        perror("sim: pipe");
        exit(2);
    }
    job->pid = fork();
    if (job->pid < 0) {
        perror("sim: fork");
        exit(2);
    }
    if (job->pid == 0) {
        if (o->plant != SIM_PLANT_NONE && !o->is_traced &&
            freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        run_child(o, job->seed, ends[1]);
    }
    (void)close(ends[1]);
    job->pipe = ends[0];
}

/* --- many ------------------------------------------------------------------------------------ */

static void add(struct sim_counts *to, const struct sim_counts *from)
{
    to->messages += from->messages;
    to->acknowledged += from->acknowledged;
    to->recipients += from->recipients;
    to->delivered += from->delivered;
    to->bounced += from->bounced;
    to->dropped += from->dropped;
    to->duplicates += from->duplicates;
    to->unasked += from->unasked;
    to->crashes += from->crashes;
    to->stops += from->stops;
    to->failed_starts += from->failed_starts;
    to->fetched += from->fetched;
    to->moved += from->moved;
}

static void fail(const struct options *o, struct total *t, const struct job *job, const char *why)
{
    if (t->failed++ == 0 || job->seed < t->first_failed)
        t->first_failed = job->seed;
    if (o->plant == SIM_PLANT_NONE)
        printf("seed %llu: %s\n  again: tests/sim/sim --seed %llu --trace\n",
               (unsigned long long)job->seed, why, (unsigned long long)job->seed);
}

static void judge(const struct options *o, struct total *t, struct job *job, int state,
                  const struct verdict *verdict)
{
    char why[64];

    t->histories++;
    if (WIFSIGNALED(state)) {
        (void)snprintf(why, sizeof(why), "ended by signal %d", WTERMSIG(state));
        fail(o, t, job, why);
    } else if (WEXITSTATUS(state) != 0) {
        fail(o, t, job, "a fault was found");
    } else if (job->is_again) {
        t->again++;
        if (job->digest != verdict->digest)
            fail(o, t, job, "two runs of the same seed differ");
    } else {
        add(&t->counts, &verdict->counts);
        job->digest = verdict->digest;
    }
}

/* Waits for one of them; its place is free afterwards. */
static struct job *end_job(const struct options *o, struct total *t, struct job *jobs)
{
    int state;
    pid_t pid = waitpid(-1, &state, 0);

    for (unsigned i = 0; i < o->jobs; i++) {
        struct verdict verdict = { 0 };
        struct job *job = &jobs[i];

        if (pid <= 0 || job->pid != pid)
            continue;
        if (read(job->pipe, &verdict, sizeof(verdict)) < 0)
            verdict = (struct verdict){ 0 };
        (void)close(job->pipe);
        job->pid = 0;
        judge(o, t, job, state, &verdict);
        return job;
    }
    return NULL;
}

static void tell_progress(const struct options *o, const struct total *t)
{
    static uint64_t told;

    if (!o->has_progress || t->histories < told + 1000)
        return;
    told = t->histories;
    printf("%llu histories, %u crashes, %u acknowledged, %llu failed\n",
           (unsigned long long)t->histories, t->counts.crashes, t->counts.acknowledged,
           (unsigned long long)t->failed);
    fflush(stdout);
}

static void run_all(const struct options *o, struct total *t)
{
    struct job jobs[JOBS_MAX] = { { 0 } };
    uint64_t next = o->seed, end = o->seed + o->histories;
    unsigned running = 0;

    while (next < end || running > 0) {
        struct job *free_place = NULL;

        for (unsigned i = 0; i < o->jobs && free_place == NULL; i++)
            if (jobs[i].pid == 0)
                free_place = &jobs[i];
        if (free_place != NULL && next < end && (o->plant == SIM_PLANT_NONE || t->failed == 0)) {
            *free_place = (struct job){ .seed = next++ };
            start_job(o, free_place);
            running++;
            continue;
        }
        if (running == 0)
            return;
        free_place = end_job(o, t, jobs);
        if (free_place == NULL)
            continue;
        running--;
        if (!free_place->is_again && free_place->seed % AGAIN_EACH == 0 && t->failed == 0 &&
            o->plant == SIM_PLANT_NONE) {
            free_place->is_again = true;
            start_job(o, free_place);
            running++;
        }
        tell_progress(o, t);
    }
}

static void print_total(const struct total *t)
{
    const struct sim_counts *c = &t->counts;

    printf("%llu histories (%llu of them run twice, alike), %u crashes, %u stops, "
           "%u starts that failed\n",
           (unsigned long long)(t->histories - t->again), (unsigned long long)t->again, c->crashes,
           c->stops, c->failed_starts);
    printf("%u messages begun, %u acknowledged, for %u recipients: %u delivered, %u bounced, "
           "%u without a sender to tell\n",
           c->messages, c->acknowledged, c->recipients, c->delivered, c->bounced, c->dropped);
    printf("%u fetched from the shelf, %u looked at by compaction\n", c->fetched, c->moved);
    printf("%u duplicates, all explained; %u delivered without a 250 that left; lost = 0\n",
           c->duplicates, c->unasked);
}

static int run_histories(const struct options *o)
{
    struct total total = { 0 };

    run_all(o, &total);
    if (total.failed > 0) {
        printf("%llu of %llu histories FAILED, the first is seed %llu\n",
               (unsigned long long)total.failed, (unsigned long long)total.histories,
               (unsigned long long)total.first_failed);
        return 1;
    }
    print_total(&total);
    return 0;
}

static int run_plants(struct options o)
{
    unsigned missed = 0;

    o.histories = PLANT_SEEDS;
    for (int plant = SIM_PLANT_NONE + 1; plant < SIM_PLANT_COUNT; plant++) {
        struct total total = { 0 };

        o.plant = (enum sim_plant)plant;
        run_all(&o, &total);
        if (total.failed == 0) {
            missed++;
            printf("planted: %s: NOT FOUND in %llu histories\n", sim_plant_name(o.plant),
                   (unsigned long long)total.histories);
        } else {
            printf("planted: %s: found with seed %llu, after %llu histories\n",
                   sim_plant_name(o.plant), (unsigned long long)total.first_failed,
                   (unsigned long long)total.histories);
        }
        fflush(stdout);
    }
    return missed > 0 ? 1 : 0;
}

/* --- the command ----------------------------------------------------------------------------- */

static const char usage[] =
    "sim [--seed N] [--histories N] [--jobs N] [--trace] [--calm] [--progress]\n"
    "    [--plants | --plant N]\n"
    "Runs histories of the whole gateway, one for each seed, and judges them.\n"
    "--plants: with each planted bug in turn, until one history has found it.\n"
    "SIM_SEED and SIM_HISTORIES in the environment stand for the first two.\n";

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text) {
        fprintf(stderr, "sim: not a number: %s\n", text);
        exit(2);
    }
    return value;
}

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        { "seed", required_argument, NULL, 's' }, { "histories", required_argument, NULL, 'n' },
        { "jobs", required_argument, NULL, 'j' }, { "plant", required_argument, NULL, 'p' },
        { "plants", no_argument, NULL, 'P' },     { "trace", no_argument, NULL, 't' },
        { "calm", no_argument, NULL, 'c' },       { "progress", no_argument, NULL, 'g' },
        { "help", no_argument, NULL, 'h' },       { 0 },
    };
    bool has_count = false;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's': o->seed = number(optarg); break;
        case 'n':
            o->histories = number(optarg);
            has_count = true;
            break;
        case 'j': o->jobs = (unsigned)number(optarg); break;
        case 'p': o->plant = (enum sim_plant)number(optarg); break;
        case 'P': o->plants = true; break;
        case 't': o->is_traced = true; break;
        case 'c': o->is_calm = true; break;
        case 'g': o->has_progress = true; break;
        case 'h': printf("%s", usage); exit(0);
        default: fprintf(stderr, "%s", usage); exit(2);
        }
    }
    if (o->is_traced && !has_count)
        o->histories = 1;
    if (optind != argc || o->jobs == 0 || o->jobs > JOBS_MAX || o->plant >= SIM_PLANT_COUNT) {
        fprintf(stderr, "%s", usage);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    const char *seed = getenv("SIM_SEED"), *histories = getenv("SIM_HISTORIES");
    struct options o = { .seed = 1, .histories = HISTORIES, .jobs = 2 };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    if (seed != NULL)
        o.seed = number(seed);
    if (histories != NULL)
        o.histories = number(histories);
    read_options(argc, argv, &o);
    return o.plants ? run_plants(o) : run_histories(&o);
}
