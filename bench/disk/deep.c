/* bench/disk/deep - makes a spool with a deep queue in it, as a gateway would have left it.
 *
 *     deep SPOOL MESSAGES DOMAINS BYTES SENDER LISTENER
 *
 * One recipient each, spread over the domains in turn, and a body of so many bytes. Nothing is
 * synced, and there is no SMTP: ten million take minutes. SPOOL must be empty, or not there yet.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "spool/draft.h"
#include "spool/ids.h"
#include "spool/log.h"
#include "spool/pool.h"

#define AT_ONCE      256u /* messages that wait for a write */
#define MESSAGES_MAX 100000000u
#define DOMAINS_MAX  1000000u
#define BODY_MAX     65536u
#define TRACE                                                                                      \
    "Received: from client.example.net (client.example.net [192.0.2.1])\r\n"                       \
    "\tby mx.lab.test (Postern) with ESMTP id 0123456789ab;\r\n"                                   \
    "\tThu, 26 Nov 2026 14:00:00 +0000\r\n"

struct deep {
    struct spool_storage storage;
    struct spool_directory directory;
    struct spool_pool pool;
    struct spool_log log;
    bool is_preparing;
    bool is_writing;
    struct spool_write write;
    struct spool_message *messages[AT_ONCE];
    struct spool_ticket tickets[AT_ONCE];
    char body[BODY_MAX];
};

static struct deep deep;

static void need(enum status status, const char *what)
{
    if (status == STATUS_OK)
        return;
    (void)fprintf(stderr, "deep: %s: %s\n", what, status_text(status));
    exit(1);
}

static void prepare(struct spool_storage *s)
{
    (void)s;
    deep.is_preparing = true;
}

static void write_batch(struct spool_storage *s, const struct spool_write *w)
{
    (void)s;
    deep.write = *w;
    deep.is_writing = true;
}

static void sealed(struct spool_storage *s, const struct spool_segment_file *file)
{
    (void)s;
    (void)close(file->handle);
}

static void release(struct spool_storage *s, const struct spool_segment_file *file)
{
    (void)s;
    (void)file;
    UNREACHABLE(); /* nothing is struck out */
}

static void answer_prepare(void)
{
    struct spool_segment_file file;

    deep.is_preparing = false;
    need(spool_pool_prepare(&deep.pool, 0, &file), "segment");
    need(spool_segment_open(&deep.directory, file.number, O_RDWR, &file.handle), "segment");
    spool_log_segment_ready(&deep.log, STATUS_OK, &file);
}

static void answer_write(void)
{
    const struct spool_write *w = &deep.write;

    deep.is_writing = false;
    if (pwrite(w->file.handle, w->data, w->bytes, (off_t)w->offset) != (ssize_t)w->bytes)
        need(STATUS_IO, "write");
    spool_log_written(&deep.log, STATUS_OK);
    while (spool_log_take_committed(&deep.log) != NULL)
        ;
}

/* Until nothing is under way. */
static void settle(void)
{
    spool_log_run(&deep.log);
    while (deep.is_preparing || deep.is_writing) {
        if (deep.is_preparing)
            answer_prepare();
        else
            answer_write();
        spool_log_run(&deep.log);
    }
}

static struct spool_message *make(uint64_t mid, unsigned domains, size_t bytes, char **words)
{
    struct spool_envelope envelope = {
        .mid = mid, .icid = 1, .arrival_wall_s = time(NULL), .sender = slice_from(words[0])
    };
    struct spool_draft draft;
    char to[64];

    envelope.info[SPOOL_INFO_LISTENER] = slice_from(words[1]);
    (void)snprintf(to, sizeof(to), "user%llu@domain%llu.example", (unsigned long long)mid,
                   (unsigned long long)(mid % domains));
    spool_draft_init(&draft);
    need(spool_draft_begin(&draft, &envelope, bytes), "draft");
    need(spool_draft_add_recipient(&draft, slice_from(to)), "draft");
    need(spool_draft_trace(&draft, SLICE(TRACE)), "draft");
    need(spool_draft_body(&draft, (struct slice){ deep.body, bytes }), "draft");
    return spool_draft_complete(&draft);
}

/* So many from this MID on. */
static void fill(uint64_t mid, unsigned count, unsigned domains, size_t bytes, char **words)
{
    for (unsigned i = 0; i < count; i++) {
        deep.messages[i] = make(mid + i, domains, bytes, words);
        need(deep.messages[i] != NULL ? STATUS_OK : STATUS_NO_MEMORY, "draft");
        need(spool_log_append_message(&deep.log, deep.messages[i], NULL, &deep.tickets[i]), "log");
    }
    settle();
    for (unsigned i = 0; i < count; i++)
        spool_message_destroy(deep.messages[i]);
}

static uint64_t number(const char *text, uint64_t from, uint64_t to)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    if (*text != '\0' && *end == '\0' && n >= from && n <= to)
        return n;
    (void)fprintf(stderr, "deep: %s is not a number from %llu to %llu\n", text,
                  (unsigned long long)from, (unsigned long long)to);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct spool_storage_ops ops = { prepare, write_batch, sealed, release };
    const struct spool_log_options options = { .batch_first = SPOOL_BATCH_ERA + 1,
                                               .sequence_first = SPOOL_BATCH_ERA + 1 };
    static struct spool_ids ids;
    uint64_t messages;
    unsigned domains;
    size_t bytes;

    if (argc != 7) {
        (void)fprintf(stderr, "usage: deep SPOOL MESSAGES DOMAINS BYTES SENDER LISTENER\n");
        return 2;
    }
    messages = number(argv[2], 1, MESSAGES_MAX);
    domains = (unsigned)number(argv[3], 1, DOMAINS_MAX);
    bytes = (size_t)number(argv[4], 2, BODY_MAX);
    for (size_t i = 0; i < bytes; i++)
        deep.body[i] = i % 64 == 62 || i + 2 == bytes ? '\r' : i % 64 == 63 ? '\n' : 'x';
    deep.body[bytes - 1] = '\n';
    deep.storage.ops = &ops;
    need(spool_directory_open(&deep.directory, argv[1], false), "spool");
    need(spool_pool_init(&deep.pool, &deep.directory, SPOOL_SEGMENT_BYTES, 1, 1, 0, 0), "pool");
    need(spool_ids_open(&ids, &deep.directory, messages, time(NULL)), "identifiers");
    need(spool_log_init(&deep.log, &deep.storage, &options), "log");
    settle();
    for (uint64_t done = 0; done < messages; done += AT_ONCE)
        fill(done + 1, messages - done < AT_ONCE ? (unsigned)(messages - done) : AT_ONCE, domains,
             bytes, argv + 5);
    spool_log_finish(&deep.log);
    spool_pool_finish(&deep.pool);
    spool_directory_close(&deep.directory);
    return 0;
}
