/* A body on its way into memory or into a file, however it is cut, whenever memory gets short, and
 * whenever the disk answers: it arrives whole, and nothing that was held for it stays. What the
 * receipt calls is taken by the test; the log, the draft and the body file are the real ones. */
#include "gateway/receipt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "gateway/inbound.h"
#include "gateway/message.h"
#include "gateway/shelf.h"
#include "gateway/worker.h"

#define MID          77
#define HISTORIES    400
#define BODY_MAX     (SPOOL_BODY_INLINE_MAX + (256u << 10))
#define PIECE_MAX    (64u << 10)
#define SEGMENTS_MAX 64 /* enough for any of these */

enum step { STEP_NONE, STEP_CREATE, STEP_WRITE, STEP_SYNC, STEP_UNLINK };

static struct gateway_process process;
static struct gateway_worker worker;
static struct spool_storage log_storage;
static bool is_preparing;
static uint32_t segments;

static bool is_short;             /* of memory */
static struct gateway_body *body; /* the one that is there */
static enum step step;            /* that it waits for */
static char file[BODY_MAX + SPOOL_BODY_BLOCK];
static struct gateway_receipt *receipt; /* NULL: it has ended */
static unsigned rooms;
static enum status answer; /* of the commit */
static struct spool_message *committed;
static uint64_t random_state;
static char session_place;
static struct gateway_inbound *const peer = (void *)&session_place;
static const struct smtp_body nothing_found;

/* --- the log's storage: segments are there when they are asked for ------------------------------
 */

static void on_prepare(struct spool_storage *s)
{
    (void)s;
    is_preparing = true;
}

static void on_write(struct spool_storage *s, const struct spool_write *w)
{
    (void)s;
    (void)w;
    fail_msg("nothing is written");
}

static void on_release(struct spool_storage *s, const struct spool_segment_file *segment)
{
    (void)s;
    (void)segment;
    fail_msg("nothing is released");
}

static const struct spool_storage_ops log_ops = { .segment_prepare = on_prepare,
                                                  .segment_write = on_write,
                                                  .segment_release = on_release };

static void settle_log(void)
{
    spool_log_run(&worker.store.log);
    while (is_preparing) {
        const struct spool_segment_file segment = {
            .generation = segments + 1, .salt = 1, .number = segments + 1, .handle = -1
        };

        assert_true(segments < SEGMENTS_MAX);
        segments++;
        is_preparing = false;
        spool_log_segment_ready(&worker.store.log, STATUS_OK, &segment);
        spool_log_run(&worker.store.log);
    }
}

/* --- what the receipt calls ---------------------------------------------------------------------
 */

bool gateway_store_reserve(struct gateway_store *store, struct spool_reservation *reservation,
                           size_t bytes)
{
    settle_log();
    return spool_log_reserve(&store->log, reservation, bytes);
}

bool gateway_shelf_is_high(const struct gateway_worker *w)
{
    assert_ptr_equal(w, &worker);
    return is_short;
}

static void on_create(struct spool_body_storage *s, const char *name, uint64_t bytes_hint)
{
    (void)s;
    (void)name;
    (void)bytes_hint;
    step = STEP_CREATE;
}

static void on_body_write(struct spool_body_storage *s, const char *data, size_t bytes,
                          uint64_t offset)
{
    (void)s;
    assert_true(offset + bytes <= sizeof(file));
    memcpy(file + offset, data, bytes);
    step = STEP_WRITE;
}

static void on_sync(struct spool_body_storage *s)
{
    (void)s;
    step = STEP_SYNC;
}

static void on_unlink(struct spool_body_storage *s, const char *name)
{
    (void)s;
    (void)name;
    step = STEP_UNLINK;
}

static const struct spool_body_storage_ops body_ops = { on_create, on_body_write, on_sync,
                                                        on_unlink };

enum status gateway_body_create(struct gateway_worker *w, struct gateway_receipt *r, uint64_t mid,
                                uint64_t bytes_hint, size_t chunk_bytes,
                                struct gateway_body **body_out)
{
    assert_null(body);
    assert_int_equal(chunk_bytes, is_short ? SPOOL_BODY_CHUNK_SMALL : SPOOL_BODY_CHUNK);
    body = calloc(1, sizeof(*body));
    assert_non_null(body);
    body->worker = w;
    body->receipt = r;
    body->storage.ops = &body_ops;
    assert_int_equal(
        spool_body_file_start(&body->file, &body->storage, mid, bytes_hint, chunk_bytes),
        STATUS_OK);
    *body_out = body;
    return STATUS_OK;
}

static void drop_body(void)
{
    spool_body_file_finish(&body->file);
    free(body);
    body = NULL;
}

void gateway_body_destroy(struct gateway_body *b)
{
    assert_ptr_equal(b, body);
    drop_body();
}

void gateway_body_abandon(struct gateway_body *b)
{
    assert_ptr_equal(b, body);
    b->receipt = NULL;
    spool_body_file_abort(&b->file);
    if (spool_body_file_is_quiet(&b->file))
        drop_body();
}

void gateway_message_note_content(struct spool_draft *draft, const struct smtp_body *facts)
{
    (void)draft;
    (void)facts;
}

enum status gateway_message_commit(struct gateway_worker *home, struct spool_draft *draft,
                                   struct spool_reservation *reservation,
                                   struct gateway_inbound *session)
{
    assert_ptr_equal(home, &worker);
    assert_ptr_equal(session, &session_place);
    assert_true(reservation->bytes >= spool_draft_record_bytes(draft));
    committed = spool_draft_complete(draft);
    assert_non_null(committed);
    answer = STATUS_OK;
    receipt = NULL;
    return STATUS_OK;
}

/* Only of one that has failed: the good ones are with gateway_message_commit(). */
void gateway_inbound_committed(struct gateway_inbound *in, enum status status, uint64_t mid)
{
    assert_ptr_equal(in, &session_place);
    assert_int_equal(mid, 0);
    assert_int_not_equal(status, STATUS_OK);
    answer = status;
    receipt = NULL;
}

void gateway_inbound_room(struct gateway_inbound *in)
{
    assert_ptr_equal(in, &session_place);
    assert_false(gateway_receipt_is_full(receipt));
    rooms++;
}

/* --- the disk, and a history --------------------------------------------------------------------
 */

/* What gateway/body.c does when a step has ended. */
static void answer_step(enum status status)
{
    struct gateway_body *b = body;

    assert_int_not_equal(step, STEP_NONE);
    step = STEP_NONE;
    spool_body_file_answer(&b->file, status);
    if (b->receipt != NULL)
        gateway_receipt_body_moved(b->receipt);
    else if (spool_body_file_is_quiet(&b->file))
        drop_body();
}

static uint64_t chance(uint64_t below)
{
    random_state += 0x9e3779b97f4a7c15ull;
    return hash_number(random_state) % below;
}

static void begin(uint64_t bytes_hint)
{
    const struct spool_envelope envelope = { .mid = MID, .sender = SLICE("a@example.com") };
    const struct spool_dsn dsn = { 0 };

    is_short = false;
    step = STEP_NONE;
    rooms = 0;
    committed = NULL;
    assert_int_equal(gateway_receipt_create(&worker, peer, &envelope, bytes_hint, &receipt),
                     STATUS_OK);
    assert_int_equal(gateway_receipt_add_recipient(receipt, SLICE("b@example.net"), &dsn),
                     STATUS_OK);
    assert_int_equal(gateway_receipt_trace(receipt, SLICE("Received: here\r\n")), STATUS_OK);
}

static void finish_steps(void)
{
    while (step != STEP_NONE)
        answer_step(STATUS_OK);
}

/* Nothing is held, promised or counted any more. */
static void expect_nothing_left(void)
{
    finish_steps();
    assert_null(receipt);
    assert_null(body);
    assert_int_equal(atomic_load(&process.message_bytes), 0);
    assert_int_equal(atomic_load(&process.body_bytes), 0);
    spool_message_destroy(committed);
    committed = NULL;
}

static void expect_body(const char *bytes, size_t len)
{
    assert_int_equal(answer, STATUS_OK);
    assert_non_null(committed);
    assert_int_equal(spool_message_body_bytes(committed), len);
    if (spool_message_body_in_file(committed))
        assert_memory_equal(file, bytes, len);
    else
        assert_true(slice_equal(spool_message_body(committed), (struct slice){ bytes, len }));
}

static void feed(const char *bytes, size_t len)
{
    gateway_receipt_body(receipt, (struct slice){ bytes, len });
}

static char *letters(size_t len)
{
    char *bytes = malloc(len);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + hash_number(i) % 26);
    return bytes;
}

static int set_up(void **state)
{
    const struct spool_log_options options = { .log_id = 0, .batch_first = 1, .sequence_first = 1 };

    (void)state;
    log_storage.ops = &log_ops;
    segments = 0;
    worker.process = &process;
    return spool_log_init(&worker.store.log, &log_storage, &options) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    spool_log_finish(&worker.store.log);
    return 0;
}

static void test_a_body_that_fits_into_memory_has_no_file(void **state)
{
    char *bytes = letters(SPOOL_BODY_INLINE_MAX + 1);

    (void)state;
    begin(0);
    feed(bytes, SPOOL_BODY_INLINE_MAX);
    assert_null(body);
    gateway_receipt_commit(receipt, &nothing_found);
    expect_body(bytes, SPOOL_BODY_INLINE_MAX);
    assert_false(spool_message_body_in_file(committed));
    expect_nothing_left();

    begin(0);
    feed(bytes, SPOOL_BODY_INLINE_MAX);
    feed(bytes + SPOOL_BODY_INLINE_MAX, 1);
    assert_non_null(body);
    gateway_receipt_commit(receipt, &nothing_found);
    finish_steps();
    expect_body(bytes, SPOOL_BODY_INLINE_MAX + 1);
    assert_true(spool_message_body_in_file(committed));
    expect_nothing_left();
    free(bytes);
}

static void test_where_memory_is_short_only_small_bodies_stay_in_it(void **state)
{
    char *bytes = letters(2 * GATEWAY_RECEIPT_SMALL_BYTES);
    uint64_t before;

    (void)state;
    begin(0);
    feed(bytes, GATEWAY_RECEIPT_SMALL_BYTES);
    is_short = true;
    assert_false(gateway_receipt_spill(receipt)); /* it is small */
    is_short = false;
    feed(bytes + GATEWAY_RECEIPT_SMALL_BYTES, 1);
    assert_false(gateway_receipt_spill(receipt)); /* there is room */
    assert_null(body);
    is_short = true;
    before = atomic_load(&process.message_bytes);
    assert_true(gateway_receipt_spill(receipt)); /* its sender says nothing more */
    assert_non_null(body);
    assert_false(gateway_receipt_spill(receipt));
    finish_steps();
    assert_true(atomic_load(&process.message_bytes) < before);
    assert_true(receipt->reservation.bytes < GATEWAY_RECEIPT_SMALL_BYTES);
    feed(bytes + GATEWAY_RECEIPT_SMALL_BYTES + 1, GATEWAY_RECEIPT_SMALL_BYTES - 1);
    assert_true(gateway_receipt_is_full(receipt)); /* more than the chunks of such a file take */
    finish_steps();
    assert_int_equal(rooms, 1);
    assert_int_equal(atomic_load(&process.body_bytes), 2 * GATEWAY_RECEIPT_SMALL_BYTES);
    gateway_receipt_commit(receipt, &nothing_found);
    finish_steps();
    expect_body(bytes, 2 * GATEWAY_RECEIPT_SMALL_BYTES);
    expect_nothing_left();
    free(bytes);
}

/* What a client says with SIZE= is taken from the disk when its file begins: it counts although it
 * may never come. */
static void test_what_is_allocated_for_a_body_counts_before_it_comes(void **state)
{
    const uint64_t said = 8 * (uint64_t)SPOOL_BODY_INLINE_MAX;
    char *bytes = letters(SPOOL_BODY_INLINE_MAX + 1);

    (void)state;
    begin(said);
    feed(bytes, SPOOL_BODY_INLINE_MAX);
    assert_int_equal(atomic_load(&process.body_bytes), 0);
    feed(bytes + SPOOL_BODY_INLINE_MAX, 1);
    assert_int_equal(atomic_load(&process.body_bytes), said);
    finish_steps();
    assert_int_equal(atomic_load(&process.body_bytes), said);
    gateway_receipt_commit(receipt, &nothing_found);
    finish_steps();
    expect_body(bytes, SPOOL_BODY_INLINE_MAX + 1);
    expect_nothing_left();
    free(bytes);
}

/* The final dot comes as soon as memory was found short, with nothing in front of it. */
static void test_a_body_may_end_before_its_file_has_taken_what_was_in_memory(void **state)
{
    size_t len = GATEWAY_RECEIPT_SMALL_BYTES + 3 * SPOOL_BODY_CHUNK_SMALL;
    char *bytes = letters(len);

    (void)state;
    begin(0);
    feed(bytes, len);
    is_short = true;
    assert_true(gateway_receipt_spill(receipt));
    assert_false(gateway_receipt_is_full(receipt));
    gateway_receipt_commit(receipt, &nothing_found);
    finish_steps();
    expect_body(bytes, len);
    expect_nothing_left();
    free(bytes);
}

/* One message. failing: the step of the disk that fails; 0: none. */
static void history(const char *bytes, size_t len, unsigned failing)
{
    enum status failure = STATUS_OK;
    unsigned steps = 0;
    size_t at = 0;

    begin(chance(2) == 0 ? len : 0);
    while (receipt != NULL || step != STEP_NONE) {
        if (step != STEP_NONE && (chance(3) == 0 || receipt == NULL || receipt->is_ended)) {
            bool fails = ++steps == failing && step != STEP_UNLINK;

            failure = fails ? STATUS_IO : failure;
            answer_step(fails ? STATUS_IO : STATUS_OK);
        } else if (chance(8) == 0) {
            is_short = !is_short;
        } else if (chance(8) == 0) {
            (void)gateway_receipt_spill(receipt);
        } else if (!gateway_receipt_is_full(receipt) && at < len) {
            size_t now = 1 + chance(PIECE_MAX);

            now = now < len - at ? now : len - at;
            feed(bytes + at, now);
            at += now;
        } else if (at == len && !gateway_receipt_is_full(receipt)) {
            gateway_receipt_commit(receipt, &nothing_found);
        }
    }
    if (failure == STATUS_OK)
        expect_body(bytes, len);
    else
        assert_int_equal(answer, failure);
    expect_nothing_left();
}

static void test_a_body_arrives_whole_or_is_answered_however_it_came(void **state)
{
    char *bytes = letters(BODY_MAX);

    (void)state;
    print_message("seeds 1 to %d\n", HISTORIES);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        random_state = seed << 32;
        history(bytes, chance(4) == 0 ? chance(BODY_MAX) : chance(4 * PIECE_MAX),
                chance(4) == 0 ? 1 + (unsigned)chance(6) : 0);
    }
    free(bytes);
}

/* The client goes in the middle, or while the body is made durable. */
static void test_a_receipt_that_is_dropped_leaves_nothing(void **state)
{
    char *bytes = letters(BODY_MAX);

    (void)state;
    for (unsigned answers = 0; answers < 6; answers++) {
        begin(0);
        feed(bytes, SPOOL_BODY_INLINE_MAX);
        feed(bytes + SPOOL_BODY_INLINE_MAX, PIECE_MAX);
        for (unsigned i = 0; i < answers && step != STEP_NONE; i++)
            answer_step(STATUS_OK);
        gateway_receipt_destroy(receipt);
        receipt = NULL;
        expect_nothing_left();
    }
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_that_fits_into_memory_has_no_file),
        TEST(where_memory_is_short_only_small_bodies_stay_in_it),
        TEST(what_is_allocated_for_a_body_counts_before_it_comes),
        TEST(a_body_may_end_before_its_file_has_taken_what_was_in_memory),
        TEST(a_body_arrives_whole_or_is_answered_however_it_came),
        TEST(a_receipt_that_is_dropped_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
