#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/sink_session.h"
#include "cli/sink_worker.h"
#include "engine/signals.h"
#include "tls/context.h"
#include "tls/tickets.h"

#define STEP_MS  20
#define GRACE_NS 5000000000u
#define BACKLOG  4096

/* Names of stored files: those of a later run come behind those of an earlier one. */
#define FILES_PER_SECOND UINT64_C(1000000000)

/* The command's own state, in one thread. */
struct sink {
    struct sink_options options;
    struct sink_run run;
    struct sink_worker *workers;
    struct tls_tickets *tickets; /* as most servers of the world have them; NULL: no TLS */
    uint32_t started;
    unsigned signals_count; /* that ask to stop */
    uint64_t stopped_ns;    /* when the first did; 0: it has not */
};

/* --- starting -------------------------------------------------------------------------------- */

static bool create_tls(struct sink *k, struct sink_worker *w)
{
    const struct tls_certificate_files files = { k->options.certificate, k->options.key };
    const struct tls_server_options options = {
        .certificates = &files,
        .certificates_count = 1,
        .min_version = TLS_VERSION_1_2,
        .tickets = k->tickets,
    };
    struct tls_error error = { 0 };
    enum status status = tls_context_create_server(&options, &w->tls, &error);

    if (status == STATUS_OK)
        return true;
    (void)cli_error(k->options.certificate, "%s",
                    error.text[0] != '\0' ? error.text : status_text(status));
    return false;
}

/* One socket for each worker; a port of 0 becomes the same port for all of them. */
static bool open_doors(struct sink *k, size_t index)
{
    struct ip_endpoint endpoint = k->options.listeners[index];
    char text[IP_ENDPOINT_MAX];
    int error = 0;
    enum status status = STATUS_OK;

    if (endpoint.port != 0)
        status = engine_listener_probe(&endpoint, &error);
    for (uint32_t i = 0; i < k->options.workers && status == STATUS_OK; i++) {
        int fd = -1;

        status = engine_listener_bind(&endpoint, BACKLOG, &fd, &error);
        if (status != STATUS_OK)
            break;
        k->workers[i].doors[index].fd = fd;
        (void)engine_listener_endpoint(fd, &endpoint);
    }
    (void)ip_endpoint_format(&endpoint, text);
    if (status != STATUS_OK) {
        errno = error;
        (void)cli_error(text, "%m");
        return false;
    }
    (void)fprintf(stderr, "postern: sink: listens on %s\n", text);
    return true;
}

static bool create_tickets(struct sink *k)
{
    enum status status = STATUS_OK;

    if (k->options.certificate != NULL)
        status = tls_tickets_create(clock_wall_s(), &k->tickets);
    if (status != STATUS_OK)
        (void)cli_error("session tickets", "%s", status_text(status));
    return status == STATUS_OK;
}

static bool start_workers(struct sink *k)
{
    if (!create_tickets(k))
        return false;
    for (uint32_t i = 0; i < k->options.workers; i++) {
        sink_worker_init(&k->workers[i], &k->run);
        if (k->options.certificate != NULL && !create_tls(k, &k->workers[i]))
            return false;
    }
    for (size_t i = 0; i < k->options.listeners_count; i++)
        if (!open_doors(k, i))
            return false;
    for (; k->started < k->options.workers; k->started++) {
        struct engine_reason reason = { "" };

        if (cli_hand_start(&k->workers[k->started].hand, k->started, &sink_worker_handlers,
                           &reason) != STATUS_OK) {
            (void)cli_error("io_uring", "%s", reason.text);
            return false;
        }
    }
    return true;
}

static bool open_store(struct sink *k)
{
    k->run.store = -1;
    if (k->options.store == NULL)
        return true;
    k->run.store = open(k->options.store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->run.store < 0)
        (void)cli_error(k->options.store, "%m");
    atomic_store(&k->run.next_file, (uint64_t)clock_wall_s() * FILES_PER_SECOND);
    return k->run.store >= 0;
}

static void fill_smtp_options(struct sink *k)
{
    enum smtp_server_tls tls =
        k->options.is_tls_required ? SMTP_SERVER_TLS_REQUIRED : SMTP_SERVER_TLS_PREFERRED;

    k->run.smtp_options = (struct smtp_server_options){
        .hostname = k->options.hostname,
        .banner = SLICE("ESMTP sink"),
        .message_bytes_max = k->options.size_max,
        .recipients_max = SINK_RECIPIENTS_MAX,
        .messages_max = UINT32_MAX,
        .commands_max = UINT32_MAX,
        .tls = k->options.certificate != NULL ? tls : SMTP_SERVER_TLS_OFF,
        .bare_newlines = SMTP_SERVER_BARE_NEWLINES_ACCEPT,
    };
}

/* --- totals ---------------------------------------------------------------------------------- */

static void print_totals(const struct sink *k)
{
    struct total {
        const char *name;
        size_t at;
        uint64_t sum;
    } totals[] = {
        { "connections", offsetof(struct sink_tallies, connections), 0 },
        { "open", offsetof(struct sink_tallies, open), 0 },
        { "tls", offsetof(struct sink_tallies, tls), 0 },
        { "resumed", offsetof(struct sink_tallies, resumed), 0 },
        { "messages", offsetof(struct sink_tallies, messages), 0 },
        { "recipients", offsetof(struct sink_tallies, recipients), 0 },
        { "bytes", offsetof(struct sink_tallies, bytes), 0 },
        { "failed", offsetof(struct sink_tallies, failed), 0 },
        { "rejected", offsetof(struct sink_tallies, rejected), 0 },
        { "dropped", offsetof(struct sink_tallies, dropped), 0 },
    };

    flockfile(stdout);
    if (k->options.json)
        putchar('{');
    for (size_t i = 0; i < ARRAY_LEN(totals); i++) {
        struct total *t = &totals[i];

        for (uint32_t n = 0; n < k->started; n++)
            t->sum += *(const _Atomic uint64_t *)((const char *)&k->workers[n].tallies + t->at);
        if (k->options.json)
            cli_json_number(i == 0, t->name, t->sum);
        else
            printf("%-12s %llu\n", t->name, (unsigned long long)t->sum);
    }
    fputs(k->options.json ? "}\n" : "", stdout);
    (void)fflush(stdout);
    funlockfile(stdout);
}

/* --- running --------------------------------------------------------------------------------- */

static void stop(struct sink *k, bool at_once)
{
    if (k->stopped_ns == 0)
        k->stopped_ns = cli_now_ns();
    for (uint32_t i = 0; i < k->started; i++) {
        cli_hand_stop(&k->workers[i].hand);
        if (at_once)
            cli_hand_reset(&k->workers[i].hand);
    }
}

static bool all_done(const struct sink *k)
{
    for (uint32_t i = 0; i < k->started; i++)
        if (!cli_hand_is_done(&k->workers[i].hand))
            return false;
    return true;
}

static bool has_failed(const struct sink *k)
{
    for (uint32_t i = 0; i < k->started; i++)
        if (atomic_load(&k->workers[i].has_failed))
            return true;
    return false;
}

static void on_signal(struct sink *k, int number)
{
    if (number == SIGUSR1)
        print_totals(k);
    if (number != SIGTERM && number != SIGINT)
        return;
    k->signals_count++;
    stop(k, k->signals_count > 1);
}

/* Until all workers are done. */
static void wait_for_workers(struct sink *k)
{
    while (!all_done(k)) {
        on_signal(k, engine_signals_wait(STEP_MS));
        if (atomic_load(&k->run.accepted) >= k->options.messages_max || has_failed(k))
            stop(k, false);
        if (k->stopped_ns > 0 && cli_now_ns() - k->stopped_ns > GRACE_NS)
            stop(k, true);
    }
}

static int run_sink(struct sink *k)
{
    int code = CLI_EXIT_FAILED;
    bool ok;

    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    fill_smtp_options(k);
    engine_signals_block();
    ok = start_workers(k);
    if (!ok)
        stop(k, true);
    wait_for_workers(k);
    for (uint32_t i = 0; i < k->started; i++)
        cli_hand_join(&k->workers[i].hand);
    if (ok && has_failed(k))
        code = cli_error("sink", "no memory to listen");
    else if (ok)
        print_totals(k);
    if (ok && !has_failed(k))
        code = cli_finish(CLI_EXIT_OK);
    return code;
}

static int run(int argc, char **argv)
{
    struct sink k = { 0 };
    int code = sink_options_parse(argc, argv, &k.options);

    if (code != CLI_GO_ON)
        return code;
    k.run.options = &k.options;
    (void)cli_raise_files_max();
    k.workers = calloc(k.options.workers, sizeof(*k.workers));
    if (k.workers == NULL)
        return cli_error("sink", "no memory");
    code = open_store(&k) ? run_sink(&k) : CLI_EXIT_FAILED;
    for (uint32_t i = 0; i < k.options.workers; i++)
        if (k.workers[i].run != NULL)
            sink_worker_finish(&k.workers[i]);
    free(k.workers);
    tls_tickets_destroy(k.tickets);
    if (k.run.store >= 0)
        (void)close(k.run.store);
    return code;
}

const struct cli_command cli_sink_command = { "sink", "a test receiver that takes any mail", run };
