/* cli/spool_filter.h - which messages `postern spool list` shows, and how far their recipients are.
 *
 * Pure: a message and the results of its recipients in, an answer out.
 */
#pragma once
#include "spool/message.h"
#include "spool/record.h"

/* Each may be left out (NULL, 0). An address is compared without regard to case; one that begins
 * with "@" stands for all at that domain. "<>" or "" is the null sender. */
struct cli_spool_filter {
    const char *sender;
    const char *recipient; /* any recipient, whatever became of it */
    const char *domain;    /* of any recipient */
    int64_t arrived_until_wall_s;
    bool has_arrived_until;
};

bool cli_spool_filter_matches(const struct cli_spool_filter *f, const struct spool_message *m);

struct cli_spool_tally {
    unsigned waiting; /* nothing recorded yet */
    unsigned deferred;
    unsigned bounced;
    unsigned delivered;
    unsigned deleted;
    unsigned held;               /* of those that wait or are deferred */
    int64_t next_attempt_wall_s; /* the earliest of the deferred ones, if there are some */
};

/* Adds one recipient. Zeroed at first. */
void cli_spool_tally_add(struct cli_spool_tally *t, const struct spool_result *result);

#define CLI_SPOOL_AGE_MAX 24

/* "12s", "5m", "3h", "2d"; "now" for nothing or less. Returns text. */
const char *cli_spool_age(int64_t seconds, char text[static CLI_SPOOL_AGE_MAX]);
