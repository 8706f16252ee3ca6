#include "observe/alerts.h"

#include <stdio.h>
#include <stdlib.h>

#define SEVERITY_NONE (-1)

struct observe_alert_entry {
    struct table_node by_name;
    struct list_node by_age;
    enum observe_alert_kind kind;
    enum observe_severity severity;
    int severity_sent;  /* the highest since it was calm */
    bool is_active;     /* raised and not cleared */
    bool is_told;       /* somebody was told so, and not yet that it recovered */
    uint64_t raised_ms; /* the last time */
    uint64_t due_ms;    /* nothing is sent before */
    uint64_t wait_ms;   /* that ends at due_ms; 0: none yet */
    uint64_t times;     /* since since_wall_s */
    uint64_t held;      /* of these, what no notice has told of */
    time_t since_wall_s;
    time_t last_wall_s;
    char subject[OBSERVE_ALERT_SUBJECT_MAX];
    char text[OBSERVE_ALERT_TEXT_MAX];
};

static const struct observe_alert_notice nothing = { .subject = "", .text = "" };

/* Texts hold what hosts have said, and go into mail, terminals and the environment of a command. */
static void keep_printable(struct slice text, char *into, size_t room)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        size_t needed = c >= 0x20 && c < 0x7f ? 1 : 4;

        if (len + needed >= room)
            break;
        if (needed == 1) {
            into[len++] = (char)c;
            continue;
        }
        into[len++] = '\\';
        into[len++] = 'x';
        into[len++] = digits[c >> 4];
        into[len++] = digits[c & 15];
    }
    into[len] = '\0';
}

static uint64_t hash_of(const struct observe_alerts *a, enum observe_alert_kind kind,
                        const char *subject)
{
    return hash_text_nocase(&a->seed, slice_from(subject)) ^ hash_number((uint64_t)kind + 1);
}

static struct observe_alert_entry *find(const struct observe_alerts *a,
                                        enum observe_alert_kind kind, const char *subject)
{
    struct table_node *n = table_find(&a->entries, hash_of(a, kind, subject));

    for (; n != NULL; n = table_find_next(n)) {
        struct observe_alert_entry *e = CONTAINER_OF(n, struct observe_alert_entry, by_name);

        if (e->kind == kind && slice_equal_nocase(slice_from(e->subject), slice_from(subject)))
            return e;
    }
    return NULL;
}

static bool is_calm(const struct observe_alerts *a, const struct observe_alert_entry *e,
                    uint64_t now_ms)
{
    uint64_t calm_ms = 2 * a->max_ms;

    if (calm_ms < OBSERVE_ALERT_CALM_MS_MIN)
        calm_ms = OBSERVE_ALERT_CALM_MS_MIN;
    return e->held == 0 && now_ms - e->raised_ms >= calm_ms;
}

static void forget(struct observe_alerts *a, struct observe_alert_entry *e)
{
    table_remove(&a->entries, &e->by_name);
    list_remove(&e->by_age);
    free(e);
}

/* NULL when there is no room, or no memory. */
static struct observe_alert_entry *add(struct observe_alerts *a, uint64_t now_ms,
                                       enum observe_alert_kind kind, const char *subject)
{
    struct observe_alert_entry *e;

    if (a->entries.nodes_count >= a->entries_max) {
        e = CONTAINER_OF(a->by_age.head.next, struct observe_alert_entry, by_age);
        if (!is_calm(a, e, now_ms))
            return NULL;
        forget(a, e);
    }
    e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    e->kind = kind;
    e->severity_sent = SEVERITY_NONE;
    (void)snprintf(e->subject, sizeof(e->subject), "%s", subject);
    table_insert(&a->entries, &e->by_name, hash_of(a, kind, subject));
    list_append(&a->by_age, &e->by_age);
    return e;
}

enum status observe_alerts_init(struct observe_alerts *a, const struct hash_seed *seed,
                                size_t entries_max)
{
    ASSERT(entries_max > 0 && entries_max <= OBSERVE_ALERTS_MAX);
    *a = (struct observe_alerts){ .seed = *seed, .entries_max = entries_max };
    list_init(&a->by_age);
    TRY(table_init(&a->entries));
    a->too_many = calloc(1, sizeof(*a->too_many));
    if (a->too_many == NULL) {
        table_finish(&a->entries);
        return STATUS_NO_MEMORY;
    }
    a->too_many->kind = OBSERVE_ALERT_TOO_MANY;
    a->too_many->severity_sent = SEVERITY_NONE;
    return STATUS_OK;
}

void observe_alerts_finish(struct observe_alerts *a)
{
    struct table_node *n;

    if (a->too_many == NULL)
        return;
    while ((n = table_any(&a->entries)) != NULL)
        forget(a, CONTAINER_OF(n, struct observe_alert_entry, by_name));
    table_finish(&a->entries);
    free(a->too_many);
    a->too_many = NULL;
}

void observe_alerts_configure(struct observe_alerts *a, uint64_t initial_ms, uint64_t max_ms)
{
    ASSERT(initial_ms == 0 || max_ms >= initial_ms);
    a->initial_ms = initial_ms;
    a->max_ms = max_ms;
}

/* What is sent counts, and the next wait begins. */
static struct observe_alert_notice tell(const struct observe_alerts *a,
                                        struct observe_alert_entry *e, enum observe_alert_step step,
                                        uint64_t now_ms)
{
    struct observe_alert_notice notice = {
        .step = step,
        .kind = e->kind,
        .severity = e->severity,
        .subject = e->subject,
        .text = e->text,
        .count = e->held,
        .since_wall_s = e->since_wall_s,
        .last_wall_s = e->last_wall_s,
        .is_over = !e->is_active,
    };

    e->held = 0;
    e->is_told = e->is_active;
    if ((int)e->severity > e->severity_sent)
        e->severity_sent = (int)e->severity;
    e->wait_ms = e->wait_ms == 0 ? a->initial_ms : 2 * e->wait_ms;
    if (e->wait_ms > a->max_ms)
        e->wait_ms = a->max_ms;
    e->due_ms = now_ms + e->wait_ms;
    return notice;
}

static void say_too_many(struct observe_alert_entry *e, const struct observe_alert *alert,
                         const char *subject)
{
    int len =
        snprintf(e->text, sizeof(e->text),
                 "There are alerts about more subjects than can be told apart. The last one is "
                 "about %s: ",
                 subject);

    ASSERT(len > 0 && (size_t)len < sizeof(e->text));
    keep_printable(alert->text, e->text + len, sizeof(e->text) - (size_t)len);
}

struct observe_alert_notice observe_alerts_raise(struct observe_alerts *a, uint64_t now_ms,
                                                 time_t wall_s, const struct observe_alert *alert)
{
    char subject[OBSERVE_ALERT_SUBJECT_MAX];
    struct observe_alert_entry *e;

    keep_printable(alert->subject, subject, sizeof(subject));
    e = find(a, alert->kind, subject);
    if (e == NULL)
        e = add(a, now_ms, alert->kind, subject);
    if (e == NULL)
        e = a->too_many;
    if (is_calm(a, e, now_ms)) {
        e->due_ms = 0;
        e->wait_ms = 0;
        e->severity_sent = SEVERITY_NONE;
    }
    if (!e->is_active) {
        e->since_wall_s = wall_s;
        e->times = 0;
    }
    e->is_active = true;
    e->times++;
    e->held++;
    e->raised_ms = now_ms;
    e->last_wall_s = wall_s;
    e->severity = alert->severity;
    if (e == a->too_many) {
        say_too_many(e, alert, subject);
    } else {
        keep_printable(alert->text, e->text, sizeof(e->text));
        list_remove(&e->by_age);
        list_append(&a->by_age, &e->by_age);
    }
    if (now_ms < e->due_ms && (int)e->severity <= e->severity_sent)
        return nothing;
    return tell(a, e, OBSERVE_ALERT_SEND, now_ms);
}

struct observe_alert_notice observe_alerts_clear(struct observe_alerts *a, uint64_t now_ms,
                                                 enum observe_alert_kind kind,
                                                 struct slice subject_given)
{
    char subject[OBSERVE_ALERT_SUBJECT_MAX];
    struct observe_alert_notice notice = nothing;
    struct observe_alert_entry *e;

    (void)now_ms; /* not held: it ends what was told, which was */
    keep_printable(subject_given, subject, sizeof(subject));
    e = find(a, kind, subject);
    if (e == NULL || !e->is_active)
        return nothing;
    e->is_active = false;
    if (!e->is_told)
        return nothing;
    e->is_told = false;
    e->held = 0;
    notice.step = OBSERVE_ALERT_RECOVERED;
    notice.kind = kind;
    notice.severity = OBSERVE_SEVERITY_INFO;
    notice.subject = e->subject;
    notice.text = e->text;
    notice.count = e->times;
    notice.since_wall_s = e->since_wall_s;
    notice.last_wall_s = e->last_wall_s;
    notice.is_over = true;
    return notice;
}

struct observe_alert_notice observe_alerts_tick(struct observe_alerts *a, uint64_t now_ms)
{
    LIST_FOR_EACH (n, &a->by_age) {
        struct observe_alert_entry *e = CONTAINER_OF(n, struct observe_alert_entry, by_age);

        if (e->held > 0 && now_ms >= e->due_ms)
            return tell(a, e, OBSERVE_ALERT_SUMMARY, now_ms);
    }
    if (a->too_many->held > 0 && now_ms >= a->too_many->due_ms)
        return tell(a, a->too_many, OBSERVE_ALERT_SUMMARY, now_ms);
    return nothing;
}

uint64_t observe_alerts_due_ms(const struct observe_alerts *a)
{
    uint64_t due_ms = a->too_many->held > 0 ? a->too_many->due_ms : UINT64_MAX;

    LIST_FOR_EACH (n, &a->by_age) {
        const struct observe_alert_entry *e = CONTAINER_OF(n, struct observe_alert_entry, by_age);

        if (e->held > 0 && e->due_ms < due_ms)
            due_ms = e->due_ms;
    }
    return due_ms;
}
