/* bench/micro/destination_workload.h - destination tables of any size, and domains to look up.
 *
 * In C, because the headers of policy/ are; the harness in C++ sees plain calls only. Every domain
 * says a few of the keys, as an imported table does; one of sixteen is a partial one.
 */
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct destination_workload;

/* Ends the process when something fails. */
struct destination_workload *destination_workload_create(size_t entries);
void destination_workload_destroy(struct destination_workload *w);

/* Seconds of processor time: of libconfig alone with the text, of all that loading it takes
 * (libconfig included), and of the snapshot alone, from entries that are there already. */
double destination_workload_parse_seconds(struct destination_workload *w);
double destination_workload_load_seconds(struct destination_workload *w);
double destination_workload_compile_seconds(struct destination_workload *w);

/* Of the snapshot and settings, once they have been loaded. */
double destination_workload_entry_bytes(const struct destination_workload *w);

/* Which entry serves the next domain, a random one of the table or of none; goes round. */
const void *destination_workload_find(struct destination_workload *w);

#ifdef __cplusplus
}
#endif
