/* gateway/queue_filter.h - which entries of the queue an operator means, and the request for it.
 *
 *     list|summary|show|hold|release|retry|bounce|delete|flush [WORD...]
 *
 *     mid=N          one of up to GATEWAY_QUEUE_MIDS_MAX
 *     domain=NAME    the destination; ".example.com": those below example.com
 *     sender=ADDRESS the envelope sender; "@example.com": anybody there; "<>": nobody (bounces)
 *     older=SECONDS  accepted longer ago
 *     held           held by an operator
 *     limit=N        no more entries than that
 *     all            really all: what changes something wants to be told which, or this
 *
 * An entry has to meet all words, and one of the MIDs. Names are compared without regard to case,
 * and so are whole addresses: an operator copies what he sees, and a local part that differs in
 * case alone is not another person in practice. In values every byte but letters, digits and
 * "-._~@+=<>" stands as %XX. Pure.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

#define GATEWAY_QUEUE_MIDS_MAX   32u
#define GATEWAY_QUEUE_DOMAIN_MAX 256 /* NUL included */
#define GATEWAY_QUEUE_SENDER_MAX 512 /* the same */
#define GATEWAY_QUEUE_OLDER_MAX  (UINT64_C(100) * 365 * 86400)

enum gateway_queue_verb {
    GATEWAY_QUEUE_LIST,
    GATEWAY_QUEUE_SUMMARY,
    GATEWAY_QUEUE_SHOW, /* wants MIDs */
    GATEWAY_QUEUE_HOLD, /* from here on it changes something */
    GATEWAY_QUEUE_RELEASE,
    GATEWAY_QUEUE_RETRY,
    GATEWAY_QUEUE_BOUNCE,
    GATEWAY_QUEUE_DELETE,
    GATEWAY_QUEUE_FLUSH, /* wants a domain, and nothing else */
    GATEWAY_QUEUE_VERBS_COUNT
};

struct gateway_queue_filter {
    uint64_t mids[GATEWAY_QUEUE_MIDS_MAX];
    unsigned mids_count;                   /* 0: any */
    char domain[GATEWAY_QUEUE_DOMAIN_MAX]; /* "": any */
    bool has_sender;
    char sender[GATEWAY_QUEUE_SENDER_MAX]; /* "": nobody */
    uint64_t older_s;                      /* 0: any */
    bool is_held;                          /* those only */
    bool is_all;
    uint64_t limit; /* 0: none */
};

struct gateway_queue_request {
    enum gateway_queue_verb verb;
    struct gateway_queue_filter filter;
};

/* What an entry is judged by. */
struct gateway_queue_facts {
    uint64_t mid;
    int64_t arrival_wall_s;
    struct slice domain;
    struct slice sender;
    bool is_held;
};

/* False with a phrase in *why_out for what is no request. text: behind the word "queue". */
MUST_USE bool gateway_queue_parse(struct slice text, struct gateway_queue_request *request_out,
                                  const char **why_out);

bool gateway_queue_matches(const struct gateway_queue_filter *filter,
                           const struct gateway_queue_facts *facts, int64_t now_wall_s);

/* The place of a MID in filter->mids; mids_count: it is none of them. */
unsigned gateway_queue_mid_place(const struct gateway_queue_filter *filter, uint64_t mid);

/* Whether it says which entries, or "all". */
bool gateway_queue_is_chosen(const struct gateway_queue_filter *filter);

const char *gateway_queue_verb_name(enum gateway_queue_verb verb);

/* A value as it stands in a request, and a NUL. False: it does not fit. */
MUST_USE bool gateway_queue_encode(struct slice value, char *text, size_t room);
