/* observe/tls_report.h - a day's report to a domain about TLS with it: RFC 8460.
 *
 * The report is JSON (4.4), one for each domain that mail went to, and always goes compressed (5.2,
 * observe/gzip.h). By mail it is a multipart/report (5.3), by HTTPS it is posted alone (5.4). Pure.
 */
#pragma once
#include <time.h>

#include "observe/tls_results.h"

#define OBSERVE_TLS_REPORT_BYTES_MAX ((size_t)8 * 1024 * 1024) /* of the JSON */
#define OBSERVE_TLS_REPORT_NAME_MAX  640                       /* NUL included */
#define OBSERVE_TLS_REPORT_TYPE      "application/tlsrpt+gzip"

struct observe_tls_report {
    struct slice domain;       /* who is told: observe_tls_result.report_domain */
    struct slice organization; /* "Example Inc." */
    struct slice contact;      /* an address, or a URI */
    struct slice submitter;    /* the domain that sends it */
    struct slice report_id;    /* unique: letters, digits, ".", "-", "_" and "@" */
    time_t day_s;              /* the day that it is about, 00:00 UTC */
};

/* The day that a time lies in, as above. */
time_t observe_tls_report_day(time_t wall_s);

/* "submitter!domain!begin!end!id.json.gz", RFC 8460 5.1. The id is what is before the "@", letters
 * and digits alone, which is all that the RFC has there. Returns name. */
const char *observe_tls_report_name(const struct observe_tls_report *report,
                                    char name[static OBSERVE_TLS_REPORT_NAME_MAX]);

/* The JSON, without a line end. STATUS_NOT_FOUND: there is nothing about the domain; STATUS_LIMIT,
 * STATUS_NO_MEMORY. */
MUST_USE enum status observe_tls_report_json(const struct observe_tls_report *report,
                                             const struct observe_tls_results *results,
                                             struct buffer *out);

struct observe_tls_letter {
    const struct observe_tls_report *report;
    struct slice from; /* an address; plain, as are the next two */
    struct slice to;
    struct slice message_id; /* without angle brackets */
    struct slice gzip;       /* the JSON, compressed */
    time_t now_s;
};

/* A message as it would arrive after DATA: lines that end with CRLF, none of them begins with a
 * dot, without the final dot. It says TLS-Required: No (RFC 8689 5), because a report about TLS
 * that failed has to get through although TLS fails (RFC 8460 5.3). It is not signed here: RFC 8460
 * 3 demands DKIM, tls/dkim.h. */
MUST_USE enum status observe_tls_report_letter(const struct observe_tls_letter *letter,
                                               struct buffer *out);
