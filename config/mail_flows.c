#include <assert.h>
#include <stdio.h>

#include "config/draft.h"
#include "config/suggest.h"
#include "config/units.h"
#include "policy/domain_map.h"

/* A policy as it is written: the values, and the texts and names that stand for others. */
struct written {
    struct policy_mail_flow flow;
    struct {
        uint32_t code;
        const char *text;
    } replies[POLICY_FLOW_REPLIES_COUNT];
    const char *hostname, *tls_senders, *sender_exceptions;
    const config_setting_t *client_names;
};

#define KEY(key, kind, field, ...)                                                                 \
    {                                                                                              \
        key, kind, offsetof(struct written, field), __VA_ARGS__                                    \
    }
#define COUNT(key, field, low)                                                                     \
    KEY(key, CONFIG_KIND_NUMBER, flow.field, false, low, POLICY_FLOW_COUNT_MAX)
#define REPLY(which, key, low, high)                                                               \
    [POLICY_FLOW_CODES +                                                                           \
        which] = KEY(key "_code", CONFIG_KIND_NUMBER, replies[which].code, false, low, high),      \
        [POLICY_FLOW_TEXTS + which] = KEY(key "_text", CONFIG_KIND_TEXT, replies[which].text,      \
                                          false, 1, POLICY_REPLY_TEXT_MAX)

#define ACCESS_NONE ((enum policy_access) - 1)

static_assert(sizeof(enum policy_access) == sizeof(int), "enum size");
static_assert(sizeof(enum policy_flow_tls) == sizeof(int), "enum size");
static_assert(sizeof(enum policy_flow_verify) == sizeof(int), "enum size");
static_assert(sizeof(enum policy_flow_version) == sizeof(int), "enum size");

static const char *const access_words[] = {
    "accept", "relay", "reject", "refuse", "continue", NULL
};
static const char *const tls_words[] = { "off", "preferred", "required", NULL };
static const char *const verify_words[] = { "off", "optional", "required", NULL };
static const char *const version_words[] = { "global", "1.2", "1.3", NULL };

/* One key for each field, in its place. */
static const struct config_key flow_keys[POLICY_FLOW_FIELDS_COUNT] = {
    [POLICY_FLOW_ACCESS] = KEY("access", CONFIG_KIND_WORD, flow.access, true, 0, 0, access_words),
    [POLICY_FLOW_TLS] = KEY("tls", CONFIG_KIND_WORD, flow.tls, false, 0, 0, tls_words),
    [POLICY_FLOW_TLS_VERSION] =
        KEY("tls_min_version", CONFIG_KIND_WORD, flow.tls_version_min, false, 0, 0, version_words),
    [POLICY_FLOW_TLS_SENDERS] = KEY("tls_senders", CONFIG_KIND_TEXT, tls_senders, false, 1),
    [POLICY_FLOW_VERIFY_CLIENT] =
        KEY("verify_client", CONFIG_KIND_WORD, flow.verify_client, false, 0, 0, verify_words),
    [POLICY_FLOW_CLIENT_NAMES] = KEY("client_names", CONFIG_KIND_STRINGS, client_names, false),
    [POLICY_FLOW_HOSTNAME] = KEY("hostname", CONFIG_KIND_TEXT, hostname, false, 0),
    [POLICY_FLOW_CONNECTIONS_PER_IP] = COUNT("max_connections_per_ip", max_connections_per_ip, 1),
    [POLICY_FLOW_MESSAGES_PER_CONNECTION] =
        COUNT("max_messages_per_connection", max_messages_per_connection, 1),
    [POLICY_FLOW_RECIPIENTS_PER_MESSAGE] =
        COUNT("max_recipients_per_message", max_recipients_per_message, 1),
    [POLICY_FLOW_MESSAGE_SIZE] =
        KEY("max_message_size", CONFIG_KIND_SIZE, flow.max_message_size, false,
            POLICY_FLOW_MESSAGE_SIZE_MIN, POLICY_FLOW_MESSAGE_SIZE_MAX),
    [POLICY_FLOW_RECIPIENTS_PER_HOUR] =
        COUNT("max_recipients_per_hour", max_recipients_per_hour, 0),
    [POLICY_FLOW_BITS_V4] = KEY("significant_bits", CONFIG_KIND_NUMBER, flow.bits_v4, false, 1, 32),
    [POLICY_FLOW_BITS_V6] =
        KEY("significant_bits_v6", CONFIG_KIND_NUMBER, flow.bits_v6, false, 1, 128),
    [POLICY_FLOW_RECIPIENTS_PER_SENDER] =
        COUNT("max_recipients_per_sender", max_recipients_per_sender, 0),
    [POLICY_FLOW_SENDER_INTERVAL] =
        KEY("sender_interval", CONFIG_KIND_DURATION, flow.sender_interval_s, false, 1,
            POLICY_FLOW_SENDER_INTERVAL_S_MAX),
    [POLICY_FLOW_SENDER_EXCEPTIONS] =
        KEY("sender_exceptions", CONFIG_KIND_TEXT, sender_exceptions, false, 1),
    [POLICY_FLOW_INVALID_RECIPIENTS] =
        COUNT("max_invalid_recipients_per_hour", max_invalid_recipients, 0),
    [POLICY_FLOW_DROP_INVALID] =
        KEY("drop_invalid_recipients", CONFIG_KIND_BOOL, flow.drop_invalid, false),
    [POLICY_FLOW_VERIFY_SENDER] = KEY("verify_sender", CONFIG_KIND_BOOL, flow.verify_sender, false),
    [POLICY_FLOW_EXCEPTION_TABLE] =
        KEY("use_exception_table", CONFIG_KIND_BOOL, flow.use_exception_table, false),
    [POLICY_FLOW_DSN] = KEY("dsn", CONFIG_KIND_BOOL, flow.dsn, false),
    REPLY(POLICY_FLOW_REPLY_BANNER, "banner", 220, 299),
    REPLY(POLICY_FLOW_REPLY_REJECT, "reject", 400, 599),
    REPLY(POLICY_FLOW_REPLY_CONNECTIONS, "max_connections_per_ip", 400, 599),
    REPLY(POLICY_FLOW_REPLY_MESSAGES, "max_messages_per_connection", 400, 599),
    REPLY(POLICY_FLOW_REPLY_RECIPIENTS, "max_recipients_per_message", 400, 599),
    REPLY(POLICY_FLOW_REPLY_SIZE, "max_message_size", 400, 599),
    REPLY(POLICY_FLOW_REPLY_RECIPIENTS_PER_HOUR, "max_recipients_per_hour", 400, 599),
    REPLY(POLICY_FLOW_REPLY_RECIPIENTS_PER_SENDER, "max_recipients_per_sender", 400, 599),
    REPLY(POLICY_FLOW_REPLY_INVALID_RECIPIENTS, "max_invalid_recipients_per_hour", 400, 599),
    REPLY(POLICY_FLOW_REPLY_SENDER_MALFORMED, "sender_malformed", 400, 599),
    REPLY(POLICY_FLOW_REPLY_SENDER_NONEXISTENT, "sender_nonexistent", 400, 599),
    REPLY(POLICY_FLOW_REPLY_SENDER_TEMPORARY, "sender_temporary", 400, 599),
};

const char *config_flow_key(unsigned field)
{
    ASSERT(field < POLICY_FLOW_FIELDS_COUNT);
    return flow_keys[field].name;
}

static struct written written_default(void)
{
    struct written w = { .flow = policy_mail_flow_default() };

    for (size_t i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        w.replies[i].code = w.flow.replies[i].code;
        w.replies[i].text = w.flow.replies[i].text.data; /* a literal */
    }
    return w;
}

static void read_replies(struct config_draft *d, const config_setting_t *at, struct written *w)
{
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        struct slice text = slice_from(w->replies[i].text);

        if (!policy_reply_text_is_valid(text))
            config_reader_report(&d->reader, CONFIG_ERROR,
                                 config_member(at, flow_keys[POLICY_FLOW_TEXTS + i].name),
                                 "%s has to be ASCII", flow_keys[POLICY_FLOW_TEXTS + i].name);
        else
            w->flow.replies[i].text = text;
        w->flow.replies[i].code = w->replies[i].code;
    }
}

static void read_hostname(struct config_draft *d, const config_setting_t *at, struct written *w)
{
    w->flow.has_hostname = w->hostname != NULL;
    if (w->hostname == NULL)
        return;
    w->flow.hostname = slice_from(w->hostname);
    if (w->hostname[0] != '\0' && !policy_domain_is_valid(w->flow.hostname))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "hostname"),
                             "hostname = \"%s\" is not a host name", w->hostname);
}

/* A name in a certificate, RFC 6125: a host name, or "*." and a domain; or a mail address. */
static bool is_client_name(struct slice text)
{
    if (text.len > 2 && text.data[0] == '*' && text.data[1] == '.')
        text = slice_after(text, 2);
    else if (text.len > 0 && memchr(text.data, '@', text.len) != NULL &&
             slice_cut(&text, '@').len == 0)
        return false;
    return policy_domain_is_valid(text);
}

static void read_client_names(struct config_draft *d, struct written *w)
{
    const config_setting_t *list = w->client_names;
    size_t count = list != NULL ? (size_t)config_setting_length(list) : 0;
    struct slice *names;

    if (count > POLICY_FLOW_CLIENT_NAMES_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, list, "client_names has more than %d names",
                             POLICY_FLOW_CLIENT_NAMES_MAX);
        count = POLICY_FLOW_CLIENT_NAMES_MAX;
    }
    names = config_reader_take(&d->reader, count, sizeof(*names));
    for (size_t i = 0; i < count && names != NULL; i++) {
        const char *text =
            config_reader_text(&d->reader, config_setting_get_string_elem(list, (int)i));

        if (text == NULL)
            return;
        names[i] = slice_from(text);
        if (!is_client_name(names[i]))
            config_reader_report(&d->reader, CONFIG_ERROR,
                                 config_setting_get_elem(list, (unsigned)i),
                                 "\"%.*s\" is not a name of a certificate: \"host.example.com\", "
                                 "\"*.example.com\" or \"user@example.com\"",
                                 SLICE_ARGS(names[i]));
    }
    w->flow.client_names = names;
    w->flow.client_names_count = names != NULL ? count : 0;
}

static void refuse_size(struct config_draft *d, const config_setting_t *at, const char *where,
                        uint64_t size_bytes)
{
    char size[CONFIG_UNIT_TEXT_MAX], memory[CONFIG_UNIT_TEXT_MAX];

    config_reader_report(&d->reader, CONFIG_ERROR, at,
                         "%smax_message_size %s is more than all messages in memory may have "
                         "(memory: messages = \"%s\")",
                         where, config_size_format(size_bytes, size),
                         config_size_format(d->settings.memory_message_bytes, memory));
}

/* What the group itself says; what it leaves out is judged at the listeners. */
static void read_size(struct config_draft *d, const config_setting_t *at, struct written *w,
                      uint64_t size_default)
{
    if (w->flow.max_message_size > d->settings.memory_message_bytes)
        refuse_size(d, config_member(at, "max_message_size"), "", w->flow.max_message_size);
    if (w->flow.max_message_size == 0)
        w->flow.max_message_size = size_default;
}

/* Where nothing is said: a stranger could have reports of success sent to whom he names as the
 * sender, which tell of the hosts behind us; who may relay can send that anyway. */
static void default_dsn(struct written *w)
{
    if ((w->flow.given >> POLICY_FLOW_DSN & 1) == 0)
        w->flow.dsn = w->flow.access == POLICY_ACCESS_RELAY;
}

/* What is behind the plain values. */
static void finish_flow(struct config_draft *d, const config_setting_t *at, struct written *w,
                        uint64_t size_default)
{
    for (unsigned i = 0; i < POLICY_FLOW_FIELDS_COUNT; i++)
        if (config_setting_get_member(at, flow_keys[i].name) != NULL)
            w->flow.given |= (uint64_t)1 << i;
    default_dsn(w);
    read_size(d, at, w, size_default);
    read_replies(d, at, w);
    read_hostname(d, at, w);
    read_client_names(d, w);
    if (w->tls_senders != NULL)
        w->flow.tls_senders = config_address_list_find(d, at, "tls_senders", w->tls_senders);
    if (w->sender_exceptions != NULL)
        w->flow.sender_exceptions =
            config_address_list_find(d, at, "sender_exceptions", w->sender_exceptions);
    if (w->flow.verify_client != POLICY_FLOW_VERIFY_OFF &&
        d->settings.tls_client_ca_path[0] == '\0')
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "verify_client"),
                             "verify_client needs the authorities that may vouch for clients: "
                             "tls: client_ca_file");
}

static void read_flow(struct config_draft *d, const config_setting_t *at)
{
    struct written w = written_default();
    struct config_flow_draft *draft = &d->flows[d->flows_count];
    uint64_t size_default = w.flow.max_message_size;

    if (!config_setting_is_group(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "policy \"%s\" has to be a group",
                             config_setting_name(at));
        return;
    }
    /* A policy with a problem is added all the same, so that its name is known to the HATs. One
     * that continues is in the way of no other row. */
    w.flow.access = ACCESS_NONE;
    w.flow.max_message_size = 0;
    (void)config_read_keys(&d->reader, at, config_setting_name(at), flow_keys, ARRAY_LEN(flow_keys),
                           &w);
    draft->is_broken = w.flow.access == ACCESS_NONE;
    if (draft->is_broken)
        w.flow.access = POLICY_ACCESS_CONTINUE;
    finish_flow(d, at, &w, size_default);
    w.flow.name = slice_from(config_setting_name(at));
    if (!config_reader_check(&d->reader, at,
                             policy_builder_add_mail_flow(d->builder, &w.flow, &draft->flow)))
        return;
    draft->name = config_setting_name(at);
    draft->at = at;
    d->flows_count++;
}

void config_read_mail_flows(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.mail_flow_policies, CONFIG_MAIL_FLOWS_MAX);

    d->flows = config_draft_take(d, count, sizeof(*d->flows));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_flow(d, config_setting_get_elem(d->root.mail_flow_policies, (unsigned)i));
}

/* A size that neither the policy nor the listener says. */
static void judge_size(struct config_draft *d, const config_setting_t *at,
                       const struct config_listener *listener, const char *where,
                       const struct policy_mail_flow *used)
{
    uint64_t given = used->given | listener->defaults_given;

    if ((given >> POLICY_FLOW_MESSAGE_SIZE & 1) == 0 &&
        used->max_message_size > d->settings.memory_message_bytes)
        refuse_size(d, at, where, used->max_message_size);
}

void config_judge_flow(struct config_draft *d, const config_setting_t *at,
                       const struct config_listener *listener, const struct policy_mail_flow *used)
{
    const char *name = listener->name != NULL ? listener->name : "", *what = NULL;
    char where[CONFIG_PROBLEM_TEXT_MAX];

    if (used->access != POLICY_ACCESS_ACCEPT && used->access != POLICY_ACCESS_RELAY)
        return; /* it lets no mail in, whatever it has inherited */
    (void)snprintf(where, sizeof(where),
                   "policy \"%.*s\" at listener \"%s\": ", SLICE_ARGS(used->name), name);
    judge_size(d, at, listener, where, used);
    if (used->client_names_count > 0 && used->verify_client == POLICY_FLOW_VERIFY_OFF)
        what = "client_names says nothing without verify_client = \"optional\" or \"required\"";
    else if (used->tls == POLICY_FLOW_TLS_OFF && used->verify_client == POLICY_FLOW_VERIFY_REQUIRED)
        what = "verify_client = \"required\" with tls = \"off\": nobody can send mail";
    else if (used->tls == POLICY_FLOW_TLS_OFF && used->tls_senders != NULL)
        what = "tls_senders with tls = \"off\": these senders can send no mail";
    if (what != NULL)
        config_reader_report(&d->reader, CONFIG_WARNING, at, "%s%s", where, what);
}

struct policy_mail_flow config_read_flow_defaults(struct config_draft *d,
                                                  const config_setting_t *at)
{
    struct written w = written_default();
    uint64_t size_default = w.flow.max_message_size;

    if (at == NULL)
        return w.flow;
    w.flow.max_message_size = 0;
    /* "access" is the first key, and no default can be a matter of the listener. */
    (void)config_read_keys(&d->reader, at, "defaults", &flow_keys[POLICY_FLOW_ACCESS + 1],
                           ARRAY_LEN(flow_keys) - POLICY_FLOW_ACCESS - 1, &w);
    finish_flow(d, at, &w, size_default);
    return w.flow;
}

const struct config_flow_draft *config_flow_find(struct config_draft *d,
                                                 const config_setting_t *row, const char *name)
{
    struct config_suggestion suggestion = config_suggestion_begin(name);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    for (size_t i = 0; i < d->flows_count; i++) {
        if (strcmp(d->flows[i].name, name) == 0)
            return &d->flows[i];
        config_suggestion_offer(&suggestion, d->flows[i].name);
    }
    if (!d->has_mail_flows || config_setting_get_member(d->root.mail_flow_policies, name) != NULL)
        return NULL; /* and that is reported */
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(row, "policy"),
                         "policy \"%s\" is not in mail_flow_policies%s", name,
                         config_suggestion_text(&suggestion, hint));
    return NULL;
}
