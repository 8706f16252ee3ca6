/* spool/salvage.h - looks for messages where records are damaged.
 *
 *     init -> next ... until false
 *
 * For a person who wants a message back, never for the gateway: recovery takes nothing that has
 * not both of its checksums. A place counts when its salt is the segment's, which is what nobody
 * outside can put into a mail, and when what follows has the form of a message. Whether the
 * message is as it was written says its checksum, if that is still there.
 *
 * Pure; takes bytes nobody vouches for; never reads outside of them.
 */
#pragma once
#include "base/slice.h"

struct spool_salvage {
    struct slice bytes;
    uint64_t salt;
    size_t at;

    /* of the message found; slices lie in bytes */
    size_t offset; /* of its record, in bytes */
    uint64_t mid;
    struct slice payload; /* for spool_message_decode() */
    bool is_whole;        /* the checksum fits; else some of it is not what was written */
};

/* bytes: the region of a segment, which begins at a multiple of 8; borrowed. */
void spool_salvage_init(struct spool_salvage *s, struct slice bytes, uint64_t salt);
bool spool_salvage_next(struct spool_salvage *s);

/* The salt of a whole segment whose header does not tell: that of its first record with a whole
 * header. Somebody who writes to us might have put that record there, should all before it be
 * damaged. False: there is none. */
bool spool_salvage_salt(struct slice segment, uint64_t *salt_out);
