/* cli/spool_bench.h - how fast a disk is for a log like ours: writes into a file made as a segment
 * is.
 *
 *     open -> prepare -> run ... -> close
 *
 * Blocking; one write at a time, as a log has one batch in flight. The file has no name from the
 * start on: whatever becomes of the program, nothing is left.
 */
#pragma once
#include "base/status.h"
#include "cli/load_histogram.h"

#define CLI_BENCH_FILE_BYTES  (64u << 20) /* a segment */
#define CLI_BENCH_FILE_MIN    (4u << 20)  /* of a slow disk */
#define CLI_BENCH_WRITE_BYTES (1u << 20)  /* the largest write, as for a batch */

struct cli_bench {
    char *buffer;
    uint64_t file_bytes;
    uint64_t prepare_us;
    uint64_t offset;
    uint64_t stamp; /* of the last write */
    size_t last_bytes;
    uint64_t last_offset;
    int fd;
    bool is_direct; /* O_DIRECT and RWF_DSYNC work; else pwrite and fdatasync */
};

struct cli_bench_result {
    size_t bytes; /* of one write */
    uint64_t elapsed_us;
    struct load_histogram latency_us;
};

/* On any failure: closed, errno says why. */
MUST_USE enum status cli_bench_open(struct cli_bench *b, int folder_fd);

/* Allocates the file, writes it once from end to end and syncs it; it may be smaller than a segment
 * if that takes longer than limit_us. STATUS_NO_SPACE... */
MUST_USE enum status cli_bench_prepare(struct cli_bench *b, uint64_t limit_us);

/* Writes of so many bytes, at most CLI_BENCH_WRITE_BYTES and multiples of 4 KiB, one behind the
 * other, each durable when it counts unless is_plain, until limit_us have gone; at least one. */
MUST_USE enum status cli_bench_run(struct cli_bench *b, size_t bytes, bool is_plain,
                                   uint64_t limit_us, struct cli_bench_result *result);

/* Whether the last write is what is read back. */
bool cli_bench_reads_back(struct cli_bench *b);
void cli_bench_close(struct cli_bench *b); /* accepts a zeroed one */
