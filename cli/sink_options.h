/* cli/sink_options.h - what the test receiver was asked to do, checked. */
#pragma once
#include "base/ip.h"
#include "cli/options.h"

#define SINK_LISTENERS_MAX 16
#define SINK_PATTERNS_MAX  16
#define SINK_DEFAULT       "127.0.0.1:2599"

struct sink_options {
    struct ip_endpoint listeners[SINK_LISTENERS_MAX];
    size_t listeners_count;
    const char *rejects[SINK_PATTERNS_MAX]; /* of recipients: shell patterns */
    size_t rejects_count;
    uint32_t workers;
    uint32_t reply_delay_ms;
    uint32_t fail_millionth; /* of the messages, that are answered 451 */
    uint64_t seed;
    uint64_t messages_max; /* accepted; then the end. UINT64_MAX: no limit */
    uint64_t size_max;
    const char *store;       /* a directory, or NULL */
    const char *certificate; /* both or none */
    const char *key;
    struct slice hostname;
    bool is_tls_required;
    bool log;
    bool json;
};

/* CLI_GO_ON, or an exit status, everything said. Slices and strings borrow from argv. */
MUST_USE int sink_options_parse(int argc, char **argv, struct sink_options *options_out);

/* Whether message `number` is to fail: the same for the same seed. */
bool sink_options_fails(const struct sink_options *options, uint64_t number);

/* Whether the recipient is one of those to refuse. */
bool sink_options_rejects(const struct sink_options *options, struct slice recipient);
