#include "gateway/port.h"

#include <stdlib.h>
#include <unistd.h>

#include "gateway/inbound.h"
#include "gateway/worker.h"

static void on_accepted(struct engine_listener *l, int fd, const struct ip_endpoint *remote)
{
    struct gateway_port *port = CONTAINER_OF(l, struct gateway_port, listener);

    gateway_inbound_accept(port, fd, remote);
}

static void on_stopped(struct engine_listener *l)
{
    struct gateway_port *port = CONTAINER_OF(l, struct gateway_port, listener);
    struct gateway_worker *worker = port->worker;

    list_remove(&port->node);
    free(port);
    gateway_worker_check_drained(worker);
}

static const struct engine_listener_handlers listener_handlers = {
    .accepted = on_accepted,
    .stopped = on_stopped,
};

enum status gateway_port_open(struct gateway_worker *worker, struct gateway_listener_load *load,
                              size_t index, int fd)
{
    struct gateway_port *port = calloc(1, sizeof(*port));
    enum status status = STATUS_NO_MEMORY;

    if (port != NULL) {
        port->worker = worker;
        port->endpoint = load->endpoint;
        port->load = load;
        port->index = index;
        status =
            engine_listener_start_paused(&port->listener, worker->loop, fd, &listener_handlers);
    }
    if (status != STATUS_OK) {
        (void)close(fd);
        free(port);
        return status;
    }
    list_append(&worker->ports, &port->node);
    if (gateway_worker_is_accepting(worker))
        engine_listener_resume(&port->listener);
    return STATUS_OK;
}

void gateway_port_close(struct gateway_port *port)
{
    port->is_closing = true;
    engine_listener_stop(&port->listener);
}

struct gateway_port *gateway_port_find(struct gateway_worker *worker,
                                       const struct ip_endpoint *endpoint)
{
    LIST_FOR_EACH (node, &worker->ports) {
        struct gateway_port *port = CONTAINER_OF(node, struct gateway_port, node);

        if (!port->is_closing && ip_endpoint_equal(&port->endpoint, endpoint))
            return port;
    }
    return NULL;
}
