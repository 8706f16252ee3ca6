/* cli/admin_client.h - asking a running gateway over its admin socket (gateway/admin_request.h). */
#pragma once
#include "base/buffer.h"

#define CLI_ADMIN_WAIT_MS 10000 /* for all of it */

/* Sends one line (without its end) to the gateway that listens at path and appends its reply, a
 * JSON object without the line end. False, with the error printed as that of the command `what`:
 * nobody answers, not in time, or the gateway refused the request. */
MUST_USE bool cli_admin_ask(const char *what, const char *path, const char *request,
                            struct buffer *reply);

#define CLI_ADMIN_LINE_MAX   ((size_t)64 * 1024) /* of a reply in many lines */
#define CLI_ADMIN_SILENCE_MS 60000               /* between two pieces of it */

/* Embedded in what takes the lines. */
struct cli_admin_lines {
    /* Each line, a JSON object without the line end; borrowed. False: no more of them. */
    bool (*take)(struct cli_admin_lines *lines, struct slice line);
};

/* The same for a request that is answered in many lines (gateway/queue_desk.h), as they come. True:
 * the end came, or take() wanted no more. */
MUST_USE bool cli_admin_stream(const char *what, const char *path, const char *request,
                               struct cli_admin_lines *lines);
