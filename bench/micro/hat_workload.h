/* bench/micro/hat_workload.h - HATs with a million senders, and addresses to look up in them.
 *
 * In C, because the headers of policy/ are; the harness in C++ sees plain calls only. A workload
 * writes a senders_file and a configuration to a folder of its own, loads them as the gateway
 * would, and keeps what came of it.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hat_workload_kind { HAT_WORKLOAD_V4, HAT_WORKLOAD_V6, HAT_WORKLOAD_V6_HOSTS };

/* Which addresses are looked up: any of the family, or ones inside the entries. */
enum hat_workload_addresses { HAT_WORKLOAD_RANDOM, HAT_WORKLOAD_LISTED };

struct hat_workload;

/* Ends the process when something fails. */
struct hat_workload *hat_workload_create(enum hat_workload_kind kind, size_t entries);
void hat_workload_destroy(struct hat_workload *w);

double hat_workload_load_seconds(const struct hat_workload *w); /* of config_load_file() */
double hat_workload_entry_bytes(const struct hat_workload *w);  /* of the snapshot and settings */

void hat_workload_draw(struct hat_workload *w, enum hat_workload_addresses addresses);

/* The verdict's row for the next address; goes round. */
size_t hat_workload_find(struct hat_workload *w);

/* Times each lookup by itself with the time-stamp counter, fenced on both sides, and takes off what
 * the same pair of readings costs with nothing between (its median). */
void hat_workload_percentiles(struct hat_workload *w, double *median_ns_out, double *p99_ns_out);

/* What a single access to memory costs here and now: a chain of random reads over 16 MiB, in the
 * pages that the tables have too. The yardstick for the figures above. */
double hat_workload_memory_ns(void);

#ifdef __cplusplus
}
#endif
