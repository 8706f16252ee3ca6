/* gateway/known.h - what was recorded last of a recipient, as the home of the message keeps it: for
 * compaction, which has to say it again.
 *
 * struct spool_result without the recipient's number, in half the room. A count or a time that is
 * too large for its field is kept as the largest it holds.
 */
#pragma once
#include "spool/record.h"

struct gateway_known {
    uint32_t next_attempt_wall_s; /* up to 2106 */
    uint32_t warned_wall_s;
    uint16_t attempts;
    uint16_t holds;
    uint8_t warnings;
    uint8_t state; /* enum spool_result_state; WAITING: nothing was recorded */
};

struct spool_result gateway_known_result(const struct gateway_known *known, uint32_t rid);

/* As spool_result_merge(). */
void gateway_known_merge(struct gateway_known *known, const struct spool_result *said);
