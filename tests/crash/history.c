#include "tests/crash/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/mailing.h"
#include "tests/crash/plants.h"

#define LIVES_MAX      6
#define STEPS_MAX      160
#define QUIET_MAX      20000 /* steps until nothing waits any more */
#define FLUSHES_MAX    200   /* so often compaction may meet a message that cannot be read now */
#define DEPTH_MAX      2     /* a cut within the start after a cut */
#define DEEP_ONE_IN    24    /* of the steps of such a start */
#define AGAIN_ONE_IN   4     /* of the cuts: started twice */
#define GOES_ON_ONE_IN 8     /* of the cuts: and the logs work for a while */

/* A process on a disk, from the outside. */
struct frame {
    struct history *history;
    struct sim_disk *disk;
    unsigned depth;
    uint64_t steps;
    uint64_t steps_end; /* 0: never */
    uint64_t sum;       /* of ledger_check(); what the disk was cut from has to give the same */
    bool is_checked;
};

struct history {
    const struct history_options *options;
    struct history_counts *counts;
    uint64_t random;
    uint64_t cuts; /* of its lives, not within the starts after them */
    struct ledger *ledger;
    struct sim_disk *disk;
    struct sim_disk *next; /* after a cut that ended a life */
};

static void try_cut(struct frame *f, uint64_t random);

static bool has_failed(const struct history *h)
{
    return h->ledger->failure[0] != '\0';
}

static bool is_enough(const struct history *h)
{
    return h->options->cuts_max > 0 && h->cuts >= h->options->cuts_max;
}

/* A lie of one place does not go on after it. */
static struct sim_disk *cut(const struct sim_disk *d, uint64_t *random)
{
    struct sim_disk *image = sim_disk_cut(d, random);

    sim_disk_set_lies(image, plant_lies());
    return image;
}

static void end_life(struct frame *f)
{
    struct history *h = f->history;

    if (sim_below(&h->random, 3) == 0)
        h->counts->kills++;
    else
        h->next = cut(h->disk, &h->random);
    sim_disk_die(h->disk);
}

static void on_step(void *owner)
{
    struct frame *f = owner;

    try_cut(f, sim_seed(f->history->options->seed, ++f->history->cuts));
    if (has_failed(f->history) || is_enough(f->history))
        sim_disk_die(f->disk);
    else if (++f->steps == f->steps_end)
        end_life(f);
}

/* --- a cut on a copy -------------------------------------------------------------------------- */

struct trial {
    struct frame frame;
    uint64_t random;
};

static void on_deep_step(void *owner)
{
    struct trial *t = owner;

    if (sim_below(&t->random, DEEP_ONE_IN) == 0)
        try_cut(&t->frame, sim_random(&t->random));
    if (has_failed(t->frame.history))
        sim_disk_die(t->frame.disk);
}

static void check_again(struct frame *f, uint64_t sum)
{
    if (f->is_checked && f->sum != sum)
        ledger_fail(f->history->ledger, "two starts in a row have found different messages");
    f->sum = sum;
    f->is_checked = true;
}

static void trial_recovered(struct sim_run *run)
{
    struct trial *t = run->owner;

    check_again(&t->frame, ledger_check(t->frame.history->ledger, run));
}

static void trial_adopted(struct sim_run *run, unsigned worker, struct spool_message *message,
                          const struct spool_location *location,
                          const struct spool_recovered_message *found)
{
    (void)run, (void)worker, (void)location, (void)found;
    spool_message_destroy(message);
}

static const struct sim_run_ops trial_ops = { .recovered = trial_recovered,
                                              .adopted = trial_adopted };

static void start_copy(struct trial *t)
{
    unsigned workers = 1 + (unsigned)sim_below(&t->random, SIM_RUN_LOGS_MAX);
    struct sim_run *run;
    enum status status = sim_run_start(t->frame.disk, workers, &t->random, &trial_ops, t, &run);

    if (status != STATUS_OK) {
        ledger_fail(t->frame.history->ledger, "no start: %s", status_text(status));
        return;
    }
    while (!run->is_recovered && !sim_disk_is_dead(t->frame.disk) && sim_run_step(run, false))
        ;
    if (!run->is_recovered && !sim_disk_is_dead(t->frame.disk))
        ledger_fail(t->frame.history->ledger, "the recovery does not end");
    for (uint64_t n = sim_below(&t->random, GOES_ON_ONE_IN) == 0 ? 60 : 0; n > 0; n--)
        (void)sim_run_step(run, true);
    sim_run_end(run);
}

static void try_cut(struct frame *f, uint64_t random)
{
    struct history *h = f->history;
    struct trial t = { .random = random };
    struct sim_disk *before;

    if (h->options->cut_only != 0 && h->options->cut_only != h->cuts)
        return;
    h->counts->cuts++;
    h->counts->cuts_in_starts += f->depth > 0 || h->ledger->run == NULL;
    t.frame = (struct frame){
        .history = h,
        .disk = cut(f->disk, &t.random),
        .depth = f->depth + 1,
        .sum = f->sum,
        .is_checked = f->depth > 0 && f->is_checked,
    };
    if (t.frame.depth < DEPTH_MAX)
        sim_disk_set_hook(t.frame.disk, on_deep_step, &t);
    before = sim_disk_use(t.frame.disk);
    start_copy(&t);
    if (!has_failed(h) && sim_below(&t.random, AGAIN_ONE_IN) == 0) {
        sim_disk_revive(t.frame.disk);
        start_copy(&t);
    }
    (void)sim_disk_use(before);
    sim_disk_destroy(t.frame.disk);
}

/* --- a life ------------------------------------------------------------------------------------
 */

static void life_recovered(struct sim_run *run)
{
    struct frame *f = run->owner;

    ledger_settle(f->history->ledger, run);
}

static void life_adopted(struct sim_run *run, unsigned worker, struct spool_message *message,
                         const struct spool_location *location,
                         const struct spool_recovered_message *found)
{
    struct frame *f = run->owner;

    mailing_adopt(f->history->ledger, &run->workers[worker], message, location, found);
}

static const struct sim_run_ops life_ops = { .recovered = life_recovered, .adopted = life_adopted };

/* The disk is well: each log has written what waited, and freed what is dead. */
static void check_rest(struct history *h, unsigned index, struct gateway_store *store)
{
    struct spool_segment *head = spool_log_head(&store->log);
    uint64_t chain = (uint64_t)spool_log_segments_count(&store->log) * SIM_RUN_SEGMENT_BYTES;

    if (!gateway_store_is_quiet(store))
        ledger_fail(h->ledger, "log %u does not come to rest", index);
    if (head != NULL && spool_segment_messages(head) == 0)
        ledger_fail(h->ledger, "log %u does not free a dead segment", index);
    if (spool_log_state(&store->log) != SPOOL_LOG_STOPPED &&
        chain > 2 * store->worker->living_bytes +
                    GATEWAY_COMPACTION_SEGMENTS_FREE * SIM_RUN_SEGMENT_BYTES)
        ledger_fail(h->ledger, "log %u takes %llu bytes for %llu", index, (unsigned long long)chain,
                    (unsigned long long)store->worker->living_bytes);
}

/* A stop in order: everything that waits is written, also by a log that has stopped. */
static void come_to_rest(struct history *h, struct sim_run *run)
{
    bool is_reloaded = sim_below(&h->random, 2) == 0;
    unsigned flushes = 0;

    sim_disk_set_faults(h->disk, 0);
    sim_disk_set_size(h->disk, 0);
    for (unsigned n = 0; n < QUIET_MAX && flushes < FLUSHES_MAX; n++) {
        if (sim_run_step(run, true))
            continue;
        run->now_ms += GATEWAY_COMPACTION_RETRY_MS;
        for (unsigned i = 0; i < run->process.workers_count; i++) {
            if (is_reloaded)
                gateway_store_resume(&run->workers[i].store);
            gateway_store_flush_last(&run->workers[i].store);
            gateway_compaction_check(&run->workers[i]);
        }
        flushes++;
    }
    if (sim_disk_is_dead(h->disk))
        return;
    for (unsigned i = 0; i < run->process.workers_count; i++)
        check_rest(h, i, &run->workers[i].store);
    ledger_check_quiet(h->ledger);
}

static void work(struct history *h, struct sim_run *run)
{
    uint64_t steps = 1 + sim_below(&h->random, STEPS_MAX) * (1 + sim_below(&h->random, 6));
    bool is_full = sim_below(&h->random, 3) == 0, is_faulty = sim_below(&h->random, 3) == 0;
    uint64_t pace = 2 + sim_below(&h->random, 6);

    if (is_full)
        sim_disk_set_size(h->disk, sim_disk_bytes_used(h->disk) +
                                       (1 + sim_below(&h->random, 6)) * SIM_RUN_SEGMENT_BYTES);
    if (is_faulty || plant_is(PLANT_ERROR_IGNORED) || plant_is(PLANT_LAID_OUT_FOR_GOOD))
        sim_disk_set_faults(h->disk, 30 + (unsigned)sim_below(&h->random, 100));
    for (uint64_t n = 0; n < steps && !sim_disk_is_dead(h->disk); n++) {
        mailing_step(h->ledger, &h->random);
        for (uint64_t turns = sim_below(&h->random, pace); turns > 0; turns--)
            (void)sim_run_step(run, sim_below(&h->random, 8) == 0);
    }
    if (!sim_disk_is_dead(h->disk) &&
        (sim_below(&h->random, 3) == 0 || plant_is(PLANT_ASIDE_USED_AGAIN)))
        come_to_rest(h, run);
}

static void live(struct history *h)
{
    bool has_survivors = sim_below(&h->random, 2) == 0;
    unsigned workers = 1 + (unsigned)sim_below(&h->random, has_survivors ? 2 : SIM_RUN_LOGS_MAX);
    struct frame f = { .history = h, .disk = h->disk };
    struct sim_run *run;
    enum status status;

    h->counts->lives++;
    h->ledger->has_survivors = has_survivors;
    if (sim_below(&h->random, 8) == 0)
        f.steps_end = 1 + sim_below(&h->random, 30); /* within the start, or soon after */
    else if (sim_below(&h->random, 3) != 0)
        f.steps_end = 1 + sim_below(&h->random, 1200);
    sim_disk_set_hook(h->disk, on_step, &f);
    (void)sim_disk_use(h->disk);
    status = sim_run_start(h->disk, workers, &h->random, &life_ops, &f, &run);
    if (status == STATUS_OK) {
        h->ledger->run = run;
        work(h, run);
        if (!sim_disk_is_dead(h->disk))
            end_life(&f);
        run->is_ending = true;
        mailing_abandon(h->ledger);
        h->counts->moved += sim_run_moved(run);
        sim_run_end(run);
        h->ledger->run = NULL;
    } else if (!sim_disk_is_dead(h->disk)) {
        ledger_fail(h->ledger, "no start: %s", status_text(status));
    }
    mailing_forget(h->ledger);
    sim_disk_revive(h->disk);
    sim_disk_set_hook(h->disk, NULL, NULL);
    sim_disk_set_faults(h->disk, 0);
    sim_disk_set_size(h->disk, 0);
    if (h->next == NULL)
        return;
    sim_disk_destroy(h->disk);
    h->disk = h->next;
    h->next = NULL;
}

bool history_live(const struct history_options *options, struct history_counts *counts,
                  char text_out[static HISTORY_TEXT_MAX])
{
    struct history h = { .options = options, .counts = counts };
    uint64_t lives;
    bool is_good;

    h.random = sim_seed(options->seed, 0);
    h.ledger = calloc(1, sizeof(*h.ledger));
    ASSERT(h.ledger != NULL);
    h.ledger->counts = counts;
    h.disk = sim_disk_create(options->seed);
    sim_disk_set_direct(h.disk, sim_below(&h.random, 3) != 0);
    h.ledger->may_show_stale = sim_below(&h.random, 4) == 0;
    sim_disk_set_allocation(h.disk, !h.ledger->may_show_stale);
    sim_disk_set_lies(h.disk, plant_lies());
    lives = 2 + sim_below(&h.random, LIVES_MAX - 1);
    while (lives-- > 0 && !has_failed(&h) && !is_enough(&h))
        live(&h);
    sim_disk_destroy(h.disk);
    is_good = !has_failed(&h);
    if (!is_good)
        (void)snprintf(text_out, HISTORY_TEXT_MAX, "seed %llu, cut %llu: %.200s",
                       (unsigned long long)options->seed, (unsigned long long)h.cuts,
                       h.ledger->failure);
    free(h.ledger);
    return is_good;
}
