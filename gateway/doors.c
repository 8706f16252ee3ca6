#include "gateway/doors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/listener.h"

static bool is_listed(const struct config_settings *settings, const struct ip_endpoint *endpoint)
{
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (ip_endpoint_equal(&settings->listeners[i].endpoint, endpoint))
            return true;
    return false;
}

/* The load of this endpoint; *is_new_out: nobody listens there. NULL when the table is full. */
static struct gateway_listener_load *load_for(struct gateway_process *process,
                                              const struct ip_endpoint *endpoint, bool *is_new_out)
{
    struct gateway_listener_load *unused = NULL;

    for (size_t i = 0; i < GATEWAY_LISTENER_LOADS_MAX; i++) {
        struct gateway_listener_load *load = &process->loads[i];

        if (load->is_open && ip_endpoint_equal(&load->endpoint, endpoint)) {
            *is_new_out = false;
            return load;
        }
        if (unused == NULL && !load->is_open && atomic_load(&load->connections) == 0)
            unused = load;
    }
    *is_new_out = true;
    return unused;
}

static enum status bind_all(struct gateway_doors *d, const struct config_listener *listener,
                            size_t index, struct gateway_doors_watch *watch)
{
    char place[IP_ENDPOINT_MAX], text[GATEWAY_DOORS_TROUBLE_MAX];
    int error = 0;
    enum status status = engine_listener_probe(&listener->endpoint, &error);

    for (unsigned w = 0; status == STATUS_OK && w < d->workers_count; w++)
        status = engine_listener_bind(&listener->endpoint, (int)listener->backlog,
                                      &gateway_doors_of(d, w)[index].fd, &error);
    if (status != STATUS_OK) {
        (void)snprintf(text, sizeof(text), "listener %s: cannot listen on %s: %s", listener->name,
                       ip_endpoint_format(&listener->endpoint, place),
                       error != 0 ? strerrordesc_np(error) : status_text(status));
        watch->trouble(watch, text);
    }
    return status;
}

enum status gateway_doors_open(struct gateway_doors *d, struct gateway_process *process,
                               const struct config_settings *settings,
                               struct gateway_doors_watch *watch)
{
    size_t rows = settings->listeners_count * process->workers_count;
    enum status result = STATUS_OK;

    *d = (struct gateway_doors){ .listeners_count = settings->listeners_count,
                                 .workers_count = process->workers_count,
                                 .doors = calloc(rows, sizeof(struct gateway_door)) };
    if (d->doors == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < rows; i++)
        d->doors[i].fd = -1;
    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_listener *listener = &settings->listeners[i];
        enum status status = STATUS_OK;
        bool is_new;
        struct gateway_listener_load *load = load_for(process, &listener->endpoint, &is_new);

        if (load == NULL)
            status = STATUS_LIMIT;
        else if (is_new)
            status = bind_all(d, listener, i, watch);
        if (status != STATUS_OK) {
            result = status;
            continue;
        }
        load->endpoint = listener->endpoint;
        load->is_open = true;
        for (unsigned w = 0; w < d->workers_count; w++)
            gateway_doors_of(d, w)[i].load = load;
    }
    if (result != STATUS_OK)
        gateway_doors_close(d);
    return result;
}

struct gateway_door *gateway_doors_of(const struct gateway_doors *d, unsigned worker)
{
    return &d->doors[worker * d->listeners_count];
}

void gateway_doors_finish(struct gateway_doors *d, struct gateway_process *process,
                          const struct config_settings *settings)
{
    for (size_t i = 0; i < GATEWAY_LISTENER_LOADS_MAX; i++)
        if (process->loads[i].is_open && !is_listed(settings, &process->loads[i].endpoint))
            process->loads[i].is_open = false;
    free(d->doors);
    *d = (struct gateway_doors){ 0 };
}

void gateway_doors_close(struct gateway_doors *d)
{
    for (size_t i = 0; i < d->listeners_count * d->workers_count; i++) {
        if (d->doors[i].fd < 0)
            continue;
        (void)close(d->doors[i].fd);
        if (d->doors[i].load != NULL)
            d->doors[i].load->is_open = false;
    }
    free(d->doors);
    *d = (struct gateway_doors){ 0 };
}

void gateway_doors_tell(struct gateway_process *process, const struct config_settings *settings,
                        uint64_t generation)
{
    struct gateway_listing_copy copy = { .generation = generation };

    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_listener *listener = &settings->listeners[i];
        struct gateway_listing_listener *listed = &copy.listeners[copy.listeners_count++];
        bool is_new;
        const struct gateway_listener_load *load = load_for(process, &listener->endpoint, &is_new);

        ASSERT(load != NULL && !is_new);
        (void)snprintf(listed->name, sizeof(listed->name), "%s", listener->name);
        listed->endpoint = listener->endpoint;
        listed->load = (uint32_t)(load - process->loads);
    }
    gateway_listing_write(&process->listing, &copy);
}
