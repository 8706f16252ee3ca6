#include <stdio.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/options.h"
#include "gateway/admin_request.h"
#include "gateway/alerts.h"

static const struct cli_usage usage = {
    .name = "alerts",
    .operands = "[N]",
    .about =
        "Asks the running gateway of a configuration, over its admin socket, for the latest N\n"
        "alerts that it has sent, 10 if not said otherwise; the newest comes first. They are\n"
        "those since it started, and of those the last 40.\n",
    .has_config = true,
    .has_json = true,
    .operands_max = 1,
};

/* One alert of the reply; slices lie in the reply. */
struct row {
    struct slice severity, step, text;
    uint64_t time_s, count;
};

static void set_member(struct row *row, struct slice name, struct slice value, uint64_t number)
{
    if (slice_equal(name, SLICE("severity")))
        row->severity = value;
    if (slice_equal(name, SLICE("step")))
        row->step = value;
    if (slice_equal(name, SLICE("text")))
        row->text = value;
    if (slice_equal(name, SLICE("time")))
        row->time_s = number;
    if (slice_equal(name, SLICE("count")))
        row->count = number;
}

static bool read_reply(struct slice reply, struct row rows[static GATEWAY_ALERTS_LATEST_MAX],
                       size_t *count_out)
{
    struct slice name = { 0 }, value;
    struct json_scan scan;
    enum json_token token;
    size_t count = 0;

    json_scan_init(&scan, reply);
    while ((token = json_scan_next(&scan, &value)) != JSON_END && token != JSON_BAD) {
        uint64_t number = 0;

        if (token == JSON_NAME)
            name = value;
        if (token == JSON_OBJECT && scan.depth == 3) {
            if (count == GATEWAY_ALERTS_LATEST_MAX)
                return false;
            rows[count++] = (struct row){ 0 };
        }
        if (token == JSON_NUMBER && !slice_to_number(value, UINT64_MAX, &number))
            return false;
        if ((token == JSON_NUMBER || token == JSON_STRING) && scan.depth == 3 && count > 0)
            set_member(&rows[count - 1], name, value, number);
    }
    *count_out = count;
    return token == JSON_END;
}

static void print_row(const struct row *row)
{
    char date[CLOCK_DATE_MAX], severity[16], text[GATEWAY_ALERTS_TEXT_MAX];

    printf("%s  %-8s ", clock_format_log((time_t)row->time_s, date),
           json_unescape(row->severity, severity, sizeof(severity)));
    if (slice_equal(row->step, SLICE("recovered")))
        printf("Recovered: ");
    printf("%s", json_unescape(row->text, text, sizeof(text)));
    if (row->count > 1)
        printf(" (%llu times)", (unsigned long long)row->count);
    printf("%s\n", slice_equal(row->step, SLICE("summary")) ? " (again)" : "");
}

static bool print_rows(struct slice reply)
{
    static struct row rows[GATEWAY_ALERTS_LATEST_MAX];
    size_t count = 0;

    if (!read_reply(reply, rows, &count))
        return false;
    if (count == 0)
        printf("no alert was sent since the gateway started\n");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i]);
    return true;
}

static int run(int argc, char **argv)
{
    struct cli_arguments a;
    char path[CONFIG_SOCKET_PATH_MAX + 1], request[32] = "alerts";
    struct buffer reply;
    uint64_t count;
    bool ok = true;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (a.operands_count > 0) {
        if (!slice_to_number(slice_from(a.operands[0]), UINT32_MAX, &count) || count == 0)
            return cli_misuse("alerts", "\"%s\" is not a number from 1 up", a.operands[0]);
        (void)snprintf(request, sizeof(request), "alerts %llu", (unsigned long long)count);
    }
    if (!cli_load_admin_path(a.config, path))
        return CLI_EXIT_FAILED;
    buffer_init(&reply, GATEWAY_ADMIN_REPLY_MAX);
    code = CLI_EXIT_FAILED;
    if (cli_admin_ask("alerts", path, request, &reply)) {
        if (a.json)
            printf("%.*s\n", SLICE_ARGS(buffer_contents(&reply)));
        else
            ok = print_rows(buffer_contents(&reply));
        code = ok ? cli_finish(CLI_EXIT_OK) : cli_error("alerts", "the reply cannot be read");
    }
    buffer_finish(&reply);
    return code;
}

const struct cli_command cli_alerts = {
    .name = "alerts",
    .summary = "the latest alerts that were sent",
    .run = run,
};
