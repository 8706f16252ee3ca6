/* gateway/tls_report_settings.h - a copy of what the configuration says of TLS reports, for the
 * keeper's thread, which holds no generation. */
#pragma once
#include "config/settings.h"
#include "tls/dkim.h"

#define GATEWAY_TLS_REPORT_HOST_MAX 256
#define GATEWAY_TLS_REPORT_PATH_MAX 4097

struct gateway_tls_report_settings {
    bool send;
    bool to_private; /* addresses of private networks too */
    char hostname[GATEWAY_TLS_REPORT_HOST_MAX];
    char domain[GATEWAY_TLS_REPORT_HOST_MAX]; /* that reports */
    char organization[CONFIG_ORGANIZATION_BYTES_MAX + 1];
    char contact[CONFIG_ALERT_ADDRESS_BYTES_MAX + 1]; /* an address */
    char ca_path[GATEWAY_TLS_REPORT_PATH_MAX];        /* "": the system's */
    char dkim_domain[GATEWAY_TLS_REPORT_HOST_MAX];
    char dkim_selector[CONFIG_DKIM_SELECTOR_BYTES_MAX + 1];
    char dkim_key_path[GATEWAY_TLS_REPORT_PATH_MAX]; /* "": mail is not signed */
    struct tls_dkim_key *dkim_key;                   /* NULL: none, or it cannot be used now */
};
