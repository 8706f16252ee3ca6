/* observe/gzip.h - bytes as gzip has them: RFC 1952. Pure: the same bytes always come to the same,
 * without a name or a time.
 */
#pragma once
#include "base/buffer.h"
#include "base/check.h"

#define OBSERVE_GZIP_BYTES_MAX ((size_t)1024 * 1024 * 1024) /* of what is compressed */

/* Appends them to out. STATUS_LIMIT: out has no room for all; STATUS_NO_MEMORY. Then what was
 * appended is of no use. */
MUST_USE enum status observe_gzip(struct slice bytes, struct buffer *out);
