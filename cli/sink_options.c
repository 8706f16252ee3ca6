#include "cli/sink_options.h"

#include <fnmatch.h>
#include <stdlib.h>

#include "base/hash.h"
#include "cli/crew.h"
#include "cli/values.h"
#include "config/units.h"
#include "smtp/address.h"

#define COMMAND       "sink"
#define MILLION       1000000
#define DELAY_MS_MAX  600000
#define SIZE_MAX_TEXT "1G"

static const char about[] =
    "Takes any mail and throws it away: a next hop for tests and measurements. A 250 of\n"
    "the sink promises nothing, not even with --store: nothing is synced to disk.\n"
    "\n"
    "Lone CR and LF are taken as they come. The store has one file for each message:\n"
    "four lines X-Sink-Helo, -From, -To and -Tls, then the message, dots unstuffed.\n"
    "With --json a line of the log also says when the message was accepted: at_us, in\n"
    "microseconds since 1970.\n"
    "\n"
    "SIGUSR1 prints the totals; SIGTERM and SIGINT let messages under way end, for at\n"
    "most 5 seconds, print the totals and end; a second one ends at once.\n";

/* The options as they were typed. */
struct texts {
    const char *listeners[SINK_LISTENERS_MAX];
    size_t listeners_count;
    const char *workers, *delay, *fail, *seed, *messages, *size, *hostname;
    const char *tls_required, *log;
};

static int parse_texts(int argc, char **argv, struct texts *t, struct sink_options *o)
{
    const struct cli_option options[] = {
        { "listen", 'l', "ADDR:PORT", "repeatable (16); default " SINK_DEFAULT, t->listeners,
          &t->listeners_count, SINK_LISTENERS_MAX },
        { "workers", 'w', "N", "threads; default 1", &t->workers },
        { "hostname", '\0', "NAME", "to say in the greeting; default: this system's",
          &t->hostname },
        { "certificate", '\0', "CHAIN", "offer STARTTLS with this PEM file", &o->certificate },
        { "key", '\0', "KEY", "the certificate's key, PEM; default: in the same file", &o->key },
        { "require-tls", '\0', NULL, "answer MAIL in the clear with 530", &t->tls_required },
        { "reply-delay", '\0', "MS", "wait before the reply to each message", &t->delay },
        { "fail-rate", '\0', "P", "fraction of messages to answer 451, like 0.01", &t->fail },
        { "seed", '\0', "N", "decides which ones; default 0", &t->seed },
        { "reject", '\0', "PATTERN",
          "answer recipients like *@example.org with 550; repeatable (16)", o->rejects,
          &o->rejects_count, SINK_PATTERNS_MAX },
        { "max-size", '\0', "BYTES", "of a message; default " SIZE_MAX_TEXT, &t->size },
        { "max-messages", 'm', "N", "end when this many have been accepted", &t->messages },
        { "store", 's', "DIR", "write each message to a file", &o->store },
        { "log", '\0', NULL, "a line for each message: HELO SENDER RECIPIENTS BYTES TLS", &t->log },
    };
    const struct cli_usage usage = {
        .name = COMMAND,
        .operands = "",
        .about = about,
        .has_json = true,
        .options = options,
        .options_count = ARRAY_LEN(options),
    };
    struct cli_arguments arguments;
    int code = cli_parse(&usage, argc, argv, &arguments);

    if (code == CLI_GO_ON)
        o->json = arguments.json;
    return code;
}

static bool listeners(const struct texts *t, struct sink_options *o)
{
    const char *const fallback = SINK_DEFAULT;
    bool has_some = t->listeners_count > 0;

    o->listeners_count = has_some ? t->listeners_count : 1;
    for (size_t i = 0; i < o->listeners_count; i++) {
        const char *text = has_some ? t->listeners[i] : fallback;

        if (!ip_endpoint_parse(slice_from(text), 0, &o->listeners[i])) {
            (void)cli_misuse(COMMAND, "--listen: \"%s\" is not ADDRESS:PORT", text);
            return false;
        }
    }
    return true;
}

static bool fraction(const char *text, uint32_t *millionth_out)
{
    char *end = NULL;
    double value;

    if (text == NULL)
        return true;
    value = strtod(text, &end);
    if (end != text && *end == '\0' && value >= 0 && value <= 1) {
        *millionth_out = (uint32_t)(value * MILLION + 0.5);
        return true;
    }
    (void)cli_misuse(COMMAND, "--fail-rate: \"%s\" is not a number from 0 to 1", text);
    return false;
}

static bool tls(struct sink_options *o)
{
    if (o->certificate != NULL && o->key == NULL)
        o->key = o->certificate;
    if (o->certificate != NULL || (o->key == NULL && !o->is_tls_required))
        return true;
    (void)cli_misuse(COMMAND, "--certificate is missing");
    return false;
}

static bool all(const struct texts *t, struct sink_options *o)
{
    uint64_t workers = 1, delay_ms = 0;
    const char *size = t->size != NULL ? t->size : SIZE_MAX_TEXT;

    o->messages_max = UINT64_MAX;
    o->log = t->log != NULL;
    o->is_tls_required = t->tls_required != NULL;
    if (!listeners(t, o) || !tls(o) ||
        !cli_value_hostname(COMMAND, t->hostname, "sink.invalid", &o->hostname) ||
        !fraction(t->fail, &o->fail_millionth) ||
        !cli_value_number(COMMAND, "workers", t->workers, 1, CLI_CREW_MAX, &workers) ||
        !cli_value_number(COMMAND, "reply-delay", t->delay, 0, DELAY_MS_MAX, &delay_ms) ||
        !cli_value_number(COMMAND, "seed", t->seed, 0, UINT64_MAX - 1, &o->seed) ||
        !cli_value_number(COMMAND, "max-messages", t->messages, 1, UINT64_MAX - 1,
                          &o->messages_max))
        return false;
    if (!config_size_parse(slice_from(size), &o->size_max) || o->size_max == 0)
        return cli_misuse(COMMAND, "--max-size: \"%s\" is not a size like 20M", size) < 0;
    o->workers = (uint32_t)workers;
    o->reply_delay_ms = (uint32_t)delay_ms;
    return true;
}

int sink_options_parse(int argc, char **argv, struct sink_options *options_out)
{
    struct sink_options o = { 0 };
    struct texts t = { 0 };
    int code = parse_texts(argc, argv, &t, &o);

    if (code != CLI_GO_ON)
        return code;
    if (!all(&t, &o))
        return CLI_EXIT_MISUSE;
    *options_out = o;
    return CLI_GO_ON;
}

bool sink_options_fails(const struct sink_options *o, uint64_t number_now)
{
    return hash_number(o->seed + hash_number(number_now + 1)) % MILLION < o->fail_millionth;
}

bool sink_options_rejects(const struct sink_options *o, struct slice recipient)
{
    char text[SMTP_MAILBOX_BYTES_MAX + 1];

    if (o->rejects_count == 0 || recipient.len > SMTP_MAILBOX_BYTES_MAX)
        return false;
    memcpy(text, recipient.data, recipient.len);
    text[recipient.len] = '\0';
    for (size_t i = 0; i < o->rejects_count; i++)
        if (fnmatch(o->rejects[i], text, FNM_CASEFOLD) == 0)
            return true;
    return false;
}
