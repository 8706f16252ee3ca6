/* spool/record.h - the bytes of a segment: its header block, and the records in it.
 *
 * docs/SPOOL.md describes the same byte by byte. All numbers are little-endian. A segment is a
 * header block of 4 KiB and then batches; a batch starts at a multiple of 4 KiB and is one
 * write. Records in a batch start at multiples of 8; what is left of the last block is one PAD
 * record, or zeros where less than a record header is left.
 *
 * A record says where it belongs: generation and salt of its segment, number, start and size of
 * its batch. Left-overs of a recycled segment and record-like text inside somebody's mail can
 * therefore not be taken for records, even when damage forces the reader to search: the salt
 * is random and leaves the spool in no message.
 *
 * Decoding takes bytes nobody vouches for, reads within the slice only and never asserts on
 * their contents. Pure: no I/O, no clock, no allocation.
 */
#pragma once
#include <assert.h>

#include "base/slice.h"
#include "base/status.h"

#define SPOOL_FORMAT_VERSION    3 /* of what is written; from 1 on is read */
#define SPOOL_BLOCK_BYTES       4096
#define SPOOL_SEGMENT_BYTES     (64u << 20) /* default */
#define SPOOL_SEGMENT_BYTES_MIN (64u << 10) /* tests use small ones */
#define SPOOL_SEGMENT_BYTES_MAX (1u << 30)
#define SPOOL_RECORD_HEADER     80
#define SPOOL_RECORD_BYTES_MAX  (8u << 20) /* header, payload and padding to 8 */
#define SPOOL_RECORD_ALIGN      8
#define SPOOL_RECORD_MAGIC      0x31525350u /* "PSR1", as it lies there */

/* Where a header has them that as a whole may be damaged. */
#define SPOOL_RECORD_PAYLOAD_CRC_AT 12
#define SPOOL_RECORD_SALT_AT        24
#define SPOOL_RECORD_BATCH_BYTES_AT 60

#define SPOOL_LOGS_MAX       1024 /* log ids are below this */
#define SPOOL_RECIPIENTS_MAX 10000

/* Batches of a log are numbered without gaps. After a failed write and after a restart the
 * numbers go on in the next era (the upper 32 bits): the batch before was not acknowledged, or
 * nobody knows. Within an era a later batch proves that all earlier ones were completed. */
#define SPOOL_BATCH_ERA      (UINT64_C(1) << 32)
#define SPOOL_BATCH_ERA_MASK (~(SPOOL_BATCH_ERA - 1))

/* The first number of the era behind a batch; behind 0: the first of all. */
static inline uint64_t spool_batch_next_era(uint64_t batch)
{
    return (batch & SPOOL_BATCH_ERA_MASK) + SPOOL_BATCH_ERA;
}

/* Nothing of its era can be missing before it: a start's begins with 1, one behind a failed write
 * with 0. */
static inline bool spool_batch_begins_era(uint64_t batch)
{
    return (batch & ~SPOOL_BATCH_ERA_MASK) <= 1;
}

struct spool_segment_header {
    uint64_t generation; /* from 1; unique and increasing over the whole spool */
    uint64_t salt;
    uint32_t log_id;
    uint32_t bytes; /* of the whole file */
    bool is_free;   /* released: nothing in it counts */
};

/* Fills the first block of a segment. Everything that matters is in its first 512 bytes, so
 * that one sector holds it. */
void spool_segment_header_encode(const struct spool_segment_header *h,
                                 char block[static SPOOL_BLOCK_BYTES]);

/* STATUS_CORRUPT, or STATUS_UNSUPPORTED for a whole header of another format version. */
MUST_USE enum status spool_segment_header_decode(struct slice block,
                                                 struct spool_segment_header *header_out);

enum spool_record_type {
    SPOOL_RECORD_MESSAGE = 1, /* payload: spool/message.h */
    SPOOL_RECORD_RESULT = 2,  /* payload: struct spool_result, one after the other */
    SPOOL_RECORD_DONE = 3,    /* no payload; every recipient is final, the message is dead */
    SPOOL_RECORD_PAD = 4,     /* payload: zeros */
};

struct spool_record {
    enum spool_record_type type;
    uint32_t payload_bytes;
    uint32_t payload_crc;
    uint64_t generation;
    uint64_t salt;
    uint64_t batch;    /* one more than that of the batch before; see SPOOL_BATCH_ERA */
    uint64_t sequence; /* of the record in its log */
    uint64_t mid;      /* 0 for PAD */
    uint32_t batch_start;
    uint32_t batch_bytes;
    uint32_t log_id;
};

/* Header, payload and the zeros to the next multiple of 8. */
static inline size_t spool_record_bytes(size_t payload_bytes)
{
    return (SPOOL_RECORD_HEADER + payload_bytes + (SPOOL_RECORD_ALIGN - 1)) &
           ~(size_t)(SPOOL_RECORD_ALIGN - 1);
}

/* Writes header, payload and alignment zeros, spool_record_bytes() in all, and returns their
 * number. r->payload_bytes and r->payload_crc are computed here. */
size_t spool_record_encode(const struct spool_record *r, struct slice payload, char *to);

/* The same in two steps, each of which returns that number: what takes time is done before it is
 * known where the record will lie. The second may be repeated with another header. */
size_t spool_record_encode_payload(struct slice payload, char *to);
size_t spool_record_encode_header(const struct spool_record *r, char *to);

/* Reads the record header at the start of bytes: magic, checksum, and limits that need no
 * context. Does not look at the payload. STATUS_CORRUPT when it is none. */
MUST_USE enum status spool_record_decode(struct slice bytes, struct spool_record *record_out);

/* Whether the payload that follows a decoded header is whole; bytes starts with the header. What
 * lies in the padding behind it does not matter. */
bool spool_record_payload_is_whole(const struct spool_record *r, struct slice bytes,
                                   struct slice *payload_out);

/* --- results of recipients ------------------------------------------------------------------ */

enum spool_result_state {
    SPOOL_RESULT_WAITING = 0, /* nothing recorded yet; never written */
    SPOOL_RESULT_DEFERRED = 1,
    SPOOL_RESULT_BOUNCED = 2, /* the sender has been, or will be, told */
    SPOOL_RESULT_DELIVERED = 3,
    SPOOL_RESULT_DELETED = 4, /* by an operator; nobody is told */
};

#define SPOOL_RESULT_WARNINGS_MAX UINT8_MAX
#define SPOOL_RESULT_HOLDS_MAX    UINT16_MAX

struct spool_result {
    uint32_t rid; /* recipient within the message, from 0 */
    enum spool_result_state state;
    uint32_t attempts;
    int64_t next_attempt_wall_s; /* meaningful while deferred */
    uint32_t warned_wall_s;      /* when the sender was last told of the delay; 0: never */
    uint8_t warnings;            /* how often */
    uint16_t holds;              /* operators' holds and releases: odd while it is held */
};

/* Each hold and each release is one more than the one before, so that the higher number is the
 * later word, in whatever order the records are read. */
static inline bool spool_result_is_held(const struct spool_result *r)
{
    return r->holds % 2 != 0;
}

#define SPOOL_RESULT_BYTES       24
#define SPOOL_RESULTS_RECORD_MAX 2048 /* results in one record */

void spool_result_encode(const struct spool_result *result, char to[static SPOOL_RESULT_BYTES]);
MUST_USE enum status spool_result_decode(struct slice bytes, struct spool_result *result_out);

/* Adds what a record says to what is known. The order of records does not matter: the higher
 * state wins, then the higher count of attempts, then the later time. Of warnings the higher count
 * and the later time are kept, whatever the state; so is the higher number of holds. */
void spool_result_merge(struct spool_result *known, const struct spool_result *said);
