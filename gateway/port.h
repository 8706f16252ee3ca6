/* gateway/port.h - one worker's share of a listener: its socket among those of the workers.
 *
 * Which policies a new connection meets is looked up in the worker's current view by the port's
 * endpoint, so a reload changes them without touching the socket.
 */
#pragma once
#include "base/list.h"
#include "engine/listener.h"

struct gateway_worker;
struct gateway_listener_load;

struct gateway_port {
    struct engine_listener listener;
    struct list_node node;
    struct gateway_worker *worker;
    struct ip_endpoint endpoint;
    size_t index; /* of the listener in the worker's current view */
    struct gateway_listener_load *load;
    bool is_closing;
};

/* Takes fd, a bound and listening socket; accepts once the worker's store is ready.
 * STATUS_NO_MEMORY, STATUS_LIMIT: fd is closed. */
MUST_USE enum status gateway_port_open(struct gateway_worker *worker,
                                       struct gateway_listener_load *load, size_t index, int fd);

/* Closes the socket; the object frees itself. */
void gateway_port_close(struct gateway_port *port);

/* NULL when the worker has none for the endpoint, or one that is closing. */
struct gateway_port *gateway_port_find(struct gateway_worker *worker,
                                       const struct ip_endpoint *endpoint);
