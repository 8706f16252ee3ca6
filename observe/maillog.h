/* observe/maillog.h - the text mail log in the AsyncOS form, written without blocking a worker.
 *
 * One log per process: a file, or standard error. Each worker has its own writer and puts lines
 * into that writer's bounded ring; one thread of the log merges all rings into the file. A line
 * costs its worker no lock, no allocation and no system call; when the ring is full the line is
 * dropped and counted, and "N log lines lost" is logged later.
 *
 *     observe_log_create -> observe_log_writer for each worker
 *         -> observe_log_line... observe_log_flush at the end of each turn
 *         -> workers stop -> observe_log_destroy
 *
 * The file can be read from top to bottom. Lines of one writer keep their order. No line stands
 * before one that caused it: what was logged before a message to another worker stands before
 * what that worker logs on its arrival. Lines of different writers that have nothing to do with
 * each other are sorted by the time of the call, unless a thread was interrupted in the middle
 * of one. The order is that of CLOCK_MONOTONIC, which must tick faster than a message travels;
 * a line is in the file about OBSERVE_NAP_MS after its flush at the latest.
 *
 * What a peer wrote cannot start a new line or drive a terminal: control characters and bytes
 * that are not UTF-8 come out as \n, \r, \t or \xNN.
 */
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include "base/slice.h"
#include "base/status.h"

#define OBSERVE_LINE_BYTES_MAX 2048          /* date, level and newline included; the rest is cut */
#define OBSERVE_RING_BYTES     (1024 * 1024) /* per writer; a power of two */
#define OBSERVE_WRITERS_MAX    1024
#define OBSERVE_NAP_MS         20 /* how long lines are gathered before they are written */

enum observe_level { OBSERVE_INFO, OBSERVE_WARNING, OBSERVE_CRITICAL, OBSERVE_DEBUG };

struct observe_log;
struct observe_log_writer; /* one thread's way into the log */

/* path "-" is standard error. Starts the log's thread; it blocks every signal. The file is
 * appended to, created with mode 0640, and opens with the line "Begin Logfile".
 * writers_count: 1..OBSERVE_WRITERS_MAX. STATUS_DENIED, STATUS_NOT_FOUND, STATUS_NO_SPACE,
 * STATUS_IO: the file cannot be opened; STATUS_LIMIT, STATUS_NO_MEMORY. */
MUST_USE enum status observe_log_create(const char *path, unsigned writers_count,
                                        struct observe_log **log_out);

/* Writes what is in the rings, ends the thread, closes the file. No writer may be in use any
 * more. Accepts NULL. */
void observe_log_destroy(struct observe_log *log);

/* Opens the path again, after somebody has renamed the file. May block; never call it on a
 * worker. On failure the old file stays in use. */
MUST_USE enum status observe_log_reopen(struct observe_log *log);

/* Lines lost so far, by full rings and by a file that could not be written. Any thread. */
uint64_t observe_log_lost(const struct observe_log *log);

/* The writer with this index, 0 .. writers_count - 1; each for one thread only. It lives as
 * long as the log. */
struct observe_log_writer *observe_log_writer(struct observe_log *log, unsigned index);

/* "Sun Nov 22 17:54:00 2026 Info: " and the text, which ends without a newline. */
void observe_log_line(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      const char *format, ...) PRINTF_LIKE(4, 5);

/* The same with the text already made, as one slice; the faster way. */
void observe_log_text(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      struct slice text);

/* Makes sure that the log's thread will see the lines soon: at most one system call, and none
 * while it is awake. Call it at the end of each turn of the worker's loop. */
void observe_log_flush(struct observe_log_writer *w);
