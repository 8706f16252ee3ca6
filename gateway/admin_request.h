/* gateway/admin_request.h - the requests of the admin socket, and their replies.
 *
 * A request is one line, without its end: a word and its operands, separated by spaces.
 *
 *     status           version, pid, uptime, generation, listeners, spool, and the counters
 *     counters         all counters of observe/counters.h by name, summed over the workers
 *     generation       the newest configuration, and what each worker has of it
 *     sender ADDRESS [BITS_V4 BITS_V6 INTERVAL_S]
 *                      what is counted for this client, with the significant bits and the interval
 *                      of the policy that is asked about: gateway/limits_describe.h
 *     alerts [N]       the latest alerts that were sent, the newest first: gateway/alerts.h
 *     tls-reports      what is gathered for reports about TLS: gateway/tls_reports.h
 *     tls-reports send [DATE]
 *                      begins to send it now, of that day ("2016-04-01") or of all
 *
 *     queue ...        what is in the queue, and what is to be done to it: gateway/queue_filter.h;
 *                      answered by gateway/queue_desk.h, in many lines
 *
 * A reply is one JSON object on one line, ended by LF; {"error": "why"} when the request was not
 * understood. It reads atomics and what other threads may know (the listing, the latest
 * alerts) only; any thread but a worker may call it while the process's workers exist.
 */
#pragma once
#include <time.h>

#include "base/buffer.h"
#include "gateway/limits_describe.h"

#define GATEWAY_ADMIN_REQUEST_MAX 1024  /* bytes of a line, its end included */
#define GATEWAY_ADMIN_REPLY_MAX   65536 /* bytes */

enum gateway_admin_verb {
    GATEWAY_ADMIN_STATUS,
    GATEWAY_ADMIN_COUNTERS,
    GATEWAY_ADMIN_GENERATION,
    GATEWAY_ADMIN_SENDER,
    GATEWAY_ADMIN_ALERTS,
    GATEWAY_ADMIN_TLS_REPORTS
};

#define GATEWAY_ADMIN_ALERTS_DEFAULT 10

struct gateway_admin_request {
    enum gateway_admin_verb verb;
    struct gateway_limits_question sender; /* SENDER */
    uint64_t count;                        /* ALERTS: from 1 */
    bool is_send;                          /* TLS_REPORTS: send, of the day or of all */
    bool has_day;
    time_t day_s; /* 00:00 UTC */
};

/* False with a phrase in *why_out for a line that is no request. */
MUST_USE bool gateway_admin_request_parse(struct slice line,
                                          struct gateway_admin_request *request_out,
                                          const char **why_out);

/* Appends the reply to a line. An error leaves nothing that could be sent. */
MUST_USE enum status gateway_admin_answer(struct gateway_process *process, struct slice line,
                                          struct buffer *reply);

/* Appends {"error": why}. */
MUST_USE enum status gateway_admin_answer_error(const char *why, struct buffer *reply);
