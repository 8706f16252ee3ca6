/* config/problems.h - everything that is wrong with a configuration, in the order found.
 *
 * An error means that the configuration cannot run; a warning, that it runs but may not do what
 * was meant. At most CONFIG_PROBLEMS_MAX are kept, errors before warnings, and the rest is
 * counted. The object owns its texts.
 */
#pragma once
#include "base/arena.h"
#include "base/check.h"
#include "base/slice.h"

#define CONFIG_PROBLEMS_MAX     100
#define CONFIG_PROBLEM_TEXT_MAX 512

enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

struct config_problem {
    enum config_severity severity;
    unsigned line;    /* from 1; 0: the file as a whole */
    const char *file; /* as it was named, or as an @include named it */
    const char *text; /* what and why, one line without a full stop */
};

struct config_problems { /* read count, items, errors_count and dropped_count; arena is private */
    size_t count;
    size_t errors_count; /* of all, also of those not kept */
    size_t dropped_count;
    struct config_problem items[CONFIG_PROBLEMS_MAX];
    struct arena arena;
};

void config_problems_init(struct config_problems *p);
void config_problems_finish(struct config_problems *p); /* accepts a finished one */

/* Counts it even when there is no room or memory to keep it. */
void config_problems_add(struct config_problems *p, enum config_severity severity, const char *file,
                         unsigned line, const char *format, ...) PRINTF_LIKE(5, 6);

/* Puts the problems of each file in the order of its lines. */
void config_problems_sort(struct config_problems *p);

/* "FILE:LINE: reason", with "warning: " before the reason of a warning; the form of compilers,
 * so that editors can jump there. Returns text. */
const char *config_problem_format(const struct config_problem *problem, char *text,
                                  size_t text_bytes);
