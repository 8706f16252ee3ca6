/* cli/load_stats.h - what the load generator counts.
 *
 * Each worker has its own. The tallies that the progress line shows are atomic, because another
 * thread reads them meanwhile; all else is read when the worker has ended.
 */
#pragma once
#include <stdatomic.h>

#include "base/slice.h"
#include "cli/load_histogram.h"

#define LOAD_ERRORS_MAX     32 /* kinds; more are counted together */
#define LOAD_ERROR_TEXT_MAX 100

/* What went wrong without a reply; codes below 100, so that both fit in one table. */
enum load_error_code {
    LOAD_ERROR_OTHER = 1, /* the table of errors was full */
    LOAD_ERROR_CONNECT,
    LOAD_ERROR_LOST, /* the connection ended */
    LOAD_ERROR_TIMEOUT,
    LOAD_ERROR_PROTOCOL, /* what the server says is not SMTP */
    LOAD_ERROR_TLS,
    LOAD_ERROR_INTERRUPTED, /* by our second signal */
    LOAD_ERROR_MEMORY
};

struct load_error {
    uint16_t code; /* a reply's, or enum load_error_code */
    uint64_t count;
    char text[LOAD_ERROR_TEXT_MAX]; /* of the first one */
};

struct load_errors {
    struct load_error items[LOAD_ERRORS_MAX];
    size_t count;
};

struct load_tallies {
    _Atomic uint64_t accepted; /* messages */
    _Atomic uint64_t failed;   /* messages */
    _Atomic uint64_t errors;   /* of all kinds */
    _Atomic uint64_t ready;    /* sessions: greeted and not yet closed */
};

struct load_stats {
    struct load_tallies tallies;
    uint64_t recipients_refused;
    uint64_t sessions_opened;
    uint64_t sessions_tls;
    uint64_t sessions_given_up;
    uint64_t bytes;    /* of accepted messages */
    uint64_t ended_ns; /* when the last message was dealt with */
    struct load_histogram session_us;
    struct load_histogram message_us; /* from MAIL to the final 250 */
    struct load_histogram dot_us;     /* of it, from the final dot on */
    struct load_errors errors;
    char tls[64]; /* of the first TLS session: "TLSv1.3 TLS_AES_256_GCM_SHA384" */
};

/* Only printable characters of text are kept. */
void load_stats_error(struct load_stats *s, unsigned code, struct slice text);

void load_stats_merge(struct load_stats *into, const struct load_stats *from);

/* "connect", "lost"... or NULL for the code of a reply. */
const char *load_error_name(unsigned code);
