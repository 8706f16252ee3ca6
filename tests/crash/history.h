/* tests/crash/history.h - a spool that lives several lives on one simulated disk, and a power cut
 * that is tried at every step of them.
 *
 * A life is a start and then mail: small ones, large ones in body files, results, DONE, whatever
 * the logs do about it, with failing writes and full disks in some lives. It ends at any step by a
 * power cut or by a kill, or is stopped in order; the next one goes on with what is left, and with
 * another number of logs.
 *
 * A ledger has what was promised. Before each step that changes the disk, and within each durable
 * write, the power is cut on a copy, the copy is started and held against the ledger:
 *
 *     every message that was acknowledged is there, and every byte of it; none whose DONE is
 *     durable; none that nobody has sent; what was never acknowledged is whole or not there
 *     results are those of the last commit or newer, and none that were never given
 *     of damage only torn batches are told
 *     a second start, with another number of logs, and one after a cut of the power in the middle
 *     of the first, find the same messages
 *     an identifier is never given twice
 *
 * A history follows from its seed alone, each of its cuts from seed and number.
 */
#pragma once
#include "base/slice.h"

#define HISTORY_TEXT_MAX 256

struct history_options {
    uint64_t seed;
    uint64_t cut_only; /* 0: all of them */
    uint64_t cuts_max; /* ends there; 0: no limit */
};

struct history_counts {
    uint64_t cuts;
    uint64_t cuts_in_starts; /* of these */
    uint64_t starts;
    uint64_t lives;
    uint64_t kills;
    uint64_t sent;
    uint64_t acknowledged;
    uint64_t found; /* messages, by all starts */
    uint64_t failed_writes;
    uint64_t full_disks;
    uint64_t moved; /* by compaction */
    uint64_t aside; /* unreadable, and left to the quarantine */
};

/* Adds to the counts. False: a promise was broken, and text says which and at which cut. */
bool history_live(const struct history_options *options, struct history_counts *counts,
                  char text_out[static HISTORY_TEXT_MAX]);
