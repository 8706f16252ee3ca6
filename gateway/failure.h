/* gateway/failure.h - why a recipient has not got the mail: the outcome, and what the host said.
 *
 * Made where the reply is heard, moved with it to the log and the bounce, and kept with an item
 * that waits (struct gateway_failures), so that a report about mail that grew too old, or is late,
 * can tell what was said last. That memory does not outlive the process.
 *
 * Immutable, one owner, freed with free(); no larger than its texts, because a queue has many.
 */
#pragma once
#include <time.h>

#include "base/ip.h"
#include "base/slice.h"
#include "base/status.h"
#include "delivery/outcome.h"
#include "smtp/reply.h"

#define GATEWAY_FAILURE_NAME_MAX  255 /* bytes of a host's name; what is longer is cut */
#define GATEWAY_FAILURE_REPLY_MAX 383 /* and of its reply */
#define GATEWAY_FAILURE_PORT      25  /* of hosts that are told without one */

/* Recipients of an item whose own failures are kept; the others have none that could be told. */
#define GATEWAY_FAILURES_MAX 100u

struct gateway_failure {
    struct delivery_outcome outcome;
    time_t at_s;                 /* 0: not known */
    struct ip_endpoint endpoint; /* of the host, where has_host */
    uint16_t code;               /* of the reply; 0: there was none */
    uint16_t name_bytes;
    uint16_t reply_bytes;
    bool has_host;
    bool is_ours; /* the reply is no host's: words of ours, for what one lacks or what went wrong */
    char text[];  /* the host's name, then "550 5.1.1 No such user" */
};

/* What is known when it happens; borrowed. */
struct gateway_failure_facts {
    struct delivery_outcome outcome;
    const struct ip_endpoint *endpoint; /* NULL: no host was involved */
    struct slice name;                  /* of the host; may be empty */
    const struct smtp_reply *reply;     /* NULL, or code 0: there was none */
    struct slice words;                 /* of ours, where there was none; may be empty */
    time_t at_s;
    bool is_ours; /* the reply */
};

/* Room for any of them, for who only looks at it. */
struct gateway_failure_room {
    union {
        struct gateway_failure failure;
        char bytes[sizeof(struct gateway_failure) + GATEWAY_FAILURE_NAME_MAX +
                   GATEWAY_FAILURE_REPLY_MAX + 1];
    };
};

/* In the room, and until that goes. */
const struct gateway_failure *gateway_failure_write(const struct gateway_failure_facts *facts,
                                                    struct gateway_failure_room *room);

/* NULL: no memory. */
struct gateway_failure *gateway_failure_create(const struct gateway_failure_facts *facts);
struct gateway_failure *gateway_failure_copy(const struct gateway_failure *f); /* accepts NULL */

struct slice gateway_failure_name(const struct gateway_failure *f);
struct slice gateway_failure_reply(const struct gateway_failure *f); /* empty: none */
struct slice gateway_failure_said(const struct gateway_failure *f);  /* the reply behind its code */

/* The last failures of recipients that wait, by their place: 0..places - 1. Zero-initialise. */
struct gateway_failures {           /* Fields are private. */
    struct gateway_failure *common; /* of all that have none of their own */
    struct gateway_failure **own;   /* by place; NULL: the common one */
    unsigned own_count;
};

void gateway_failures_finish(struct gateway_failures *fs, unsigned places);

/* The last try said the same of all that were not noted by themselves; takes f, which may be NULL:
 * nothing is known of them any more. */
void gateway_failures_note_common(struct gateway_failures *fs, struct gateway_failure *f);

/* The recipient at this place has its own; takes f. NULL: what is common to all. Where there is no
 * room or memory it has none from then on. */
void gateway_failures_note(struct gateway_failures *fs, unsigned places, unsigned place,
                           struct gateway_failure *f);

/* The last one of the recipient at this place, or NULL; until the next note. */
const struct gateway_failure *gateway_failures_find(const struct gateway_failures *fs,
                                                    unsigned place);
