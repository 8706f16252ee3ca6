/* cli/admin_client.h - asking a running gateway over its admin socket (gateway/admin_request.h). */
#pragma once
#include "base/buffer.h"

#define CLI_ADMIN_WAIT_MS 10000 /* for all of it */

/* Sends one line (without its end) to the gateway that listens at path and appends its reply, a
 * JSON object without the line end. False, with the error printed as that of the command `what`:
 * nobody answers, not in time, or the gateway refused the request. */
MUST_USE bool cli_admin_ask(const char *what, const char *path, const char *request,
                            struct buffer *reply);
