/* config/units.h - sizes and durations as people write them. */
#pragma once
#include "base/slice.h"

/* "20M": decimal digits and one of K M G (powers of 1024, of either case), or nothing
 * for bytes. */
bool config_size_parse(struct slice text, uint64_t *bytes_out);

/* "90s", "5m", "72h", "30d": decimal digits and one of s m h d, in lower case only: "20M" is a
 * size. */
bool config_duration_parse(struct slice text, uint64_t *seconds_out);

#define CONFIG_UNIT_TEXT_MAX 32

/* The shortest exact form of the above: "20M", "72h". Returns text. */
const char *config_size_format(uint64_t bytes, char text[static CONFIG_UNIT_TEXT_MAX]);
const char *config_duration_format(uint64_t seconds, char text[static CONFIG_UNIT_TEXT_MAX]);
