#include "cli/load_options.h"

#include <stdio.h>

#include "base/hash.h"
#include "cli/crew.h"
#include "cli/load_message.h"
#include "cli/values.h"
#include "config/units.h"

#define COMMAND       "load"
#define RETRIES       5
#define RETRIES_MAX   1000
#define TIMEOUT_S     60
#define TIMEOUT_S_MAX 3600

/* The options as they were typed. */
struct texts {
    const char *targets[LOAD_TARGETS_MAX];
    size_t targets_count;
    const char *sessions, *messages, *duration, *per_connection, *rate, *workers, *idle;
    const char *size, *recipients, *sender, *recipient, *dots, *seed;
    const char *starttls, *hostname, *timeout, *retries, *ledger;
};

static const char about[] =
    "Sends made-up mail to an SMTP server over many sessions at once, and measures.\n"
    "A progress line is redrawn once a second when standard error is a terminal; at\n"
    "the end a table tells messages, errors by reply code, messages per second and\n"
    "latencies: of a session from connect to 220, of a message from MAIL to the final\n"
    "250, and of that the part behind its final dot, while the server stores it. SIGINT\n"
    "or SIGTERM: finish the messages under way, report; twice: drop them.\n"
    "\n"
    "A message that was answered with an error, or lost with its connection, counts as\n"
    "failed and is not sent again. Only connecting (up to the reply to EHLO and the TLS\n"
    "handshake) is tried again, after 0.1 s, 0.2 s, 0.4 s ... at most 3.2 s.\n"
    "\n"
    "Each message carries a header X-Postern-Load-Id that no other message has. --ledger\n"
    "writes it down when the 250 has come: what is in the ledger and not at the receiver\n"
    "was lost. The server's certificate is not verified.\n"
    "\n"
    "Sizes take K, M, G; durations take s, m, h. Exit status 1 also when one message or\n"
    "one recipient was refused.\n";

static int parse_texts(int argc, char **argv, struct texts *t, bool *json_out)
{
    const struct cli_option options[] = {
        { "to", 't', "ADDR:PORT", "the server; repeatable (16), used in turn; default port 25",
          t->targets, &t->targets_count, LOAD_TARGETS_MAX },
        { "sessions", 's', "N", "concurrent sessions; default 1", &t->sessions },
        { "messages", 'm', "N", "in all; default: one for each session", &t->messages },
        { "duration", 'd', "TIME", "begin no message after this time", &t->duration },
        { "per-connection", 'n', "N", "messages on a connection; default 1, 0: no limit",
          &t->per_connection },
        { "rate", 'r', "R", "messages a second, overall; default: as fast as it goes", &t->rate },
        { "workers", 'w', "N", "threads; default 1", &t->workers },
        { "idle", '\0', NULL, "connect all sessions, say EHLO, keep them until a signal",
          &t->idle },
        { "size", 'S', "BYTES", "of the body, or a range: 1K-64K; default 4K", &t->size },
        { "recipients", 'R', "N", "of each message; default 1", &t->recipients },
        { "from", 'f', "ADDR", "default sender@load.invalid; <> for none", &t->sender },
        { "recipient", 'a', "ADDR", "%n becomes a counter; default user%n@example.com",
          &t->recipient },
        { "dots", '\0', NULL, "bodies that vary and have lines that begin with dots", &t->dots },
        { "seed", '\0', "N", "of the sizes and the varying bodies; printed when it is drawn",
          &t->seed },
        { "starttls", 'T', "MODE",
          "use STARTTLS when it is offered; MODE: required or never (the default)", &t->starttls,
          NULL, 0, true },
        { "hostname", '\0', "NAME", "to say in EHLO; default: this system's", &t->hostname },
        { "timeout", '\0', "TIME", "patience for each reply; default 60s", &t->timeout },
        { "retries", '\0', "N", "of connecting, in a row; default 5", &t->retries },
        { "ledger", 'L', "FILE", "append the id of each message that got its 250", &t->ledger },
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
        *json_out = arguments.json;
    return code;
}

static bool number32(const char *name, const char *text, uint32_t min, uint32_t max,
                     uint32_t *value_out)
{
    uint64_t wide = *value_out;

    if (!cli_value_number(COMMAND, name, text, min, max, &wide))
        return false;
    *value_out = (uint32_t)wide;
    return true;
}

static bool seconds(const char *name, const char *text, uint64_t max, uint64_t *seconds_out)
{
    struct slice digits = text != NULL ? slice_from(text) : (struct slice){ 0 };

    if (text == NULL)
        return true;
    /* A bare number is seconds, as in other generators. */
    if ((slice_to_number(digits, max, seconds_out) || config_duration_parse(digits, seconds_out)) &&
        *seconds_out > 0 && *seconds_out <= max)
        return true;
    (void)cli_misuse(COMMAND, "--%s: \"%s\" is not a duration like 30s", name, text);
    return false;
}

static bool targets(const struct texts *t, struct load_options *o)
{
    for (size_t i = 0; i < t->targets_count; i++) {
        if (!ip_endpoint_parse(slice_from(t->targets[i]), 25, &o->targets[i])) {
            (void)cli_misuse(COMMAND, "--to: \"%s\" is not ADDRESS:PORT", t->targets[i]);
            return false;
        }
    }
    o->targets_count = t->targets_count;
    if (o->targets_count == 0)
        (void)cli_misuse(COMMAND, "--to ADDR:PORT is missing");
    return o->targets_count > 0;
}

static bool size_range(const char *text, struct load_options *o)
{
    struct slice rest = text != NULL ? slice_from(text) : SLICE("4K");
    struct slice whole = rest;
    struct slice first = slice_cut(&rest, '-');
    bool is_range = first.len < whole.len;

    if (config_size_parse(first, &o->size_min) &&
        config_size_parse(is_range ? rest : first, &o->size_max) && o->size_min <= o->size_max &&
        o->size_max <= LOAD_MESSAGE_BODY_MAX)
        return true;
    (void)cli_misuse(
        COMMAND, "--size: \"%s\" is not a size like 4K or a range like 1K-64K, 16G at most", text);
    return false;
}

static bool pattern(const char *name, const char *text, struct load_pattern *out)
{
    struct slice whole = slice_from(text);
    const char *at = strstr(text, "%n");
    char sample[LOAD_ADDRESS_MAX];
    struct smtp_mailbox mailbox;
    struct slice filled;

    if (whole.len <= SMTP_MAILBOX_BYTES_MAX) {
        *out = (struct load_pattern){ .before = whole };
        if (at != NULL) {
            out->before = slice_first(whole, (size_t)(at - text));
            out->after = slice_after(whole, (size_t)(at - text) + 2);
            out->has_number = true;
        }
        /* With the longest number that can come. */
        filled = (struct slice){ sample, load_pattern_fill(out, UINT64_MAX, sample) };
        if (smtp_mailbox_parse(filled, &mailbox) && !mailbox.has_non_ascii)
            return true;
    }
    (void)cli_misuse(COMMAND, "--%s: \"%s\" is not an address", name, text);
    return false;
}

static bool addresses(const struct texts *t, struct load_options *o)
{
    const char *sender = t->sender != NULL ? t->sender : "sender@load.invalid";
    bool is_null = sender[0] == '\0' || strcmp(sender, "<>") == 0;

    if (!is_null && !pattern("from", sender, &o->sender))
        return false;
    return pattern("recipient", t->recipient != NULL ? t->recipient : "user%n@example.com",
                   &o->recipient);
}

static bool starttls(const char *text, struct load_options *o)
{
    if (text == NULL || strcmp(text, "never") == 0)
        o->starttls = LOAD_STARTTLS_NEVER;
    else if (text[0] == '\0')
        o->starttls = LOAD_STARTTLS_OFFERED;
    else if (strcmp(text, "required") == 0)
        o->starttls = LOAD_STARTTLS_REQUIRED;
    else
        return cli_misuse(COMMAND, "--starttls: \"%s\" is neither required nor never", text) < 0;
    return true;
}

/* How many messages, over how many sessions, how fast. */
static bool amounts(const struct texts *t, struct load_options *o)
{
    uint64_t duration_s = 0;

    o->sessions = o->workers = o->recipients = 1;
    o->per_connection = 1;
    if (!number32("sessions", t->sessions, 1, LOAD_SESSIONS_MAX, &o->sessions) ||
        !number32("workers", t->workers, 1, CLI_CREW_MAX, &o->workers) ||
        !seconds("duration", t->duration, UINT32_MAX, &duration_s))
        return false;
    o->duration_ms = duration_s * 1000;
    o->messages_max = t->duration != NULL ? UINT64_MAX : o->sessions;
    if (!cli_value_number(COMMAND, "messages", t->messages, 1, UINT64_MAX - 1, &o->messages_max) ||
        !cli_value_number(COMMAND, "per-connection", t->per_connection, 0, UINT64_MAX - 1,
                          &o->per_connection) ||
        !cli_value_number(COMMAND, "rate", t->rate, 1, LOAD_RATE_MAX, &o->rate) ||
        !number32("recipients", t->recipients, 1, LOAD_RECIPIENTS_MAX, &o->recipients))
        return false;
    if (o->per_connection == 0)
        o->per_connection = UINT64_MAX;
    if (o->workers > o->sessions)
        o->workers = o->sessions;
    return true;
}

static bool all(const struct texts *t, struct load_options *o)
{
    uint64_t timeout_s = TIMEOUT_S;

    o->retries = RETRIES;
    o->seed = t->seed != NULL ? 0 : cli_random() >> 32;
    o->ledger = t->ledger;
    o->idle = t->idle != NULL;
    o->dots = t->dots != NULL;
    if (o->idle && (t->messages != NULL || t->duration != NULL || t->rate != NULL))
        return cli_misuse(COMMAND, "--idle sends no messages") < 0;
    if (!targets(t, o) || !amounts(t, o) || !size_range(t->size, o) || !addresses(t, o) ||
        !starttls(t->starttls, o) ||
        !cli_value_hostname(COMMAND, t->hostname, "load.invalid", &o->hostname) ||
        !seconds("timeout", t->timeout, TIMEOUT_S_MAX, &timeout_s) ||
        !number32("retries", t->retries, 0, RETRIES_MAX, &o->retries) ||
        !cli_value_number(COMMAND, "seed", t->seed, 0, UINT64_MAX - 1, &o->seed))
        return false;
    o->timeout_ms = (uint32_t)timeout_s * 1000;
    return true;
}

int load_options_parse(int argc, char **argv, struct load_options *options_out)
{
    struct load_options o = { 0 };
    struct texts t = { 0 };
    int code = parse_texts(argc, argv, &t, &o.json);

    if (code != CLI_GO_ON)
        return code;
    if (!all(&t, &o))
        return CLI_EXIT_MISUSE;
    *options_out = o;
    return CLI_GO_ON;
}

size_t load_pattern_fill(const struct load_pattern *p, uint64_t number_now,
                         char text[static LOAD_ADDRESS_MAX])
{
    int len;

    if (!p->has_number)
        len = snprintf(text, LOAD_ADDRESS_MAX, "%.*s", SLICE_ARGS(p->before));
    else
        len = snprintf(text, LOAD_ADDRESS_MAX, "%.*s%llu%.*s", SLICE_ARGS(p->before),
                       (unsigned long long)number_now, SLICE_ARGS(p->after));
    ASSERT(len >= 0 && len < LOAD_ADDRESS_MAX);
    return (size_t)len;
}

uint64_t load_options_size(const struct load_options *o, uint64_t number_now)
{
    uint64_t span = o->size_max - o->size_min + 1;

    return o->size_min + hash_number(o->seed + hash_number(number_now + 1)) % span;
}
