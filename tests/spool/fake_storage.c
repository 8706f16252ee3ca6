#include "tests/spool/fake_storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "spool/draft.h"
#include "spool/files.h"

uint64_t fake_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void fake_disk_init(struct fake_disk *d)
{
    *d = (struct fake_disk){ .generation_next = 1, .files_max = FAKE_SEGMENTS_MAX - 1 };
}

void fake_disk_finish(struct fake_disk *d)
{
    for (unsigned i = 0; i < FAKE_SEGMENTS_MAX; i++)
        free(d->segments[i].bytes);
    *d = (struct fake_disk){ 0 };
}

static struct fake_storage *fake_of(struct spool_storage *s)
{
    return CONTAINER_OF(s, struct fake_storage, storage);
}

static void ask_prepare(struct spool_storage *storage)
{
    struct fake_storage *s = fake_of(storage);

    assert_false(s->is_preparing);
    s->is_preparing = true;
}

static void ask_write(struct spool_storage *storage, const struct spool_write *w)
{
    struct fake_storage *s = fake_of(storage);

    assert_false(s->is_writing);
    assert_int_equal((uintptr_t)w->data % SPOOL_BLOCK_BYTES, 0);
    assert_int_equal(w->offset % SPOOL_BLOCK_BYTES, 0);
    assert_int_equal(w->bytes % SPOOL_BLOCK_BYTES, 0);
    assert_true(w->offset >= SPOOL_BLOCK_BYTES && w->bytes > 0);
    assert_true(w->offset + w->bytes <= FAKE_SEGMENT_BYTES);
    s->is_writing = true;
    s->write = *w;
    s->writes++;
}

static void sealed(struct spool_storage *storage, const struct spool_segment_file *file)
{
    struct fake_storage *s = fake_of(storage);

    assert_false(s->is_writing);
    s->sealed = file->number;
}

static void ask_release(struct spool_storage *storage, const struct spool_segment_file *file)
{
    struct fake_storage *s = fake_of(storage);

    assert_false(s->is_releasing);
    assert_int_equal(file->handle, -1);
    s->is_releasing = true;
    s->releasing = *file;
}

static const struct spool_storage_ops fake_ops = {
    .segment_prepare = ask_prepare,
    .segment_write = ask_write,
    .segment_sealed = sealed,
    .segment_release = ask_release,
};

void fake_storage_init(struct fake_storage *s, struct fake_disk *d, struct spool_log *log)
{
    *s = (struct fake_storage){ .storage.ops = &fake_ops, .disk = d, .log = log };
}

static unsigned number_to_use(struct fake_disk *d)
{
    unsigned files = 0;

    for (unsigned i = 1; i < FAKE_SEGMENTS_MAX; i++) {
        if (d->segments[i].bytes != NULL && d->segments[i].is_free)
            return i;
        files += d->segments[i].bytes != NULL;
    }
    if (files >= d->files_max)
        return 0;
    for (unsigned i = 1; i < FAKE_SEGMENTS_MAX; i++)
        if (d->segments[i].bytes == NULL)
            return i;
    return 0;
}

bool fake_answer_prepare(struct fake_storage *s)
{
    unsigned number = number_to_use(s->disk);
    struct fake_segment *segment = &s->disk->segments[number];

    if (!s->is_preparing)
        return false;
    s->is_preparing = false;
    if (number == 0) {
        spool_log_segment_ready(s->log, STATUS_NO_SPACE, NULL);
        return true;
    }
    if (segment->bytes == NULL)
        segment->bytes = calloc(1, FAKE_SEGMENT_BYTES);
    assert_non_null(segment->bytes);
    segment->is_free = false;
    segment->header = (struct spool_segment_header){
        .generation = s->disk->generation_next++,
        .log_id = s->log->options.log_id,
        .bytes = FAKE_SEGMENT_BYTES,
    };
    segment->header.salt = segment->header.generation * UINT64_C(0x9e3779b97f4a7c15);
    spool_segment_header_encode(&segment->header, segment->bytes);
    spool_log_segment_ready(s->log, STATUS_OK,
                            &(struct spool_segment_file){
                                .generation = segment->header.generation,
                                .salt = segment->header.salt,
                                .number = number,
                                .handle = -1,
                            });
    return true;
}

static char *place_of_write(struct fake_storage *s)
{
    struct fake_segment *segment = &s->disk->segments[s->write.file.number];

    assert_false(segment->is_free);
    assert_int_equal(segment->header.generation, s->write.file.generation);
    return segment->bytes + s->write.offset;
}

bool fake_answer_write(struct fake_storage *s, enum status status)
{
    if (!s->is_writing)
        return false;
    s->is_writing = false;
    if (status == STATUS_OK)
        memcpy(place_of_write(s), s->write.data, s->write.bytes);
    spool_log_written(s->log, status);
    return true;
}

bool fake_answer_release(struct fake_storage *s, enum status status)
{
    struct fake_segment *segment = &s->disk->segments[s->releasing.number];

    if (!s->is_releasing)
        return false;
    s->is_releasing = false;
    if (status == STATUS_OK) {
        assert_false(segment->is_free);
        segment->is_free = true;
        segment->header.is_free = true;
        spool_segment_header_encode(&segment->header, segment->bytes);
        memset(segment->bytes + SPOOL_BLOCK_BYTES, 0, SPOOL_BLOCK_BYTES);
        s->released[s->released_count++ % FAKE_SEGMENTS_MAX] = s->releasing.number;
    }
    spool_log_segment_released(s->log, status);
    return true;
}

void fake_settle(struct fake_storage *s)
{
    do {
        spool_log_run(s->log);
    } while (fake_answer_prepare(s) || fake_answer_release(s, STATUS_OK));
}

void fake_power_cut(struct fake_storage *s, uint64_t *random)
{
    uint64_t bits = 0;
    char *to;

    if (!s->is_writing)
        return;
    to = place_of_write(s);
    for (size_t at = 0; at < s->write.bytes; at += FAKE_SECTOR) {
        if (at % (64 * FAKE_SECTOR) == 0)
            bits = fake_random(random);
        if ((bits & 1) != 0)
            memcpy(to + at, s->write.data + at, FAKE_SECTOR);
        bits >>= 1;
    }
}

/* Text that depends on seed only. */
static struct slice text_of(uint64_t seed, size_t len)
{
    static char text[2u << 20];
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    assert_true(len <= sizeof text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + fake_random(&state) % 26);
    return (struct slice){ text, len };
}

static struct slice address_of(uint64_t mid, unsigned rid, char text[static 64])
{
    int len = snprintf(text, 64, "user%u.%llu@example.com", rid, (unsigned long long)mid);

    return (struct slice){ text, (size_t)len };
}

/* Each combination comes up, the one of nothing as well. */
static struct spool_dsn dsn_of(uint64_t mid, unsigned rid, char text[static 64])
{
    struct spool_dsn dsn = { .notify = (unsigned)((mid + rid) % (SPOOL_DSN_NOTIFY_ALL + 1)) };

    if (rid % 3 == 1)
        dsn.orcpt = (struct slice){ text, (size_t)snprintf(text, 64, "rfc822;was+%u@b", rid) };
    return dsn;
}

struct spool_message *fake_message(uint64_t mid, unsigned recipients, size_t body_bytes)
{
    struct spool_envelope e = { .mid = mid, .icid = mid + 7, .arrival_wall_s = 1000 };
    struct spool_draft d;
    struct spool_dsn dsn;
    char text[64], orcpt[64];

    e.sender = SLICE("from@example.org");
    e.info[SPOOL_INFO_HELO] = SLICE("mail.example.org");
    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_OK);
    for (unsigned rid = 0; rid < recipients; rid++) {
        dsn = dsn_of(mid, rid, orcpt);
        assert_int_equal(spool_draft_add_recipient_dsn(&d, address_of(mid, rid, text), &dsn),
                         STATUS_OK);
    }
    assert_int_equal(spool_draft_trace(&d, SLICE("Received: here\r\n")), STATUS_OK);
    assert_int_equal(spool_draft_body(&d, text_of(mid, body_bytes)), STATUS_OK);
    return spool_draft_complete(&d);
}

void fake_assert_message(const struct spool_message *m, uint64_t mid, unsigned recipients,
                         size_t body_bytes)
{
    struct slice body = text_of(mid, body_bytes);
    char text[64];

    assert_int_equal(spool_message_mid(m), mid);
    assert_int_equal(spool_message_icid(m), mid + 7);
    assert_true(slice_equal(spool_message_sender(m), SLICE("from@example.org")));
    assert_true(slice_equal(spool_message_info(m, SPOOL_INFO_HELO), SLICE("mail.example.org")));
    assert_int_equal(spool_message_recipients_count(m), recipients);
    for (unsigned rid = 0; rid < recipients; rid++) {
        assert_true(slice_equal(spool_message_recipient(m, rid), address_of(mid, rid, text)));
        assert_int_equal(spool_message_dsn(m, rid).notify, dsn_of(mid, rid, text).notify);
        assert_true(slice_equal(spool_message_dsn(m, rid).orcpt, dsn_of(mid, rid, text).orcpt));
    }
    assert_true(slice_equal(spool_message_trace(m), SLICE("Received: here\r\n")));
    assert_true(slice_equal(spool_message_body(m), body));
}

void fake_disk_save(const struct fake_disk *d, const char *path)
{
    struct spool_directory directory;

    /* The test may hold the spool itself. */
    if (spool_directory_open(&directory, path, false) != STATUS_OK)
        assert_int_equal(spool_directory_open(&directory, path, true), STATUS_OK);
    for (uint32_t i = 1; i < FAKE_SEGMENTS_MAX; i++) {
        int fd;

        if (d->segments[i].bytes == NULL)
            continue;
        assert_int_equal(spool_segment_open(&directory, i, O_WRONLY | O_CREAT | O_TRUNC, &fd),
                         STATUS_OK);
        assert_int_equal(write(fd, d->segments[i].bytes, FAKE_SEGMENT_BYTES), FAKE_SEGMENT_BYTES);
        assert_int_equal(close(fd), 0);
    }
    spool_directory_close(&directory);
}

const char *fake_folder(void)
{
    static char path[64];
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(path, sizeof path, "%s/postern-spool-XXXXXX", where);
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void fake_folder_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
