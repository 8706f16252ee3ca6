#include <stdio.h>

#include "base/hash.h"
#include "config/asyncos_hat.h"

#define KEY_BYTES_MAX 64
#define KEYS_TRIED    1000000u

static const char from_asyncos[] = "Not in the export: the values that AsyncOS suggests.";
static const char from_row[] = "Made for rows of the export that name no policy.";

/* The policies that every AsyncOS has, with the values that its guide suggests. */
static const struct {
    const char *name;
    enum policy_access access;
    uint64_t messages, recipients, size, connections; /* 0: not said */
    bool has_rate;
    uint64_t rate;
} predefined[] = {
    { "ACCEPTED", POLICY_ACCESS_ACCEPT, 1000, 1000, (uint64_t)100 << 20, 1000, false, 0 },
    { "THROTTLED", POLICY_ACCESS_ACCEPT, 10, 20, (uint64_t)1 << 20, 10, true, 20 },
    { "TRUSTED", POLICY_ACCESS_ACCEPT, 1000, 1000, (uint64_t)100 << 20, 1000, true, 0 },
    { "RELAYED", POLICY_ACCESS_RELAY, 0, 0, 0, 0, true, 0 },
    { "BLOCKED", POLICY_ACCESS_REJECT, 0, 0, 0, 0, false, 0 },
};

size_t config_asyncos_policies_count(const struct config_asyncos_hat *hat)
{
    return buffer_len(&hat->policies) / sizeof(struct config_asyncos_policy);
}

struct config_asyncos_policy *config_asyncos_policy_at(const struct config_asyncos_hat *hat,
                                                       size_t index)
{
    return config_asyncos_item(&hat->policies, index, sizeof(struct config_asyncos_policy));
}

static uint64_t hash_of(struct slice name)
{
    static const struct hash_seed seed; /* the names are the administrator's own */

    return hash_bytes(&seed, name);
}

static bool find_by_name(const struct config_asyncos_hat *hat, struct slice name, size_t *index_out)
{
    uint64_t hash = hash_of(name);

    for (size_t i = 0; i < config_asyncos_policies_count(hat); i++) {
        const struct config_asyncos_policy *p = config_asyncos_policy_at(hat, i);

        if (p->name_hash != hash || !slice_equal(p->name, name))
            continue;
        *index_out = i;
        return true;
    }
    return false;
}

static bool key_is_free(const struct config_asyncos_hat *hat, struct slice key)
{
    for (size_t i = 0; i < config_asyncos_policies_count(hat); i++)
        if (slice_equal(config_asyncos_policy_at(hat, i)->key, key))
            return false;
    return true;
}

/* A key like the name that libconfig takes and no other policy has. */
static struct slice make_key(struct config_asyncos_hat *hat, struct slice name)
{
    char base[KEY_BYTES_MAX + 1] = "P_", key[2 * KEY_BYTES_MAX];
    size_t used = name.len > 0 && ascii_is_letter(name.data[0]) ? 0 : 2;

    for (size_t i = 0; i < name.len && used < KEY_BYTES_MAX - 8; i++) {
        char c = name.data[i];

        base[used++] = ascii_is_letter(c) || ascii_is_digit(c) || c == '-' ? c : '_';
    }
    base[used] = '\0';
    if (!config_asyncos_name_is_valid(slice_from(base)))
        base[used++] = '_'; /* "true" is no name, "true_" is one */
    base[used] = '\0';
    (void)snprintf(key, sizeof(key), "%s", base);
    for (unsigned i = 2; !key_is_free(hat, slice_from(key)) && i < KEYS_TRIED; i++)
        (void)snprintf(key, sizeof(key), "%s_%u", base, i);
    return config_asyncos_copy(&hat->a, slice_from(key));
}

/* The number of the new policy; false, and reported, when there is no room. */
static bool add_policy(struct config_asyncos_hat *hat, struct config_asyncos_policy *policy,
                       struct slice key, size_t *index_out)
{
    size_t count = config_asyncos_policies_count(hat);

    if (count == CONFIG_ASYNCOS_POLICIES_MAX) {
        config_asyncos_error(&hat->a, policy->line, "more than %d policies",
                             CONFIG_ASYNCOS_POLICIES_MAX);
        hat->a.status = STATUS_LIMIT;
        return false;
    }
    policy->key = make_key(hat, key);
    policy->name_hash = hash_of(policy->name);
    policy->action_hash = config_asyncos_action_hash(&hat->settings, &policy->action);
    *index_out = count;
    return config_asyncos_push(&hat->a, &hat->policies, policy, sizeof(*policy));
}

void config_asyncos_policy_define(struct config_asyncos_hat *hat,
                                  const struct config_asyncos_policy *policy)
{
    struct config_asyncos_policy p = *policy;
    size_t index;

    if (p.name.len == 0) {
        config_asyncos_error(&hat->a, p.line, "a name is missing behind \"$\"");
    } else if (find_by_name(hat, p.name, &index)) {
        config_asyncos_error(&hat->a, p.line, "policy $%.*s is defined twice (see line %u)",
                             SLICE_ARGS(p.name), config_asyncos_policy_at(hat, index)->line);
    } else if (add_policy(hat, &p, p.name, &index) && !slice_equal(p.name, p.key)) {
        config_asyncos_warn(&hat->a, p.line,
                            "policy $%.*s is written as %.*s: our names have letters, digits, "
                            "\"-\" and \"_\"",
                            SLICE_ARGS(p.name), SLICE_ARGS(p.key));
    }
}

static void set(struct config_asyncos_hat *hat, struct config_asyncos_action *action,
                const char *key, uint64_t number)
{
    if (number > 0)
        config_asyncos_setting_add(&hat->a, &hat->settings, action, key,
                                   CONFIG_ASYNCOS_VALUE_NUMBER, number);
}

/* Adds the predefined policy of that name. */
static bool add_predefined(struct config_asyncos_hat *hat, struct slice name, unsigned line,
                           size_t *index_out)
{
    struct config_asyncos_policy p = {
        .name = name, .origin = from_asyncos, .line = line, .mark = CONFIG_ASYNCOS_NO_MARK
    };
    size_t i = 0;

    while (i < ARRAY_LEN(predefined) && !slice_equal(name, slice_from(predefined[i].name)))
        i++;
    if (i == ARRAY_LEN(predefined))
        return false;
    p.action.access = predefined[i].access;
    p.action.first = buffer_len(&hat->settings) / sizeof(struct config_asyncos_setting);
    set(hat, &p.action, "max_messages_per_connection", predefined[i].messages);
    set(hat, &p.action, "max_recipients_per_message", predefined[i].recipients);
    set(hat, &p.action, "max_connections_per_ip", predefined[i].connections);
    if (predefined[i].size > 0)
        config_asyncos_setting_add(&hat->a, &hat->settings, &p.action, "max_message_size",
                                   CONFIG_ASYNCOS_VALUE_SIZE, predefined[i].size);
    if (predefined[i].has_rate)
        config_asyncos_setting_add(&hat->a, &hat->settings, &p.action, "max_recipients_per_hour",
                                   CONFIG_ASYNCOS_VALUE_NUMBER, predefined[i].rate);
    if (!add_policy(hat, &p, name, index_out))
        return false;
    config_asyncos_warn(&hat->a, line,
                        "policy $%.*s is not in the file: written with the values that AsyncOS "
                        "suggests",
                        SLICE_ARGS(name));
    return true;
}

static bool find_equal(const struct config_asyncos_hat *hat,
                       const struct config_asyncos_action *action, size_t *index_out)
{
    uint64_t hash = config_asyncos_action_hash(&hat->settings, action);

    for (size_t i = 0; i < config_asyncos_policies_count(hat); i++) {
        const struct config_asyncos_policy *p = config_asyncos_policy_at(hat, i);

        if (p->action_hash != hash ||
            !config_asyncos_action_equal(&hat->settings, &p->action, action))
            continue;
        *index_out = i;
        return true;
    }
    return false;
}

static const char *name_for(enum policy_access access)
{
    switch (access) {
    case POLICY_ACCESS_ACCEPT: return "ACCEPTED";
    case POLICY_ACCESS_RELAY: return "RELAYED";
    case POLICY_ACCESS_REJECT: return "BLOCKED";
    case POLICY_ACCESS_REFUSE: return "REFUSED";
    case POLICY_ACCESS_CONTINUE: return "CONTINUE";
    }
    UNREACHABLE();
}

/* number is the row's, from 1. */
static void resolve_row(struct config_asyncos_hat *hat, struct config_asyncos_row *row,
                        size_t number)
{
    struct config_asyncos_policy made = {
        .action = row->action, .origin = from_row, .line = row->line, .mark = CONFIG_ASYNCOS_NO_MARK
    };
    char name[KEY_BYTES_MAX];

    if (row->policy_name.len == 0) {
        (void)snprintf(name, sizeof(name), "%s_ROW_%zu", name_for(row->action.access), number);
        if (!find_equal(hat, &row->action, &row->policy))
            (void)add_policy(hat, &made, slice_from(name), &row->policy);
    } else if (!find_by_name(hat, row->policy_name, &row->policy) &&
               !add_predefined(hat, row->policy_name, row->line, &row->policy)) {
        config_asyncos_error(&hat->a, row->line, "policy $%.*s is not defined in this file",
                             SLICE_ARGS(row->policy_name));
    }
}

/* The public default: what no row is about is accepted, and then it is up to the RAT. */
static void make_all(struct config_asyncos_hat *hat)
{
    hat->all = (struct config_asyncos_row){ .policy_name = SLICE("ACCEPTED"),
                                            .mark = CONFIG_ASYNCOS_NO_MARK,
                                            .policy_mark = CONFIG_ASYNCOS_NO_MARK,
                                            .is_all = true };
    config_asyncos_warn(&hat->a, 0,
                        "has no row for ALL: written with policy ACCEPTED, the default of a public "
                        "listener; a private one rejects");
}

void config_asyncos_policies_resolve(struct config_asyncos_hat *hat)
{
    size_t count = config_asyncos_rows_count(hat);

    for (size_t i = 0; i < count && hat->a.status == STATUS_OK; i++)
        resolve_row(hat, config_asyncos_row_at(hat, i), i + 1);
    if (hat->a.status != STATUS_OK || hat->a.problems->errors_count > 0)
        return;
    if (!hat->has_all)
        make_all(hat);
    resolve_row(hat, &hat->all, count + 1);
    if (hat->a.problems->errors_count == 0 && hat->a.status == STATUS_OK &&
        config_asyncos_policy_at(hat, hat->all.policy)->action.access == POLICY_ACCESS_CONTINUE)
        config_asyncos_error(&hat->a, hat->all.line, "ALL cannot CONTINUE: no row is behind it");
}
