#include "cli/explain_counts.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "cli/admin_client.h"
#include "cli/options.h"
#include "gateway/admin_request.h"

#define REQUEST_BYTES_MAX 128

/* False: it is not what a gateway says. */
static bool read_reply(struct slice reply, const char *listener, struct cli_counts *counts)
{
    struct slice name = { 0 }, value;
    char said[CONFIG_SOCKET_PATH_MAX];
    bool is_listener = false;
    struct json_scan scan;
    enum json_token token;

    json_scan_init(&scan, reply);
    while ((token = json_scan_next(&scan, &value)) != JSON_END && token != JSON_BAD) {
        uint64_t number = 0;

        if (token == JSON_NAME)
            name = value;
        if (token == JSON_STRING && slice_equal(name, SLICE("listener")))
            is_listener = strcmp(json_unescape(value, said, sizeof(said)), listener) == 0;
        if (token != JSON_NUMBER)
            continue;
        if (!slice_to_number(value, UINT64_MAX, &number))
            return false;
        if (slice_equal(name, SLICE("recipients")))
            counts->recipients = number;
        else if (slice_equal(name, SLICE("invalid_recipients")))
            counts->invalid_recipients = number;
        else if (slice_equal(name, SLICE("connections")) && is_listener)
            counts->connections = number;
    }
    return token == JSON_END;
}

bool cli_counts_ask(const char *what, const struct config_settings *settings,
                    const struct config_listener *listener, const struct policy_mail_flow *flow,
                    const struct ip_address *address, struct cli_counts *counts_out)
{
    char request[REQUEST_BYTES_MAX], ip[IP_TEXT_MAX];
    struct cli_counts counts = { 0 };
    struct buffer reply;
    bool ok;

    (void)snprintf(request, sizeof(request), "sender %s %u %u %u", ip_format(address, ip),
                   flow->bits_v4, flow->bits_v6, settings->rate_interval_s);
    buffer_init(&reply, GATEWAY_ADMIN_REPLY_MAX);
    ok = cli_admin_ask(what, settings->admin_socket_path, request, &reply);
    if (ok && !read_reply(buffer_contents(&reply), listener->name, &counts)) {
        (void)cli_error(what, "the gateway's reply is none");
        ok = false;
    }
    buffer_finish(&reply);
    if (ok)
        *counts_out = counts;
    return ok;
}
