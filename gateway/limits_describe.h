/* gateway/limits_describe.h - what is counted for one client, over all workers, for people to read.
 *
 * For the admin thread: it reads atomics and the listing, never a generation. So whoever asks says
 * how the policy counts that he has in mind.
 */
#pragma once
#include "base/json.h"
#include "gateway/process.h"

struct gateway_limits_question {
    struct ip_address address;
    uint32_t bits_v4; /* as in policy/mail_flow.h */
    uint32_t bits_v6;
    uint32_t interval_s; /* of "per hour": limits.rate_interval */
};

/* Writes members into the JSON object that is open: "recipients" and "invalid_recipients" of this
 * interval, and "connections", an array with one object for each listener: "listener", "endpoint",
 * "connections". now_s is monotonic. */
void gateway_limits_describe(struct gateway_process *process,
                             const struct gateway_limits_question *question, uint64_t now_s,
                             struct json_writer *w);
