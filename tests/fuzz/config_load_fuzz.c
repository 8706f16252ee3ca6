/* Any text is a configuration, or has problems. Nothing is resolved, no file is asked for. */
#include "config/asyncos_destinations.h"

#define TEXT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the last string of a text with a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

/* Asks the compiled tables what a session would. */
static void ask(const struct config_loaded *loaded)
{
    struct policy_sender sender = { .reverse = POLICY_REVERSE_VERIFIED,
                                    .name = SLICE("a.b.example") };

    ASSERT(loaded->settings.listeners_count > 0);
    for (size_t i = 0; i < loaded->settings.listeners_count; i++) {
        const struct config_listener *l = &loaded->settings.listeners[i];
        struct policy_sender_verdict v = policy_hat_find(l->hat, &sender);

        ASSERT(v.row < policy_hat_rows_count(l->hat));
        ASSERT((l->rat == NULL) == (l->type == CONFIG_LISTENER_PRIVATE));
        if (l->rat != NULL)
            (void)policy_rat_find(l->rat, SLICE("a"), SLICE("b.example"));
    }
    ASSERT(policy_destination_find(loaded->policy, SLICE("b.example"))->bounce_profile != NULL);
    (void)policy_route_find(loaded->policy, SLICE("b.example"));
}

/* What is exported can be imported again. */
static void take_out_and_in(const struct config_loaded *loaded)
{
    struct config_asyncos_import import = { .file = "fuzz.txt", .name = "in" };
    struct config_problems problems;
    struct buffer exported, written;

    config_problems_init(&problems);
    buffer_init(&exported, CONFIG_ASYNCOS_OUTPUT_MAX);
    buffer_init(&written, CONFIG_ASYNCOS_OUTPUT_MAX);
    ASSERT(config_export_destinations(loaded, "fuzz.conf", &exported, &problems) == STATUS_OK);
    import.text = buffer_contents(&exported);
    ASSERT(config_import_destinations(&import, &written, &problems) == STATUS_OK);
    buffer_finish(&exported);
    buffer_finish(&written);
    config_problems_finish(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_MAX + 1];
    const struct config_load_options options = { .generation = 1, .skip_files = true };
    struct config_loaded *loaded = NULL;
    struct config_problems problems;

    size = size < TEXT_MAX ? size : TEXT_MAX;
    memcpy(text, data, size);
    text[size] = '\0';
    config_problems_init(&problems);
    if (config_load_text("fuzz.conf", text, &options, &loaded, &problems) == STATUS_OK) {
        ASSERT(problems.errors_count == 0);
        ask(loaded);
        take_out_and_in(loaded);
    } else {
        ASSERT(problems.errors_count > 0 && loaded == NULL);
    }
    config_loaded_destroy(loaded);
    config_problems_finish(&problems);
    return 0;
}
