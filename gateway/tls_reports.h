/* gateway/tls_reports.h - TLSRPT: the keeper of what was seen of TLS, who sends it (RFC 8460).
 *
 * One thread, the keeper, has the parts (gateway/tls_reporter.h), their files in
 * SPOOL/tls-reports, and the posts by HTTPS, which run side by side in it. It asks the DNS, and
 * puts mail into the spool, through the workers (gateway/tls_report_lookup.h, own_mail.h); nothing
 * of mail waits for it. Workers give it what they gathered (gateway/tls_gatherer.h).
 *
 *     create -> configure, take, send, facts -> the workers have ended -> stop -> destroy
 */
#pragma once
#include "config/settings.h"
#include "gateway/process.h"
#include "gateway/tls_reporter.h"

#define GATEWAY_TLS_BATCHES_MAX (2 * CONFIG_WORKERS_MAX) /* that wait for the keeper */

struct gateway_tls_reports; /* opaque */

/* process is borrowed, and its workers need not run yet. writer: an index in process->log.
 * curl_global_init() has been called, the spool is open. Nothing is done before
 * gateway_tls_reports_configure(). */
MUST_USE enum status gateway_tls_reports_create(struct gateway_process *process, unsigned writer,
                                                struct gateway_tls_reports **reports_out);

/* From now on; copies. The supervisor's thread. STATUS_NO_MEMORY: as before. */
MUST_USE enum status gateway_tls_reports_configure(struct gateway_tls_reports *reports,
                                                   const struct config_settings *settings);

/* Ends the thread; what was taken by then is on disk. Accepts NULL. */
void gateway_tls_reports_stop(struct gateway_tls_reports *reports);

/* After the workers' threads have ended. Accepts NULL. */
void gateway_tls_reports_destroy(struct gateway_tls_reports *reports);

/* --- for the workers ------------------------------------------------------------------------- */

/* What a worker has seen of a day. */
struct gateway_tls_batch {
    struct gateway_tls_batch *next; /* private */
    time_t day_s;
    struct observe_tls_results results;
};

/* NULL: no memory. */
struct gateway_tls_batch *gateway_tls_batch_create(time_t day_s, const struct hash_seed *seed);
void gateway_tls_batch_destroy(struct gateway_tls_batch *batch); /* accepts NULL */

/* One allocation of the caller's and one atomic exchange: no lock, no wait. reports may be NULL:
 * nobody wants it. */
void gateway_tls_reports_take(struct gateway_tls_reports *reports, struct gateway_tls_batch *batch);

/* Whether no more than GATEWAY_TLS_BATCHES_MAX wait. */
bool gateway_tls_reports_has_room(const struct gateway_tls_reports *reports);

/* A worker that was asked for what it has has given it. */
void gateway_tls_reports_collected(struct gateway_tls_reports *reports);

/* --- for `postern tls-reports`; any thread but a worker's: they take a lock ------------------ */

/* Begins to send what is gathered, workers included, of one day or (NULL) of all. False: reports
 * are off. */
bool gateway_tls_reports_send(struct gateway_tls_reports *reports, const time_t *day_s);

/* Returns how many parts there are; is_on_out: whether reports are sent. */
size_t gateway_tls_reports_facts(struct gateway_tls_reports *reports,
                                 struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX],
                                 bool *is_on_out);
