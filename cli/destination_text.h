/* cli/destination_text.h - what an entry of the destinations says, in words. */
#pragma once
#include "config/load.h"

#define CLI_DESTINATION_VALUE_MAX 320

/* The value of a field as the configuration would write it, without quotes; "" for none. */
const char *cli_destination_value(const struct config_settings *settings,
                                  const struct policy_destination *destination,
                                  enum policy_destination_field field,
                                  char text[static CLI_DESTINATION_VALUE_MAX]);

/* Who says it: "entry", "default entry", "built-in". */
const char *cli_destination_origin(const struct policy_snapshot *policy,
                                   const struct policy_destination *destination,
                                   enum policy_destination_field field);

/* What becomes of mail where DANE and MTA-STS have nothing to say, and when they have. Static
 * texts, sentences but for the capital and the stop. */
struct cli_tls_rule {
    const char *not_offered;      /* nor is it when STARTTLS is refused */
    const char *handshake_failed; /* after the 220 */
    const char *unverified;
    const char *names; /* of the certificate, that are good; NULL: it is not looked at */
    const char *dane;  /* NULL: it is off */
    const char *mta_sts;
};

struct cli_tls_rule cli_tls_rule_of(const struct policy_destination *destination);
