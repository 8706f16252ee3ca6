/* spool/draft.h - a message in the making, from MAIL to the end of DATA.
 *
 *     init -> begin -> add_recipient... -> trace... -> body... -> complete -> a message
 *
 * Recipients come first, then the trace header, then the body; each step may be left out, none
 * can be gone back to (asserted: the caller's session knows its state). The record is built in
 * place, so complete() copies nothing. A failed call changes nothing. A small message takes memory
 * once when the hint was large enough, and from the thread's pool (base/pool.h).
 *
 * When the body passes SPOOL_BODY_INLINE_MAX (STATUS_LIMIT) or memory is short, the caller moves
 * it to a file: it hands spool_draft_body_so_far() to a body file (spool/body_file.h), calls
 * spool_draft_drop_body(), streams the rest there and, when the file is durable, calls
 * spool_draft_set_body_file() and complete().
 *
 * A draft is embedded in its session; its fields are private. Pure: no I/O, no clock.
 */
#pragma once
#include "spool/message.h"

#define SPOOL_DRAFT_HINT_MIN 1024
#define SPOOL_DRAFT_HINT_MAX (64u << 10) /* larger hints are cut: memory only for bytes seen */

enum spool_draft_stage {
    SPOOL_DRAFT_EMPTY, /* no memory held */
    SPOOL_DRAFT_RECIPIENTS,
    SPOOL_DRAFT_TRACE,
    SPOOL_DRAFT_BODY,
    SPOOL_DRAFT_BODY_FILE, /* the body was dropped; its file is on the way */
    SPOOL_DRAFT_READY      /* the body file is known */
};

struct spool_draft {
    struct spool_message *message;
    enum spool_draft_stage stage;
};

/* What MAIL knows. Borrowed for the call of begin() only. */
struct spool_envelope {
    uint64_t mid; /* not 0 */
    uint64_t icid;
    int64_t arrival_wall_s;
    unsigned flags; /* of enum spool_message_flag, without those that the draft sets */
    struct slice sender;
    struct slice info[SPOOL_INFO_COUNT];
};

void spool_draft_init(struct spool_draft *d);

/* Drops the draft, whatever its stage, and its memory; accepts an empty one. The draft can
 * begin again. */
void spool_draft_finish(struct spool_draft *d);

/* bytes_hint: of the body (SIZE=, or a guess); 0 when nothing is known. Room for the envelope, a
 * few recipients and the trace is added to it. STATUS_LIMIT for a sender or info above its maximum,
 * STATUS_NO_MEMORY. Empty drafts only. */
MUST_USE enum status spool_draft_begin(struct spool_draft *d, const struct spool_envelope *envelope,
                                       size_t bytes_hint);

/* STATUS_LIMIT past SPOOL_RECIPIENTS_MAX or SPOOL_RECIPIENTS_BYTES. Its RID is the number of
 * recipients before it. */
MUST_USE enum status spool_draft_add_recipient(struct spool_draft *d, struct slice address);

/* The same with what the sender said of notifications; STATUS_LIMIT also for an ORCPT above
 * SPOOL_ORCPT_MAX. */
MUST_USE enum status spool_draft_add_recipient_dsn(struct spool_draft *d, struct slice address,
                                                   const struct spool_dsn *dsn);
unsigned spool_draft_recipients_count(const struct spool_draft *d);

/* Until the next call that adds something; empty before there is one, and for the null sender. */
struct slice spool_draft_sender(const struct spool_draft *d);
struct slice spool_draft_first_recipient(const struct spool_draft *d);

/* Header lines of ours (CRLF lines, dot-stuffed like the body), in front of the body. */
MUST_USE enum status spool_draft_trace(struct spool_draft *d, struct slice lines);

/* STATUS_LIMIT past SPOOL_BODY_INLINE_MAX. */
MUST_USE enum status spool_draft_body(struct spool_draft *d, struct slice bytes);
uint64_t spool_draft_body_bytes(const struct spool_draft *d);
struct slice spool_draft_body_so_far(const struct spool_draft *d);

/* The header says TLS-Required: No. Of a message with REQUIRETLS it says nothing (RFC 8689 4.1). */
void spool_draft_set_tls_optional(struct spool_draft *d);

void spool_draft_drop_body(struct spool_draft *d);
void spool_draft_set_body_file(struct spool_draft *d, uint64_t bytes, uint32_t crc);

/* What was found in the body: as often as need be, from begin() on. The last word counts. */
void spool_draft_set_content(struct spool_draft *d, const struct spool_content *content);

size_t spool_draft_memory_bytes(const struct spool_draft *d);
uint64_t spool_draft_mid(const struct spool_draft *d);

/* What a message record would take now; for spool_log_reserve(). 0 when empty. */
size_t spool_draft_record_bytes(const struct spool_draft *d);

/* Ends the draft, which is empty then, and hands over the message. At least one recipient;
 * not while a body file is on the way. */
struct spool_message *spool_draft_complete(struct spool_draft *d);
