#include "config/units.h"

#include <stdio.h>

struct unit {
    char letter;
    uint64_t factor;
};

/* The largest that divides a value is the one to write it with. */
static const struct unit sizes[] = { { 'G', 1u << 30 }, { 'M', 1u << 20 }, { 'K', 1u << 10 },
                                     { 'g', 1u << 30 }, { 'm', 1u << 20 }, { 'k', 1u << 10 } };
static const struct unit durations[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

static bool parse(struct slice text, const struct unit *units, size_t units_count,
                  uint64_t *value_out)
{
    uint64_t number;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < units_count; i++) {
        if (text.data[text.len - 1] != units[i].letter)
            continue;
        if (!slice_to_number(slice_first(text, text.len - 1), UINT64_MAX / units[i].factor,
                             &number))
            return false;
        *value_out = number * units[i].factor;
        return true;
    }
    return false;
}

bool config_size_parse(struct slice text, uint64_t *bytes_out)
{
    return slice_to_number(text, UINT64_MAX, bytes_out) ||
           parse(text, sizes, ARRAY_LEN(sizes), bytes_out);
}

bool config_duration_parse(struct slice text, uint64_t *seconds_out)
{
    return parse(text, durations, ARRAY_LEN(durations), seconds_out);
}

/* The unit that writes the value shortest; NULL: none divides it. */
static const struct unit *best_unit(uint64_t value, const struct unit *units, size_t units_count)
{
    for (size_t i = 0; i < units_count; i++)
        if (value != 0 && value % units[i].factor == 0)
            return &units[i];
    return NULL;
}

const char *config_size_format(uint64_t bytes, char text[static CONFIG_UNIT_TEXT_MAX])
{
    const struct unit *unit = best_unit(bytes, sizes, ARRAY_LEN(sizes));

    if (unit != NULL)
        (void)snprintf(text, CONFIG_UNIT_TEXT_MAX, "%llu%c",
                       (unsigned long long)(bytes / unit->factor), unit->letter);
    else
        (void)snprintf(text, CONFIG_UNIT_TEXT_MAX, "%llu", (unsigned long long)bytes);
    return text;
}

const char *config_duration_format(uint64_t seconds, char text[static CONFIG_UNIT_TEXT_MAX])
{
    const struct unit *unit = best_unit(seconds, durations, ARRAY_LEN(durations));

    (void)snprintf(text, CONFIG_UNIT_TEXT_MAX, "%llu%c",
                   (unsigned long long)(unit != NULL ? seconds / unit->factor : 0),
                   unit != NULL ? unit->letter : 's');
    return text;
}
