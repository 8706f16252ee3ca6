#include "bench/micro/destination_workload.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "config/load.h"
#include "policy/builder.h"
#include "policy/snapshot_table.h"

#define ASKED      ((size_t)1 << 16)
#define NAME_BYTES 48

struct destination_workload {
    size_t entries;
    struct buffer text; /* a whole configuration, with a NUL */
    struct config_loaded *loaded;
    char (*names)[NAME_BYTES];
    char (*asked)[NAME_BYTES];
    size_t next;
};

static const char frame[] =
    "hostname = \"mx.example.com\"; spool = { path = \"spool\"; };\n"
    "tls = { ca_file = \"ca.pem\"; };\n"
    "listeners = ( { name = \"In\"; type = \"private\"; address = \"127.0.0.1\";\n"
    "  hat = \"in\"; } );\n"
    "mail_flow_policies = { REFUSED = { access = \"refuse\"; }; };\n"
    "hat = { in = ( { senders = [ \"ALL\" ]; policy = \"REFUSED\"; } ); };\n"
    "bounce_profiles = { tls_failed = { max_age = \"4h\"; }; };\n"
    "destinations = { default = { tls = \"preferred\"; max_connections = 20; }; domains = (\n";

static void fail(const char *what)
{
    fprintf(stderr, "destination_workload: %s\n", what);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void name_entry(size_t i, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%scustomer-%llx.example.%s", i % 16 == 0 ? "." : "",
                   (unsigned long long)(hash_number(i) >> 24), i % 2 == 0 ? "com" : "org");
}

static void write_entry(struct buffer *text, size_t i, const char *name)
{
    static const char *const values[] = {
        "tls = \"required\"; bounce_profile = \"tls_failed\";",
        "tls = \"required-verify\"; max_connections = 5;",
        "ip_version = \"prefer-v4\"; max_connections = 10; max_recipients = 180; "
        "recipients_interval = \"1m\"; limit_per = \"address\";",
        "tls = \"off\";",
    };

    if (buffer_printf(text, "%s{ domain = \"%s\"; %s }", i > 0 ? ",\n" : "", name,
                      values[i % ARRAY_LEN(values)]) != STATUS_OK)
        fail("no memory");
}

struct destination_workload *destination_workload_create(size_t entries)
{
    struct destination_workload *w = calloc(1, sizeof(*w));

    if (w == NULL)
        fail("no memory");
    w->entries = entries;
    w->names = calloc(entries, sizeof(*w->names));
    w->asked = calloc(ASKED, sizeof(*w->asked));
    buffer_init(&w->text, (size_t)1 << 30);
    if (w->names == NULL || w->asked == NULL || buffer_append_text(&w->text, frame) != STATUS_OK)
        fail("no memory");
    for (size_t i = 0; i < entries; i++) {
        name_entry(i, w->names[i]);
        write_entry(&w->text, i, w->names[i]);
    }
    if (buffer_append(&w->text, (struct slice){ ");\n};\n", sizeof(");\n};\n") }) != STATUS_OK)
        fail("no memory");
    for (size_t i = 0; i < ASKED; i++) {
        uint64_t random = hash_number(i + 1000000007u);

        (void)snprintf(w->asked[i], NAME_BYTES, "%s%s", random % 3 == 0 ? "x" : "",
                       w->names[random % entries]);
    }
    return w;
}

void destination_workload_destroy(struct destination_workload *w)
{
    config_loaded_destroy(w->loaded);
    buffer_finish(&w->text);
    free(w->names);
    free(w->asked);
    free(w);
}

double destination_workload_parse_seconds(struct destination_workload *w)
{
    double start = seconds();
    config_t config;

    config_init(&config);
    if (config_read_string(&config, buffer_contents(&w->text).data) != CONFIG_TRUE)
        fail(config_error_text(&config));
    config_destroy(&config);
    return seconds() - start;
}

double destination_workload_load_seconds(struct destination_workload *w)
{
    const struct config_load_options options = { .generation = 1, .skip_files = true };
    struct config_problems problems;
    double start;

    config_loaded_destroy(w->loaded);
    w->loaded = NULL;
    config_problems_init(&problems);
    start = seconds();
    if (config_load_text("bench.conf", buffer_contents(&w->text).data, &options, &w->loaded,
                         &problems) != STATUS_OK)
        fail(problems.items[0].text);
    start = seconds() - start;
    config_problems_finish(&problems);
    return start;
}

double destination_workload_compile_seconds(struct destination_workload *w)
{
    struct policy_destination entry = policy_destination_default();
    struct policy_snapshot *snapshot = NULL;
    struct policy_builder *builder;
    double start = seconds();

    if (policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &builder) != STATUS_OK)
        fail("no memory");
    for (size_t i = 0; i < w->entries; i++) {
        entry.name = slice_from(w->names[i]);
        entry.max_connections = (uint32_t)(1 + i % 500);
        if (policy_builder_add_destination(builder, &entry) != STATUS_OK)
            fail("an entry is refused");
    }
    if (policy_builder_finish(builder, &snapshot) != STATUS_OK)
        fail("no memory");
    start = seconds() - start;
    policy_builder_destroy(builder);
    policy_snapshot_destroy(snapshot);
    return start;
}

double destination_workload_entry_bytes(const struct destination_workload *w)
{
    return (double)(w->loaded->policy->arena.bytes_used + w->loaded->arena.bytes_used) /
           (double)w->entries;
}

const void *destination_workload_find(struct destination_workload *w)
{
    w->next = (w->next + 1) % ASKED;
    return policy_destination_find(w->loaded->policy, slice_from(w->asked[w->next]));
}
