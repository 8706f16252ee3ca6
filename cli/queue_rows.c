#include "cli/queue_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/options.h"

#define TROUBLE_MAX 160

struct cli_queue_row { /* of a summary */
    uint64_t entries, recipients, held, oldest, connections, delivered, deferred, bounced, until;
    char hosts[CLI_QUEUE_SHORT_MAX];
    char trouble[TROUBLE_MAX];
    char domain[];
};

/* --- entries --------------------------------------------------------------------------------- */

static const char *sender_of(const struct cli_queue_line *line)
{
    return line->sender[0] != '\0' ? line->sender : "<>";
}

static void print_entry(struct cli_queue_rows *r, const struct cli_queue_line *line)
{
    char age[CLI_QUEUE_SHORT_MAX], size[CLI_QUEUE_SHORT_MAX], next[CLI_QUEUE_SHORT_MAX];

    if (r->printed++ == 0)
        printf("%-10s %5s %6s %-28s %-24s %5s %5s %-16s %s\n", "MID", "AGE", "SIZE", "SENDER",
               "DOMAIN", "RCPTS", "TRIES", "NEXT TRY", "WHY");
    printf("%-10llu %5s %6s %-28s %-24s %5llu %5llu %-16s %s\n", (unsigned long long)line->mid,
           cli_queue_age((time_t)line->arrived, r->now_s, age), cli_queue_size(line->size, size),
           sender_of(line), line->domain, (unsigned long long)line->recipients,
           (unsigned long long)line->attempts, cli_queue_time((time_t)line->until, r->now_s, next),
           line->why);
}

/* --- a message ------------------------------------------------------------------------------- */

static void print_message(struct cli_queue_rows *r, const struct cli_queue_line *line)
{
    char date[CLOCK_DATE_MAX], age[CLI_QUEUE_SHORT_MAX];

    if (r->shown_mid == line->mid)
        return; /* again, for its recipients at another domain */
    printf("%sMID %llu%s\n", r->shown_mid != 0 ? "\n" : "", (unsigned long long)line->mid,
           line->is_bounce ? ", a report made here" : "");
    r->shown_mid = line->mid;
    printf("  sender       %s\n", sender_of(line));
    printf("  size         %llu bytes\n", (unsigned long long)line->size);
    printf("  accepted     %s, %s ago\n", clock_format_log((time_t)line->arrived, date),
           cli_queue_age((time_t)line->arrived, r->now_s, age));
    if (line->listener[0] != '\0')
        printf("  listener     %s\n", line->listener);
    if (line->client_ip[0] != '\0')
        printf("  client       %s (%s), HELO %s, sender group %s\n", line->client_ip,
               line->client_name[0] != '\0' ? line->client_name : "unknown", line->helo,
               line->group[0] != '\0' ? line->group : "none");
    if (line->client_ip[0] != '\0')
        printf("  TLS          %s\n", line->tls[0] != '\0' ? line->tls : "none");
    printf("  recipients   %llu in all; these wait:\n", (unsigned long long)line->recipients);
}

static void print_recipient(struct cli_queue_rows *r, const struct cli_queue_line *line)
{
    char sentence[CLI_QUEUE_SENTENCE_MAX], until[CLI_QUEUE_SHORT_MAX];

    r->printed++;
    printf("\n  %s\n", line->address);
    printf("    waits      %s\n", cli_queue_sentence(line, r->now_s, sentence));
    if (line->last[0] != '\0' && strcmp(line->last, line->why) != 0)
        printf("    last try   %s\n", line->last);
    if (line->expires != 0)
        printf("    given up   %s\n", cli_queue_time((time_t)line->expires, r->now_s, until));
}

/* --- a summary ------------------------------------------------------------------------------- */

static bool make_room(struct cli_queue_rows *r)
{
    size_t room = r->rows_room > 0 ? 2 * r->rows_room : 64;
    struct cli_queue_row **rows;

    if (r->rows_count < r->rows_room)
        return true;
    if (r->rows_count >= CLI_QUEUE_ROWS_MAX)
        return false;
    rows = reallocarray(r->rows, room, sizeof(struct cli_queue_row *));
    if (rows == NULL)
        return false;
    r->rows = rows;
    r->rows_room = room;
    return true;
}

static void keep_destination(struct cli_queue_rows *r, const struct cli_queue_line *line)
{
    const char *domain = line->domain[0] != '\0' ? line->domain : "(others)";
    size_t bytes = strlen(domain) + 1;
    struct cli_queue_row *row = make_room(r) ? malloc(sizeof(*row) + bytes) : NULL;

    if (row == NULL) {
        r->rows_lost++;
        return;
    }
    *row = (struct cli_queue_row){
        .entries = line->entries,
        .recipients = line->recipients,
        .held = line->held,
        .oldest = line->oldest,
        .connections = line->connections,
        .delivered = line->delivered,
        .deferred = line->deferred,
        .bounced = line->bounced,
        .until = line->until,
    };
    memcpy(row->hosts, line->hosts, sizeof(row->hosts));
    (void)snprintf(row->trouble, sizeof(row->trouble), "%.*s", TROUBLE_MAX - 1, line->trouble);
    memcpy(row->domain, domain, bytes);
    r->rows[r->rows_count++] = row;
}

/* The most first; equals by name, so that two summaries can be compared. */
static int compare_rows(const void *a, const void *b)
{
    const struct cli_queue_row *x = *(struct cli_queue_row *const *)a;
    const struct cli_queue_row *y = *(struct cli_queue_row *const *)b;

    if (x->recipients != y->recipients)
        return x->recipients > y->recipients ? -1 : 1;
    return strcmp(x->domain, y->domain);
}

static void print_row(const struct cli_queue_rows *r, const struct cli_queue_row *row)
{
    char age[CLI_QUEUE_SHORT_MAX], until[CLI_QUEUE_SHORT_MAX], hosts[2 * CLI_QUEUE_SHORT_MAX];

    (void)snprintf(hosts, sizeof(hosts), "%s%s%s", row->hosts, row->until != 0 ? " " : "",
                   row->until != 0 ? cli_queue_time((time_t)row->until, r->now_s, until) : "");
    printf("%-30s %8llu %8llu %6llu %6s %-21s %5llu %9llu %9llu %8llu  %s\n", row->domain,
           (unsigned long long)row->recipients, (unsigned long long)row->entries,
           (unsigned long long)row->held, cli_queue_age((time_t)row->oldest, r->now_s, age), hosts,
           (unsigned long long)row->connections, (unsigned long long)row->delivered,
           (unsigned long long)row->deferred, (unsigned long long)row->bounced, row->trouble);
}

static void print_rest(uint64_t count)
{
    printf("and %llu more %s\n", (unsigned long long)count,
           count == 1 ? "destination" : "destinations");
}

static void print_summary(struct cli_queue_rows *r)
{
    size_t count = r->limit > 0 && r->limit < r->rows_count ? (size_t)r->limit : r->rows_count;

    if (r->rows_count == 0) {
        printf("the queue is empty\n");
        return;
    }
    qsort(r->rows, r->rows_count, sizeof(struct cli_queue_row *), compare_rows);
    printf("%-30s %8s %8s %6s %6s %-21s %5s %9s %9s %8s  %s\n", "DESTINATION", "RCPTS", "ENTRIES",
           "HELD", "OLDEST", "HOSTS", "CONNS", "DELIVERED", "DEFERRED", "BOUNCED", "TROUBLE");
    for (size_t i = 0; i < count; i++)
        print_row(r, r->rows[i]);
    if (count < r->rows_count || r->rows_lost > 0)
        print_rest(r->rows_count - count + r->rows_lost);
}

/* --- lines ----------------------------------------------------------------------------------- */

static void tell_missing(struct cli_queue_rows *r, uint64_t mid)
{
    r->missing++;
    (void)cli_error(r->command, "MID %llu is not in the queue", (unsigned long long)mid);
}

static bool take(struct cli_admin_lines *lines, struct slice json)
{
    struct cli_queue_rows *r = CONTAINER_OF(lines, struct cli_queue_rows, lines);
    static struct cli_queue_line line; /* some kilobytes */

    if (!cli_queue_read(json, &line)) {
        r->is_bad = true;
        return false;
    }
    if (r->is_json)
        printf("%.*s\n", SLICE_ARGS(json));
    if (strcmp(line.kind, "end") == 0)
        r->end = line;
    else if (strcmp(line.kind, "missing") == 0)
        tell_missing(r, line.mid);
    else if (r->is_json)
        r->printed++;
    else if (strcmp(line.kind, "entry") == 0)
        print_entry(r, &line);
    else if (strcmp(line.kind, "message") == 0)
        print_message(r, &line);
    else if (strcmp(line.kind, "recipient") == 0)
        print_recipient(r, &line);
    else if (strcmp(line.kind, "destination") == 0)
        keep_destination(r, &line);
    else if (strcmp(line.kind, "left") == 0)
        printf("MID %llu to %s was left alone: %s\n", (unsigned long long)line.mid, line.domain,
               line.why);
    return ferror(stdout) == 0;
}

void cli_queue_rows_init(struct cli_queue_rows *r, const char *command,
                         enum gateway_queue_verb verb, bool is_json)
{
    *r = (struct cli_queue_rows){
        .lines = { .take = take },
        .command = command,
        .verb = verb,
        .is_json = is_json,
        .now_s = (time_t)clock_wall_s(),
    };
}

static void print_outcome(const struct cli_queue_rows *r)
{
    static const char *const words[GATEWAY_QUEUE_VERBS_COUNT] = {
        [GATEWAY_QUEUE_HOLD] = "held",      [GATEWAY_QUEUE_RELEASE] = "released",
        [GATEWAY_QUEUE_RETRY] = "due now",  [GATEWAY_QUEUE_BOUNCE] = "bounced",
        [GATEWAY_QUEUE_DELETE] = "deleted",
    };
    const struct cli_queue_line *e = &r->end;

    printf("%llu %s %s", (unsigned long long)e->done, e->done == 1 ? "entry is" : "entries are",
           words[r->verb]);
    if (e->recipients > 0)
        printf(" (%llu %s)", (unsigned long long)e->recipients,
               e->recipients == 1 ? "recipient" : "recipients");
    if (e->nothing > 0)
        printf(", %llu had nothing to be done", (unsigned long long)e->nothing);
    if (e->busy > 0)
        printf(", %llu being sent now", (unsigned long long)e->busy);
    if (e->refused > 0)
        printf(", %llu refused", (unsigned long long)e->refused);
    printf("\n");
}

/* What waited for a time is due, and what was due has hosts again. `nothing` are those that are
 * held, which are looked for where there is nothing else. */
static void print_flush(const struct cli_queue_rows *r)
{
    const struct cli_queue_line *e = &r->end;

    if (e->done == 0 && e->nothing == 0 && !e->is_complete)
        return; /* nobody knows whether nothing waits */
    if (e->nothing > 0)
        printf("nothing is tried now: %llu %s for %s %s held", (unsigned long long)e->nothing,
               e->nothing == 1 ? "entry" : "entries", r->domain, e->nothing == 1 ? "is" : "are");
    else if (e->done > 0)
        printf("%llu %s tried now", (unsigned long long)e->done,
               e->done == 1 ? "entry is" : "entries are");
    else
        printf("nothing%s waits for %s", e->busy > 0 ? " else" : "", r->domain);
    if (e->busy > 0)
        printf(", %llu being sent now", (unsigned long long)e->busy);
    printf("\n");
    if (e->nothing > 0)
        printf("postern queue release --domain %s lets %s go\n", r->domain,
               e->nothing == 1 ? "it" : "them");
}

void cli_queue_rows_end(struct cli_queue_rows *r)
{
    if (r->is_json || r->end.kind[0] == '\0')
        return;
    if (r->verb == GATEWAY_QUEUE_SUMMARY)
        print_summary(r);
    else if (r->verb == GATEWAY_QUEUE_LIST && r->end.matched == 0 && r->end.is_complete)
        printf("%s\n", r->is_chosen ? "no entry of the queue is like that" : "the queue is empty");
    else if (r->verb == GATEWAY_QUEUE_LIST)
        printf("%llu %s\n", (unsigned long long)r->end.matched,
               r->end.matched == 1 ? "entry" : "entries");
    else if (r->verb == GATEWAY_QUEUE_FLUSH)
        print_flush(r);
    else if (r->verb >= GATEWAY_QUEUE_HOLD && r->end.matched > 0)
        print_outcome(r);
}

void cli_queue_rows_finish(struct cli_queue_rows *r)
{
    for (size_t i = 0; i < r->rows_count; i++)
        free(r->rows[i]);
    free(r->rows);
    r->rows = NULL;
    r->rows_count = 0;
}
