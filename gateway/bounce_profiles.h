/* gateway/bounce_profiles.h - which bounce profile a message has at a destination.
 *
 * The profile of the destination's entry, or of the default entry, goes first; then that of the
 * listener that took the message; then the default one. The scheduler knows profiles by numbers
 * that must not change their meaning while messages wait, over reloads neither: a number here
 * stands for the name of a listener, as long as the worker lives.
 */
#pragma once
#include "delivery/scheduler.h"
#include "gateway/generation.h"
#include "spool/message.h"

struct gateway_bounce_profiles { /* Fields are private. Zeroed at first; one for each worker. */
    char **listeners;            /* owned; number 1 is the first */
    size_t count;
};

void gateway_bounce_profiles_finish(struct gateway_bounce_profiles *p);

struct delivery_profile gateway_bounce_profile_times(const struct policy_bounce_profile *profile);

/* Tells the scheduler of the profiles of the view's listeners. STATUS_NO_MEMORY: it has the former
 * ones, and the destinations' for listeners that are new. */
MUST_USE enum status gateway_bounce_profiles_update(struct gateway_bounce_profiles *p,
                                                    const struct gateway_view *view,
                                                    struct delivery_scheduler *scheduler);

/* For delivery_arrival.profile. */
uint16_t gateway_bounce_profiles_number(const struct gateway_bounce_profiles *p,
                                        const struct spool_message *message);

/* Never NULL; of the view's snapshot. */
const struct policy_bounce_profile *gateway_bounce_profile_of(const struct gateway_view *view,
                                                              const struct spool_message *message,
                                                              struct slice domain);
