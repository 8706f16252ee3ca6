/* bench/micro/hot_workload.h - what each message goes through that is pure: lines, grammar,
 * framing, checksum, record; and the histogram of the load generator.
 *
 * In C, because the headers are; the harness in C++ sees plain calls only. Each call does a thing
 * once over the same bytes and returns how many they were. Ends the process when something fails.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The commands of one message as a client sends them at once (RFC 2920), cut into lines... */
size_t hot_lines_cut(void);

/* ...and each of these lines read. */
size_t hot_commands_parse(void);

/* Both paths of an envelope: the grammar of addresses alone. */
size_t hot_paths_parse(void);

/* The three-line reply to EHLO, as the client session reads it. */
size_t hot_reply_parse(void);

struct hot_body;

/* A body of so many bytes in lines of 78, of which one in `dotted` begins with a dot (0: none). */
struct hot_body *hot_body_create(size_t bytes, size_t dotted);
void hot_body_destroy(struct hot_body *b);

size_t hot_body_frame(struct hot_body *b); /* the end is looked for, as it comes in 4 KiB pieces */
size_t hot_body_unstuff(struct hot_body *b); /* dots taken off, for BDAT */
size_t hot_body_checksum(struct hot_body *b);
size_t hot_body_checksum_plain(struct hot_body *b); /* without the processor's instruction */
size_t hot_body_record(struct hot_body *b);         /* one record of the spool, written to memory */
size_t hot_body_message(struct hot_body *b);        /* a message made of it, from draft to end */

/* Any values, one behind the other. */
void hot_histogram_record(uint64_t value);
uint64_t hot_histogram_percentile(void);

#ifdef __cplusplus
}
#endif
