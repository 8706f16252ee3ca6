/* base/allocations.h - how much memory has been asked of the allocator, for counters and benches.
 *
 * Only jemalloc tells. With any other allocator (the sanitizers bring their own) all is 0.
 */
#pragma once
#include <stdint.h>

/* Bytes that the calling thread was ever given, those that it has freed included. The number
 * behind the pointer grows by itself and costs nothing to read; it is the thread's, and ends with
 * it. Never NULL. */
const uint64_t *allocations_thread_bytes(void);

/* How often all threads together have asked, since the start. A thread's small requests are counted
 * when its cache is looked through, so the last thousands may be missing. Takes locks of the
 * allocator: not for a worker. */
uint64_t allocations_count(void);
