#include <string.h>

#include "config/asyncos_destinations.h"

#define WORD_BYTES_MAX 64

static const struct config_asyncos_word tls_words[] = {
    { "off", POLICY_TLS_OFF },
    { "on", POLICY_TLS_PREFERRED },
    { "required", POLICY_TLS_REQUIRED },
    { "on_verify", POLICY_TLS_PREFERRED_VERIFY },
    { "require_verify", POLICY_TLS_REQUIRED_VERIFY },
    { "require_verify_hosted", POLICY_TLS_REQUIRED_VERIFY_HOSTED },
    { "0", POLICY_TLS_OFF },
    { "1", POLICY_TLS_PREFERRED },
    { "2", POLICY_TLS_REQUIRED },
    { "3", POLICY_TLS_PREFERRED_VERIFY },
    { "4", POLICY_TLS_REQUIRED_VERIFY },
    { "5", POLICY_TLS_REQUIRED_VERIFY_HOSTED },
    { "no", POLICY_TLS_OFF },
    { "preferred", POLICY_TLS_PREFERRED },
    { "require", POLICY_TLS_REQUIRED },
    { "preferred_verify", POLICY_TLS_PREFERRED_VERIFY },
    { "required_verify", POLICY_TLS_REQUIRED_VERIFY },
    { "required_verify_hosted", POLICY_TLS_REQUIRED_VERIFY_HOSTED },
    { "require_verify_hosted_domains", POLICY_TLS_REQUIRED_VERIFY_HOSTED },
    { "required_verify_hosted_domains", POLICY_TLS_REQUIRED_VERIFY_HOSTED },
    { NULL, 0 },
};

static const struct config_asyncos_word ip_words[] = {
    { "PREFER_V6", POLICY_IP_PREFER_V6 },
    { "REQUIRE_V6", POLICY_IP_REQUIRE_V6 },
    { "PREFER_V4", POLICY_IP_PREFER_V4 },
    { "REQUIRE_V4", POLICY_IP_REQUIRE_V4 },
    { "PREFER_IPV6", POLICY_IP_PREFER_V6 },
    { "REQUIRE_IPV6", POLICY_IP_REQUIRE_V6 },
    { "PREFER_IPV4", POLICY_IP_PREFER_V4 },
    { "REQUIRE_IPV4", POLICY_IP_REQUIRE_V4 },
    { NULL, 0 },
};

static const struct config_asyncos_word scope_words[] = {
    { "host", POLICY_LIMIT_DOMAIN },
    { "MXIP", POLICY_LIMIT_ADDRESS },
    { "0", POLICY_LIMIT_DOMAIN },
    { "1", POLICY_LIMIT_ADDRESS },
    { NULL, 0 },
};

static const struct config_asyncos_word apply_words[] = {
    { "system", 0 }, { "0", 0 }, { "VG", 1 }, { "1", 1 }, { NULL, 0 },
};

static const struct config_asyncos_word switch_words[] = {
    { "off", 0 }, { "on", 1 },    { "0", 0 },    { "1", 1 },  { "no", 0 },
    { "yes", 1 }, { "false", 0 }, { "true", 1 }, { NULL, 0 },
};

static const struct config_asyncos_word dane_words[] = {
    { "none", POLICY_DANE_OFF },
    { "opportunistic", POLICY_DANE_OPPORTUNISTIC },
    { "mandatory", POLICY_DANE_MANDATORY },
    { "0", POLICY_DANE_OFF },
    { "1", POLICY_DANE_OPPORTUNISTIC },
    { "2", POLICY_DANE_MANDATORY },
    { "off", POLICY_DANE_OFF },
    { "no", POLICY_DANE_OFF },
    { NULL, 0 },
};

#define NUMBER(name, field, min, max)                                                              \
    {                                                                                              \
        name, CONFIG_ASYNCOS_DESTINATION_NUMBER, field, min, max, NULL, NULL, true, true           \
    }
#define WORDS(name, field, words)                                                                  \
    {                                                                                              \
        name, CONFIG_ASYNCOS_DESTINATION_WORD, field, 0, 0, words, NULL, true, true                \
    }
#define IGNORED(name, words, reason, is_of_domains)                                                \
    {                                                                                              \
        name, CONFIG_ASYNCOS_DESTINATION_IGNORED, POLICY_DESTINATION_FIELDS_COUNT, 0, 0, words,    \
            reason, true, is_of_domains                                                            \
    }

/* In the order of the guide's example, which is the order of an export. */
static const struct config_asyncos_destination_key keys[] = {
    WORDS("ip_sort_pref", POLICY_DESTINATION_IP, ip_words),
    NUMBER("max_host_concurrency", POLICY_DESTINATION_CONNECTIONS, 1,
           POLICY_DESTINATION_CONNECTIONS_MAX),
    NUMBER("max_messages_per_connection", POLICY_DESTINATION_MESSAGES, 1,
           POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX),
    { "recipient_minutes", CONFIG_ASYNCOS_DESTINATION_MINUTES, POLICY_DESTINATION_INTERVAL,
      POLICY_DESTINATION_INTERVAL_S_MIN / 60, POLICY_DESTINATION_INTERVAL_S_MAX / 60, NULL, NULL,
      true, true },
    NUMBER("recipient_limit", POLICY_DESTINATION_RECIPIENTS, 0, POLICY_DESTINATION_RECIPIENTS_MAX),
    WORDS("limit_type", POLICY_DESTINATION_SCOPE, scope_words),
    IGNORED("limit_apply", apply_words,
            "not carried over: Postern has no Virtual Gateways, a limit is for all of it", true),
    WORDS("table_tls", POLICY_DESTINATION_TLS, tls_words),
    WORDS("dane_mode", POLICY_DESTINATION_DANE, dane_words),
    WORDS("dane", POLICY_DESTINATION_DANE, dane_words),
    WORDS("dane_support", POLICY_DESTINATION_DANE, dane_words),
    WORDS("mta_sts", POLICY_DESTINATION_MTA_STS, switch_words),
    WORDS("mta_sts_mode", POLICY_DESTINATION_MTA_STS, switch_words),
    WORDS("mta_sts_support", POLICY_DESTINATION_MTA_STS, switch_words),
    IGNORED("bounce_validation", switch_words,
            "not carried over: the senders of mail are not tagged by this table", true),
    IGNORED("send_tls_req_alert", switch_words,
            "not carried over: the section alerts says who is told (required_tls, mail)", false),
    { "certificate", CONFIG_ASYNCOS_DESTINATION_NAME, POLICY_DESTINATION_CERTIFICATE, 0, 0, NULL,
      NULL, true, true },
    { "bounce_profile", CONFIG_ASYNCOS_DESTINATION_NAME, POLICY_DESTINATION_BOUNCE_PROFILE, 0, 0,
      NULL, NULL, false, true },
};

const struct config_asyncos_destination_key *config_asyncos_destination_key_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (slice_is_word(name, keys[i].name))
            return &keys[i];
    return NULL;
}

const struct config_asyncos_destination_key *config_asyncos_destination_key_of(
    enum policy_destination_field field)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].field == field && keys[i].meaning != CONFIG_ASYNCOS_DESTINATION_IGNORED)
            return &keys[i];
    return NULL;
}

const char *config_asyncos_destination_word(enum policy_destination_field field, uint32_t value)
{
    const struct config_asyncos_destination_key *key = config_asyncos_destination_key_of(field);

    ASSERT(key != NULL && key->words != NULL);
    for (const struct config_asyncos_word *w = key->words; w->text != NULL; w++)
        if (w->value == value)
            return w->text;
    UNREACHABLE();
}

/* "Required - Verify" becomes "Required_Verify". */
static struct slice join(struct slice text, char room[static WORD_BYTES_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < text.len && used < WORD_BYTES_MAX; i++) {
        bool parts = strchr(" \t-_", text.data[i]) != NULL && text.data[i] != '\0';

        if (!parts || used == 0 || room[used - 1] != '_')
            room[used++] = parts ? '_' : text.data[i];
    }
    return (struct slice){ room, used };
}

bool config_asyncos_destination_word_find(const struct config_asyncos_destination_key *key,
                                          struct slice text, uint32_t *value_out)
{
    char room[WORD_BYTES_MAX];
    struct slice word = join(text, room);

    for (const struct config_asyncos_word *w = key->words; w->text != NULL; w++) {
        if (!slice_is_word(word, w->text))
            continue;
        *value_out = w->value;
        return true;
    }
    return false;
}
