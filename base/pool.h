/* base/pool.h - memory of what comes and goes with every message, kept for the next one.
 *
 * A thread that says so has a pool: what it gives back stays there, by size, and is taken from
 * there the next time, without a word to the allocator. In any other thread, and in any that asks
 * for more than POOL_OBJECT_MAX bytes, these are malloc() and free(): what one thread has taken
 * another may give back, and the pool of that one has it then. What always wanders one way
 * (taken here, given back there) is therefore nothing for a pool.
 *
 *     pool_open -> take, give ... pool_sweep, now and then -> pool_close
 *
 * A pool never holds more than POOL_BYTES_MAX, and of one size no more than POOL_KIND_BYTES_MAX, so
 * that no size keeps the others out. A size that was not asked for from one sweep to the next is
 * freed: an idle thread holds nothing.
 */
#pragma once
#include <stddef.h>

#define POOL_OBJECT_MAX     ((size_t)64 << 10)
#define POOL_KIND_BYTES_MAX ((size_t)2 << 20)
#define POOL_BYTES_MAX      ((size_t)8 << 20)

/* For the calling thread, from here on; again changes nothing. close frees what is kept. */
void pool_open(void);
void pool_close(void);

/* What is really taken for so many bytes, at least 1: all of it may be used, and it is the same to
 * give back either number. */
size_t pool_room(size_t bytes);

/* NULL: no memory. The second one is zeroed, as far as `bytes` goes. */
void *pool_take(size_t bytes);
void *pool_take_zeroed(size_t bytes);

/* As many bytes as it was taken for. Accepts NULL. */
void pool_give(void *memory, size_t bytes);

/* Other memory, more or less, with the first `used` bytes of the old one, which is given back; or
 * the same, which has room for it. memory may be NULL, of 0 bytes. NULL: no memory, and the old one
 * stays. */
void *pool_exchange(void *memory, size_t bytes, size_t used, size_t new_bytes);

/* Frees what is kept of the sizes that nobody has asked for since the last sweep. */
void pool_sweep(void);

/* Kept now, by the calling thread. */
size_t pool_bytes(void);
