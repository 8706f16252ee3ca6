#include "config/asyncos_block.h"

#include "policy/rat.h"

#define NUMBER_MAX ((uint64_t)INT64_MAX)

/* At the key. */
static void read_pair(struct config_asyncos *a, struct config_asyncos_block *block)
{
    struct config_asyncos_pair p = { .name = a->token.text,
                                     .line = a->token.line,
                                     .mark = config_asyncos_mark(a) };

    config_asyncos_next(a);
    if (a->token.kind != CONFIG_ASYNCOS_EQUALS) {
        config_asyncos_error(a, p.line, "\"=\" is missing behind %.*s", SLICE_ARGS(p.name));
        return;
    }
    config_asyncos_next(a);
    if (a->token.kind != CONFIG_ASYNCOS_WORD && a->token.kind != CONFIG_ASYNCOS_STRING) {
        config_asyncos_error(a, p.line, "%.*s has no value", SLICE_ARGS(p.name));
        return;
    }
    p.value = a->token.text;
    config_asyncos_next(a);
    block->set(block, &p);
}

/* Whether the current token can only be outside of a block, whose end is then missing. */
static bool is_outside(const struct config_asyncos *a)
{
    const struct config_asyncos_token *t = &a->token;

    return t->kind == CONFIG_ASYNCOS_END ||
           (t->kind == CONFIG_ASYNCOS_WORD && t->is_at_margin &&
            (t->text.data[0] == '$' || t->text.data[t->text.len - 1] == ':'));
}

void config_asyncos_block_read(struct config_asyncos *a, struct config_asyncos_block *block)
{
    unsigned line = a->token.line;

    config_asyncos_next(a);
    while (a->token.kind != CONFIG_ASYNCOS_CLOSE) {
        if (is_outside(a)) {
            config_asyncos_error(a, line, "\"}\" is missing for this \"{\"");
            return;
        }
        switch (a->token.kind) {
        case CONFIG_ASYNCOS_WORD: read_pair(a, block); continue;
        case CONFIG_ASYNCOS_TEXT: config_asyncos_keep(a, a->token.text); break;
        case CONFIG_ASYNCOS_COMMA: break;
        case CONFIG_ASYNCOS_OPEN:
            config_asyncos_error(a, a->token.line, "a block inside of a block");
            break;
        case CONFIG_ASYNCOS_STRING:
        case CONFIG_ASYNCOS_EQUALS:
            config_asyncos_error(a, a->token.line, "the name of a setting is missing");
            break;
        case CONFIG_ASYNCOS_CLOSE:
        case CONFIG_ASYNCOS_END: break;
        }
        config_asyncos_next(a);
    }
    config_asyncos_next(a);
}

bool config_asyncos_pair_number(struct config_asyncos *a, const struct config_asyncos_pair *p,
                                int64_t *number_out)
{
    bool is_negative = p->value.len > 0 && p->value.data[0] == '-';
    uint64_t number;

    if (!slice_to_number(slice_after(p->value, is_negative ? 1 : 0), NUMBER_MAX, &number)) {
        config_asyncos_error(a, p->line, "%.*s has to be a number, not \"%.*s\"",
                             SLICE_ARGS(p->name), SLICE_ARGS(p->value));
        return false;
    }
    *number_out = is_negative ? -(int64_t)number : (int64_t)number;
    return true;
}

bool config_asyncos_pair_switch(struct config_asyncos *a, const struct config_asyncos_pair *p,
                                bool *is_on_out)
{
    static const char *const on[] = { "on", "yes", "true", "1", "enable", "enabled", "drop" };
    static const char *const off[] = { "off", "no", "false", "0", "disable", "disabled", "code" };

    for (size_t i = 0; i < ARRAY_LEN(on); i++) {
        bool is_on = slice_is_word(p->value, on[i]);

        if (!is_on && !slice_is_word(p->value, off[i]))
            continue;
        *is_on_out = is_on;
        return true;
    }
    config_asyncos_error(a, p->line, "%.*s has to be \"on\" or \"off\", not \"%.*s\"",
                         SLICE_ARGS(p->name), SLICE_ARGS(p->value));
    return false;
}

bool config_asyncos_pair_range(struct config_asyncos *a, const struct config_asyncos_pair *p,
                               uint64_t min, uint64_t max, uint64_t *number_out)
{
    int64_t number;

    if (!config_asyncos_pair_number(a, p, &number))
        return false;
    if (number < (int64_t)min || number > (int64_t)max) {
        config_asyncos_warn(a, p->line,
                            "%.*s = %lld is not carried over: it has to be from %llu to %llu",
                            SLICE_ARGS(p->name), (long long)number, (unsigned long long)min,
                            (unsigned long long)max);
        return false;
    }
    *number_out = (uint64_t)number;
    return true;
}

bool config_asyncos_pair_reply(struct config_asyncos *a, const struct config_asyncos_pair *p,
                               struct slice *text_out)
{
    char room[POLICY_REPLY_TEXT_MAX];
    bool has_lines = false;

    if (p->value.len == 0) {
        config_asyncos_note(a, p->name, "it is empty, so that Postern's own text is used", p->line);
        return false;
    }
    if (p->value.len > sizeof(room)) {
        config_asyncos_warn(a, p->line, "%.*s is not carried over: it has %zu bytes, more than %d",
                            SLICE_ARGS(p->name), p->value.len, POLICY_REPLY_TEXT_MAX);
        return false;
    }
    for (size_t i = 0; i < p->value.len; i++) {
        unsigned char c = (unsigned char)p->value.data[i];

        if (c > '~') {
            config_asyncos_warn(a, p->line, "%.*s is not carried over: a reply has to be ASCII",
                                SLICE_ARGS(p->name));
            return false;
        }
        has_lines = has_lines || c == '\n';
        room[i] = c < ' ' ? ' ' : (char)c;
    }
    if (has_lines)
        config_asyncos_warn(a, p->line, "the line ends in %.*s became blanks", SLICE_ARGS(p->name));
    *text_out = config_asyncos_copy(a, (struct slice){ room, p->value.len });
    return true;
}
