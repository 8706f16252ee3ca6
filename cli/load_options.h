/* cli/load_options.h - what the load generator was asked to do, checked. */
#pragma once
#include "base/ip.h"
#include "cli/options.h"
#include "smtp/address.h"

#define LOAD_TARGETS_MAX    16
#define LOAD_SESSIONS_MAX   1000000
#define LOAD_RECIPIENTS_MAX 1000
#define LOAD_RATE_MAX       10000000

enum load_starttls {
    LOAD_STARTTLS_NEVER,
    LOAD_STARTTLS_OFFERED, /* when the server offers it */
    LOAD_STARTTLS_REQUIRED
};

/* An address in which "%n" stands for a number, which makes each one different. */
struct load_pattern {
    struct slice before; /* all of it when there is no %n */
    struct slice after;
    bool has_number;
};

struct load_options {
    struct ip_endpoint targets[LOAD_TARGETS_MAX];
    size_t targets_count;
    uint32_t sessions;
    uint64_t messages_max;   /* UINT64_MAX: until the time is over */
    uint64_t duration_ms;    /* 0: until the messages are sent */
    uint64_t per_connection; /* messages; UINT64_MAX: no limit */
    uint64_t size_min;
    uint64_t size_max;
    uint32_t recipients;
    struct load_pattern sender; /* empty: <> */
    struct load_pattern recipient;
    enum load_starttls starttls;
    uint64_t rate; /* messages per second overall; 0: as fast as it goes */
    uint32_t workers;
    uint32_t timeout_ms;
    uint32_t retries;
    uint64_t seed;
    const char *ledger; /* or NULL */
    struct slice hostname;
    bool idle;
    bool dots;
    bool json;
};

/* CLI_GO_ON, or an exit status, everything said. The slices borrow from argv. */
MUST_USE int load_options_parse(int argc, char **argv, struct load_options *options_out);

/* The address for a number. Returns the length; `room` is LOAD_ADDRESS_MAX at least. */
#define LOAD_ADDRESS_MAX (SMTP_MAILBOX_BYTES_MAX + 24)
size_t load_pattern_fill(const struct load_pattern *pattern, uint64_t number,
                         char text[static LOAD_ADDRESS_MAX]);

/* The size of message `number`: the same for the same seed. */
uint64_t load_options_size(const struct load_options *options, uint64_t number);
