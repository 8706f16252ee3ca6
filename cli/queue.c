#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/group.h"
#include "cli/options.h"
#include "cli/queue_rows.h"
#include "config/units.h"
#include "gateway/admin_request.h"

#define VALUE_MAX (3 * GATEWAY_QUEUE_SENDER_MAX) /* coded */

static const char list_about[] =
    "Lists what waits in the running gateway of a configuration, in the order in which it\n"
    "came to each worker. An entry is what a message has for one domain. With --summary,\n"
    "one line for each destination, the fullest first: how much, since when, and how its\n"
    "hosts are.\n";
static const char show_about[] =
    "Shows messages of the queue: envelope, size, where they came from; and each recipient\n"
    "that waits, with what it waits for, until when, and what was said last.\n";
static const char hold_about[] =
    "Keeps entries of the queue from being sent until they are released, also over a\n"
    "restart. Mail that is held does not expire. What is being sent now is left alone.\n";
static const char release_about[] =
    "Lets entries that were held be sent, at once. Their age counts from now on.\n";
static const char retry_about[] =
    "Tries entries of the queue now, whatever the time of their next try, and their hosts\n"
    "with them if they count as down. What is held stays so.\n";
static const char bounce_about[] =
    "Gives entries of the queue up now: their senders get a report that the mail was\n"
    "returned by the administrator (5.7.1). What is being sent now is left alone.\n";
static const char delete_about[] =
    "Removes entries from the queue. Nobody is told; the log has a line. More than a\n"
    "single MID wants --yes. What is being sent now is left alone.\n";

struct choice {
    const char *domain, *sender, *older, *held, *limit, *all, *yes, *summary;
};

/* What the options of a subcommand are. */
#define OPTION_DOMAIN(c)                                                                           \
    {                                                                                              \
        .name = "domain", .argument = "NAME", .value = &(c)->domain,                               \
        .help = "for this domain; .NAME: for those below it"                                       \
    }
#define OPTION_SENDER(c)                                                                           \
    {                                                                                              \
        .name = "sender", .argument = "ADDRESS", .value = &(c)->sender,                            \
        .help = "from this one; @NAME: from anybody there; <>: bounces"                            \
    }
#define OPTION_OLDER(c)                                                                            \
    {                                                                                              \
        .name = "older", .argument = "TIME", .value = &(c)->older,                                 \
        .help = "accepted longer ago than 90s, 5m, 2h, 3d"                                         \
    }
#define OPTION_HELD(c)                                                                             \
    {                                                                                              \
        .name = "held", .value = &(c)->held, .help = "held ones only"                              \
    }
#define OPTION_LIMIT(c)                                                                            \
    {                                                                                              \
        .name = "limit", .argument = "N", .value = &(c)->limit, .help = "no more than N"           \
    }
#define OPTION_ALL(c)                                                                              \
    {                                                                                              \
        .name = "all", .value = &(c)->all, .help = "all that are in the queue"                     \
    }
#define OPTION_YES(c)                                                                              \
    {                                                                                              \
        .name = "yes", .value = &(c)->yes, .help = "do not ask back"                               \
    }
#define OPTION_SUMMARY(c)                                                                          \
    {                                                                                              \
        .name = "summary", .value = &(c)->summary, .help = "one line for each destination"         \
    }

/* Appends " WORD" or " WORD=VALUE". */
static bool add_word(struct buffer *request, const char *word, const char *value)
{
    char coded[VALUE_MAX];

    if (value == NULL)
        return buffer_printf(request, " %s", word) == STATUS_OK;
    return gateway_queue_encode(slice_from(value), coded, sizeof(coded)) &&
           buffer_printf(request, " %s=%s", word, coded) == STATUS_OK;
}

static bool add_number(struct buffer *request, const char *word, uint64_t number)
{
    return buffer_printf(request, " %s=%llu", word, (unsigned long long)number) == STATUS_OK;
}

/* CLI_GO_ON, or a misuse that has been told. NULL: it was not given. */
static int parse_numbers(const char *name, const struct choice *c, uint64_t *older_s_out,
                         uint64_t *limit_out)
{
    *older_s_out = *limit_out = 0;
    if (c->older != NULL &&
        (!config_duration_parse(slice_from(c->older), older_s_out) || *older_s_out == 0))
        return cli_misuse(name, "--older: \"%s\" is no time like 90s, 5m, 2h or 3d", c->older);
    if (c->limit != NULL &&
        (!slice_to_number(slice_from(c->limit), UINT64_MAX, limit_out) || *limit_out == 0))
        return cli_misuse(name, "--limit: \"%s\" is not a number from 1 up", c->limit);
    return CLI_GO_ON;
}

/* False: it does not fit. */
static bool add_choice(struct buffer *request, const struct choice *c, uint64_t older_s,
                       uint64_t limit)
{
    return (older_s == 0 || add_number(request, "older", older_s)) &&
           (limit == 0 || add_number(request, "limit", limit)) &&
           (c->domain == NULL || add_word(request, "domain", c->domain)) &&
           (c->sender == NULL || add_word(request, "sender", c->sender)) &&
           (c->held == NULL || add_word(request, "held", NULL)) &&
           (c->all == NULL || add_word(request, "all", NULL));
}

static int add_mids(const char *name, struct buffer *request, const struct cli_arguments *a)
{
    for (int i = 0; i < a->operands_count; i++) {
        uint64_t mid;

        if (!slice_to_number(slice_from(a->operands[i]), UINT64_MAX, &mid) || mid == 0)
            return cli_misuse(name, "\"%s\" is not a MID", a->operands[i]);
        if (!add_number(request, "mid", mid))
            return cli_misuse(name, "that is more than fits into one request");
    }
    return CLI_GO_ON;
}

/* The exit status that the last line stands for. */
static int judge(const char *name, const struct cli_queue_rows *r)
{
    if (r->is_bad || r->end.kind[0] == '\0')
        return cli_error(name, "the reply cannot be read");
    if (!r->end.is_durable)
        return cli_error(name, "the disk does not take it: a restart may undo what was done");
    if (!r->end.is_complete)
        return cli_error(name, "the gateway is starting or stopping: not all of the queue was "
                               "looked at");
    if (r->missing > 0)
        return CLI_EXIT_FAILED;
    if (r->end.matched == 0 && r->verb >= GATEWAY_QUEUE_SHOW && r->verb < GATEWAY_QUEUE_FLUSH)
        return cli_error(name, "no entry of the queue is like that");
    if (r->end.refused > 0 ||
        (r->end.busy > 0 && r->verb < GATEWAY_QUEUE_FLUSH && r->verb != GATEWAY_QUEUE_RETRY))
        return CLI_EXIT_FAILED;
    return CLI_EXIT_OK;
}

static int ask(const char *name, const char *config, struct buffer *request,
               struct cli_queue_rows *rows)
{
    char path[CONFIG_SOCKET_PATH_MAX + 1], line[GATEWAY_ADMIN_REQUEST_MAX];
    struct slice text = buffer_contents(request);
    int code = CLI_EXIT_FAILED;

    if (!cli_load_admin_path(config, path))
        return CLI_EXIT_FAILED;
    (void)snprintf(line, sizeof(line), "%.*s", SLICE_ARGS(text));
    if (cli_admin_stream(name, path, line, &rows->lines)) {
        cli_queue_rows_end(rows);
        code = judge(name, rows);
        code = cli_finish(code);
    }
    return code;
}

static bool is_chosen(const struct choice *c, int mids)
{
    return mids > 0 || c->domain != NULL || c->sender != NULL || c->older != NULL ||
           c->held != NULL || c->all != NULL;
}

/* What changes something has to be told what, and what cannot be undone, twice. */
static int check_choice(const char *name, enum gateway_queue_verb verb, const struct choice *c,
                        int mids)
{
    if (verb >= GATEWAY_QUEUE_HOLD && !is_chosen(c, mids))
        return cli_misuse(name, "which entries? name MIDs, a selection, or --all");
    if (verb == GATEWAY_QUEUE_DELETE && mids != 1 && c->yes == NULL)
        return cli_misuse(name, "this may be many messages, and they are gone then: say --yes "
                                "(queue list shows which)");
    return CLI_GO_ON;
}

static int run_verb(const struct cli_usage *usage, enum gateway_queue_verb verb, struct choice *c,
                    int argc, char **argv)
{
    struct cli_queue_rows rows;
    struct cli_arguments a;
    struct buffer request;
    uint64_t older_s = 0, limit = 0;
    int code = cli_parse(usage, argc, argv, &a);

    if (code == CLI_GO_ON)
        code = parse_numbers(usage->name, c, &older_s, &limit);
    if (code == CLI_GO_ON)
        code = check_choice(usage->name, verb, c, a.operands_count);
    if (code != CLI_GO_ON)
        return code;
    if (verb == GATEWAY_QUEUE_LIST && c->summary != NULL)
        verb = GATEWAY_QUEUE_SUMMARY;
    cli_queue_rows_init(&rows, usage->name, verb, a.json);
    rows.limit = limit;
    rows.is_chosen = is_chosen(c, a.operands_count);
    buffer_init(&request, GATEWAY_ADMIN_REQUEST_MAX - 2);
    if (buffer_printf(&request, "queue %s", gateway_queue_verb_name(verb)) != STATUS_OK ||
        !add_choice(&request, c, older_s, verb != GATEWAY_QUEUE_SUMMARY ? limit : 0))
        code = cli_misuse(usage->name, "that is more than fits into one request");
    if (code == CLI_GO_ON)
        code = add_mids(usage->name, &request, &a);
    if (code == CLI_GO_ON)
        code = ask(usage->name, a.config, &request, &rows);
    cli_queue_rows_finish(&rows);
    buffer_finish(&request);
    return code;
}

static int run_list(int argc, char **argv)
{
    struct choice c = { 0 };
    const struct cli_option options[] = { OPTION_SUMMARY(&c), OPTION_DOMAIN(&c), OPTION_SENDER(&c),
                                          OPTION_OLDER(&c),   OPTION_HELD(&c),   OPTION_LIMIT(&c) };
    const struct cli_usage usage = {
        .name = "queue list",
        .operands = "",
        .about = list_about,
        .has_config = true,
        .has_json = true,
        .options = options,
        .options_count = ARRAY_LEN(options),
    };

    return run_verb(&usage, GATEWAY_QUEUE_LIST, &c, argc, argv);
}

static int run_show(int argc, char **argv)
{
    struct choice c = { 0 };
    const struct cli_usage usage = {
        .name = "queue show",
        .operands = "MID...",
        .about = show_about,
        .has_config = true,
        .has_json = true,
        .operands_min = 1,
        .operands_max = GATEWAY_QUEUE_MIDS_MAX,
    };

    return run_verb(&usage, GATEWAY_QUEUE_SHOW, &c, argc, argv);
}

/* What changes something: they differ in what they say. */
static int run_change(enum gateway_queue_verb verb, const char *name, const char *about, int argc,
                      char **argv)
{
    struct choice c = { 0 };
    const struct cli_option options[] = { OPTION_DOMAIN(&c), OPTION_SENDER(&c), OPTION_OLDER(&c),
                                          OPTION_HELD(&c),   OPTION_LIMIT(&c),  OPTION_ALL(&c),
                                          OPTION_YES(&c) };
    const struct cli_usage usage = {
        .name = name,
        .operands = "[MID...]",
        .about = about,
        .has_config = true,
        .has_json = true,
        .options = options,
        .options_count = ARRAY_LEN(options) - (verb != GATEWAY_QUEUE_DELETE),
        .operands_max = GATEWAY_QUEUE_MIDS_MAX,
    };

    return run_verb(&usage, verb, &c, argc, argv);
}

static int run_hold(int argc, char **argv)
{
    return run_change(GATEWAY_QUEUE_HOLD, "queue hold", hold_about, argc, argv);
}

static int run_release(int argc, char **argv)
{
    return run_change(GATEWAY_QUEUE_RELEASE, "queue release", release_about, argc, argv);
}

static int run_retry(int argc, char **argv)
{
    return run_change(GATEWAY_QUEUE_RETRY, "queue retry", retry_about, argc, argv);
}

static int run_bounce(int argc, char **argv)
{
    return run_change(GATEWAY_QUEUE_BOUNCE, "queue bounce", bounce_about, argc, argv);
}

static int run_delete(int argc, char **argv)
{
    return run_change(GATEWAY_QUEUE_DELETE, "queue delete", delete_about, argc, argv);
}

static const struct cli_command parts[] = {
    { "list", "what waits, for how long, and why; --summary: by destination", run_list },
    { "show", "a message: where it came from, and for each recipient why it waits", run_show },
    { "hold", "keep mail from being sent, also over a restart", run_hold },
    { "release", "let go what was held", run_release },
    { "retry", "try mail now", run_retry },
    { "bounce", "return mail to its sender now", run_bounce },
    { "delete", "remove mail; nobody is told", run_delete },
};

static const struct cli_group group = {
    .name = "queue",
    .about = "All but list and show want to be told of what: MIDs, or a selection by options that\n"
             "an entry has to meet. See also postern flush DOMAIN.\n",
    .parts = parts,
    .parts_count = ARRAY_LEN(parts),
};

static int run_queue(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

static int run_flush(int argc, char **argv)
{
    static const struct cli_usage usage = {
        .name = "flush",
        .operands = "DOMAIN",
        .about =
            "Tries all mail for a domain now: its hosts count as up again, they are looked up\n"
            "anew, and what waits for a later time is due. What is held stays so.\n",
        .has_config = true,
        .has_json = true,
        .operands_min = 1,
        .operands_max = 1,
    };
    struct cli_queue_rows rows;
    struct cli_arguments a;
    struct buffer request;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    buffer_init(&request, GATEWAY_ADMIN_REQUEST_MAX - 2);
    if (buffer_append_text(&request, "queue flush") != STATUS_OK ||
        !add_word(&request, "domain", a.operands[0]) || a.operands[0][0] == '.' ||
        a.operands[0][0] == '\0') {
        code = cli_misuse("flush", "\"%s\" is not a domain", a.operands[0]);
    } else {
        cli_queue_rows_init(&rows, "flush", GATEWAY_QUEUE_FLUSH, a.json);
        rows.domain = a.operands[0];
        code = ask("flush", a.config, &request, &rows);
        cli_queue_rows_finish(&rows);
    }
    buffer_finish(&request);
    return code;
}

const struct cli_command cli_queue = {
    .name = "queue",
    .summary = "what waits in the running gateway and why; hold, retry, bounce, delete it",
    .run = run_queue,
};

const struct cli_command cli_flush = {
    .name = "flush",
    .summary = "try all mail for a domain now",
    .run = run_flush,
};
