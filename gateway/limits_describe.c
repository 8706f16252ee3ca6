#include "gateway/limits_describe.h"

void gateway_limits_describe(struct gateway_process *process, const struct ip_address *address,
                             struct json_writer *w)
{
    struct gateway_listing_copy listing;

    gateway_listing_read(&process->listing, &listing);
    json_name(w, "connections");
    json_open_array(w);
    for (size_t i = 0; i < listing.listeners_count; i++) {
        const struct gateway_listing_listener *listener = &listing.listeners[i];
        const struct gateway_peer peer = { .address = *address, .listener = listener->load };
        char endpoint[IP_ENDPOINT_MAX];

        json_open_object(w);
        json_member_text(w, "listener", slice_from(listener->name));
        json_member_text(w, "endpoint",
                         slice_from(ip_endpoint_format(&listener->endpoint, endpoint)));
        json_member_number(w, "connections", gateway_peer_count_get(process->peers, &peer));
        json_close(w);
    }
    json_close(w);
}
