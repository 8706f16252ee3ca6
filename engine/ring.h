/* engine/ring.h - the backend that the kernel provides: one io_uring per loop.
 *
 * Created in the thread that uses it (SINGLE_ISSUER, DEFER_TASKRUN). Linux 6.1 or later.
 */
#pragma once
#include "engine/backend.h"

extern const struct engine_backend_ops engine_ring_ops;
