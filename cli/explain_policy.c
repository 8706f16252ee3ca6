#include "cli/explain_policy.h"

#include <stdio.h>

#include "cli/json.h"
#include "config/load.h"
#include "config/units.h"
#include "policy/address_list.h"

#define VALUE_BYTES_MAX 512

static const char *access_effect(const struct policy_mail_flow *flow)
{
    switch (flow->access) {
    case POLICY_ACCESS_ACCEPT: return "mail is accepted for the recipients of the RAT";
    case POLICY_ACCESS_RELAY: return "mail is accepted for any recipient";
    case POLICY_ACCESS_REJECT: return "the host is greeted with the reject code";
    case POLICY_ACCESS_REFUSE: return "the connection is reset";
    case POLICY_ACCESS_CONTINUE: return "the next rows decide";
    }
    UNREACHABLE();
}

static const char *tls_effect(const struct policy_mail_flow *flow)
{
    switch (flow->tls) {
    case POLICY_FLOW_TLS_OFF: return "STARTTLS is not offered";
    case POLICY_FLOW_TLS_PREFERRED: return "STARTTLS is offered, clear text is accepted too";
    case POLICY_FLOW_TLS_REQUIRED: return "no mail before STARTTLS";
    }
    UNREACHABLE();
}

static const char *dsn_effect(const struct policy_mail_flow *flow)
{
    return flow->dsn ? "true: DSN is offered, senders may ask for reports"
                     : "false: DSN is not offered";
}

static const char *origin_of(const struct config_listener *listener,
                             const struct policy_mail_flow *flow, unsigned field)
{
    if ((flow->given >> field & 1) != 0)
        return "policy";
    return (listener->defaults_given >> field & 1) != 0 ? "listener" : "default";
}

static const char *number(uint64_t value, char text[static VALUE_BYTES_MAX])
{
    (void)snprintf(text, VALUE_BYTES_MAX, "%llu", (unsigned long long)value);
    return text;
}

static const char *list_name(const struct policy_address_list *list,
                             char text[static VALUE_BYTES_MAX])
{
    struct slice name = list != NULL ? policy_address_list_name(list) : SLICE("");

    (void)snprintf(text, VALUE_BYTES_MAX, "%.*s", SLICE_ARGS(name));
    return text;
}

static const char *client_names(const struct policy_mail_flow *flow,
                                char text[static VALUE_BYTES_MAX])
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < flow->client_names_count && used < VALUE_BYTES_MAX; i++)
        used += (size_t)snprintf(text + used, VALUE_BYTES_MAX - used, "%s%.*s", i > 0 ? ", " : "",
                                 SLICE_ARGS(flow->client_names[i]));
    return text;
}

static const char *version_text(enum policy_flow_version version)
{
    switch (version) {
    case POLICY_FLOW_VERSION_GLOBAL: return "global";
    case POLICY_FLOW_VERSION_1_2: return "1.2";
    case POLICY_FLOW_VERSION_1_3: return "1.3";
    }
    UNREACHABLE();
}

static const char *reply_value(const struct policy_mail_flow *flow, unsigned field,
                               char text[static VALUE_BYTES_MAX])
{
    struct slice words;

    if (field < POLICY_FLOW_TEXTS)
        return number(flow->replies[field - POLICY_FLOW_CODES].code, text);
    words = flow->replies[field - POLICY_FLOW_TEXTS].text;
    (void)snprintf(text, VALUE_BYTES_MAX, "%.*s", SLICE_ARGS(words));
    return text;
}

/* The value of a field as it would be written. */
static const char *value_of(const struct policy_mail_flow *flow, unsigned field,
                            char text[static VALUE_BYTES_MAX])
{
    if (field >= POLICY_FLOW_CODES)
        return reply_value(flow, field, text);
    switch ((enum policy_flow_field)field) {
    case POLICY_FLOW_ACCESS: return policy_access_text(flow->access);
    case POLICY_FLOW_TLS: return policy_flow_tls_text(flow->tls);
    case POLICY_FLOW_TLS_VERSION: return version_text(flow->tls_version_min);
    case POLICY_FLOW_TLS_SENDERS: return list_name(flow->tls_senders, text);
    case POLICY_FLOW_VERIFY_CLIENT: return policy_flow_verify_text(flow->verify_client);
    case POLICY_FLOW_CLIENT_NAMES: return client_names(flow, text);
    case POLICY_FLOW_HOSTNAME:
        (void)snprintf(text, VALUE_BYTES_MAX, "%.*s", SLICE_ARGS(flow->hostname));
        return text;
    case POLICY_FLOW_CONNECTIONS_PER_IP: return number(flow->max_connections_per_ip, text);
    case POLICY_FLOW_MESSAGES_PER_CONNECTION:
        return number(flow->max_messages_per_connection, text);
    case POLICY_FLOW_RECIPIENTS_PER_MESSAGE: return number(flow->max_recipients_per_message, text);
    case POLICY_FLOW_MESSAGE_SIZE: return config_size_format(flow->max_message_size, text);
    case POLICY_FLOW_RECIPIENTS_PER_HOUR: return number(flow->max_recipients_per_hour, text);
    case POLICY_FLOW_BITS_V4: return number(flow->bits_v4, text);
    case POLICY_FLOW_BITS_V6: return number(flow->bits_v6, text);
    case POLICY_FLOW_RECIPIENTS_PER_SENDER: return number(flow->max_recipients_per_sender, text);
    case POLICY_FLOW_SENDER_INTERVAL: return config_duration_format(flow->sender_interval_s, text);
    case POLICY_FLOW_SENDER_EXCEPTIONS: return list_name(flow->sender_exceptions, text);
    case POLICY_FLOW_INVALID_RECIPIENTS: return number(flow->max_invalid_recipients, text);
    case POLICY_FLOW_DROP_INVALID: return flow->drop_invalid ? "true" : "false";
    case POLICY_FLOW_VERIFY_SENDER: return flow->verify_sender ? "true" : "false";
    case POLICY_FLOW_EXCEPTION_TABLE: return flow->use_exception_table ? "true" : "false";
    case POLICY_FLOW_DSN: return flow->dsn ? "true" : "false";
    case POLICY_FLOW_CODES:
    case POLICY_FLOW_TEXTS:
    case POLICY_FLOW_FIELDS_COUNT: break;
    }
    UNREACHABLE();
}

static bool lets_mail_in(const struct policy_mail_flow *flow)
{
    return flow->access == POLICY_ACCESS_ACCEPT || flow->access == POLICY_ACCESS_RELAY;
}

void cli_policy_print(const struct config_listener *listener, const struct policy_mail_flow *flow)
{
    const struct policy_mail_flow *used = config_listener_flow(listener, flow);
    char size[CONFIG_UNIT_TEXT_MAX], text[VALUE_BYTES_MAX];

    printf("  policy   %.*s\n", SLICE_ARGS(flow->name));
    printf("  access   %s: %s\n", policy_access_text(used->access), access_effect(used));
    if (lets_mail_in(used)) {
        printf("  tls      %s: %s\n", policy_flow_tls_text(used->tls), tls_effect(used));
        printf("  dsn      %s\n", dsn_effect(used));
        printf("  limits   %u connections per IP, %u messages per connection,\n"
               "           %u recipients per message, %s per message\n",
               used->max_connections_per_ip, used->max_messages_per_connection,
               used->max_recipients_per_message, config_size_format(used->max_message_size, size));
        if (used->max_recipients_per_hour > 0)
            printf("           %u recipients per hour of a client (/%u, IPv6 /%u)\n",
                   used->max_recipients_per_hour, used->bits_v4, used->bits_v6);
        if (used->max_recipients_per_sender > 0)
            printf("           %u recipients per %s of an envelope sender\n",
                   used->max_recipients_per_sender,
                   config_duration_format(used->sender_interval_s, size));
        if (used->max_invalid_recipients > 0)
            printf("           %u invalid recipients per hour of a client\n",
                   used->max_invalid_recipients);
    }
    for (unsigned i = POLICY_FLOW_ACCESS + 1; i < POLICY_FLOW_FIELDS_COUNT; i++) {
        const char *origin = origin_of(listener, flow, i), *value = value_of(used, i, text);

        /* An empty one is said as the configuration says it. */
        if (strcmp(origin, "default") != 0)
            printf("    %-38s %s%s\n", config_flow_key(i), value[0] != '\0' ? value : "\"\"",
                   strcmp(origin, "listener") == 0 ? "   (inherited from the listener)" : "");
    }
}

void cli_policy_print_json(const struct config_listener *listener,
                           const struct policy_mail_flow *flow)
{
    const struct policy_mail_flow *used = config_listener_flow(listener, flow);
    char text[VALUE_BYTES_MAX];

    cli_json_name(false, "policy");
    putchar('{');
    cli_json_member(true, "name", flow->name);
    cli_json_member(false, "access", slice_from(policy_access_text(used->access)));
    cli_json_member(false, "tls", slice_from(policy_flow_tls_text(used->tls)));
    cli_json_number(false, "max_connections_per_ip", used->max_connections_per_ip);
    cli_json_number(false, "max_messages_per_connection", used->max_messages_per_connection);
    cli_json_number(false, "max_recipients_per_message", used->max_recipients_per_message);
    cli_json_number(false, "max_message_size", used->max_message_size);
    cli_json_name(false, "values");
    for (unsigned i = 0; i < POLICY_FLOW_FIELDS_COUNT; i++) {
        fputs(i == 0 ? "{" : ", ", stdout);
        cli_json_text(slice_from(config_flow_key(i)));
        fputs(": {", stdout);
        cli_json_member(true, "value", slice_from(value_of(used, i, text)));
        cli_json_member(false, "from", slice_from(origin_of(listener, flow, i)));
        putchar('}');
    }
    fputs("}}", stdout);
}
