/* gateway/queue_desk.h - the admin thread's side of requests about the queue.
 *
 *     open -> (the bell rings, take) -> go_on: text to be sent, or nothing -> go_on ... -> is_ended
 *     close, at any time
 *
 * A visit is one request: the desk sends its job (gateway/queue_job.h) from worker to worker, and
 * once more to all of them where something was changed, until that is on stable storage. The answer
 * is lines of JSON (gateway/queue_view.h), then one of these:
 *
 *     {"kind": "left", "mid", "domain", "why"}  an entry that was not touched (among the others)
 *     {"kind": "missing", "mid"}                a MID that was named and is not in the queue
 *     {"kind": "end", "matched", "done", "nothing", "busy", "refused", "recipients", "durable",
 *      "complete"}
 *     {"error": "why"}
 *
 * durable: what was done outlives a crash. complete: every worker was asked; not while the gateway
 * starts or stops. All calls are of one thread; create and destroy while there is no other.
 */
#pragma once
#include "gateway/process.h"
#include "gateway/queue_job.h"

#define GATEWAY_QUEUE_VISITS_MAX 4u /* at a time; one that is being closed counts */

struct gateway_queue_desk;  /* opaque */
struct gateway_queue_visit; /* opaque */

/* process is borrowed. */
MUST_USE enum status gateway_queue_desk_create(struct gateway_process *process,
                                               struct gateway_queue_desk **desk_out);

/* When no worker's thread is left; accepts NULL. */
void gateway_queue_desk_destroy(struct gateway_queue_desk *desk);

/* Readable when a job has come back: then take. */
int gateway_queue_desk_bell(const struct gateway_queue_desk *desk);
void gateway_queue_desk_take(struct gateway_queue_desk *desk);

/* Whether the line begins with the word for it. */
bool gateway_queue_desk_is_asked(struct slice line);

/* False with a phrase in *why_out: the line is no such request, or all places are taken. */
MUST_USE bool gateway_queue_desk_open(struct gateway_queue_desk *desk, struct slice line,
                                      struct gateway_queue_visit **visit_out, const char **why_out);

/* When the client has taken all there was: appends what the last leg wrote, or the last line; or
 * nothing, while the job is away. An error: it cannot be told; close it. */
MUST_USE enum status gateway_queue_visit_go_on(struct gateway_queue_visit *visit,
                                               struct buffer *reply);

/* The last line was appended. */
bool gateway_queue_visit_is_ended(const struct gateway_queue_visit *visit);

/* Takes the visit, whatever its state; accepts NULL. */
void gateway_queue_visit_close(struct gateway_queue_visit *visit);
