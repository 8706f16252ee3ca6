#include "config/load.h"

#include <stdlib.h>

#include "config/draft.h"
#include "config/syntax_hint.h"

#define BYTES_MAX_DEFAULT ((size_t)1 << 30)

void *config_draft_take(struct config_draft *d, size_t count, size_t bytes)
{
    void *piece = arena_take(&d->scratch, count, bytes);

    d->reader.is_out_of_memory = d->reader.is_out_of_memory || piece == NULL;
    return piece;
}

bool config_read_entry(struct config_draft *d, const config_setting_t *at, const char *section,
                       const struct config_key *keys, size_t keys_count, void *values)
{
    struct arena *arena = d->reader.arena;
    bool ok;

    d->reader.arena = &d->scratch;
    ok = config_read_keys(&d->reader, at, section, keys, keys_count, values);
    d->reader.arena = arena;
    return ok;
}

size_t config_members_count(struct config_draft *d, const config_setting_t *section, size_t max)
{
    size_t count = section != NULL ? (size_t)config_setting_length(section) : 0;

    if (count <= max)
        return count;
    config_reader_report(&d->reader, CONFIG_ERROR, section, "%s has more than %zu entries",
                         config_setting_name(section), max);
    return max;
}

struct config_table_draft *config_table_find(struct config_table_draft *tables, size_t count,
                                             const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

/* Reads every section; what is wrong is in the problems afterwards. */
static enum status read_sections(struct config_draft *d)
{
    config_read_general(d);
    config_read_certificates(d);
    config_read_sources(d);
    config_read_alerts(d);
    config_read_tls_reports(d);
    config_read_address_lists(d);
    config_read_exceptions(d);
    config_read_mail_flows(d);
    config_read_hats(d);
    config_read_rats(d);
    config_read_bounces(d);
    config_read_bounce_profiles(d);
    config_read_destinations(d);
    config_read_routes(d);
    if (d->reader.is_out_of_memory)
        return STATUS_NO_MEMORY;
    TRY(policy_builder_finish(d->builder, &d->snapshot));
    config_read_listeners(d);
    if (d->reader.is_out_of_memory)
        return STATUS_NO_MEMORY;
    config_check_hats(d);
    config_check_hat_sources(d);
    config_check_rats(d);
    config_check_bounce_profiles(d);
    config_check_destinations(d);
    config_check_routes(d);
    config_check_certificates(d);
    return d->reader.is_out_of_memory ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Moves what the draft has built to a new object. */
static enum status keep(struct config_draft *d, uint64_t generation, struct arena *arena,
                        struct config_loaded **loaded_out)
{
    struct config_loaded *loaded = malloc(sizeof(*loaded));

    if (loaded == NULL)
        return STATUS_NO_MEMORY;
    *loaded = (struct config_loaded){
        .settings = d->settings,
        .policy = d->snapshot,
        .country = d->country,
        .generation = generation,
        .arena = *arena,
    };
    *arena = (struct arena){ 0 };
    d->snapshot = NULL;
    d->country = NULL;
    *loaded_out = loaded;
    return STATUS_OK;
}

static enum status compile(const config_t *file, const struct config_source *source,
                           const struct config_load_options *options,
                           struct config_problems *problems, struct config_loaded **loaded_out)
{
    struct arena arena;
    struct config_draft d = {
        .reader = { .problems = problems, .source = source, .options = options, .arena = &arena },
        .at = config_root_setting(file),
    };
    size_t bytes_max = options->bytes_max > 0 ? options->bytes_max : BYTES_MAX_DEFAULT;
    size_t errors_before = problems->errors_count;
    enum status status;

    arena_init(&arena, bytes_max);
    arena_init(&d.scratch, bytes_max);
    status = policy_builder_create(options->generation, bytes_max, &d.builder);
    if (status == STATUS_OK)
        status = read_sections(&d);
    if (status == STATUS_OK && problems->errors_count > errors_before)
        status = STATUS_INVALID;
    if (status == STATUS_OK)
        status = keep(&d, options->generation, &arena, loaded_out);
    policy_builder_destroy(d.builder);
    policy_snapshot_destroy(d.snapshot);
    config_country_close(d.country);
    arena_finish(&d.scratch);
    arena_finish(&arena);
    return status;
}

/* What libconfig says, and what the text shows: in another line too, which may be of another
 * file. */
static void report_syntax(const struct config_source *source, const config_t *file,
                          struct config_problems *problems)
{
    const char *said = config_error_text(file);
    unsigned whole = (unsigned)config_error_line(file), line, other;
    const char *name = config_source_where(source, whole, &line), *other_name;
    struct slice text = buffer_contents(&source->text);
    struct config_syntax_hint hint = strncmp(said, "duplicate", strlen("duplicate")) == 0
                                         ? config_syntax_hint_duplicate(text, whole)
                                         : config_syntax_hint(text, whole);

    if (hint.line == 0) {
        config_problems_add(problems, CONFIG_ERROR, name, line, "%s%s", said, hint.text);
        return;
    }
    other_name = config_source_where(source, hint.line, &other);
    if (strcmp(other_name, name) == 0)
        config_problems_add(problems, CONFIG_ERROR, name, line, "%s%s in line %u", said, hint.text,
                            other);
    else
        config_problems_add(problems, CONFIG_ERROR, name, line, "%s%s in %s:%u", said, hint.text,
                            other_name, other);
}

static enum status parse(const struct config_source *source,
                         const struct config_load_options *options,
                         struct config_problems *problems, struct config_loaded **loaded_out)
{
    enum status status;
    config_t file;

    config_init(&file);
    if (config_read_string(&file, buffer_contents(&source->text).data) == CONFIG_TRUE) {
        status = compile(&file, source, options, problems, loaded_out);
    } else {
        report_syntax(source, &file, problems);
        status = STATUS_INVALID;
    }
    config_destroy(&file);
    return status;
}

/* Takes the source, of which status says whether it could be read. */
static enum status finish(struct config_source *source, enum status status, const char *name,
                          const struct config_load_options *options,
                          struct config_problems *problems, struct config_loaded **loaded_out)
{
    if (status == STATUS_OK)
        status = parse(source, options, problems, loaded_out);
    config_source_finish(source);
    config_problems_sort(problems);
    if (status != STATUS_OK && problems->errors_count == 0)
        config_problems_add(problems, CONFIG_ERROR, name, 0, "%s", status_text(status));
    return status;
}

enum status config_load_file(const char *path, const struct config_load_options *options,
                             struct config_loaded **loaded_out, struct config_problems *problems)
{
    struct config_source source;
    enum status status;

    config_source_init(&source);
    status = config_source_read(&source, path, problems);
    return finish(&source, status, path, options, problems, loaded_out);
}

enum status config_load_text(const char *name, const char *text,
                             const struct config_load_options *options,
                             struct config_loaded **loaded_out, struct config_problems *problems)
{
    struct config_source source;
    enum status status;

    config_source_init(&source);
    status = config_source_take(&source, name, slice_from(text), problems);
    return finish(&source, status, name, options, problems, loaded_out);
}

enum status config_load(const char *path, uint64_t generation, struct config_loaded **loaded_out,
                        struct config_problems *problems)
{
    const struct config_load_options options = { .generation = generation,
                                                 .machine = config_machine_here() };

    return config_load_file(path, &options, loaded_out, problems);
}

void config_loaded_destroy(struct config_loaded *loaded)
{
    if (loaded == NULL)
        return;
    policy_snapshot_destroy(loaded->policy);
    config_country_close(loaded->country);
    arena_finish(&loaded->arena);
    free(loaded);
}
