#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/load_report.h"
#include "cli/load_session.h"
#include "cli/load_worker.h"
#include "engine/signals.h"
#include "tls/context.h"

#define STEP_MS      20
#define PROGRESS_NS  1000000000u
#define FILES_SPARED 64 /* rings, the ledger, standard streams... */

/* The command's own state, in one thread. */
struct load {
    struct load_options options;
    struct load_run run;
    struct load_worker *workers;
    struct load_stats *total;
    uint32_t started;
    unsigned signals_count; /* that ask to stop */
};

static bool create_tls(struct load_worker *w)
{
    const struct tls_client_options options = {
        .min_version = TLS_VERSION_1_2,
        .security = TLS_SECURITY_OPPORTUNISTIC,
    };
    struct tls_error error = { 0 };
    enum status status = tls_context_create_client(&options, &w->tls, &error);

    if (status == STATUS_OK)
        return true;
    (void)cli_error("TLS", "%s", error.text[0] != '\0' ? error.text : status_text(status));
    return false;
}

static bool start_workers(struct load *l)
{
    const struct load_options *o = &l->options;

    for (uint32_t i = 0; i < o->workers; i++) {
        struct load_worker *w = &l->workers[i];
        uint32_t share = o->sessions / o->workers + (i < o->sessions % o->workers ? 1 : 0);

        if (load_worker_init(w, &l->run, share) != STATUS_OK) {
            (void)cli_error("load", "no memory for %u sessions", share);
            return false;
        }
        if (o->starttls != LOAD_STARTTLS_NEVER && !create_tls(w))
            return false;
    }
    l->run.start_ns = cli_now_ns();
    for (; l->started < o->workers; l->started++) {
        struct engine_reason reason = { "" };

        if (cli_hand_start(&l->workers[l->started].hand, l->started, &load_worker_handlers,
                           &reason) != STATUS_OK) {
            (void)cli_error("io_uring", "%s", reason.text);
            return false;
        }
    }
    return true;
}

static bool open_ledger(struct load *l)
{
    l->run.ledger = -1;
    if (l->options.ledger == NULL)
        return true;
    l->run.ledger = open(l->options.ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (l->run.ledger < 0)
        (void)cli_error(l->options.ledger, "%m");
    return l->run.ledger >= 0;
}

static bool all_done(const struct load *l)
{
    for (uint32_t i = 0; i < l->started; i++)
        if (!cli_hand_is_done(&l->workers[i].hand))
            return false;
    return true;
}

static void stop(struct load *l, bool at_once)
{
    for (uint32_t i = 0; i < l->started; i++) {
        cli_hand_stop(&l->workers[i].hand);
        if (at_once)
            cli_hand_reset(&l->workers[i].hand);
    }
}

static struct load_moment look(const struct load *l)
{
    struct load_moment now = { .elapsed_ns = cli_now_ns() - l->run.start_ns };

    for (uint32_t i = 0; i < l->started; i++) {
        const struct load_tallies *t = &l->workers[i].stats.tallies;

        now.accepted += t->accepted;
        now.failed += t->failed;
        now.errors += t->errors;
        now.ready += t->ready;
    }
    return now;
}

static void on_signal(struct load *l, int number)
{
    if (number != SIGTERM && number != SIGINT)
        return;
    l->signals_count++;
    stop(l, l->signals_count > 1);
}

/* Until all workers are done. */
static void wait_for_workers(struct load *l)
{
    bool has_terminal = isatty(STDERR_FILENO) == 1;
    struct load_moment shown = { 0 };
    bool was_shown = false;

    while (!all_done(l)) {
        on_signal(l, engine_signals_wait(STEP_MS));
        if (atomic_load(&l->run.ledger_error) != 0)
            stop(l, false);
        if (has_terminal && cli_now_ns() - l->run.start_ns - shown.elapsed_ns >= PROGRESS_NS) {
            struct load_moment now = look(l);

            load_report_progress(&l->options, &shown, &now);
            shown = now;
            was_shown = true;
        }
    }
    if (was_shown)
        load_report_progress_clear();
}

static int report(struct load *l)
{
    struct load_result result = { .stats = l->total, .is_interrupted = l->signals_count > 0 };
    uint64_t tried;
    bool ok;

    for (uint32_t i = 0; i < l->options.workers; i++)
        load_stats_merge(l->total, &l->workers[i].stats);
    tried = l->total->tallies.accepted + l->total->tallies.failed;
    if (!l->options.idle && l->options.duration_ms == 0)
        result.unsent = l->options.messages_max - tried;
    result.elapsed_ns = l->total->ended_ns > 0 ? l->total->ended_ns - l->run.start_ns : 0;
    load_report_result(&l->options, &result);
    ok = l->total->tallies.failed == 0 && result.unsent == 0 && l->total->recipients_refused == 0;
    if (l->options.idle)
        ok = l->total->sessions_given_up == 0;
    if (l->run.ledger >= 0 && close(l->run.ledger) != 0)
        atomic_store(&l->run.ledger_error, errno);
    errno = atomic_load(&l->run.ledger_error);
    if (errno != 0)
        return cli_error(l->options.ledger, "%m");
    return cli_finish(ok ? CLI_EXIT_OK : CLI_EXIT_FAILED);
}

static int run_load(struct load *l)
{
    int code = CLI_EXIT_FAILED;
    bool ok;

    if (!open_ledger(l))
        return CLI_EXIT_FAILED;
    engine_signals_block();
    ok = start_workers(l);
    if (!ok)
        stop(l, true);
    wait_for_workers(l);
    for (uint32_t i = 0; i < l->started; i++)
        cli_hand_join(&l->workers[i].hand);
    if (ok)
        code = report(l);
    for (uint32_t i = 0; i < l->options.workers; i++)
        load_worker_finish(&l->workers[i]);
    return code;
}

static int run(int argc, char **argv)
{
    struct load l = { 0 };
    int code = load_options_parse(argc, argv, &l.options);

    if (code != CLI_GO_ON)
        return code;
    if (cli_raise_files_max() < (uint64_t)l.options.sessions + FILES_SPARED)
        return cli_error("load", "the system allows too few open files for %u sessions",
                         l.options.sessions);
    l.run.options = &l.options;
    l.run.id = cli_random();
    l.workers = calloc(l.options.workers, sizeof(*l.workers));
    l.total = calloc(1, sizeof(*l.total));
    if (l.workers != NULL && l.total != NULL)
        code = run_load(&l);
    else
        code = cli_error("load", "no memory");
    free(l.workers);
    free(l.total);
    return code;
}

const struct cli_command cli_load_command = { "load",
                                              "send made-up mail over many sessions, and measure",
                                              run };
