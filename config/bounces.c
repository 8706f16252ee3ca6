#include <stdio.h>

#include "config/draft.h"
#include "config/suggest.h"

#define BOUNCE(key, kind, field, low, high)                                                        \
    {                                                                                              \
        key, kind, offsetof(struct written, values.field), false, low, high                        \
    }

struct bounces {
    int double_bounces;
    const char *postmaster;
};

static const char *const double_words[] = { "drop", "postmaster", NULL };

static const struct config_key bounces_keys[] = {
    { "double", CONFIG_KIND_WORD, offsetof(struct bounces, double_bounces), false, 0, 0,
      double_words },
    { "postmaster", CONFIG_KIND_TEXT, offsetof(struct bounces, postmaster), false, 1 },
};

/* A profile as it is written. */
struct written {
    struct policy_bounce_profile values;
    const char *bounces_to;
};

static const struct config_key bounce_keys[] = {
    BOUNCE("initial_retry", CONFIG_KIND_DURATION, initial_retry_s, 1, 86400),
    BOUNCE("max_retry", CONFIG_KIND_DURATION, max_retry_s, 1, 86400),
    BOUNCE("max_age", CONFIG_KIND_DURATION, max_age_s, 1, POLICY_BOUNCE_MAX_AGE_S_MAX),
    BOUNCE("max_retries", CONFIG_KIND_NUMBER, max_retries, 0, 10000),
    BOUNCE("send_bounces", CONFIG_KIND_BOOL, send_bounces, 0, 0),
    BOUNCE("delay_warnings", CONFIG_KIND_BOOL, send_warnings, 0, 0),
    BOUNCE("warning_interval", CONFIG_KIND_DURATION, warning_interval_s, 1, 30 * 86400),
    BOUNCE("max_warnings", CONFIG_KIND_NUMBER, max_warnings, 1, POLICY_BOUNCE_WARNINGS_MAX),
    BOUNCE("max_bounce_copy", CONFIG_KIND_SIZE, max_copy_bytes, 0, POLICY_BOUNCE_COPY_BYTES_MAX),
    { "bounces_to", CONFIG_KIND_TEXT, offsetof(struct written, bounces_to), false, 1 },
};

/* A duration that is left out has its default; one that is wrong stays 0, not known. */
static void set_absent(const config_setting_t *at, const char *name, uint32_t value,
                       uint32_t *field)
{
    if (*field == 0 && !config_is_meant(at, bounce_keys, ARRAY_LEN(bounce_keys), name))
        *field = value;
}

static void check_address(struct config_draft *d, const config_setting_t *at, const char *key,
                          const char *address)
{
    if (policy_address_form(slice_from(address)) != POLICY_ADDRESS_WHOLE)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, key),
                             "\"%s\" is not an address: \"user@example.com\"", address);
}

void config_read_bounces(struct config_draft *d)
{
    const config_setting_t *at = d->root.bounces;
    struct config_settings *s = &d->settings;
    struct bounces b = { .double_bounces = CONFIG_DOUBLE_BOUNCES_DROP };
    char postmaster[CONFIG_TEXT_MAX + sizeof("postmaster@")];

    if (at != NULL)
        (void)config_read_keys(&d->reader, at, "bounces", bounces_keys, ARRAY_LEN(bounces_keys),
                               &b);
    s->double_bounces = (enum config_double_bounces)b.double_bounces;
    if (b.postmaster != NULL) {
        s->postmaster = b.postmaster;
        check_address(d, at, "postmaster", b.postmaster);
        return;
    }
    (void)snprintf(postmaster, sizeof(postmaster), "postmaster@%s", s->hostname);
    s->postmaster = config_reader_text(&d->reader, postmaster);
}

static void read_bounce_profile(struct config_draft *d, const config_setting_t *at)
{
    struct config_profile_draft *draft = &d->profiles[d->profiles_count];
    const struct policy_bounce_profile defaults = policy_bounce_profile_default();
    struct written written = { .values = defaults };
    struct policy_bounce_profile *profile = &written.values;

    if (!config_setting_is_group(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "bounce profile \"%s\" has to be a group", config_setting_name(at));
        return;
    }
    profile->initial_retry_s = profile->max_retry_s = 0;
    (void)config_read_keys(&d->reader, at, config_setting_name(at), bounce_keys,
                           ARRAY_LEN(bounce_keys), &written);
    set_absent(at, "initial_retry", defaults.initial_retry_s, &profile->initial_retry_s);
    set_absent(at, "max_retry", defaults.max_retry_s, &profile->max_retry_s);
    if (profile->max_retry_s > 0 && profile->initial_retry_s > profile->max_retry_s)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "initial_retry"),
                             "initial_retry is longer than max_retry");
    if (written.bounces_to != NULL) {
        profile->bounces_to = slice_from(written.bounces_to);
        check_address(d, at, "bounces_to", written.bounces_to);
    }
    profile->name = slice_from(config_setting_name(at));
    if (!config_reader_check(
            &d->reader, at,
            policy_builder_add_bounce_profile(d->builder, profile, &draft->profile)))
        return;
    draft->name = config_setting_name(at);
    draft->at = at;
    draft->is_used = strcmp(draft->name, "default") == 0;
    d->profiles_count++;
}

void config_read_bounce_profiles(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.bounce_profiles, CONFIG_BOUNCE_PROFILES_MAX);

    d->profiles = config_draft_take(d, count, sizeof(*d->profiles));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_bounce_profile(d, config_setting_get_elem(d->root.bounce_profiles, (unsigned)i));
}

const struct policy_bounce_profile *config_bounce_profile_find(struct config_draft *d,
                                                               const config_setting_t *group,
                                                               const char *name)
{
    const config_setting_t *section = d->root.bounce_profiles;
    struct config_suggestion suggestion = config_suggestion_begin(name);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    for (size_t i = 0; i < d->profiles_count; i++) {
        if (strcmp(d->profiles[i].name, name) == 0) {
            d->profiles[i].is_used = true;
            return d->profiles[i].profile;
        }
    }
    if (!d->has_bounce_profiles ||
        (section != NULL && config_setting_get_member(section, name) != NULL))
        return NULL; /* its own problem is reported */
    for (size_t i = 0; i < d->profiles_count; i++)
        config_suggestion_offer(&suggestion, d->profiles[i].name);
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(group, "bounce_profile"),
                         "bounce_profile \"%s\" is not in bounce_profiles%s", name,
                         config_suggestion_text(&suggestion, hint));
    return NULL;
}

void config_check_bounce_profiles(struct config_draft *d)
{
    /* Who uses what is not known where a name is wrong. */
    if (d->reader.problems->errors_count > 0)
        return;
    for (size_t i = 0; i < d->profiles_count; i++)
        if (!d->profiles[i].is_used)
            config_reader_report(&d->reader, CONFIG_WARNING, d->profiles[i].at,
                                 "bounce profile \"%s\" is not used by a destination or a listener",
                                 d->profiles[i].name);
}
