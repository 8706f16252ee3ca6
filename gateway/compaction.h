/* gateway/compaction.h - moves living messages out of the oldest segment, so that it can be reused.
 *
 * Only the first segment of a log is ever released (docs/SPOOL.md, "Life of a segment"): one
 * message that waits for days would keep all that came after it. When the chain of a worker is more
 * than twice as long as what lives in it needs, and GATEWAY_COMPACTION_SEGMENTS_FREE segments, the
 * messages of its first segment are written again at its end, a few at a time:
 *
 *     held -> copy appended -> durable -> results said again -> durable -> old place given up
 *
 * Until then both copies count, and recovery takes the older one; the results are repeated because
 * the segments that hold them may go next. At most as much is copied as is freed. A message on the
 * shelf is read first (gateway/shelf.h). One whose copy fails stays where it is; a pass that moves
 * nothing is tried again after GATEWAY_COMPACTION_RETRY_MS.
 *
 * When all that is left there could not be read GATEWAY_COMPACTION_UNREADABLE_PASSES times in a
 * row, it is put aside: it has no place any more, its items end as deleted when their owners want
 * to read it (log and alert tell of it), and the segment goes to the quarantine, where a person
 * finds it with `postern spool quarantine`.
 */
#pragma once
#include "engine/loop.h"
#include "gateway/message.h"

#define GATEWAY_COMPACTION_SEGMENTS_FREE     4u  /* the chain may have so many more than it needs */
#define GATEWAY_COMPACTION_COPIES_MAX        16u /* under way at a time */
#define GATEWAY_COMPACTION_STEPS_MAX         512u /* messages looked at in one go */
#define GATEWAY_COMPACTION_RETRY_MS          600000u
#define GATEWAY_COMPACTION_UNREADABLE_PASSES 6u /* an hour: a path to a disk may come back */

struct gateway_compaction { /* Fields are private. */
    struct gateway_worker *worker;
    struct spool_segment *head; /* is being emptied; NULL: none. It may have been released since,
                                   and its memory be another segment: generation tells */
    uint64_t generation;
    uint8_t pass : 7;           /* stamps the messages that were looked at */
    unsigned copies;            /* under way */
    unsigned moved;             /* in this pass */
    unsigned unreadable;        /* the same */
    unsigned unreadable_passes; /* in a row, at the head with failed_generation */
    bool is_last_pass;          /* what cannot be read now is put aside */
    bool is_walked;             /* all were looked at */
    uint64_t failed_generation; /* of a head that could not be emptied */
    uint64_t failed_until_ms;   /* and is not tried again before */
    struct engine_task run;
};

void gateway_compaction_init(struct gateway_compaction *c, struct gateway_worker *worker);

/* Begins, if it is worth it and not under way; say it every few seconds. */
void gateway_compaction_check(struct gateway_worker *worker);

/* For gateway/message.c: a ticket of a message that is moved has come back. */
void gateway_compaction_ticket_back(struct gateway_message *m);

/* For gateway/shelf.c: the message that was to be read is held; or cannot be read. */
void gateway_compaction_fetched(struct gateway_message *m, enum status status);
