/* tests/config/import.h - what an import of a text gives: the configuration and its report.
 *
 * For one test each: what it defines is static.
 */
#pragma once
#include <libconfig.h>

#include "config/asyncos_hat.h"
#include "config/asyncos_rat.h"
#include "tests/config/sample.h"

#define LINES_MAX ((size_t)2 * CONFIG_PROBLEMS_MAX * CONFIG_PROBLEM_TEXT_MAX)

typedef enum status import_function(const struct config_asyncos_import *import, struct buffer *out,
                                    struct config_problems *problems);

/* Text and report of one import; both end with a NUL. */
struct imported {
    enum status status;
    struct buffer text;
    char lines[LINES_MAX];
};

static inline void import_text(struct imported *i, import_function *function, struct slice text)
{
    const struct config_asyncos_import import = { "t.txt", "in", text };
    struct config_problems problems;
    size_t used = 0;

    config_problems_init(&problems);
    buffer_init(&i->text, CONFIG_ASYNCOS_OUTPUT_MAX);
    i->lines[0] = '\0';
    i->status = function(&import, &i->text, &problems);
    assert_int_equal(i->status == STATUS_OK, problems.errors_count == 0);
    if (i->status != STATUS_OK)
        buffer_clear(&i->text);
    assert_int_equal(buffer_append(&i->text, (struct slice){ "", 1 }), STATUS_OK);
    for (size_t k = 0; k < problems.count && used < LINES_MAX - CONFIG_PROBLEM_TEXT_MAX; k++) {
        config_problem_format(&problems.items[k], i->lines + used, LINES_MAX - used);
        used += strlen(i->lines + used);
        if (k + 1 < problems.count)
            i->lines[used++] = '\n';
        i->lines[used] = '\0';
    }
    config_problems_finish(&problems);
}

static inline void imported_finish(struct imported *i)
{
    buffer_finish(&i->text);
}

/* Whether libconfig can read it. */
static inline void expect_syntax(const struct imported *i)
{
    config_t config;

    config_init(&config);
    if (config_read_string(&config, buffer_contents(&i->text).data) != CONFIG_TRUE)
        fail_msg("line %d: %s, of\n%s", config_error_line(&config), config_error_text(&config),
                 buffer_contents(&i->text).data);
    config_destroy(&config);
}
