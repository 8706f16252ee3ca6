#include "config/asyncos_destinations.h"

#include <stdio.h>

#include "config/asyncos_block.h"
#include "config/asyncos_look.h"
#include "policy/domain_map.h"

#define NAME_BYTES_MAX 64
#define WORDS_TEXT_MAX 512
#define MINUTE_S       60u

struct table {
    struct config_asyncos a;
    struct config_asyncos_destination defaults; /* line 0: it has not been seen */
    struct buffer entries;
    struct config_asyncos_destination entry; /* being read; line 0: none */
    uint32_t end_mark;
};

static struct config_asyncos_destination *entry_at(const struct table *t, size_t index)
{
    return config_asyncos_item(&t->entries, index, sizeof(struct config_asyncos_destination));
}

static size_t entries_count(const struct table *t)
{
    return buffer_len(&t->entries) / sizeof(struct config_asyncos_destination);
}

static bool is_default(const struct table *t)
{
    return t->entry.domain.len == 0;
}

/* "VALUE", "VALUE"...: those that are written. */
static const char *words_text(const struct config_asyncos_destination_key *key,
                              char text[static WORDS_TEXT_MAX])
{
    size_t used = 0;

    text[0] = '\0';
    for (const struct config_asyncos_word *w = key->words; w->text != NULL; w++) {
        if (ascii_is_digit(w->text[0]))
            break; /* the numbers and spellings that follow are for other versions */
        used += (size_t)snprintf(text + used, WORDS_TEXT_MAX - used, "%s%s", used > 0 ? ", " : "",
                                 w->text);
        ASSERT(used < WORDS_TEXT_MAX);
    }
    return text;
}

static bool read_word(struct table *t, const struct config_asyncos_destination_key *key,
                      const struct config_asyncos_pair *p, uint32_t *value_out)
{
    char words[WORDS_TEXT_MAX];

    if (config_asyncos_destination_word_find(key, p->value, value_out))
        return true;
    config_asyncos_error(&t->a, p->line, "%.*s has to be one of %s, not \"%.*s\"",
                         SLICE_ARGS(p->name), words_text(key, words), SLICE_ARGS(p->value));
    return false;
}

/* A name of theirs as one of ours, which libconfig has to take. */
static struct slice read_name(struct table *t, const struct config_asyncos_pair *p)
{
    char name[NAME_BYTES_MAX + 1] = "P_";
    size_t used = ascii_is_letter(p->value.data[0]) ? 0 : 2;

    if (config_asyncos_name_is_valid(p->value))
        return p->value;
    for (size_t i = 0; i < p->value.len && used < NAME_BYTES_MAX - 1; i++) {
        char c = p->value.data[i];

        name[used++] = ascii_is_letter(c) || ascii_is_digit(c) || c == '-' ? c : '_';
    }
    name[used] = '\0';
    if (!config_asyncos_name_is_valid(slice_from(name)))
        name[used++] = '_'; /* "true" is no name, "true_" is one */
    config_asyncos_warn(&t->a, p->line, "%.*s \"%.*s\" is written as \"%.*s\"", SLICE_ARGS(p->name),
                        SLICE_ARGS(p->value), (int)used, name);
    return config_asyncos_copy(&t->a, (struct slice){ name, used });
}

static bool read_value(struct table *t, const struct config_asyncos_destination_key *key,
                       const struct config_asyncos_pair *p)
{
    struct config_asyncos_destination *e = &t->entry;
    uint64_t number;
    uint32_t value = 0;

    switch (key->meaning) {
    case CONFIG_ASYNCOS_DESTINATION_NUMBER:
    case CONFIG_ASYNCOS_DESTINATION_MINUTES:
        if (!config_asyncos_pair_range(&t->a, p, key->min, key->max, &number))
            return false;
        e->numbers[key->field] =
            (uint32_t)number * (key->meaning == CONFIG_ASYNCOS_DESTINATION_MINUTES ? MINUTE_S : 1);
        return true;
    case CONFIG_ASYNCOS_DESTINATION_WORD: return read_word(t, key, p, &e->numbers[key->field]);
    case CONFIG_ASYNCOS_DESTINATION_NAME:
        if (key->field == POLICY_DESTINATION_CERTIFICATE) {
            e->certificate = read_name(t, p);
            e->certificate_theirs = p->value;
            config_asyncos_note(&t->a, p->value,
                                "has to be in certificates: the file has its name "
                                "only",
                                p->line);
        } else {
            e->bounce_profile = read_name(t, p);
            e->bounce_profile_theirs = p->value;
            config_asyncos_note(&t->a, p->value,
                                "has to be in bounce_profiles: the file has its name only",
                                p->line);
        }
        return true;
    case CONFIG_ASYNCOS_DESTINATION_IGNORED:
        if (read_word(t, key, p, &value) && value != 0)
            config_asyncos_note(&t->a, p->name, key->reason, p->line);
        return false;
    }
    UNREACHABLE();
}

static void read_pair(struct table *t, const struct config_asyncos_pair *p)
{
    const struct config_asyncos_destination_key *key = config_asyncos_destination_key_find(p->name);
    uint32_t bit;

    if (key == NULL) {
        config_asyncos_note(&t->a, p->name, "not carried over: not a key that Postern knows",
                            p->line);
        return;
    }
    if (is_default(t) ? !key->is_of_default : !key->is_of_domains) {
        config_asyncos_warn(&t->a, p->line, "%s is not carried over: it %s", key->name,
                            is_default(t) ? "belongs to a domain" : "belongs to [DEFAULT]");
        return;
    }
    /* As if it were left out. */
    if (p->value.len == 0 || (!is_default(t) && slice_is_word(p->value, "default")))
        return;
    if (!read_value(t, key, p))
        return;
    bit = (uint32_t)1 << key->field;
    if ((t->entry.given & bit) != 0)
        config_asyncos_warn(&t->a, p->line, "%s is said before: this is taken", key->name);
    t->entry.given |= bit;
}

static void close_section(struct table *t)
{
    struct config_asyncos_destination entry = t->entry;

    t->entry.line = 0;
    if (entry.line == 0)
        return;
    entry.marks_end = config_asyncos_marks_count(&t->a);
    if (entry.domain.len > 0)
        (void)config_asyncos_push(&t->a, &t->entries, &entry, sizeof(entry));
    else
        t->defaults = entry;
}

/* "[example.com]"; the brackets are there. */
static void open_section(struct table *t, struct slice line)
{
    struct config_asyncos *a = &t->a;
    struct slice name = slice_trim(slice_first(slice_after(line, 1), line.len - 2));

    close_section(t);
    t->entry = (struct config_asyncos_destination){ .line = a->token.line,
                                                    .mark = config_asyncos_mark(a) };
    if (slice_is_word(name, "DEFAULT")) {
        if (t->defaults.line == 0)
            return;
        config_asyncos_error(a, a->token.line, "a second [DEFAULT] (see line %u)",
                             t->defaults.line);
    } else if (policy_domain_is_valid(name) || policy_domain_is_partial(name)) {
        t->entry.domain = name;
        if (entries_count(t) < POLICY_DESTINATION_ENTRIES_MAX)
            return;
        config_asyncos_error(a, a->token.line, "more than %u domains",
                             POLICY_DESTINATION_ENTRIES_MAX);
        a->status = STATUS_LIMIT;
    } else {
        config_asyncos_error(a, a->token.line, "\"%.*s\" is not a domain or \".domain\"",
                             SLICE_ARGS(slice_first(name, name.len < CONFIG_ASYNCOS_WORD_MAX
                                                              ? name.len
                                                              : CONFIG_ASYNCOS_WORD_MAX)));
        t->entry.domain = SLICE("invalid"); /* its keys are looked at all the same */
    }
}

/* "KEY = VALUE" or "KEY: VALUE" */
static void read_key(struct table *t, struct slice line)
{
    struct config_asyncos *a = &t->a;
    struct config_asyncos_pair p = { .line = a->token.line };
    size_t at = 0;

    while (at < line.len && line.data[at] != '=' && line.data[at] != ':')
        at++;
    p.name = slice_trim(slice_first(line, at));
    p.value = slice_trim(slice_after(line, at < line.len ? at + 1 : at));
    if (at == line.len || p.name.len == 0 || p.name.len > CONFIG_ASYNCOS_WORD_MAX ||
        p.value.len > CONFIG_ASYNCOS_WORD_MAX) {
        config_asyncos_error(a, p.line, "is neither [SECTION] nor KEY = VALUE");
        return;
    }
    if (t->entry.line == 0) {
        config_asyncos_error(a, p.line, "%.*s stands in front of the first [SECTION]",
                             SLICE_ARGS(p.name));
        return;
    }
    p.mark = config_asyncos_mark(a);
    read_pair(t, &p);
}

static void read_table(struct table *t)
{
    struct config_asyncos *a = &t->a;
    struct slice line;

    while (config_asyncos_line(a, &line)) {
        if (line.data[0] == '[' && line.len > 1 && line.data[line.len - 1] == ']')
            open_section(t, line);
        else
            read_key(t, line);
    }
    close_section(t);
    t->end_mark = config_asyncos_mark(a);
    if (t->defaults.line == 0 && entries_count(t) == 0)
        config_asyncos_no_row(a);
    if (t->defaults.line == 0 && a->status == STATUS_OK && a->problems->errors_count == 0)
        config_asyncos_warn(a, 0, "has no [DEFAULT]: its values are those of a new ESA");
}

/* A domain that stands twice is one, as AsyncOS reads it; what is said last counts. */
static void join_repeated(struct table *t)
{
    struct policy_domain_map map;
    size_t count = entries_count(t), first;

    if (!policy_domain_map_init(&map, &t->a.arena, count)) {
        t->a.status = STATUS_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct config_asyncos_destination *e = entry_at(t, i), *to;
        struct slice key = policy_domain_normal(e->domain);

        if (!policy_domain_map_get(&map, key, &first)) {
            policy_domain_map_add(&map, key, i);
            continue;
        }
        to = entry_at(t, first);
        config_asyncos_warn(&t->a, e->line, "\"%.*s\" stands already in line %u: both are taken",
                            SLICE_ARGS(e->domain), to->line);
        e->is_repeated = true;
        to->given |= e->given;
        for (unsigned field = 0; field < POLICY_DESTINATION_FIELDS_COUNT; field++)
            if ((e->given >> field & 1) != 0)
                to->numbers[field] = e->numbers[field];
        to->certificate = e->certificate.len > 0 ? e->certificate : to->certificate;
        to->bounce_profile = e->bounce_profile.len > 0 ? e->bounce_profile : to->bounce_profile;
    }
}

static bool gives(const struct config_asyncos_destination *e, enum policy_destination_field field)
{
    return (e->given >> field & 1) != 0;
}

static bool has_limit(const struct config_asyncos_destination *e)
{
    return gives(e, POLICY_DESTINATION_RECIPIENTS) && e->numbers[POLICY_DESTINATION_RECIPIENTS] > 0;
}

/* AsyncOS: without recipient_minutes there is no limit. */
static void drop_limit(struct table *t, struct config_asyncos_destination *e)
{
    e->given &= ~((uint32_t)1 << POLICY_DESTINATION_RECIPIENTS);
    config_asyncos_note(&t->a, SLICE("recipient_limit"),
                        "not carried over: without recipient_minutes there is no limit", e->line);
}

/* A limit goes with its interval: what the default has of only one of them goes to the domains
 * that have the other. An interval without a limit is not worth its line. */
static void settle_limit(struct table *t, struct config_asyncos_destination *e)
{
    const uint32_t interval = (uint32_t)1 << POLICY_DESTINATION_INTERVAL;
    const struct config_asyncos_destination *d = &t->defaults;

    if (!has_limit(gives(e, POLICY_DESTINATION_RECIPIENTS) ? e : d)) {
        e->given &= ~interval;
    } else if (gives(e, POLICY_DESTINATION_INTERVAL)) {
        if (!gives(e, POLICY_DESTINATION_RECIPIENTS) && !gives(d, POLICY_DESTINATION_INTERVAL)) {
            e->given |= (uint32_t)1 << POLICY_DESTINATION_RECIPIENTS;
            e->numbers[POLICY_DESTINATION_RECIPIENTS] = d->numbers[POLICY_DESTINATION_RECIPIENTS];
        }
    } else if (has_limit(e) && !gives(d, POLICY_DESTINATION_INTERVAL)) {
        drop_limit(t, e);
    } else if (has_limit(e) && !has_limit(d)) {
        e->given |= interval;
        e->numbers[POLICY_DESTINATION_INTERVAL] = d->numbers[POLICY_DESTINATION_INTERVAL];
    }
}

/* A name, ours and theirs. */
struct name_pair {
    struct slice ours, theirs;
};

static struct name_pair name_of(const struct config_asyncos_destination *e, bool is_profile)
{
    if (is_profile)
        return (struct name_pair){ e->bounce_profile, e->bounce_profile_theirs };
    return (struct name_pair){ e->certificate, e->certificate_theirs };
}

/* One of ours stands for one of theirs: "tls failed" and "tls_failed" must not become the same
 * profile. Names that differ in the case of letters alone are left to the configuration. */
static void expect_single_names(struct table *t, bool is_profile)
{
    struct policy_domain_map map;
    size_t count = entries_count(t), first;

    if (!policy_domain_map_init(&map, &t->a.arena, count + 1)) {
        t->a.status = STATUS_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i <= count; i++) { /* that of the default first */
        const struct config_asyncos_destination *e = i == 0 ? &t->defaults : entry_at(t, i - 1);
        const struct name_pair name = name_of(e, is_profile);
        struct name_pair other;

        if (name.ours.len == 0)
            continue;
        if (!policy_domain_map_get(&map, name.ours, &first)) {
            policy_domain_map_add(&map, name.ours, i);
            continue;
        }
        other = name_of(first == 0 ? &t->defaults : entry_at(t, first - 1), is_profile);
        if (!slice_equal_nocase(name.theirs, other.theirs))
            config_asyncos_error(
                &t->a, e->line, "%s \"%.*s\" and \"%.*s\" would both be \"%.*s\" here",
                is_profile ? "bounce_profile" : "certificate", SLICE_ARGS(other.theirs),
                SLICE_ARGS(name.theirs), SLICE_ARGS(name.ours));
    }
}

static void settle(struct table *t)
{
    expect_single_names(t, false);
    expect_single_names(t, true);
    join_repeated(t);
    if (t->a.status != STATUS_OK)
        return;
    for (size_t i = 0; i < entries_count(t); i++)
        if (!entry_at(t, i)->is_repeated)
            settle_limit(t, entry_at(t, i));
    settle_limit(t, &t->defaults);
}

enum status config_import_destinations(const struct config_asyncos_import *import,
                                       struct buffer *out, struct config_problems *problems)
{
    struct table t = { .end_mark = CONFIG_ASYNCOS_NO_MARK };
    enum status status;

    config_asyncos_begin(&t.a, import, problems);
    config_asyncos_list_init(&t.entries, POLICY_DESTINATION_ENTRIES_MAX + 1,
                             sizeof(struct config_asyncos_destination));
    if (config_asyncos_expect(&t.a, import, CONFIG_ASYNCOS_DESTINATIONS))
        read_table(&t);
    if (t.a.status == STATUS_OK && problems->errors_count == 0)
        settle(&t);
    status = t.a.status;
    if (status == STATUS_OK && problems->errors_count == 0)
        status = config_asyncos_destinations_write(&t.a, &t.defaults, &t.entries, t.end_mark, out);
    if (status != STATUS_OK && problems->errors_count == 0)
        config_asyncos_error(&t.a, 0, "%s", status_text(status));
    config_asyncos_report(&t.a);
    if (problems->errors_count > 0)
        status = STATUS_INVALID;
    buffer_finish(&t.entries);
    config_asyncos_end(&t.a);
    return status;
}
