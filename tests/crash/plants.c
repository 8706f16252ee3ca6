#include "tests/crash/plants.h"

#include <string.h>

#include "tests/crash/sim_parts.h"
#include "tests/crash/sim_run.h"

static enum plant planted;
static const struct spool_scan *scanned; /* NULL: outside of a scan */

const char *plant_text(enum plant p)
{
    switch (p) {
    case PLANT_NONE: return "none";
    case PLANT_ACK_BEFORE_SYNC: return "acknowledged before the sync";
    case PLANT_ERROR_IGNORED: return "a failed write or sync taken for done";
    case PLANT_CHECKSUM_SKIPPED: return "checksum skipped";
    case PLANT_GENERATION_IGNORED: return "generation and salt ignored";
    case PLANT_DIRECTORY_NOT_SYNCED: return "directory not synced";
    case PLANT_BODY_NOT_SYNCED: return "record committed before its body file";
    case PLANT_PREPARE_NOT_SYNCED: return "segment used before it was synced";
    case PLANT_RELEASE_NOT_SYNCED: return "release not synced before the next step";
    case PLANT_SMALL_FILE_NOT_SYNCED: return "ids and format renamed before the sync";
    case PLANT_START_NOT_SYNCED: return "a start acts on what it has not synced";
    case PLANT_RESULTS_FORGOTTEN: return "results never written";
    case PLANT_LAID_OUT_FOR_GOOD: return "a batch keeps its headers when the write before it fails";
    case PLANT_DONE_TAKEN_FOR_DURABLE: return "body unlinked before its DONE is durable";
    case PLANT_SOURCE_FREED_EARLY: return "old place given up before the copy is synced";
    case PLANT_COPY_GIVEN_UP: return "the copy's place given up for the old one";
    case PLANT_COPY_STRUCK_OUT: return "DONE for the old place strikes out the copy";
    case PLANT_RESULTS_NOT_COPIED: return "results forgotten at the copy";
    case PLANT_RESULTS_NOT_AWAITED: return "old place given up before the results are synced again";
    case PLANT_ASIDE_USED_AGAIN: return "the segment of an unreadable message used again";
    case PLANT_COUNT: break;
    }
    UNREACHABLE();
}

void plant_choose(enum plant p)
{
    planted = p;
}

bool plant_is(enum plant p)
{
    return planted == p;
}

unsigned plant_lies(void)
{
    switch (planted) {
    case PLANT_ACK_BEFORE_SYNC: return SIM_LIE_WRITES;
    case PLANT_ERROR_IGNORED: return SIM_LIE_ERRORS;
    case PLANT_DIRECTORY_NOT_SYNCED: return SIM_LIE_DIRECTORIES;
    case PLANT_START_NOT_SYNCED: return SIM_LIE_SYNCFS;
    default: return 0;
    }
}

unsigned plant_begin(enum plant_place place)
{
    static const enum plant plants[] = {
        [PLANT_AT_BODY] = PLANT_BODY_NOT_SYNCED,
        [PLANT_AT_PREPARE] = PLANT_PREPARE_NOT_SYNCED,
        [PLANT_AT_RELEASE] = PLANT_RELEASE_NOT_SYNCED,
        [PLANT_AT_SMALL_FILE] = PLANT_SMALL_FILE_NOT_SYNCED,
    };
    unsigned lies = sim_disk_lies(sim_current());

    if (planted == plants[place])
        sim_disk_set_lies(sim_current(), lies | SIM_LIE_FILES);
    return lies;
}

void plant_end(unsigned lies)
{
    sim_disk_set_lies(sim_current(), lies);
}

/* --- segments are small, so that many are used up ----------------------------------------------
 */

enum status __wrap_spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                                   uint32_t segment_bytes, uint64_t generation_next,
                                   uint32_t number_next, size_t files_count, size_t free_kept_max)
{
    (void)segment_bytes;
    return __real_spool_pool_init(p, d, SIM_RUN_SEGMENT_BYTES, generation_next, number_next,
                                  files_count, free_kept_max);
}

enum status __wrap_spool_log_init(struct spool_log *log, struct spool_storage *storage,
                                  const struct spool_log_options *options)
{
    struct spool_log_options smaller = *options;

    smaller.segment_bytes = SIM_RUN_SEGMENT_BYTES;
    smaller.record_bytes_max = SIM_RUN_RECORD_BYTES;
    return __real_spool_log_init(log, storage, &smaller);
}

/* --- the bugs --------------------------------------------------------------------------------- */

enum status __wrap_spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                                      struct spool_segment_file *file_out)
{
    unsigned lies = plant_begin(PLANT_AT_PREPARE);
    enum status status = __real_spool_pool_prepare(p, log_id, file_out);

    plant_end(lies);
    return status;
}

enum status __wrap_spool_pool_release(struct spool_pool *p, const struct spool_segment_file *file)
{
    unsigned lies = plant_begin(PLANT_AT_RELEASE);
    enum status status = __real_spool_pool_release(p, file);

    plant_end(lies);
    return status;
}

enum status __wrap_spool_file_replace(int folder_fd, const char *name, const char *temporary,
                                      struct slice contents)
{
    unsigned lies = plant_begin(PLANT_AT_SMALL_FILE);
    enum status status = __real_spool_file_replace(folder_fd, name, temporary, contents);

    plant_end(lies);
    return status;
}

enum spool_scan_item __wrap_spool_scan_next(struct spool_scan *s)
{
    enum spool_scan_item item;

    scanned = s;
    item = __real_spool_scan_next(s);
    scanned = NULL;
    return item;
}

enum status __wrap_spool_record_decode(struct slice bytes, struct spool_record *record_out)
{
    enum status status = __real_spool_record_decode(bytes, record_out);

    if (status == STATUS_OK && scanned != NULL && planted == PLANT_GENERATION_IGNORED) {
        record_out->generation = scanned->generation;
        record_out->salt = scanned->salt;
    }
    return status;
}

bool __wrap_spool_record_payload_is_whole(const struct spool_record *r, struct slice bytes,
                                          struct slice *payload_out)
{
    if (planted != PLANT_CHECKSUM_SKIPPED)
        return __real_spool_record_payload_is_whole(r, bytes, payload_out);
    if (bytes.len - SPOOL_RECORD_HEADER < r->payload_bytes)
        return false;
    *payload_out = (struct slice){ bytes.data + SPOOL_RECORD_HEADER, r->payload_bytes };
    return true;
}

/* As if headers had been made when the record was laid out, while a write was in flight that
 * failed: the first batch of an era within a run says that it follows the one before, in its
 * segment. */
size_t __wrap_spool_record_encode_header(const struct spool_record *r, char *to)
{
    static struct spool_record last[SPOOL_LOGS_MAX];
    struct spool_record *before = &last[r->log_id], wrong = *r;

    if (before->batch != 0 && r->batch == spool_batch_next_era(before->batch) &&
        planted == PLANT_LAID_OUT_FOR_GOOD) {
        wrong.generation = before->generation;
        wrong.salt = before->salt;
        wrong.batch = before->batch + 1;
        wrong.batch_start = before->batch_start + before->batch_bytes;
        return __real_spool_record_encode_header(&wrong, to);
    }
    *before = *r;
    return __real_spool_record_encode_header(r, to);
}

void __wrap_spool_log_append_results(struct spool_log *log, uint64_t mid,
                                     const struct spool_result *results, size_t count)
{
    if (planted != PLANT_RESULTS_FORGOTTEN)
        __real_spool_log_append_results(log, mid, results, count);
}

/* --- bugs of compaction ----------------------------------------------------------------------- */

static struct gateway_message *being_moved(const struct spool_ticket *ticket)
{
    const struct gateway_errand *errand = CONTAINER_OF(ticket, struct gateway_errand, ticket);

    return errand->is_move ? errand->message : NULL;
}

/* Whose place it is; NULL: a copy's, that is of no use. */
static struct gateway_message *living_at(struct spool_log *log,
                                         const struct spool_location *location)
{
    struct gateway_worker *w = CONTAINER_OF(log, struct gateway_worker, store.log);
    struct slim_list *const lists[] = { &w->messages, &w->shelf.messages };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        SLIM_LIST_FOR_EACH (n, lists[i])
            if (location == &CONTAINER_OF(n, struct gateway_message, node)->location)
                return CONTAINER_OF(n, struct gateway_message, node);
    return NULL;
}

enum status __wrap_gateway_store_append(struct gateway_store *store,
                                        const struct spool_message *message,
                                        struct spool_reservation *reservation,
                                        struct spool_ticket *ticket)
{
    struct gateway_message *m = being_moved(ticket);
    enum status status = __real_gateway_store_append(store, message, reservation, ticket);

    if (status == STATUS_OK && m != NULL && planted == PLANT_SOURCE_FREED_EARLY)
        __real_spool_log_forget(&store->log, &m->location);
    return status;
}

void __wrap_spool_log_forget(struct spool_log *log, const struct spool_location *location)
{
    struct gateway_message *m = living_at(log, location);

    if (m != NULL && planted == PLANT_SOURCE_FREED_EARLY)
        return;
    if (m != NULL && planted == PLANT_COPY_GIVEN_UP)
        location = &m->errand->new_location;
    __real_spool_log_forget(log, location);
    if (m != NULL && planted == PLANT_COPY_STRUCK_OUT)
        spool_log_append_done(log, m->mid, NULL, NULL);
}

void __wrap_gateway_store_await_results(struct gateway_store *store, uint64_t mid,
                                        struct spool_ticket *ticket)
{
    if (planted != PLANT_RESULTS_NOT_AWAITED) {
        __real_gateway_store_await_results(store, mid, ticket);
        return;
    }
    *ticket = (struct spool_ticket){ .kind = SPOOL_TICKET_RESULTS, .mid = mid };
    list_append(&store->log.committed, &ticket->node);
    gateway_store_flush(store);
}

void __wrap_gateway_store_damaged(struct gateway_store *store, const struct spool_segment *segment)
{
    if (planted != PLANT_ASIDE_USED_AGAIN)
        __real_gateway_store_damaged(store, segment);
}
