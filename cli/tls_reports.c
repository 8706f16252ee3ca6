#include <stdio.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/options.h"
#include "gateway/admin_request.h"
#include "gateway/tls_reporter.h"

static const struct cli_usage usage = {
    .name = "tls-reports",
    .operands = "[send [DATE]]",
    .about = "Asks the running gateway of a configuration, over its admin socket, what it has\n"
             "gathered for reports about TLS (RFC 8460). What its workers saw in the last five\n"
             "minutes is not in it. With `send`, the reports are sent at once, about the day\n"
             "DATE (2016-04-01, UTC) or about all days; what comes later that day makes a\n"
             "second report. Those that wait to be tried again are tried. What comes of it is\n"
             "in the mail log.\n",
    .has_config = true,
    .has_json = true,
    .operands_max = 2,
};

/* One part of the reply; slices lie in the reply. */
struct row {
    struct slice day, state;
    uint64_t due_s, sessions, domains, sent, unwanted, given_up, waiting;
};

struct reply {
    bool is_on, is_begun;
    size_t count;
    struct row rows[GATEWAY_TLS_PARTS_MAX];
};

static void set_member(struct row *row, struct slice name, struct slice value, uint64_t number)
{
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        { "due", &row->due_s },         { "sessions", &row->sessions },
        { "domains", &row->domains },   { "sent", &row->sent },
        { "unwanted", &row->unwanted }, { "given_up", &row->given_up },
        { "waiting", &row->waiting },
    };

    if (slice_equal(name, SLICE("day")))
        row->day = value;
    if (slice_equal(name, SLICE("state")))
        row->state = value;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (slice_equal(name, slice_from(numbers[i].name)))
            *numbers[i].number = number;
}

static bool read_reply(struct slice text, struct reply *reply)
{
    struct slice name = { 0 }, value;
    struct json_scan scan;
    enum json_token token;

    json_scan_init(&scan, text);
    while ((token = json_scan_next(&scan, &value)) != JSON_END && token != JSON_BAD) {
        uint64_t number = 0;

        if (token == JSON_NAME)
            name = value;
        if (token == JSON_WORD && slice_equal(name, SLICE("send")))
            reply->is_on = slice_equal(value, SLICE("true"));
        if (token == JSON_WORD && slice_equal(name, SLICE("begun")))
            reply->is_begun = slice_equal(value, SLICE("true"));
        if (token == JSON_OBJECT && scan.depth == 3) {
            if (reply->count == GATEWAY_TLS_PARTS_MAX)
                return false;
            reply->count++;
        }
        if (token == JSON_NUMBER && !slice_to_number(value, UINT64_MAX, &number))
            return false;
        if ((token == JSON_NUMBER || token == JSON_STRING) && scan.depth == 3 && reply->count > 0)
            set_member(&reply->rows[reply->count - 1], name, value, number);
    }
    return token == JSON_END;
}

static void print_row(const struct row *row)
{
    char date[CLOCK_DATE_MAX];

    printf("%.*s  %-9.*s  ", SLICE_ARGS(row->day), SLICE_ARGS(row->state));
    printf("%llu session%s", (unsigned long long)row->sessions, row->sessions == 1 ? "" : "s");
    if (slice_equal(row->state, SLICE("sending")))
        printf(", %llu domains: %llu sent, %llu not wanted, %llu given up, %llu to do\n",
               (unsigned long long)row->domains, (unsigned long long)row->sent,
               (unsigned long long)row->unwanted, (unsigned long long)row->given_up,
               (unsigned long long)row->waiting);
    else
        printf(", to be sent on %s\n", clock_format_log((time_t)row->due_s, date));
}

static bool print_reply(struct slice text)
{
    struct reply reply = { 0 };

    if (!read_reply(text, &reply))
        return false;
    if (reply.is_begun) {
        printf("what is gathered is being sent; the mail log tells what comes of it\n");
        return true;
    }
    if (!reply.is_on)
        printf("tls_reports.send is false: nothing is gathered\n");
    else if (reply.count == 0)
        printf("nothing is gathered yet\n");
    for (size_t i = 0; i < reply.count; i++)
        print_row(&reply.rows[i]);
    return true;
}

/* False: a misuse, which has been told. */
static bool make_request(const struct cli_arguments *a, char *request, size_t room)
{
    time_t day_s;

    (void)snprintf(request, room, "tls-reports");
    if (a->operands_count == 0)
        return true;
    if (strcmp(a->operands[0], "send") != 0) {
        (void)cli_misuse("tls-reports", "\"%s\" is not send", a->operands[0]);
        return false;
    }
    if (a->operands_count == 2 &&
        !gateway_tls_part_parse_date(slice_from(a->operands[1]), &day_s)) {
        (void)cli_misuse("tls-reports", "\"%s\" is not a day like 2016-04-01", a->operands[1]);
        return false;
    }
    (void)snprintf(request, room, "tls-reports send %s",
                   a->operands_count == 2 ? a->operands[1] : "");
    return true;
}

static int run(int argc, char **argv)
{
    struct cli_arguments a;
    char path[CONFIG_SOCKET_PATH_MAX + 1], request[64];
    struct buffer reply;
    bool ok = true;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!make_request(&a, request, sizeof(request)))
        return CLI_EXIT_MISUSE;
    if (!cli_load_admin_path(a.config, path))
        return CLI_EXIT_FAILED;
    buffer_init(&reply, GATEWAY_ADMIN_REPLY_MAX);
    code = CLI_EXIT_FAILED;
    if (cli_admin_ask("tls-reports", path, request, &reply)) {
        if (a.json)
            printf("%.*s\n", SLICE_ARGS(buffer_contents(&reply)));
        else
            ok = print_reply(buffer_contents(&reply));
        code = ok ? cli_finish(CLI_EXIT_OK) : cli_error("tls-reports", "the reply cannot be read");
    }
    buffer_finish(&reply);
    return code;
}

const struct cli_command cli_tls_reports = {
    .name = "tls-reports",
    .summary = "what is gathered for reports about TLS, and sending it",
    .run = run,
};
