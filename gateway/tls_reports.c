#include "gateway/tls_reports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/thread.h"
#include "gateway/worker.h"
#include "spool/files.h"

#define FOLDER     "tls-reports"
#define TEMPORARY  "~new"
#define FILES_MAX  1000 /* that are looked at */
#define COLLECT_MS 2000 /* a worker that hangs is not waited for any longer */

struct gateway_tls_reports {
    struct engine_thread thread;
    struct gateway_process *process;
    int bell;                                    /* eventfd: look at the next five */
    _Atomic(struct gateway_tls_batch *) batches; /* a stack, the newest first */
    _Atomic unsigned batches_count;
    _Atomic(struct gateway_tls_report_settings *) next_settings; /* to be taken by the keeper */
    _Atomic unsigned collecting; /* workers that are asked for what they have */
    _Atomic bool is_over;
    pthread_mutex_t lock; /* of what follows, between the keeper and who asks */
    bool is_send_wanted, is_send_of_day;
    time_t send_day_s;
    bool is_on;
    size_t facts_count;
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    /* The keeper's from here on. */
    struct gateway_tls_world world;
    struct gateway_tls_reporter reporter;
    struct gateway_tls_poster *poster;
    struct gateway_tls_report_settings *settings; /* NULL: none yet */
    struct hash_seed seed;
    int folder_fd; /* -1: not open */
    bool is_collecting;
    uint64_t collect_until_ms;
};

/* --- any thread ------------------------------------------------------------------------------ */

static void ring(struct gateway_tls_reports *k)
{
    const uint64_t one = 1;

    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (write(k->bell, &one, sizeof(one)) < 0)
        return;
}

struct gateway_tls_batch *gateway_tls_batch_create(time_t day_s, const struct hash_seed *seed)
{
    struct gateway_tls_batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL)
        return NULL;
    if (observe_tls_results_init(&batch->results, seed) != STATUS_OK) {
        free(batch);
        return NULL;
    }
    batch->day_s = day_s;
    return batch;
}

void gateway_tls_batch_destroy(struct gateway_tls_batch *batch)
{
    if (batch == NULL)
        return;
    observe_tls_results_finish(&batch->results);
    free(batch);
}

void gateway_tls_reports_take(struct gateway_tls_reports *reports, struct gateway_tls_batch *batch)
{
    struct gateway_tls_batch *last;

    if (reports == NULL || atomic_load(&reports->is_over)) {
        gateway_tls_batch_destroy(batch);
        return;
    }
    (void)atomic_fetch_add(&reports->batches_count, 1);
    last = atomic_load(&reports->batches);
    do
        batch->next = last;
    while (!atomic_compare_exchange_weak(&reports->batches, &last, batch));
    ring(reports);
}

bool gateway_tls_reports_has_room(const struct gateway_tls_reports *reports)
{
    return reports == NULL || atomic_load(&reports->batches_count) < GATEWAY_TLS_BATCHES_MAX;
}

void gateway_tls_reports_collected(struct gateway_tls_reports *reports)
{
    unsigned before = atomic_fetch_sub(&reports->collecting, 1);

    ASSERT(before > 0);
    ring(reports);
}

bool gateway_tls_reports_send(struct gateway_tls_reports *reports, const time_t *day_s)
{
    bool is_on;

    if (reports == NULL)
        return false;
    ASSERT(pthread_mutex_lock(&reports->lock) == 0);
    is_on = reports->is_on;
    if (is_on) {
        /* Two requests that wait for their turn become one of all days. */
        reports->is_send_of_day = day_s != NULL && !reports->is_send_wanted;
        reports->is_send_wanted = true;
        reports->send_day_s = day_s != NULL ? *day_s : 0;
    }
    ASSERT(pthread_mutex_unlock(&reports->lock) == 0);
    ring(reports);
    return is_on;
}

size_t gateway_tls_reports_facts(struct gateway_tls_reports *reports,
                                 struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX],
                                 bool *is_on_out)
{
    size_t count;

    *is_on_out = false;
    if (reports == NULL)
        return 0;
    ASSERT(pthread_mutex_lock(&reports->lock) == 0);
    count = reports->facts_count;
    memcpy(facts, reports->facts, count * sizeof(*facts));
    *is_on_out = reports->is_on;
    ASSERT(pthread_mutex_unlock(&reports->lock) == 0);
    return count;
}

/* --- the world of the reporter --------------------------------------------------------------- */

static struct gateway_tls_reports *keeper_of(struct gateway_tls_world *world)
{
    return CONTAINER_OF(world, struct gateway_tls_reports, world);
}

static bool look_up(struct gateway_tls_world *world, struct gateway_tls_lookup *lookup)
{
    return gateway_tls_lookup_ask(lookup, keeper_of(world)->process);
}

static bool mail(struct gateway_tls_world *world, struct gateway_own_mail *letter)
{
    return gateway_own_mail_post(letter, keeper_of(world)->process);
}

static void post(struct gateway_tls_world *world, struct gateway_tls_post *transfer)
{
    gateway_tls_post_start(keeper_of(world)->poster, transfer);
}

static enum status store(struct gateway_tls_world *world, const char *name, struct slice text)
{
    int fd = keeper_of(world)->folder_fd;

    return fd >= 0 ? spool_file_replace(fd, name, TEMPORARY, text) : STATUS_IO;
}

static void remove_file(struct gateway_tls_world *world, const char *name)
{
    int fd = keeper_of(world)->folder_fd;

    /* One that stays is found too old, or is sent once more, after the next start. */
    if (fd >= 0)
        (void)unlinkat(fd, name, 0);
}

static const struct gateway_tls_world_ops ops = {
    .look_up = look_up,
    .mail = mail,
    .post = post,
    .store = store,
    .remove = remove_file,
};

/* --- the folder ------------------------------------------------------------------------------ */

static void open_folder(struct gateway_tls_reports *k, bool is_wanted)
{
    int spool_fd = k->process->directory.path_fd;
    bool is_made = is_wanted && mkdirat(spool_fd, FOLDER, 0700) == 0;

    if (k->folder_fd >= 0)
        return;
    k->folder_fd = openat(spool_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (is_wanted && (k->folder_fd < 0 || (is_made && fsync(spool_fd) != 0)))
        observe_log_line(k->world.log, OBSERVE_WARNING, clock_wall_s(),
                         "TLS reports: the folder " FOLDER " of the spool: %s",
                         status_text(status_from_errno(errno)));
}

/* Whether the file is to stay. room: GATEWAY_TLS_PART_BYTES_MAX + 1, of which one more byte shows
 * that a file is longer. */
static bool restore(struct gateway_tls_reports *k, const char *name, char *room, time_t now_s)
{
    enum status status;
    size_t len;

    if (!k->settings->send)
        return false;
    status = spool_file_read(k->folder_fd, name, room, GATEWAY_TLS_PART_BYTES_MAX + 1, &len);
    if (status == STATUS_OK && len > GATEWAY_TLS_PART_BYTES_MAX)
        status = STATUS_CORRUPT;
    if (status == STATUS_OK)
        status = gateway_tls_reporter_restore(&k->reporter, slice_from(name),
                                              (struct slice){ room, len }, now_s);
    if (status != STATUS_OK)
        observe_log_line(k->world.log, OBSERVE_WARNING, now_s, "TLS reports: %s is left out: %s",
                         name, status_text(status));
    return status != STATUS_CORRUPT && status != STATUS_LIMIT;
}

/* What an earlier process gathered, and what a crash left of writing a file. */
static void load_folder(struct gateway_tls_reports *k)
{
    int fd = k->folder_fd >= 0 ? openat(k->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    char *room = malloc(GATEWAY_TLS_PART_BYTES_MAX + 1);
    const struct dirent *entry;
    time_t now_s = clock_wall_s();

    for (unsigned i = 0; folder != NULL && room != NULL && i < FILES_MAX; i++) {
        entry = readdir(folder);
        if (entry == NULL)
            break;
        if (entry->d_name[0] != '.' && !restore(k, entry->d_name, room, now_s))
            (void)unlinkat(k->folder_fd, entry->d_name, 0);
    }
    free(room);
    if (folder != NULL)
        (void)closedir(folder);
    else if (fd >= 0)
        (void)close(fd);
}

/* --- settings -------------------------------------------------------------------------------- */

static void settings_destroy(struct gateway_tls_report_settings *s)
{
    if (s != NULL)
        tls_dkim_key_destroy(s->dkim_key);
    free(s);
}

/* It was judged when the configuration was read. Without it no report goes by mail. */
static void load_key(struct gateway_tls_reports *k, struct gateway_tls_report_settings *s)
{
    struct tls_error error = { 0 };
    enum status status = STATUS_OK;

    if (s->send && s->dkim_key_path[0] != '\0')
        status = tls_dkim_key_load(s->dkim_key_path, &s->dkim_key, &error);
    if (status != STATUS_OK)
        observe_log_line(k->world.log, OBSERVE_WARNING, clock_wall_s(), "TLS reports: DKIM: %s",
                         error.text[0] != '\0' ? error.text : status_text(status));
}

/* --- the keeper ------------------------------------------------------------------------------ */

static void take_settings(struct gateway_tls_reports *k)
{
    struct gateway_tls_report_settings *next = atomic_exchange(&k->next_settings, NULL);
    struct gateway_tls_report_settings *before = k->settings;

    if (next == NULL)
        return;
    load_key(k, next);
    k->settings = next;
    open_folder(k, next->send);
    if (before == NULL) {
        gateway_tls_reporter_init(&k->reporter, &k->world, next, &k->seed);
        load_folder(k);
    }
    gateway_tls_reporter_configure(&k->reporter, next);
    settings_destroy(before);
}

/* All batches, the oldest first. */
static struct gateway_tls_batch *take_batches(struct gateway_tls_reports *k)
{
    struct gateway_tls_batch *newest = atomic_exchange(&k->batches, NULL), *oldest = NULL;

    while (newest != NULL) {
        struct gateway_tls_batch *batch = newest;

        newest = batch->next;
        batch->next = oldest;
        oldest = batch;
    }
    return oldest;
}

static void add_batches(struct gateway_tls_reports *k, time_t now_s)
{
    struct gateway_tls_batch *next;

    for (struct gateway_tls_batch *b = take_batches(k); b != NULL; b = next) {
        next = b->next;
        gateway_tls_reporter_add(&k->reporter, b->day_s, &b->results, now_s);
        gateway_tls_batch_destroy(b);
        (void)atomic_fetch_sub(&k->batches_count, 1);
    }
}

static void begin_collecting(struct gateway_tls_reports *k, uint64_t now_ms)
{
    for (unsigned i = 0; i < k->process->workers_count; i++) {
        struct gateway_worker *w = &k->process->workers[i];

        if (atomic_load(&w->start) != GATEWAY_WORKER_READY)
            continue;
        (void)atomic_fetch_add(&k->collecting, 1);
        if (!gateway_tls_gatherer_collect(&w->tls_gatherer))
            (void)atomic_fetch_sub(&k->collecting, 1);
    }
    k->is_collecting = true;
    k->collect_until_ms = now_ms + COLLECT_MS;
}

/* The workers have given what they had, or are not waited for. */
static void end_collecting(struct gateway_tls_reports *k, time_t now_s)
{
    bool is_of_day;
    time_t day_s;

    k->is_collecting = false;
    add_batches(k, now_s);
    ASSERT(pthread_mutex_lock(&k->lock) == 0);
    is_of_day = k->is_send_of_day;
    day_s = k->send_day_s;
    k->is_send_wanted = false;
    ASSERT(pthread_mutex_unlock(&k->lock) == 0);
    (void)gateway_tls_reporter_send(&k->reporter, is_of_day ? &day_s : NULL, now_s);
}

static void send_if_wanted(struct gateway_tls_reports *k, time_t now_s, uint64_t now_ms)
{
    bool is_wanted;

    ASSERT(pthread_mutex_lock(&k->lock) == 0);
    is_wanted = k->is_send_wanted;
    ASSERT(pthread_mutex_unlock(&k->lock) == 0);
    if (is_wanted && !k->is_collecting)
        begin_collecting(k, now_ms);
    if (k->is_collecting && (atomic_load(&k->collecting) == 0 || now_ms >= k->collect_until_ms))
        end_collecting(k, now_s);
}

static void tell(struct gateway_tls_reports *k)
{
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    size_t count = gateway_tls_reporter_describe(&k->reporter, facts);

    ASSERT(pthread_mutex_lock(&k->lock) == 0);
    memcpy(k->facts, facts, count * sizeof(*facts));
    k->facts_count = count;
    k->is_on = k->settings->send;
    ASSERT(pthread_mutex_unlock(&k->lock) == 0);
}

/* Everything that can be done now. Returns for how long to wait, in ms. */
static int go_on(struct gateway_tls_reports *k)
{
    time_t now_s = clock_wall_s();
    uint64_t now_ms = clock_monotonic_ms();
    unsigned wait_s;

    take_settings(k);
    if (k->settings == NULL)
        return GATEWAY_TLS_LOOK_S_MAX * 1000; /* what was given waits for them */
    add_batches(k, now_s);
    send_if_wanted(k, now_s, now_ms);
    wait_s = gateway_tls_reporter_run(&k->reporter, now_s);
    tell(k);
    if (k->is_collecting && wait_s > COLLECT_MS / 1000)
        wait_s = COLLECT_MS / 1000;
    return (int)wait_s * 1000;
}

static void run(struct engine_thread *thread)
{
    struct gateway_tls_reports *k = CONTAINER_OF(thread, struct gateway_tls_reports, thread);

    while (!atomic_load(&k->is_over)) {
        int wait_ms = go_on(k);

        observe_log_flush(k->world.log);
        gateway_tls_poster_wait(k->poster, k->bell, wait_ms);
    }
    take_settings(k);
    if (k->settings != NULL) {
        add_batches(k, clock_wall_s());
        gateway_tls_reporter_store(&k->reporter, clock_wall_s());
    }
    observe_log_flush(k->world.log);
}

/* --- the supervisor's part ------------------------------------------------------------------- */

static enum status start(struct gateway_tls_reports *k)
{
    if (getrandom(&k->seed, sizeof(k->seed), 0) != sizeof(k->seed))
        return STATUS_IO;
    k->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->bell < 0)
        return status_from_errno(errno);
    k->world.bell = k->bell;
    TRY(gateway_tls_quota_create(&k->seed, &k->world.quota));
    TRY(gateway_tls_poster_create(&k->poster));
    return engine_thread_start(&k->thread, "tls reports", ENGINE_THREAD_ANY_CPU, run);
}

enum status gateway_tls_reports_create(struct gateway_process *process, unsigned writer,
                                       struct gateway_tls_reports **reports_out)
{
    struct gateway_tls_reports *k = calloc(1, sizeof(*k));
    enum status status;

    if (k == NULL)
        return STATUS_NO_MEMORY;
    ASSERT(pthread_mutex_init(&k->lock, NULL) == 0);
    k->process = process;
    k->bell = k->folder_fd = -1;
    k->world = (struct gateway_tls_world){
        .ops = &ops,
        .log = observe_log_writer(process->log, writer),
    };
    status = start(k);
    if (status != STATUS_OK) {
        gateway_tls_reports_destroy(k);
        return status;
    }
    *reports_out = k;
    return STATUS_OK;
}

/* text, or else otherwise. */
static void choose(char *to, size_t room, const char *text, const char *otherwise)
{
    (void)snprintf(to, room, "%s", text[0] != '\0' ? text : otherwise);
}

enum status gateway_tls_reports_configure(struct gateway_tls_reports *reports,
                                          const struct config_settings *settings)
{
    const struct config_tls_reports *from = &settings->tls_reports;
    struct gateway_tls_report_settings *s = calloc(1, sizeof(*s));
    char postmaster[GATEWAY_TLS_REPORT_HOST_MAX + 16];

    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->send = from->send;
    s->to_private = from->to_private_addresses;
    (void)snprintf(postmaster, sizeof(postmaster), "postmaster@%s", settings->hostname);
    (void)snprintf(s->hostname, sizeof(s->hostname), "%s", settings->hostname);
    choose(s->domain, sizeof(s->domain), from->domain, settings->hostname);
    choose(s->organization, sizeof(s->organization), from->organization, s->domain);
    choose(s->contact, sizeof(s->contact), from->contact, postmaster);
    /* As for the policies of MTA-STS, which also are fetched from hosts of others. */
    choose(s->ca_path, sizeof(s->ca_path), settings->mta_sts.ca_path, settings->tls_ca_path);
    choose(s->dkim_domain, sizeof(s->dkim_domain), from->dkim_domain, s->domain);
    choose(s->dkim_selector, sizeof(s->dkim_selector), from->dkim_selector, "");
    choose(s->dkim_key_path, sizeof(s->dkim_key_path), from->dkim_key_path, "");
    settings_destroy(atomic_exchange(&reports->next_settings, s));
    ring(reports);
    return STATUS_OK;
}

void gateway_tls_reports_stop(struct gateway_tls_reports *reports)
{
    if (reports == NULL)
        return;
    atomic_store(&reports->is_over, true);
    ring(reports);
    engine_thread_join(&reports->thread);
}

void gateway_tls_reports_destroy(struct gateway_tls_reports *reports)
{
    struct gateway_tls_batch *next;

    if (reports == NULL)
        return;
    for (struct gateway_tls_batch *b = take_batches(reports); b != NULL; b = next) {
        next = b->next;
        gateway_tls_batch_destroy(b);
    }
    if (reports->settings != NULL)
        gateway_tls_reporter_finish(&reports->reporter);
    gateway_tls_poster_destroy(reports->poster);
    gateway_tls_quota_destroy(reports->world.quota);
    settings_destroy(atomic_load(&reports->next_settings));
    settings_destroy(reports->settings);
    ASSERT(pthread_mutex_destroy(&reports->lock) == 0);
    if (reports->folder_fd >= 0)
        (void)close(reports->folder_fd);
    if (reports->bell >= 0)
        (void)close(reports->bell);
    free(reports);
}
