#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "spool/recovery.h"
#include "tests/spool/fake_storage.h"

/* A spool lives several lives, each ended by a power cut at a random moment; after each, every
 * message that was acknowledged is there and whole, none is invented, and none whose DONE
 * was durable comes back. The number of workers changes from life to life. */

#define ROUNDS     1500
#define LIVES      3
#define WORKERS    3
#define MANY       600
#define STEPS      60
#define RECIPIENTS 2

enum fate {
    FATE_NONE,
    FATE_SENT,    /* appended; nobody was told anything */
    FATE_REFUSED, /* the ticket failed */
    FATE_ACKED,
    FATE_ENDING, /* DONE appended */
    FATE_ENDED   /* DONE durable: must not come back */
};

struct mail {
    enum fate fate;
    size_t body_bytes;
    unsigned worker;
    struct spool_message *message;
    struct spool_ticket ticket;
    struct spool_ticket done;
    struct spool_location location;
    bool delivered[RECIPIENTS]; /* a result was appended */
    bool durable[RECIPIENTS];   /* and its batch written */
};

struct world {
    uint64_t random;
    struct fake_disk disk;
    unsigned workers;
    struct fake_storage storages[WORKERS];
    struct spool_log logs[WORKERS];
    struct mail mails[MANY]; /* by mid; 0 is not used */
    uint64_t mid_next;
    const char *path;
    unsigned survivors; /* seen by recovery, over all lives */
};

static uint64_t below(struct world *w, uint64_t limit)
{
    return fake_random(&w->random) % limit;
}

static void take_tickets(struct world *w, unsigned worker)
{
    struct spool_ticket *t;

    while ((t = spool_log_take_committed(&w->logs[worker])) != NULL) {
        struct mail *m = &w->mails[t->mid];

        if (t->kind == SPOOL_TICKET_DONE) {
            if (t->status == STATUS_OK)
                m->fate = FATE_ENDED;
            continue;
        }
        m->fate = t->status == STATUS_OK ? FATE_ACKED : FATE_REFUSED;
        m->location = t->location;
    }
    while (spool_log_take_event(&w->logs[worker]) != SPOOL_LOG_EVENT_NONE)
        ;
}

/* When nothing lazy waits or flies, all results of the worker are durable. */
static void note_durable(struct world *w, unsigned worker)
{
    if (spool_log_has_lazy(&w->logs[worker]) || w->storages[worker].is_writing)
        return;
    for (uint64_t mid = 1; mid < w->mid_next; mid++)
        for (unsigned rid = 0; rid < RECIPIENTS; rid++)
            if (w->mails[mid].worker == worker)
                w->mails[mid].durable[rid] = w->mails[mid].delivered[rid];
}

static void send(struct world *w, unsigned worker)
{
    uint64_t mid = w->mid_next;
    struct mail *m = &w->mails[mid];

    if (mid == MANY)
        return;
    m->worker = worker;
    m->body_bytes = below(w, below(w, 4) == 0 ? 14000 : 3000);
    m->message = fake_message(mid, RECIPIENTS, m->body_bytes);
    if (spool_log_append_message(&w->logs[worker], m->message, NULL, &m->ticket) != STATUS_OK) {
        spool_message_destroy(m->message);
        m->message = NULL;
        return;
    }
    w->mid_next++;
    m->fate = FATE_SENT;
}

static struct mail *any_living(struct world *w, unsigned worker)
{
    if (w->mid_next < 2)
        return NULL;
    for (int tries = 0; tries < 8; tries++) {
        struct mail *m = &w->mails[1 + below(w, w->mid_next - 1)];

        if (m->fate == FATE_ACKED && m->worker == worker)
            return m;
    }
    return NULL;
}

static void deliver(struct world *w, unsigned worker)
{
    struct mail *m = any_living(w, worker);
    struct spool_result result = { (uint32_t)below(w, RECIPIENTS), SPOOL_RESULT_DELIVERED, 1, 0 };

    if (m == NULL)
        return;
    spool_log_append_results(&w->logs[worker], (uint64_t)(m - w->mails), &result, 1);
    m->delivered[result.rid] = true;
}

static void end_mail(struct world *w, unsigned worker)
{
    struct mail *m = any_living(w, worker);

    if (m == NULL)
        return;
    m->fate = FATE_ENDING;
    spool_log_append_done(&w->logs[worker], (uint64_t)(m - w->mails), &m->location, &m->done);
}

static void step(struct world *w)
{
    unsigned worker = (unsigned)below(w, w->workers);
    struct fake_storage *s = &w->storages[worker];

    switch (below(w, 12)) {
    case 0:
    case 1:
    case 2: send(w, worker); break;
    case 3: deliver(w, worker); break;
    case 4:
    case 5: end_mail(w, worker); break;
    case 6: spool_log_flush(s->log); break;
    case 7: (void)fake_answer_release(s, STATUS_OK); break;
    case 8: (void)fake_answer_prepare(s); break;
    case 9:
        if (below(w, 30) == 0)
            (void)fake_answer_write(s, STATUS_IO);
        break;
    default: (void)fake_answer_write(s, STATUS_OK); break;
    }
    take_tickets(w, worker);
    note_durable(w, worker);
    spool_log_resume(s->log);
    spool_log_retry(s->log);
    spool_log_run(s->log);
}

static void cut_power(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        struct fake_storage *s = &w->storages[i];

        fake_power_cut(s, &w->random);
        /* A release in flight may have happened or not. */
        if (below(w, 2) == 0)
            (void)fake_answer_release(s, STATUS_OK);
        s->is_writing = s->is_releasing = s->is_preparing = false;
        w->logs[i].is_writing = w->logs[i].is_releasing = w->logs[i].is_preparing = false;
        spool_log_finish(&w->logs[i]);
    }
    for (uint64_t mid = 1; mid < w->mid_next; mid++) {
        spool_message_destroy(w->mails[mid].message);
        w->mails[mid].message = NULL;
    }
}

static const struct spool_recovered_message *find(struct spool_recovery *r, uint64_t mid)
{
    const struct spool_recovered_message *found = NULL;

    TABLE_FOR_EACH (n, &r->messages) {
        const struct spool_recovered_message *m =
            CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->mid == mid && !m->is_done)
            found = m;
    }
    return found;
}

static void check_mail(struct world *w, struct spool_recovery *r, uint64_t mid)
{
    const struct spool_recovered_message *m = find(r, mid);
    const struct mail *mail = &w->mails[mid];
    struct spool_message *message;

    assert_true(mail->fate != FATE_ACKED || m != NULL);
    assert_true(mail->fate != FATE_ENDED || m == NULL);
    if (m == NULL)
        return;
    assert_int_not_equal(mail->fate, FATE_NONE);
    assert_int_equal(spool_recovery_load(r, m, &message), STATUS_OK);
    fake_assert_message(message, mid, RECIPIENTS, mail->body_bytes);
    spool_message_destroy(message);
    for (unsigned rid = 0; rid < RECIPIENTS; rid++) {
        enum spool_result_state state = spool_recovery_result(m, rid).state;

        assert_true(!mail->durable[rid] || state == SPOOL_RESULT_DELIVERED);
        assert_true(mail->delivered[rid] || state == SPOOL_RESULT_WAITING);
    }
    w->survivors++;
}

static void check(struct world *w, struct spool_recovery *r)
{
    for (int kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++)
        assert_true(kind == SPOOL_DAMAGE_TORN || r->damage_counts[kind] == 0);
    assert_true(r->mid_highest < w->mid_next || w->mid_next == 1);
    for (uint64_t mid = 1; mid < w->mid_next; mid++)
        check_mail(w, r, mid);
}

/* What the recovery says becomes the state of the next life. */
static void adopt(struct world *w, struct spool_recovery *r, struct spool_segment **segments)
{
    for (unsigned i = 0; i < w->workers; i++) {
        const struct spool_log_options options = {
            .log_id = i,
            .segment_bytes = FAKE_SEGMENT_BYTES,
            .batch_first = r->batch_next,
            .sequence_first = r->sequence_next,
        };

        fake_storage_init(&w->storages[i], &w->disk, &w->logs[i]);
        assert_int_equal(spool_log_init(&w->logs[i], &w->storages[i].storage, &options), STATUS_OK);
    }
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];
        const struct spool_segment_file file = { s->header.generation, s->header.salt, s->number,
                                                 -1 };

        if (!s->is_free)
            assert_int_equal(spool_log_adopt(&w->logs[s->home % w->workers], &file,
                                             s->messages_living, &segments[i]),
                             STATUS_OK);
    }
    for (uint64_t mid = 1; mid < w->mid_next; mid++) {
        const struct spool_recovered_message *m = find(r, mid);
        struct mail *mail = &w->mails[mid];

        if (m == NULL) {
            mail->fate = mail->fate == FATE_ENDED ? FATE_ENDED : FATE_NONE;
            continue;
        }
        mail->fate = FATE_ACKED;
        mail->worker = r->segments[m->segment].home % w->workers;
        mail->location = (struct spool_location){ segments[m->segment], m->offset, m->bytes };
        for (unsigned rid = 0; rid < RECIPIENTS; rid++)
            mail->delivered[rid] = mail->durable[rid] =
                spool_recovery_result(m, rid).state == SPOOL_RESULT_DELIVERED;
    }
}

static void recover_and_check(struct world *w, bool adopting)
{
    static struct spool_segment *segments[FAKE_SEGMENTS_MAX];
    const struct spool_recovery_options options = { .is_reader = true };
    struct spool_directory d;
    struct spool_recovery r;

    fake_disk_save(&w->disk, w->path);
    assert_int_equal(spool_directory_open(&d, w->path, true), STATUS_OK);
    assert_int_equal(spool_recover(&r, &d, &options), STATUS_OK);
    check(w, &r);
    if (adopting) {
        w->workers = 1 + (unsigned)below(w, WORKERS);
        adopt(w, &r, segments);
    }
    spool_recovery_finish(&r);
    spool_directory_close(&d);
}

static unsigned live(uint64_t seed)
{
    static struct world w;

    w = (struct world){ .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1, .mid_next = 1 };
    fake_disk_init(&w.disk);
    w.path = fake_folder();
    recover_and_check(&w, true);
    for (unsigned life = 0; life < LIVES; life++) {
        uint64_t steps = below(&w, life == 0 && below(&w, 8) == 0 ? 10 * STEPS : STEPS) + 5;

        for (unsigned i = 0; i < w.workers; i++)
            if (below(&w, 4) != 0)
                fake_settle(&w.storages[i]);
        for (uint64_t i = 0; i < steps; i++)
            step(&w);
        cut_power(&w);
        recover_and_check(&w, life + 1 < LIVES);
    }
    fake_disk_finish(&w.disk);
    fake_folder_remove(w.path);
    return w.survivors;
}

static uint64_t running; /* the seed that is being tried; 0: none */

static void no_power_cut_loses_invents_or_revives_a_message(void **unused)
{
    const char *text = getenv("POSTERN_SEED");
    uint64_t seed = (uint64_t)time(NULL), survivors = 0;
    unsigned rounds = ROUNDS;

    (void)unused;
    if (text != NULL && slice_to_number(slice_from(text), UINT64_MAX, &seed))
        rounds = 1;
    for (unsigned i = 0; i < rounds; i++) {
        running = seed + i;
        survivors += live(running);
    }
    running = 0;
    assert_true(rounds == 1 || survivors > rounds);
}

static int print_seed(void **unused)
{
    (void)unused;
    if (running != 0)
        print_message("failed with POSTERN_SEED=%llu\n", (unsigned long long)running);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_power_cut_loses_invents_or_revives_a_message, print_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
