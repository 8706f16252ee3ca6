#include "config/reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/suggest.h"
#include "config/units.h"

#define WORDS_TEXT_MAX 256

void config_reader_report(struct config_reader *r, enum config_severity severity,
                          const config_setting_t *at, const char *format, ...)
{
    char text[CONFIG_PROBLEM_TEXT_MAX];
    unsigned line;
    const char *file = config_source_where(r->source, config_setting_source_line(at), &line);
    va_list args;

    if (config_setting_is_root(at))
        line = 0;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    config_problems_add(r->problems, severity, file, line, "%s", text);
}

unsigned config_reader_line(const struct config_reader *r, const config_setting_t *at)
{
    unsigned line;

    (void)config_source_where(r->source, config_setting_source_line(at), &line);
    return line;
}

struct config_place config_reader_place(struct config_reader *r, const config_setting_t *at)
{
    struct config_place place;
    const char *file = config_source_where(r->source, config_setting_source_line(at), &place.line);

    place.file = config_reader_text(r, file);
    return place;
}

const config_setting_t *config_member(const config_setting_t *group, const char *name)
{
    const config_setting_t *member = config_setting_get_member(group, name);

    return member != NULL ? member : group;
}

const config_setting_t *config_element_group(struct config_reader *r, const config_setting_t *list,
                                             unsigned index)
{
    const config_setting_t *e = config_setting_get_elem(list, index);

    if (config_setting_is_group(e))
        return e;
    config_reader_report(r, CONFIG_ERROR, e, "has to be a group: { ... }");
    return NULL;
}

void *config_reader_take(struct config_reader *r, size_t count, size_t bytes)
{
    void *piece = arena_take(r->arena, count, bytes);

    r->is_out_of_memory = r->is_out_of_memory || piece == NULL;
    return piece;
}

const char *config_reader_text(struct config_reader *r, const char *text)
{
    const char *copy = arena_text(r->arena, slice_from(text));

    r->is_out_of_memory = r->is_out_of_memory || copy == NULL;
    return copy;
}

bool config_reader_check(struct config_reader *r, const config_setting_t *at, enum status status)
{
    if (status == STATUS_OK)
        return true;
    if (status == STATUS_NO_MEMORY)
        r->is_out_of_memory = true;
    else
        config_reader_report(r, CONFIG_ERROR, at, "%s", status_text(status));
    return false;
}

static const char *kind_text(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_PATH: return "a string";
    case CONFIG_KIND_NUMBER: return "a number";
    case CONFIG_KIND_DURATION: return "a duration like \"30s\", \"5m\", \"12h\" or \"3d\"";
    case CONFIG_KIND_SIZE: return "a size like \"64K\", \"20M\" or \"1G\"";
    case CONFIG_KIND_WORD: return "a word in quotes";
    case CONFIG_KIND_BOOL: return "true or false";
    case CONFIG_KIND_GROUP: return "a group: { ... }";
    case CONFIG_KIND_LIST: return "a list: ( ... )";
    case CONFIG_KIND_STRINGS: return "a list of strings: [ \"...\", \"...\" ]";
    case CONFIG_KIND_ANY: break;
    }
    UNREACHABLE();
}

static bool refuse_type(struct config_reader *r, const config_setting_t *s,
                        const struct config_key *key)
{
    config_reader_report(r, CONFIG_ERROR, s, "%s has to be %s", key->name, kind_text(key->kind));
    return false;
}

static bool read_text(struct config_reader *r, const config_setting_t *s,
                      const struct config_key *key, const char **value)
{
    const char *text = config_setting_get_string(s);
    size_t max = key->max > 0 ? key->max : CONFIG_TEXT_MAX;
    const char *copy;

    if (text == NULL)
        return refuse_type(r, s, key);
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c >= ' ' && *c != 0x7f)
            continue;
        config_reader_report(r, CONFIG_ERROR, s, "%s has a control character", key->name);
        return false;
    }
    if (strlen(text) < key->min || strlen(text) > max) {
        config_reader_report(r, CONFIG_ERROR, s, "%s has to have %llu to %zu bytes", key->name,
                             (unsigned long long)key->min, max);
        return false;
    }
    if (key->kind == CONFIG_KIND_PATH) {
        unsigned line;
        const char *file = config_source_where(r->source, config_setting_source_line(s), &line);

        copy = config_path_beside(r->arena, file, slice_from(text));
        r->is_out_of_memory = r->is_out_of_memory || copy == NULL;
    } else {
        copy = config_reader_text(r, text);
    }
    if (copy == NULL)
        return false;
    *value = copy;
    return true;
}

static void refuse_range(struct config_reader *r, const config_setting_t *s,
                         const struct config_key *key)
{
    char low[CONFIG_UNIT_TEXT_MAX], high[CONFIG_UNIT_TEXT_MAX];

    switch (key->kind) {
    case CONFIG_KIND_SIZE:
        config_size_format(key->min, low);
        config_size_format(key->max, high);
        break;
    case CONFIG_KIND_DURATION:
        config_duration_format(key->min, low);
        config_duration_format(key->max, high);
        break;
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_WORD:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_GROUP:
    case CONFIG_KIND_LIST:
    case CONFIG_KIND_STRINGS:
    case CONFIG_KIND_ANY:
        (void)snprintf(low, sizeof(low), "%llu", (unsigned long long)key->min);
        (void)snprintf(high, sizeof(high), "%llu", (unsigned long long)key->max);
        break;
    }
    config_reader_report(r, CONFIG_ERROR, s, "%s has to be from %s to %s", key->name, low, high);
}

/* A number of any of the three numeric kinds. */
static bool read_number(struct config_reader *r, const config_setting_t *s,
                        const struct config_key *key, uint64_t *value)
{
    const char *text = config_setting_get_string(s);
    int type = config_setting_type(s);
    bool is_whole = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    bool is_negative = is_whole && config_setting_get_int64(s) < 0;
    bool ok = false;

    if (is_whole && key->kind != CONFIG_KIND_DURATION) {
        *value = (uint64_t)config_setting_get_int64(s);
        ok = true;
    } else if (text != NULL && key->kind == CONFIG_KIND_SIZE) {
        ok = config_size_parse(slice_from(text), value);
    } else if (text != NULL && key->kind == CONFIG_KIND_DURATION) {
        ok = config_duration_parse(slice_from(text), value);
    }
    if (!ok)
        return refuse_type(r, s, key);
    if (is_negative || *value < key->min || *value > key->max) {
        refuse_range(r, s, key);
        return false;
    }
    return true;
}

static bool read_word(struct config_reader *r, const config_setting_t *s,
                      const struct config_key *key, int *value)
{
    const char *text = config_setting_get_string(s);
    char list[WORDS_TEXT_MAX], hint[CONFIG_SUGGESTION_TEXT_MAX];
    struct config_suggestion suggestion;
    size_t used = 0;

    if (text == NULL)
        return refuse_type(r, s, key);
    for (int i = 0; key->words[i] != NULL; i++) {
        if (strcmp(text, key->words[i]) == 0) {
            *value = i;
            return true;
        }
    }
    suggestion = config_suggestion_begin(text);
    list[0] = '\0';
    for (int i = 0; key->words[i] != NULL; i++) {
        config_suggestion_offer(&suggestion, key->words[i]);
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i > 0 ? ", " : "",
                                 key->words[i]);
        ASSERT(used < sizeof(list));
    }
    config_reader_report(r, CONFIG_ERROR, s, "%s = \"%s\" is none of %s%s", key->name, text, list,
                         config_suggestion_text(&suggestion, hint));
    return false;
}

static bool is_list(const config_setting_t *s)
{
    return config_setting_is_list(s) || config_setting_is_array(s);
}

static bool is_strings(const config_setting_t *s)
{
    if (!is_list(s) || config_setting_length(s) == 0)
        return false;
    for (int i = 0; i < config_setting_length(s); i++)
        if (config_setting_get_string_elem(s, i) == NULL)
            return false;
    return true;
}

static bool read_setting(struct config_reader *r, const config_setting_t *s,
                         const struct config_key *key, const config_setting_t **value)
{
    bool ok = key->kind == CONFIG_KIND_ANY ||
              (key->kind == CONFIG_KIND_GROUP && config_setting_is_group(s)) ||
              (key->kind == CONFIG_KIND_LIST && is_list(s)) ||
              (key->kind == CONFIG_KIND_STRINGS && is_strings(s));

    if (!ok)
        return refuse_type(r, s, key);
    *value = s;
    return true;
}

static bool read_value(struct config_reader *r, const config_setting_t *s,
                       const struct config_key *key, void *field)
{
    uint64_t number;

    switch (key->kind) {
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_PATH: return read_text(r, s, key, field);
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_DURATION:
        ASSERT(key->max <= UINT32_MAX);
        if (!read_number(r, s, key, &number))
            return false;
        *(uint32_t *)field = (uint32_t)number;
        return true;
    case CONFIG_KIND_SIZE:
        if (!read_number(r, s, key, &number))
            return false;
        *(uint64_t *)field = number;
        return true;
    case CONFIG_KIND_WORD: return read_word(r, s, key, field);
    case CONFIG_KIND_BOOL:
        if (config_setting_type(s) != CONFIG_TYPE_BOOL)
            return refuse_type(r, s, key);
        *(bool *)field = config_setting_get_bool(s) == CONFIG_TRUE;
        return true;
    case CONFIG_KIND_GROUP:
    case CONFIG_KIND_LIST:
    case CONFIG_KIND_STRINGS:
    case CONFIG_KIND_ANY: return read_setting(r, s, key, field);
    }
    UNREACHABLE();
}

static bool is_key(const char *name, const struct config_key *keys, size_t keys_count)
{
    for (size_t i = 0; i < keys_count; i++)
        if (strcmp(name, keys[i].name) == 0)
            return true;
    return false;
}

static struct config_suggestion suggest_key(const config_setting_t *s,
                                            const struct config_key *keys, size_t keys_count)
{
    struct config_suggestion suggestion = config_suggestion_begin(config_setting_name(s));

    for (size_t i = 0; i < keys_count; i++)
        config_suggestion_offer(&suggestion, keys[i].name);
    return suggestion;
}

bool config_is_meant(const config_setting_t *group, const struct config_key *keys,
                     size_t keys_count, const char *name)
{
    if (config_setting_get_member(group, name) != NULL)
        return true;
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);

        if (!is_key(config_setting_name(s), keys, keys_count)) {
            struct config_suggestion suggestion = suggest_key(s, keys, keys_count);

            if (suggestion.best != NULL && strcmp(suggestion.best, name) == 0)
                return true;
        }
    }
    return false;
}

static void refuse_unknown(struct config_reader *r, const config_setting_t *s, const char *section,
                           const struct config_key *keys, size_t keys_count)
{
    struct config_suggestion suggestion = suggest_key(s, keys, keys_count);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    config_reader_report(r, CONFIG_ERROR, s, "unknown key \"%s\"%s%s%s", config_setting_name(s),
                         section[0] != '\0' ? " in " : "", section,
                         config_suggestion_text(&suggestion, hint));
}

bool config_read_keys(struct config_reader *r, const config_setting_t *group, const char *section,
                      const struct config_key *keys, size_t keys_count, void *values)
{
    bool ok = true;

    ASSERT(config_setting_is_group(group));
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);

        if (is_key(config_setting_name(s), keys, keys_count))
            continue;
        refuse_unknown(r, s, section, keys, keys_count);
        ok = false;
    }
    for (size_t i = 0; i < keys_count; i++) {
        const config_setting_t *s = config_setting_get_member(group, keys[i].name);

        if (s != NULL) {
            ok = read_value(r, s, &keys[i], (char *)values + keys[i].offset) && ok;
        } else if (keys[i].is_required) {
            if (!config_is_meant(group, keys, keys_count, keys[i].name))
                config_reader_report(r, CONFIG_ERROR, group, "%s%s\"%s\" is missing", section,
                                     section[0] != '\0' ? ": " : "", keys[i].name);
            ok = false;
        }
    }
    return ok;
}

void config_read_prefixes(struct config_reader *r, const config_setting_t *list,
                          struct ip_prefix **prefixes_out, size_t *count_out)
{
    int count = list != NULL ? config_setting_length(list) : 0;
    struct ip_prefix *prefixes = config_reader_take(r, (size_t)count, sizeof(*prefixes));
    size_t used = 0;

    for (int i = 0; i < count && prefixes != NULL; i++) {
        const char *text = config_setting_get_string_elem(list, i);
        bool is_loose = false;

        if (ip_prefix_parse(slice_from(text), &prefixes[used], &is_loose) && !is_loose)
            used++;
        else
            config_reader_report(r, CONFIG_ERROR, config_setting_get_elem(list, (unsigned)i),
                                 "%s: \"%s\" is neither an address nor a CIDR block",
                                 config_setting_name(list), text);
    }
    *prefixes_out = prefixes;
    *count_out = used;
}

void config_read_endpoints(struct config_reader *r, const config_setting_t *list,
                           uint16_t port_default, struct ip_endpoint **endpoints_out,
                           size_t *count_out)
{
    int count = list != NULL ? config_setting_length(list) : 0;
    struct ip_endpoint *endpoints = config_reader_take(r, (size_t)count, sizeof(*endpoints));
    size_t used = 0;

    for (int i = 0; i < count && endpoints != NULL; i++) {
        const char *text = config_setting_get_string_elem(list, i);

        if (ip_endpoint_parse(slice_from(text), port_default, &endpoints[used]))
            used++;
        else
            config_reader_report(r, CONFIG_ERROR, config_setting_get_elem(list, (unsigned)i),
                                 "%s: \"%s\" is not an address, or an address and a port",
                                 config_setting_name(list), text);
    }
    *endpoints_out = endpoints;
    *count_out = used;
}
