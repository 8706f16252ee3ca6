/* tests/spool/recovery_bench.h - some logs over one disk in memory, saved to a folder and
 * recovered. */
#pragma once
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

#include "spool/body_file.h"
#include "spool/draft.h"
#include "spool/recovery.h"
#include "tests/spool/fake_storage.h"

#define LOGS 4
#define MANY 40

/* Some logs over one disk, and the spool that is made of it. */
struct bench {
    struct fake_disk disk;
    struct fake_storage storages[LOGS];
    struct spool_log logs[LOGS];
    struct spool_message *messages[MANY];
    struct spool_ticket tickets[MANY];
    unsigned count;
    const char *path;
    struct spool_directory directory;
    struct spool_recovery recovery;
};

static inline void setup(struct bench *b)
{
    *b = (struct bench){ .count = 0 };
    fake_disk_init(&b->disk);
    for (uint32_t i = 0; i < LOGS; i++) {
        const struct spool_log_options options = {
            .log_id = i,
            .segment_bytes = FAKE_SEGMENT_BYTES,
            .batch_first = SPOOL_BATCH_ERA + 1,
            .sequence_first = 1,
        };

        fake_storage_init(&b->storages[i], &b->disk, &b->logs[i]);
        assert_int_equal(spool_log_init(&b->logs[i], &b->storages[i].storage, &options), STATUS_OK);
        fake_settle(&b->storages[i]);
    }
    b->path = fake_folder();
}

/* Commits a message with two recipients in a log; its mid is its number from 1. */
static inline void commit(struct bench *b, unsigned log, size_t body_bytes)
{
    unsigned i = b->count++;

    assert_true(i < MANY);
    b->messages[i] = fake_message(i + 1, 2, body_bytes);
    assert_int_equal(spool_log_append_message(&b->logs[log], b->messages[i], NULL, &b->tickets[i]),
                     STATUS_OK);
    fake_settle(&b->storages[log]);
    assert_true(fake_answer_write(&b->storages[log], STATUS_OK));
    assert_ptr_equal(spool_log_take_committed(&b->logs[log]), &b->tickets[i]);
    fake_settle(&b->storages[log]);
}

static inline void commit_with_body_file(struct bench *b, uint64_t body_bytes)
{
    const struct spool_envelope e = { .mid = b->count + 1 };
    struct spool_draft d;
    unsigned i = b->count++;

    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&d, SLICE("a@b")), STATUS_OK);
    spool_draft_drop_body(&d);
    spool_draft_set_body_file(&d, body_bytes, 0);
    b->messages[i] = spool_draft_complete(&d);
    assert_int_equal(spool_log_append_message(&b->logs[0], b->messages[i], NULL, &b->tickets[i]),
                     STATUS_OK);
    fake_settle(&b->storages[0]);
    assert_true(fake_answer_write(&b->storages[0], STATUS_OK));
    (void)spool_log_take_committed(&b->logs[0]);
}

static inline void flush(struct bench *b, unsigned log)
{
    spool_log_flush(&b->logs[log]);
    fake_settle(&b->storages[log]);
    (void)fake_answer_write(&b->storages[log], STATUS_OK);
    fake_settle(&b->storages[log]);
}

static inline void result(struct bench *b, unsigned log, uint64_t mid, uint32_t rid,
                          enum spool_result_state state, uint32_t attempts)
{
    const struct spool_result r = { .rid = rid,
                                    .state = state,
                                    .attempts = attempts,
                                    .next_attempt_wall_s = 5000 + attempts,
                                    .warned_wall_s = 4000 + attempts,
                                    .warnings = 1 };

    spool_log_append_results(&b->logs[log], mid, &r, 1);
    flush(b, log);
}

static inline enum status recover(struct bench *b, bool is_reader)
{
    const struct spool_recovery_options options = { .is_reader = is_reader };

    spool_recovery_finish(&b->recovery);
    if (b->directory.path_fd == 0)
        assert_int_equal(spool_directory_open(&b->directory, b->path, false), STATUS_OK);
    return spool_recover(&b->recovery, &b->directory, &options);
}

static inline enum status save_and_recover(struct bench *b)
{
    fake_disk_save(&b->disk, b->path);
    return recover(b, false);
}

static inline void teardown(struct bench *b)
{
    for (unsigned i = 0; i < LOGS; i++)
        spool_log_finish(&b->logs[i]);
    for (unsigned i = 0; i < b->count; i++)
        spool_message_destroy(b->messages[i]);
    fake_disk_finish(&b->disk);
    spool_recovery_finish(&b->recovery);
    if (b->directory.path_fd != 0)
        spool_directory_close(&b->directory);
    fake_folder_remove(b->path);
}

static inline const struct spool_recovered_message *find(struct bench *b, uint64_t mid)
{
    TABLE_FOR_EACH (n, &b->recovery.messages) {
        const struct spool_recovered_message *m =
            CONTAINER_OF(n, struct spool_recovered_message, node);

        if (m->mid == mid && !m->is_done)
            return m;
    }
    return NULL;
}

/* Only these kinds were reported, each so often. */
static inline void assert_damage(const struct bench *b,
                                 const uint64_t counts[SPOOL_DAMAGE_KIND_COUNT])
{
    for (int kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++)
        assert_int_equal(b->recovery.damage_counts[kind], counts[kind]);
}

/* So many segments are marked. */
static inline unsigned damaged_segments(const struct bench *b)
{
    unsigned count = 0;

    for (size_t i = 0; i < b->recovery.segments_count; i++)
        count += b->recovery.segments[i].is_damaged;
    return count;
}

#define ASSERT_DAMAGE(b, ...)                                                                      \
    assert_damage(b, (const uint64_t[SPOOL_DAMAGE_KIND_COUNT]){ __VA_ARGS__ })

static inline void make_body(struct bench *b, uint64_t mid)
{
    char name[SPOOL_BODY_NAME_MAX];
    int fd = openat(b->directory.bodies_fd, spool_body_name(mid, name), O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

static inline char *bytes_of(struct bench *b, unsigned i)
{
    const struct spool_location *l = &b->tickets[i].location;

    return b->disk.segments[spool_segment_file(l->segment)->number].bytes + l->offset;
}
