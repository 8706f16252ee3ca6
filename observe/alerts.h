/* observe/alerts.h - which alerts are sent, and which are held because the same was sent lately.
 *
 * An alert is known by its kind and its subject (a domain, a certificate, a log of the spool). The
 * first one is sent at once. Then nothing is sent about it for the initial wait I; what is raised
 * meanwhile is counted, and told as one summary when the wait is over. Each notice doubles the
 * wait, up to the maximum M: gaps of I, 2I, 4I ... M. With I = 0 each is sent. One that is more
 * severe than all that was sent about the subject does not wait.
 *
 * What was told as wrong is told as recovered, once and at once, when it is cleared. So a subject
 * that comes and goes makes two notices for each wait at the most. One that was not raised for a
 * while (OBSERVE_ALERT_CALM_MS_MIN, or twice the maximum when that is longer) is calm: its waits
 * begin anew.
 *
 * The table is bounded. When it is full the oldest calm subject makes room; when none is calm, the
 * alert counts for the subject OBSERVE_ALERT_TOO_MANY, with waits of its own.
 *
 * Pure: the time is an argument. now_ms is monotonic and never falls; wall_s is only repeated.
 */
#pragma once
#include <time.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"

#define OBSERVE_ALERTS_MAX        1000 /* subjects */
#define OBSERVE_ALERT_SUBJECT_MAX 256  /* NUL included; the rest is cut */
#define OBSERVE_ALERT_TEXT_MAX    1024 /* the same */
#define OBSERVE_ALERT_CALM_MS_MIN ((uint64_t)3600 * 1000)

enum observe_alert_kind {
    OBSERVE_ALERT_REQUIRED_TLS, /* of a domain */
    OBSERVE_ALERT_SPOOL,
    OBSERVE_ALERT_CERTIFICATE, /* of ours, by its name in the configuration */
    OBSERVE_ALERT_WORKER,
    OBSERVE_ALERT_TOO_MANY,
    OBSERVE_ALERT_KINDS_COUNT
};

enum observe_severity {
    OBSERVE_SEVERITY_INFO,
    OBSERVE_SEVERITY_WARNING,
    OBSERVE_SEVERITY_CRITICAL
};

enum observe_alert_step {
    OBSERVE_ALERT_HOLD,    /* nothing is sent */
    OBSERVE_ALERT_SEND,    /* it was raised now */
    OBSERVE_ALERT_SUMMARY, /* it was raised while nothing was sent */
    OBSERVE_ALERT_RECOVERED
};

/* What is to be sent. The texts are of printable ASCII (other bytes are \xNN), borrowed from the
 * table until its next call, and empty for HOLD. */
struct observe_alert_notice {
    enum observe_alert_step step;
    enum observe_alert_kind kind;
    enum observe_severity severity; /* INFO of RECOVERED */
    const char *subject;
    const char *text;    /* of the last one that was raised */
    uint64_t count;      /* raised since the last notice; of RECOVERED: since since_wall_s */
    time_t since_wall_s; /* the first one, since it was well */
    time_t last_wall_s;  /* and the last one */
    bool is_over;        /* RECOVERED, and a SUMMARY of what was cleared meanwhile */
};

struct observe_alert_entry;

struct observe_alerts { /* Fields are private. */
    struct table entries;
    struct list by_age; /* entries, the one that was raised last is last */
    struct observe_alert_entry *too_many;
    struct hash_seed seed;
    size_t entries_max;
    uint64_t initial_ms;
    uint64_t max_ms;
};

/* entries_max: 1..OBSERVE_ALERTS_MAX. seed: subjects may be chosen by strangers. */
MUST_USE enum status observe_alerts_init(struct observe_alerts *a, const struct hash_seed *seed,
                                         size_t entries_max);
void observe_alerts_finish(struct observe_alerts *a); /* accepts a zeroed one */

/* Waits from the next notice on. initial_ms 0: none; else max_ms >= initial_ms. */
void observe_alerts_configure(struct observe_alerts *a, uint64_t initial_ms, uint64_t max_ms);

struct observe_alert {
    enum observe_alert_kind kind;
    enum observe_severity severity;
    struct slice subject; /* case does not matter */
    struct slice text;
};

/* step of the result: HOLD or SEND. */
struct observe_alert_notice observe_alerts_raise(struct observe_alerts *a, uint64_t now_ms,
                                                 time_t wall_s, const struct observe_alert *alert);

/* It is well again. step: HOLD or RECOVERED. What was never raised is left alone. */
struct observe_alert_notice observe_alerts_clear(struct observe_alerts *a, uint64_t now_ms,
                                                 enum observe_alert_kind kind,
                                                 struct slice subject);

/* The next SUMMARY that is due; HOLD when there is none any more. */
struct observe_alert_notice observe_alerts_tick(struct observe_alerts *a, uint64_t now_ms);

/* When tick() will have something, UINT64_MAX: not before something is raised. */
uint64_t observe_alerts_due_ms(const struct observe_alerts *a);
