#include "config/asyncos_look.h"

#include "policy/address_table.h"
#include "policy/domain_map.h"
#include "policy/route.h"

/* Lines that only one of the tables has, or none. */
struct evidence {
    size_t policies, groups; /* "$NAME"; "NAME:" */
    size_t sections;         /* "[...]" with a KEY = VALUE in the line behind it */
    size_t rules;            /* lines with ACCEPT or REJECT behind something else */
    size_t lone_rules;       /* ... and at their start */
    size_t routes;           /* a domain and a host */
    size_t recipients;       /* other than ALL, which every table has */
    size_t senders;          /* what no recipient is, and the rules that a RAT does not have */
    size_t depth;            /* of braces, where nothing is counted */
    bool is_behind_section;
};

bool config_asyncos_is_rule(struct slice word)
{
    return slice_is_word(word, "ACCEPT") || slice_is_word(word, "REJECT") ||
           slice_is_word(word, "TCPREFUSE") || slice_is_word(word, "CONTINUE") ||
           slice_equal(word, SLICE("RELAY"));
}

static bool ends_word(char c)
{
    return c != '\0' && strchr(" \t,(){}", c) != NULL;
}

/* The next word of a line; empty when there is none. */
static struct slice next_word(struct slice *rest)
{
    struct slice word;
    size_t len = 0;

    while (rest->len > 0 && ends_word(rest->data[0]))
        *rest = slice_after(*rest, 1);
    while (len < rest->len && !ends_word(rest->data[len]))
        len++;
    word = slice_first(*rest, len);
    *rest = slice_after(*rest, len);
    return word;
}

/* The depth of braces behind a line; those in a string count for nothing. */
static size_t depth_behind(size_t depth, struct slice line)
{
    bool is_string = false;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.data[i];

        if (c == '"')
            is_string = !is_string;
        else if (c == '{' && !is_string)
            depth++;
        else if (c == '}' && !is_string && depth > 0)
            depth--;
    }
    return depth;
}

static bool is_section(struct slice line)
{
    return line.len > 1 && line.data[0] == '[' && line.data[line.len - 1] == ']';
}

/* "KEY = VALUE" or "KEY: VALUE"; no address literal, which has a colon too. */
static bool is_pair(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '=' || line.data[i] == ':')
            return i > 0;
        if (strchr("[{(\"", line.data[i]) != NULL)
            return false;
    }
    return false;
}

/* "NAME:" alone, or with a text in parentheses; the colons of an IPv6 address are more. */
static bool is_group(struct slice line)
{
    struct slice rest = line, word = next_word(&rest);

    rest = slice_trim(rest);
    return word.len > 1 && memchr(word.data, ':', word.len) == word.data + word.len - 1 &&
           (rest.len == 0 || rest.data[0] == '(');
}

static bool is_address(struct slice word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!ascii_is_digit(word.data[i]) && word.data[i] != '.')
            return false;
    return word.len > 0;
}

static bool is_recipient(struct slice word)
{
    if (word.len > 1 && word.data[word.len - 1] == ']' && memchr(word.data, '[', word.len) != NULL)
        return word.data[0] == '[' || memchr(word.data, '@', word.len) != NULL;
    return !is_address(word) && policy_address_form(word) != POLICY_ADDRESS_INVALID;
}

/* "DOMAIN HOST": a comma between them would part two entries. */
static bool is_route(struct slice line)
{
    struct slice rest = line, domain = next_word(&rest), host;
    enum policy_route_action action;
    struct policy_route_host parsed;

    if (rest.len == 0 || (rest.data[0] != ' ' && rest.data[0] != '\t'))
        return false;
    host = slice_trim(rest);
    if (host.len == 0 || ends_word(host.data[0]))
        return false;
    host = next_word(&rest);
    if (domain.len > 1 && domain.data[domain.len - 1] == ':')
        domain.len--;
    return (policy_domain_is_valid(domain) || policy_domain_is_partial(domain)) &&
           (policy_route_action_parse(host, &action) || policy_route_host_parse(host, &parsed));
}

/* A line of entries, of a rule, or of both. */
static void look_at_words(struct evidence *e, struct slice line)
{
    struct slice rest = line, word;

    for (size_t i = 0; (word = next_word(&rest)).len > 0; i++) {
        if (config_asyncos_is_rule(word)) {
            e->senders += slice_is_word(word, "ACCEPT") || slice_is_word(word, "REJECT") ? 0 : 1;
            e->rules += i > 0 ? 1 : 0;
            e->lone_rules += i == 0 ? 1 : 0;
            return;
        }
        if (!is_recipient(word))
            e->senders++;
        else if (!slice_is_word(word, "ALL"))
            e->recipients++;
    }
    e->routes += is_route(line) ? 1 : 0;
}

static void look_at(struct evidence *e, struct slice line)
{
    bool was_section = e->is_behind_section;
    size_t depth = e->depth;

    e->depth = depth_behind(depth, line);
    e->is_behind_section = depth == 0 && is_section(line);
    if (depth > 0 || line.data[0] == '}')
        return;
    if (line.data[0] == '$')
        e->policies++;
    else if (was_section && is_pair(line))
        e->sections++;
    else if (is_group(line))
        e->groups++;
    else
        look_at_words(e, line);
}

static enum config_asyncos_table judge(const struct evidence *e)
{
    if (e->policies == 0 && e->sections > 0)
        return CONFIG_ASYNCOS_DESTINATIONS;
    if (e->policies > 0 || e->groups > 0)
        return CONFIG_ASYNCOS_HAT;
    if (e->rules + e->lone_rules == 0)
        return e->routes > 0 ? CONFIG_ASYNCOS_ROUTES : CONFIG_ASYNCOS_NONE;
    if (e->senders > 0 || e->recipients == 0 || (e->routes > 0 && e->lone_rules == 0))
        return CONFIG_ASYNCOS_NONE;
    return CONFIG_ASYNCOS_RAT;
}

enum config_asyncos_table config_asyncos_look(const struct config_asyncos_import *import)
{
    struct evidence evidence = { 0 };
    struct config_problems problems; /* are told when the text is read as a table */
    struct config_asyncos a;
    struct slice line;

    config_problems_init(&problems);
    config_asyncos_begin(&a, import, &problems);
    while (config_asyncos_line(&a, &line))
        look_at(&evidence, line);
    config_asyncos_end(&a);
    config_problems_finish(&problems);
    return judge(&evidence);
}

bool config_asyncos_expect(struct config_asyncos *a, const struct config_asyncos_import *import,
                           enum config_asyncos_table table)
{
    static const struct {
        const char *name, *command;
    } tables[] = {
        [CONFIG_ASYNCOS_HAT] = { "a HAT (host access table)", "hat" },
        [CONFIG_ASYNCOS_RAT] = { "a RAT (recipient access table)", "rat" },
        [CONFIG_ASYNCOS_DESTINATIONS] = { "destination controls", "destinations" },
        [CONFIG_ASYNCOS_ROUTES] = { "SMTP routes", "routes" },
    };
    enum config_asyncos_table look;

    ASSERT(table != CONFIG_ASYNCOS_NONE);
    if (a->problems->errors_count > 0)
        return false;
    look = config_asyncos_look(import);
    if (look != CONFIG_ASYNCOS_NONE && look != table)
        config_asyncos_error(a, 0,
                             "this looks like %s, not like %s: \"postern import %s\" reads it",
                             tables[look].name, tables[table].name, tables[look].command);
    return a->problems->errors_count == 0;
}
