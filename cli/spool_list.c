#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/spool.h"
#include "cli/spool_filter.h"
#include "cli/spool_open.h"
#include "cli/spool_text.h"
#include "config/units.h"

static const char *sender, *recipient, *domain, *older;

static const struct cli_option options[] = {
    { "sender", '\0', "ADDRESS", "only from ADDRESS, or @DOMAIN, or <>", &sender },
    { "recipient", '\0', "ADDRESS", "only with this recipient, or @DOMAIN", &recipient },
    { "domain", '\0', "DOMAIN", "only with a recipient in DOMAIN", &domain },
    { "older", '\0', "TIME", "only what came so long ago, or longer: 90s 5m 72h 30d", &older },
};

static const struct cli_usage usage = {
    .name = "spool list",
    .operands = "[PATH]",
    .about =
        "Prints the messages of a spool that are not yet delivered, as they lie on the disk:\n"
        "MID, how long ago each came, its size, and how many of its recipients wait for their\n"
        "first try (WAIT), have failed for now (DEFER), and are done (DONE: delivered, or the\n"
        "sender was told, or an operator deleted them); when the next one is tried (or held);\n"
        "sender and first recipient. What is given as recipient or domain is looked for in all\n"
        "recipients of a message, also those that are done. The oldest segment comes first.\n"
        "A million messages with one recipient each take up to 200 MB of memory.\n"
        "\n"
        "What a running gateway is doing with them right now says postern queue.\n",
    .has_config = true,
    .has_json = true,
    .options = options,
    .options_count = ARRAY_LEN(options),
    .operands_max = 1,
};

struct list {
    struct cli_spool_reader spool;
    struct cli_spool_filter filter;
    time_t now_s;
    bool json;
    uint64_t shown;
    uint64_t unreadable;
};

static int by_place(const void *a, const void *b)
{
    const struct spool_recovered_message *x = *(const struct spool_recovered_message *const *)a;
    const struct spool_recovered_message *y = *(const struct spool_recovered_message *const *)b;

    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void print_json(struct list *l, const struct spool_message *m,
                       const struct cli_spool_tally *t)
{
    fputs(l->shown > 0 ? ",\n  {" : "\n  {", stdout);
    cli_json_number(true, "mid", spool_message_mid(m));
    cli_json_number(false, "arrival", (uint64_t)spool_message_arrival_wall_s(m));
    cli_json_number(false, "size", spool_message_size(m));
    cli_json_member(false, "sender", spool_message_sender(m));
    cli_json_number(false, "waiting", t->waiting);
    cli_json_number(false, "deferred", t->deferred);
    cli_json_number(false, "delivered", t->delivered);
    cli_json_number(false, "bounced", t->bounced);
    cli_json_number(false, "deleted", t->deleted);
    cli_json_number(false, "held", t->held);
    if (t->deferred > 0)
        cli_json_number(false, "next_attempt", (uint64_t)t->next_attempt_wall_s);
    cli_json_name(false, "recipients");
    putchar('[');
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++) {
        fputs(rid > 0 ? ", " : "", stdout);
        cli_json_text(spool_message_recipient(m, rid));
    }
    fputs("]}", stdout);
}

static void print_row(struct list *l, const struct spool_message *m,
                      const struct cli_spool_tally *t)
{
    char from[CLI_SPOOL_ADDRESS_MAX], to[CLI_SPOOL_ADDRESS_MAX];
    char age[CLI_SPOOL_AGE_MAX], next[CLI_SPOOL_AGE_MAX] = "-";
    unsigned count = spool_message_recipients_count(m);

    if (l->shown == 0)
        printf("%10s %5s %10s %6s %6s %6s %5s  SENDER -> RECIPIENT\n", "MID", "AGE", "SIZE", "WAIT",
               "DEFER", "DONE", "NEXT");
    if (t->held > 0 && t->held == t->waiting + t->deferred)
        (void)snprintf(next, sizeof(next), "held");
    else if (t->waiting > 0)
        (void)cli_spool_age(0, next);
    else if (t->deferred > 0)
        (void)cli_spool_age(t->next_attempt_wall_s - l->now_s, next);
    printf("%10llu %5s %10llu %6u %6u %6u %5s  %s -> %s", (unsigned long long)spool_message_mid(m),
           cli_spool_age(l->now_s - spool_message_arrival_wall_s(m), age),
           (unsigned long long)spool_message_size(m), t->waiting, t->deferred,
           t->bounced + t->delivered + t->deleted, next,
           cli_spool_address(spool_message_sender(m), from),
           cli_spool_address(spool_message_recipient(m, 0), to));
    if (count > 1)
        printf(" and %u more", count - 1);
    putchar('\n');
}

static void take(struct list *l, const struct spool_recovered_message *found)
{
    struct cli_spool_tally tally = { 0 };
    struct spool_message *m;

    if (spool_recovery_load(&l->spool.recovery, found, &m) != STATUS_OK) {
        /* With a gateway at work its segment may have been used again. */
        l->unreadable++;
        return;
    }
    if (cli_spool_filter_matches(&l->filter, m)) {
        for (uint32_t rid = 0; rid < found->recipients_count; rid++) {
            struct spool_result result = spool_recovery_result(found, rid);

            cli_spool_tally_add(&tally, &result);
        }
        if (l->json)
            print_json(l, m, &tally);
        else
            print_row(l, m, &tally);
        l->shown++;
    }
    spool_message_destroy(m);
}

/* In the order in which they lie on the disk, which is also that in which they came, per worker. */
static bool take_all(struct list *l)
{
    size_t count = 0, living = l->spool.recovery.messages_living;
    const struct spool_recovered_message **all = calloc(living + 1, sizeof *all), *m;

    if (all == NULL)
        return false;
    while ((m = spool_recovery_next(&l->spool.recovery)) != NULL) {
        ASSERT(count < living);
        all[count++] = m;
    }
    qsort(all, count, sizeof *all, by_place);
    for (size_t i = 0; i < count; i++)
        take(l, all[i]);
    free(all);
    return true;
}

static int print_list(struct list *l)
{
    if (l->json) {
        putchar('{');
        cli_json_bool(true, "snapshot", l->spool.is_in_use);
        cli_json_name(false, "messages");
        putchar('[');
    }
    if (!take_all(l))
        return cli_error(usage.name, "there is not enough memory");
    if (l->json)
        printf("%s]}\n", l->shown > 0 ? "\n" : "");
    else if (l->shown == 0)
        printf("no message%s\n", l->spool.recovery.messages_living > 0 ? " is like that" : "");
    if (l->unreadable > 0)
        (void)cli_error(usage.name, "%llu messages could not be read",
                        (unsigned long long)l->unreadable);
    return cli_finish(l->unreadable > 0 && !l->spool.is_in_use ? CLI_EXIT_FAILED : CLI_EXIT_OK);
}

int cli_spool_list(int argc, char **argv)
{
    struct cli_arguments a;
    struct list l = { .now_s = clock_wall_s() };
    uint64_t older_s;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    l.json = a.json;
    l.filter =
        (struct cli_spool_filter){ .sender = sender, .recipient = recipient, .domain = domain };
    if (older != NULL) {
        if (!config_duration_parse(slice_from(older), &older_s) || older_s > INT32_MAX)
            return cli_misuse(usage.name, "--older: \"%s\" is not a time like 90s 5m 72h 30d",
                              older);
        l.filter.has_arrived_until = true;
        l.filter.arrived_until_wall_s = l.now_s - (int64_t)older_s;
    }
    code = CLI_EXIT_FAILED;
    if (cli_spool_open(&l.spool, usage.name, a.config,
                       a.operands_count > 0 ? a.operands[0] : NULL) &&
        cli_spool_read(&l.spool)) {
        cli_spool_tell_use(&l.spool);
        code = print_list(&l);
    }
    cli_spool_close(&l.spool);
    return code;
}
