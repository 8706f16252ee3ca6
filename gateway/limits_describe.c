#include "gateway/limits_describe.h"

#include "gateway/rate_limits.h"

void gateway_limits_describe(struct gateway_process *process,
                             const struct gateway_limits_question *question, uint64_t now_s,
                             struct json_writer *w)
{
    const struct policy_mail_flow flow = { .bits_v4 = question->bits_v4,
                                           .bits_v6 = question->bits_v6 };
    const struct gateway_client client = { .flow = &flow,
                                           .address = question->address,
                                           .interval_s = question->interval_s,
                                           .now_s = now_s };
    struct gateway_rates_state rates = gateway_rates_look(process->rates, &client);
    struct gateway_listing_copy listing;

    gateway_listing_read(&process->listing, &listing);
    json_member_number(w, "recipients", rates.recipients);
    json_member_number(w, "invalid_recipients", rates.invalid_recipients);
    json_name(w, "connections");
    json_open_array(w);
    for (size_t i = 0; i < listing.listeners_count; i++) {
        const struct gateway_listing_listener *listener = &listing.listeners[i];
        const struct gateway_peer peer = { .address = question->address,
                                           .listener = listener->load };
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
