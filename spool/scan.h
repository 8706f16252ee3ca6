/* spool/scan.h - walks the records of one segment in memory, whatever is wrong with it.
 *
 * Records come in the order of their offsets. Where one should be and is not, the scan searches
 * on in steps of 8 bytes for the next record of this segment, and reports the hole with the
 * number of the batch it lies in. A hole in any batch but the last one is damage, because a
 * batch is only started when the one before has been written; one in the last batch is a torn
 * write unless the log's next segment shows that the batch was completed. The caller, who
 * sees the next segment, decides. Where a record's header lies in one sector and has the salt of
 * the segment, and is none all the same, a sector was damaged that had been written whole.
 *
 * Pure; takes bytes nobody vouches for; never reads outside of them; its work is linear in their
 * number.
 */
#pragma once
#include "base/slice.h"
#include "spool/record.h"

enum spool_scan_item {
    SPOOL_SCAN_RECORD, /* record and payload are whole; never a PAD */
    SPOOL_SCAN_HOLE,   /* offset, item_bytes, hole_batch, hole_mid, hole_is_spoilt */
    SPOOL_SCAN_END
};

struct spool_scan {
    struct slice bytes; /* the segment, header block included */
    uint64_t generation;
    uint64_t salt;
    size_t at;
    uint64_t batch; /* the last one seen; 0: none */
    size_t batch_end;
    bool nothing_follows; /* no record is behind what was looked at */

    /* of the item */
    struct spool_record record;
    struct slice payload;
    size_t offset;
    size_t item_bytes;
    uint64_t hole_batch;
    uint64_t hole_mid;   /* 0: not known */
    bool hole_is_spoilt; /* no power cut leaves it */
};

/* bytes is the whole file (or what could be read of it); it is borrowed. */
void spool_scan_init(struct spool_scan *s, struct slice bytes, uint64_t generation, uint64_t salt);
enum spool_scan_item spool_scan_next(struct spool_scan *s);
