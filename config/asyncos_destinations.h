/* config/asyncos_destinations.h - Destination Controls of AsyncOS as ours, and ours as theirs.
 *
 * The file is what `destconfig > export` writes:
 *
 *     [DEFAULT]
 *     table_tls = off
 *     [example.com]
 *     table_tls = require_verify
 *
 * Keys and words of values are taken in any case, as numbers too where AsyncOS has them, with "="
 * or ":" between; a key that nobody knows is warned of. What a domain leaves out is as in DEFAULT,
 * what DEFAULT leaves out is as AsyncOS has it, which are our own defaults.
 */
#pragma once
#include "config/asyncos.h"
#include "config/load.h"

/* Appends to out a text with destinations; import's name is not looked at. As
 * config_import_hat() otherwise. */
MUST_USE enum status config_import_destinations(const struct config_asyncos_import *import,
                                                struct buffer *out,
                                                struct config_problems *problems);

/* Appends to out the destinations of a configuration, in words. What AsyncOS has no key for
 * becomes a warning; file is the name of the configuration in it. Importing the text again gives
 * destinations that treat mail the same way, as far as there was no warning. */
MUST_USE enum status config_export_destinations(const struct config_loaded *loaded,
                                                const char *file, struct buffer *out,
                                                struct config_problems *problems);

/* Below: the table between reading and writing, for asyncos_destinations.c,
 * asyncos_destinations_write.c and asyncos_destinations_export.c. */

struct config_asyncos_destination {
    struct slice domain;                               /* empty: DEFAULT */
    uint32_t given;                                    /* bits of enum policy_destination_field */
    uint32_t numbers[POLICY_DESTINATION_FIELDS_COUNT]; /* or the value of the enum */
    struct slice certificate, bounce_profile;
    struct slice certificate_theirs, bounce_profile_theirs; /* before they were names of ours */
    unsigned line;
    uint32_t mark, marks_end;
    bool is_repeated; /* part of another one */
};

/* Keys and words of AsyncOS; the first of several words for a value is the one that is written. */
struct config_asyncos_word {
    const char *text;
    uint32_t value;
};

enum config_asyncos_destination_meaning {
    CONFIG_ASYNCOS_DESTINATION_NUMBER,  /* from min to max */
    CONFIG_ASYNCOS_DESTINATION_MINUTES, /* from min to max; ours are seconds */
    CONFIG_ASYNCOS_DESTINATION_WORD,
    CONFIG_ASYNCOS_DESTINATION_NAME,
    CONFIG_ASYNCOS_DESTINATION_IGNORED /* if it is the last of words, reason says why */
};

struct config_asyncos_destination_key {
    const char *name;
    enum config_asyncos_destination_meaning meaning;
    enum policy_destination_field field;
    uint32_t min, max;
    const struct config_asyncos_word *words; /* the last one has no text */
    const char *reason;
    bool is_of_default, is_of_domains;
};

/* NULL: nobody knows it. */
const struct config_asyncos_destination_key *config_asyncos_destination_key_find(struct slice name);

/* The first key of a field, or NULL; and the word for a value of it. */
const struct config_asyncos_destination_key *config_asyncos_destination_key_of(
    enum policy_destination_field field);
const char *config_asyncos_destination_word(enum policy_destination_field field, uint32_t value);

/* Whether text is a word of key; any of " ", "-" and "_" parts it. */
bool config_asyncos_destination_word_find(const struct config_asyncos_destination_key *key,
                                          struct slice text, uint32_t *value_out);

/* entries is a list of struct config_asyncos_destination. */
MUST_USE enum status config_asyncos_destinations_write(
    const struct config_asyncos *a, const struct config_asyncos_destination *defaults,
    const struct buffer *entries, uint32_t end_mark, struct buffer *out);
