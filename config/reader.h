/* config/reader.h - typed, bounded values out of libconfig settings, by tables of keys.
 *
 * A section is read into a struct whose fields hold the defaults already. What is missing,
 * unknown, of the wrong type or out of range becomes a problem at its line, and reading goes on,
 * so that one run reports everything. For the files of config/ only.
 */
#pragma once
#include <libconfig.h>

#include "config/load.h"
#include "config/source.h"

enum config_kind {
    CONFIG_KIND_TEXT,     /* const char *: at least min, at most max bytes, printable */
    CONFIG_KIND_PATH,     /* const char *: the same, beside the file when relative */
    CONFIG_KIND_NUMBER,   /* uint32_t from min to max */
    CONFIG_KIND_DURATION, /* uint32_t seconds from min to max, "5m" */
    CONFIG_KIND_SIZE,     /* uint64_t bytes from min to max, "20M" or a number */
    CONFIG_KIND_WORD,     /* int: the index in words */
    CONFIG_KIND_BOOL,     /* bool: true, false */
    CONFIG_KIND_GROUP,    /* const config_setting_t *: { ... } */
    CONFIG_KIND_LIST,     /* const config_setting_t *: ( ... ) or [ ... ] */
    CONFIG_KIND_STRINGS,  /* const config_setting_t *: the same, of strings, not empty */
    CONFIG_KIND_ANY       /* const config_setting_t * */
};

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset; /* of the field */
    bool is_required;
    uint64_t min;
    uint64_t max;
    const char *const *words; /* NULL at the end */
};

#define CONFIG_TEXT_MAX 4096

struct config_reader {
    struct config_problems *problems;
    const struct config_source *source;
    const struct config_load_options *options;
    struct arena *arena; /* of the settings */
    bool is_out_of_memory;
};

/* Fills the fields of values by the keys; section is named in problems ("listeners" 2). False
 * when a required key is missing or a value is wrong: its field then keeps its default. A key
 * that an unknown one was probably meant to be is not also missing. */
bool config_read_keys(struct config_reader *r, const config_setting_t *group, const char *section,
                      const struct config_key *keys, size_t keys_count, void *values);

/* Whether the group has the key, or an unknown one that was probably meant to be it; so that with
 * the default in its field the key is wrong, and not left out. */
bool config_is_meant(const config_setting_t *group, const struct config_key *keys,
                     size_t keys_count, const char *name);

/* Strings of the list, each a prefix "192.0.2.0/24" or an address; *prefixes_out belongs to the
 * settings. What is none is a problem and left out. */
void config_read_prefixes(struct config_reader *r, const config_setting_t *list,
                          struct ip_prefix **prefixes_out, size_t *count_out);

/* Strings of the list as endpoints, "192.0.2.1" or "[2001:db8::1]:53". */
void config_read_endpoints(struct config_reader *r, const config_setting_t *list,
                           uint16_t port_default, struct ip_endpoint **endpoints_out,
                           size_t *count_out);

void config_reader_report(struct config_reader *r, enum config_severity severity,
                          const config_setting_t *at, const char *format, ...) PRINTF_LIKE(4, 5);

/* The line of a setting, for "(see line N)". */
unsigned config_reader_line(const struct config_reader *r, const config_setting_t *at);

/* The same for good, with a copy of the file's name. */
struct config_place config_reader_place(struct config_reader *r, const config_setting_t *at);

/* A member of a group by its name, to report at its line; the group itself when it is missing. */
const config_setting_t *config_member(const config_setting_t *group, const char *name);

/* Element of a list as a group; NULL, with a problem, when it is something else. */
const config_setting_t *config_element_group(struct config_reader *r, const config_setting_t *list,
                                             unsigned index);

/* Zeroed memory for the settings; NULL sets is_out_of_memory. */
void *config_reader_take(struct config_reader *r, size_t count, size_t bytes);
const char *config_reader_text(struct config_reader *r, const char *text);

/* Notes a status of the builder: false unless it is STATUS_OK. What is not a matter of memory
 * becomes a problem. */
bool config_reader_check(struct config_reader *r, const config_setting_t *at, enum status status);
