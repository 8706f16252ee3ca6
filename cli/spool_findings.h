/* cli/spool_findings.h - what is wrong with a spool, for `postern spool verify`.
 *
 * Damage is what acknowledged mail may be missing for. What a crash leaves (a torn batch, orphaned
 * body files) and files of others are notes: the spool is as it should be.
 */
#pragma once
#include "cli/spool_open.h"

struct cli_spool_finding {
    struct spool_damage damage;
    const char *what;
    bool is_note;
    unsigned messages;   /* that can be got out of it, the first of them damage.mid */
    unsigned changed;    /* of these, messages whose checksum does not fit */
    uint64_t generation; /* of the segment; 0: not known */
};

#define CLI_SPOOL_FINDINGS_MAX (2 * SPOOL_DAMAGE_LISTED_MAX)

struct cli_spool_findings {
    struct cli_spool_finding *items;
    size_t count;
    uint64_t unlisted; /* damage beyond what is listed */
    size_t damage_count;
    size_t notes_count;
};

MUST_USE enum status cli_spool_findings_init(struct cli_spool_findings *f);
void cli_spool_findings_finish(struct cli_spool_findings *f); /* accepts a zeroed one */

/* All that recovery was told of. */
void cli_spool_findings_take(struct cli_spool_findings *f, const struct cli_spool_reader *s);

/* Reads the body files of living messages, and finds those that are not what was committed. */
void cli_spool_findings_check_bodies(struct cli_spool_findings *f, struct cli_spool_reader *s);

/* Keeps what was found by an earlier look too, in the same place of the same segment: a gateway
 * that writes meanwhile makes damage that is none. Notes stay. */
void cli_spool_findings_confirm(struct cli_spool_findings *f,
                                const struct cli_spool_findings *earlier);

/* Looks for messages in what is damaged. */
void cli_spool_findings_salvage(struct cli_spool_findings *f, const struct cli_spool_reader *s);
