#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/spool.h"
#include "cli/spool_findings.h"
#include "spool/quarantine.h"

/* Between two looks at a spool that a gateway writes to: longer than any write of its takes. */
#define SECOND_LOOK_US 500000

static const struct cli_usage usage = {
    .name = "spool verify",
    .operands = "[PATH]",
    .about =
        "Reads every segment and every body file of a spool, as the next start would, and\n"
        "prints what each segment holds, and every damage: segment, offset, length, and the MID\n"
        "where it is known. Nothing is changed.\n"
        "\n"
        "A segment is free (may be used again), damaged, living (mail lives in it), or over\n"
        "(none does any more). FILL is how far it is written, LIVING how much of that is mail\n"
        "to be delivered; the rest of FILL is dead, and goes when the segment is used again.\n"
        "\n"
        "A batch that a power cut has torn was never acknowledged, so it is a note and no\n"
        "damage; so is a file that does not belong here. Where messages can be got out of\n"
        "damaged bytes, postern spool show MID does it.\n",
    .has_config = true,
    .has_json = true,
    .operands_max = 1,
};

struct totals {
    size_t segments, free;
    uint64_t records, fill_bytes, living_bytes;
};

struct verify {
    struct cli_spool_reader spool;
    struct cli_spool_findings findings;
    uint64_t *living_bytes; /* by segment */
    struct totals totals;
    uint32_t quarantined[SPOOL_QUARANTINE_MAX];
    size_t quarantined_count;
};

static const char *state_of(const struct spool_recovered_segment *s)
{
    if (s->is_free)
        return "free";
    if (s->is_damaged)
        return "damaged";
    return s->messages_living > 0 ? "living" : "over";
}

static bool add_up(struct verify *v)
{
    const struct spool_recovery *r = &v->spool.recovery;

    v->living_bytes = calloc(r->segments_count + 1, sizeof *v->living_bytes);
    if (v->living_bytes == NULL)
        return false;
    TABLE_FOR_EACH (n, &r->messages) {
        const struct spool_recovered_message *m =
            CONTAINER_OF(n, struct spool_recovered_message, node);

        if (!m->is_done)
            v->living_bytes[m->segment] += m->bytes;
    }
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];

        v->totals.segments++;
        v->totals.free += s->is_free;
        v->totals.records += s->records;
        v->totals.fill_bytes += s->fill;
        v->totals.living_bytes += v->living_bytes[i];
    }
    return true;
}

/* --- text ------------------------------------------------------------------------------------ */

static void print_segments(const struct verify *v)
{
    const struct spool_recovery *r = &v->spool.recovery;

    printf("%-8s %-8s %10s %4s %9s %9s %11s %11s\n", "SEGMENT", "STATE", "GENERATION", "LOG",
           "RECORDS", "MESSAGES", "LIVING", "FILL");
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];

        printf("%08u %-8s %10llu %4u %9zu %9zu %11llu %11u\n", s->number, state_of(s),
               (unsigned long long)s->header.generation, s->header.log_id, s->records,
               s->messages_living, (unsigned long long)v->living_bytes[i], s->fill);
    }
}

static void print_finding(const struct cli_spool_finding *f)
{
    char mid[24] = "-", segment[16] = "-";

    if (f->damage.mid != 0)
        (void)snprintf(mid, sizeof(mid), "%llu", (unsigned long long)f->damage.mid);
    if (f->damage.segment != 0)
        (void)snprintf(segment, sizeof(segment), "%08u", f->damage.segment);
    printf("%-8s %-8s %10llu %10llu %10s  %s", f->is_note ? "note" : "DAMAGE", segment,
           (unsigned long long)f->damage.offset, (unsigned long long)f->damage.bytes, mid, f->what);
    if (f->messages > 0)
        printf("; %u message%s can be got out of it%s", f->messages, f->messages == 1 ? "" : "s",
               f->changed > 0 ? ", not as it was written" : "");
    putchar('\n');
}

static void print_text(const struct verify *v)
{
    const struct spool_recovery *r = &v->spool.recovery;
    const struct totals *t = &v->totals;

    print_segments(v);
    if (v->findings.count > 0)
        printf("\n%-8s %-8s %10s %10s %10s  WHAT\n", "", "SEGMENT", "OFFSET", "LENGTH", "MID");
    for (size_t i = 0; i < v->findings.count; i++)
        print_finding(&v->findings.items[i]);
    if (v->findings.unlisted > 0)
        printf("and %llu more\n", (unsigned long long)v->findings.unlisted);
    printf("\n%zu segments, %zu of them free; %llu records in %llu bytes\n", t->segments, t->free,
           (unsigned long long)t->records, (unsigned long long)t->fill_bytes);
    printf("%zu messages to be delivered, %llu bytes; %zu that are over\n", r->messages_living,
           (unsigned long long)t->living_bytes, r->messages_dead);
    if (r->bodies_kept > 0)
        printf("%llu body files that no message refers to\n", (unsigned long long)r->bodies_kept);
    if (v->quarantined_count > 0)
        printf("%zu segments in quarantine; see postern spool quarantine\n", v->quarantined_count);
    if (v->findings.damage_count + v->findings.unlisted > 0)
        printf("%llu damaged\n",
               (unsigned long long)(v->findings.damage_count + v->findings.unlisted));
    else
        printf("no damage\n");
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void print_segments_json(const struct verify *v)
{
    const struct spool_recovery *r = &v->spool.recovery;

    cli_json_name(false, "segments");
    putchar('[');
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct spool_recovered_segment *s = &r->segments[i];

        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_number(true, "segment", s->number);
        cli_json_member(false, "state", slice_from(state_of(s)));
        cli_json_number(false, "generation", s->header.generation);
        cli_json_number(false, "log", s->header.log_id);
        cli_json_number(false, "bytes", s->header.bytes);
        cli_json_number(false, "fill_bytes", s->fill);
        cli_json_number(false, "living_bytes", v->living_bytes[i]);
        cli_json_number(false, "records", s->records);
        cli_json_number(false, "messages", s->messages_living);
        putchar('}');
    }
    putchar(']');
}

static void print_findings_json(const struct cli_spool_findings *findings)
{
    cli_json_name(false, "findings");
    putchar('[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct cli_spool_finding *f = &findings->items[i];

        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_bool(true, "is_damage", !f->is_note);
        cli_json_member(false, "what", slice_from(f->what));
        cli_json_number(false, "segment", f->damage.segment);
        cli_json_number(false, "offset", f->damage.offset);
        cli_json_number(false, "length", f->damage.bytes);
        cli_json_number(false, "mid", f->damage.mid);
        cli_json_number(false, "messages_left", f->messages);
        cli_json_number(false, "messages_changed", f->changed);
        putchar('}');
    }
    putchar(']');
}

static void print_json(const struct verify *v)
{
    const struct spool_recovery *r = &v->spool.recovery;

    putchar('{');
    cli_json_bool(true, "snapshot", v->spool.is_in_use);
    cli_json_number(false, "damaged", v->findings.damage_count + v->findings.unlisted);
    cli_json_number(false, "not_shown", v->findings.unlisted);
    cli_json_number(false, "messages_living", r->messages_living);
    cli_json_number(false, "messages_over", r->messages_dead);
    cli_json_number(false, "living_bytes", v->totals.living_bytes);
    cli_json_number(false, "fill_bytes", v->totals.fill_bytes);
    cli_json_number(false, "records", v->totals.records);
    cli_json_number(false, "bodies_of_nobody", r->bodies_kept);
    cli_json_number(false, "quarantined", v->quarantined_count);
    print_findings_json(&v->findings);
    print_segments_json(v);
    puts("}");
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool look(struct verify *v, struct cli_spool_findings *findings)
{
    if (!cli_spool_read(&v->spool))
        return false;
    if (cli_spool_findings_init(findings) != STATUS_OK)
        return cli_error(usage.name, "there is not enough memory") == CLI_EXIT_OK;
    cli_spool_findings_take(findings, &v->spool);
    cli_spool_findings_check_bodies(findings, &v->spool);
    return true;
}

/* What a gateway writes between the reading of one segment and of the next looks like damage; it
 * does so once. */
static bool look_again(struct verify *v)
{
    struct cli_spool_findings earlier = v->findings;
    bool ok;

    v->findings = (struct cli_spool_findings){ .items = NULL };
    (void)usleep(SECOND_LOOK_US);
    ok = look(v, &v->findings);
    if (ok)
        cli_spool_findings_confirm(&v->findings, &earlier);
    cli_spool_findings_finish(&earlier);
    return ok;
}

static int verify(struct verify *v, bool json)
{
    bool ok = look(v, &v->findings);

    if (ok && v->spool.is_in_use && v->findings.damage_count + v->findings.unlisted > 0)
        ok = look_again(v);
    if (!ok)
        return CLI_EXIT_FAILED;
    cli_spool_findings_salvage(&v->findings, &v->spool);
    if (spool_quarantine_list(&v->spool.directory, v->quarantined, &v->quarantined_count) !=
        STATUS_OK)
        return cli_error(usage.name, "%s: the quarantine cannot be read", v->spool.path);
    if (!add_up(v))
        return cli_error(usage.name, "there is not enough memory");
    cli_spool_tell_use(&v->spool);
    if (json)
        print_json(v);
    else
        print_text(v);
    return cli_finish(v->findings.damage_count + v->findings.unlisted > 0 ? CLI_EXIT_FAILED
                                                                          : CLI_EXIT_OK);
}

int cli_spool_verify(int argc, char **argv)
{
    static struct verify v;
    struct cli_arguments a;
    int code = cli_parse(&usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    code = CLI_EXIT_FAILED;
    if (cli_spool_open(&v.spool, usage.name, a.config, a.operands_count > 0 ? a.operands[0] : NULL))
        code = verify(&v, a.json);
    cli_spool_findings_finish(&v.findings);
    free(v.living_bytes);
    cli_spool_close(&v.spool);
    return code;
}
