#include "tests/sim/history.h"

#include <stdio.h>
#include <string.h>

#include "gateway/receipt.h"
#include "gateway/store.h"
#include "spool/files.h"
#include "spool/recovery.h"
#include "tests/sim/backend.h"
#include "tests/sim/client.h"
#include "tests/sim/disk.h"
#include "tests/sim/fds.h"
#include "tests/sim/gateway.h"
#include "tests/sim/hop.h"
#include "tests/sim/net.h"
#include "tests/sim/plant.h"
#include "tests/sim/world.h"
#include "tests/sim/wrap.h"

#define SPOOL_PATH     SIM_DISK_ROOT "/spool"
#define LISTENS        "10.0.0.1"
#define ENDS_MAX       9
#define CLIENTS_MAX    24
#define WORKERS_MAX    4
#define DOWN_US_MAX    (5 * SIM_S)
#define LOOK_US        (10 * SIM_S)
#define PATIENCE_US    (6 * 3600 * SIM_S) /* max_retry is an hour at most */
#define STOP_US_MAX    (600 * SIM_S)
#define DISK_CALLS_MAX 1000
#define RESCUE_US_MAX  (5 * SIM_S) /* results that waited for a disk are written */

/* How the next life is to end. */
enum end { END_NONE, END_AT_TIME, END_IN_DISK, END_AFTER_250, END_AFTER_HOP, END_STOP, END_COUNT };

static struct {
    char configuration[4096];
    struct ip_endpoint listens;
    unsigned ends_left;
    unsigned heard_left; /* of END_AFTER_HOP and END_AFTER_250 */
    uint64_t life;
    uint64_t memory_bytes;
    unsigned write_fails; /* when there is no outage */
    bool is_healed;
    bool must_die;
    bool is_last_stop;
    bool start_planned;
} h;

/* --- lives ----------------------------------------------------------------------------------- */

static void on_must_die(void *subject)
{
    (void)subject;
    h.must_die = true;
}

static void on_must_stop(void *subject)
{
    (void)subject;
    if (sim_gateway_state() == SIM_GATEWAY_READY)
        sim_gateway_stop();
}

static void on_reload(void *subject)
{
    (void)subject;
    if (sim_gateway_state() == SIM_GATEWAY_READY)
        sim_gateway_reload();
}

static void die_in_disk(void)
{
    h.must_die = true;
}

/* At a moment when something has just gone out, or come in. */
static void heard(void)
{
    if (h.heard_left > 0 && --h.heard_left == 0)
        sim_after_in_life(sim_chance(500) ? sim_between(0, 300) : sim_between(0, 8 * SIM_MS),
                          on_must_die, NULL);
}

static void plan_end(void)
{
    enum end end = (enum end)sim_between(END_NONE + 1, END_COUNT - 1);

    h.heard_left = 0;
    if (sim_chance(200))
        sim_after_in_life(sim_between(1, 60 * SIM_S), on_reload, NULL);
    if (h.ends_left == 0)
        return;
    h.ends_left--;
    switch (end) {
    case END_NONE:
    case END_COUNT: return;
    case END_AT_TIME: sim_after_in_life(sim_between(1, 60 * SIM_S), on_must_die, NULL); return;
    case END_IN_DISK:
        sim_disk_arm(sim_between(1, sim_chance(500) ? 100 : DISK_CALLS_MAX), die_in_disk);
        return;
    case END_AFTER_250:
    case END_AFTER_HOP: h.heard_left = (unsigned)sim_between(1, 20); return;
    case END_STOP: sim_after_in_life(sim_between(1, 90 * SIM_S), on_must_stop, NULL); return;
    }
}

static void on_start(void *subject)
{
    struct sim_gateway_options options = {
        .configuration = h.configuration,
        .workers = (unsigned)sim_between(1, WORKERS_MAX),
        .memory_bytes = h.memory_bytes,
    };

    (void)subject;
    h.start_planned = false;
    sim_disk_faults.refuses_direct = sim_chance(300);
    sim_gateway_start(&options);
    plan_end();
}

static void plan_start(void)
{
    ASSERT(!h.start_planned);
    h.start_planned = true;
    sim_after(sim_between(SIM_MS, DOWN_US_MAX), on_start, NULL);
}

static void crash(enum sim_death how)
{
    h.must_die = false;
    if (sim_gateway_state() == SIM_GATEWAY_DOWN)
        return;
    sim_ledger_crashed();
    sim_gateway_die(how);
    plan_start();
}

/* After each event: what the gateway's process has come to. */
static void look(void)
{
    if (h.must_die) {
        crash(sim_chance(500) ? SIM_DEATH_POWER : SIM_DEATH_KILL);
        return;
    }
    switch (sim_gateway_state()) {
    case SIM_GATEWAY_DOWN:
    case SIM_GATEWAY_STARTING:
    case SIM_GATEWAY_READY:
    case SIM_GATEWAY_STOPPING: return;
    case SIM_GATEWAY_FAILED:
        if (h.is_healed)
            sim_fault("the gateway cannot start, and nothing is wrong with its disk");
        sim_counts.failed_starts++;
        sim_gateway_die(SIM_DEATH_EXIT);
        plan_start();
        return;
    case SIM_GATEWAY_STOPPED:
        sim_ledger_stopped();
        sim_gateway_die(SIM_DEATH_EXIT);
        if (!h.is_last_stop)
            plan_start();
        return;
    }
}

static void run_until(uint64_t until_us)
{
    while (sim_step(until_us))
        look();
}

/* --- the world ------------------------------------------------------------------------------- */

static unsigned some(unsigned permille_max)
{
    return sim_chance(500) ? 0 : (unsigned)sim_below(permille_max + 1u);
}

static void make_faults(void)
{
    sim_hop_faults = (struct sim_hop_faults){
        .refuses = some(300),
        .is_silent = some(100),
        .defers = some(200),
        .fails = some(60),
        .fails_session = some(20),
        .hangs = some(30),
        .drops = some(60),
        .drops_accepted = some(200),
        .is_late = some(50),
        .late_s = (unsigned)sim_between(1, 900),
    };
    sim_net_faults = (struct sim_net_faults){
        .link_breaks = some(20),
        .is_slow = some(100),
        .slow_ms = (unsigned)sim_between(1, 3000),
        .window_is_tiny = some(200),
        .send_is_short = some(300),
    };
    sim_disk_faults.is_slow = some(300);
    sim_disk_faults.slow_ms = (unsigned)sim_between(1, 50);
    if (h.memory_bytes > 0 && sim_chance(300))
        sim_disk_faults.read_fails = (unsigned)sim_between(1, 300);
    if (!sim_chance(400))
        return;
    sim_disk_faults.write_fails = some(40);
    sim_disk_faults.sync_fails = some(40);
    sim_disk_faults.write_is_short = some(100);
    if (sim_chance(300))
        sim_disk_faults.bytes_max = sim_between(2, 10) * sim_sizes.segment_bytes;
}

/* A planted bug gets a world in which it matters. */
static void lean_on_plant(void)
{
    if (sim_plant_is(SIM_PLANT_FAILED_COMMIT)) {
        sim_disk_faults.write_fails = 50;
        sim_disk_faults.sync_fails = 50;
    }
    if (sim_plant_is(SIM_PLANT_READER_NOT_COUNTED) || sim_plant_is(SIM_PLANT_FETCHES_ANOTHER))
        h.memory_bytes = 32 << 10;
    if (sim_plant_is(SIM_PLANT_SYNC_OF_BODIES))
        sim_client_traits.body_is_large = 700;
    if (sim_plant != SIM_PLANT_NONE && h.ends_left == 0)
        h.ends_left = 1;
}

static void heal_disk(void)
{
    sim_disk_faults = (struct sim_disk_faults){ .refuses_direct = sim_disk_faults.refuses_direct };
    if (sim_ledger_rules.disk_well_us == SIM_EVER)
        sim_ledger_rules.disk_well_us = sim_now_us();
}

/* For a while no write goes well, so that the logs stop; later they may record nothing but results
 * until a reload. */
static void on_outage_end(void *subject)
{
    (void)subject;
    if (sim_ledger_rules.disk_well_us == SIM_EVER)
        sim_disk_faults.write_fails = h.write_fails;
}

static void on_outage(void *subject)
{
    (void)subject;
    if (sim_ledger_rules.disk_well_us != SIM_EVER)
        return;
    sim_note("history: the disk takes nothing");
    sim_disk_faults.write_fails = 1000;
    sim_after(sim_between(SIM_S / 10, 20 * SIM_S), on_outage_end, NULL);
}

static void on_disk_well(void *subject)
{
    (void)subject;
    sim_note("history: the disk is well");
    heal_disk();
}

static void heal(void)
{
    sim_hop_faults = (struct sim_hop_faults){ 0 };
    sim_net_faults = (struct sim_net_faults){ 0 };
    heal_disk();
    h.ends_left = 0;
    h.heard_left = 0;
    h.is_healed = true;
    sim_disk_arm(0, NULL);
    sim_note("history: all is well again");
    if (sim_gateway_state() == SIM_GATEWAY_STARTING) {
        crash(SIM_DEATH_KILL); /* what it has met may have been a fault */
    } else if (sim_gateway_state() == SIM_GATEWAY_READY) {
        switch (sim_below(3)) {
        case 0: sim_gateway_reload(); break;
        case 1: sim_gateway_stop(); break;
        default: crash(SIM_DEATH_POWER); break;
        }
    }
}

static void make_configuration(void)
{
    static const struct {
        const char *text;
        uint64_t us;
    } ages[] = { { "20m", 1200 * SIM_S }, { "4h", 14400 * SIM_S }, { "72h", 259200 * SIM_S } };
    static const char *const retries[] = { "5s", "30s", "2m" }, *const most[] = { "5m", "1h" };
    size_t age = (size_t)sim_below(3);

    sim_ledger_rules.max_age_us = ages[age].us;
    (void)snprintf(
        h.configuration, sizeof(h.configuration),
        "hostname = \"gate.sim\"; workers = 1; spool = { path = \"" SPOOL_PATH "\"; };\n"
        "log = { format = \"asyncos\"; file = \"-\"; };\n"
        "admin = { socket = \"" SIM_DISK_ROOT "/admin.sock\"; };\n"
        "listeners = ( { name = \"In\"; type = \"private\"; address = \"" LISTENS "\";"
        " port = 25; hat = \"all\"; max_connections = 1000; } );\n"
        "mail_flow_policies = { RELAYED = { access = \"relay\"; }; };\n"
        "hat = { all = ( { group = \"ALL\"; senders = [ \"ALL\" ]; policy = \"RELAYED\"; } ); };\n"
        "destinations = { default = { max_connections = %u; max_messages_per_connection = %u;"
        " eight_bit = \"send\"; };\n"
        "  domains = ( { domain = \"src.sim\"; bounce_profile = \"reports\"; } ); };\n"
        "routes = ( %s, { domain = \"gate.sim\"; to = [ \"10.1.9.9:25\" ]; } );\n"
        "bounce_profiles = { default = { initial_retry = \"%s\"; max_retry = \"%s\";"
        " max_age = \"%s\"; max_retries = 1000;\n"
        "    delay_warnings = %s; warning_interval = \"10m\"; };\n"
        "  reports = { max_age = \"72h\"; max_retries = 1000; }; };\n",
        (unsigned)sim_between(1, 20), (unsigned)sim_between(1, 50), sim_hops_routes(),
        retries[sim_below(3)], most[sim_below(2)], ages[age].text,
        sim_chance(300) ? "true" : "false");
}

/* Large bodies come slowly, and memory gets short while they are under way: some go on in files
 * though they would fit. */
static void crowd_memory(void)
{
    sim_sizes.inline_bytes_max = GATEWAY_RECEIPT_SMALL_BYTES + (24 << 10);
    sim_client_traits.body_bytes_max = 2 * sim_sizes.inline_bytes_max;
    sim_client_traits.body_is_large = 700;
    sim_client_traits.pauses = 600;
    h.memory_bytes = sim_between(128 << 10, 384 << 10);
    sim_disk_faults.is_slow = some(600);
    sim_disk_faults.slow_ms = (unsigned)sim_between(1, 2000);
}

static void on_client(void *subject)
{
    (void)subject;
    sim_client_start(&h.listens);
}

static void make_world(const struct sim_history *history)
{
    static const uint32_t segments[] = { 256 << 10, 320 << 10, 640 << 10 };
    uint64_t traffic_us = sim_between(1, 120) * SIM_S;
    unsigned clients = (unsigned)sim_between(2, CLIENTS_MAX);

    sim_disk_begin();
    sim_hops_begin();
    sim_hop_accepted = heard;
    sim_ledger_promised = heard;
    sim_sizes.segment_bytes = segments[sim_below(3)];
    sim_sizes.record_bytes_max = 96 << 10; /* room for what DATA reserves without SIZE */
    sim_sizes.inline_bytes_max = (size_t)sim_between(24 << 10, 64 << 10);
    sim_backend_buffers_max = sim_chance(300) ? 4 : 64;
    sim_client_traits = (struct sim_client_traits){
        .misbehaves = history->is_calm ? 0 : some(200),
        .body_bytes_max = 2 * sim_sizes.inline_bytes_max,
        .body_is_large = some(400),
        .pauses = some(500),
        .messages_max = (unsigned)sim_between(1, 6),
    };
    make_configuration();
    if (sim_chance(500))
        h.memory_bytes = sim_between(16 << 10, 192 << 10);
    if (!ip_endpoint_parse(SLICE(LISTENS ":25"), 0, &h.listens))
        UNREACHABLE();
    if (!history->is_calm) {
        make_faults();
        if (sim_chance(100))
            crowd_memory();
        h.ends_left = (unsigned)sim_below(ENDS_MAX + 1);
        lean_on_plant();
    }
    sim_ledger_rules.disk_fails = sim_disk_faults.write_fails > 0 ||
                                  sim_disk_faults.sync_fails > 0 || sim_disk_faults.bytes_max > 0;
    sim_ledger_rules.reads_fail = sim_disk_faults.read_fails > 0;
    sim_ledger_rules.disk_well_us = sim_ledger_rules.disk_fails ? SIM_EVER : 0;
    sim_ledger_rules.catch_up_us = GATEWAY_STORE_RESCUE_MS_MAX * SIM_MS + RESCUE_US_MAX;
    h.write_fails = sim_disk_faults.write_fails;
    for (uint64_t n = sim_chance(500) ? sim_between(1, 4) : 0; sim_ledger_rules.disk_fails && n > 0;
         n--)
        sim_after(sim_below(2 * traffic_us), on_outage, NULL);
    if (sim_ledger_rules.disk_fails && sim_chance(700))
        sim_after(sim_between(1, 900 * SIM_S), on_disk_well, NULL);
    sim_ledger_rules.record_us =
        300 * SIM_MS + 30 * SIM_MS * (sim_disk_faults.slow_ms > 10 ? sim_disk_faults.slow_ms : 10);
    for (unsigned i = 0; i < clients; i++)
        sim_after(sim_below(traffic_us), on_client, NULL);
}

/* --- the end --------------------------------------------------------------------------------- */

static void check_spool(void)
{
    struct spool_directory directory;
    struct spool_recovery recovery = { 0 };
    struct spool_recovery_options options = { .is_reader = false };

    if (spool_directory_open(&directory, SPOOL_PATH, false) != STATUS_OK ||
        spool_recover(&recovery, &directory, &options) != STATUS_OK)
        sim_fault("the spool cannot be read at the end");
    if (recovery.messages_living > 0)
        sim_fault("the queue is empty, and the spool holds %zu messages", recovery.messages_living);
    /* A log that stopped leaves files to the next start; beside damaged records they are kept. */
    if (sim_disk_files("spool/bodies") > recovery.bodies_kept)
        sim_fault("the queue is empty, and %u body files are left", sim_disk_files("spool/bodies"));
    spool_recovery_finish(&recovery);
    spool_directory_close(&directory);
}

static void run_until_empty(void)
{
    uint64_t until_us = sim_now_us() + PATIENCE_US;

    do {
        if (sim_now_us() >= until_us) {
            sim_ledger_judge();
            sim_fault("the queue does not get empty");
        }
        run_until(sim_now_us() + LOOK_US);
    } while (sim_gateway_state() != SIM_GATEWAY_READY || !sim_gateway_is_empty() ||
             sim_clients_count() > 0);
    sim_gateway_check_books();
}

static void stop_for_good(void)
{
    uint64_t until_us = sim_now_us() + STOP_US_MAX;

    h.is_last_stop = true;
    sim_gateway_stop();
    while (sim_gateway_state() != SIM_GATEWAY_DOWN) {
        if (sim_now_us() >= until_us)
            sim_fault("the gateway does not stop");
        run_until(sim_now_us() + SIM_S);
    }
}

void sim_history_run(const struct sim_history *history)
{
    sim_world_begin(history->seed, history->is_traced);
    make_world(history);
    plan_start();
    run_until(sim_between(60, 3600) * SIM_S);
    heal();
    run_until_empty();
    stop_for_good();
    sim_ledger_judge();
    check_spool();
}
