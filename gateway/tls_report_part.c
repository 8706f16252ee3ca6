#include "gateway/tls_report_part.h"

#include <stdio.h>
#include <stdlib.h>

#include "dns/name.h"

#define MAGIC      "postern tls-reports 1"
#define DATE_BYTES 10                     /* "2016-04-01" */
#define TIME_MAX   UINT64_C(253402300799) /* the end of the year 9999 */

enum status gateway_tls_part_create(time_t day_s, time_t opened_s, time_t due_s,
                                    const struct hash_seed *seed,
                                    struct gateway_tls_part **part_out)
{
    struct gateway_tls_part *part = calloc(1, sizeof(*part));

    ASSERT(day_s % GATEWAY_TLS_DAY_S == 0);
    if (part == NULL)
        return STATUS_NO_MEMORY;
    if (observe_tls_results_init(&part->results, seed) != STATUS_OK) {
        free(part);
        return STATUS_NO_MEMORY;
    }
    part->day_s = day_s;
    part->opened_s = opened_s;
    part->due_s = due_s;
    *part_out = part;
    return STATUS_OK;
}

void gateway_tls_part_destroy(struct gateway_tls_part *part)
{
    if (part == NULL)
        return;
    ASSERT(!list_is_linked(&part->node));
    observe_tls_results_finish(&part->results);
    free(part->targets);
    free(part);
}

static uint64_t sessions_of(const struct observe_tls_results *results)
{
    uint64_t sessions = 0;

    LIST_FOR_EACH (n, &results->policies) {
        const struct observe_tls_policy *p = CONTAINER_OF(n, struct observe_tls_policy, node);

        sessions += p->successes + p->failures;
    }
    return sessions;
}

void gateway_tls_part_add(struct gateway_tls_part *part, const struct observe_tls_results *results)
{
    ASSERT(!part->is_closed);
    observe_tls_results_merge(&part->results, results);
    part->sessions = sessions_of(&part->results);
    part->is_dirty = true;
}

/* --- targets --------------------------------------------------------------------------------- */

enum status gateway_tls_part_close(struct gateway_tls_part *part, time_t now_s)
{
    size_t max = part->results.policies_count;
    struct gateway_tls_target *targets = calloc(max > 0 ? max : 1, sizeof(*targets));

    ASSERT(!part->is_closed && part->targets == NULL);
    if (targets == NULL)
        return STATUS_NO_MEMORY;
    LIST_FOR_EACH (n, &part->results.policies) {
        const struct observe_tls_policy *p = CONTAINER_OF(n, struct observe_tls_policy, node);
        struct gateway_tls_target *t = &targets[part->targets_count];

        if (!p->is_first)
            continue;
        *t = (struct gateway_tls_target){ .domain = p->domain, .next_s = now_s };
        /* An address literal, say: nobody can ask for reports about it. */
        if (!dns_name_is_valid(slice_from(p->domain)))
            t->state = GATEWAY_TLS_TARGET_UNWANTED;
        part->counts[t->state]++;
        part->targets_count++;
    }
    part->targets = targets;
    part->is_closed = part->is_dirty = true;
    return STATUS_OK;
}

void gateway_tls_part_enter(struct gateway_tls_part *part, struct gateway_tls_target *target,
                            enum gateway_tls_target_state state)
{
    ASSERT(target >= part->targets && target < part->targets + part->targets_count);
    ASSERT(!gateway_tls_target_is_over(target) && part->counts[target->state] > 0);
    part->counts[target->state]--;
    target->state = (uint8_t)state;
    part->counts[state]++;
    part->is_dirty = part->is_dirty || gateway_tls_target_is_over(target);
}

bool gateway_tls_part_is_over(const struct gateway_tls_part *part)
{
    return part->is_closed && part->counts[GATEWAY_TLS_TARGET_WAITING] == 0 &&
           part->counts[GATEWAY_TLS_TARGET_ACTIVE] == 0;
}

struct gateway_tls_target *gateway_tls_part_next(const struct gateway_tls_part *part)
{
    struct gateway_tls_target *next = NULL;

    if (part->counts[GATEWAY_TLS_TARGET_WAITING] == 0)
        return NULL;
    for (size_t i = 0; i < part->targets_count; i++) {
        struct gateway_tls_target *t = &part->targets[i];

        if (t->state == GATEWAY_TLS_TARGET_WAITING && (next == NULL || t->next_s < next->next_s))
            next = t;
    }
    return next;
}

/* --- names ----------------------------------------------------------------------------------- */

const char *gateway_tls_part_date(time_t day_s, char text[static GATEWAY_TLS_PART_DATE_MAX])
{
    struct tm utc = { 0 };

    (void)gmtime_r(&day_s, &utc);
    if (strftime(text, GATEWAY_TLS_PART_DATE_MAX, "%Y-%m-%d", &utc) == 0)
        text[0] = '\0';
    return text;
}

bool gateway_tls_part_parse_date(struct slice text, time_t *day_out)
{
    struct slice rest = text, year = slice_cut(&rest, '-'), month = slice_cut(&rest, '-');
    char again[GATEWAY_TLS_PART_DATE_MAX];
    uint64_t y, m, d;
    struct tm utc = { 0 };
    time_t day_s;

    if (text.len != DATE_BYTES || !slice_to_number(year, 9999, &y) ||
        !slice_to_number(month, 12, &m) || !slice_to_number(rest, 31, &d) || y < 1970 || m == 0)
        return false;
    utc.tm_year = (int)y - 1900;
    utc.tm_mon = (int)m - 1;
    utc.tm_mday = (int)d;
    day_s = timegm(&utc);
    /* The 31st of February would be a day of March. */
    if (!slice_equal(slice_from(gateway_tls_part_date(day_s, again)), text))
        return false;
    *day_out = day_s;
    return true;
}

const char *gateway_tls_part_name(const struct gateway_tls_part *part,
                                  char name[static GATEWAY_TLS_PART_NAME_MAX])
{
    char date[GATEWAY_TLS_PART_DATE_MAX];

    (void)snprintf(name, GATEWAY_TLS_PART_NAME_MAX, "%s-%llu",
                   gateway_tls_part_date(part->day_s, date), (unsigned long long)part->opened_s);
    return name;
}

bool gateway_tls_part_parse_name(struct slice name, time_t *day_out, time_t *opened_out)
{
    uint64_t opened_s;

    if (name.len <= DATE_BYTES + 1 || name.data[DATE_BYTES] != '-' ||
        !slice_to_number(slice_after(name, DATE_BYTES + 1), TIME_MAX, &opened_s) ||
        !gateway_tls_part_parse_date(slice_first(name, DATE_BYTES), day_out))
        return false;
    *opened_out = (time_t)opened_s;
    return true;
}

/* --- the file -------------------------------------------------------------------------------- */

enum status gateway_tls_part_write(const struct gateway_tls_part *part, struct buffer *out)
{
    TRY(buffer_printf(out, MAGIC "\ndue %llu\n", (unsigned long long)part->due_s));
    if (part->is_closed)
        TRY(buffer_append_text(out, "closed\n"));
    for (size_t i = 0; i < part->targets_count; i++)
        if (gateway_tls_target_is_over(&part->targets[i]))
            TRY(buffer_printf(out, "over %zu\n", i));
    return observe_tls_results_write(&part->results, out);
}

/* The number behind a word and a space, when the next line begins with that; it is taken off. */
static bool take_number(struct slice *text, const char *word, uint64_t *number_out)
{
    struct slice rest = *text, line = slice_cut(&rest, '\n');

    if (!slice_equal(slice_cut(&line, ' '), slice_from(word)) ||
        !slice_to_number(line, TIME_MAX, number_out))
        return false;
    *text = rest;
    return true;
}

static bool take_line(struct slice *text, const char *expected)
{
    struct slice rest = *text;

    if (!slice_equal(slice_cut(&rest, '\n'), slice_from(expected)))
        return false;
    *text = rest;
    return true;
}

/* What was sent is not to be sent again; which it was is not known any more. Numbers that no target
 * has are of a file that is damaged. */
static void restore_targets(struct gateway_tls_part *part, struct slice over)
{
    uint64_t number;

    while (take_number(&over, "over", &number)) {
        struct gateway_tls_target *t;

        if (number >= part->targets_count)
            continue;
        t = &part->targets[number];
        if (!gateway_tls_target_is_over(t))
            gateway_tls_part_enter(part, t, GATEWAY_TLS_TARGET_SENT);
    }
}

static enum status read_contents(struct gateway_tls_part *part, struct slice text)
{
    bool is_closed = take_line(&text, "closed");
    struct slice over = text;
    uint64_t number;

    while (take_number(&text, "over", &number))
        ;
    TRY(observe_tls_results_read(&part->results, text));
    part->sessions = sessions_of(&part->results);
    if (!is_closed)
        return STATUS_OK;
    TRY(gateway_tls_part_close(part, part->due_s));
    restore_targets(part, over);
    part->is_dirty = false;
    return STATUS_OK;
}

enum status gateway_tls_part_read(struct slice name, struct slice text,
                                  const struct hash_seed *seed, struct gateway_tls_part **part_out)
{
    struct gateway_tls_part *part;
    time_t day_s, opened_s;
    enum status status;
    uint64_t due_s;

    if (!gateway_tls_part_parse_name(name, &day_s, &opened_s) || !take_line(&text, MAGIC) ||
        !take_number(&text, "due", &due_s))
        return STATUS_CORRUPT;
    TRY(gateway_tls_part_create(day_s, opened_s, (time_t)due_s, seed, &part));
    status = read_contents(part, text);
    if (status != STATUS_OK) {
        gateway_tls_part_destroy(part);
        return status;
    }
    *part_out = part;
    return STATUS_OK;
}
