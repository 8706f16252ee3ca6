/* tests/gateway/tls_reporter_rig.h - the reporter of TLS reports in virtual time, with a DNS, a
 * spool, a disk and HTTPS hosts that do what the test wants. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/tls_reporter.h"
#include "tests/observe/gunzip.h"

#define DAY0      ((time_t)1459468800) /* 2016-04-01 */
#define DAY       ((time_t)GATEWAY_TLS_DAY_S)
#define HOUR      3600
#define FILES_MAX 16
#define SENT_MAX  64
#define PENDING   64
#define RUNS_MAX  1000000

#define MAILTO(address) "v=TLSRPTv1; rua=mailto:" address
#define HTTPS(host)     "v=TLSRPTv1; rua=https://" host "/x"

static struct rig {
    struct gateway_tls_world world;
    struct gateway_tls_reporter reporter;
    struct gateway_tls_report_settings settings;
    struct observe_log *log;
    struct gateway_tls_quota *quota;
    time_t now_s;

    /* The DNS. */
    struct gateway_tls_lookup *lookups[PENDING];
    size_t lookups_count, lookups_most, asked_count;
    bool has_no_worker, is_dns_failing, has_two_records;
    const char *address;
    const char *enemy; /* the record of enemy0.example and so on; NULL: none */

    /* What arrived. */
    struct sent {
        time_t at_s;
        bool is_mail;
        char to[128];
        char text[4096];
    } sent[SENT_MAX];
    size_t sent_count, posts_count;
    bool is_only_counted; /* and not kept */
    struct gateway_own_mail *mails[PENDING];
    struct gateway_tls_post *posts[PENDING];
    size_t mails_waiting, posts_waiting;
    bool is_spool_failing, is_post_failing;

    /* The disk. */
    struct file {
        char name[GATEWAY_TLS_PART_NAME_MAX];
        char text[65536];
        size_t len;
    } files[FILES_MAX];
    size_t stores_count;
    bool is_disk_failing;
} rig;

static const struct hash_seed seed = { 3, 4 };

/* What domains want; others want nothing. */
static const struct {
    const char *domain, *record;
} records[] = {
    { "mail.example", MAILTO("tls@mail.example") },
    { "https.example", HTTPS("reports.https.example") },
    { "both.example", "v=TLSRPTv1; rua=mailto:a@both.example,https://both.example/x,mailto:b@c.d" },
    { "literal.example", HTTPS("[2606:4700::1]:444") },
    { "inside.example", HTTPS("127.0.0.1") },
    { "broken.example", "v=TLSRPTv1; rua=" },
    { "nowhere.example", "v=TLSRPTv1; rua=ftp://x" },
    { "unusable.example", HTTPS("user@a.example") },
};

/* --- the world ------------------------------------------------------------------------------- */

static bool look_up(struct gateway_tls_world *world, struct gateway_tls_lookup *lookup)
{
    assert_ptr_equal(world, &rig.world);
    if (rig.has_no_worker)
        return false;
    atomic_store(&lookup->state, GATEWAY_TLS_LOOKUP_ASKED);
    rig.lookups[rig.lookups_count++] = lookup;
    if (rig.lookups_count > rig.lookups_most)
        rig.lookups_most = rig.lookups_count;
    rig.asked_count++;
    return true;
}

/* "#" stands for the number of the domain. */
static void answer_enemy(struct gateway_tls_lookup *l, const char *number)
{
    struct slice digits = slice_first(slice_from(number), strspn(number, "0123456789"));

    l->records_count = 1;
    for (const char *c = rig.enemy; *c != '\0'; c++) {
        struct slice next = *c == '#' ? digits : (struct slice){ c, 1 };

        memcpy(l->record + l->record_bytes, next.data, next.len);
        l->record_bytes += next.len;
    }
}

static void answer_lookup(struct gateway_tls_lookup *l)
{
    static const char enemy[] = "_smtp._tls.enemy";

    l->is_failed = rig.is_dns_failing;
    if (rig.enemy != NULL && strncmp(l->name, enemy, strlen(enemy)) == 0)
        answer_enemy(l, l->name + strlen(enemy));
    for (size_t i = 0; i < ARRAY_LEN(records) && l->kind == GATEWAY_TLS_LOOKUP_RECORD; i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), "_smtp._tls.%s", records[i].domain);
        if (strcmp(name, l->name) != 0 || rig.is_dns_failing)
            continue;
        l->records_count = rig.has_two_records ? 2 : 1;
        l->record_bytes = strlen(records[i].record);
        memcpy(l->record, records[i].record, l->record_bytes);
    }
    if (l->kind == GATEWAY_TLS_LOOKUP_ADDRESSES && rig.address[0] != '\0' && !rig.is_dns_failing)
        assert_true(ip_parse(slice_from(rig.address), &l->addresses[l->addresses_count++]));
    atomic_store(&l->state, GATEWAY_TLS_LOOKUP_DONE);
}

static bool mail(struct gateway_tls_world *world, struct gateway_own_mail *letter)
{
    (void)world;
    if (rig.has_no_worker)
        return false;
    atomic_store(&letter->state, GATEWAY_OWN_MAIL_POSTED);
    rig.mails[rig.mails_waiting++] = letter;
    return true;
}

static void keep(bool is_mail, struct slice to, struct slice text)
{
    struct sent *s = &rig.sent[rig.sent_count % SENT_MAX];

    rig.sent_count++;
    if (rig.is_only_counted)
        return;
    assert_true(rig.sent_count < SENT_MAX && text.len < sizeof(s->text));
    s->at_s = rig.now_s;
    s->is_mail = is_mail;
    (void)snprintf(s->to, sizeof(s->to), "%.*s", SLICE_ARGS(to));
    (void)snprintf(s->text, sizeof(s->text), "%.*s", SLICE_ARGS(text));
}

/* A post, decoded. */
static void keep_post(struct slice url, struct slice body)
{
    char json[sizeof(rig.sent[0].text)];

    keep(false, url, (struct slice){ json, gunzip(body, json, sizeof(json)) });
}

static void commit(struct gateway_own_mail *letter)
{
    struct buffer text;

    assert_int_equal(letter->flags, SPOOL_MESSAGE_TLS_OPTIONAL);
    assert_true(slice_equal(letter->sender, slice_from(rig.settings.contact)));
    assert_int_equal(letter->recipients_count, 1);
    buffer_init(&text, letter->bytes_max);
    assert_int_equal(letter->compose(letter, 77, rig.now_s, &text), STATUS_OK);
    if (!rig.is_spool_failing)
        keep(true, letter->recipients[0], buffer_contents(&text));
    buffer_finish(&text);
    atomic_store(&letter->state,
                 rig.is_spool_failing ? GATEWAY_OWN_MAIL_REFUSED : GATEWAY_OWN_MAIL_COMMITTED);
}

static void post(struct gateway_tls_world *world, struct gateway_tls_post *transfer)
{
    (void)world;
    rig.posts_count++;
    transfer->state = GATEWAY_TLS_POST_RUNNING;
    rig.posts[rig.posts_waiting++] = transfer;
}

static void end_post(struct gateway_tls_post *transfer)
{
    transfer->state = rig.is_post_failing ? GATEWAY_TLS_POST_FAILED : GATEWAY_TLS_POST_TAKEN;
    (void)snprintf(transfer->reason, sizeof(transfer->reason), "https: no");
    if (!rig.is_post_failing)
        keep_post(slice_from(transfer->url), transfer->body);
}

static struct file *find_file(const char *name)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (strcmp(rig.files[i].name, name) == 0)
            return &rig.files[i];
    return NULL;
}

static enum status store(struct gateway_tls_world *world, const char *name, struct slice text)
{
    struct file *f = find_file(name);

    (void)world;
    if (rig.is_disk_failing)
        return STATUS_NO_SPACE;
    if (f == NULL)
        f = find_file("");
    if (f == NULL || text.len > sizeof(f->text))
        fail_msg("no room for %s", name);
    assert_true(f != NULL);
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    memcpy(f->text, text.data, text.len);
    f->len = text.len;
    rig.stores_count++;
    return STATUS_OK;
}

static void remove_file(struct gateway_tls_world *world, const char *name)
{
    struct file *f = find_file(name);

    (void)world;
    if (f != NULL)
        f->name[0] = '\0';
}

static inline size_t files_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < FILES_MAX; i++)
        count += rig.files[i].name[0] != '\0';
    return count;
}

/* --- time ------------------------------------------------------------------------------------ */

/* Answers one thing that waits. */
static bool answer_one(void)
{
    if (rig.lookups_count > 0)
        answer_lookup(rig.lookups[--rig.lookups_count]);
    else if (rig.mails_waiting > 0)
        commit(rig.mails[--rig.mails_waiting]);
    else if (rig.posts_waiting > 0)
        end_post(rig.posts[--rig.posts_waiting]);
    else
        return false;
    return true;
}

/* To this moment, by the waits that the reporter asks for. */
static inline void pass_to(time_t to_s)
{
    for (unsigned runs = 0; runs < RUNS_MAX; runs++) {
        unsigned wait_s = gateway_tls_reporter_run(&rig.reporter, rig.now_s);
        bool is_answered = false;

        assert_true(wait_s > 0 && wait_s <= GATEWAY_TLS_LOOK_S_MAX);
        while (answer_one())
            is_answered = true;
        if (is_answered)
            continue;
        if (rig.now_s >= to_s)
            return;
        rig.now_s = rig.now_s + (time_t)wait_s < to_s ? rig.now_s + (time_t)wait_s : to_s;
    }
    fail_msg("it turns round and round");
}

/* Sessions with a domain, as a worker gives them. */
static inline void see_of(time_t day_s, const char *domain, uint64_t count)
{
    const struct observe_tls_result result = { .report_domain = slice_from(domain) };
    struct observe_tls_results results;

    assert_int_equal(observe_tls_results_init(&results, &seed), STATUS_OK);
    observe_tls_results_add(&results, &result, count);
    gateway_tls_reporter_add(&rig.reporter, day_s, &results, rig.now_s);
    observe_tls_results_finish(&results);
}

static inline void see(const char *domain)
{
    see_of(observe_tls_report_day(rig.now_s), domain, 1);
}

static void begin(void)
{
    gateway_tls_reporter_init(&rig.reporter, &rig.world, &rig.settings, &seed);
    gateway_tls_reporter_configure(&rig.reporter, &rig.settings);
}

static inline void restart(void)
{
    gateway_tls_reporter_finish(&rig.reporter);
    rig.lookups_count = rig.mails_waiting = rig.posts_waiting = 0;
    begin();
    for (size_t i = 0; i < FILES_MAX; i++)
        if (rig.files[i].name[0] != '\0')
            assert_int_equal(gateway_tls_reporter_restore(
                                 &rig.reporter, slice_from(rig.files[i].name),
                                 (struct slice){ rig.files[i].text, rig.files[i].len }, rig.now_s),
                             STATUS_OK);
}

static inline int set_up(void **unused)
{
    static const struct gateway_tls_world_ops ops = {
        .look_up = look_up, .mail = mail, .post = post, .store = store, .remove = remove_file
    };

    (void)unused;
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(observe_log_create("/dev/null", 1, &rig.log), STATUS_OK);
    assert_int_equal(gateway_tls_quota_create(&seed, &rig.quota), STATUS_OK);
    rig.world = (struct gateway_tls_world){
        .ops = &ops, .log = observe_log_writer(rig.log, 0), .quota = rig.quota, .bell = -1
    };
    rig.settings = (struct gateway_tls_report_settings){ .send = true,
                                                         .hostname = "mx.us.example",
                                                         .domain = "us.example",
                                                         .organization = "Us",
                                                         .contact = "tls@us.example" };
    rig.address = "198.51.99.7";
    rig.now_s = DAY0 + 8 * HOUR;
    begin();
    return 0;
}

static inline int tear_down(void **unused)
{
    (void)unused;
    gateway_tls_reporter_finish(&rig.reporter);
    gateway_tls_quota_destroy(rig.quota);
    observe_log_destroy(rig.log);
    return 0;
}
