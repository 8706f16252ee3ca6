/* gateway/known.h - what was recorded last of a recipient, as the home of the message keeps it: for
 * compaction, which has to say it again.
 *
 * struct spool_result in a quarter of the room, without the recipient's number and what is the same
 * for all of an item that wait (struct gateway_item). A count or a time that is too
 * large for its field is kept as the largest it holds.
 */
#pragma once
#include "spool/record.h"

struct gateway_known {
    uint32_t next_attempt_wall_s; /* up to 2106 */
    uint16_t attempts;
    uint8_t warnings;
    uint8_t state; /* enum spool_result_state; WAITING: nothing was recorded */
};

/* With no holds, and no time of the last warning. */
struct spool_result gateway_known_result(const struct gateway_known *known, uint32_t rid);

/* As spool_result_merge(). */
void gateway_known_merge(struct gateway_known *known, const struct spool_result *said);
