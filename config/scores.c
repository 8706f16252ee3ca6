#include <stdlib.h>

#include "config/draft.h"

#define BYTES_MAX ((size_t)256 << 20) /* of the file */

/* A file that is being read; entries double as they come. */
struct scores {
    struct policy_score_entry *entries;
    size_t count;
    size_t room;
};

static bool add(struct scores *s, const struct policy_score_entry *entry)
{
    if (s->count == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 1024;
        struct policy_score_entry *more =
            room <= POLICY_SCORES_MAX ? realloc(s->entries, room * sizeof(*more)) : NULL;

        if (more == NULL)
            return false;
        s->entries = more;
        s->room = room;
    }
    s->entries[s->count++] = *entry;
    return true;
}

/* "192.0.2.0/24 -3.4  # why"; false when it is neither that nor empty. */
static bool parse(struct slice line, struct policy_score_entry *entry, bool *is_empty_out)
{
    struct slice text = slice_trim(slice_cut(&line, '#')), score;
    bool is_loose = false;
    size_t len = 0;

    *is_empty_out = text.len == 0;
    while (len < text.len && text.data[len] != ' ' && text.data[len] != '\t')
        len++;
    score = slice_trim(slice_after(text, len));
    return ip_prefix_parse(slice_first(text, len), &entry->prefix, &is_loose) && !is_loose &&
           policy_score_parse(score, &entry->tenths);
}

static void read_lines(struct config_draft *d, struct slice text, const char *path,
                       struct scores *s)
{
    for (unsigned line = 1; text.len > 0 && !d->reader.is_out_of_memory; line++) {
        struct slice rest = slice_cut(&text, '\n');
        struct policy_score_entry entry;
        bool is_empty;

        if (rest.len > 0 && rest.data[rest.len - 1] == '\r')
            rest.len--;
        if (parse(rest, &entry, &is_empty))
            d->reader.is_out_of_memory = !add(s, &entry);
        else if (!is_empty)
            config_problems_add(
                d->reader.problems, CONFIG_ERROR, path, line,
                "not \"ADDRESS SCORE\" with an address or a CIDR block, and a score "
                "from -10.0 to 10.0");
    }
}

void config_read_scores(struct config_draft *d, const config_setting_t *at, const char *path)
{
    struct scores scores = { 0 };
    struct buffer text;

    if (d->reader.source->is_memory) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "a file is not possible here");
        return;
    }
    buffer_init(&text, BYTES_MAX);
    if (config_file_read(path, &text) != STATUS_OK)
        config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot read %s: %m", path);
    else
        read_lines(d, buffer_contents(&text), path, &scores);
    buffer_finish(&text);
    if (!d->reader.is_out_of_memory)
        (void)config_reader_check(
            &d->reader, at, policy_builder_set_scores(d->builder, scores.entries, scores.count));
    free(scores.entries);
}
