/* gateway/tls_reporter.h - the parts that are gathered, and when their reports are sent: RFC 8460.
 *
 * The keeper's state (gateway/tls_reports.h) without its thread: time, chance and the world are
 * arguments. Results come in by day; some time after the end of the day (UTC), and a random while
 * later (4.1), their part is closed and each domain in it is asked for its record, a few at a time.
 * What came of it is in the mail log. A part that is over goes, with its file; so does one that is
 * GATEWAY_TLS_PART_AGE_S old, whatever is left of it.
 */
#pragma once
#include "gateway/tls_report_sending.h"

#define GATEWAY_TLS_PARTS_MAX    8
#define GATEWAY_TLS_SENDINGS_MAX 8    /* at once */
#define GATEWAY_TLS_GRACE_S      600  /* after midnight: what workers have is here by then */
#define GATEWAY_TLS_SPREAD_S     3600 /* of the random while behind that */
#define GATEWAY_TLS_PART_AGE_S   (3 * GATEWAY_TLS_DAY_S) /* from its day's beginning */
#define GATEWAY_TLS_STORE_S      60  /* between two times that files are written */
#define GATEWAY_TLS_LOOK_S       1   /* while something cannot be begun */
#define GATEWAY_TLS_LOOK_S_MAX   600 /* whatever is to be waited for: clocks are set */

struct gateway_tls_reporter { /* Fields are private. */
    struct gateway_tls_world *world;
    const struct gateway_tls_report_settings *settings;
    struct hash_seed seed;
    uint64_t random;
    struct list parts; /* as they were opened */
    size_t parts_count;
    struct list sendings;
    size_t sendings_count;
    time_t store_s; /* files are not written before */
    bool is_store_failing;
};

/* Borrows world and settings. seed: domains are chosen by strangers. */
void gateway_tls_reporter_init(struct gateway_tls_reporter *r, struct gateway_tls_world *world,
                               const struct gateway_tls_report_settings *settings,
                               const struct hash_seed *seed);

/* When no worker's thread runs any more. Files stay. */
void gateway_tls_reporter_finish(struct gateway_tls_reporter *r);

/* From now on; borrows. What was gathered is forgotten, with its files, when they say not to send:
 * what is on its way ends. */
void gateway_tls_reporter_configure(struct gateway_tls_reporter *r,
                                    const struct gateway_tls_report_settings *settings);

/* A file of an earlier process. STATUS_CORRUPT: it is none; STATUS_LIMIT: too many, or too old;
 * STATUS_NO_MEMORY. In the first two cases it is good for nothing. */
MUST_USE enum status gateway_tls_reporter_restore(struct gateway_tls_reporter *r, struct slice name,
                                                  struct slice text, time_t now_s);

/* What a worker saw. It is dropped, and that is said, where there is no room or no memory. */
void gateway_tls_reporter_add(struct gateway_tls_reporter *r, time_t day_s,
                              const struct observe_tls_results *results, time_t now_s);

/* Begins to send what is gathered, of one day or (NULL) of all; what waits to be tried again is.
 * Returns of how many parts. */
size_t gateway_tls_reporter_send(struct gateway_tls_reporter *r, const time_t *day_s, time_t now_s);

/* Everything that can be done now. Returns for how many seconds nothing is to be done, unless the
 * world's bell rings or a post ends. */
unsigned gateway_tls_reporter_run(struct gateway_tls_reporter *r, time_t now_s);

/* Writes what is not written yet: the process ends. */
void gateway_tls_reporter_store(struct gateway_tls_reporter *r, time_t now_s);

struct gateway_tls_part_facts {
    time_t day_s, due_s;
    bool is_closed;
    uint64_t sessions;
    size_t domains; /* of a closed one */
    size_t counts[GATEWAY_TLS_TARGET_STATES_COUNT];
};

/* Returns how many there are. */
size_t gateway_tls_reporter_describe(const struct gateway_tls_reporter *r,
                                     struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX]);
