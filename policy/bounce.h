/* policy/bounce.h - the bounce profile: how often and how long delivery is tried again. */
#pragma once
#include "base/slice.h"

#define POLICY_BOUNCE_INITIAL_RETRY_S_DEFAULT 60u
#define POLICY_BOUNCE_MAX_RETRY_S_DEFAULT     3600u
#define POLICY_BOUNCE_MAX_AGE_S_DEFAULT       259200u /* 72 h */
#define POLICY_BOUNCE_MAX_RETRIES_DEFAULT     100u
#define POLICY_BOUNCE_MAX_AGE_S_MAX           (30u * 86400u)
#define POLICY_BOUNCE_WARNING_S_DEFAULT       14400u /* 4 h */
#define POLICY_BOUNCE_WARNINGS_MAX            100u
#define POLICY_BOUNCE_COPY_BYTES_DEFAULT      10240u
#define POLICY_BOUNCE_COPY_BYTES_MAX          262144u

struct policy_bounce_profile {
    struct slice name;
    uint32_t initial_retry_s; /* from the first failure to the second attempt; doubles from there */
    uint32_t max_retry_s;     /* upper clamp of that interval */
    uint32_t max_age_s;       /* in the queue; a recipient older than this is bounced */
    uint32_t max_retries;     /* attempts after the first */
    uint32_t warning_interval_s; /* between two delay warnings */
    uint32_t max_warnings;       /* for one message and destination */
    uint64_t max_copy_bytes; /* a bounce holds a message up to this, of a larger one the header */
    bool send_bounces;
    bool send_warnings;      /* of delay */
    struct slice bounces_to; /* in place of the sender; empty: the sender */
};

/* The values above, named "default". */
struct policy_bounce_profile policy_bounce_profile_default(void);
