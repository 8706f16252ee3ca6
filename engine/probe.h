/* engine/probe.h - what this kernel lets us do, found out by doing it.
 *
 * Called once at start, in any thread, before the workers. Each finding has a name, a verdict and
 * a detail for `postern run --probe`. Creates rings and a temporary file of its own and leaves
 * nothing behind.
 */
#pragma once
#include "base/status.h"
#include "engine/backend.h"

#define ENGINE_PROBE_FINDINGS_MAX 40
#define ENGINE_KERNEL_MAJOR_MIN   6
#define ENGINE_KERNEL_MINOR_MIN   1

struct engine_probe_finding {
    const char *name; /* static text */
    bool yes;
    bool required; /* without it the engine does not run */
    char detail[96];
};

struct engine_probe_report {
    struct engine_reason reason; /* when the engine cannot run: one line that says why */
    unsigned findings_count;
    struct engine_probe_finding findings[ENGINE_PROBE_FINDINGS_MAX];
};

/* directory_or_null: where a durable write is tried; NULL leaves that out. STATUS_OK when the
 * engine can run here; otherwise STATUS_UNSUPPORTED or STATUS_DENIED with report_out->reason. The
 * report is filled in both cases. */
MUST_USE enum status engine_probe(const char *directory_or_null,
                                  struct engine_probe_report *report_out);

/* The reason for an errno of io_uring_setup(2), from the kernel's version, the sysctl and the
 * seccomp state of the process. Returns STATUS_UNSUPPORTED, STATUS_DENIED or another. */
enum status engine_probe_explain(int error, struct engine_reason *reason_out);
