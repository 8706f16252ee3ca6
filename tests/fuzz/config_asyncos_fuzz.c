/* Any text is an export of AsyncOS, or has problems; and what is written is a configuration as far
 * as its syntax goes. */
#include <libconfig.h>

#include "config/asyncos_destinations.h"
#include "config/asyncos_hat.h"
#include "config/asyncos_rat.h"
#include "config/asyncos_routes.h"

typedef enum status import_function(const struct config_asyncos_import *import, struct buffer *out,
                                    struct config_problems *problems);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the last string of a text with a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void check_syntax(const char *text)
{
    config_t config;

    config_init(&config);
    ASSERT(config_read_string(&config, text) == CONFIG_TRUE);
    config_destroy(&config);
}

static void run(import_function *function, struct slice text)
{
    const struct config_asyncos_import import = { "fuzz.txt", "inbound", text };
    struct config_problems problems;
    struct buffer out;

    config_problems_init(&problems);
    buffer_init(&out, CONFIG_ASYNCOS_OUTPUT_MAX);
    if (function(&import, &out, &problems) == STATUS_OK) {
        ASSERT(problems.errors_count == 0);
        ASSERT(buffer_append(&out, (struct slice){ "", 1 }) == STATUS_OK);
        ASSERT(strlen(buffer_contents(&out).data) == buffer_len(&out) - 1);
        check_syntax(buffer_contents(&out).data);
    } else {
        ASSERT(problems.errors_count > 0);
    }
    buffer_finish(&out);
    config_problems_finish(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = { (const char *)data, size };

    run(config_import_hat, text);
    run(config_import_rat, text);
    run(config_import_destinations, text);
    run(config_import_routes, text);
    return 0;
}
