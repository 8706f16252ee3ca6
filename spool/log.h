/* spool/log.h - the log of one worker: group commit over segments, as a pure state machine.
 *
 *     spool_log_init, spool_log_adopt (what recovery found, by generation), spool_log_run
 *     reserve -> append_message -> run ... written -> take_committed -> 250
 *
 * Messages wait in a queue. When no write is in flight, spool_log_run() makes one batch of what
 * waits (up to SPOOL_BATCH_BYTES) and hands it to the storage; what is appended meanwhile forms
 * the next batch, and spool_log_run() lays it out while the write is in flight, so that little is
 * left to do between two writes. There is no timer. Results and DONE records are lazy: they ride
 * behind the messages of the next batch, or go when spool_log_flush() was called (the owner has a
 * timer for that, say 200 ms). With none of them, but messages in the last batch, a flush writes a
 * batch of padding: only what has a batch behind it is told from a torn one when it is damaged.
 *
 * After each completion call (spool_log_written, _segment_ready, _segment_released) the owner
 * calls spool_log_run(), and drains spool_log_take_committed() and spool_log_take_event(): before
 * it or after it. Before is simpler; after keeps the disk busy meanwhile.
 *
 * A failed write is final for its segment: the tickets of the batch fail (answer 451), the
 * segment is sealed and the next batch goes to another, also one that was laid out meanwhile;
 * results of the failed batch are written again there. Two failures in a row stop the log until
 * spool_log_resume(): it takes no message. Its results are held then; spool_log_rescue() writes
 * them to another segment, and from there on they go as always, until a write fails.
 *
 * Segments form a chain by generation, adopted ones first. The head is released when no message
 * lives in it and the DONE records of those that did are durable, or have no room elsewhere; and
 * only the head: a DONE record cannot vanish before the MESSAGE it strikes out.
 *
 * The log never does I/O, reads no clock, calls nobody back but its storage, and must stay at
 * one address. It borrows messages: one handed to append_message must live until its ticket
 * comes back.
 */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include "spool/message.h"
#include "spool/storage.h"

#define SPOOL_BATCH_BYTES       (4u << 20)   /* of messages; a larger record goes alone */
#define SPOOL_BATCH_BYTES_LAZY  (256u << 10) /* of results behind the messages */
#define SPOOL_BATCH_BYTES_FIRST (64u << 10)  /* first allocation of its buffer, which stays: */
#define SPOOL_BATCH_BYTES_KEPT  (SPOOL_BATCH_BYTES + SPOOL_BATCH_BYTES_LAZY) /* as large as this */
#define SPOOL_RESULTS_BYTES_MAX (4u << 20) /* results waiting to be written */
#define SPOOL_SPARES_MAX        64         /* prepared segments */
#define SPOOL_WRITE_FAILURES    2          /* in a row: the log stops */

enum spool_log_state {
    SPOOL_LOG_STARTING, /* not enough segments yet: reserve says no, appends NO_SPACE */
    SPOOL_LOG_READY,
    SPOOL_LOG_STOPPED /* after two failed writes in a row; resume() starts it anew. What is recorded
                         waits for resume() or rescue() */
};

enum spool_log_event {
    SPOOL_LOG_EVENT_NONE,
    SPOOL_LOG_EVENT_READY,          /* STARTING -> READY */
    SPOOL_LOG_EVENT_WRITE_FAILED,   /* a segment was sealed after a failed write: alert */
    SPOOL_LOG_EVENT_STOPPED,        /* acceptance must stop: alert */
    SPOOL_LOG_EVENT_PREPARE_FAILED, /* no new segment (disk full?); see spool_log_retry() */
    SPOOL_LOG_EVENT_RELEASE_FAILED, /* a dead segment could not be freed; see spool_log_retry() */
    SPOOL_LOG_EVENT_RESULTS_LOST    /* more results waited than fit: a crash may repeat mail */
};

struct spool_segment; /* opaque; owned by its log, lives while a message lives in it */

/* Where the record of a message lies. */
struct spool_location {
    struct spool_segment *segment;
    uint32_t offset; /* of the record's header */
    uint32_t bytes;  /* of the record: header, payload, padding */
};

enum spool_ticket_kind { SPOOL_TICKET_MESSAGE, SPOOL_TICKET_DONE, SPOOL_TICKET_RESULTS };

/* One append on its way; embedded by its owner, who must not touch it until it comes back. */
struct spool_ticket {
    struct list_node node;
    enum spool_ticket_kind kind;
    const struct spool_message *message; /* MESSAGE only */
    uint64_t mid;
    uint64_t position;              /* private */
    enum status status;             /* valid once it came back */
    struct spool_location location; /* valid once it came back with STATUS_OK; MESSAGE only */
};

/* Space promised to a message that is still being received; zero-initialise. */
struct spool_reservation {
    size_t bytes;
};

struct spool_log_options {
    uint32_t log_id;           /* below SPOOL_LOGS_MAX: the worker's number */
    uint32_t segment_bytes;    /* 0: SPOOL_SEGMENT_BYTES; else a multiple of 4 KiB */
    uint32_t record_bytes_max; /* 0: SPOOL_RECORD_BYTES_MAX or a quarter of a segment */
    uint64_t batch_first;      /* spool_recovery.batch_next, also in an empty spool */
    uint64_t sequence_first;   /* spool_recovery.sequence_next */
    bool is_adopting;          /* spool_log_adopt() may come while it runs: until
                                  spool_log_adopted() no segment is released */
};

struct spool_log_counters {
    uint64_t batches;
    uint64_t batch_bytes;
    uint64_t messages;
    uint64_t results; /* RESULT and DONE records */
    uint64_t write_failures;
    uint64_t prepare_failures;
    uint64_t release_failures;
    uint64_t results_lost;
    uint64_t segments_opened;
    uint64_t segments_released;
};

/* What a batch is laid out in, aligned to 4 KiB. */
struct spool_log_buffer {
    char *bytes;
    size_t capacity;
};

struct spool_log { /* Fields are private; it is open so that a worker can embed it. */
    struct spool_storage *storage;
    struct spool_log_options options;
    enum spool_log_state state;
    struct list chain;  /* struct spool_segment by generation, the current one last */
    struct list spares; /* struct spool_segment, prepared and unused, by generation */
    struct spool_segment *current;
    struct spool_segment *preparing; /* its file is being made; NULL: none is */
    unsigned spares_count;
    unsigned segments_count; /* of the chain */
    struct list waiting;     /* tickets */
    struct list laid_out;    /* tickets of the next batch */
    struct list writing;     /* tickets of the batch in flight */
    struct list committed;   /* tickets that may be taken */
    size_t waiting_messages; /* those laid out included */
    size_t waiting_bytes;    /* of their records, each rounded up to blocks */
    size_t reserved_bytes;
    struct buffer results;          /* not yet durable, those in flight first */
    size_t results_in_flight;       /* bytes of it */
    size_t entries;                 /* RESULT and DONE records to be, in results */
    size_t entries_in_flight;       /* of those */
    uint64_t results_appended;      /* bytes of it, ever */
    uint64_t results_committed;     /* of those */
    struct list dones;              /* tickets of DONE records, and of who awaits results */
    struct spool_log_buffer next;   /* the records of the messages laid out: all but headers */
    size_t next_bytes;              /* of these records */
    struct spool_log_buffer flight; /* of the batch in flight, or of the last */
    size_t flight_bytes;
    uint64_t batch_next;
    uint64_t sequence_next;
    unsigned failures_in_row;
    unsigned events; /* bit set of enum spool_log_event */
    bool is_adopting;
    bool is_writing;
    bool is_releasing;
    bool is_flushing;
    bool is_unconfirmed; /* no batch is behind the last one, which has messages */
    bool is_holding;     /* STOPPED, and results wait for a rescue */
    bool prepare_waits;  /* a prepare failed; retry() allows the next */
    bool release_waits;
    struct spool_log_counters counters;
};

/* Borrows the storage, which must outlive the log. STATUS_INVALID for options that do not fit
 * together. */
MUST_USE enum status spool_log_init(struct spool_log *log, struct spool_storage *storage,
                                    const struct spool_log_options *options);

/* Drops everything that waits without completing tickets; no operation may be in flight
 * (spool_log_is_quiet()). Prepared and live segments stay on disk. Accepts a zeroed log. */
void spool_log_finish(struct spool_log *log);

/* Takes over a segment that recovery found, with the number of messages living in it. In order
 * of generation, all of them below those of segments prepared since; before the first run, or with
 * options.is_adopting. location.segment of its messages is *segment_out. */
MUST_USE enum status spool_log_adopt(struct spool_log *log, const struct spool_segment_file *file,
                                     size_t messages_living, struct spool_segment **segment_out);

/* All were taken over, and their messages have an owner; call spool_log_run() next. Ends
 * options.is_adopting. */
void spool_log_adopted(struct spool_log *log);

/* Does whatever can be done now: asks for segments, releases the head, starts a batch. */
void spool_log_run(struct spool_log *log);

/* Raises the reservation to at least `bytes` (record bytes of the message). False: no prepared
 * space; answer 452 4.3.1. One spare segment is always kept back for results. */
MUST_USE bool spool_log_reserve(struct spool_log *log, struct spool_reservation *reservation,
                                size_t bytes);

/* Gives it back; accepts an empty one. After append_message, or when the message was dropped. */
void spool_log_unreserve(struct spool_log *log, struct spool_reservation *reservation);

/* Queues a message; the ticket comes back by take_committed, after the write or its failure.
 * Gives the reservation back (may be NULL). STATUS_IO when stopped, STATUS_LIMIT for a record above
 * record_bytes_max, STATUS_NO_SPACE when the prepared space does not hold it; the ticket is not
 * taken then. The same MID may be appended again by compaction; recovery keeps the oldest that is
 * left. */
MUST_USE enum status spool_log_append_message(struct spool_log *log,
                                              const struct spool_message *message,
                                              struct spool_reservation *reservation,
                                              struct spool_ticket *ticket);

/* Records results of recipients, lazily. Never fails: what does not fit is counted and reported
 * as RESULTS_LOST, and a crash may then deliver twice. */
void spool_log_append_results(struct spool_log *log, uint64_t mid,
                              const struct spool_result *results, size_t count);

/* Records that the message is finished, lazily, and gives its place up: the segment may be
 * recycled once that is durable. Without a location it has none: its write failed, and what of it
 * may have reached the disk does not count. With a ticket (or NULL), the owner learns when it is
 * durable: only then may a body file be unlinked. A DONE whose write fails is written again, also
 * when the log stops: its ticket waits until a rescue, or what comes later, has written it. It
 * comes back with STATUS_LIMIT when too much waits: leave the body file to the next recovery then.
 */
void spool_log_append_done(struct spool_log *log, uint64_t mid,
                           const struct spool_location *location, struct spool_ticket *ticket);

/* The ticket comes back when all results that were appended before are durable; with STATUS_IO when
 * the log stops or has stopped. mid: for the owner, who may have several such tickets; 0: none.
 * Flushes; call spool_log_run() next. */
void spool_log_await_results(struct spool_log *log, uint64_t mid, struct spool_ticket *ticket);

/* For compaction, once the copy is committed: the message no longer lives at this place. */
void spool_log_forget(struct spool_log *log, const struct spool_location *location);

/* Lets lazy records go without waiting for a message; call spool_log_run() next. */
void spool_log_flush(struct spool_log *log);

/* --- answers of the storage ------------------------------------------------------------------ */

void spool_log_written(struct spool_log *log, enum status status);

/* file is read only with STATUS_OK. */
void spool_log_segment_ready(struct spool_log *log, enum status status,
                             const struct spool_segment_file *file);
void spool_log_segment_released(struct spool_log *log, enum status status);

/* --- what the owner asks ------------------------------------------------------------------- */

/* The next ticket that is through, in the order of appending; NULL when there is none. */
struct spool_ticket *spool_log_take_committed(struct spool_log *log);
enum spool_log_event spool_log_take_event(struct spool_log *log);

enum spool_log_state spool_log_state(const struct spool_log *log);
const struct spool_log_counters *spool_log_counters(const struct spool_log *log);
unsigned spool_log_segments_count(const struct spool_log *log); /* the chain, without spares */
uint32_t spool_log_segment_bytes(const struct spool_log *log);  /* each of them has */
bool spool_log_has_lazy(const struct spool_log *log);           /* a flush would write something */
bool spool_log_is_holding(const struct spool_log *log); /* it has stopped, and writes nothing */
bool spool_log_is_quiet(const struct spool_log *log);   /* no operation in flight */

/* RESULT and DONE records that are not durable, those in flight included: what a crash forgets. */
size_t spool_log_results_waiting(const struct spool_log *log);

/* Allows what failed to be asked for again (prepare, release); say once a second. */
void spool_log_retry(struct spool_log *log);

/* For a log that is holding: results are tried once more, in a segment that was not used yet (a
 * failure costs one, so the owner bounds how often). Call spool_log_run() next. */
void spool_log_rescue(struct spool_log *log);

/* After a reload: STOPPED -> STARTING or READY with other segments. */
void spool_log_resume(struct spool_log *log);

uint64_t spool_segment_generation(const struct spool_segment *segment);
const struct spool_segment_file *spool_segment_file(const struct spool_segment *segment);
size_t spool_segment_messages(const struct spool_segment *segment); /* living in it */

/* The head of the chain, where compaction looks: NULL when only the current one is left, or while
 * it is adopting. */
struct spool_segment *spool_log_head(const struct spool_log *log);
