/* spool/scan.h - walks the records of one segment in memory, whatever is wrong with it.
 *
 * Records come in the order of their offsets. Where one should be and is not, the scan searches
 * on in steps of 8 bytes for the next whole record of this segment, and reports the hole. Whether
 * a hole at the end is a torn write or damage is for the caller to decide, who knows the log's
 * next segment; a hole in front of a later batch is always damage, because a batch is
 * only started when the one before has been written.
 *
 * Pure; takes bytes nobody vouches for; never reads outside of them; ends after at most
 * len / 8 steps.
 */
#pragma once
#include "base/slice.h"
#include "spool/record.h"

enum spool_scan_item {
    SPOOL_SCAN_RECORD, /* record and payload are whole */
    SPOOL_SCAN_HOLE,   /* offset, bytes; mid when a whole header is left, else 0 */
    SPOOL_SCAN_END
};

struct spool_scan {
    struct slice bytes; /* the segment, header block included */
    uint64_t generation;
    uint64_t salt;
    size_t at;
    uint64_t batch; /* of the last whole record */
    size_t batch_end;

    /* of the item */
    struct spool_record record;
    struct slice payload;
    size_t offset;
    size_t item_bytes;
    bool hole_is_damage;     /* a later batch follows in this segment: it was no torn write */
    bool hole_in_last_batch; /* a whole record shows that a batch should be there */
    uint64_t hole_mid;
};

/* bytes is the whole file (or what could be read of it); it is borrowed. */
void spool_scan_init(struct spool_scan *s, struct slice bytes, uint64_t generation, uint64_t salt);
enum spool_scan_item spool_scan_next(struct spool_scan *s);
