#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "spool/draft.h"
#include "spool/recovery.h"
#include "tests/spool/fake_storage.h"

/* Every allocation fails once. The allocator is replaced for this program; a sanitizer brings
 * its own, and the tests are skipped there. */

#if defined(__SANITIZE_ADDRESS__)
#define CAN_FAIL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAN_FAIL 0
#endif
#endif
#ifndef CAN_FAIL
#define CAN_FAIL 1
#endif

static long failing = -1; /* so many succeed, the next fails; below 0: none fails */
static bool all_fail;

#if CAN_FAIL

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static bool fails(void)
{
    return all_fail || (failing >= 0 && failing-- == 0);
}

void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

#endif

static void skip_without_failures(void)
{
    if (!CAN_FAIL)
        skip();
}

static enum status make(struct spool_draft *d, struct spool_message **message_out)
{
    static const char body[50000];
    const struct spool_envelope e = { .mid = 5, .sender = SLICE("a@b") };

    TRY(spool_draft_begin(d, &e, 0));
    for (int i = 0; i < 100; i++)
        TRY(spool_draft_add_recipient(d, SLICE("somebody@example.com")));
    TRY(spool_draft_trace(d, SLICE("Received: x\r\n")));
    for (int i = 0; i < 3; i++)
        TRY(spool_draft_body(d, (struct slice){ body, sizeof body }));
    *message_out = spool_draft_complete(d);
    return STATUS_OK;
}

static void a_draft_survives_every_failure(void **unused)
{
    unsigned failures = 0;

    (void)unused;
    skip_without_failures();
    for (long n = 0;; n++) {
        struct spool_draft d;
        struct spool_message *m = NULL;
        enum status status;

        spool_draft_init(&d);
        failing = n;
        status = make(&d, &m);
        failing = -1;
        spool_draft_finish(&d);
        if (status == STATUS_OK) {
            assert_int_equal(spool_message_recipients_count(m), 100);
            spool_message_destroy(m);
            break;
        }
        assert_int_equal(status, STATUS_NO_MEMORY);
        failures++;
    }
    assert_true(failures > 4);
}

/* A log at work; whatever fails, each ticket that was taken comes back once. */
static unsigned work(struct fake_storage *s, struct spool_message **messages)
{
    struct spool_result result = { 0, SPOOL_RESULT_DELIVERED, 1, 0 };
    struct spool_ticket tickets[4], *t;
    unsigned taken = 0, back = 0, good = 0;

    for (unsigned i = 0; i < ARRAY_LEN(tickets); i++) {
        if (spool_log_append_message(s->log, messages[i], NULL, &tickets[i]) == STATUS_OK)
            taken++;
        spool_log_append_results(s->log, 1, &result, 1);
        spool_log_run(s->log);
        (void)fake_answer_prepare(s);
        (void)fake_answer_write(s, STATUS_OK);
    }
    spool_log_run(s->log);
    (void)fake_answer_write(s, STATUS_OK);
    while ((t = spool_log_take_committed(s->log)) != NULL) {
        assert_true(t->status == STATUS_OK || t->status == STATUS_NO_MEMORY);
        good += t->status == STATUS_OK;
        back++;
    }
    assert_int_equal(back, taken);
    return good;
}

static void a_log_survives_every_failure(void **unused)
{
    const struct spool_log_options options = { .segment_bytes = FAKE_SEGMENT_BYTES,
                                               .batch_first = 1,
                                               .sequence_first = 1 };
    struct spool_message *messages[4];

    (void)unused;
    skip_without_failures();
    for (unsigned i = 0; i < ARRAY_LEN(messages); i++)
        messages[i] = fake_message(i + 1, 1, 1000);
    for (long n = 0; n < 12; n++) {
        static struct fake_disk disk;
        struct fake_storage storage;
        struct spool_log log;

        fake_disk_init(&disk);
        for (unsigned i = 1; i < 8; i++) { /* so that the disk itself needs no memory */
            disk.segments[i].bytes = calloc(1, FAKE_SEGMENT_BYTES);
            disk.segments[i].is_free = true;
        }
        fake_storage_init(&storage, &disk, &log);
        assert_int_equal(spool_log_init(&log, &storage.storage, &options), STATUS_OK);
        fake_settle(&storage);
        failing = n;
        (void)work(&storage, messages);
        failing = -1;
        spool_log_retry(&log);
        fake_settle(&storage);
        assert_int_equal(work(&storage, messages), 4);
        fake_settle(&storage);
        (void)fake_answer_write(&storage, STATUS_OK);
        spool_log_finish(&log);
        fake_disk_finish(&disk);
    }
    for (unsigned i = 0; i < ARRAY_LEN(messages); i++)
        spool_message_destroy(messages[i]);
}

/* A spool with four messages, of which the second one is damaged. */
struct found {
    struct fake_disk disk;
    struct spool_directory directory;
    const char *path;
};

static void save(struct found *f)
{
    const struct spool_log_options options = { .segment_bytes = FAKE_SEGMENT_BYTES,
                                               .batch_first = 1,
                                               .sequence_first = 1 };
    struct spool_message *messages[4];
    struct fake_storage storage;
    struct spool_log log;

    f->path = fake_folder();
    fake_disk_init(&f->disk);
    fake_storage_init(&storage, &f->disk, &log);
    assert_int_equal(spool_log_init(&log, &storage.storage, &options), STATUS_OK);
    fake_settle(&storage);
    for (unsigned i = 0; i < ARRAY_LEN(messages); i++)
        messages[i] = fake_message(i + 1, 1, 1000);
    assert_int_equal(work(&storage, messages), 4);
    fake_settle(&storage);
    f->disk.segments[1].bytes[2 * SPOOL_BLOCK_BYTES + 200] ^= 1;
    fake_disk_save(&f->disk, f->path);
    assert_int_equal(spool_directory_open(&f->directory, f->path, true), STATUS_OK);
    spool_log_finish(&log);
    for (unsigned i = 0; i < ARRAY_LEN(messages); i++)
        spool_message_destroy(messages[i]);
}

static void forget(struct found *f)
{
    spool_directory_close(&f->directory);
    fake_disk_finish(&f->disk);
    fake_folder_remove(f->path);
}

static void assert_found(const struct spool_recovery *r)
{
    const struct spool_recovered_message *first = spool_recovery_find(r, 1);

    assert_int_equal(r->messages_living, 3);
    assert_non_null(first);
    assert_int_equal(spool_recovery_result(first, 0).state, SPOOL_RESULT_DELIVERED);
    for (int kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++)
        assert_int_equal(r->damage_counts[kind], kind == SPOOL_DAMAGE_RECORD);
    assert_int_equal(r->damage_listed, 1);
}

static void recovery_survives_every_failure(void **unused)
{
    const struct spool_recovery_options options = { .is_reader = true };
    static struct found f;
    unsigned failures = 0;

    (void)unused;
    skip_without_failures();
    save(&f);
    for (long n = 0;; n++) {
        struct spool_recovery r;
        enum status status;

        failing = n;
        status = spool_recover(&r, &f.directory, &options);
        failing = -1;
        if (status == STATUS_OK) {
            assert_found(&r);
            spool_recovery_finish(&r);
            break;
        }
        assert_int_equal(status, STATUS_NO_MEMORY);
        failures++;
    }
    assert_true(failures > 6);
    forget(&f);
}

/* What a step has found before memory was short it finds again, and counts once. */
static void a_step_that_lacked_memory_can_be_made_again(void **unused)
{
    const struct spool_recovery_options options = { .is_reader = true };
    static struct found f;
    unsigned failures = 0;
    bool failed = true;

    (void)unused;
    skip_without_failures();
    save(&f);
    for (long n = 0; failed; n++) {
        struct spool_recovery r;
        enum status status;

        assert_int_equal(spool_recovery_begin(&r, &f.directory, &options), STATUS_OK);
        failing = n;
        failed = false;
        while (!spool_recovery_is_over(&r)) {
            status = spool_recovery_step(&r);
            failed = failed || status == STATUS_BUSY;
            failures += status == STATUS_BUSY;
            assert_true(status == STATUS_OK || status == STATUS_BUSY);
        }
        failing = -1;
        assert_found(&r);
        spool_recovery_finish(&r);
    }
    assert_true(failures > 6);
    forget(&f);
}

/* --- the buffer of a batch ------------------------------------------------------------------- */

struct large { /* a storage with one segment, larger than the fake's */
    struct spool_storage storage;
    struct spool_log log;
    const char *written_from;
    size_t written_bytes;
    unsigned writes;
};

static void large_write(struct spool_storage *s, const struct spool_write *w)
{
    struct large *l = CONTAINER_OF(s, struct large, storage);

    l->written_from = w->data;
    l->written_bytes = w->bytes;
    l->writes++;
}

static void large_ignore(struct spool_storage *s)
{
    (void)s;
}

/* The largest that may be, nearly: larger than other batches. */
static struct spool_message *largest_message(void)
{
    static char address[450], body[SPOOL_BODY_INLINE_MAX];
    const struct spool_envelope e = { .mid = 1, .sender = SLICE("a@b") };
    struct spool_draft d;

    memset(address, 'a', sizeof(address));
    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_OK);
    for (int i = 0; i < 9000; i++)
        assert_int_equal(spool_draft_add_recipient(&d, (struct slice){ address, sizeof(address) }),
                         STATUS_OK);
    assert_int_equal(spool_draft_trace(&d, SLICE("Received: x\r\n")), STATUS_OK);
    assert_int_equal(spool_draft_body(&d, (struct slice){ body, sizeof(body) }), STATUS_OK);
    return spool_draft_complete(&d);
}

static void large_sealed(struct spool_storage *s, const struct spool_segment_file *file)
{
    (void)s;
    (void)file;
}

/* Takes the message. */
static void large_commit(struct large *l, struct spool_message *m)
{
    struct spool_ticket ticket;

    assert_int_equal(spool_log_append_message(&l->log, m, NULL, &ticket), STATUS_OK);
    spool_log_run(&l->log);
    spool_log_written(&l->log, STATUS_OK);
    assert_ptr_equal(spool_log_take_committed(&l->log), &ticket);
    spool_log_run(&l->log);
    spool_message_destroy(m);
}

static void large_begin(struct large *l)
{
    static const struct spool_storage_ops ops = { .segment_prepare = large_ignore,
                                                  .segment_write = large_write,
                                                  .segment_sealed = large_sealed };
    const struct spool_log_options options = { .batch_first = 1, .sequence_first = 1 };

    *l = (struct large){ .storage.ops = &ops };
    assert_int_equal(spool_log_init(&l->log, &l->storage, &options), STATUS_OK);
    for (unsigned i = 1; i <= 2; i++) { /* the current one, and one that is kept back */
        spool_log_run(&l->log);
        spool_log_segment_ready(&l->log, STATUS_OK,
                                &(struct spool_segment_file){ .generation = i, .number = i });
    }
}

static void large_end(struct large *l)
{
    if (l->log.preparing != NULL)
        spool_log_segment_ready(&l->log, STATUS_NO_SPACE, NULL);
    spool_log_finish(&l->log);
}

static void only_a_record_that_went_alone_leaves_a_buffer_that_is_given_back(void **unused)
{
    struct large l;

    (void)unused;
    large_begin(&l);
    large_commit(&l, fake_message(1, 1, SPOOL_BODY_INLINE_MAX / 2));
    assert_ptr_equal(l.log.next.bytes, l.written_from);
    large_commit(&l, fake_message(1, 1, 100));
    assert_ptr_equal(l.log.next.bytes, l.written_from);
    assert_int_equal(l.log.next.capacity, SPOOL_BODY_INLINE_MAX);
    assert_null(l.log.flight.bytes); /* nothing came while a write was in flight */
    large_commit(&l, largest_message());
    assert_true(l.written_bytes > SPOOL_BATCH_BYTES_KEPT);
    assert_null(l.log.next.bytes);
    large_end(&l);
}

static void the_next_batch_ends_where_every_batch_does(void **unused)
{
    static const struct spool_result result = { 0, SPOOL_RESULT_DEFERRED, 1, 5 };
    struct spool_message *m = fake_message(1, 1, 1000000);
    struct spool_ticket tickets[9], *t;
    unsigned back = 0;
    struct large l;

    (void)unused;
    large_begin(&l);
    for (unsigned i = 0; i < ARRAY_LEN(tickets); i++) {
        assert_int_equal(spool_log_append_message(&l.log, m, NULL, &tickets[i]), STATUS_OK);
        for (unsigned k = 0; k < 3000; k++) /* more than ride with one batch */
            spool_log_append_results(&l.log, 1, &result, 1);
        spool_log_run(&l.log);
        assert_true(l.log.next_bytes <= SPOOL_BATCH_BYTES);
    }
    for (unsigned writes = 1; back < ARRAY_LEN(tickets); writes++) {
        assert_int_equal(l.writes, writes);
        assert_true(l.written_bytes <= SPOOL_BATCH_BYTES_KEPT);
        assert_true(l.log.next.capacity <= SPOOL_BATCH_BYTES_KEPT);
        spool_log_written(&l.log, STATUS_OK);
        spool_log_run(&l.log); /* before anybody has heard of it */
        while ((t = spool_log_take_committed(&l.log)) != NULL) {
            assert_ptr_equal(t, &tickets[back++]);
            assert_int_equal(t->status, STATUS_OK);
        }
    }
    assert_int_equal(l.writes, 3); /* 1, 4, 4 */
    spool_message_destroy(m);
    large_end(&l);
}

static void without_memory_for_a_second_buffer_messages_wait_for_the_first(void **unused)
{
    struct spool_message *m;
    struct spool_ticket tickets[3];
    struct large l;

    (void)unused;
    skip_without_failures();
    m = fake_message(1, 1, 1000);
    large_begin(&l);
    assert_int_equal(spool_log_append_message(&l.log, m, NULL, &tickets[0]), STATUS_OK);
    spool_log_run(&l.log);
    all_fail = true;
    assert_int_equal(spool_log_append_message(&l.log, m, NULL, &tickets[1]), STATUS_OK);
    spool_log_run(&l.log);
    assert_null(spool_log_take_committed(&l.log));
    spool_log_written(&l.log, STATUS_OK);
    spool_log_run(&l.log);
    assert_int_equal(l.writes, 2);
    assert_ptr_equal(spool_log_take_committed(&l.log), &tickets[0]);
    spool_log_written(&l.log, STATUS_OK);
    assert_ptr_equal(spool_log_take_committed(&l.log), &tickets[1]);
    spool_message_destroy(m);
    all_fail = false;
    m = fake_message(1, 1, SPOOL_BODY_INLINE_MAX / 2); /* more than the first holds */
    all_fail = true;
    assert_int_equal(spool_log_append_message(&l.log, m, NULL, &tickets[2]), STATUS_OK);
    spool_log_run(&l.log);
    assert_ptr_equal(spool_log_take_committed(&l.log), &tickets[2]);
    assert_int_equal(tickets[2].status, STATUS_NO_MEMORY);
    all_fail = false;
    spool_message_destroy(m);
    large_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_survives_every_failure),
        cmocka_unit_test(a_log_survives_every_failure),
        cmocka_unit_test(recovery_survives_every_failure),
        cmocka_unit_test(a_step_that_lacked_memory_can_be_made_again),
        cmocka_unit_test(only_a_record_that_went_alone_leaves_a_buffer_that_is_given_back),
        cmocka_unit_test(the_next_batch_ends_where_every_batch_does),
        cmocka_unit_test(without_memory_for_a_second_buffer_messages_wait_for_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
