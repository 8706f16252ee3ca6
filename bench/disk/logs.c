/* bench/disk/logs - the spool's logs as the gateway runs them, without SMTP in front.
 *
 *     logs SPOOL WORKERS SESSIONS BYTES SIZES
 *
 * Each line of standard input is a number of messages; when they are durable the answer is an
 * object of JSON on a line, and SIZES holds the bytes of each write, one a line, for `raw stream`.
 *
 * So many sessions hand messages over as a receipt does (gateway/receipt.c): draft, reservation,
 * append; a session has its next message when the one before is on stable storage. What is below
 * is the gateway's own: store, log, segment files, engine. Each message is struck out at once, as
 * if it had been delivered, so that segments are recycled; these records share the writes.
 *
 * A loop makes at most TURN_MESSAGES messages before it looks for completions, as if that many
 * clients had been heard. Latency is that of a commit, from the hand-over on. SPOOL is made, and
 * stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cli/crew.h"
#include "cli/load_histogram.h"
#include "gateway/alerts.h"
#include "gateway/message_recover.h"
#include "gateway/queue_job.h"
#include "gateway/recovery.h"
#include "gateway/spool_start.h"
#include "gateway/worker.h"

#define TURN_MESSAGES 16
#define SESSIONS_MAX  100000u
#define MESSAGES_MAX  10000000u
#define SIZES_MAX     1000000u /* writes of a run that are listed */
#define LINE_ROOM     32
#define POLL_US       1000
#define RETRY_MS      1

struct session {
    struct spool_ticket ticket;
    struct list_node node; /* of the worker's ready ones */
    struct worker *worker;
    struct spool_message *message;
    struct spool_reservation reservation;
    uint64_t since_us;
};

struct worker {
    struct gateway_worker gateway;
    struct cli_hand hand;
    struct bench *bench;
    struct list ready;
    size_t ready_count;
    struct session *sessions;
    size_t sessions_count;
    struct engine_message produce;
    struct engine_message go;
    struct engine_timer retry; /* until a segment is prepared */
    bool is_produce_posted;
    struct engine_message leave;
    bool is_leaving;
    _Atomic bool rests; /* nothing waits and nothing is in flight */
    struct load_histogram latency_us;
    uint64_t ended_us;
    uint64_t refused; /* reservations, because no segment was prepared in time */
    uint32_t *sizes;
    size_t sizes_count;
    uint64_t messages_seen, bytes_seen; /* of the log's counters */
};

struct bench {
    struct gateway_process process;
    struct worker *workers;
    uint64_t bytes;
    uint64_t last; /* message of this run */
    char *body;
    char *trace;
    size_t trace_bytes;
    _Atomic uint64_t next; /* message */
};

__attribute__((noreturn)) static void die(const char *what, enum status status)
{
    fprintf(stderr, "postern: bench: logs: %s: %s\n", what, status_text(status));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- a session ------------------------------------------------------------------------------- */

static void must(const char *what, enum status status)
{
    if (status != STATUS_OK)
        die(what, status);
}

static struct spool_message *make_message(const struct bench *b, uint64_t number)
{
    const struct spool_envelope envelope = {
        .mid = number,
        .icid = number,
        .arrival_wall_s = 1,
        .sender = SLICE("sender@load.invalid"),
        .info = { [SPOOL_INFO_LISTENER] = SLICE("Inbound"),
                  [SPOOL_INFO_CLIENT_IP] = SLICE("127.0.0.1"),
                  [SPOOL_INFO_HELO] = SLICE("client.lab.test"),
                  [SPOOL_INFO_GROUP] = SLICE("ALL") },
    };
    struct spool_draft draft;

    spool_draft_init(&draft);
    must("draft", spool_draft_begin(&draft, &envelope,
                                    b->bytes < SPOOL_DRAFT_HINT_MAX ? (size_t)b->bytes
                                                                    : SPOOL_DRAFT_HINT_MAX));
    must("recipient", spool_draft_add_recipient(&draft, SLICE("user12345@example.com")));
    must("trace", spool_draft_trace(&draft, (struct slice){ b->trace, b->trace_bytes }));
    must("body", spool_draft_body(&draft, (struct slice){ b->body, (size_t)b->bytes }));
    return spool_draft_complete(&draft);
}

/* False: no room is prepared; the gateway would have said 452. */
static bool hand_over(struct session *s)
{
    struct gateway_store *store = &s->worker->gateway.store;

    if (!gateway_store_reserve(store, &s->reservation, spool_message_record_bytes(s->message))) {
        s->worker->refused++;
        return false;
    }
    s->since_us = now_us();
    must("append", gateway_store_append(store, s->message, &s->reservation, &s->ticket));
    return true;
}

static void post_produce(struct worker *w)
{
    if (w->is_produce_posted || engine_timer_is_running(&w->retry) || list_is_empty(&w->ready))
        return;
    w->is_produce_posted = true;
    engine_mailbox_post(w->hand.loop, w->hand.loop, &w->produce);
}

static void put_ready(struct worker *w, struct session *s)
{
    list_append(&w->ready, &s->node);
    w->ready_count++;
}

static void on_retry(struct engine_timer *timer)
{
    post_produce(CONTAINER_OF(timer, struct worker, retry));
}

static void produce(struct engine_loop *loop, struct engine_message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, produce);
    struct bench *b = w->bench;

    (void)loop;
    w->is_produce_posted = false;
    for (int i = 0; i < TURN_MESSAGES && !list_is_empty(&w->ready); i++) {
        struct session *s = CONTAINER_OF(w->ready.head.next, struct session, node);

        if (s->message == NULL) {
            uint64_t number = atomic_fetch_add(&b->next, 1);

            if (number > b->last)
                return; /* so it is for all that come back */
            s->message = make_message(b, number);
        }
        if (!hand_over(s)) {
            engine_timer_start(w->hand.loop, &w->retry, RETRY_MS, on_retry);
            return;
        }
        list_remove(&s->node);
        w->ready_count--;
    }
    post_produce(w);
}

void gateway_message_ticket_back(struct spool_ticket *ticket)
{
    struct session *s = CONTAINER_OF(ticket, struct session, ticket);
    struct worker *w = s->worker;

    must("a write", ticket->status);
    w->ended_us = now_us();
    load_histogram_record(&w->latency_us, w->ended_us - s->since_us);
    gateway_store_done(&w->gateway.store, ticket->mid, &ticket->location, NULL);
    spool_message_destroy(s->message);
    s->message = NULL;
    put_ready(w, s);
    post_produce(w);
}

/* --- a worker's thread ----------------------------------------------------------------------- */

static struct worker *worker_of(const struct cli_hand *hand)
{
    return (struct worker *)((char *)hand - offsetof(struct worker, hand));
}

static void begin(struct cli_hand *hand)
{
    struct worker *w = worker_of(hand);

    w->gateway.loop = hand->loop;
    gateway_store_start(&w->gateway.store);
}

static void go(struct engine_loop *loop, struct engine_message *m)
{
    (void)loop;
    post_produce(CONTAINER_OF(m, struct worker, go));
}

static void leave(struct engine_loop *loop, struct engine_message *m)
{
    (void)loop;
    CONTAINER_OF(m, struct worker, leave)->is_leaving = true;
}

static bool is_at_rest(const struct worker *w)
{
    return w->ready_count == w->sessions_count && !w->is_produce_posted &&
           !engine_timer_is_running(&w->retry) && gateway_store_is_settled(&w->gateway.store) &&
           gateway_store_is_quiet(&w->gateway.store);
}

static void turned(struct cli_hand *hand)
{
    struct worker *w = worker_of(hand);
    const struct spool_log_counters *c = spool_log_counters(&w->gateway.store.log);

    /* A turn ends one write at most. One without messages is the last of a run, when its time has
     * been taken. */
    if (c->messages > w->messages_seen && w->sizes_count < SIZES_MAX)
        w->sizes[w->sizes_count++] = (uint32_t)(c->batch_bytes - w->bytes_seen);
    w->messages_seen = c->messages;
    w->bytes_seen = c->batch_bytes;
    if (is_at_rest(w))
        atomic_store(&w->rests, true);
}

static bool is_done(const struct cli_hand *hand)
{
    return worker_of(hand)->is_leaving;
}

static void stop(struct cli_hand *hand, bool at_once)
{
    (void)hand, (void)at_once;
}

static const struct cli_hand_handlers handlers = {
    .begin = begin, .turned = turned, .stop = stop, .is_done = is_done
};

/* --- what the store wants of the rest of the gateway ----------------------------------------- */

/* Nothing is recovered: the spool is new. */
enum status gateway_message_keep(const struct gateway_message_keeping *keeping,
                                 const struct spool_recovered_message *found,
                                 const struct spool_message *view,
                                 struct gateway_message **message_out)
{
    (void)keeping, (void)found, (void)view, (void)message_out;
    return STATUS_UNSUPPORTED;
}

struct spool_recovered_message *gateway_message_room(struct gateway_message *m)
{
    (void)m;
    return NULL;
}

void gateway_message_discard(struct gateway_message *m)
{
    (void)m;
}

void gateway_message_recall(struct gateway_message *m, const struct spool_result *results)
{
    (void)m, (void)results;
}

enum status gateway_message_settle(struct gateway_message *m, struct gateway_worker *home,
                                   struct spool_segment *segment)
{
    (void)m, (void)home, (void)segment;
    return STATUS_UNSUPPORTED;
}

void gateway_message_start(struct gateway_message *m)
{
    (void)m;
}

void gateway_message_destroy(struct gateway_message *m)
{
    (void)m;
}

enum status gateway_lanes_init(struct gateway_lanes *lanes, struct gateway_process *process)
{
    (void)lanes, (void)process;
    return STATUS_OK;
}

void gateway_lanes_finish(struct gateway_lanes *lanes)
{
    (void)lanes;
}

void gateway_worker_store_settled(struct gateway_worker *w)
{
    (void)w;
}

void gateway_queue_job_synced(struct spool_ticket *ticket)
{
    (void)ticket;
}

void gateway_worker_check_drained(struct gateway_worker *w)
{
    (void)w;
}

time_t gateway_worker_now_s(const struct gateway_worker *w)
{
    (void)w;
    return 1;
}

void gateway_alert_raise(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject, enum observe_severity severity, struct slice text)
{
    (void)w, (void)kind, (void)subject, (void)severity;
    fprintf(stderr, "postern: bench: logs: %.*s\n", SLICE_ARGS(text));
}

void gateway_alert_clear(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject)
{
    (void)w, (void)kind, (void)subject;
}

void gateway_alerts_raise(struct gateway_alerts *alerts, const struct observe_alert *alert)
{
    (void)alerts, (void)alert;
}

void observe_log_line(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      const char *format, ...)
{
    (void)w, (void)level, (void)wall_s, (void)format;
}

/* --- the whole ------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void make_text(struct bench *b)
{
    static char trace[] =
        "Received: from client.lab.test ([127.0.0.1]) by mx.lab.test with ESMTP id 12345 for "
        "<user12345@example.com>;\r\n\tThu, 26 Nov 2026 10:00:00 +0000\r\n";

    b->trace = trace;
    b->trace_bytes = sizeof(trace) - 1;
    b->body = malloc((size_t)b->bytes + 1);
    if (b->body == NULL)
        die("body", STATUS_NO_MEMORY);
    for (uint64_t at = 0; at < b->bytes; at++)
        b->body[at] = at % 78 == 76 ? '\r' : at % 78 == 77 ? '\n' : (char)('a' + at % 23);
}

static void start(struct bench *b, const char *path, unsigned workers, uint64_t sessions)
{
    const struct config_settings settings = { .spool_path = path, .hostname = "gw.example" };
    const struct spool_recovery *spool;

    b->workers = calloc(workers, sizeof(*b->workers));
    if (b->workers == NULL)
        die("workers", STATUS_NO_MEMORY);
    b->process.workers_count = workers;
    must(path, gateway_spool_open(&b->process, &settings));
    spool = gateway_recovery_spool(b->process.recovery);
    must("helper", engine_helper_create(1, 2 * workers, &b->process.segments));
    if (!b->process.spool_is_direct)
        must("helper", engine_helper_create(workers, workers, &b->process.committer));
    for (unsigned i = 0; i < workers; i++) {
        struct worker *w = &b->workers[i];
        struct engine_reason reason = { "" };

        w->bench = b;
        w->gateway.process = &b->process;
        w->gateway.index = i;
        w->produce.deliver = produce;
        w->go.deliver = go;
        w->leave.deliver = leave;
        list_init(&w->ready);
        w->sessions_count = (size_t)(sessions / workers + (i < sessions % workers ? 1 : 0));
        w->sessions = calloc(w->sessions_count, sizeof(*w->sessions));
        w->sizes = calloc(SIZES_MAX, sizeof(*w->sizes));
        if (w->sessions == NULL || w->sizes == NULL)
            die("sessions", STATUS_NO_MEMORY);
        for (size_t k = 0; k < w->sessions_count; k++) {
            w->sessions[k].worker = w;
            put_ready(w, &w->sessions[k]);
        }
        must("log", gateway_store_init(&w->gateway.store, &w->gateway, spool->batch_next,
                                       spool->sequence_next));
        spool_log_adopted(&w->gateway.store.log);
        if (cli_hand_start(&w->hand, i, &handlers, &reason) != STATUS_OK)
            die(reason.text, STATUS_UNSUPPORTED);
    }
}

static void wait_for_rest(struct bench *b)
{
    for (unsigned i = 0; i < b->process.workers_count; i++)
        while (!atomic_load(&b->workers[i].rests))
            (void)usleep(POLL_US);
}

static void write_sizes(const struct bench *b, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        die(path, status_from_errno(errno));
    for (unsigned i = 0; i < b->process.workers_count; i++)
        for (size_t k = 0; k < b->workers[i].sizes_count; k++)
            (void)fprintf(file, "%u\n", b->workers[i].sizes[k]);
    if (fclose(file) != 0)
        die(path, status_from_errno(errno));
}

/* Of the run that ended. */
static void report(struct bench *b, uint64_t began_us, double cpu_s)
{
    static struct load_histogram all;
    uint64_t writes = 0, bytes = 0, refused = 0, ended_us = began_us;

    all = (struct load_histogram){ 0 };
    for (unsigned i = 0; i < b->process.workers_count; i++) {
        const struct worker *w = &b->workers[i];

        load_histogram_merge(&all, &w->latency_us);
        writes += w->sizes_count;
        for (size_t k = 0; k < w->sizes_count; k++)
            bytes += w->sizes[k];
        refused += w->refused;
        if (w->ended_us > ended_us)
            ended_us = w->ended_us;
    }
    printf("{\"count\": %llu, \"bytes\": %llu, \"writes\": %llu, \"seconds\": %.6f, "
           "\"p50_us\": %llu, \"p99_us\": %llu, \"mean_us\": %llu, \"cpu_seconds\": %.3f, "
           "\"refused\": %llu, \"direct\": %s}\n",
           (unsigned long long)load_histogram_count(&all), (unsigned long long)bytes,
           (unsigned long long)writes, (double)(ended_us - began_us) / 1e6,
           (unsigned long long)load_histogram_percentile(&all, 500000),
           (unsigned long long)load_histogram_percentile(&all, 990000),
           (unsigned long long)load_histogram_mean(&all), cpu_s, (unsigned long long)refused,
           b->process.spool_is_direct ? "true" : "false");
    (void)fflush(stdout);
}

static void run(struct bench *b, uint64_t messages, const char *sizes_path)
{
    double cpu_s = cpu_seconds();
    uint64_t began_us;

    /* The loops sleep: nobody reads this meanwhile. */
    b->last = atomic_load(&b->next) - 1 + messages;
    for (unsigned i = 0; i < b->process.workers_count; i++) {
        struct worker *w = &b->workers[i];

        w->latency_us = (struct load_histogram){ 0 };
        w->sizes_count = 0;
        w->refused = 0;
        atomic_store(&w->rests, false);
    }
    began_us = now_us();
    for (unsigned i = 0; i < b->process.workers_count; i++)
        engine_mailbox_post(b->workers[i].hand.loop, NULL, &b->workers[i].go);
    wait_for_rest(b);
    /* What the sessions drew in vain is given back. */
    atomic_store(&b->next, b->last + 1);
    write_sizes(b, sizes_path);
    report(b, began_us, cpu_seconds() - cpu_s);
}

static void end(struct bench *b)
{
    for (unsigned i = 0; i < b->process.workers_count; i++)
        engine_mailbox_post(b->workers[i].hand.loop, NULL, &b->workers[i].leave);
    for (unsigned i = 0; i < b->process.workers_count; i++)
        while (!cli_hand_is_done(&b->workers[i].hand))
            (void)usleep(POLL_US);
    engine_helper_destroy(b->process.segments);
    engine_helper_destroy(b->process.committer);
    for (unsigned i = 0; i < b->process.workers_count; i++)
        cli_hand_join(&b->workers[i].hand);
    for (unsigned i = 0; i < b->process.workers_count; i++) {
        gateway_store_finish(&b->workers[i].gateway.store);
        for (size_t k = 0; k < b->workers[i].sessions_count; k++)
            spool_message_destroy(b->workers[i].sessions[k].message);
        free(b->workers[i].sessions);
        free(b->workers[i].sizes);
    }
    gateway_spool_close(&b->process);
    free(b->workers);
    free(b->body);
}

static bool number(const char *text, uint64_t max, uint64_t *value_out)
{
    return slice_to_number(slice_from(text), max, value_out) && *value_out > 0;
}

int main(int argc, char **argv)
{
    static struct bench b = { .next = 1 };
    uint64_t workers = 0, sessions = 0, messages;
    char line[LINE_ROOM];

    if (argc != 6 || !number(argv[2], CLI_CREW_MAX, &workers) ||
        !number(argv[3], SESSIONS_MAX, &sessions) || sessions < workers ||
        !number(argv[4], SPOOL_BODY_INLINE_MAX, &b.bytes)) {
        fputs("usage: logs SPOOL WORKERS SESSIONS BYTES SIZES <<< MESSAGES\n", stderr);
        return 2;
    }
    make_text(&b);
    start(&b, argv[1], (unsigned)workers, sessions);
    wait_for_rest(&b);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (!number(line, MESSAGES_MAX, &messages))
            die("standard input", STATUS_INVALID);
        run(&b, messages, argv[5]);
    }
    end(&b);
    return 0;
}
