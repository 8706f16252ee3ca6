#include "cli/spool_findings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/spool_letter.h"
#include "cli/spool_region.h"

enum status cli_spool_findings_init(struct cli_spool_findings *f)
{
    *f = (struct cli_spool_findings){ .count = 0 };
    f->items = calloc(CLI_SPOOL_FINDINGS_MAX, sizeof *f->items);
    return f->items != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void cli_spool_findings_finish(struct cli_spool_findings *f)
{
    free(f->items);
    *f = (struct cli_spool_findings){ .count = 0 };
}

static bool is_note(enum spool_damage_kind kind)
{
    return kind == SPOOL_DAMAGE_TORN || kind == SPOOL_DAMAGE_FOREIGN_FILE;
}

static void add(struct cli_spool_findings *f, const struct cli_spool_reader *s,
                const struct spool_damage *damage, const char *what)
{
    const struct spool_recovered_segment *segment = cli_spool_segment(s, damage->segment);
    bool note = is_note(damage->kind);

    if (f->count == CLI_SPOOL_FINDINGS_MAX) {
        f->unlisted++;
        return;
    }
    f->items[f->count++] = (struct cli_spool_finding){
        .damage = *damage,
        .what = what,
        .is_note = note,
        .generation = segment != NULL ? segment->header.generation : 0,
    };
    if (note)
        f->notes_count++;
    else
        f->damage_count++;
}

void cli_spool_findings_take(struct cli_spool_findings *f, const struct cli_spool_reader *s)
{
    const struct spool_recovery *r = &s->recovery;

    for (size_t i = 0; i < r->damage_listed; i++)
        add(f, s, &r->damage[i], spool_damage_text(r->damage[i].kind));
    for (unsigned kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++)
        f->unlisted += r->damage_counts[kind];
    f->unlisted -= r->damage_listed;
}

static void check_body(struct cli_spool_findings *f, struct cli_spool_reader *s,
                       const struct spool_recovered_message *found)
{
    struct spool_damage damage = {
        .kind = SPOOL_DAMAGE_BODY,
        .segment = s->recovery.segments[found->segment].number,
        .offset = found->offset,
        .bytes = found->body_bytes,
        .mid = found->mid,
    };
    struct spool_message *m;
    enum status status;

    status = spool_recovery_load(&s->recovery, found, &m);
    if (status != STATUS_OK) {
        damage.kind = SPOOL_DAMAGE_RECORD;
        damage.bytes = found->bytes;
        add(f, s, &damage, "record that cannot be read again");
        return;
    }
    status = cli_letter_check_body(m, &s->directory);
    spool_message_destroy(m);
    if (status == STATUS_OK)
        return;
    add(f, s, &damage,
        status == STATUS_CORRUPT ? "body file is not what was committed"
                                 : "body file cannot be read");
}

void cli_spool_findings_check_bodies(struct cli_spool_findings *f, struct cli_spool_reader *s)
{
    const struct spool_recovered_message *m;

    while ((m = spool_recovery_next(&s->recovery)) != NULL)
        if (m->body_in_file && !m->body_missing)
            check_body(f, s, m);
}

static bool is_same(const struct cli_spool_finding *a, const struct cli_spool_finding *b)
{
    return a->generation == b->generation && a->damage.kind == b->damage.kind &&
           a->damage.segment == b->damage.segment && a->damage.offset == b->damage.offset &&
           a->damage.bytes == b->damage.bytes;
}

static bool is_among(const struct cli_spool_findings *f, const struct cli_spool_finding *wanted)
{
    for (size_t i = 0; i < f->count; i++)
        if (is_same(&f->items[i], wanted))
            return true;
    return false;
}

void cli_spool_findings_confirm(struct cli_spool_findings *f,
                                const struct cli_spool_findings *earlier)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->count; i++) {
        struct cli_spool_finding *item = &f->items[i];

        if (!item->is_note && !is_among(earlier, item)) {
            f->damage_count--;
            continue;
        }
        f->items[kept++] = *item;
    }
    f->count = kept;
    f->unlisted = f->unlisted < earlier->unlisted ? f->unlisted : earlier->unlisted;
}

void cli_spool_findings_salvage(struct cli_spool_findings *f, const struct cli_spool_reader *s)
{
    for (size_t i = 0; i < f->count; i++) {
        struct cli_spool_finding *item = &f->items[i];
        struct cli_spool_region region;

        if (!cli_spool_region_of_damage(&region, s, &item->damage))
            continue;
        while (cli_spool_region_next(&region, s)) {
            if (item->damage.mid == 0)
                item->damage.mid = region.salvage.mid;
            item->messages++;
            item->changed += !region.salvage.is_whole;
        }
        cli_spool_region_finish(&region);
    }
}
