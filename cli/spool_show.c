#include <stdio.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/spool.h"
#include "cli/spool_letter.h"
#include "cli/spool_region.h"
#include "cli/spool_view.h"
#include "spool/quarantine.h"

#define PLACE_MAX 64

static const char *raw, *body;

static const struct cli_option options[] = {
    { "raw", '\0', NULL, "write the message itself, as it would be sent", &raw },
    { "body", '\0', NULL, "the same without the header lines that Postern added", &body },
};

static const struct cli_usage usage = {
    .name = "spool show",
    .operands = "MID [PATH]",
    .about =
        "Prints what a spool says about one message: its envelope, where it came from, what\n"
        "became of each recipient, and where it lies on the disk.\n"
        "\n"
        "With --raw or --body the message is written to standard output instead, to be saved or\n"
        "sent again: header and body, lines ended by CRLF, without the dots of DATA.\n"
        "\n"
        "A message that is over can be shown until its segment is used again; a recipient is\n"
        "over too where the spool does not say what became of him. Where its record is damaged,\n"
        "in the spool or in the quarantine, it is shown too if its form is left; then results\n"
        "of recipients are not known, and a wrong checksum is told, with exit status 1.\n",
    .has_config = true,
    .has_json = true,
    .options = options,
    .options_count = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 2,
};

struct show {
    struct cli_spool_reader spool;
    uint64_t mid;
    struct cli_spool_view view;
    struct spool_message *message; /* owned */
    char place[PLACE_MAX];
};

static bool take_found(struct show *s, const struct spool_recovered_message *found)
{
    const struct spool_recovered_segment *segment = &s->spool.recovery.segments[found->segment];
    enum status status = spool_recovery_load(&s->spool.recovery, found, &s->message);

    if (status != STATUS_OK) {
        (void)cli_error(usage.name, "MID %llu cannot be read: %s", (unsigned long long)s->mid,
                        status_text(status));
        return false;
    }
    (void)snprintf(s->place, sizeof(s->place), "segments/%08u.seg", segment->number);
    s->view.found = found;
    s->view.state = found->is_done ? "over: nothing of it is to be delivered" : "to be delivered";
    s->view.offset = found->offset;
    s->view.generation = segment->header.generation;
    return true;
}

/* The message, if it is in the region; then true, and the walk ends. */
static bool take_region(struct show *s, struct cli_spool_region *region, const char *folder,
                        uint32_t number)
{
    while (cli_spool_region_next(region, &s->spool)) {
        const struct spool_salvage *found = &region->salvage;

        if (found->mid != s->mid ||
            spool_message_decode(found->mid, found->payload, &s->message) != STATUS_OK)
            continue;
        (void)snprintf(s->place, sizeof(s->place), "%s/%08u.seg", folder, number);
        s->view.offset = region->offset + found->offset;
        s->view.is_changed = !found->is_whole;
        return true;
    }
    return false;
}

static bool is_in_damage(struct show *s)
{
    const struct spool_recovery *r = &s->spool.recovery;
    bool is_found = false;

    for (size_t i = 0; i < r->damage_listed && !is_found; i++) {
        struct cli_spool_region region;

        if (!cli_spool_region_of_damage(&region, &s->spool, &r->damage[i]))
            continue;
        is_found = take_region(s, &region, "segments", r->damage[i].segment);
        cli_spool_region_finish(&region);
        s->view.state = r->damage[i].kind == SPOOL_DAMAGE_TORN
                            ? "in a torn batch: never acknowledged"
                            : "DAMAGED: the gateway does not deliver it";
    }
    return is_found;
}

static bool is_in_quarantine(struct show *s)
{
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    bool is_found = false;
    size_t count;

    if (spool_quarantine_list(&s->spool.directory, numbers, &count) != STATUS_OK)
        return false;
    for (size_t i = 0; i < count && !is_found; i++) {
        struct cli_spool_region region;
        int fd;

        if (spool_quarantine_open(&s->spool.directory, numbers[i], &fd) != STATUS_OK)
            continue;
        if (cli_spool_region_of_file(&region, fd) == STATUS_OK)
            is_found = take_region(s, &region, "quarantine", numbers[i]);
        cli_spool_region_finish(&region);
        (void)close(fd);
    }
    s->view.state = "in quarantine: the gateway does not deliver it";
    return is_found;
}

static bool find(struct show *s)
{
    const struct spool_recovered_message *found = cli_spool_find(&s->spool, s->mid);

    if (found != NULL)
        return take_found(s, found);
    if (is_in_damage(s) || is_in_quarantine(s))
        return true;
    (void)cli_error(usage.name, "%s: there is no message %llu", s->spool.path,
                    (unsigned long long)s->mid);
    return false;
}

static int write_letter(struct show *s)
{
    enum status status = cli_letter_write(s->message, &s->spool.directory, raw != NULL, stdout);

    if (status == STATUS_CORRUPT)
        return cli_error(usage.name, "its body file is not what was committed, or too short");
    if (status != STATUS_OK)
        return cli_error(usage.name, "its body file cannot be read: %s", status_text(status));
    if (s->view.is_changed)
        return cli_error(usage.name, "the checksum is wrong: some of it is not what was written");
    return CLI_EXIT_OK;
}

static int show(struct show *s, bool json)
{
    if (!find(s))
        return CLI_EXIT_FAILED;
    cli_spool_tell_use(&s->spool);
    s->view.message = s->message;
    s->view.place = s->place;
    if (raw != NULL || body != NULL)
        return cli_finish(write_letter(s));
    if (json)
        cli_spool_view_print_json(&s->view, s->spool.is_in_use);
    else
        cli_spool_view_print(&s->view);
    return cli_finish(s->view.is_changed ? CLI_EXIT_FAILED : CLI_EXIT_OK);
}

int cli_spool_show(int argc, char **argv)
{
    struct show s = { .mid = 0 };
    struct cli_arguments a;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!slice_to_number(slice_from(a.operands[0]), UINT64_MAX, &s.mid) || s.mid == 0)
        return cli_misuse(usage.name, "\"%s\" is not a MID", a.operands[0]);
    if ((raw != NULL) + (body != NULL) + a.json > 1)
        return cli_misuse(usage.name, "--raw, --body and --json exclude each other");
    code = CLI_EXIT_FAILED;
    if (cli_spool_open(&s.spool, usage.name, a.config,
                       a.operands_count > 1 ? a.operands[1] : NULL) &&
        cli_spool_read(&s.spool))
        code = show(&s, a.json);
    spool_message_destroy(s.message);
    cli_spool_close(&s.spool);
    return code;
}
