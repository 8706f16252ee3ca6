/* Damage of a medium, anywhere in a spool: random bytes, sectors and blocks, zeros and garbage.
 * Each case is told by its seed; CORRUPTION_SEED and CORRUPTION_CASES change them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/recovery.h"
#include "tests/spool/fake_storage.h"

#define LOGS        2
#define MESSAGES    48
#define CASES       3000
#define MESSAGE_MIN 200
#define MESSAGE_MAX 9000

/* The messages, what became of them, and the two logs that hold them; batches of one to five. */
struct world {
    struct fake_disk disk;
    struct fake_storage storages[LOGS];
    struct spool_log logs[LOGS];
    struct spool_message *messages[MESSAGES];
    struct spool_ticket tickets[MESSAGES];
    size_t body_bytes[MESSAGES];
    bool is_done[MESSAGES];
    bool is_confirmed;
    const char *path;
    struct spool_directory directory;
};

/* What is damaged: bytes of a segment. */
struct damage {
    uint32_t number;
    size_t offset;
    size_t bytes;
};

static void commit_waiting(struct world *w, unsigned log)
{
    fake_settle(&w->storages[log]);
    while (fake_answer_write(&w->storages[log], STATUS_OK)) {
        while (spool_log_take_committed(&w->logs[log]) != NULL)
            ;
        fake_settle(&w->storages[log]);
    }
}

static void finish_some(struct world *w, unsigned upto, uint64_t *random)
{
    for (unsigned i = 0; i < upto; i++) {
        unsigned log = i % LOGS;

        if (w->is_done[i] || fake_random(random) % 4 != 0)
            continue;
        w->is_done[i] = true;
        spool_log_append_done(&w->logs[log], i + 1, &w->tickets[i].location, NULL);
        spool_log_flush(&w->logs[log]);
        commit_waiting(w, log);
    }
}

static void append(struct world *w, unsigned i, uint64_t *random)
{
    struct spool_log *log = &w->logs[i % LOGS];

    w->body_bytes[i] = MESSAGE_MIN + fake_random(random) % (MESSAGE_MAX - MESSAGE_MIN);
    w->messages[i] = fake_message(i + 1, 2, w->body_bytes[i]);
    if (spool_log_append_message(log, w->messages[i], NULL, &w->tickets[i]) == STATUS_OK)
        return;
    commit_waiting(w, i % LOGS); /* which makes room */
    assert_int_equal(spool_log_append_message(log, w->messages[i], NULL, &w->tickets[i]),
                     STATUS_OK);
}

/* As a run ends, or has nothing to do for a moment: a batch comes behind the last messages. */
static void confirm(struct world *w)
{
    for (unsigned log = 0; log < LOGS; log++) {
        spool_log_flush(&w->logs[log]);
        commit_waiting(w, log);
        assert_false(spool_log_has_lazy(&w->logs[log]));
    }
}

static void setup(struct world *w, uint64_t *random, bool is_confirmed)
{
    *w = (struct world){ .path = fake_folder() };
    fake_disk_init(&w->disk);
    for (uint32_t i = 0; i < LOGS; i++) {
        const struct spool_log_options options = {
            .log_id = i,
            .segment_bytes = FAKE_SEGMENT_BYTES,
            .batch_first = SPOOL_BATCH_ERA + 1,
            .sequence_first = 1,
        };

        fake_storage_init(&w->storages[i], &w->disk, &w->logs[i]);
        assert_int_equal(spool_log_init(&w->logs[i], &w->storages[i].storage, &options), STATUS_OK);
        fake_settle(&w->storages[i]);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        append(w, i, random);
        if (fake_random(random) % 3 == 0) /* the others wait, and share a batch */
            commit_waiting(w, i % LOGS);
        if (i != MESSAGES / 2)
            continue;
        for (unsigned log = 0; log < LOGS; log++)
            commit_waiting(w, log);
        finish_some(w, i, random);
    }
    for (unsigned log = 0; log < LOGS; log++)
        commit_waiting(w, log);
    w->is_confirmed = is_confirmed;
    if (is_confirmed)
        confirm(w);
    fake_disk_save(&w->disk, w->path);
    assert_int_equal(spool_directory_open(&w->directory, w->path, false), STATUS_OK);
}

static void teardown(struct world *w)
{
    spool_directory_close(&w->directory);
    for (unsigned i = 0; i < LOGS; i++)
        spool_log_finish(&w->logs[i]);
    for (unsigned i = 0; i < MESSAGES; i++)
        spool_message_destroy(w->messages[i]);
    fake_disk_finish(&w->disk);
    fake_folder_remove(w->path);
}

static size_t number_of(const struct world *w, unsigned message)
{
    return spool_segment_file(w->tickets[message].location.segment)->number;
}

/* A segment that is in use; where in it the damage lies is any place up to the last record's end,
 * or the header, each as likely as another. */
static struct damage choose(const struct world *w, uint64_t *random)
{
    static const size_t sizes[] = { 1, 1, 1, 8, FAKE_SECTOR, SPOOL_BLOCK_BYTES };
    struct damage d = { .bytes = sizes[fake_random(random) % ARRAY_LEN(sizes)] };
    unsigned message = (unsigned)(fake_random(random) % MESSAGES);
    const struct spool_location *l = &w->tickets[message].location;
    size_t place = l->offset + fake_random(random) % l->bytes;

    d.number = (uint32_t)number_of(w, message);
    if (fake_random(random) % 16 == 0)
        place = fake_random(random) % 64; /* of the header, what counts */
    d.offset = place / d.bytes * d.bytes;
    return d;
}

/* Other bytes for those of d; all of them differ, or are zero. */
static void spoil(const struct damage *d, const char *from, char *to, uint64_t *random)
{
    bool is_zero = fake_random(random) % 2 == 0;

    for (size_t i = 0; i < d->bytes; i++)
        to[i] = is_zero ? 0 : (char)((unsigned char)from[i] ^ (1 + fake_random(random) % 255));
    if (d->bytes == 1 && to[0] == from[0])
        to[0] ^= 0x10;
}

static void write_at(const struct world *w, const struct damage *d, const char *bytes)
{
    int fd;

    assert_int_equal(spool_segment_open(&w->directory, d->number, O_WRONLY, &fd), STATUS_OK);
    assert_int_equal(pwrite(fd, bytes, d->bytes, (off_t)d->offset), d->bytes);
    assert_int_equal(close(fd), 0);
}

/* Whether some byte of the message's record is another one now. */
static bool is_hit(const struct world *w, unsigned message, const struct damage *d,
                   const char *spoilt)
{
    const struct spool_location *l = &w->tickets[message].location;
    const char *before = w->disk.segments[d->number].bytes + d->offset;

    if (number_of(w, message) != d->number)
        return false;
    for (size_t i = 0; i < d->bytes; i++)
        if (d->offset + i >= l->offset && d->offset + i < (size_t)l->offset + l->bytes &&
            spoilt[i] != before[i])
            return true;
    return false;
}

/* Whether the message was at the end of its log, and not even the salt of its record is left: that
 * looks as if nothing had been written there. */
static bool is_without_trace(const struct world *w, unsigned message, const struct damage *d,
                             const char *spoilt)
{
    const char *before = w->disk.segments[d->number].bytes + d->offset;
    size_t salt = w->tickets[message].location.offset + SPOOL_RECORD_SALT_AT;
    bool is_salt_hit = false;

    if (w->is_confirmed)
        return false;
    for (unsigned later = message; later < MESSAGES; later += LOGS)
        if (!is_hit(w, later, d, spoilt))
            return false;
    for (size_t i = 0; i < d->bytes; i++)
        if (d->offset + i >= salt && d->offset + i < salt + 8 && spoilt[i] != before[i])
            is_salt_hit = true;
    return is_salt_hit;
}

static const struct spool_recovered_message *find(const struct spool_recovery *r, uint64_t mid)
{
    TABLE_FOR_EACH (n, &r->messages) {
        const struct spool_recovered_message *m =
            CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->mid == mid)
            return m;
    }
    return NULL;
}

static uint64_t reports(const struct spool_recovery *r)
{
    uint64_t sum = 0;

    for (unsigned kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++)
        sum += r->damage_counts[kind];
    return sum;
}

static void check_message(struct world *w, struct spool_recovery *r, unsigned i, bool hit)
{
    const struct spool_recovered_message *m = find(r, i + 1);
    struct spool_message *message;

    if (m == NULL || m->is_done) {
        if (!hit && !w->is_done[i])
            fail_msg("MID %u is lost, and was not touched", i + 1);
        return;
    }
    assert_int_equal(spool_recovery_load(r, m, &message), STATUS_OK);
    fake_assert_message(message, i + 1, 2, w->body_bytes[i]);
    spool_message_destroy(message);
}

/* One damage. What is not hit is found, what is found is whole, and what is not found, or was over
 * and comes again, was said, if it has left a trace. */
static void try_one(struct world *w, uint64_t *random, unsigned *missing)
{
    const struct spool_recovery_options options = { .is_reader = true };
    const struct damage d = choose(w, random);
    const char *before = w->disk.segments[d.number].bytes + d.offset;
    char spoilt[SPOOL_BLOCK_BYTES];
    struct spool_recovery r;
    unsigned lost = 0, traces = 0;

    spoil(&d, before, spoilt, random);
    write_at(w, &d, spoilt);
    assert_int_equal(spool_recover(&r, &w->directory, &options), STATUS_OK);
    for (unsigned i = 0; i < MESSAGES; i++) {
        bool hit = is_hit(w, i, &d, spoilt);
        const struct spool_recovered_message *m = find(&r, i + 1);

        check_message(w, &r, i, hit);
        if (w->is_done[i] ? m == NULL || m->is_done : !hit || m != NULL)
            continue;
        lost++;
        traces += w->is_done[i] || !is_without_trace(w, i, &d, spoilt);
    }
    if (traces > 0)
        assert_true(reports(&r) > 0);
    if (w->is_confirmed)
        assert_int_equal(r.damage_counts[SPOOL_DAMAGE_TORN], 0);
    *missing += lost;
    spool_recovery_finish(&r);
    write_at(w, &d, before);
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoul(text, NULL, 0) : otherwise;
}

static void damage_anywhere(bool is_confirmed)
{
    unsigned long seed = setting("CORRUPTION_SEED", 1), cases = setting("CORRUPTION_CASES", CASES);
    uint64_t random = 88172645463325252u + seed;
    unsigned missing = 0;
    struct world w;

    setup(&w, &random, is_confirmed);
    for (unsigned long i = 0; i < cases; i++) {
        uint64_t state = (seed << 32) + i + 1;

        (void)fake_random(&state);
        random = state;
        try_one(&w, &random, &missing);
    }
    print_message("seed %lu: %lu damages to %u messages: %u were lost, or come again, and told\n",
                  seed, cases, MESSAGES, missing);
    assert_true(missing > 0);
    teardown(&w);
}

static void damage_anywhere_costs_no_other_message_and_is_told(void **unused)
{
    (void)unused;
    damage_anywhere(false);
}

static void with_a_batch_behind_the_last_messages_none_counts_as_never_written(void **unused)
{
    (void)unused;
    damage_anywhere(true);
}

static void cut(const struct world *w, uint32_t number, off_t bytes)
{
    int fd;

    assert_int_equal(spool_segment_open(&w->directory, number, O_WRONLY, &fd), STATUS_OK);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(close(fd), 0);
}

/* Whether records were behind the cut, nobody can tell: it is never passed over. */
static void a_segment_that_was_cut_short_is_damaged(void **unused)
{
    static const off_t lengths[] = { FAKE_SEGMENT_BYTES - 1, 3 * SPOOL_BLOCK_BYTES,
                                     SPOOL_BLOCK_BYTES + 8, SPOOL_BLOCK_BYTES };
    const struct spool_recovery_options options = { .is_reader = true };
    uint64_t random = 1;
    struct world w;

    (void)unused;
    setup(&w, &random, false);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint32_t number = (uint32_t)number_of(&w, 0);
        struct spool_recovery r;

        cut(&w, number, lengths[i]);
        assert_int_equal(spool_recover(&r, &w.directory, &options), STATUS_OK);
        assert_true(r.damage_counts[SPOOL_DAMAGE_RECORD] > 0);
        for (size_t n = 0; n < r.segments_count; n++)
            assert_int_equal(r.segments[n].is_damaged, r.segments[n].number == number);
        for (unsigned m = 0; m < MESSAGES; m++) {
            const struct spool_location *l = &w.tickets[m].location;

            check_message(&w, &r, m,
                          number_of(&w, m) == number &&
                              (off_t)l->offset + (off_t)l->bytes > lengths[i]);
        }
        spool_recovery_finish(&r);
    }
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_anywhere_costs_no_other_message_and_is_told),
        cmocka_unit_test(with_a_batch_behind_the_last_messages_none_counts_as_never_written),
        cmocka_unit_test(a_segment_that_was_cut_short_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
