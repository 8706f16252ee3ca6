/* gateway/supervisor_parts.h - what the files of the supervisor share; private to supervisor*.c.
 *
 * supervisor.c is the life of the process: start, signals, stop. supervisor_reload.c is the
 * configuration that is in force, and the next one.
 */
#pragma once
#include <sys/resource.h>

#include "gateway/admin.h"
#include "gateway/doors.h"
#include "gateway/names_supply.h"
#include "gateway/process.h"
#include "gateway/reading.h"
#include "gateway/watch.h"

struct supervisor {
    struct gateway_process process;
    const char *config_path;
    struct gateway_generation *current;
    struct gateway_generation *older; /* waiting for their last session */
    struct gateway_reading reading;   /* the next one */
    struct gateway_names_supply names;
    struct gateway_watch watch;
    struct gateway_doors_watch doors_watch;
    struct observe_log_writer *log;
    struct gateway_admin *admin; /* NULL: its thread could not be started */
    uint64_t generation;
    uint64_t log_lost;
    char *spool_path; /* what this process runs with, whatever later files say */
    char *log_path;
    uint32_t workers;
    rlim_t descriptors;
    bool is_log_stderr;
    bool has_threads; /* workers that may use the log */
    bool is_ready;
    bool is_reloading; /* some workers do not have the current generation yet */
    bool is_asked;     /* to reload once more, when they have */
    bool is_stopping;
};

/* To the log, and to standard error where that is not the log. */
void supervisor_say(struct supervisor *s, enum observe_level level, const char *text);

/* What is wrong with it was said. NULL: it is none. */
struct gateway_generation *supervisor_read_configuration(struct supervisor *s);

/* One view for each worker, or none at all. */
MUST_USE enum status supervisor_make_views(struct supervisor *s,
                                           struct gateway_generation *generation,
                                           struct gateway_view **views);

/* before is NULL at the start. To have none is no failure where there was none. */
MUST_USE enum status supervisor_make_names(struct supervisor *s,
                                           const struct gateway_generation *before,
                                           const struct gateway_generation *next,
                                           struct gateway_names **names);

/* To each worker what it needs of a configuration. */
MUST_USE enum status supervisor_hand_out(struct supervisor *s, struct gateway_view **views,
                                         struct gateway_doors *doors, struct gateway_names **names);

/* The socket is for people; a gateway that cannot have it carries mail all the same. */
void supervisor_open_admin_socket(struct supervisor *s);

void supervisor_door_trouble(struct gateway_doors_watch *watch, const char *text);

/* What is under way with the configuration, one step after another. */
void supervisor_go_on_reloading(struct supervisor *s);

void supervisor_free_old_generations(struct supervisor *s);
