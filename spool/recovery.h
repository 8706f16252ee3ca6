/* spool/recovery.h - what a spool held when its last run ended: read once, at start.
 *
 *     spool_recovery_begin -> step, step, ... until it is over -> messages, segments, damage ->
 * finish spool_recover -> the same
 *
 * begin() reads the headers of the segments only: what the next run needs to write to segments of
 * its own. From then on it may: the steps read what was there at begin() and nothing else. Each
 * looks at one segment, those behind the last segment at what was found, and at some body files.
 * The first ones look at segments that seem never to have been written to, and unlink those of
 * which that is true: they are not among the segments any more.
 *
 * Every other segment is read once, in order of generation, with large reads; by the steps, or
 * ahead of them on another thread, while they look at the one before: wherever has_more() says so,
 * read_ahead() may run at the same time as the next step, and once before the first.
 *
 * What comes out are the living messages with the state of their recipients, the segments with
 * their owners, and a list of everything that was not readable. Nothing is dropped silently.
 * Nothing in a segment is changed, so recovery can be interrupted and repeated; only segments that
 * were never written to, and body files that no living message refers to, are unlinked (not by a
 * reader; and bodies not where records were damaged or lie in the quarantine: the body may be what
 * is left of a message).
 *
 * A living message may have nothing but final recipients, when a crash came before its DONE; the
 * caller appends that. A record that was whole in a torn batch counts like any other: nobody
 * can tell it from an acknowledged one, so mail may come twice and is not lost.
 *
 * Adoption: with another number of workers a log's segments go to worker home % workers. The home
 * is the log id, or the lowest one among logs that refer to each other's messages: such logs stay
 * together, because a DONE must not be recycled before the MESSAGE it strikes out.
 *
 * What the caller wants of a message he has keep() take from its record, so that it is not read
 * again; spool_recovery_load() reads one that was not kept.
 *
 * Blocking; for start-up and tools.
 */
#pragma once
#include "base/table.h"
#include "spool/files.h"
#include "spool/message.h"
#include "spool/record.h"

#define SPOOL_DAMAGE_LISTED_MAX 1024 /* more are only counted */
#define SPOOL_RECOVERY_PART_MAX 32

/* Told how far it is, before each segment is read and at the end. */
struct spool_recovery_watch {
    void (*progress)(struct spool_recovery_watch *watch, size_t segments_read, size_t segments);
};

struct spool_recovered_message;

/* Takes what it needs of the messages while their records are at hand. */
struct spool_recovery_keeper {
    /* A message, which may be living: where it was found, and what it says, a view until this call
     * ends. What is kept of it becomes found->kept. */
    enum status (*keep)(struct spool_recovery_keeper *keeper,
                        const struct spool_recovered_message *found,
                        const struct spool_message *view, void **kept_out);
    /* It is done, or the recovery is finished and nobody took it: spool_recovery_take_kept(). */
    void (*drop)(struct spool_recovery_keeper *keeper, void *kept);
    /* NULL, or where the recovery may note what it finds of the message: memory that is part of
     * what was kept, so that millions of them need no other. It is the recovery's until the message
     * is dropped, or else until spool_recovery_drop_messages(), also when what is kept was taken.
     * The keeper goes through what he keeps by himself then: spool_recovery_next() does not. */
    struct spool_recovered_message *(*room)(struct spool_recovery_keeper *keeper, void *kept);
};

struct spool_recovery_options {
    bool is_reader;                       /* change nothing, not even orphaned bodies */
    struct spool_recovery_watch *watch;   /* NULL: nobody */
    struct spool_recovery_keeper *keeper; /* NULL: nobody */
};

struct spool_recovered_segment {
    struct spool_segment_header header;
    uint32_t number;
    uint32_t home;          /* worker: home % workers */
    size_t messages_living; /* for spool_log_adopt() */
    size_t records;
    uint32_t fill;        /* where its last batch ends; 0: it was not read */
    uint64_t batch_first; /* 0: it holds no record */
    uint64_t batch_last;
    bool is_free;      /* give it to spool_pool_add_free(); else spool_log_adopt() */
    bool starts_blank; /* its first block behind the header is zeros */
    bool begins_era;   /* its first batch does; false where it has none that can be read */
    bool is_broken;    /* its header is; what is known of it comes from its first record */
    bool is_damaged;   /* acknowledged mail may be missing from it: damage of a kind that no power
                          cut leaves. A broken header is such damage */
};

enum spool_damage_kind {
    SPOOL_DAMAGE_RECORD,     /* bytes of a segment that are no record and should be */
    SPOOL_DAMAGE_TORN,       /* the last batch before a crash, never acknowledged */
    SPOOL_DAMAGE_HEADER,     /* a segment's header, or a copy of another segment; see segments */
    SPOOL_DAMAGE_BATCHES,    /* batches are missing at the end of a segment */
    SPOOL_DAMAGE_MESSAGE,    /* a whole record, but its contents make no sense */
    SPOOL_DAMAGE_BODY,       /* the body file of a living message is missing or too short */
    SPOOL_DAMAGE_UNREADABLE, /* the device did not give the bytes */
    SPOOL_DAMAGE_BODIES,     /* the folder of body files cannot be read to its end: none of them is
                                missed, and the orphans behind that place stay */
    SPOOL_DAMAGE_FOREIGN_FILE, /* a file that is not ours; left alone */
    SPOOL_DAMAGE_KIND_COUNT
};

struct spool_damage {
    enum spool_damage_kind kind;
    uint32_t segment; /* number; 0 where it is not about one */
    uint64_t offset;
    uint64_t bytes;
    uint64_t mid; /* 0: not known */
};

/* A message found, living or dead. */
struct spool_recovered_message {
    struct table_node node;
    uint64_t mid;
    struct spool_recovered_message *next; /* in the order of their records */
    uint32_t segment;                     /* index into segments */
    uint32_t offset;
    uint32_t bytes; /* of the record */
    uint32_t recipients_count;
    uint64_t body_bytes;
    bool is_done;
    bool body_in_file;
    bool body_missing;
    bool is_lodged;               /* in room that the keeper has given */
    struct spool_result *results; /* recipients_count of them; NULL: all waiting */
    void *kept;                   /* by the keeper; NULL: nothing, or it was taken */
};

struct spool_recovery_buffer { /* Private. */
    char *bytes;
    size_t capacity;
};

struct spool_recovery {                       /* Read freely; change nothing. */
    struct spool_recovered_segment *segments; /* the free ones, then the others by generation */
    size_t segments_count;
    struct spool_damage *damage;
    size_t damage_listed;
    uint64_t damage_counts[SPOOL_DAMAGE_KIND_COUNT];
    struct table messages;
    size_t messages_living;
    size_t messages_dead;
    size_t blanks_unlinked; /* segments; for spool_pool_forget() */
    uint64_t bodies_unlinked;
    uint64_t bodies_kept;     /* orphans: records were damaged, it is a reader, or unlink failed */
    size_t quarantined;       /* segments in the quarantine */
    uint64_t generation_next; /* this and the next two are known from begin() on */
    uint64_t batch_next;      /* begins a new era */
    uint64_t sequence_next;
    uint32_t number_next;
    uint64_t mid_seen; /* some MID of each segment is not above it; known from begin() on */
    uint64_t mid_highest;
    uint64_t mid_limit;   /* set it after begin(): from here on MIDs are given out in this run; 0:
                             none   are. A message that has such a one all the same is damage */
    size_t segments_read; /* of segments_count */
    const struct spool_directory *directory;
    uint32_t failed_segment; /* that ended begin(), by its format or what its file says; 0: none */
    bool quarantine_failed;  /* to be read, which ended begin() */
    struct spool_recovery_keeper *keeper;
    uint64_t generation_gap;    /* private, like the rest */
    struct recovery_work *work; /* private, like the rest; NULL: it is over */
    struct spool_recovered_message *walk;
    struct spool_recovery_buffer buffer; /* of load() */
};

/* STATUS_UNSUPPORTED when a segment has a format version this one does not know, STATUS_LIMIT when
 * a generation is 2^32 or more, which no spool comes to: nothing is touched then. Damage is no
 * failure. On failure everything is freed. Borrows the directory, and what the options refer to. */
MUST_USE enum status spool_recovery_begin(struct spool_recovery *r, const struct spool_directory *d,
                                          const struct spool_recovery_options *options);
/* Any thread, one at a time. STATUS_BUSY: there was no memory or no descriptor for the next
 * segment, or what is in it; the step can be made again, as if it had not been. After another
 * failure only finish() may be called. */
MUST_USE enum status spool_recovery_step(struct spool_recovery *r);
bool spool_recovery_is_over(const struct spool_recovery *r);

/* What ended begin(), for a message: "segment 00000005", "quarantine", or "" where nobody knows.
 * Returns text. */
const char *spool_recovery_failed_part(const struct spool_recovery *r,
                                       char text[static SPOOL_RECOVERY_PART_MAX]);

/* Reads the next segment for a later step; also on another thread while a step is being made, at
 * most one segment ahead of it. Nobody has to: what was not read, or not whole, the step reads. A
 * step that is made again has its segment, and its successor, already. has_more: whether there is
 * one; while none of these is running. */
void spool_recovery_read_ahead(struct spool_recovery *r);
bool spool_recovery_has_more(const struct spool_recovery *r);

/* As begin(), and all the steps. */
MUST_USE enum status spool_recover(struct spool_recovery *r, const struct spool_directory *d,
                                   const struct spool_recovery_options *options);
void spool_recovery_finish(struct spool_recovery *r); /* accepts a zeroed one */

/* Living or dead; NULL: it was not found. */
struct spool_recovered_message *spool_recovery_find(const struct spool_recovery *r, uint64_t mid);

/* The next living message, in the order of their records; NULL at the end. One walk per recovery,
 * and none with a keeper who gives room. */
struct spool_recovered_message *spool_recovery_next(struct spool_recovery *r);

/* Hands over what was kept of it, and its results: the caller owns both. */
void *spool_recovery_take_kept(struct spool_recovered_message *m,
                               struct spool_result **results_out);

/* Reads a message into memory. The caller owns it. STATUS_CORRUPT, STATUS_IO, STATUS_NO_MEMORY. */
MUST_USE enum status spool_recovery_load(struct spool_recovery *r,
                                         const struct spool_recovered_message *m,
                                         struct spool_message **message_out);

/* Frees the messages, and drops what is still kept of them; the rest stays. */
void spool_recovery_drop_messages(struct spool_recovery *r);

/* The state of one recipient; rid < recipients_count. */
struct spool_result spool_recovery_result(const struct spool_recovered_message *m, uint32_t rid);

/* "torn batch", "damaged record"... */
const char *spool_damage_text(enum spool_damage_kind kind);
