#include "gateway/receipt.h"

#include <assert.h>

#include "base/pool.h"
#include "gateway/inbound.h"
#include "gateway/message.h"
#include "gateway/shelf.h"
#include "gateway/worker.h"

static_assert(GATEWAY_CHANNEL_INPUT_BYTES_MAX <= GATEWAY_RECEIPT_WAITING_MAX,
              "what comes at once can wait for the file");

/* Counts what the receipt holds among the memory of all messages, and what its file takes of the
 * disk among all body files, until the message does. */
static void charge(struct gateway_receipt *r)
{
    size_t bytes = sizeof(*r) + spool_draft_memory_bytes(&r->draft) + r->waiting.capacity;
    uint64_t file_bytes = 0;

    if (r->body != NULL) {
        bytes += sizeof(*r->body) + spool_body_file_memory_bytes(&r->body->file);
        file_bytes = spool_body_file_bytes(&r->body->file);
        if (file_bytes < r->allocated_bytes)
            file_bytes = r->allocated_bytes;
    }
    ASSERT(file_bytes >= r->file_bytes || r->body == NULL);
    atomic_fetch_add(&r->worker->process->body_bytes, file_bytes - r->file_bytes); /* or less */
    r->file_bytes = file_bytes;
    if (bytes > r->charged_bytes)
        atomic_fetch_add(&r->worker->process->message_bytes, bytes - r->charged_bytes);
    else if (bytes < r->charged_bytes)
        atomic_fetch_sub(&r->worker->process->message_bytes, r->charged_bytes - bytes);
    r->charged_bytes = bytes;
}

enum status gateway_receipt_create(struct gateway_worker *worker, struct gateway_inbound *session,
                                   const struct spool_envelope *envelope, uint64_t bytes_hint,
                                   struct gateway_receipt **receipt_out)
{
    struct gateway_receipt *r = pool_take_zeroed(sizeof(*r));
    size_t hint = bytes_hint < SPOOL_DRAFT_HINT_MAX ? (size_t)bytes_hint : SPOOL_DRAFT_HINT_MAX;
    enum status status;

    if (r == NULL)
        return STATUS_NO_MEMORY;
    r->worker = worker;
    r->session = session;
    r->bytes_hint = bytes_hint;
    buffer_init(&r->waiting, GATEWAY_RECEIPT_WAITING_MAX);
    spool_draft_init(&r->draft);
    if (atomic_load(&worker->process->spool_is_gone))
        status = STATUS_NOT_FOUND;
    else if (atomic_load(&worker->process->spool_is_low) ||
             !gateway_store_reserve(&worker->store, &r->reservation, GATEWAY_RECEIPT_MAIL_BYTES))
        status = STATUS_NO_SPACE;
    else
        status = spool_draft_begin(&r->draft, envelope, hint);
    if (status != STATUS_OK) {
        gateway_receipt_destroy(r);
        return status;
    }
    charge(r);
    *receipt_out = r;
    return STATUS_OK;
}

void gateway_receipt_destroy(struct gateway_receipt *r)
{
    if (r == NULL)
        return;
    if (r->body != NULL)
        gateway_body_abandon(r->body);
    atomic_fetch_sub(&r->worker->process->message_bytes, r->charged_bytes);
    atomic_fetch_sub(&r->worker->process->body_bytes, r->file_bytes);
    spool_log_unreserve(&r->worker->store.log, &r->reservation);
    spool_draft_finish(&r->draft);
    buffer_finish(&r->waiting);
    pool_give(r, sizeof(*r));
}

enum status gateway_receipt_add_recipient(struct gateway_receipt *r, struct slice address,
                                          const struct spool_dsn *dsn)
{
    return spool_draft_add_recipient_dsn(&r->draft, address, dsn);
}

struct slice gateway_receipt_sender(const struct gateway_receipt *r)
{
    return spool_draft_sender(&r->draft);
}

struct slice gateway_receipt_first_recipient(const struct gateway_receipt *r)
{
    return spool_draft_first_recipient(&r->draft);
}

unsigned gateway_receipt_recipients_count(const struct gateway_receipt *r)
{
    return spool_draft_recipients_count(&r->draft);
}

uint64_t gateway_receipt_mid(const struct gateway_receipt *r)
{
    return spool_draft_mid(&r->draft);
}

/* Keeps the reservation ahead of what the record takes. */
static enum status reserve(struct gateway_receipt *r, size_t more)
{
    size_t need = spool_draft_record_bytes(&r->draft) + more;

    if (need <= r->reservation.bytes)
        return STATUS_OK;
    if (need < 2 * r->reservation.bytes)
        need = 2 * r->reservation.bytes;
    return gateway_store_reserve(&r->worker->store, &r->reservation, need) ? STATUS_OK
                                                                           : STATUS_NO_SPACE;
}

enum status gateway_receipt_trace(struct gateway_receipt *r, struct slice lines)
{
    size_t expected = GATEWAY_RECEIPT_RESERVE_BYTES;

    if (r->bytes_hint > 0 && r->bytes_hint <= SPOOL_BODY_INLINE_MAX)
        expected = (size_t)r->bytes_hint;

    TRY(reserve(r, lines.len + expected));
    return spool_draft_trace(&r->draft, lines);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The body is in its file, or given up: what the record is to take of the spool is little now. */
static void leave_body(struct gateway_receipt *r)
{
    struct spool_log *log = &r->worker->store.log;

    spool_draft_drop_body(&r->draft);
    spool_log_unreserve(log, &r->reservation);
    if (!spool_log_reserve(log, &r->reservation,
                           spool_draft_record_bytes(&r->draft) + GATEWAY_RECEIPT_MAIL_BYTES))
        return; /* a log that takes nothing now: the commit asks again, and answers */
}

/* Moves what is in memory, in its order, into the file as far as the file has room. */
static void pump(struct gateway_receipt *r)
{
    struct spool_body_file *file = &r->body->file;
    struct slice from;

    while (r->draft.stage != SPOOL_DRAFT_BODY_FILE && spool_body_file_room(file) > 0) {
        from = slice_after(spool_draft_body_so_far(&r->draft), r->moved_bytes);
        from = slice_first(from, smaller(from.len, spool_body_file_room(file)));
        spool_body_file_append(file, from);
        r->moved_bytes += from.len;
        if (r->moved_bytes == spool_draft_body_bytes(&r->draft))
            leave_body(r);
    }
    while (r->draft.stage == SPOOL_DRAFT_BODY_FILE && buffer_len(&r->waiting) > 0 &&
           spool_body_file_room(file) > 0) {
        from = buffer_contents(&r->waiting);
        from = slice_first(from, smaller(from.len, spool_body_file_room(file)));
        spool_body_file_append(file, from);
        buffer_consume(&r->waiting, from.len);
    }
    if (buffer_len(&r->waiting) == 0)
        buffer_release(&r->waiting);
}

/* Where memory is short the file may be for little, and what SIZE= says is not believed. */
static enum status begin_file(struct gateway_receipt *r)
{
    bool is_short = gateway_shelf_is_high(r->worker);

    r->allocated_bytes = is_short ? 0 : r->bytes_hint;
    return gateway_body_create(r->worker, r, gateway_receipt_mid(r), r->allocated_bytes,
                               is_short ? SPOOL_BODY_CHUNK_SMALL : SPOOL_BODY_CHUNK, &r->body);
}

static enum status into_file(struct gateway_receipt *r, struct slice bytes)
{
    if (r->body == NULL)
        TRY(begin_file(r));
    if (r->draft.stage == SPOOL_DRAFT_BODY_FILE && buffer_len(&r->waiting) == 0) {
        struct slice now =
            slice_first(bytes, smaller(bytes.len, spool_body_file_room(&r->body->file)));

        spool_body_file_append(&r->body->file, now);
        bytes = slice_after(bytes, now.len);
    }
    TRY(buffer_append(&r->waiting, bytes));
    pump(r);
    return STATUS_OK;
}

/* While memory is short only small bodies gather in it: a slow sender must not hold what others
 * need to finish. */
static bool is_too_large_now(const struct gateway_receipt *r, size_t more)
{
    return spool_draft_body_bytes(&r->draft) + more > GATEWAY_RECEIPT_SMALL_BYTES &&
           gateway_shelf_is_high(r->worker);
}

/* The message has failed: what still comes of it is swallowed, and nothing of it is needed. */
static void drop_held(struct gateway_receipt *r)
{
    if (r->body != NULL)
        gateway_body_abandon(r->body);
    r->body = NULL;
    buffer_release(&r->waiting);
    if (r->draft.stage != SPOOL_DRAFT_BODY_FILE)
        leave_body(r);
}

void gateway_receipt_body(struct gateway_receipt *r, struct slice bytes)
{
    enum status status;

    if (r->failure != STATUS_OK)
        return;
    if (r->body == NULL && !is_too_large_now(r, bytes.len)) {
        status = reserve(r, bytes.len);
        if (status == STATUS_OK)
            status = spool_draft_body(&r->draft, bytes);
        if (status == STATUS_LIMIT)
            status = into_file(r, bytes);
    } else {
        status = into_file(r, bytes);
    }
    r->failure = status;
    if (r->failure != STATUS_OK)
        drop_held(r);
    charge(r);
}

bool gateway_receipt_spill(struct gateway_receipt *r)
{
    if (r->failure != STATUS_OK || r->is_ended || r->body != NULL || !is_too_large_now(r, 0))
        return false;
    r->failure = into_file(r, (struct slice){ 0 });
    if (r->failure != STATUS_OK)
        drop_held(r);
    charge(r);
    return true;
}

bool gateway_receipt_is_full(const struct gateway_receipt *r)
{
    return r->failure == STATUS_OK && buffer_len(&r->waiting) > 0;
}

static void hand_over(struct gateway_receipt *r)
{
    struct gateway_inbound *session = r->session;
    struct gateway_worker *worker = r->worker;
    enum status status = r->failure;

    if (status == STATUS_OK)
        status = gateway_message_commit(worker, &r->draft, &r->reservation, session);
    if (status == STATUS_OK && r->body != NULL) {
        gateway_body_destroy(r->body);
        r->body = NULL;
    }
    gateway_receipt_destroy(r);
    if (status != STATUS_OK && session != NULL)
        gateway_inbound_committed(session, status, 0);
}

void gateway_receipt_commit(struct gateway_receipt *r, const struct smtp_body *facts)
{
    gateway_message_note_content(&r->draft, facts);
    r->is_ended = true;
    if (r->body == NULL || r->failure != STATUS_OK)
        hand_over(r);
    else
        gateway_receipt_body_moved(r);
}

void gateway_receipt_forget_session(struct gateway_receipt *r)
{
    r->session = NULL;
}

/* The file has not taken all that there is of the body. */
static bool is_behind(const struct gateway_receipt *r)
{
    return r->draft.stage != SPOOL_DRAFT_BODY_FILE || buffer_len(&r->waiting) > 0;
}

void gateway_receipt_body_moved(struct gateway_receipt *r)
{
    bool was_full = gateway_receipt_is_full(r);
    enum spool_body_state state;

    pump(r);
    if (r->is_ended && !r->is_file_complete && !is_behind(r) &&
        spool_body_file_state(&r->body->file) == SPOOL_BODY_WRITING) {
        r->is_file_complete = true;
        spool_body_file_complete(&r->body->file);
    }
    state = spool_body_file_state(&r->body->file);
    if (state == SPOOL_BODY_FAILED && r->failure == STATUS_OK)
        r->failure = spool_body_file_failure(&r->body->file);
    if (state == SPOOL_BODY_DURABLE)
        spool_draft_set_body_file(&r->draft, spool_body_file_bytes(&r->body->file),
                                  spool_body_file_crc(&r->body->file));
    if (r->is_ended && (state == SPOOL_BODY_DURABLE || state == SPOOL_BODY_FAILED)) {
        hand_over(r);
        return;
    }
    if (r->failure != STATUS_OK)
        drop_held(r);
    charge(r);
    if (was_full && !gateway_receipt_is_full(r) && r->session != NULL)
        gateway_inbound_room(r->session);
}
