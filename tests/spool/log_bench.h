/* tests/spool/log_bench.h - a log over a disk in memory, with what was appended to it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/spool/fake_storage.h"

#define MANY 64

struct bench {
    struct fake_disk disk;
    struct fake_storage storage;
    struct spool_log log;
    struct spool_message *messages[MANY];
    struct spool_ticket tickets[MANY];
    unsigned count;
};

static inline void setup(struct bench *b)
{
    const struct spool_log_options options = {
        .log_id = 2, .segment_bytes = FAKE_SEGMENT_BYTES, .batch_first = 1, .sequence_first = 1
    };

    *b = (struct bench){ .count = 0 };
    fake_disk_init(&b->disk);
    fake_storage_init(&b->storage, &b->disk, &b->log);
    assert_int_equal(spool_log_init(&b->log, &b->storage.storage, &options), STATUS_OK);
}

static inline void teardown(struct bench *b)
{
    while (fake_answer_prepare(&b->storage) || fake_answer_release(&b->storage, STATUS_OK) ||
           fake_answer_write(&b->storage, STATUS_OK))
        ;
    spool_log_finish(&b->log);
    fake_disk_finish(&b->disk);
    for (unsigned i = 0; i < b->count; i++)
        spool_message_destroy(b->messages[i]);
}

static inline void ready(struct bench *b)
{
    setup(b);
    fake_settle(&b->storage);
    assert_int_equal(spool_log_state(&b->log), SPOOL_LOG_READY);
    assert_int_equal(spool_log_take_event(&b->log), SPOOL_LOG_EVENT_READY);
    assert_int_equal(spool_log_take_event(&b->log), SPOOL_LOG_EVENT_NONE);
}

/* Appends the next message; its mid is its index from 1. */
static inline enum status append(struct bench *b, size_t body_bytes)
{
    unsigned i = b->count;
    enum status status;

    assert_true(i < MANY);
    b->messages[i] = fake_message(i + 1, 1, body_bytes);
    status = spool_log_append_message(&b->log, b->messages[i], NULL, &b->tickets[i]);
    b->count++;
    return status;
}

static inline void assert_taken(struct bench *b, unsigned first, unsigned last, enum status status)
{
    for (unsigned i = first; i <= last; i++) {
        struct spool_ticket *t = spool_log_take_committed(&b->log);

        assert_ptr_equal(t, &b->tickets[i]);
        assert_int_equal(t->status, status);
    }
    assert_null(spool_log_take_committed(&b->log));
}

/* Appends and commits one. */
static inline void commit(struct bench *b, size_t body_bytes)
{
    unsigned i = b->count;

    assert_int_equal(append(b, body_bytes), STATUS_OK);
    fake_settle(&b->storage);
    assert_true(fake_answer_write(&b->storage, STATUS_OK));
    assert_taken(b, i, i, STATUS_OK);
    fake_settle(&b->storage);
}

/* The record of a message that is through, as it lies on the disk. */
static inline struct spool_record record_of(const struct bench *b, unsigned i)
{
    const struct spool_location *l = &b->tickets[i].location;
    const struct spool_segment_file *file = spool_segment_file(l->segment);
    struct slice bytes = { b->disk.segments[file->number].bytes + l->offset, l->bytes };
    struct spool_record r = { .mid = 0 };
    struct slice payload;

    assert_int_equal(spool_record_decode(bytes, &r), STATUS_OK);
    assert_int_equal(r.mid, i + 1);
    assert_int_equal(r.log_id, 2);
    assert_int_equal(r.generation, file->generation);
    assert_int_equal(r.salt, file->salt);
    assert_true(l->offset >= r.batch_start &&
                l->offset + l->bytes <= r.batch_start + r.batch_bytes);
    assert_true(spool_record_payload_is_whole(&r, bytes, &payload));
    assert_true(slice_equal(payload, spool_message_payload(b->messages[i])));
    return r;
}
