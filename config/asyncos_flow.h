/* config/asyncos_flow.h - the access rule of a policy or row of AsyncOS, and the settings in its
 * braces, read into the keys of our mail_flow_policies.
 *
 * Names of settings: those of the CLI guide's sample, and for what the sample does not show those
 * of the forms in the GUI. What Postern has no use for is noted, and never dropped in silence.
 */
#pragma once
#include "config/asyncos.h"
#include "policy/mail_flow.h"

enum config_asyncos_value {
    CONFIG_ASYNCOS_VALUE_NUMBER,
    CONFIG_ASYNCOS_VALUE_SIZE,    /* number: bytes */
    CONFIG_ASYNCOS_VALUE_MINUTES, /* number */
    CONFIG_ASYNCOS_VALUE_TEXT,
    CONFIG_ASYNCOS_VALUE_BOOL /* number: 0 or 1 */
};

/* One key of ours. */
struct config_asyncos_setting {
    const char *key; /* static */
    enum config_asyncos_value value;
    uint64_t number;
    struct slice text;
    unsigned line;
    uint32_t mark;
};

/* An access rule and its settings, which follow each other in the list. */
struct config_asyncos_action {
    enum policy_access access;
    size_t first, count;
    bool leaves_hostname; /* of the default parameters: use_override_hostname = "off" */
    uint32_t marks_end;   /* one behind the last mark of its block */
};

/* Whether a word is an access rule: ACCEPT, RELAY, REJECT, TCPREFUSE or CONTINUE. */
bool config_asyncos_access_parse(struct slice word, enum policy_access *access_out);

/* At an access rule: reads it, and the block behind it if there is one. settings is a list of
 * struct config_asyncos_setting. */
void config_asyncos_action_read(struct config_asyncos *a, struct buffer *settings,
                                struct config_asyncos_action *action_out);

const struct config_asyncos_setting *config_asyncos_setting_at(const struct buffer *settings,
                                                               size_t index);

/* Adds a number to the settings of the last action that was read. */
void config_asyncos_setting_add(struct config_asyncos *a, struct buffer *settings,
                                struct config_asyncos_action *action, const char *key,
                                enum config_asyncos_value value, uint64_t number);

/* The setting of that key, or NULL. */
const struct config_asyncos_setting *config_asyncos_setting_find(
    const struct buffer *settings, const struct config_asyncos_action *action, const char *key);

/* Whether both do the same with a host: rule, keys and values. */
bool config_asyncos_action_equal(const struct buffer *settings,
                                 const struct config_asyncos_action *a,
                                 const struct config_asyncos_action *b);

/* Equal actions have equal numbers. */
uint64_t config_asyncos_action_hash(const struct buffer *settings,
                                    const struct config_asyncos_action *action);
