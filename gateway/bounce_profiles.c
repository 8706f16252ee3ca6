#include "gateway/bounce_profiles.h"

#include <stdlib.h>

void gateway_bounce_profiles_finish(struct gateway_bounce_profiles *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->listeners[i]);
    free(p->listeners);
    *p = (struct gateway_bounce_profiles){ 0 };
}

struct delivery_profile gateway_bounce_profile_times(const struct policy_bounce_profile *profile)
{
    return (struct delivery_profile){
        .retry_initial_ms = (uint64_t)profile->initial_retry_s * 1000,
        .retry_ms_max = (uint64_t)profile->max_retry_s * 1000,
        .age_ms_max = (uint64_t)profile->max_age_s * 1000,
        .retries_max = profile->max_retries,
        .warnings_max = profile->send_warnings ? profile->max_warnings : 0,
        .warning_interval_ms = (uint64_t)profile->warning_interval_s * 1000,
    };
}

static const struct config_listener *listener_of(const struct config_settings *settings,
                                                 struct slice name)
{
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (slice_equal(slice_from(settings->listeners[i].name), name))
            return &settings->listeners[i];
    return NULL;
}

/* The number of a listener's name; 0: it has none. */
static size_t number_of(const struct gateway_bounce_profiles *p, struct slice name)
{
    for (size_t i = 0; i < p->count; i++)
        if (slice_equal(slice_from(p->listeners[i]), name))
            return i + 1;
    return 0;
}

static void add(struct gateway_bounce_profiles *p, const char *name)
{
    char *copy = strdup(name);
    char **listeners = realloc(p->listeners, (p->count + 1) * sizeof(*listeners));

    if (listeners != NULL)
        p->listeners = listeners;
    if (listeners == NULL || copy == NULL) {
        free(copy);
        return;
    }
    p->listeners[p->count++] = copy;
}

/* A listener that is gone, or has no profile of its own any more, stands for the default's. */
static const struct policy_bounce_profile *profile_at(const struct gateway_view *view,
                                                      struct slice name)
{
    const struct config_listener *listener = listener_of(gateway_view_settings(view), name);

    if (listener != NULL && listener->bounce_profile != NULL)
        return listener->bounce_profile;
    return policy_snapshot_destination_default(gateway_view_policy(view))->bounce_profile;
}

enum status gateway_bounce_profiles_update(struct gateway_bounce_profiles *p,
                                           const struct gateway_view *view,
                                           struct delivery_scheduler *scheduler)
{
    const struct config_settings *settings = gateway_view_settings(view);
    struct delivery_profile *profiles;
    enum status status;

    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_listener *listener = &settings->listeners[i];

        if (listener->bounce_profile != NULL && p->count < DELIVERY_PROFILES_MAX &&
            number_of(p, slice_from(listener->name)) == 0)
            add(p, listener->name);
    }
    profiles = calloc(p->count + 1, sizeof(*profiles));
    if (profiles == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < p->count; i++)
        profiles[i] = gateway_bounce_profile_times(profile_at(view, slice_from(p->listeners[i])));
    status = delivery_scheduler_set_profiles(scheduler, profiles, p->count);
    free(profiles);
    return status;
}

uint16_t gateway_bounce_profiles_number(const struct gateway_bounce_profiles *p,
                                        const struct spool_message *message)
{
    return (uint16_t)number_of(p, spool_message_info(message, SPOOL_INFO_LISTENER));
}

const struct policy_bounce_profile *gateway_bounce_profile_of(const struct gateway_view *view,
                                                              const struct spool_message *message,
                                                              struct slice domain)
{
    const struct policy_destination *destination =
        policy_destination_find(gateway_view_policy(view), domain);

    if (destination->has_bounce_profile)
        return destination->bounce_profile;
    return profile_at(view, spool_message_info(message, SPOOL_INFO_LISTENER));
}
