#include "smtp/command.h"

#include <assert.h>

#include "base/check.h"

static const struct {
    const char *name;
    enum smtp_verb verb;
} verbs[] = {
    { "MAIL", SMTP_VERB_MAIL },         { "RCPT", SMTP_VERB_RCPT },  { "DATA", SMTP_VERB_DATA },
    { "EHLO", SMTP_VERB_EHLO },         { "HELO", SMTP_VERB_HELO },  { "QUIT", SMTP_VERB_QUIT },
    { "STARTTLS", SMTP_VERB_STARTTLS }, { "RSET", SMTP_VERB_RSET },  { "NOOP", SMTP_VERB_NOOP },
    { "XCLIENT", SMTP_VERB_XCLIENT },   { "VRFY", SMTP_VERB_VRFY },  { "HELP", SMTP_VERB_HELP },
    { "EXPN", SMTP_VERB_OTHER },        { "AUTH", SMTP_VERB_OTHER }, { "BDAT", SMTP_VERB_OTHER },
    { "ETRN", SMTP_VERB_OTHER },        { "TURN", SMTP_VERB_OTHER }, { "SEND", SMTP_VERB_OTHER },
    { "SOML", SMTP_VERB_OTHER },        { "SAML", SMTP_VERB_OTHER },
};

static const char *const verb_names[] = {
    "?",    "EHLO", "HELO", "MAIL", "RCPT",     "DATA",    "RSET",
    "NOOP", "QUIT", "VRFY", "HELP", "STARTTLS", "XCLIENT", "other",
};
static_assert(ARRAY_LEN(verb_names) == SMTP_VERBS_COUNT, "each verb has a name");

const char *smtp_verb_name(enum smtp_verb verb)
{
    return verb_names[verb];
}

static enum smtp_verb verb_find(struct slice word)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_is_word(word, verbs[i].name))
            return verbs[i].verb;
    return SMTP_VERB_UNKNOWN;
}

static bool has_controls(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return true;
    return false;
}

/* RFC 5321 4.1.1.1 wants a domain or a literal; hosts in use say all sorts of things, and nothing
 * depends on it. It has to be one word of printable ASCII, so that it can stand in a log. */
static bool helo_is_acceptable(struct slice name)
{
    if (name.len == 0 || name.len > SMTP_HELO_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return false;
    return true;
}

/* RFC 1870 section 4: up to 20 digits. What does not fit 64 bits is above any limit as well. */
static bool size_parse(struct slice value, uint64_t *bytes_out)
{
    uint64_t bytes;

    if (value.len == 0 || value.len > 20)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_digit(value.data[i]))
            return false;
    *bytes_out = slice_to_number(value, UINT64_MAX, &bytes) ? bytes : UINT64_MAX;
    return true;
}

static bool body_type_parse(struct slice value, enum smtp_body_type *type_out)
{
    if (slice_is_word(value, "8BITMIME"))
        *type_out = SMTP_BODY_TYPE_8BITMIME;
    else if (slice_is_word(value, "7BIT"))
        *type_out = SMTP_BODY_TYPE_7BIT;
    else
        return false;
    return true;
}

/* One parameter: "KEYWORD" or "KEYWORD=value". */
struct parameter {
    struct slice keyword;
    struct slice value;
    bool has_value;
};

/* Takes the next of the parameters, which spaces part, off *rest; false when none is left. */
static bool parameter_take(struct slice *rest, struct parameter *out)
{
    *rest = slice_trim(*rest);
    if (rest->len == 0)
        return false;
    out->value = slice_cut(rest, ' ');
    out->has_value = memchr(out->value.data, '=', out->value.len) != NULL;
    out->keyword = slice_cut(&out->value, '=');
    return true;
}

/* A value that is kept as it came. */
static bool text_keep(struct slice value, bool is_valid, struct slice *out)
{
    if (is_valid)
        *out = value;
    return is_valid;
}

/* RFC 5321 4.1.1.11: each parameter may come once. Its bit in *seen says that it did. */
static bool is_first(unsigned *seen, unsigned bit)
{
    bool is_new = (*seen & bit) == 0;

    *seen |= bit;
    return is_new;
}

/* A parameter that has no value. */
static bool word_keep(const struct parameter *p, bool *out)
{
    if (!p->has_value)
        *out = true;
    return !p->has_value;
}

static enum smtp_command_error judged(bool is_good)
{
    return is_good ? SMTP_COMMAND_OK : SMTP_COMMAND_BAD_PARAMETER;
}

static enum smtp_command_error mail_parameter_parse(const struct parameter *p, unsigned extensions,
                                                    unsigned *seen, struct smtp_command *c)
{
    if (slice_is_word(p->keyword, "SIZE"))
        return judged(is_first(seen, 1) && size_parse(p->value, &c->size_bytes));
    if (slice_is_word(p->keyword, "BODY"))
        return judged(is_first(seen, 2) && body_type_parse(p->value, &c->body));
    if (slice_is_word(p->keyword, "SMTPUTF8"))
        return judged(is_first(seen, 4) && word_keep(p, &c->smtputf8));
    if ((extensions & SMTP_EXTENSION_REQUIRE_TLS) != 0 && slice_is_word(p->keyword, "REQUIRETLS"))
        return judged(is_first(seen, 8) && word_keep(p, &c->require_tls));
    if ((extensions & SMTP_EXTENSION_DSN) == 0)
        return SMTP_COMMAND_UNKNOWN_PARAMETER;
    if (slice_is_word(p->keyword, "RET"))
        return judged(is_first(seen, 16) && smtp_ret_parse(p->value, &c->ret));
    if (slice_is_word(p->keyword, "ENVID"))
        return judged(is_first(seen, 32) &&
                      text_keep(p->value, smtp_envid_is_valid(p->value), &c->envid));
    return SMTP_COMMAND_UNKNOWN_PARAMETER;
}

static enum smtp_command_error rcpt_parameter_parse(const struct parameter *p, unsigned extensions,
                                                    unsigned *seen, struct smtp_command *c)
{
    if ((extensions & SMTP_EXTENSION_DSN) == 0)
        return SMTP_COMMAND_UNKNOWN_PARAMETER;
    if (slice_is_word(p->keyword, "NOTIFY"))
        return judged(is_first(seen, 1) && smtp_notify_parse(p->value, &c->notify));
    if (slice_is_word(p->keyword, "ORCPT"))
        return judged(is_first(seen, 2) &&
                      text_keep(p->value, smtp_orcpt_is_valid(p->value), &c->orcpt));
    return SMTP_COMMAND_UNKNOWN_PARAMETER;
}

/* Takes "FROM:" or "TO:" and the path behind it off *rest. Spaces behind the colon are not in the
 * grammar, but common clients send them and they leave no room for a second reading. */
static bool path_argument_take(struct slice *rest, struct slice word, enum smtp_path_kind kind,
                               struct smtp_mailbox *out)
{
    struct slice text = *rest;

    if (text.len < word.len || !slice_equal_nocase(slice_first(text, word.len), word))
        return false;
    text = slice_after(text, word.len);
    while (text.len > 0 && text.data[0] == ' ')
        text = slice_after(text, 1);
    if (!smtp_path_parse(&text, kind, out) || (text.len > 0 && text.data[0] != ' '))
        return false;
    *rest = text;
    return true;
}

/* What stands in place of a path; of brackets only what is between them. */
static struct slice bad_path(struct slice rest)
{
    rest = slice_trim(rest);
    if (rest.len == 0 || rest.data[0] != '<')
        return rest;
    rest = slice_after(rest, 1);
    return slice_cut(&rest, '>');
}

static enum smtp_command_error mail_parse(struct slice rest, unsigned extensions,
                                          struct smtp_command *c)
{
    enum smtp_command_error error = SMTP_COMMAND_OK;
    struct parameter p;
    unsigned seen = 0;

    if (rest.len == 0)
        return SMTP_COMMAND_BAD_SYNTAX;
    if (!path_argument_take(&rest, SLICE("FROM:"), SMTP_PATH_REVERSE, &c->mailbox)) {
        (void)slice_cut(&rest, ':');
        c->argument = bad_path(rest);
        return SMTP_COMMAND_BAD_SENDER;
    }
    while (error == SMTP_COMMAND_OK && parameter_take(&rest, &p))
        error = mail_parameter_parse(&p, extensions, &seen, c);
    if (error == SMTP_COMMAND_OK && c->mailbox.has_non_ascii && !c->smtputf8)
        return SMTP_COMMAND_NEEDS_SMTPUTF8;
    return error;
}

static enum smtp_command_error rcpt_parse(struct slice rest, unsigned extensions,
                                          struct smtp_command *c)
{
    enum smtp_command_error error = SMTP_COMMAND_OK;
    struct parameter p;
    unsigned seen = 0;

    if (rest.len == 0)
        return SMTP_COMMAND_BAD_SYNTAX;
    if (!path_argument_take(&rest, SLICE("TO:"), SMTP_PATH_FORWARD, &c->mailbox))
        return SMTP_COMMAND_BAD_RECIPIENT;
    while (error == SMTP_COMMAND_OK && parameter_take(&rest, &p))
        error = rcpt_parameter_parse(&p, extensions, &seen, c);
    return error;
}

static enum smtp_command_error arguments_parse(struct slice rest, unsigned extensions,
                                               struct smtp_command *c)
{
    switch (c->verb) {
    case SMTP_VERB_MAIL: return mail_parse(rest, extensions, c);
    case SMTP_VERB_RCPT: return rcpt_parse(rest, extensions, c);
    case SMTP_VERB_EHLO:
    case SMTP_VERB_HELO:
        c->argument = rest;
        return helo_is_acceptable(rest) ? SMTP_COMMAND_OK : SMTP_COMMAND_BAD_SYNTAX;
    case SMTP_VERB_VRFY:
        c->argument = rest;
        return rest.len > 0 ? SMTP_COMMAND_OK : SMTP_COMMAND_BAD_SYNTAX;
    case SMTP_VERB_NOOP:
    case SMTP_VERB_HELP:
    case SMTP_VERB_XCLIENT: c->argument = rest; return SMTP_COMMAND_OK;
    /* RFC 5321 4.1.1: "no parameters permitted", and RFC 3207 section 4. */
    case SMTP_VERB_DATA:
    case SMTP_VERB_RSET:
    case SMTP_VERB_QUIT:
    case SMTP_VERB_STARTTLS: return rest.len == 0 ? SMTP_COMMAND_OK : SMTP_COMMAND_BAD_SYNTAX;
    case SMTP_VERB_UNKNOWN:
    case SMTP_VERB_OTHER:
    case SMTP_VERBS_COUNT: return SMTP_COMMAND_OK;
    }
    UNREACHABLE();
}

void smtp_command_parse(struct slice line, unsigned extensions, struct smtp_command *out)
{
    struct smtp_command c = { 0 };
    struct slice rest;

    /* RFC 5321 4.1.1: trailing white space should be tolerated. */
    while (line.len > 0 && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t'))
        line.len--;
    rest = line;
    c.verb = verb_find(slice_cut(&rest, ' '));
    c.error = has_controls(line) ? SMTP_COMMAND_BAD_BYTES
                                 : arguments_parse(slice_trim(rest), extensions, &c);
    *out = c;
}
