#include "gateway/bounce_profiles.h"

#include <assert.h>
#include <stdlib.h>

static_assert(DELIVERY_PROFILES_MAX <= UINT16_MAX, "a number fits an item");

/* NULL: it has none, or the listener is no more. */
static const struct policy_bounce_profile *profile_of_listener(const struct gateway_view *view,
                                                               struct slice name)
{
    const struct config_settings *settings = gateway_view_settings(view);

    for (size_t i = 0; name.len > 0 && i < settings->listeners_count; i++)
        if (slice_equal(slice_from(settings->listeners[i].name), name))
            return settings->listeners[i].bounce_profile;
    return NULL;
}

const struct policy_bounce_profile *gateway_bounce_profile_of(const struct gateway_view *view,
                                                              struct slice listener,
                                                              struct slice domain)
{
    const struct policy_destination *destination =
        policy_destination_find(gateway_view_policy(view), domain);
    const struct policy_bounce_profile *of_listener =
        destination->has_bounce_profile ? NULL : profile_of_listener(view, listener);

    return of_listener != NULL ? of_listener : destination->bounce_profile;
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

void gateway_bounce_profiles_finish(struct gateway_bounce_profiles *b)
{
    for (size_t i = 0; i < b->count; i++)
        free(b->names[i]);
    free(b->names);
    *b = (struct gateway_bounce_profiles){ 0 };
}

/* Its place, or count. */
static size_t find(const struct gateway_bounce_profiles *b, struct slice name)
{
    size_t i = 0;

    while (i < b->count && !slice_equal(slice_from(b->names[i]), name))
        i++;
    return i;
}

/* Profiles have one name each, so that their number is found by it. */
static void add(struct gateway_bounce_profiles *b, struct slice name)
{
    char **names;

    if (find(b, name) < b->count || b->count >= DELIVERY_PROFILES_MAX)
        return;
    names = realloc(b->names, (b->count + 1) * sizeof(char *));
    if (names == NULL)
        return;
    b->names = names;
    names[b->count] = strndup(name.data, name.len);
    if (names[b->count] != NULL)
        b->count++;
}

static struct delivery_profile times_of(const struct gateway_view *view, struct slice name)
{
    const struct config_settings *settings = gateway_view_settings(view);
    const struct policy_destination *rest =
        policy_destination_find(gateway_view_policy(view), SLICE(""));

    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct policy_bounce_profile *p = settings->listeners[i].bounce_profile;

        if (p != NULL && slice_equal(p->name, name))
            return gateway_bounce_profile_times(p);
    }
    return gateway_bounce_profile_times(rest->bounce_profile);
}

enum status gateway_bounce_profiles_update(struct gateway_bounce_profiles *b,
                                           const struct gateway_view *view,
                                           struct delivery_scheduler *scheduler)
{
    const struct config_settings *settings = gateway_view_settings(view);
    struct delivery_profile *times;
    enum status status;

    for (size_t i = 0; i < settings->listeners_count; i++)
        if (settings->listeners[i].bounce_profile != NULL)
            add(b, settings->listeners[i].bounce_profile->name);
    if (b->count == 0)
        return STATUS_OK;
    times = calloc(b->count, sizeof(*times));
    if (times == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < b->count; i++)
        times[i] = times_of(view, slice_from(b->names[i]));
    status = delivery_scheduler_set_profiles(scheduler, times, b->count);
    free(times);
    return status;
}

uint16_t gateway_bounce_profiles_number(const struct gateway_bounce_profiles *b,
                                        const struct gateway_view *view, struct slice listener)
{
    const struct policy_bounce_profile *p =
        b->count > 0 ? profile_of_listener(view, listener) : NULL;
    size_t place = p != NULL ? find(b, p->name) : b->count;

    return place < b->count ? (uint16_t)(place + 1) : DELIVERY_PROFILE_DESTINATION;
}
