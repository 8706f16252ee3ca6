/* gateway/heap.h - where the memory of a worker comes from: an arena of its own, in huge pages, and
 * in front of it a pool (base/pool.h) for what comes and goes with every message.
 *
 * Mail that waits takes new memory, and the first touch of each page of 4 KiB is a fault. With
 * huge pages there is one for 2 MiB, where the kernel has one to give. Nothing else changes: who
 * frees what a worker has allocated does so as always.
 */
#pragma once
#include <stdint.h>

#define GATEWAY_HEAP_KEEP_MS (5 * 60 * 1000) /* until all of what is not used is given back */

/* Who asks for less than this between two sweeps is idle. */
#define GATEWAY_HEAP_IDLE_BYTES  ((uint64_t)64 << 10)
#define GATEWAY_HEAP_IDLE_SWEEPS 3

/* For the calling thread, from here on, until it gives up what its pool keeps. They change nothing
 * where the allocator is another one (sanitizers, which want to see each use of memory), or
 * refuses. */
void gateway_heap_own(void);
void gateway_heap_disown(void);

/* At each beat, by such a thread: what it keeps and has not asked for lately goes. A thread that
 * has asked for next to nothing GATEWAY_HEAP_IDLE_SWEEPS times in a row also empties what jemalloc
 * keeps for it alone, which would hold pages that are used by nobody else: handshakes leave some
 * hundred KiB of that. */
void gateway_heap_sweep(void);
