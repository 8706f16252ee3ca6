/* base/slim_pointer.h - a pointer in 48 bits, for objects of which there are millions.
 *
 * Linux gives a process no address above 2^47 (x86-64) or 2^48 (arm64) unless mmap() is asked for
 * one there, and malloc() does not ask. An address that carries a tag in its upper bits does not
 * fit, and is an assertion.
 */
#pragma once
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct slim_pointer { /* Zeroed: NULL. The field is private. */
    uint16_t parts[3];
};

static_assert(sizeof(void *) <= sizeof(uint64_t) && sizeof(struct slim_pointer) == 6,
              "that is what it is for");

static inline void *slim_pointer_get(const struct slim_pointer *p)
{
    uint64_t address = p->parts[0] | (uint64_t)p->parts[1] << 16 | (uint64_t)p->parts[2] << 32;

    return (void *)(uintptr_t)address;
}

static inline void slim_pointer_set(struct slim_pointer *p, const void *to)
{
    uint64_t address = (uintptr_t)to;

    ASSERT(address >> 48 == 0);
    p->parts[0] = (uint16_t)(address & UINT16_MAX);
    p->parts[1] = (uint16_t)(address >> 16 & UINT16_MAX);
    p->parts[2] = (uint16_t)(address >> 32 & UINT16_MAX);
}
