#include "config/asyncos_flow.h"

#include "base/hash.h"
#include "config/asyncos_block.h"
#include "config/asyncos_keys.h"
#include "config/units.h"
#include "policy/domain_map.h"

#define SETTING_BYTES      sizeof(struct config_asyncos_setting)
#define NAME_BYTES_MAX     64
#define REJECTION_CODE_MIN 400
#define REJECTION_CODE_MAX 599

/* A block while it is read: what only its end can tell. */
struct block {
    struct config_asyncos_block base;
    struct config_asyncos *a;
    struct buffer *settings;
    struct config_asyncos_action *action;
    const struct config_asyncos_key *key;   /* of the pair being read */
    struct config_asyncos_setting hostname; /* key NULL: none */
    struct config_asyncos_setting verify;   /* key NULL: not asked for */
    const char *tls;                        /* as we write it; NULL: none */
};

bool config_asyncos_access_parse(struct slice word, enum policy_access *access_out)
{
    static const struct {
        const char *word;
        enum policy_access access;
    } words[] = {
        { "ACCEPT", POLICY_ACCESS_ACCEPT },     { "RELAY", POLICY_ACCESS_RELAY },
        { "REJECT", POLICY_ACCESS_REJECT },     { "TCPREFUSE", POLICY_ACCESS_REFUSE },
        { "CONTINUE", POLICY_ACCESS_CONTINUE },
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_is_word(word, words[i].word)) {
            *access_out = words[i].access;
            return true;
        }
    return false;
}

const struct config_asyncos_setting *config_asyncos_setting_at(const struct buffer *settings,
                                                               size_t index)
{
    return config_asyncos_item(settings, index, SETTING_BYTES);
}

const struct config_asyncos_setting *config_asyncos_setting_find(
    const struct buffer *settings, const struct config_asyncos_action *action, const char *key)
{
    for (size_t i = 0; i < action->count; i++)
        if (strcmp(config_asyncos_setting_at(settings, action->first + i)->key, key) == 0)
            return config_asyncos_setting_at(settings, action->first + i);
    return NULL;
}

static void add(struct config_asyncos *a, struct buffer *settings,
                struct config_asyncos_action *action, const struct config_asyncos_setting *setting)
{
    const struct config_asyncos_setting *other =
        config_asyncos_setting_find(settings, action, setting->key);

    if (other != NULL)
        config_asyncos_error(a, setting->line, "%s is given twice (see line %u)", setting->key,
                             other->line);
    else if (config_asyncos_push(a, settings, setting, SETTING_BYTES))
        action->count++;
}

void config_asyncos_setting_add(struct config_asyncos *a, struct buffer *settings,
                                struct config_asyncos_action *action, const char *key,
                                enum config_asyncos_value value, uint64_t number)
{
    const struct config_asyncos_setting setting = {
        .key = key, .value = value, .number = number, .mark = CONFIG_ASYNCOS_NO_MARK
    };

    add(a, settings, action, &setting);
}

static void add_number(struct block *b, const struct config_asyncos_pair *p, const char *key,
                       enum config_asyncos_value value, uint64_t number)
{
    const struct config_asyncos_setting setting = {
        .key = key, .value = value, .number = number, .line = p->line, .mark = p->mark
    };

    add(b->a, b->settings, b->action, &setting);
}

static void add_text(struct block *b, const struct config_asyncos_pair *p, const char *key,
                     struct slice text, uint32_t mark)
{
    const struct config_asyncos_setting setting = {
        .key = key, .value = CONFIG_ASYNCOS_VALUE_TEXT, .text = text, .line = p->line, .mark = mark
    };

    add(b->a, b->settings, b->action, &setting);
}

static void read_count(struct block *b, const struct config_asyncos_pair *p)
{
    int64_t number;

    if (!config_asyncos_pair_number(b->a, p, &number))
        return;
    if (number > (int64_t)b->key->max || number == -1) {
        config_asyncos_warn(b->a, p->line, "%.*s = %lld is written as %llu, the highest value here",
                            SLICE_ARGS(p->name), (long long)number,
                            (unsigned long long)b->key->max);
        number = (int64_t)b->key->max;
    }
    if (number < (int64_t)b->key->min)
        config_asyncos_warn(b->a, p->line,
                            "%.*s = %lld is not carried over: the lowest value is "
                            "%llu",
                            SLICE_ARGS(p->name), (long long)number,
                            (unsigned long long)b->key->min);
    else
        add_number(b, p, b->key->key, CONFIG_ASYNCOS_VALUE_NUMBER, (uint64_t)number);
}

static void read_rate(struct block *b, const struct config_asyncos_pair *p)
{
    struct config_asyncos_pair plain = *p;

    if (slice_equal(p->value, SLICE("-1")) || slice_is_word(p->value, "unlimited"))
        plain.value = SLICE("0");
    if (!slice_equal(plain.value, SLICE("0"))) {
        read_count(b, p);
        return;
    }
    if (plain.value.data == p->value.data && !slice_is_word(p->name, "dhap_limit"))
        config_asyncos_note(b->a, p->name, "0 is read as \"no limit\", like -1", p->line);
    add_number(b, p, b->key->key, CONFIG_ASYNCOS_VALUE_NUMBER, 0);
}

static void read_size(struct block *b, const struct config_asyncos_pair *p)
{
    uint64_t min = b->key->min, max = b->key->max, bytes, given;
    char text[CONFIG_UNIT_TEXT_MAX];

    if (!config_size_parse(p->value, &given)) {
        config_asyncos_error(b->a, p->line, "%.*s has to be bytes, or a size as 20M, not \"%.*s\"",
                             SLICE_ARGS(p->name), SLICE_ARGS(p->value));
        return;
    }
    bytes = given < min ? min : given > max ? max : given;
    if (bytes != given)
        config_asyncos_warn(b->a, p->line, "%.*s = %.*s is written as %s, the %s size here",
                            SLICE_ARGS(p->name), SLICE_ARGS(p->value),
                            config_size_format(bytes, text), bytes == min ? "lowest" : "highest");
    add_number(b, p, b->key->key, CONFIG_ASYNCOS_VALUE_SIZE, bytes);
}

static void read_range(struct block *b, const struct config_asyncos_pair *p, const char *key,
                       uint64_t min, uint64_t max)
{
    uint64_t number;

    if (config_asyncos_pair_range(b->a, p, min, max, &number))
        add_number(b, p, key,
                   b->key->meaning == CONFIG_ASYNCOS_IS_MINUTES ? CONFIG_ASYNCOS_VALUE_MINUTES
                                                                : CONFIG_ASYNCOS_VALUE_NUMBER,
                   number);
}

static void read_reply_text(struct block *b, const struct config_asyncos_pair *p, const char *key)
{
    struct slice text;

    if (config_asyncos_pair_reply(b->a, p, &text))
        add_text(b, p, key, text, p->mark);
}

/* The greeting of a policy that rejects is the rejection. False: it has none, which is noted. */
static const char *banner_key(struct block *b, const struct config_asyncos_pair *p)
{
    bool is_code = b->key->meaning == CONFIG_ASYNCOS_IS_BANNER_CODE;

    switch (b->action->access) {
    case POLICY_ACCESS_ACCEPT:
    case POLICY_ACCESS_RELAY: return b->key->key;
    case POLICY_ACCESS_REJECT: return is_code ? "reject_code" : "reject_text";
    case POLICY_ACCESS_REFUSE:
    case POLICY_ACCESS_CONTINUE: break;
    }
    config_asyncos_note(b->a, p->name, "ignored: this access rule sends no greeting", p->line);
    return NULL;
}

static void read_banner(struct block *b, const struct config_asyncos_pair *p)
{
    const char *key = banner_key(b, p);
    bool is_rejection = b->action->access == POLICY_ACCESS_REJECT;

    if (key == NULL)
        return;
    if (b->key->meaning == CONFIG_ASYNCOS_IS_BANNER_TEXT)
        read_reply_text(b, p, key);
    else
        read_range(b, p, key, is_rejection ? REJECTION_CODE_MIN : b->key->min,
                   is_rejection ? REJECTION_CODE_MAX : b->key->max);
}

static void read_tls(struct block *b, const struct config_asyncos_pair *p)
{
    static const struct {
        const char *word, *tls, *verify;
    } words[] = {
        { "off", "off", NULL },
        { "no", "off", NULL },
        { "on", "preferred", NULL },
        { "preferred", "preferred", NULL },
        { "required", "required", NULL },
        { "require", "required", NULL },
        { "on_verify", "preferred", "optional" },
        { "preferred_verify", "preferred", "optional" },
        { "require_verify", "required", "required" },
        { "required_verify", "required", "required" },
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!slice_is_word(p->value, words[i].word))
            continue;
        b->tls = words[i].tls;
        add_text(b, p, "tls", slice_from(words[i].tls), p->mark);
        if (words[i].verify != NULL)
            add_text(b, p, "verify_client", slice_from(words[i].verify), CONFIG_ASYNCOS_NO_MARK);
        return;
    }
    config_asyncos_error(b->a, p->line,
                         "tls has to be \"off\", \"on\", \"required\", "
                         "\"on_verify\" or \"require_verify\", not \"%.*s\"",
                         SLICE_ARGS(p->value));
}

static void read_hostname(struct block *b, const struct config_asyncos_pair *p)
{
    if (p->value.len == 0) {
        config_asyncos_note(b->a, p->name,
                            "not carried over: a greeting of Postern always has a host name",
                            p->line);
        return;
    }
    if (!policy_domain_is_valid(p->value)) {
        config_asyncos_warn(b->a, p->line, "%.*s is not carried over: \"%.*s\" is not a host name",
                            SLICE_ARGS(p->name), SLICE_ARGS(p->value));
        return;
    }
    b->hostname = (struct config_asyncos_setting){ .key = b->key->key,
                                                   .value = CONFIG_ASYNCOS_VALUE_TEXT,
                                                   .text = p->value,
                                                   .line = p->line,
                                                   .mark = p->mark };
}

static void read_name(struct block *b, const struct config_asyncos_pair *p)
{
    if (p->value.len == 0 || p->value.len > NAME_BYTES_MAX) {
        config_asyncos_warn(b->a, p->line, "%.*s is not carried over: a name has 1 to %d bytes",
                            SLICE_ARGS(p->name), NAME_BYTES_MAX);
        return;
    }
    config_asyncos_note(b->a, p->name,
                        "the export names an address list and does not hold it: write the list",
                        p->line);
    add_text(b, p, b->key->key, p->value, p->mark);
}

static void read_switch(struct block *b, const struct config_asyncos_pair *p)
{
    bool is_on;

    if (!config_asyncos_pair_switch(b->a, p, &is_on))
        return;
    if (b->key->meaning == CONFIG_ASYNCOS_IS_HOSTNAME_USED)
        b->action->leaves_hostname = !is_on;
    else if (b->key->meaning == CONFIG_ASYNCOS_IS_SWITCH)
        add_number(b, p, b->key->key, CONFIG_ASYNCOS_VALUE_BOOL, is_on);
    else if (is_on)
        b->verify = (struct config_asyncos_setting){
            .key = b->key->key, .value = CONFIG_ASYNCOS_VALUE_TEXT, .line = p->line, .mark = p->mark
        };
}

static void set(struct config_asyncos_block *block, const struct config_asyncos_pair *p)
{
    struct block *b = CONTAINER_OF(block, struct block, base);

    b->key = config_asyncos_key_find(p->name);
    if (b->key == NULL) {
        config_asyncos_note(b->a, p->name, "not carried over: not a setting that Postern knows",
                            p->line);
        return;
    }
    if (b->key->meaning == CONFIG_ASYNCOS_IS_IGNORED) {
        config_asyncos_note(b->a, p->name, b->key->reason, p->line);
        return;
    }
    if (slice_is_word(p->value, "default"))
        return; /* the value of the default parameters, as if it had been left out */
    switch (b->key->meaning) {
    case CONFIG_ASYNCOS_IS_COUNT: read_count(b, p); break;
    case CONFIG_ASYNCOS_IS_RATE: read_rate(b, p); break;
    case CONFIG_ASYNCOS_IS_SIZE: read_size(b, p); break;
    case CONFIG_ASYNCOS_IS_CODE:
    case CONFIG_ASYNCOS_IS_MINUTES:
    case CONFIG_ASYNCOS_IS_BITS: read_range(b, p, b->key->key, b->key->min, b->key->max); break;
    case CONFIG_ASYNCOS_IS_TEXT: read_reply_text(b, p, b->key->key); break;
    case CONFIG_ASYNCOS_IS_BANNER_CODE:
    case CONFIG_ASYNCOS_IS_BANNER_TEXT: read_banner(b, p); break;
    case CONFIG_ASYNCOS_IS_NAME: read_name(b, p); break;
    case CONFIG_ASYNCOS_IS_TLS: read_tls(b, p); break;
    case CONFIG_ASYNCOS_IS_HOSTNAME: read_hostname(b, p); break;
    case CONFIG_ASYNCOS_IS_SWITCH:
    case CONFIG_ASYNCOS_IS_VERIFY:
    case CONFIG_ASYNCOS_IS_HOSTNAME_USED: read_switch(b, p); break;
    case CONFIG_ASYNCOS_IS_IGNORED: break;
    }
}

static void finish_block(struct block *b)
{
    if (b->hostname.key != NULL && !b->action->leaves_hostname)
        add(b->a, b->settings, b->action, &b->hostname);
    if (b->verify.key == NULL)
        return;
    b->verify.text =
        b->tls != NULL && strcmp(b->tls, "required") == 0 ? SLICE("required") : SLICE("optional");
    add(b->a, b->settings, b->action, &b->verify);
}

void config_asyncos_action_read(struct config_asyncos *a, struct buffer *settings,
                                struct config_asyncos_action *action_out)
{
    struct config_asyncos_action action = { .first = buffer_len(settings) / SETTING_BYTES };
    struct block block = {
        .base = { .set = set }, .a = a, .settings = settings, .action = &action
    };

    if (!config_asyncos_access_parse(a->token.text, &action.access))
        UNREACHABLE();
    config_asyncos_next(a);
    if (a->token.kind == CONFIG_ASYNCOS_OPEN)
        config_asyncos_block_read(a, &block.base);
    finish_block(&block);
    action.marks_end = config_asyncos_marks_count(a);
    *action_out = action;
}

static bool setting_equal(const struct config_asyncos_setting *a,
                          const struct config_asyncos_setting *b)
{
    return a->value == b->value && a->number == b->number && slice_equal(a->text, b->text);
}

bool config_asyncos_action_equal(const struct buffer *settings,
                                 const struct config_asyncos_action *a,
                                 const struct config_asyncos_action *b)
{
    if (a->access != b->access || a->count != b->count || a->leaves_hostname != b->leaves_hostname)
        return false;
    /* Keys stand once in each, so that it is enough to look from one side. */
    for (size_t i = 0; i < a->count; i++) {
        const struct config_asyncos_setting *one =
            config_asyncos_setting_at(settings, a->first + i);
        const struct config_asyncos_setting *other =
            config_asyncos_setting_find(settings, b, one->key);

        if (other == NULL || !setting_equal(one, other))
            return false;
    }
    return true;
}

uint64_t config_asyncos_action_hash(const struct buffer *settings,
                                    const struct config_asyncos_action *action)
{
    static const struct hash_seed seed; /* the text is the administrator's own */
    uint64_t hash = hash_number((uint64_t)action->access + 1);

    /* A sum, because the order of the keys does not matter. */
    for (size_t i = 0; i < action->count; i++) {
        const struct config_asyncos_setting *s =
            config_asyncos_setting_at(settings, action->first + i);

        hash += hash_number(hash_bytes(&seed, slice_from(s->key)) ^ hash_number(s->number + 1) ^
                            hash_bytes(&seed, s->text));
    }
    return hash;
}
