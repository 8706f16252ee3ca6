/* base/status.h - the world's errors: disk, memory, network, files.
 *
 * Every function that can meet one returns enum status and is MUST_USE. Callers switch over
 * it without a default, so that a new value makes the compiler name every place to look at.
 */
#pragma once
#include "base/check.h"

enum status {
    STATUS_OK,
    STATUS_NO_MEMORY,   /* the allocator said no */
    STATUS_LIMIT,       /* a named bound of ours is reached */
    STATUS_NO_SPACE,    /* the disk, or the space reserved on it, is full */
    STATUS_IO,          /* a disk, socket or file failed; errno or the log has the detail */
    STATUS_CORRUPT,     /* bytes that do not pass their own checks */
    STATUS_NOT_FOUND,   /* no such file, name or entry */
    STATUS_DENIED,      /* the system forbids it (permissions, sysctl, seccomp) */
    STATUS_UNSUPPORTED, /* the kernel or a library is too old for it */
    STATUS_BUSY,        /* somebody else holds it (a port, a lock) */
    STATUS_INVALID      /* text or bytes that are not of the form they should be */
};

/* A short lower-case phrase for messages, never NULL: "no memory", "device failed"... */
const char *status_text(enum status status);

/* The status that describes an errno value best; STATUS_IO when none does. */
enum status status_from_errno(int error);

/* Returns from the calling function unless call is STATUS_OK. Only where nothing is held. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum status try_status_ = (call);                                                          \
        if (try_status_ != STATUS_OK)                                                              \
            return try_status_;                                                                    \
    } while (0)
