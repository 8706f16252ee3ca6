#include "base/status.h"

#include <errno.h>

const char *status_text(enum status status)
{
    switch (status) {
    case STATUS_OK: return "ok";
    case STATUS_NO_MEMORY: return "no memory";
    case STATUS_LIMIT: return "limit reached";
    case STATUS_NO_SPACE: return "no space";
    case STATUS_IO: return "input or output failed";
    case STATUS_CORRUPT: return "damaged";
    case STATUS_NOT_FOUND: return "not found";
    case STATUS_DENIED: return "not permitted";
    case STATUS_UNSUPPORTED: return "not supported here";
    case STATUS_BUSY: return "in use";
    case STATUS_INVALID: return "malformed";
    }
    UNREACHABLE();
}

enum status status_from_errno(int error)
{
    switch (error) {
    case 0: return STATUS_OK;
    case ENOMEM: return STATUS_NO_MEMORY;
    case EMFILE:
    case ENFILE: return STATUS_LIMIT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return STATUS_NO_SPACE;
    case ENOENT:
    case ENOTDIR: return STATUS_NOT_FOUND;
    case EPERM:
    case EACCES:
    case EROFS: return STATUS_DENIED;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: return STATUS_UNSUPPORTED;
    case EADDRINUSE:
    case EBUSY:
    case EAGAIN: return STATUS_BUSY;
    case EINVAL: return STATUS_INVALID;
    default: return STATUS_IO;
    }
}
