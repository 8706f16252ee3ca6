/* tests/spool/fake_storage.h - a disk in memory behind a log: nothing happens until the test
 * says so, any operation can fail, and the power can go at any sector.
 *
 * Segments are kept by file number. An operation that the log asked for waits until the test
 * answers it; a write in flight has not touched the segment before.
 */
#pragma once
#include "spool/log.h"

#define FAKE_SEGMENTS_MAX  64
#define FAKE_SEGMENT_BYTES (64u << 10)
#define FAKE_SECTOR        512

struct fake_segment {
    char *bytes; /* NULL: no such file */
    struct spool_segment_header header;
    bool is_free;
};

struct fake_disk {
    struct fake_segment segments[FAKE_SEGMENTS_MAX]; /* by number; 0 is not used */
    uint64_t generation_next;
    unsigned files_max; /* prepare fails with NO_SPACE beyond */
};

struct fake_storage {
    struct spool_storage storage;
    struct spool_log *log;
    struct fake_disk *disk;
    bool is_preparing;
    bool is_writing;
    bool is_releasing;
    struct spool_write write;
    struct spool_segment_file releasing;
    unsigned writes;
    unsigned sealed;                      /* the number of the last that was */
    unsigned released[FAKE_SEGMENTS_MAX]; /* numbers, in order */
    unsigned released_count;
};

void fake_disk_init(struct fake_disk *d);
void fake_disk_finish(struct fake_disk *d);

/* A log over the disk, not yet run. */
void fake_storage_init(struct fake_storage *s, struct fake_disk *d, struct spool_log *log);

/* Answers of the one operation of each kind, if any waits; false if none did. */
bool fake_answer_prepare(struct fake_storage *s);
bool fake_answer_write(struct fake_storage *s, enum status status); /* OK: applied in full */
bool fake_answer_release(struct fake_storage *s, enum status status);

/* Runs the log and answers prepares and releases until it is content; writes wait. */
void fake_settle(struct fake_storage *s);

/* The power goes: of the write in flight each sector is applied if the bit of a random number
 * says so. The storage is not used any more. */
void fake_power_cut(struct fake_storage *s, uint64_t *random);

/* xorshift; *state is not 0. */
uint64_t fake_random(uint64_t *state);

/* A message with so many recipients; its contents follow from the mid. */
struct spool_message *fake_message(uint64_t mid, unsigned recipients, size_t body_bytes);
void fake_assert_message(const struct spool_message *m, uint64_t mid, unsigned recipients,
                         size_t body_bytes);

/* Writes the segments of the disk below path, as a spool that recovery can read; the folder
 * must not exist. */
void fake_disk_save(const struct fake_disk *d, const char *path);

/* A new temporary folder's name, and its removal. */
const char *fake_folder(void);
void fake_folder_remove(const char *path);
