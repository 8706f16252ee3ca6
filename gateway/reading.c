#include "gateway/reading.h"

#include <sys/resource.h>
#include <unistd.h>

static void run(struct engine_thread *thread)
{
    struct gateway_reading *r = CONTAINER_OF(thread, struct gateway_reading, thread);

    /* Linux has a nice value for each thread; where it cannot be set the reading is not worse. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), GATEWAY_READING_NICE);
    r->status = config_load_file(r->path, &r->options, &r->loaded, &r->problems);
    atomic_store(&r->is_done, true);
}

enum status gateway_reading_start(struct gateway_reading *r, const char *path,
                                  const struct config_load_options *options)
{
    enum status status;

    ASSERT(!r->is_running);
    r->path = path;
    r->options = *options;
    r->loaded = NULL;
    config_problems_init(&r->problems);
    atomic_store(&r->is_done, false);
    status = engine_thread_start(&r->thread, "configuration", ENGINE_THREAD_ANY_CPU, run);
    r->is_running = status == STATUS_OK;
    return status;
}

bool gateway_reading_is_done(const struct gateway_reading *r)
{
    return r->is_running && atomic_load(&r->is_done);
}

enum status gateway_reading_finish(struct gateway_reading *r, struct config_loaded **loaded_out,
                                   struct config_problems *problems)
{
    if (!r->is_running)
        return STATUS_INVALID;
    engine_thread_join(&r->thread);
    r->is_running = false;
    for (size_t i = 0; i < r->problems.count; i++) {
        const struct config_problem *p = &r->problems.items[i];

        config_problems_add(problems, p->severity, p->file, p->line, "%s", p->text);
    }
    config_problems_finish(&r->problems);
    if (r->status == STATUS_OK)
        *loaded_out = r->loaded;
    return r->status;
}
