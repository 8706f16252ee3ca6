/* tests/crash/plants.h - bugs that are planted to see that the simulator finds them.
 *
 * None of them is in the code: the disk lies at a certain place, or the linker lets a wrong
 * function stand before the right one (--wrap). One at a time.
 */
#pragma once
#include "gateway/store.h"
#include "spool/log.h"
#include "spool/pool.h"
#include "spool/scan.h"
#include "tests/crash/sim_disk.h"

enum plant {
    PLANT_NONE,
    PLANT_ACK_BEFORE_SYNC,
    PLANT_ERROR_IGNORED,
    PLANT_CHECKSUM_SKIPPED,
    PLANT_GENERATION_IGNORED,
    PLANT_DIRECTORY_NOT_SYNCED,
    PLANT_BODY_NOT_SYNCED,
    PLANT_PREPARE_NOT_SYNCED,
    PLANT_RELEASE_NOT_SYNCED,
    PLANT_SMALL_FILE_NOT_SYNCED,
    PLANT_START_NOT_SYNCED,
    PLANT_RESULTS_FORGOTTEN,
    PLANT_LAID_OUT_FOR_GOOD,
    PLANT_DONE_TAKEN_FOR_DURABLE,
    PLANT_SOURCE_FREED_EARLY,
    PLANT_COPY_GIVEN_UP,
    PLANT_COPY_STRUCK_OUT,
    PLANT_RESULTS_NOT_COPIED,
    PLANT_RESULTS_NOT_AWAITED,
    PLANT_ASIDE_USED_AGAIN,
    PLANT_COUNT
};

enum plant_place { PLANT_AT_BODY, PLANT_AT_PREPARE, PLANT_AT_RELEASE, PLANT_AT_SMALL_FILE };

const char *plant_text(enum plant p);
void plant_choose(enum plant p);
bool plant_is(enum plant p);

/* What the disk is to say falsely from the beginning; of enum sim_lie. */
unsigned plant_lies(void);

/* Around a place where it lies in its own way: the disk in use. */
unsigned plant_begin(enum plant_place place);
void plant_end(unsigned lies);

/* --- what the linker takes here --------------------------------------------------------------- */

MUST_USE enum status __real_spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                                            uint32_t segment_bytes, uint64_t generation_next,
                                            uint32_t number_next, size_t files_count,
                                            size_t free_kept_max);
MUST_USE enum status __wrap_spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                                            uint32_t segment_bytes, uint64_t generation_next,
                                            uint32_t number_next, size_t files_count,
                                            size_t free_kept_max);
MUST_USE enum status __real_spool_log_init(struct spool_log *log, struct spool_storage *storage,
                                           const struct spool_log_options *options);
MUST_USE enum status __wrap_spool_log_init(struct spool_log *log, struct spool_storage *storage,
                                           const struct spool_log_options *options);
MUST_USE enum status __real_spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                                               struct spool_segment_file *file_out);
MUST_USE enum status __wrap_spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                                               struct spool_segment_file *file_out);
MUST_USE enum status __real_spool_pool_release(struct spool_pool *p,
                                               const struct spool_segment_file *file);
MUST_USE enum status __wrap_spool_pool_release(struct spool_pool *p,
                                               const struct spool_segment_file *file);
MUST_USE enum status __real_spool_file_replace(int folder_fd, const char *name,
                                               const char *temporary, struct slice contents);
MUST_USE enum status __wrap_spool_file_replace(int folder_fd, const char *name,
                                               const char *temporary, struct slice contents);
MUST_USE enum status __real_spool_record_decode(struct slice bytes,
                                                struct spool_record *record_out);
MUST_USE enum status __wrap_spool_record_decode(struct slice bytes,
                                                struct spool_record *record_out);
size_t __real_spool_record_encode_header(const struct spool_record *r, char *to);
size_t __wrap_spool_record_encode_header(const struct spool_record *r, char *to);
bool __real_spool_record_payload_is_whole(const struct spool_record *r, struct slice bytes,
                                          struct slice *payload_out);
bool __wrap_spool_record_payload_is_whole(const struct spool_record *r, struct slice bytes,
                                          struct slice *payload_out);
enum spool_scan_item __real_spool_scan_next(struct spool_scan *s);
enum spool_scan_item __wrap_spool_scan_next(struct spool_scan *s);
void __real_spool_log_append_results(struct spool_log *log, uint64_t mid,
                                     const struct spool_result *results, size_t count);
void __wrap_spool_log_append_results(struct spool_log *log, uint64_t mid,
                                     const struct spool_result *results, size_t count);
void __real_spool_log_forget(struct spool_log *log, const struct spool_location *location);
void __wrap_spool_log_forget(struct spool_log *log, const struct spool_location *location);
MUST_USE enum status __real_gateway_store_append(struct gateway_store *store,
                                                 const struct spool_message *message,
                                                 struct spool_reservation *reservation,
                                                 struct spool_ticket *ticket);
MUST_USE enum status __wrap_gateway_store_append(struct gateway_store *store,
                                                 const struct spool_message *message,
                                                 struct spool_reservation *reservation,
                                                 struct spool_ticket *ticket);
void __real_gateway_store_await_results(struct gateway_store *store, uint64_t mid,
                                        struct spool_ticket *ticket);
void __wrap_gateway_store_await_results(struct gateway_store *store, uint64_t mid,
                                        struct spool_ticket *ticket);
void __real_gateway_store_damaged(struct gateway_store *store, const struct spool_segment *segment);
void __wrap_gateway_store_damaged(struct gateway_store *store, const struct spool_segment *segment);
