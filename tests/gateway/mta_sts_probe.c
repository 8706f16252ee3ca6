/* mta_sts_probe: one fetch of an MTA-STS policy, for tests/system/test_mta_sts.py.
 *
 *     mta_sts_probe HOST PORT TIMEOUT_MS CA_FILE ADDRESS...
 *
 * Prints the policy and ends with 0, or the reason and ends with 1.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/mta_sts_fetch.h"

static const atomic_bool never = false;

static _Noreturn void misused(const char *what)
{
    fprintf(stderr, "mta_sts_probe: %s\n", what);
    exit(2);
}

int main(int count, char **words)
{
    static struct gateway_mta_sts_fetch fetch;
    uint64_t port, timeout_ms;

    if (count < 6 || count - 5 > GATEWAY_MTA_STS_ADDRESSES_MAX ||
        !slice_to_number(slice_from(words[2]), UINT16_MAX, &port) ||
        !slice_to_number(slice_from(words[3]), UINT32_MAX, &timeout_ms))
        misused("HOST PORT TIMEOUT_MS CA_FILE ADDRESS...");
    gateway_mta_sts_fetch_init(&fetch);
    (void)snprintf(fetch.host, sizeof(fetch.host), "%s", words[1]);
    fetch.port = (uint16_t)port;
    fetch.timeout_ms = (uint32_t)timeout_ms;
    fetch.ca_path = strdup(words[4]);
    fetch.is_stopped = &never;
    for (int i = 5; i < count; i++)
        if (!ip_parse(slice_from(words[i]), &fetch.addresses[fetch.addresses_count++]))
            misused("not an address");
    if (fetch.ca_path == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        misused("no memory");
    gateway_mta_sts_fetch_run(&fetch);
    if (!fetch.is_ok)
        printf("%s: %s\n", observe_tls_result_type_name(fetch.trouble), fetch.reason);
    else if (buffer_len(&fetch.body) > 0) /* else there may be no memory behind it */
        (void)fwrite(buffer_contents(&fetch.body).data, 1, buffer_len(&fetch.body), stdout);
    gateway_mta_sts_fetch_finish(&fetch);
    curl_global_cleanup();
    return fetch.is_ok ? 0 : 1;
}
