#include <stdio.h>

#include "config/draft.h"
#include "config/suggest.h"
#include "config/units.h"

#define FLOW(key, kind, field, ...)                                                                \
    {                                                                                              \
        key, kind, offsetof(struct policy_mail_flow, field), __VA_ARGS__                           \
    }

#define ACCESS_NONE ((enum policy_access) - 1)

_Static_assert(sizeof(enum policy_access) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_flow_tls) == sizeof(int), "enum size");

static const char *const access_words[] = {
    "accept", "relay", "reject", "refuse", "continue", NULL
};
static const char *const tls_words[] = { "off", "preferred", "required", NULL };

static const struct config_key flow_keys[] = {
    FLOW("access", CONFIG_KIND_WORD, access, true, 0, 0, access_words),
    FLOW("tls", CONFIG_KIND_WORD, tls, false, 0, 0, tls_words),
    FLOW("max_connections_per_ip", CONFIG_KIND_NUMBER, max_connections_per_ip, false, 1,
         POLICY_FLOW_COUNT_MAX),
    FLOW("max_messages_per_connection", CONFIG_KIND_NUMBER, max_messages_per_connection, false, 1,
         POLICY_FLOW_COUNT_MAX),
    FLOW("max_recipients_per_message", CONFIG_KIND_NUMBER, max_recipients_per_message, false, 1,
         POLICY_FLOW_COUNT_MAX),
    FLOW("max_message_size", CONFIG_KIND_SIZE, max_message_size, false,
         POLICY_FLOW_MESSAGE_SIZE_MIN, POLICY_FLOW_MESSAGE_SIZE_MAX),
};

static void read_flow(struct config_draft *d, const config_setting_t *at)
{
    struct policy_mail_flow flow = policy_mail_flow_default();
    struct config_flow_draft *draft = &d->flows[d->flows_count];
    char size[CONFIG_UNIT_TEXT_MAX], memory[CONFIG_UNIT_TEXT_MAX];
    uint64_t size_default = flow.max_message_size;

    if (!config_setting_is_group(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "policy \"%s\" has to be a group",
                             config_setting_name(at));
        return;
    }
    /* A policy with a problem is added all the same, so that its name is known to the HATs. One
     * that continues is in the way of no other row. */
    flow.access = ACCESS_NONE;
    flow.max_message_size = 0;
    (void)config_read_keys(&d->reader, at, config_setting_name(at), flow_keys, ARRAY_LEN(flow_keys),
                           &flow);
    draft->is_broken = flow.access == ACCESS_NONE;
    if (draft->is_broken)
        flow.access = POLICY_ACCESS_CONTINUE;
    if (flow.max_message_size == 0 &&
        !config_is_meant(at, flow_keys, ARRAY_LEN(flow_keys), "max_message_size"))
        flow.max_message_size = size_default;
    if (flow.max_message_size > d->settings.memory_message_bytes)
        config_reader_report(
            &d->reader, CONFIG_ERROR, config_member(at, "max_message_size"),
            "max_message_size %s is more than all messages in memory may have (memory: messages "
            "= \"%s\")",
            config_size_format(flow.max_message_size, size),
            config_size_format(d->settings.memory_message_bytes, memory));
    if (flow.max_message_size == 0)
        flow.max_message_size = size_default;
    flow.name = slice_from(config_setting_name(at));
    if (!config_reader_check(&d->reader, at,
                             policy_builder_add_mail_flow(d->builder, &flow, &draft->flow)))
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
