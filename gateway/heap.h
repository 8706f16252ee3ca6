/* gateway/heap.h - where the memory of a worker comes from: an arena of its own, in huge pages.
 *
 * Mail that waits takes new memory, and the first touch of each page of 4 KiB is a fault. With
 * huge pages there is one for 2 MiB, where the kernel has one to give. Nothing else changes: who
 * frees what a worker has allocated does so as always.
 */
#pragma once

#define GATEWAY_HEAP_KEEP_MS (5 * 60 * 1000) /* until all of what is not used is given back */

/* For the calling thread, from here on. Changes nothing where the allocator is another one
 * (sanitizers), or refuses. */
void gateway_heap_own(void);
