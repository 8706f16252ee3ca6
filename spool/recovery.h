/* spool/recovery.h - what a spool holds when nobody is running: read once, at start.
 *
 *     spool_recover -> messages (spool_recovery_next + _load), segments, damage -> finish
 *
 * Every segment is read once, in order of generation, with large reads. What comes out are the
 * living messages with the state of their recipients, the segments with their owners, and a
 * list of everything that was not readable. Nothing is dropped silently. Nothing in a segment
 * is changed, so recovery can be interrupted and repeated; only body files that no living
 * message refers to are unlinked (not by a reader, and not where records were damaged or lie in
 * the quarantine: the body may be what is left of a message).
 *
 * A living message may have nothing but final recipients, when a crash came before its DONE; the
 * caller appends that. A record that was whole in a torn batch counts like any other: nobody
 * can tell it from an acknowledged one, so mail may come twice and is not lost.
 *
 * Adoption: with another number of workers a log's segments go to worker home % workers. The home
 * is the log id, or the lowest one among logs that refer to each other's messages: such logs stay
 * together, because a DONE must not be recycled before the MESSAGE it strikes out.
 *
 * Blocking; for start-up and tools.
 */
#pragma once
#include "base/table.h"
#include "spool/files.h"
#include "spool/message.h"
#include "spool/record.h"

#define SPOOL_DAMAGE_LISTED_MAX 1024 /* more are only counted */

/* Told how far it is, before each segment is read and at the end. */
struct spool_recovery_watch {
    void (*progress)(struct spool_recovery_watch *watch, size_t segments_read, size_t segments);
};

struct spool_recovery_options {
    bool is_reader;                     /* change nothing, not even orphaned bodies */
    struct spool_recovery_watch *watch; /* NULL: nobody */
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
    bool is_free;    /* give it to spool_pool_add_free(); else spool_log_adopt() */
    bool is_broken;  /* its header is; what is known of it comes from its first record */
    bool is_damaged; /* acknowledged mail may be missing from it: damage of a kind that no power
                        cut leaves. A broken header is such damage */
};

enum spool_damage_kind {
    SPOOL_DAMAGE_RECORD,       /* bytes of a segment that are no record and should be */
    SPOOL_DAMAGE_TORN,         /* the last batch before a crash, never acknowledged */
    SPOOL_DAMAGE_HEADER,       /* a segment's header, or a copy of another segment; see segments */
    SPOOL_DAMAGE_BATCHES,      /* batches are missing at the end of a segment */
    SPOOL_DAMAGE_MESSAGE,      /* a whole record, but its contents make no sense */
    SPOOL_DAMAGE_BODY,         /* the body file of a living message is missing or too short */
    SPOOL_DAMAGE_UNREADABLE,   /* the device did not give the bytes */
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
    size_t segment; /* index into segments, of its newest copy */
    uint32_t offset;
    uint32_t bytes; /* of the record */
    uint32_t recipients_count;
    uint64_t body_bytes;
    bool is_done;
    bool body_in_file;
    bool body_missing;
    struct spool_result *results; /* recipients_count of them; NULL: all waiting */
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
    uint64_t bodies_unlinked;
    uint64_t bodies_kept; /* orphans, because records were damaged, or for a reader */
    size_t quarantined;   /* segments in the quarantine */
    uint64_t generation_next;
    uint64_t batch_next; /* begins a new era */
    uint64_t sequence_next;
    uint64_t mid_highest;
    uint32_t number_next;
    const struct spool_directory *directory;
    uint32_t unsupported_segment; /* with STATUS_UNSUPPORTED: which */
    struct table_node *walk;      /* private, like the rest */
    size_t walk_bucket;
    char *buffer;
    size_t buffer_bytes;
};

/* STATUS_UNSUPPORTED when a segment has a format version this one does not know: nothing is
 * touched then. Damage is no failure. On failure everything is freed. Borrows the directory. */
MUST_USE enum status spool_recover(struct spool_recovery *r, const struct spool_directory *d,
                                   const struct spool_recovery_options *options);
void spool_recovery_finish(struct spool_recovery *r); /* accepts a zeroed one */

/* The next living message, in no particular order; NULL at the end. One walk per recovery. */
const struct spool_recovered_message *spool_recovery_next(struct spool_recovery *r);

/* Reads a message into memory. The caller owns it. STATUS_CORRUPT, STATUS_IO, STATUS_NO_MEMORY. */
MUST_USE enum status spool_recovery_load(struct spool_recovery *r,
                                         const struct spool_recovered_message *m,
                                         struct spool_message **message_out);

/* The state of one recipient; rid < recipients_count. */
struct spool_result spool_recovery_result(const struct spool_recovered_message *m, uint32_t rid);

/* "torn batch", "damaged record"... */
const char *spool_damage_text(enum spool_damage_kind kind);
