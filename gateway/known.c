#include "gateway/known.h"

static_assert(sizeof(struct gateway_known) <= 8, "every recipient of a deep queue has one");

struct spool_result gateway_known_result(const struct gateway_known *known, uint32_t rid)
{
    return (struct spool_result){
        .rid = rid,
        .state = (enum spool_result_state)known->state,
        .attempts = known->attempts,
        .next_attempt_wall_s = known->next_attempt_wall_s,
        .warnings = known->warnings,
    };
}

void gateway_known_merge(struct gateway_known *known, const struct spool_result *said)
{
    struct spool_result r = gateway_known_result(known, said->rid);
    int64_t next_s;

    spool_result_merge(&r, said);
    next_s = r.next_attempt_wall_s;
    *known = (struct gateway_known){
        .next_attempt_wall_s = next_s < 0            ? 0
                               : next_s > UINT32_MAX ? UINT32_MAX
                                                     : (uint32_t)next_s,
        .attempts = r.attempts < UINT16_MAX ? (uint16_t)r.attempts : UINT16_MAX,
        .warnings = r.warnings,
        .state = (uint8_t)r.state,
    };
}
