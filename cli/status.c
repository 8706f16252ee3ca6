#include <stdio.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/options.h"
#include "gateway/admin_request.h"

#define TEXT_MAX     128
#define COUNTERS_MAX 256

static const struct cli_usage usage = {
    .name = "status",
    .operands = "",
    .about =
        "Asks the running gateway of a configuration, over its admin socket, how it is: since\n"
        "when it runs, which generation of the configuration is in force, connections and\n"
        "messages now, and its counters, which begin at 0 when it starts.\n",
    .has_config = true,
    .has_json = true,
};

/* Of a reply to "status"; slices lie in the reply. */
struct counter {
    struct slice name;
    uint64_t value;
};

struct listener {
    struct slice name;
    struct slice endpoint;
    uint64_t connections;
};

struct view {
    struct slice version;
    uint64_t pid, uptime_s, generation, message_bytes, queue_bytes, segment_bytes, body_bytes;
    uint64_t quarantined, recovery_segments, recovery_read;
    bool in_force;
    uint64_t reload_failed_s; /* since 1970; 0: it did not */
    bool spool_is_low;
    bool spool_is_recovered;
    bool spool_is_gone;
    bool spool_is_silent;
    size_t listeners_count;
    size_t counters_count;
    struct listener listeners[CONFIG_LISTENERS_MAX];
    struct counter counters[COUNTERS_MAX];
};

/* Sets what a member of the outermost object says. */
static void set_member(struct view *v, struct slice name, struct slice value, uint64_t number)
{
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        { "pid", &v->pid },
        { "uptime_s", &v->uptime_s },
        { "generation", &v->generation },
        { "message_bytes", &v->message_bytes },
        { "queue_bytes", &v->queue_bytes },
        { "reload_failed_s", &v->reload_failed_s },
        { "spool_segment_bytes", &v->segment_bytes },
        { "spool_body_bytes", &v->body_bytes },
        { "spool_quarantined", &v->quarantined },
        { "spool_recovery_segments", &v->recovery_segments },
        { "spool_recovery_read", &v->recovery_read },
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (slice_equal(name, slice_from(numbers[i].name)))
            *numbers[i].number = number;
    if (slice_equal(name, SLICE("version")))
        v->version = value;
    if (slice_equal(name, SLICE("in_force")))
        v->in_force = slice_equal(value, SLICE("true"));
    if (slice_equal(name, SLICE("spool_is_low")))
        v->spool_is_low = slice_equal(value, SLICE("true"));
    if (slice_equal(name, SLICE("spool_is_recovered")))
        v->spool_is_recovered = slice_equal(value, SLICE("true"));
    if (slice_equal(name, SLICE("spool_is_gone")))
        v->spool_is_gone = slice_equal(value, SLICE("true"));
    if (slice_equal(name, SLICE("spool_is_silent")))
        v->spool_is_silent = slice_equal(value, SLICE("true"));
}

static void set_listener(struct view *v, struct slice name, struct slice value, uint64_t number)
{
    struct listener *l = &v->listeners[v->listeners_count - 1];

    if (slice_equal(name, SLICE("name")))
        l->name = value;
    if (slice_equal(name, SLICE("endpoint")))
        l->endpoint = value;
    if (slice_equal(name, SLICE("connections")))
        l->connections = number;
}

static bool read_reply(struct slice reply, struct view *v)
{
    struct slice section = { 0 }, name = { 0 }, value;
    struct json_scan scan;
    enum json_token token;

    *v = (struct view){ 0 };
    json_scan_init(&scan, reply);
    while ((token = json_scan_next(&scan, &value)) != JSON_END && token != JSON_BAD) {
        bool in_listeners = scan.depth == 3 && slice_equal(section, SLICE("listeners"));
        uint64_t number = 0;

        if (token == JSON_NAME && scan.depth == 1)
            section = value;
        if (token == JSON_NAME)
            name = value;
        if (token == JSON_NUMBER && !slice_to_number(value, UINT64_MAX, &number))
            return false;
        if (token == JSON_OBJECT && in_listeners && v->listeners_count++ == CONFIG_LISTENERS_MAX)
            return false;
        if (token != JSON_NUMBER && token != JSON_STRING && token != JSON_WORD)
            continue;
        if (scan.depth == 1)
            set_member(v, name, value, number);
        else if (in_listeners)
            set_listener(v, name, value, number);
        else if (slice_equal(section, SLICE("counters")) && v->counters_count < COUNTERS_MAX)
            v->counters[v->counters_count++] = (struct counter){ name, number };
    }
    return token == JSON_END;
}

static unsigned long long counter(const struct view *v, const char *name)
{
    for (size_t i = 0; i < v->counters_count; i++)
        if (slice_equal(v->counters[i].name, slice_from(name)))
            return v->counters[i].value;
    return 0;
}

static void print_table(const struct view *v)
{
    unsigned long long s = v->uptime_s;
    char name[TEXT_MAX], endpoint[TEXT_MAX], when[CLOCK_DATE_MAX];

    printf("version          %s\n", json_unescape(v->version, name, sizeof(name)));
    printf("process          %llu\n", (unsigned long long)v->pid);
    printf("running for      %llu d %02llu:%02llu:%02llu\n", s / 86400, s / 3600 % 24, s / 60 % 60,
           s % 60);
    printf("configuration    generation %llu%s\n", (unsigned long long)v->generation,
           v->in_force ? ", in force" : ", not yet with every worker");
    if (v->reload_failed_s > 0)
        printf("last reload      failed, %s: nothing has changed; the log says why\n",
               clock_format_log((time_t)v->reload_failed_s, when));
    printf("connections      %llu in, %llu out\n", counter(v, "connections_in_now"),
           counter(v, "connections_out_now"));
    printf("messages         %llu, with %llu bytes in memory and %llu for the queue\n",
           counter(v, "messages_now"), (unsigned long long)v->message_bytes,
           (unsigned long long)v->queue_bytes);
    printf("spool            %llu bytes in segments, %llu in body files%s\n",
           (unsigned long long)v->segment_bytes, (unsigned long long)v->body_bytes,
           v->spool_is_silent ? "; its disk does not answer"
           : v->spool_is_gone ? "; its folder is gone: MAIL gets 451"
           : v->spool_is_low  ? "; no room: MAIL gets 452"
                              : "");
    if (!v->spool_is_recovered)
        printf(
            "recovery         %llu of %llu segments read; what they hold is not in the queue yet\n",
            (unsigned long long)v->recovery_read, (unsigned long long)v->recovery_segments);
    if (v->quarantined > 0)
        printf("quarantine       %llu damaged segments; see postern spool quarantine\n",
               (unsigned long long)v->quarantined);
    printf("\n%-28s %-28s %12s\n", "LISTENER", "ENDPOINT", "CONNECTIONS");
    for (size_t i = 0; i < v->listeners_count; i++)
        printf("%-28s %-28s %12llu\n", json_unescape(v->listeners[i].name, name, sizeof(name)),
               json_unescape(v->listeners[i].endpoint, endpoint, sizeof(endpoint)),
               (unsigned long long)v->listeners[i].connections);
    printf("\n%-28s %12s\n", "COUNTER", "VALUE");
    for (size_t i = 0; i < v->counters_count; i++)
        printf("%-28s %12llu\n", json_unescape(v->counters[i].name, name, sizeof(name)),
               (unsigned long long)v->counters[i].value);
}

static int run(int argc, char **argv)
{
    struct cli_arguments a;
    char path[CONFIG_SOCKET_PATH_MAX + 1];
    struct buffer reply;
    struct view view;
    bool ok = true;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!cli_load_admin_path(a.config, path))
        return CLI_EXIT_FAILED;
    buffer_init(&reply, GATEWAY_ADMIN_REPLY_MAX);
    code = CLI_EXIT_FAILED;
    if (cli_admin_ask("status", path, "status", &reply)) {
        struct slice text = buffer_contents(&reply);

        if (a.json)
            printf("%.*s\n", SLICE_ARGS(text));
        else if (read_reply(text, &view))
            print_table(&view);
        else
            ok = false;
        code = ok ? cli_finish(CLI_EXIT_OK) : cli_error("status", "the reply cannot be read");
    }
    buffer_finish(&reply);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .summary = "how the running gateway is",
    .run = run,
};
