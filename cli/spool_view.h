/* cli/spool_view.h - one message of a spool, printed for a person or as JSON. */
#pragma once
#include "spool/message.h"
#include "spool/recovery.h"

struct cli_spool_view {
    const struct spool_message *message;
    const struct spool_recovered_message *found; /* NULL: got out of damage, results not known */
    const char *state;                           /* "to be delivered"... */
    const char *place;                           /* "segments/00000001.seg" */
    uint64_t offset;                             /* of its record there */
    uint64_t generation;                         /* of the segment; 0: not known */
    bool is_changed;                             /* the checksum of its record does not fit */
};

void cli_spool_view_print(const struct cli_spool_view *v);
void cli_spool_view_print_json(const struct cli_spool_view *v, bool is_snapshot);
