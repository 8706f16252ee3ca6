/* spool/ids.h - identifiers that are never used twice, not even across a crash.
 *
 * The file PATH/ids says up to where identifiers are reserved. A start reserves the next block,
 * durably, before the first one is handed out, and begins behind everything reserved before;
 * what the last run did not use is skipped. Workers take identifiers with one atomic addition;
 * its owner extends the block in time (spool_ids_need_extend).
 */
#pragma once
#include <stdatomic.h>

#include "base/slice.h"
#include "base/status.h"
#include "spool/files.h"

#define SPOOL_IDS_BLOCK (UINT64_C(1) << 20)

enum spool_id_kind { SPOOL_ID_ICID, SPOOL_ID_MID, SPOOL_ID_DCID, SPOOL_ID_COUNT };

struct spool_ids {
    const struct spool_directory *directory;
    bool was_damaged; /* the file, at the start; to be told */
    _Atomic uint64_t next[SPOOL_ID_COUNT];
    _Atomic uint64_t reserved[SPOOL_ID_COUNT]; /* next must stay below */
};

/* Reads what was reserved, reserves a block of each kind. mid_highest: the highest MID that
 * recovery saw, or 0; nothing at or below it is handed out even if the file was lost. Who opens
 * before recovery is over needs the file, if the spool holds anything: spool_ids_look(). now_s:
 * seconds since 1970. Behind a damaged file identifiers go on from that many blocks, which no spool
 * gets to that has not used up a block in each second since. STATUS_IO, STATUS_NO_SPACE... */
MUST_USE enum status spool_ids_open(struct spool_ids *ids, const struct spool_directory *d,
                                    uint64_t mid_highest, int64_t now_s);

/* The first MID that open() would give out, from the file alone. STATUS_NOT_FOUND: there is none;
 * STATUS_CORRUPT, STATUS_IO... */
MUST_USE enum status spool_ids_look(const struct spool_directory *d, uint64_t *mid_out);

/* Any thread. The identifier, from 1 up; 0 when the block is used up, which needs 2^20 of them
 * within the time its owner takes: refuse the connection or message. */
static inline uint64_t spool_ids_take(struct spool_ids *ids, enum spool_id_kind kind)
{
    uint64_t id = atomic_fetch_add_explicit(&ids->next[kind], 1, memory_order_relaxed);

    return id < atomic_load_explicit(&ids->reserved[kind], memory_order_acquire) ? id : 0;
}

/* Whether less than half a block of some kind is left. */
bool spool_ids_need_extend(const struct spool_ids *ids);

/* Reserves the next block of every kind that needs one; blocking; one thread at a time. */
MUST_USE enum status spool_ids_extend(struct spool_ids *ids);
