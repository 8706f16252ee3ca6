/* gateway/tls_report_part.h - what was gathered of a day, to be reported as one.
 *
 * A day has one part, and one more for what comes when the reports of the one before are on their
 * way already. A part is open while results may be added; when it is closed, it has one target for
 * each domain, and keeps how far each of them is.
 *
 * It is kept as SPOOL/tls-reports/DATE-OPENED, for example 2016-04-01-1459468812:
 *
 *     postern tls-reports 1
 *     due 1459559000          when its reports begin to be sent, seconds since 1970
 *     closed                  only when it is
 *     over 17                 nothing is left to be done for its 18th domain
 *     ...
 *     P ...                   observe/tls_results.h
 *
 * Pure.
 */
#pragma once
#include <time.h>

#include "observe/tls_results.h"

#define GATEWAY_TLS_PART_NAME_MAX  40                                            /* NUL included */
#define GATEWAY_TLS_PART_DATE_MAX  16                                            /* "2016-04-01" */
#define GATEWAY_TLS_PART_BYTES_MAX (OBSERVE_TLS_BYTES_MAX + (size_t)1024 * 1024) /* of the file */
#define GATEWAY_TLS_DAY_S          86400

enum gateway_tls_target_state {
    GATEWAY_TLS_TARGET_WAITING, /* for next_s */
    GATEWAY_TLS_TARGET_ACTIVE,  /* a report is on its way */
    GATEWAY_TLS_TARGET_SENT,    /* and the rest are over */
    GATEWAY_TLS_TARGET_UNWANTED,
    GATEWAY_TLS_TARGET_GIVEN_UP,
    GATEWAY_TLS_TARGET_STATES_COUNT
};

struct gateway_tls_target {
    const char *domain; /* of the results */
    time_t next_s;
    uint8_t state; /* enum gateway_tls_target_state */
    uint8_t tries; /* that failed */
    uint8_t done;  /* bit N: URI N of its record has got the report */
    uint8_t lost;  /* bit N: it will never get it */
};

struct gateway_tls_part { /* Read-only for others, but for the targets. */
    struct list_node node;
    time_t day_s;    /* 00:00 UTC */
    time_t opened_s; /* no two parts of a day have the same */
    time_t due_s;
    bool is_closed;
    bool is_dirty;     /* the file is not like this, or there is none */
    bool is_forgotten; /* nothing more is to be sent */
    uint64_t sessions; /* in the results */
    struct observe_tls_results results;
    struct gateway_tls_target *targets; /* once it is closed */
    size_t targets_count;
    size_t counts[GATEWAY_TLS_TARGET_STATES_COUNT]; /* of targets in each state */
};

/* STATUS_NO_MEMORY. */
MUST_USE enum status gateway_tls_part_create(time_t day_s, time_t opened_s, time_t due_s,
                                             const struct hash_seed *seed,
                                             struct gateway_tls_part **part_out);
void gateway_tls_part_destroy(struct gateway_tls_part *part); /* accepts NULL */

/* To an open one. */
void gateway_tls_part_add(struct gateway_tls_part *part, const struct observe_tls_results *results);

/* Makes its targets, due now. STATUS_NO_MEMORY: it is still open. */
MUST_USE enum status gateway_tls_part_close(struct gateway_tls_part *part, time_t now_s);

void gateway_tls_part_enter(struct gateway_tls_part *part, struct gateway_tls_target *target,
                            enum gateway_tls_target_state state);

static inline bool gateway_tls_target_is_over(const struct gateway_tls_target *target)
{
    return target->state >= GATEWAY_TLS_TARGET_SENT;
}

/* Whether it is closed and nothing is left to be done. */
bool gateway_tls_part_is_over(const struct gateway_tls_part *part);

/* The waiting target that is to be tried first; NULL: none waits. */
struct gateway_tls_target *gateway_tls_part_next(const struct gateway_tls_part *part);

/* "2016-04-01" of a day; and back. Both return whether that was possible. */
const char *gateway_tls_part_date(time_t day_s, char text[static GATEWAY_TLS_PART_DATE_MAX]);
bool gateway_tls_part_parse_date(struct slice text, time_t *day_out);

/* Of its file. Returns name. */
const char *gateway_tls_part_name(const struct gateway_tls_part *part,
                                  char name[static GATEWAY_TLS_PART_NAME_MAX]);

/* What a file's name says; false: it is no file of ours. */
bool gateway_tls_part_parse_name(struct slice name, time_t *day_out, time_t *opened_out);

/* Appends the file. */
MUST_USE enum status gateway_tls_part_write(const struct gateway_tls_part *part,
                                            struct buffer *out);

/* The part of a file's name and contents. STATUS_CORRUPT: it is none; STATUS_NO_MEMORY. */
MUST_USE enum status gateway_tls_part_read(struct slice name, struct slice text,
                                           const struct hash_seed *seed,
                                           struct gateway_tls_part **part_out);
