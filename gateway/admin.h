/* gateway/admin.h - the admin socket: one thread that answers what people ask a running gateway.
 *
 * A client connects, sends one line (gateway/admin_request.h), reads one line and sees the end;
 * about the queue it reads many (gateway/queue_desk.h), as fast as it likes.
 * Bounded: so many clients at a time, so many bytes each way, so long for each way; when all places
 * are taken, whoever has been longest without sending its request makes room, so that silent
 * clients do not keep others out. The workers never wait for it, and do nothing for it but to hand
 * over what they gathered for TLS reports, when it is to be sent, and what is asked of the queue,
 * in small steps.
 *
 * Every call is of the supervisor's thread.
 */
#pragma once
#include "gateway/admin_socket.h"
#include "gateway/process.h"

#define GATEWAY_ADMIN_CLIENTS_MAX 16
#define GATEWAY_ADMIN_TIME_MS     5000 /* for a request to arrive, and for a reply to be taken */

struct gateway_admin; /* opaque */

/* Starts the thread; it listens nowhere yet. process is borrowed, and its workers exist until
 * gateway_admin_destroy(). */
MUST_USE enum status gateway_admin_create(struct gateway_process *process,
                                          struct gateway_admin **admin_out);

/* Ends the thread and removes the socket's file. Accepts NULL. */
void gateway_admin_stop(struct gateway_admin *admin);

/* It has stopped, and so have the workers, which may have had work of it. Accepts NULL. */
void gateway_admin_destroy(struct gateway_admin *admin);

/* Listens at path instead of where it did; nothing changes when it does so already and the file is
 * still there. Clients that are connected get their replies. Otherwise as
 * gateway_admin_socket_open(), and it goes on listening where it did. */
MUST_USE enum status gateway_admin_listen(struct gateway_admin *admin, const char *path,
                                          char why[static GATEWAY_ADMIN_WHY_MAX]);
