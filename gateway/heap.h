/* gateway/heap.h - where the memory of a worker comes from: an arena of its own, in huge pages, and
 * in front of it a pool (base/pool.h) for what comes and goes with every message.
 *
 * Mail that waits takes new memory, and the first touch of each page of 4 KiB is a fault. With
 * huge pages there is one for 2 MiB, where the kernel has one to give. Nothing else changes: who
 * frees what a worker has allocated does so as always.
 */
#pragma once

#define GATEWAY_HEAP_KEEP_MS (5 * 60 * 1000) /* until all of what is not used is given back */

/* For the calling thread, from here on, until it gives up what its pool keeps. They change nothing
 * where the allocator is another one (sanitizers, which want to see each use of memory), or
 * refuses. */
void gateway_heap_own(void);
void gateway_heap_disown(void);
