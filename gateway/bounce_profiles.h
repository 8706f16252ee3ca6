/* gateway/bounce_profiles.h - which bounce profile holds for a recipient.
 *
 * That of the destination, where its entry (or the default one) names one; else that of the
 * listener the message came in at; else the default's. The home of a message asks for what is said
 * and to whom; the scheduler, for how long it is tried, knows those of listeners by number.
 */
#pragma once
#include "delivery/scheduler.h"
#include "gateway/generation.h"
#include "policy/bounce.h"

/* Never NULL; of the view. listener: the name of the one that the message came in at; or empty. */
const struct policy_bounce_profile *gateway_bounce_profile_of(const struct gateway_view *view,
                                                              struct slice listener,
                                                              struct slice domain);

/* What of it is the scheduler's. */
struct delivery_profile gateway_bounce_profile_times(const struct policy_bounce_profile *profile);

/* The names of all profiles that listeners have had in this process: a number, once given, stays
 * with its name, because items in the queue have it. Zero-initialise. */
struct gateway_bounce_profiles { /* Fields are private. */
    char **names;
    size_t count; /* up to DELIVERY_PROFILES_MAX; later ones have no number */
};

void gateway_bounce_profiles_finish(struct gateway_bounce_profiles *b);

/* The listeners of a view that begins: tells the scheduler. A profile that no listener has any more
 * is as the default destination's. STATUS_NO_MEMORY: the former ones hold, and new ones are as the
 * destination's. */
MUST_USE enum status gateway_bounce_profiles_update(struct gateway_bounce_profiles *b,
                                                    const struct gateway_view *view,
                                                    struct delivery_scheduler *scheduler);

/* For delivery_arrival.profile. */
uint16_t gateway_bounce_profiles_number(const struct gateway_bounce_profiles *b,
                                        const struct gateway_view *view, struct slice listener);
