/* gateway/alert_settings.h - a copy of what the configuration says of alerts, for the keeper's
 * thread, which holds no generation. */
#pragma once
#include "config/settings.h"

#define GATEWAY_ALERT_ADDRESS_MAX (CONFIG_ALERT_ADDRESS_BYTES_MAX + 1)
#define GATEWAY_ALERT_HOST_MAX    256
#define GATEWAY_ALERT_PATH_MAX    4097

struct gateway_alert_settings {
    uint64_t initial_wait_ms;
    uint64_t max_wait_ms;
    bool required_tls, spool, certificates;
    size_t mail_count;
    char hostname[GATEWAY_ALERT_HOST_MAX];
    char from[GATEWAY_ALERT_HOST_MAX + GATEWAY_ALERT_ADDRESS_MAX];
    char command[GATEWAY_ALERT_PATH_MAX]; /* "": none */
    char mail[CONFIG_ALERT_RECIPIENTS_MAX][GATEWAY_ALERT_ADDRESS_MAX];
};
