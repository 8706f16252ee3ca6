#include "policy/bounce.h"

struct policy_bounce_profile policy_bounce_profile_default(void)
{
    return (struct policy_bounce_profile){
        .name = SLICE("default"),
        .initial_retry_s = POLICY_BOUNCE_INITIAL_RETRY_S_DEFAULT,
        .max_retry_s = POLICY_BOUNCE_MAX_RETRY_S_DEFAULT,
        .max_age_s = POLICY_BOUNCE_MAX_AGE_S_DEFAULT,
        .max_retries = POLICY_BOUNCE_MAX_RETRIES_DEFAULT,
        .warning_interval_s = POLICY_BOUNCE_WARNING_S_DEFAULT,
        .max_warnings = 1,
        .max_copy_bytes = POLICY_BOUNCE_COPY_BYTES_DEFAULT,
        .send_bounces = true,
    };
}
