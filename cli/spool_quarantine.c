#include "spool/quarantine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/spool.h"
#include "cli/spool_region.h"
#include "cli/spool_text.h"

static const struct cli_usage usage = {
    .name = "spool quarantine",
    .operands = "list|show NUMBER|remove NUMBER|remove all [PATH]",
    .about =
        "Damaged segments are put aside when no mail lives in them any more: the records that\n"
        "are damaged may be mail that had its 250.\n"
        "\n"
        "list    prints each segment, when it was put aside, and what can be got out of it:\n"
        "        messages whose checksum fits, and messages that are not as they were written.\n"
        "        Of the former most have been delivered; the mail log says which.\n"
        "show    prints the messages of one segment; postern spool show MID one of them.\n"
        "remove  deletes a segment, or all, for good.\n"
        "\n"
        "While segments lie there the gateway deletes no body file at its start, because it may\n"
        "belong to one of their messages.\n",
    .has_config = true,
    .has_json = true,
    .operands_min = 1,
    .operands_max = 3,
};

struct quarantine {
    struct cli_spool_reader spool;
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    size_t count;
    bool json;
    bool failed;
};

struct contents {
    unsigned whole, changed;
    int64_t changed_wall_s; /* of the file's name: when it came here */
    uint64_t bytes;
};

/* Walks the messages of a segment; each, if wanted, is printed. */
static bool walk(struct quarantine *q, uint32_t number, struct contents *contents,
                 void (*each)(struct quarantine *q, const struct spool_salvage *found, bool first))
{
    struct cli_spool_region region;
    enum status status;
    struct stat info;
    int fd;

    *contents = (struct contents){ 0 };
    status = spool_quarantine_open(&q->spool.directory, number, &fd);
    if (status == STATUS_OK) {
        if (fstat(fd, &info) == 0) {
            contents->bytes = (uint64_t)info.st_size;
            contents->changed_wall_s = info.st_ctime;
        }
        status = cli_spool_region_of_file(&region, fd);
        (void)close(fd);
    }
    if (status != STATUS_OK) {
        (void)cli_error(usage.name, "segment %08u cannot be read: %s", number, status_text(status));
        q->failed = true;
        return false;
    }
    while (spool_salvage_next(&region.salvage)) {
        if (each != NULL)
            each(q, &region.salvage, contents->whole + contents->changed == 0);
        if (region.salvage.is_whole)
            contents->whole++;
        else
            contents->changed++;
    }
    cli_spool_region_finish(&region);
    return true;
}

static void list(struct quarantine *q)
{
    struct contents contents;
    char date[CLOCK_DATE_MAX];
    bool is_first = true;

    if (q->json)
        fputs("{\"segments\": [", stdout);
    else if (q->count == 0)
        printf("no segment is in quarantine\n");
    else
        printf("%-8s %-24s %11s %9s %9s\n", "SEGMENT", "SINCE", "BYTES", "WHOLE", "CHANGED");
    for (size_t i = 0; i < q->count; i++) {
        if (!walk(q, q->numbers[i], &contents, NULL))
            continue;
        if (!q->json) {
            printf("%08u %-24s %11llu %9u %9u\n", q->numbers[i],
                   clock_format_log((time_t)contents.changed_wall_s, date),
                   (unsigned long long)contents.bytes, contents.whole, contents.changed);
            continue;
        }
        fputs(is_first ? "\n  {" : ",\n  {", stdout);
        cli_json_number(true, "segment", q->numbers[i]);
        cli_json_number(false, "since", (uint64_t)contents.changed_wall_s);
        cli_json_number(false, "bytes", contents.bytes);
        cli_json_number(false, "messages_whole", contents.whole);
        cli_json_number(false, "messages_changed", contents.changed);
        putchar('}');
        is_first = false;
    }
    if (q->json)
        puts("]}");
}

static void show_message(struct quarantine *q, const struct spool_salvage *found, bool first)
{
    char from[CLI_SPOOL_ADDRESS_MAX], to[CLI_SPOOL_ADDRESS_MAX], date[CLOCK_DATE_MAX];
    struct spool_message *m;

    if (spool_message_decode(found->mid, found->payload, &m) != STATUS_OK)
        return;
    if (q->json) {
        fputs(first ? "\n  {" : ",\n  {", stdout);
        cli_json_number(true, "mid", found->mid);
        cli_json_number(false, "offset", found->offset);
        cli_json_bool(false, "is_changed", !found->is_whole);
        cli_json_number(false, "arrival", (uint64_t)spool_message_arrival_wall_s(m));
        cli_json_number(false, "size", spool_message_size(m));
        cli_json_member(false, "sender", spool_message_sender(m));
        cli_json_number(false, "recipients", spool_message_recipients_count(m));
        putchar('}');
    } else {
        printf("%10llu %-8s %-24s %10llu  %s -> %s", (unsigned long long)found->mid,
               found->is_whole ? "whole" : "CHANGED",
               clock_format_log((time_t)spool_message_arrival_wall_s(m), date),
               (unsigned long long)spool_message_size(m),
               cli_spool_address(spool_message_sender(m), from),
               cli_spool_address(spool_message_recipient(m, 0), to));
        if (spool_message_recipients_count(m) > 1)
            printf(" and %u more", spool_message_recipients_count(m) - 1);
        putchar('\n');
    }
    spool_message_destroy(m);
}

static void show(struct quarantine *q, uint32_t number)
{
    struct contents contents;

    if (q->json)
        fputs("{\"messages\": [", stdout);
    else
        printf("%10s %-8s %-24s %10s  SENDER -> RECIPIENT\n", "MID", "STATE", "ARRIVED", "SIZE");
    (void)walk(q, number, &contents, show_message);
    if (q->json)
        puts("]}");
}

static void remove_segment(struct quarantine *q, uint32_t number)
{
    enum status status = spool_quarantine_remove(&q->spool.directory, number);

    if (status == STATUS_OK)
        return;
    (void)cli_error(usage.name, "segment %08u cannot be removed: %s", number, status_text(status));
    q->failed = true;
}

static void remove_all(struct quarantine *q)
{
    for (size_t i = 0; i < q->count; i++)
        remove_segment(q, q->numbers[i]);
}

/* --- what was typed -------------------------------------------------------------------------- */

enum action { ACTION_LIST, ACTION_SHOW, ACTION_REMOVE, ACTION_REMOVE_ALL };

struct order {
    enum action action;
    uint32_t number;
    const char *path; /* NULL: that of the configuration */
};

/* False: a misuse, which has been told. */
static bool understand(const struct cli_arguments *a, struct order *o)
{
    bool is_show = strcmp(a->operands[0], "show") == 0;
    bool is_list = strcmp(a->operands[0], "list") == 0;
    int used = is_list ? 1 : 2;
    uint64_t number = 0;

    if (!is_list && !is_show && strcmp(a->operands[0], "remove") != 0) {
        (void)cli_misuse(usage.name, "\"%s\" is neither list, show nor remove", a->operands[0]);
        return false;
    }
    if (a->operands_count < used || a->operands_count > used + 1) {
        (void)cli_misuse(usage.name, a->operands_count < used ? "which segment is missing"
                                                              : "that is one argument too many");
        return false;
    }
    o->action = is_list ? ACTION_LIST : is_show ? ACTION_SHOW : ACTION_REMOVE;
    o->path = a->operands_count > used ? a->operands[used] : NULL;
    if (is_list)
        return true;
    if (!is_show && strcmp(a->operands[1], "all") == 0) {
        o->action = ACTION_REMOVE_ALL;
        return true;
    }
    if (!slice_to_number(slice_from(a->operands[1]), SPOOL_SEGMENT_NUMBER_MAX, &number) ||
        number == 0) {
        (void)cli_misuse(usage.name, "\"%s\" is not the number of a segment", a->operands[1]);
        return false;
    }
    o->number = (uint32_t)number;
    return true;
}

static int carry_out(struct quarantine *q, const struct order *o)
{
    if (spool_quarantine_list(&q->spool.directory, q->numbers, &q->count) != STATUS_OK)
        return cli_error(usage.name, "%s: cannot be read: %m", q->spool.path);
    switch (o->action) {
    case ACTION_LIST: list(q); break;
    case ACTION_SHOW: show(q, o->number); break;
    case ACTION_REMOVE: remove_segment(q, o->number); break;
    case ACTION_REMOVE_ALL: remove_all(q); break;
    }
    return cli_finish(q->failed ? CLI_EXIT_FAILED : CLI_EXIT_OK);
}

int cli_spool_quarantine(int argc, char **argv)
{
    struct quarantine q = { .count = 0 };
    struct cli_arguments a;
    struct order order = { .number = 0 };
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!understand(&a, &order))
        return CLI_EXIT_MISUSE;
    q.json = a.json;
    code = CLI_EXIT_FAILED;
    if (cli_spool_open(&q.spool, usage.name, a.config, order.path))
        code = carry_out(&q, &order);
    cli_spool_close(&q.spool);
    return code;
}
