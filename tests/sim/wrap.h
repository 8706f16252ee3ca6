/* tests/sim/wrap.h - what the linker puts between the gateway and the system (--wrap).
 *
 * Threads, clocks, randomness and the calls on files of the spool, which are made blocking and not
 * through the engine's backend; descriptors that are real stay with the real calls. And a few
 * functions of the spool, so that segments are small. The list is in meson.build.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct sim_sizes {
    uint32_t segment_bytes;
    uint32_t record_bytes_max;
    size_t inline_bytes_max; /* of a body; above it, a file */
};

extern struct sim_sizes sim_sizes;
