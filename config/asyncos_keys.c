#include "config/asyncos_keys.h"

#define IS(meaning) CONFIG_ASYNCOS_IS_##meaning
#define KEY(name, what, key, min, max, why)                                                        \
    {                                                                                              \
        name, IS(what), key, min, max, why                                                         \
    }
#define COUNT(name, key)       KEY(name, COUNT, key, 1, POLICY_FLOW_COUNT_MAX, NULL)
#define RATE(name, key)        KEY(name, RATE, key, 1, POLICY_FLOW_COUNT_MAX, NULL)
#define CODE(name, key)        KEY(name, CODE, key, 400, 599, NULL)
#define TEXT(name, key)        KEY(name, TEXT, key, 0, 0, NULL)
#define BITS(name, key)        KEY(name, BITS, key, 1, 32, NULL)
#define TIME(name, key)        KEY(name, MINUTES, key, 1, 30 * 24 * 60, NULL)
#define OTHER(name, what, key) KEY(name, what, key, 0, 0, NULL)
#define IGNORED(name, why)     KEY(name, IGNORED, NULL, 0, 0, why)

/* The code and the text of a limit. */
#define REPLY(name, key) CODE(name "_code", key "_code"), TEXT(name "_text", key "_text")

#define SPAM   "ignored: Postern does not scan for spam"
#define VIRUS  "ignored: Postern does not scan for viruses"
#define FILTER "ignored: Postern does not filter by content"
#define AUTH   "ignored: Postern does not offer SMTP AUTH"
#define SIGN   "ignored: Postern neither signs nor verifies signatures"
#define DOMAIN "ignored: Postern does not verify by SPF or DMARC"
#define BOUNCE "ignored: Postern does not tag bounces"
#define SCORE                                                                                      \
    "ignored: Postern asks no SenderBase for flow control; SBRS[] entries have a source of "       \
    "their own"
#define BASE "ignored: whether bits are significant is said by significant_bits alone"
#define LIST                                                                                       \
    "not carried over: make TLS mandatory for these senders by a row or policy of their own"

static const struct config_asyncos_key keys[] = {
    COUNT("max_msgs_per_session", "max_messages_per_connection"),
    REPLY("max_msgs_per_session", "max_messages_per_connection"),
    COUNT("max_rcpts_per_msg", "max_recipients_per_message"),
    REPLY("max_rcpts_per_msg", "max_recipients_per_message"),
    COUNT("max_concurrency", "max_connections_per_ip"),
    REPLY("max_concurrency", "max_connections_per_ip"),
    KEY("max_message_size", SIZE, "max_message_size", POLICY_FLOW_MESSAGE_SIZE_MIN,
        POLICY_FLOW_MESSAGE_SIZE_MAX, NULL),
    REPLY("max_message_size", "max_message_size"),
    RATE("max_rcpts_per_hour", "max_recipients_per_hour"),
    REPLY("max_rcpts_per_hour", "max_recipients_per_hour"),
    BITS("significant_bits", "significant_bits"),
    BITS("signficant_bits", "significant_bits"), /* as the guide spells it */
    IGNORED("use_significant_bits", BASE),
    RATE("dhap_limit", "max_invalid_recipients_per_hour"),
    CODE("dhap_code", "max_invalid_recipients_per_hour_code"),
    TEXT("dhap_message", "max_invalid_recipients_per_hour_text"),
    REPLY("dhap_limit", "max_invalid_recipients_per_hour"),
    OTHER("dhap_action", SWITCH, "drop_invalid_recipients"),
    RATE("env_sender_rate_limit", "max_recipients_per_sender"),
    REPLY("env_sender_rate_limit", "max_recipients_per_sender"),
    TIME("env_sender_rate_limit_period", "sender_interval"),
    TIME("env_sender_rate_limit_interval", "sender_interval"),
    OTHER("env_sender_rate_limit_exceptions", NAME, "sender_exceptions"),
    OTHER("sender_vrfy", SWITCH, "verify_sender"),
    CODE("sender_vrfy_bad_domain_smtp_code", "sender_malformed_code"),
    TEXT("sender_vrfy_bad_domain_smtp_text", "sender_malformed_text"),
    CODE("sender_vrfy_nxdomain_smtp_code", "sender_nonexistent_code"),
    TEXT("sender_vrfy_nxdomain_smtp_text", "sender_nonexistent_text"),
    CODE("sender_vrfy_servfail_smtp_code", "sender_temporary_code"),
    TEXT("sender_vrfy_servfail_smtp_text", "sender_temporary_text"),
    OTHER("domain_exception", SWITCH, "use_exception_table"),
    OTHER("use_exception_table", SWITCH, "use_exception_table"),
    KEY("smtp_banner_code", BANNER_CODE, "banner_code", 200, 299, NULL),
    OTHER("smtp_banner_text", BANNER_TEXT, "banner_text"),
    CODE("reject_banner_code", "reject_code"),
    TEXT("reject_banner_text", "reject_text"),
    OTHER("override_hostname", HOSTNAME, "hostname"),
    OTHER("use_override_hostname", HOSTNAME_USED, NULL),
    OTHER("tls", TLS, "tls"),
    OTHER("tls_verify", VERIFY, "verify_client"),
    IGNORED("tls_exceptions", LIST),
    IGNORED("tls_address_list", LIST),
    IGNORED("use_sb", SCORE),
    IGNORED("spam_check", SPAM),
    IGNORED("graymail_check", SPAM),
    IGNORED("sdr_check", SPAM),
    IGNORED("app_check", SPAM),
    IGNORED("virus_check", VIRUS),
    IGNORED("amp_check", VIRUS),
    IGNORED("vof_check", VIRUS),
    IGNORED("cfilter_check", FILTER),
    IGNORED("mfilter_check", FILTER),
    IGNORED("smtpauth_allow", AUTH),
    IGNORED("smtpauth_requiretls", AUTH),
    IGNORED("accept_untagged_bounces", BOUNCE),
};

/* Whole families that are out of reach. */
static const struct config_asyncos_key families[] = {
    IGNORED("smtpauth_", AUTH), IGNORED("dkim_", SIGN),   IGNORED("domainkeys_", SIGN),
    IGNORED("smime_", SIGN),    IGNORED("spf_", DOMAIN),  IGNORED("dmarc_", DOMAIN),
    IGNORED("spam_", SPAM),     IGNORED("virus_", VIRUS),
};

const struct config_asyncos_key *config_asyncos_key_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (slice_is_word(name, keys[i].name))
            return &keys[i];
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        size_t len = strlen(families[i].name);

        if (name.len > len && slice_is_word(slice_first(name, len), families[i].name))
            return &families[i];
    }
    return NULL;
}
