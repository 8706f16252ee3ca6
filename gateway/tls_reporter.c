#include "gateway/tls_reporter.h"

#include <stdio.h>

#define PART_OF(node_pointer)    CONTAINER_OF(node_pointer, struct gateway_tls_part, node)
#define SENDING_OF(node_pointer) CONTAINER_OF(node_pointer, struct gateway_tls_sending, node)

void gateway_tls_reporter_init(struct gateway_tls_reporter *r, struct gateway_tls_world *world,
                               const struct gateway_tls_report_settings *settings,
                               const struct hash_seed *seed)
{
    *r = (struct gateway_tls_reporter){
        .world = world,
        .settings = settings,
        .seed = *seed,
        .random = seed->k0,
    };
    list_init(&r->parts);
    list_init(&r->sendings);
}

/* --- parts ----------------------------------------------------------------------------------- */

static void take_in(struct gateway_tls_reporter *r, struct gateway_tls_part *part)
{
    ASSERT(r->parts_count < GATEWAY_TLS_PARTS_MAX);
    list_append(&r->parts, &part->node);
    r->parts_count++;
}

static void let_go(struct gateway_tls_reporter *r, struct gateway_tls_part *part)
{
    ASSERT(r->parts_count > 0 && part->counts[GATEWAY_TLS_TARGET_ACTIVE] == 0);
    list_remove(&part->node);
    r->parts_count--;
    gateway_tls_part_destroy(part);
}

void gateway_tls_reporter_finish(struct gateway_tls_reporter *r)
{
    struct list_node *node;

    while ((node = list_take_first(&r->sendings)) != NULL)
        gateway_tls_sending_destroy(SENDING_OF(node));
    while ((node = list_take_first(&r->parts)) != NULL)
        gateway_tls_part_destroy(PART_OF(node));
    r->parts_count = r->sendings_count = 0;
}

void gateway_tls_reporter_configure(struct gateway_tls_reporter *r,
                                    const struct gateway_tls_report_settings *settings)
{
    r->settings = settings;
    if (settings->send)
        return;
    LIST_FOR_EACH (n, &r->parts) {
        PART_OF(n)->is_forgotten = true;
    }
}

static bool is_too_old(time_t day_s, time_t now_s)
{
    return now_s >= day_s + GATEWAY_TLS_PART_AGE_S;
}

enum status gateway_tls_reporter_restore(struct gateway_tls_reporter *r, struct slice name,
                                         struct slice text, time_t now_s)
{
    struct gateway_tls_part *part;

    TRY(gateway_tls_part_read(name, text, &r->seed, &part));
    if (r->parts_count == GATEWAY_TLS_PARTS_MAX || is_too_old(part->day_s, now_s) ||
        part->day_s > now_s + GATEWAY_TLS_DAY_S) {
        gateway_tls_part_destroy(part);
        return STATUS_LIMIT;
    }
    take_in(r, part);
    return STATUS_OK;
}

/* SplitMix64 (Steele, Lea, Flood 2014): spreads reports, protects nothing. */
static uint64_t next_random(struct gateway_tls_reporter *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static bool has_part(const struct gateway_tls_reporter *r, time_t day_s, time_t opened_s)
{
    LIST_FOR_EACH (n, &r->parts) {
        if (PART_OF(n)->day_s == day_s && PART_OF(n)->opened_s == opened_s)
            return true;
    }
    return false;
}

/* NULL: no room, or no memory. */
static struct gateway_tls_part *open_part(struct gateway_tls_reporter *r, time_t day_s,
                                          time_t now_s)
{
    time_t end_s = day_s + GATEWAY_TLS_DAY_S, opened_s = now_s;
    time_t due_s = (end_s > now_s ? end_s : now_s) + GATEWAY_TLS_GRACE_S +
                   (time_t)(next_random(r) % GATEWAY_TLS_SPREAD_S);
    struct gateway_tls_part *part;

    if (r->parts_count == GATEWAY_TLS_PARTS_MAX)
        return NULL;
    while (has_part(r, day_s, opened_s))
        opened_s++;
    if (gateway_tls_part_create(day_s, opened_s, due_s, &r->seed, &part) != STATUS_OK)
        return NULL;
    take_in(r, part);
    return part;
}

static struct gateway_tls_part *part_of(struct gateway_tls_reporter *r, time_t day_s, time_t now_s)
{
    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);

        if (part->day_s == day_s && !part->is_closed && !part->is_forgotten)
            return part;
    }
    return open_part(r, day_s, now_s);
}

void gateway_tls_reporter_add(struct gateway_tls_reporter *r, time_t day_s,
                              const struct observe_tls_results *results, time_t now_s)
{
    struct gateway_tls_part *part;
    uint64_t before;

    if (!r->settings->send)
        return;
    part = is_too_old(day_s, now_s) ? NULL : part_of(r, day_s, now_s);
    if (part == NULL) {
        observe_log_line(r->world->log, OBSERVE_WARNING, now_s,
                         "TLS reports: no room for what %zu policies led to",
                         results->policies_count);
        return;
    }
    before = part->results.dropped;
    gateway_tls_part_add(part, results);
    if (part->results.dropped > before)
        observe_log_line(r->world->log, OBSERVE_WARNING, now_s,
                         "TLS reports: no room for %llu sessions",
                         (unsigned long long)(part->results.dropped - before));
}

/* --- sending --------------------------------------------------------------------------------- */

static void close_part(struct gateway_tls_part *part, time_t now_s)
{
    /* Without memory it is tried again with the next look. */
    if (gateway_tls_part_close(part, now_s) == STATUS_OK)
        part->due_s = now_s;
}

static void close_due(struct gateway_tls_reporter *r, time_t now_s)
{
    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);

        if (!part->is_closed && !part->is_forgotten && now_s >= part->due_s)
            close_part(part, now_s);
    }
}

size_t gateway_tls_reporter_send(struct gateway_tls_reporter *r, const time_t *day_s, time_t now_s)
{
    size_t count = 0;

    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);

        if (part->is_forgotten || (day_s != NULL && part->day_s != *day_s))
            continue;
        if (!part->is_closed)
            close_part(part, now_s);
        for (size_t i = 0; i < part->targets_count; i++)
            if (part->targets[i].state == GATEWAY_TLS_TARGET_WAITING)
                part->targets[i].next_s = now_s;
        count++;
    }
    return count;
}

/* Begins one; false: none can be begun now. */
static bool begin_one(struct gateway_tls_reporter *r, time_t now_s)
{
    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);
        struct gateway_tls_target *target = part->is_forgotten ? NULL : gateway_tls_part_next(part);
        struct gateway_tls_sending *s;

        if (target == NULL || target->next_s > now_s)
            continue;
        if (gateway_tls_sending_create(r->world, part, target, &s) != STATUS_OK)
            return false;
        list_append(&r->sendings, &s->node);
        r->sendings_count++;
        return true;
    }
    return false;
}

/* Returns whether any has ended, so that there is room. */
static bool run_sendings(struct gateway_tls_reporter *r, time_t now_s)
{
    bool has_ended = false;

    LIST_FOR_EACH (n, &r->sendings) {
        struct gateway_tls_sending *s = SENDING_OF(n);

        if (!gateway_tls_sending_run(s, r->settings, now_s))
            continue;
        list_remove(&s->node);
        r->sendings_count--;
        gateway_tls_sending_destroy(s);
        has_ended = true;
    }
    return has_ended;
}

/* --- the end of parts, and their files ------------------------------------------------------- */

static void say_over(const struct gateway_tls_reporter *r, const struct gateway_tls_part *part,
                     time_t now_s)
{
    char date[GATEWAY_TLS_PART_DATE_MAX];

    observe_log_line(
        r->world->log, OBSERVE_INFO, now_s,
        "TLS reports of %s: %zu sent, %zu not wanted, %zu given up",
        gateway_tls_part_date(part->day_s, date), part->counts[GATEWAY_TLS_TARGET_SENT],
        part->counts[GATEWAY_TLS_TARGET_UNWANTED], part->counts[GATEWAY_TLS_TARGET_GIVEN_UP]);
}

static void remove_over(struct gateway_tls_reporter *r, time_t now_s)
{
    char name[GATEWAY_TLS_PART_NAME_MAX];

    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);

        if (!part->is_forgotten && is_too_old(part->day_s, now_s)) {
            observe_log_line(r->world->log, OBSERVE_WARNING, now_s,
                             "TLS reports of %s: %zu were not sent in time",
                             gateway_tls_part_date(part->day_s, name),
                             part->counts[GATEWAY_TLS_TARGET_WAITING] +
                                 part->counts[GATEWAY_TLS_TARGET_ACTIVE]);
            part->is_forgotten = true;
        }
        if (part->counts[GATEWAY_TLS_TARGET_ACTIVE] > 0 ||
            !(part->is_forgotten || gateway_tls_part_is_over(part)))
            continue;
        if (!part->is_forgotten)
            say_over(r, part, now_s);
        r->world->ops->remove(r->world, gateway_tls_part_name(part, name));
        let_go(r, part);
    }
}

static enum status store_part(struct gateway_tls_reporter *r, struct gateway_tls_part *part)
{
    char name[GATEWAY_TLS_PART_NAME_MAX];
    struct buffer text;
    enum status status;

    buffer_init(&text, GATEWAY_TLS_PART_BYTES_MAX);
    status = gateway_tls_part_write(part, &text);
    if (status == STATUS_OK)
        status = r->world->ops->store(r->world, gateway_tls_part_name(part, name),
                                      buffer_contents(&text));
    buffer_finish(&text);
    part->is_dirty = status != STATUS_OK;
    return status;
}

void gateway_tls_reporter_store(struct gateway_tls_reporter *r, time_t now_s)
{
    enum status status = STATUS_OK;

    LIST_FOR_EACH (n, &r->parts) {
        struct gateway_tls_part *part = PART_OF(n);

        if (part->is_dirty && !part->is_forgotten && status == STATUS_OK)
            status = store_part(r, part);
    }
    if (status != STATUS_OK && !r->is_store_failing)
        observe_log_line(r->world->log, OBSERVE_WARNING, now_s,
                         "TLS reports: what is gathered cannot be written: %s",
                         status_text(status));
    r->is_store_failing = status != STATUS_OK;
    r->store_s = now_s + GATEWAY_TLS_STORE_S;
}

static bool is_dirty(const struct gateway_tls_reporter *r)
{
    LIST_FOR_EACH (n, &r->parts) {
        if (PART_OF(n)->is_dirty && !PART_OF(n)->is_forgotten)
            return true;
    }
    return false;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void sooner(time_t *wait_s, time_t at_s, time_t now_s)
{
    time_t left_s = at_s > now_s ? at_s - now_s : 0;

    if (left_s < *wait_s)
        *wait_s = left_s;
}

static unsigned wait_of(const struct gateway_tls_reporter *r, time_t now_s)
{
    time_t wait_s = GATEWAY_TLS_LOOK_S_MAX;

    if (is_dirty(r))
        sooner(&wait_s, r->store_s, now_s);
    LIST_FOR_EACH (n, &r->parts) {
        const struct gateway_tls_part *part = PART_OF(n);
        const struct gateway_tls_target *next = gateway_tls_part_next(part);

        sooner(&wait_s, part->day_s + GATEWAY_TLS_PART_AGE_S, now_s);
        if (!part->is_closed)
            sooner(&wait_s, part->due_s, now_s);
        else if (next != NULL && r->sendings_count < GATEWAY_TLS_SENDINGS_MAX)
            sooner(&wait_s, next->next_s, now_s);
    }
    LIST_FOR_EACH (n, &r->sendings) {
        if (gateway_tls_sending_is_held_up(SENDING_OF(n)))
            sooner(&wait_s, now_s + GATEWAY_TLS_LOOK_S, now_s);
    }
    /* What could not be done now, without memory say, is not tried over and over. */
    return wait_s > 0 ? (unsigned)wait_s : GATEWAY_TLS_LOOK_S;
}

unsigned gateway_tls_reporter_run(struct gateway_tls_reporter *r, time_t now_s)
{
    gateway_tls_quota_sweep(r->world->quota, now_s);
    close_due(r, now_s);
    do {
        while (r->sendings_count < GATEWAY_TLS_SENDINGS_MAX && begin_one(r, now_s))
            ;
    } while (run_sendings(r, now_s));
    remove_over(r, now_s);
    if (r->store_s > now_s + GATEWAY_TLS_STORE_S)
        r->store_s = now_s + GATEWAY_TLS_STORE_S; /* the clock was set back */
    if (now_s >= r->store_s && is_dirty(r))
        gateway_tls_reporter_store(r, now_s);
    return wait_of(r, now_s);
}

size_t gateway_tls_reporter_describe(const struct gateway_tls_reporter *r,
                                     struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX])
{
    size_t count = 0;

    LIST_FOR_EACH (n, &r->parts) {
        const struct gateway_tls_part *part = PART_OF(n);
        struct gateway_tls_part_facts *f = &facts[count++];

        *f = (struct gateway_tls_part_facts){
            .day_s = part->day_s,
            .due_s = part->due_s,
            .is_closed = part->is_closed,
            .sessions = part->sessions,
            .domains = part->targets_count,
        };
        memcpy(f->counts, part->counts, sizeof(f->counts));
    }
    return count;
}
