#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/history.h"
#include "tests/crash/plants.h"

/* Without arguments: the tests. `make crash-long` calls it with --cuts. */

/* At least so many cuts in an ordinary run. The sanitizers take twenty times as long, and do not
 * look for planted bugs. */
#ifdef __SANITIZE_ADDRESS__
#define CUTS         1000
#define IS_SANITIZED true
#else
#define CUTS         8000
#define IS_SANITIZED false
#endif

#define PLANT_SEED     1     /* the same each time: whether a bug is found is no matter of luck */
#define PLANT_CUTS_MAX 60000 /* within so many */

static void print_counts(const struct history_counts *c, uint64_t histories)
{
    printf(
        "crash: %llu histories, %llu lives, of these %llu killed; %llu sent, %llu acknowledged, "
        "%llu refused, %llu commits failed, %llu moved, "
        "%llu unreadable put aside\n"
        "crash: %llu cuts tried, of these %llu within a start; %llu starts, %llu messages found\n",
        (unsigned long long)histories, (unsigned long long)c->lives, (unsigned long long)c->kills,
        (unsigned long long)c->sent, (unsigned long long)c->acknowledged,
        (unsigned long long)c->full_disks, (unsigned long long)c->failed_writes,
        (unsigned long long)c->moved, (unsigned long long)c->aside, (unsigned long long)c->cuts,
        (unsigned long long)c->cuts_in_starts, (unsigned long long)c->starts,
        (unsigned long long)c->found);
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("POSTERN_SEED");
    uint64_t seed = (uint64_t)time(NULL) * 1000;

    if (text != NULL && !slice_to_number(slice_from(text), UINT64_MAX, &seed))
        fail_msg("POSTERN_SEED is a number");
    return seed;
}

static void no_power_cut_loses_invents_or_revives_a_message(void **unused)
{
    struct history_options options = { .seed = seed_of_run() };
    struct history_counts counts = { 0 };
    char text[HISTORY_TEXT_MAX];
    uint64_t histories = 0;

    (void)unused;
    print_message("crash: first seed %llu (POSTERN_SEED)\n", (unsigned long long)options.seed);
    for (; counts.cuts < CUTS; options.seed++, histories++)
        if (!history_live(&options, &counts, text))
            fail_msg("%s", text);
    print_counts(&counts, histories);
    printf("crash: lost 0, invented 0, revived 0\n");
}

/* --- planted bugs ----------------------------------------------------------------------------- */

struct verdict {
    bool is_found;
    uint64_t cuts;
    char text[HISTORY_TEXT_MAX];
};

/* In a process of its own: what a bug does may well end in an assertion. */
static void try_plant(enum plant plant, uint64_t seed, struct verdict *verdict)
{
    struct history_options options = { .seed = seed };
    struct history_counts counts = { 0 };

    if (freopen("/dev/null", "w", stderr) == NULL)
        _exit(1);
    plant_choose(plant);
    for (; counts.cuts < PLANT_CUTS_MAX && !verdict->is_found; options.seed++) {
        options.cuts_max = PLANT_CUTS_MAX - counts.cuts;
        verdict->is_found = !history_live(&options, &counts, verdict->text);
        verdict->cuts = counts.cuts;
    }
    _exit(0);
}

static void each_planted_bug_is_found(void **unused)
{
    struct verdict *verdict =
        mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned missed = 0;

    (void)unused;
    if (IS_SANITIZED)
        skip();
    assert_true(verdict != MAP_FAILED);
    for (int plant = PLANT_NONE + 1; plant < PLANT_COUNT; plant++) {
        pid_t child;
        int result;

        *verdict = (struct verdict){ .is_found = false };
        (void)fflush(stdout);
        child = fork();
        if (child == 0)
            try_plant((enum plant)plant, PLANT_SEED, verdict);
        assert_int_equal(waitpid(child, &result, 0), child);
        if (WIFSIGNALED(result)) {
            verdict->is_found = true;
            (void)snprintf(verdict->text, sizeof(verdict->text), "an assertion failed");
        }
        printf("planted: %s: %s after %llu cuts%s%s\n", plant_text((enum plant)plant),
               verdict->is_found ? "found" : "MISSED", (unsigned long long)verdict->cuts,
               verdict->is_found ? ": " : "", verdict->text);
        missed += !verdict->is_found;
    }
    assert_int_equal(munmap(verdict, sizeof(*verdict)), 0);
    printf("crash: bugs planted %d, found %d\n", PLANT_COUNT - 1, PLANT_COUNT - 1 - (int)missed);
    assert_int_equal(missed, 0);
}

/* --- the long run ------------------------------------------------------------------------------
 */

static int run_long(uint64_t seed, uint64_t cuts)
{
    struct history_options options = { .seed = seed };
    struct history_counts counts = { 0 };
    char text[HISTORY_TEXT_MAX];
    uint64_t histories = 0;
    time_t said = time(NULL);

    printf("crash: first seed %llu\n", (unsigned long long)seed);
    for (; counts.cuts < cuts; options.seed++, histories++) {
        if (!history_live(&options, &counts, text)) {
            printf("\ncrash: FAILED: %s\n", text);
            return 1;
        }
        if (isatty(STDOUT_FILENO) == 1 && time(NULL) != said) {
            said = time(NULL);
            printf("\r\033[Kcrash: %llu of %llu cuts, %llu messages found, lost 0",
                   (unsigned long long)counts.cuts, (unsigned long long)cuts,
                   (unsigned long long)counts.found);
            (void)fflush(stdout);
        }
    }
    printf("%s", isatty(STDOUT_FILENO) == 1 ? "\r\033[K" : "");
    print_counts(&counts, histories);
    printf("crash: lost 0, invented 0, revived 0\n");
    return 0;
}

static int replay(uint64_t seed, uint64_t cut, uint64_t plant)
{
    const struct history_options options = { .seed = seed, .cut_only = cut };
    struct history_counts counts = { 0 };
    char text[HISTORY_TEXT_MAX];
    bool is_good;

    plant_choose(plant < PLANT_COUNT ? (enum plant)plant : PLANT_NONE);
    is_good = history_live(&options, &counts, text);
    print_counts(&counts, 1);
    printf("crash: %s\n", is_good ? "lost 0, invented 0, revived 0" : text);
    return is_good ? 0 : 1;
}

static int misused(void)
{
    fprintf(stderr, "crash_test: arguments: none, or --cuts N [--seed S], or --seed S [--cut N] "
                    "[--plant P]\n");
    return 2;
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_power_cut_loses_invents_or_revives_a_message),
        cmocka_unit_test(each_planted_bug_is_found),
    };
    uint64_t seed = (uint64_t)time(NULL) * 1000, cuts = 0, cut = 0, plant = 0;

    if (count == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 1; i < count; i += 2) {
        struct slice word = slice_from(words[i]);
        uint64_t *to = slice_equal(word, SLICE("--seed"))    ? &seed
                       : slice_equal(word, SLICE("--cuts"))  ? &cuts
                       : slice_equal(word, SLICE("--cut"))   ? &cut
                       : slice_equal(word, SLICE("--plant")) ? &plant
                                                             : NULL;

        if (to == NULL || i + 1 == count ||
            !slice_to_number(slice_from(words[i + 1]), UINT64_MAX, to))
            return misused();
    }
    return cuts > 0 ? run_long(seed, cuts) : replay(seed, cut, plant);
}
