#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/asyncos_destinations.h"

#define MINUTE_S 60u

/* What AsyncOS has no key for, and how many entries say it. */
enum loss {
    LOSS_TLS_VERSION,
    LOSS_CERTIFICATE,
    LOSS_FALLBACK,
    LOSS_CHUNKING,
    LOSS_EIGHT_BIT,
    LOSS_DEFAULT_PROFILE,
    LOSS_PROFILE,
    LOSS_SECONDS,
    LOSSES_COUNT
};

static const char *const reasons[LOSSES_COUNT] = {
    [LOSS_TLS_VERSION] = "tls_min_version: AsyncOS has one for all destinations (sslconfig)",
    [LOSS_CERTIFICATE] = "certificate of a domain: AsyncOS has one for all destinations",
    [LOSS_FALLBACK] = "tls_fallback_clear: AsyncOS never falls back",
    [LOSS_CHUNKING] = "chunking: AsyncOS has no key for it",
    [LOSS_EIGHT_BIT] = "eight_bit: AsyncOS has no key for it",
    [LOSS_DEFAULT_PROFILE] = "bounce_profile of the default: AsyncOS has none in [DEFAULT]",
    [LOSS_PROFILE] = "bounce_profile: AsyncOS takes \"default\" for none, and has short names",
    [LOSS_SECONDS] = "recipients_interval: AsyncOS has minutes, and the next longer is written",
};

struct export
{
    const struct config_settings *settings;
    struct buffer *out;
    size_t losses[LOSSES_COUNT];
};

static enum status PRINTF_LIKE(3, 4)
    write_key(const struct export *x, const char *key, const char *format, ...)
{
    char value[CONFIG_ASYNCOS_TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    return buffer_printf(x->out, "%s = %s\n", key, value);
}

static enum status write_field(const struct export *x, enum policy_destination_field field,
                               uint32_t number)
{
    const struct config_asyncos_destination_key *key = config_asyncos_destination_key_of(field);

    if (key->words != NULL)
        return write_key(x, key->name, "%s", config_asyncos_destination_word(field, number));
    return write_key(x, key->name, "%u", number);
}

/* Who names a limit has to say what it is for. */
static enum status write_limits(struct export *x, const struct policy_destination *d,
                                bool is_default)
{
    bool has_connections =
        is_default || policy_destination_gives(d, POLICY_DESTINATION_CONNECTIONS);
    bool has_recipients = is_default ||
                          policy_destination_gives(d, POLICY_DESTINATION_RECIPIENTS) ||
                          policy_destination_gives(d, POLICY_DESTINATION_INTERVAL);

    if (has_connections)
        TRY(write_field(x, POLICY_DESTINATION_CONNECTIONS, d->max_connections));
    if (is_default || policy_destination_gives(d, POLICY_DESTINATION_MESSAGES))
        TRY(write_field(x, POLICY_DESTINATION_MESSAGES, d->max_messages_per_connection));
    if (has_recipients && d->max_recipients > 0) {
        if (d->recipients_interval_s % MINUTE_S != 0)
            x->losses[LOSS_SECONDS]++;
        TRY(write_field(x, POLICY_DESTINATION_INTERVAL,
                        (d->recipients_interval_s + MINUTE_S - 1) / MINUTE_S));
    }
    if (has_recipients && (d->max_recipients > 0 || !is_default))
        TRY(write_field(x, POLICY_DESTINATION_RECIPIENTS, d->max_recipients));
    if (!has_connections && !has_recipients &&
        !policy_destination_gives(d, POLICY_DESTINATION_SCOPE))
        return STATUS_OK;
    TRY(write_field(x, POLICY_DESTINATION_SCOPE, d->limit_scope));
    return write_key(x, "limit_apply", "system");
}

static void count_losses(struct export *x, const struct policy_destination *d, bool is_default)
{
    x->losses[LOSS_TLS_VERSION] += policy_destination_gives(d, POLICY_DESTINATION_TLS_VERSION);
    x->losses[LOSS_FALLBACK] +=
        d->clear_after_failed_handshake && policy_destination_gives(d, POLICY_DESTINATION_FALLBACK);
    x->losses[LOSS_CHUNKING] += policy_destination_gives(d, POLICY_DESTINATION_CHUNKING);
    x->losses[LOSS_EIGHT_BIT] += policy_destination_gives(d, POLICY_DESTINATION_EIGHT_BIT);
    if (is_default)
        x->losses[LOSS_DEFAULT_PROFILE] +=
            policy_destination_gives(d, POLICY_DESTINATION_BOUNCE_PROFILE);
    else
        x->losses[LOSS_CERTIFICATE] += policy_destination_gives(d, POLICY_DESTINATION_CERTIFICATE);
}

static enum status write_profile(struct export *x, const struct policy_destination *d)
{
    struct slice name = d->bounce_profile->name;

    if (!policy_destination_gives(d, POLICY_DESTINATION_BOUNCE_PROFILE))
        return STATUS_OK;
    if (!slice_is_word(name, "default") && name.len <= CONFIG_ASYNCOS_WORD_MAX)
        return write_key(x, "bounce_profile", "%.*s", SLICE_ARGS(name));
    x->losses[LOSS_PROFILE]++;
    return STATUS_OK;
}

/* Whether anybody is told that a required TLS connection failed. */
static bool alerts_of_tls(const struct config_alerts *alerts)
{
    return alerts->required_tls && (alerts->mail_count > 0 || alerts->command[0] != '\0');
}

/* All of the default but DANE and MTA-STS, which older versions do not know. */
static enum status write_entry(struct export *x, const struct policy_destination *d,
                               bool is_default)
{
    const struct config_certificate *certificate = x->settings->tls_clients[0].certificate;

    count_losses(x, d, is_default);
    if (is_default)
        TRY(buffer_append(x->out, SLICE("[DEFAULT]\n")));
    else
        TRY(buffer_printf(x->out, "[%.*s]\n", SLICE_ARGS(d->name)));
    if (is_default || policy_destination_gives(d, POLICY_DESTINATION_IP))
        TRY(write_field(x, POLICY_DESTINATION_IP, d->ip));
    TRY(write_limits(x, d, is_default));
    if (is_default || policy_destination_gives(d, POLICY_DESTINATION_TLS))
        TRY(write_field(x, POLICY_DESTINATION_TLS, d->tls));
    if (policy_destination_gives(d, POLICY_DESTINATION_DANE))
        TRY(write_field(x, POLICY_DESTINATION_DANE, d->dane));
    if (policy_destination_gives(d, POLICY_DESTINATION_MTA_STS))
        TRY(write_field(x, POLICY_DESTINATION_MTA_STS, d->mta_sts));
    if (is_default) {
        TRY(write_key(x, "bounce_validation", "off"));
        TRY(write_key(x, "send_tls_req_alert", "%d", alerts_of_tls(&x->settings->alerts)));
        if (certificate != NULL && strlen(certificate->name) <= CONFIG_ASYNCOS_WORD_MAX)
            TRY(write_key(x, "certificate", "%s", certificate->name));
        return STATUS_OK;
    }
    return write_profile(x, d);
}

enum status config_export_destinations(const struct config_loaded *loaded, const char *file,
                                       struct buffer *out, struct config_problems *problems)
{
    struct export x = { .settings = &loaded->settings, .out = out };
    size_t count = policy_snapshot_destinations_count(loaded->policy);

    TRY(write_entry(&x, policy_snapshot_destination_default(loaded->policy), true));
    for (size_t i = 0; i < count; i++)
        TRY(write_entry(&x, policy_snapshot_destination(loaded->policy, i), false));
    for (size_t i = 0; i < LOSSES_COUNT; i++)
        if (x.losses[i] > 0)
            config_problems_add(problems, CONFIG_WARNING, file, 0, "%zu %s not carried over: %s",
                                x.losses[i], x.losses[i] == 1 ? "entry is" : "entries are",
                                reasons[i]);
    return STATUS_OK;
}
