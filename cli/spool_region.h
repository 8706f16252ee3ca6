/* cli/spool_region.h - the bytes of a segment in which something is damaged, to look for messages.
 *
 *     region_read -> spool_salvage_next() ... -> region_finish
 */
#pragma once
#include "cli/spool_open.h"
#include "spool/salvage.h"

struct cli_spool_region {
    char *bytes;
    uint64_t offset; /* of them in the segment */
    struct spool_salvage salvage;
};

/* The region of a damage that a reader was told of: of an unknown segment all of it. False: there
 * is none, or it cannot be read, and nothing is to be found there. */
MUST_USE bool cli_spool_region_of_damage(struct cli_spool_region *region,
                                         const struct cli_spool_reader *s,
                                         const struct spool_damage *damage);

/* All of a file, which is a segment of any state. STATUS_LIMIT: it is larger than one. */
MUST_USE enum status cli_spool_region_of_file(struct cli_spool_region *region, int fd);

/* The next message of the region that recovery knows nothing of; by its first copy. */
bool cli_spool_region_next(struct cli_spool_region *region, const struct cli_spool_reader *s);
void cli_spool_region_finish(struct cli_spool_region *region); /* accepts a zeroed one */
