#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "spool/body_file.h"
#include "spool/crc32c.h"

/* A file in memory, and the names of the operations asked for. */
struct fake_body {
    struct spool_body_storage storage;
    char *bytes;
    size_t size;
    char asked[1024]; /* one letter each: c w s u */
    size_t asked_count;
    struct slice write;
    uint64_t write_offset;
};

#define FAKE_BODY_MAX (2u << 20)

static struct fake_body *body_of(struct spool_body_storage *s, char letter)
{
    struct fake_body *b = CONTAINER_OF(s, struct fake_body, storage);

    assert_true(b->asked_count < sizeof b->asked - 1);
    b->asked[b->asked_count++] = letter;
    b->asked[b->asked_count] = '\0';
    return b;
}

static void ask_create(struct spool_body_storage *s, const char *name, uint64_t hint)
{
    (void)hint;
    (void)body_of(s, 'c');
    assert_string_equal(name, "00000000000004d2");
}

static void ask_write(struct spool_body_storage *s, const char *data, size_t bytes, uint64_t offset)
{
    struct fake_body *b = body_of(s, 'w');

    assert_true(bytes > 0 && offset + bytes <= FAKE_BODY_MAX);
    assert_int_equal((uintptr_t)data % SPOOL_BODY_BLOCK, 0);
    assert_int_equal(bytes % SPOOL_BODY_BLOCK, 0);
    assert_int_equal(offset % SPOOL_BODY_BLOCK, 0);
    b->write = (struct slice){ data, bytes };
    b->write_offset = offset;
}

static void ask_sync(struct spool_body_storage *s)
{
    (void)body_of(s, 's');
}

static void ask_unlink(struct spool_body_storage *s, const char *name)
{
    (void)body_of(s, 'u');
    assert_string_equal(name, "00000000000004d2");
}

static const struct spool_body_storage_ops ops = { ask_create, ask_write, ask_sync, ask_unlink };

static void start_with(struct fake_body *b, struct spool_body_file *f, size_t chunk_bytes)
{
    *b = (struct fake_body){ .storage.ops = &ops };
    b->bytes = malloc(FAKE_BODY_MAX);
    assert_non_null(b->bytes);
    assert_int_equal(spool_body_file_start(f, &b->storage, 1234, 0, chunk_bytes), STATUS_OK);
    assert_int_equal(spool_body_file_memory_bytes(f), 2 * chunk_bytes);
    assert_int_equal(spool_body_file_room(f), chunk_bytes);
}

static void start(struct fake_body *b, struct spool_body_file *f)
{
    start_with(b, f, SPOOL_BODY_CHUNK);
}

static void end(struct fake_body *b, struct spool_body_file *f)
{
    spool_body_file_finish(f);
    spool_body_file_finish(f);
    free(b->bytes);
}

/* Answers what was asked for last. */
static void answer(struct fake_body *b, struct spool_body_file *f, enum status status)
{
    if (status == STATUS_OK && b->asked[b->asked_count - 1] == 'w') {
        memcpy(b->bytes + b->write_offset, b->write.data, b->write.len);
        if (b->write_offset + b->write.len > b->size)
            b->size = (size_t)b->write_offset + b->write.len;
    }
    spool_body_file_answer(f, status);
}

/* Written in such chunks, read back as every body is. */
static void body_arrives_whole(const char *text, size_t size, size_t chunk_bytes)
{
    struct fake_body b;
    struct spool_body_file f;
    struct slice rest = { text, size };
    struct spool_body_reader reader;
    uint64_t offset;
    size_t want;

    start_with(&b, &f, chunk_bytes);
    while (rest.len > 0) {
        size_t room = spool_body_file_room(&f);
        size_t now = rest.len < 10007 ? rest.len : 10007;

        assert_int_equal(room == 0, spool_body_file_is_full(&f));
        if (room == 0) {
            answer(&b, &f, STATUS_OK);
            continue;
        }
        now = now < room ? now : room;
        spool_body_file_append(&f, slice_first(rest, now));
        rest = slice_after(rest, now);
    }
    spool_body_file_complete(&f);
    while (!spool_body_file_is_quiet(&f))
        answer(&b, &f, STATUS_OK);
    assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_DURABLE);
    assert_int_equal(b.asked[b.asked_count - 1], 's');
    assert_int_equal(b.size, (size + SPOOL_BODY_BLOCK - 1) & ~(SPOOL_BODY_BLOCK - 1));
    assert_memory_equal(b.bytes, text, size);
    for (size_t at = size; at < b.size; at++)
        assert_int_equal(b.bytes[at], 0);
    assert_int_equal(spool_body_file_bytes(&f), size);
    assert_int_equal(spool_body_file_crc(&f), spool_crc32c(0, text, size));

    spool_body_reader_init(&reader, size, spool_body_file_crc(&f));
    while ((want = spool_body_reader_want(&reader, &offset)) > 0)
        assert_int_equal(spool_body_reader_take(&reader, (struct slice){ b.bytes + offset, want }),
                         STATUS_OK);
    end(&b, &f);
}

static void bodies_of_every_size_arrive_whole(void **unused)
{
    static const size_t chunks[] = { SPOOL_BODY_CHUNK, SPOOL_BODY_CHUNK_SMALL, SPOOL_BODY_BLOCK };
    static char text[2000003];

    (void)unused;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        const size_t chunk = chunks[i];
        const size_t sizes[] = { 0,         1,          chunk - 1,
                                 chunk,     chunk + 1,  chunk + SPOOL_BODY_BLOCK,
                                 3 * chunk, sizeof text };

        for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
            body_arrives_whole(text, sizes[k], chunk);
    }
}

static void nothing_is_durable_before_the_sync_was_answered(void **unused)
{
    struct fake_body b;
    struct spool_body_file f;

    (void)unused;
    start(&b, &f);
    spool_body_file_append(&f, SLICE("hello"));
    spool_body_file_complete(&f);
    assert_string_equal(b.asked, "c");
    answer(&b, &f, STATUS_OK);
    assert_string_equal(b.asked, "cw");
    answer(&b, &f, STATUS_OK);
    assert_string_equal(b.asked, "cws");
    assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_SYNCING);
    answer(&b, &f, STATUS_OK);
    assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_DURABLE);
    assert_string_equal(b.asked, "cws");
    end(&b, &f);
}

/* Each step fails once; then the owner aborts, and what was created is unlinked. */
static void a_failure_at_any_step_ends_in_gone(void **unused)
{
    static const struct {
        unsigned failing; /* the answer with this number */
        const char *asked;
    } cases[] = { { 0, "c" }, { 1, "cwu" }, { 2, "cwsu" } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_body b;
        struct spool_body_file f;
        unsigned answers = 0;

        start(&b, &f);
        spool_body_file_append(&f, SLICE("hello"));
        spool_body_file_complete(&f);
        while (!spool_body_file_is_quiet(&f))
            answer(&b, &f, answers++ == cases[i].failing ? STATUS_NO_SPACE : STATUS_OK);
        assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_FAILED);
        assert_int_equal(spool_body_file_failure(&f), STATUS_NO_SPACE);
        spool_body_file_append(&f, SLICE("swallowed"));
        spool_body_file_abort(&f);
        while (!spool_body_file_is_quiet(&f))
            answer(&b, &f, STATUS_OK);
        assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_GONE);
        assert_string_equal(b.asked, cases[i].asked);
        end(&b, &f);
    }
}

/* Abort with so many answers behind; a late success of the create must be unlinked, too. */
static void an_abort_at_any_time_ends_in_gone(void **unused)
{
    static const struct {
        unsigned answers;
        enum status late;
        const char *asked;
    } cases[] = {
        { 0, STATUS_OK, "cu" },  { 0, STATUS_IO, "c" },    { 1, STATUS_OK, "cwu" },
        { 1, STATUS_IO, "cwu" }, { 2, STATUS_OK, "cwsu" }, { 3, STATUS_OK, "cwsu" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_body b;
        struct spool_body_file f;

        start(&b, &f);
        spool_body_file_append(&f, SLICE("hello"));
        spool_body_file_complete(&f);
        for (unsigned n = 0; n < cases[i].answers; n++)
            answer(&b, &f, STATUS_OK);
        spool_body_file_abort(&f);
        spool_body_file_abort(&f);
        assert_int_equal(spool_body_file_room(&f), 0);
        if (!spool_body_file_is_quiet(&f))
            answer(&b, &f, cases[i].late);
        while (!spool_body_file_is_quiet(&f))
            answer(&b, &f, STATUS_OK);
        assert_int_equal(spool_body_file_state(&f), SPOOL_BODY_GONE);
        assert_string_equal(b.asked, cases[i].asked);
        end(&b, &f);
    }
}

static void a_reader_notices_a_changed_body_before_its_end(void **unused)
{
    struct slice text = SLICE("some body text");
    struct spool_body_reader r;

    (void)unused;
    spool_body_reader_init(&r, text.len, spool_crc32c(0, text.data, text.len));
    assert_int_equal(spool_body_reader_take(&r, slice_first(text, 5)), STATUS_OK);
    assert_int_equal(spool_body_reader_take(&r, SLICE("body texT")), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_every_size_arrive_whole),
        cmocka_unit_test(nothing_is_durable_before_the_sync_was_answered),
        cmocka_unit_test(a_failure_at_any_step_ends_in_gone),
        cmocka_unit_test(an_abort_at_any_time_ends_in_gone),
        cmocka_unit_test(a_reader_notices_a_changed_body_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
