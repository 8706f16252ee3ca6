/* tests/gateway/mta_sts_rig.h - MTA-STS in virtual time, with a DNS, a disk and policy hosts that
 * say what the test wants.
 *
 * Everything that waits for the world is answered by rig_settle(), unless the test holds it.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/timer.h"
#include "gateway/mta_sts_domain.h"
#include "gateway/worker.h"
#include "tests/dns/packet.h"
#include "tests/engine/fake_backend.h"

#define MANY            100
#define RIG_WAITING_MAX 512
#define RIG_FILES_MAX   64
#define RIG_START_S     1700000000ull
#define RIG_TURNS_MAX   200000
#define RIG_PASS_S_MAX  (ENGINE_DELAY_MS_MAX / 1000)

#define RIG_TEXT(mode, age) "version: STSv1\nmode: " mode "\nmax_age: " age "\nmx: mx.test\n"
#define RIG_OLD             RIG_TEXT("enforce", "86400") "x: old\n"
#define RIG_NEW             RIG_TEXT("enforce", "86400") "x: new\n"

#define ID_1 "v=STSv1; id=1;"
#define ID_2 "v=STSv1; id=2;"
#define HOUR 3600
#define DAY  86400

static struct rig {
    struct gateway_process process;
    struct gateway_worker worker;
    struct config_loaded loaded;
    struct gateway_generation generation;
    struct gateway_view view;
    struct gateway_mta_sts *sts;

    /* The DNS. */
    struct dns_source source;
    struct rig_question {
        struct dns_query *query;
        char name[300];
    } questions[RIG_WAITING_MAX];
    unsigned questions_count, txt_count; /* waiting; asked for in all */
    const char *txts[3];                 /* of every domain */
    bool holds_dns, has_no_dns, is_dns_failing, has_no_address;

    /* The disk. */
    struct gateway_mta_sts_file *file_work[RIG_WAITING_MAX];
    unsigned files_waiting, stores_count, removes_count;
    struct rig_file {
        char name[DNS_NAME_MAX];
        char bytes[1024];
        size_t len;
    } files[RIG_FILES_MAX];
    bool holds_files, is_disk_full, is_disk_failing;

    /* The policy hosts. */
    struct gateway_mta_sts_fetch *fetches[RIG_WAITING_MAX];
    unsigned fetches_waiting, fetches_count;
    const char *body;                     /* NULL: no host answers */
    enum observe_tls_result_type trouble; /* that the fetch says then */
    bool holds_fetches, is_queue_full;
} rig;

/* --- the DNS --------------------------------------------------------------------------------- */

static void rig_dns_start(struct dns_source *s, struct dns_query *q, const char *name)
{
    struct rig_question *question = &rig.questions[rig.questions_count++];

    (void)s;
    assert_true(rig.questions_count < RIG_WAITING_MAX);
    question->query = q;
    (void)snprintf(question->name, sizeof(question->name), "%s", name);
    rig.txt_count += q->type == DNS_TYPE_TXT;
}

static void rig_dns_cancel(struct dns_source *s, struct dns_query *q)
{
    (void)s;
    for (unsigned i = 0; i < rig.questions_count; i++) {
        if (rig.questions[i].query != q)
            continue;
        rig.questions[i] = rig.questions[--rig.questions_count];
        return;
    }
    fail_msg("a question that nobody asked is cancelled");
}

static void rig_dns_answer(const struct rig_question *question)
{
    static struct packet packet;
    static struct dns_answer answer;
    enum dns_type type = question->query->type;

    packet_begin(&packet, 0, question->name, type);
    if (question->name[0] == '\0') {
        dns_answer_set(DNS_NO_NAME, type, "", &answer);
        dns_query_answer(question->query, &answer);
        return;
    }
    if (type == DNS_TYPE_TXT) {
        assert_memory_equal(question->name, "_mta-sts.", 9);
        for (size_t i = 0; i < ARRAY_LEN(rig.txts) && rig.txts[i] != NULL; i++) {
            char data[256];
            size_t len = strlen(rig.txts[i]);

            data[0] = (char)len;
            memcpy(data + 1, rig.txts[i], len);
            packet_record(&packet, question->name, type, TTL_S, data, len + 1);
        }
    } else {
        assert_memory_equal(question->name, "mta-sts.", 8);
        if (type == DNS_TYPE_A && !rig.has_no_address)
            packet_record(&packet, question->name, type, TTL_S, "\x7f\0\0\1", 4);
    }
    dns_answer_parse(packet_slice(&packet), type, &answer);
    if (rig.is_dns_failing)
        dns_answer_set(DNS_FAILED, type, "server failure", &answer);
    dns_query_answer(question->query, &answer);
}

static struct dns_source *rig_source(struct gateway_worker *w, struct gateway_names **names_out)
{
    static const struct dns_source_ops ops = { .start = rig_dns_start, .cancel = rig_dns_cancel };

    assert_ptr_equal(w, &rig.worker);
    *names_out = NULL;
    rig.source.ops = &ops;
    return rig.has_no_dns ? NULL : &rig.source;
}

/* --- the disk -------------------------------------------------------------------------------- */

static struct rig_file *rig_file(const char *name, bool is_new)
{
    struct rig_file *empty = NULL;

    for (size_t i = 0; i < RIG_FILES_MAX; i++) {
        if (strcmp(rig.files[i].name, name) == 0)
            return &rig.files[i];
        if (rig.files[i].name[0] == '\0')
            empty = &rig.files[i];
    }
    return is_new ? empty : NULL;
}

static enum status rig_submit_file(struct gateway_worker *w, struct gateway_mta_sts_file *file)
{
    assert_ptr_equal(w, &rig.worker);
    if (rig.is_disk_full)
        return STATUS_LIMIT;
    rig.file_work[rig.files_waiting++] = file;
    return STATUS_OK;
}

static void rig_do_file(struct gateway_mta_sts_file *file)
{
    struct rig_file *f = rig_file(file->domain, file->verb == GATEWAY_MTA_STS_STORE);
    struct slice bytes = buffer_contents(&file->bytes);

    file->status = rig.is_disk_failing ? STATUS_IO : STATUS_OK;
    if (file->verb == GATEWAY_MTA_STS_LOAD) {
        if (f == NULL)
            file->status = STATUS_NOT_FOUND;
        else if (!rig.is_disk_failing)
            assert_int_equal(buffer_append(&file->bytes, (struct slice){ f->bytes, f->len }),
                             STATUS_OK);
    } else if (file->verb == GATEWAY_MTA_STS_STORE && f != NULL) {
        struct gateway_mta_sts_record record;

        assert_true(gateway_mta_sts_record_read(bytes, &record));
        assert_int_equal(file->fetched_s, record.fetched_s);
        rig.stores_count++;
        assert_true(bytes.len <= sizeof(f->bytes));
        (void)snprintf(f->name, sizeof(f->name), "%s", file->domain);
        memcpy(f->bytes, bytes.data, bytes.len);
        f->len = bytes.len;
    } else if (file->verb == GATEWAY_MTA_STS_REMOVE) {
        rig.removes_count++;
        if (f != NULL)
            f->name[0] = '\0';
    }
    file->done(file);
}

/* As if it had been fetched age_s ago. */
static inline void rig_keep(const char *domain, const char *id, const char *text, uint64_t age_s,
                            uint64_t max_age_s, uint64_t tried_s_ago)
{
    const struct gateway_mta_sts_record r = {
        .domain = slice_from(domain),
        .id = slice_from(id),
        .fetched_s = RIG_START_S - age_s,
        .expires_s = RIG_START_S - age_s + max_age_s,
        .tried_s = RIG_START_S - tried_s_ago,
        .text = slice_from(text),
    };
    struct rig_file *f = rig_file(domain, true);
    struct buffer b;

    buffer_init(&b, sizeof(f->bytes));
    assert_int_equal(gateway_mta_sts_record_write(&r, &b), STATUS_OK);
    (void)snprintf(f->name, sizeof(f->name), "%s", domain);
    f->len = buffer_len(&b);
    memcpy(f->bytes, buffer_contents(&b).data, f->len);
    buffer_finish(&b);
}

/* The text and id of a file; false: there is none. */
static inline bool rig_kept(const char *domain, struct gateway_mta_sts_record *record_out)
{
    const struct rig_file *f = rig_file(domain, false);

    return f != NULL && gateway_mta_sts_record_read((struct slice){ f->bytes, f->len }, record_out);
}

/* --- the policy hosts ------------------------------------------------------------------------ */

static enum status rig_submit_fetch(struct gateway_worker *w, struct gateway_mta_sts_fetch *fetch)
{
    assert_ptr_equal(w, &rig.worker);
    assert_memory_equal(fetch->host, "mta-sts.", 8);
    assert_int_equal(fetch->addresses_count, 1);
    assert_int_equal(fetch->port, 443);
    assert_int_equal(fetch->timeout_ms, 60000);
    if (rig.is_queue_full)
        return STATUS_LIMIT;
    rig.fetches_count++;
    rig.fetches[rig.fetches_waiting++] = fetch;
    return STATUS_OK;
}

static void rig_do_fetch(struct gateway_mta_sts_fetch *fetch)
{
    fetch->is_ok = rig.body != NULL;
    fetch->trouble = rig.trouble;
    (void)snprintf(fetch->reason, sizeof(fetch->reason), "%s", fetch->is_ok ? "" : "https: no");
    if (fetch->is_ok)
        assert_int_equal(buffer_append(&fetch->body, slice_from(rig.body)), STATUS_OK);
    fetch->done(fetch);
}

/* --- time ------------------------------------------------------------------------------------ */

static void rig_rang(struct engine_timer *timer)
{
    (void)timer;
}

/* Answers one thing that waits; false: nothing does, or all is held. */
static bool rig_step(void)
{
    if (!rig.holds_dns && rig.questions_count > 0) {
        struct rig_question question = rig.questions[0];

        rig.questions_count--;
        memmove(rig.questions, rig.questions + 1, rig.questions_count * sizeof(question));
        rig_dns_answer(&question);
        return true;
    }
    if (!rig.holds_files && rig.files_waiting > 0) {
        rig_do_file(rig.file_work[--rig.files_waiting]);
        return true;
    }
    if (!rig.holds_fetches && rig.fetches_waiting > 0) {
        rig_do_fetch(rig.fetches[--rig.fetches_waiting]);
        return true;
    }
    return false;
}

/* Lets at least so much time pass; 0: what is answered at once is. */
static inline void rig_pass(uint64_t seconds)
{
    static struct engine_timer timer;
    unsigned turns = 0;

    for (; seconds > RIG_PASS_S_MAX; seconds -= RIG_PASS_S_MAX)
        rig_pass(RIG_PASS_S_MAX);
    engine_timer_start(rig.worker.loop, &timer, seconds * 1000, rig_rang);
    do {
        while (rig_step())
            ;
        engine_loop_turn(rig.worker.loop);
        assert_true(++turns < RIG_TURNS_MAX);
    } while (engine_timer_is_running(&timer) || rig_step());
    engine_timer_start(rig.worker.loop, &timer, 0, rig_rang);
    while (engine_timer_is_running(&timer))
        engine_loop_turn(rig.worker.loop);
}

/* --- birth and death ------------------------------------------------------------------------- */

static inline int rig_set_up(void **state)
{
    static const struct gateway_mta_sts_ops ops = { .source = rig_source,
                                                    .file = rig_submit_file,
                                                    .fetch = rig_submit_fetch };
    static struct engine_timer timer;

    (void)state;
    timer = (struct engine_timer){ 0 };
    memset(&rig, 0, sizeof(rig));
    rig.loaded.settings.mta_sts =
        (struct config_mta_sts){ .ca_path = "", .timeout_s = 60, .port = 443 };
    rig.loaded.settings.tls_ca_path = "";
    rig.generation.config = &rig.loaded;
    rig.view = (struct gateway_view){ .generation = &rig.generation, .users_count = 1 };
    rig.worker.process = &rig.process;
    rig.worker.view = &rig.view;
    if (observe_log_create("/dev/null", 1, &rig.process.log) != STATUS_OK ||
        engine_loop_create(&(struct engine_loop_options){ .backend = &fake_backend_ops },
                           &rig.worker.loop, NULL) != STATUS_OK)
        return -1;
    rig.worker.log = observe_log_writer(rig.process.log, 0);
    fake_backend_of(rig.worker.loop)->now_ms = RIG_START_S * 1000;
    engine_timer_start(rig.worker.loop, &timer, 0, rig_rang);
    engine_loop_turn(rig.worker.loop);
    return gateway_mta_sts_create(&rig.worker, &ops, &rig.sts) == STATUS_OK ? 0 : -1;
}

static inline int rig_tear_down(void **state)
{
    (void)state;
    gateway_mta_sts_stop(rig.sts);
    assert_int_equal(rig.questions_count, 0); /* every one is cancelled */
    rig_pass(0);
    engine_loop_destroy(rig.worker.loop);
    gateway_mta_sts_destroy(rig.sts);
    observe_log_destroy(rig.process.log);
    return 0;
}

/* --- who asks -------------------------------------------------------------------------------- */

struct asker {
    struct gateway_mta_sts_query query;
    unsigned done_count;
    enum gateway_mta_sts_outcome outcome;
    const struct policy_mta_sts *policy;
    const char *then_asks; /* from inside its answer */
    bool forgets;          /* likewise */
};

static struct asker askers[MANY];

static void on_done(struct gateway_mta_sts_query *query, const struct policy_mta_sts *policy,
                    const char *reason)
{
    struct asker *a = CONTAINER_OF(query, struct asker, query);
    const char *name = a->then_asks;

    a->done_count++;
    a->outcome = query->outcome;
    a->policy = policy;
    assert_int_equal(policy != NULL, query->outcome == GATEWAY_MTA_STS_FOUND);
    assert_int_equal(reason[0] == '\0', policy != NULL);
    a->then_asks = NULL;
    if (a->forgets)
        gateway_mta_sts_forget(query);
    if (name != NULL)
        gateway_mta_sts_ask(rig.sts, query, slice_from(name), on_done);
}

static inline int set_up(void **state)
{
    memset(askers, 0, sizeof(askers));
    return rig_set_up(state);
}

static inline int tear_down(void **state)
{
    for (size_t i = 0; i < MANY; i++)
        gateway_mta_sts_forget(&askers[i].query);
    return rig_tear_down(state);
}

static inline void ask(struct asker *a, const char *domain)
{
    unsigned before = a->done_count;

    gateway_mta_sts_ask(rig.sts, &a->query, slice_from(domain), on_done);
    assert_int_equal(a->done_count, before); /* never from inside */
}

/* "old", "new", "none" for no policy, "unknown"; "?" while nothing is said. */
static inline const char *said(const struct asker *a)
{
    if (a->done_count == 0)
        return "?";
    if (a->outcome != GATEWAY_MTA_STS_FOUND)
        return a->outcome == GATEWAY_MTA_STS_ABSENT ? "none" : "unknown";
    return slice_ends_nocase(a->policy->text, SLICE("old\n")) ? "old" : "new";
}

static inline const char *answer_of(const char *domain)
{
    askers[0].done_count = 0;
    ask(&askers[0], domain);
    rig_pass(0);
    assert_int_equal(askers[0].done_count, 1);
    return said(&askers[0]);
}
