#include "bench/micro/hat_workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/hash.h"
#include "config/load.h"
#include "policy/snapshot_table.h"

#define LOOKUPS ((size_t)1 << 20)

struct hat_workload {
    enum hat_workload_kind kind;
    size_t entries;
    char folder[64];
    uint64_t random_state;
    struct config_loaded *loaded;
    const struct policy_hat *hat;
    double load_seconds;
    double entry_bytes;
    struct ip_address *listed; /* one inside each entry */
    struct ip_address *asked;
    uint64_t *ticks;
    size_t next;
};

static uint64_t draw(struct hat_workload *w)
{
    w->random_state = w->random_state * 6364136223846793005u + 1442695040888963407u;
    return hash_number(w->random_state);
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *take(size_t count, size_t bytes)
{
    void *piece = calloc(count, bytes);

    if (piece == NULL)
        fail("memory");
    return piece;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct ip_address draw_address(struct hat_workload *w)
{
    struct ip_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };
    uint64_t high = draw(w), low = draw(w);

    if (w->kind == HAT_WORKLOAD_V4) {
        memcpy(a.bytes + 12, &high, 4);
        return a;
    }
    memcpy(a.bytes, &high, 8);
    memcpy(a.bytes + 8, &low, 8);
    a.bytes[0] = (uint8_t)(0x20 | (a.bytes[0] & 0x1f)); /* 2000::/3 */
    return a;
}

/* A prefix as block lists have them: most IPv4 ones single hosts, IPv6 ones networks. */
static unsigned draw_bits(struct hat_workload *w)
{
    switch (w->kind) {
    case HAT_WORKLOAD_V4: return draw(w) % 2 == 0 ? 128 : 120 + (unsigned)(draw(w) % 9);
    case HAT_WORKLOAD_V6: return 32 + (unsigned)(draw(w) % 33);
    case HAT_WORKLOAD_V6_HOSTS: break;
    }
    return 128;
}

static void write_entries(struct hat_workload *w, FILE *file)
{
    for (size_t i = 0; i < w->entries; i++) {
        unsigned bits = draw_bits(w), offset = w->kind == HAT_WORKLOAD_V4 ? 96 : 0;
        struct ip_address first = w->listed[i] = draw_address(w);
        char text[IP_TEXT_MAX];

        for (unsigned bit = bits; bit < 128; bit++)
            first.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        fprintf(file, bits == 128 ? "%s\n" : "%s/%u\n", ip_format(&first, text), bits - offset);
    }
}

static FILE *create(const struct hat_workload *w, const char *name, char path[static 128])
{
    FILE *file;

    (void)snprintf(path, 128, "%s/%s", w->folder, name);
    file = fopen(path, "w");
    if (file == NULL)
        fail(path);
    return file;
}

static const char configuration[] =
    "hostname = \"mx.example.com\"; spool = { path = \"spool\"; };\n"
    "mail_flow_policies = { OK = { access = \"accept\"; }; NO = { access = \"reject\"; }; };\n"
    "listeners = ( { name = \"In\"; type = \"private\"; address = \"127.0.0.1\";\n"
    "                hat = \"h\"; } );\n"
    "routes = ( { domain = \"ALL\"; to = [ \"192.0.2.1\" ]; } );\n"
    "hat = { h = ( { senders = [ \"192.0.2.77\" ]; policy = \"OK\"; },\n"
    "  { senders_file = \"block\"; policy = \"NO\"; },\n"
    "  { senders = [ \"ALL\" ]; policy = \"OK\"; } ); };\n";

static size_t bytes_of(const struct config_loaded *loaded)
{
    return loaded->policy->arena.bytes_used + loaded->arena.bytes_used;
}

static struct config_loaded *load(const char *path)
{
    const struct config_load_options options = { .skip_files = true };
    struct config_loaded *loaded = NULL;
    static struct config_problems problems;
    char text[1024];

    config_problems_init(&problems);
    if (config_load_file(path, &options, &loaded, &problems) != STATUS_OK) {
        fprintf(stderr, "%s\n", config_problem_format(&problems.items[0], text, sizeof(text)));
        exit(1);
    }
    config_problems_finish(&problems);
    return loaded;
}

struct hat_workload *hat_workload_create(enum hat_workload_kind kind, size_t entries)
{
    struct hat_workload *w = take(1, sizeof(*w));
    char conf[128], block[128];
    FILE *file;
    size_t empty_bytes;
    double begun;

    *w = (struct hat_workload){ .kind = kind, .entries = entries, .random_state = 4711 };
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/hat_lookup_XXXXXX");
    if (mkdtemp(w->folder) == NULL)
        fail(w->folder);
    w->listed = take(entries, sizeof(*w->listed));
    w->asked = take(LOOKUPS, sizeof(*w->asked));
    w->ticks = take(LOOKUPS, sizeof(*w->ticks));
    file = create(w, "t.conf", conf);
    fputs(configuration, file);
    fclose(file);
    fclose(create(w, "block", block));
    w->loaded = load(conf);
    empty_bytes = bytes_of(w->loaded);
    config_loaded_destroy(w->loaded);
    file = create(w, "block", block);
    write_entries(w, file);
    fclose(file);
    begun = seconds();
    w->loaded = load(conf);
    w->load_seconds = seconds() - begun;
    w->entry_bytes = (double)(bytes_of(w->loaded) - empty_bytes) / (double)entries;
    w->hat = policy_snapshot_hat(w->loaded->policy, SLICE("h"));
    (void)unlink(conf);
    (void)unlink(block);
    (void)rmdir(w->folder);
    return w;
}

void hat_workload_destroy(struct hat_workload *w)
{
    config_loaded_destroy(w->loaded);
    free(w->listed);
    free(w->asked);
    free(w->ticks);
    free(w);
}

double hat_workload_load_seconds(const struct hat_workload *w)
{
    return w->load_seconds;
}

double hat_workload_entry_bytes(const struct hat_workload *w)
{
    return w->entry_bytes;
}

void hat_workload_draw(struct hat_workload *w, enum hat_workload_addresses addresses)
{
    for (size_t i = 0; i < LOOKUPS; i++)
        w->asked[i] =
            addresses == HAT_WORKLOAD_LISTED ? w->listed[draw(w) % w->entries] : draw_address(w);
}

static size_t find(struct hat_workload *w, size_t i)
{
    const struct policy_sender sender = { .address = w->asked[i] };

    return policy_hat_find(w->hat, &sender).row;
}

size_t hat_workload_find(struct hat_workload *w)
{
    return find(w, w->next++ % LOOKUPS);
}

static uint64_t tick(void)
{
    uint64_t now;

    _mm_lfence();
    now = __rdtsc();
    _mm_lfence();
    return now;
}

static int compare_ticks(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

void hat_workload_percentiles(struct hat_workload *w, double *median_ns_out, double *p99_ns_out)
{
    double begun = seconds(), ns_of_tick;
    uint64_t first = tick(), overhead;
    volatile size_t sink = 0;

    for (size_t i = 0; i < LOOKUPS; i++) {
        uint64_t before = tick();

        w->ticks[i] = tick() - before;
    }
    qsort(w->ticks, LOOKUPS, sizeof(*w->ticks), compare_ticks);
    overhead = w->ticks[LOOKUPS / 2];
    for (size_t i = 0; i < LOOKUPS; i++) {
        uint64_t before = tick();

        sink += find(w, i);
        w->ticks[i] = tick() - before;
    }
    ns_of_tick = (seconds() - begun) * 1e9 / (double)(tick() - first);
    qsort(w->ticks, LOOKUPS, sizeof(*w->ticks), compare_ticks);
    *median_ns_out = (double)(w->ticks[LOOKUPS / 2] - overhead) * ns_of_tick;
    *p99_ns_out = (double)(w->ticks[LOOKUPS / 100 * 99] - overhead) * ns_of_tick;
}

#define CHAIN_BYTES ((size_t)16 << 20)
#define CHAIN_LINES (CHAIN_BYTES / 64)
#define CHAIN_READS ((size_t)1 << 20)

double hat_workload_memory_ns(void)
{
    struct hat_workload w = { .random_state = 1 };
    struct arena arena;
    uint32_t(*lines)[16], at = 0;
    volatile uint32_t sink;
    double begun;

    arena_init(&arena, SIZE_MAX);
    lines = arena_take(&arena, CHAIN_LINES, sizeof(*lines));
    if (lines == NULL)
        fail("memory");
    for (uint32_t i = 0; i < CHAIN_LINES; i++)
        lines[i][0] = i;
    for (size_t i = CHAIN_LINES - 1; i > 0; i--) { /* Sattolo: one cycle through all of them */
        size_t other = draw(&w) % i;
        uint32_t kept = lines[i][0];

        lines[i][0] = lines[other][0];
        lines[other][0] = kept;
    }
    begun = seconds();
    for (size_t i = 0; i < CHAIN_READS; i++)
        at = lines[at][0];
    sink = at;
    (void)sink;
    begun = seconds() - begun;
    arena_finish(&arena);
    return begun * 1e9 / (double)CHAIN_READS;
}
