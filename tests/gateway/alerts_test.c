/* The keeper of alerts without a worker that runs: what is posted by whom, what the log says. */
#include "gateway/alerts.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/alert_sources.h"
#include "gateway/certificate_watch.h"
#include "gateway/watch.h"
#include "gateway/worker.h"

#define LOG_BYTES_MAX (4 << 20)
#define THREADS       4
#define POSTS         2000
#define DAY           ((int64_t)86400)

static char folder[64], log_path[96];
static char text[LOG_BYTES_MAX];
static struct gateway_process *process;
static struct gateway_worker *worker;
static struct config_settings settings;
static const char *mail[] = { "ops@example.com", "night@other.example" };

static int set_up(void **unused)
{
    (void)unused;
    (void)snprintf(folder, sizeof(folder), "/tmp/postern-alerts-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
    process = calloc(1, sizeof(*process));
    worker = aligned_alloc(alignof(struct gateway_worker), sizeof(*worker));
    assert_true(process != NULL && worker != NULL);
    memset((void *)worker, 0, sizeof(*worker));
    process->workers = worker;
    process->workers_count = 1;
    worker->process = process;
    settings = (struct config_settings){
        .hostname = "mx.example.com",
        .alerts = { .mail = mail,
                    .mail_count = ARRAY_LEN(mail),
                    .from = "",
                    .command = "",
                    .initial_wait_s = 300,
                    .max_wait_s = 3600,
                    .required_tls = true,
                    .spool = true,
                    .certificates = true },
    };
    assert_int_equal(observe_log_create(log_path, GATEWAY_ALERTS_WRITERS, &process->log),
                     STATUS_OK);
    assert_int_equal(gateway_alerts_create(process, 0, &process->alerts), STATUS_OK);
    return 0;
}

/* Ends the keeper, and returns what the log says. */
static const char *end(void)
{
    FILE *file;
    size_t len;

    gateway_alerts_stop(process->alerts);
    observe_log_destroy(process->log);
    process->log = NULL;
    file = fopen(log_path, "r");
    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return text;
}

static int tear_down(void **unused)
{
    (void)unused;
    if (process->log != NULL)
        (void)end();
    gateway_alerts_destroy(process->alerts);
    free(worker);
    free(process);
    (void)unlink(log_path);
    (void)rmdir(folder);
    return 0;
}

static void configure(void)
{
    assert_int_equal(gateway_alerts_configure(process->alerts, &settings), STATUS_OK);
}

static size_t occurrences(const char *log, const char *part)
{
    size_t count = 0;

    for (; (log = strstr(log, part)) != NULL; log++)
        count++;
    return count;
}

#define DOMAIN SLICE("Example.COM")
#define SAY    "Alert required-tls: A required TLS connection to domain 'Example.COM' failed: "

static void failed_tls_is_told_with_host_and_queue_and_not_by_the_way_that_failed(void **unused)
{
    struct ip_endpoint v4, v6;
    const char *log;

    (void)unused;
    assert_true(ip_endpoint_parse(SLICE("192.0.2.1:25"), 0, &v4));
    assert_true(ip_endpoint_parse(SLICE("[2001:db8::1]:2525"), 0, &v6));
    settings.alerts.initial_wait_s = settings.alerts.max_wait_s = 0;
    configure();
    gateway_alert_tls_recovered(worker, DOMAIN); /* nothing was wrong */
    gateway_alert_tls_failed(worker, DOMAIN, SLICE("mx1.example.com"), &v4, SLICE("a\r\nb"), 7);
    gateway_alert_tls_failed(worker, DOMAIN, SLICE(""), &v6, SLICE("expired"), 1);
    gateway_alert_tls_failed(worker, DOMAIN, SLICE(""), NULL, SLICE("no host has TLSA"), 0);
    gateway_alert_tls_recovered(worker, SLICE("other.example"));
    gateway_alert_tls_recovered(worker, SLICE("example.com"));
    gateway_alert_tls_recovered(worker, DOMAIN); /* is told once */
    log = end();
    assert_non_null(strstr(log, "Warning: " SAY "a\\x0d\\x0ab. Host: mx1.example.com "
                                "[192.0.2.1]:25. 7 messages are queued.\n"));
    assert_non_null(strstr(log, SAY "expired. Host: [2001:db8::1]:2525. 1 message is queued."));
    assert_non_null(strstr(log, SAY "no host has TLSA. 0 messages are queued."));
    assert_int_equal(occurrences(log, "Recovered: "), 1);
    assert_non_null(strstr(log, "Info: Alert required-tls: Recovered: A required TLS"));
    assert_int_equal(
        occurrences(log, "Critical: Error while sending alert: Unable to send System/Warning alert "
                         "to ops@example.com with subject \"Warning <System> mx.example.com: A "
                         "required TLS"),
        3);
    assert_null(strstr(log, "to night@other.example"));
}

static void what_is_posted_before_there_are_settings_waits_for_them(void **unused)
{
    const char *log;

    (void)unused;
    for (int i = 0; i < GATEWAY_ALERTS_POSTED_MAX + 3; i++)
        gateway_alert_raise(worker, OBSERVE_ALERT_SPOOL, SLICE("recovery"),
                            OBSERVE_SEVERITY_CRITICAL, SLICE("damage"));
    configure();
    log = end();
    assert_int_equal(occurrences(log, "Critical: Alert spool: damage\n"), 1);
    assert_non_null(strstr(log, "3 more alerts than can wait were dropped"));
}

static void kinds_that_are_switched_off_are_not_told(void **unused)
{
    static const struct {
        enum observe_alert_kind kind;
        bool is_told;
    } cases[] = {
        { OBSERVE_ALERT_SPOOL, false },
        { OBSERVE_ALERT_CERTIFICATE, false },
        { OBSERVE_ALERT_REQUIRED_TLS, false },
        { OBSERVE_ALERT_WORKER, true },
    };
    struct gateway_alert_record record;

    (void)unused;
    settings.alerts.spool = settings.alerts.certificates = settings.alerts.required_tls = false;
    configure();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        gateway_alert_raise(worker, cases[i].kind, SLICE("x"), OBSERVE_SEVERITY_WARNING,
                            SLICE("y"));
    assert_int_equal(occurrences(end(), "Warning: Alert "), 1);
    assert_int_equal(gateway_alerts_latest(process->alerts, &record, 1), 1);
    assert_int_equal(record.kind, OBSERVE_ALERT_WORKER);
}

static void the_latest_ones_come_newest_first(void **unused)
{
    static struct gateway_alert_record records[2 * GATEWAY_ALERTS_LATEST_MAX];
    char subject[16];

    (void)unused;
    configure();
    assert_int_equal(gateway_alerts_latest(NULL, records, 1), 0);
    assert_int_equal(gateway_alerts_latest(process->alerts, records, 1), 0);
    for (int i = 0; i < GATEWAY_ALERTS_LATEST_MAX + 5; i++) {
        (void)snprintf(subject, sizeof(subject), "s%d", i);
        gateway_alert_raise(worker, OBSERVE_ALERT_SPOOL, slice_from(subject),
                            OBSERVE_SEVERITY_CRITICAL, SLICE("damage"));
    }
    (void)end();
    assert_int_equal(gateway_alerts_latest(process->alerts, records, ARRAY_LEN(records)),
                     GATEWAY_ALERTS_LATEST_MAX);
    for (int i = 0; i < GATEWAY_ALERTS_LATEST_MAX; i++) {
        (void)snprintf(subject, sizeof(subject), "s%d", GATEWAY_ALERTS_LATEST_MAX + 4 - i);
        assert_string_equal(records[i].subject, subject);
    }
    assert_int_equal(gateway_alerts_latest(process->alerts, records, 2), 2);
    assert_string_equal(records[1].subject, "s43");
}

static void *post_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < POSTS; i++) {
        struct observe_alert alert = { .kind = OBSERVE_ALERT_SPOOL,
                                       .severity = OBSERVE_SEVERITY_CRITICAL,
                                       .subject = SLICE("log 0"),
                                       .text = SLICE("failed") };

        gateway_alerts_raise(process->alerts, &alert);
        if (i % 7 == 0)
            gateway_alerts_clear(process->alerts, alert.kind, alert.subject);
    }
    return NULL;
}

static void threads_post_at_once_and_each_post_is_told_held_or_dropped(void **unused)
{
    pthread_t threads[THREADS];
    const char *log;

    (void)unused;
    settings.alerts.mail_count = 0;
    configure();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    log = end();
    assert_true(occurrences(log, "Alert spool: failed\n") == 1);
    assert_true(occurrences(log, "Recovered: ") <= 1);
    post_many(NULL); /* too late: dropped, and freed */
}

static void the_domains_of_a_worker_are_bounded(void **unused)
{
    char domain[32];

    (void)unused;
    for (int i = 0; i < 2 * GATEWAY_ALERT_DOMAINS_MAX; i++) {
        (void)snprintf(domain, sizeof(domain), "d%d.example", i);
        gateway_alert_tls_failed(worker, slice_from(domain), SLICE(""), NULL, SLICE("x"), 0);
        gateway_alert_tls_failed(worker, slice_from(domain), SLICE(""), NULL, SLICE("x"), 0);
        assert_int_equal(worker->alert_domains.count,
                         i < GATEWAY_ALERT_DOMAINS_MAX ? i + 1 : GATEWAY_ALERT_DOMAINS_MAX);
    }
    for (int i = 0; i < 2 * GATEWAY_ALERT_DOMAINS_MAX; i++) {
        (void)snprintf(domain, sizeof(domain), "D%d.example", i);
        gateway_alert_tls_recovered(worker, slice_from(domain));
    }
    assert_int_equal(worker->alert_domains.count, 0);
}

static void a_certificate_has_stages_before_its_end(void **unused)
{
    static const struct {
        int64_t left_s;
        unsigned stage;
    } cases[] = {
        { 400 * DAY, GATEWAY_CERTIFICATE_FAR },
        { 90 * DAY + 1, GATEWAY_CERTIFICATE_FAR },
        { 90 * DAY, 90 },
        { 60 * DAY + 1, 90 },
        { 60 * DAY, 60 },
        { 30 * DAY, 30 },
        { 15 * DAY, 15 },
        { 5 * DAY + 1, 15 },
        { 5 * DAY, 5 },
        { 4 * DAY, 4 },
        { 3 * DAY, 3 },
        { 2 * DAY, 2 },
        { DAY, 1 },
        { 1, 1 },
        { 0, GATEWAY_CERTIFICATE_EXPIRED },
        { -400 * DAY, GATEWAY_CERTIFICATE_EXPIRED },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(gateway_certificate_stage(1000 * DAY + cases[i].left_s, 1000 * DAY),
                         cases[i].stage);
    assert_int_equal(gateway_certificate_stage(INT64_MAX, 1000 * DAY), GATEWAY_CERTIFICATE_FAR);
}

static void a_worker_that_is_silent_is_told_until_it_beats(void **unused)
{
    static struct gateway_watch watch;
    uint64_t now_ms = 100000;
    const char *log;

    (void)unused;
    watch = (struct gateway_watch){ .process = process };
    settings.alerts.initial_wait_s = settings.alerts.max_wait_s = 0;
    configure();
    atomic_store(&worker->beat_ms, now_ms);
    assert_true(gateway_watch_workers(&watch, now_ms - 1)); /* it has just beaten */
    assert_true(gateway_watch_workers(&watch, now_ms + GATEWAY_WORKER_SILENT_MS));
    assert_false(gateway_watch_workers(&watch, now_ms + GATEWAY_WORKER_SILENT_MS + 1));
    assert_false(gateway_watch_workers(&watch, now_ms + GATEWAY_WORKER_SILENT_MS + 2));
    gateway_watch_repeat(&watch, now_ms + GATEWAY_WATCH_REPEAT_MS, 0);
    gateway_watch_repeat(&watch, now_ms + GATEWAY_WATCH_REPEAT_MS + 1, 0);
    atomic_store(&worker->beat_ms, now_ms + GATEWAY_WATCH_REPEAT_MS);
    assert_true(gateway_watch_workers(&watch, now_ms + GATEWAY_WATCH_REPEAT_MS));
    log = end();
    assert_int_equal(occurrences(log, "Critical: Alert worker: Worker 0 has shown no sign"), 2);
    assert_int_equal(occurrences(log, "Info: Alert worker: Recovered: Worker 0"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(failed_tls_is_told_with_host_and_queue_and_not_by_the_way_that_failed),
        TEST(what_is_posted_before_there_are_settings_waits_for_them),
        TEST(kinds_that_are_switched_off_are_not_told),
        TEST(the_latest_ones_come_newest_first),
        TEST(threads_post_at_once_and_each_post_is_told_held_or_dropped),
        TEST(the_domains_of_a_worker_are_bounded),
        TEST(a_certificate_has_stages_before_its_end),
        TEST(a_worker_that_is_silent_is_told_until_it_beats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
