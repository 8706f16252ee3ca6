/* gateway/generation.h - one loaded configuration, and each worker's own view of it.
 *
 * A generation is what one reading of the configuration file gave: settings and policy snapshot,
 * immutable, shared by all workers. A view is one worker's reference to a generation, with what
 * must not be shared: TLS contexts, and the count of sessions that still use it. Views are built
 * by the supervisor, handed to their worker by message, and from then on touched by that worker
 * alone, so that taking and leaving a view costs a session no atomic operation.
 *
 * When the last session of a view that is no longer current has left, the worker lets go of the
 * generation; the supervisor frees generations that no worker holds.
 */
#pragma once
#include <stdatomic.h>

#include "config/load.h"
#include "tls/context.h"
#include "tls/kernel.h"
#include "tls/tickets.h"

struct gateway_generation {
    struct config_loaded *config;     /* owned */
    struct tls_kernel_support kernel; /* of the moment when it was read */
    struct tls_trust *trust;          /* of deliveries, made with the first view; NULL: none */
    struct gateway_generation *older; /* the supervisor's list */
    _Atomic unsigned views_count;
};

struct gateway_view_options; /* gateway/session_options.c */

struct gateway_view {
    struct gateway_generation *generation;
    struct tls_context **clients; /* for deliveries, one for each of settings->tls_clients */
    struct tls_context **servers; /* one for each listener; NULL: no certificate */
    struct gateway_view_options *options;
    unsigned users_count; /* sessions, and one while this is the worker's current view */
};

/* Takes config. */
MUST_USE enum status gateway_generation_create(struct config_loaded *config,
                                               const struct tls_kernel_support *kernel,
                                               struct gateway_generation **generation_out);

/* No view may be left. Accepts NULL. */
void gateway_generation_destroy(struct gateway_generation *generation);

/* With users_count 1, for the worker that makes it its current view. A certificate or key that
 * cannot be used is described in error_out. */
MUST_USE enum status gateway_view_create(struct gateway_generation *generation,
                                         struct tls_tickets *tickets,
                                         struct gateway_view **view_out,
                                         struct tls_error *error_out);

struct gateway_view *gateway_view_acquire(struct gateway_view *view);
void gateway_view_release(struct gateway_view *view); /* the last one destroys it */

static inline const struct config_settings *gateway_view_settings(const struct gateway_view *view)
{
    return &view->generation->config->settings;
}

/* For connections to the destination. */
static inline struct tls_context *gateway_view_client(const struct gateway_view *view,
                                                      const struct policy_destination *destination)
{
    return view->clients[destination->tls_client];
}

static inline const struct policy_snapshot *gateway_view_policy(const struct gateway_view *view)
{
    return view->generation->config->policy;
}
