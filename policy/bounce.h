/* policy/bounce.h - the bounce profile: how often and how long delivery is tried again. */
#pragma once
#include "base/slice.h"

#define POLICY_BOUNCE_INITIAL_RETRY_S_DEFAULT 60u
#define POLICY_BOUNCE_MAX_RETRY_S_DEFAULT     3600u
#define POLICY_BOUNCE_MAX_AGE_S_DEFAULT       259200u /* 72 h */
#define POLICY_BOUNCE_MAX_RETRIES_DEFAULT     100u
#define POLICY_BOUNCE_MAX_AGE_S_MAX           (30u * 86400u)

struct policy_bounce_profile {
    struct slice name;
    uint32_t initial_retry_s; /* from the first failure to the second attempt; doubles from there */
    uint32_t max_retry_s;     /* upper clamp of that interval */
    uint32_t max_age_s;       /* in the queue; a recipient older than this is bounced */
    uint32_t max_retries;     /* attempts after the first */
};

/* The values above, named "default". */
struct policy_bounce_profile policy_bounce_profile_default(void);
