#include "config/senders.h"

#include <stdarg.h>
#include <stdio.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* NULL when a row may hold it. */
static const char *why_not_sender(struct slice text, struct policy_sender_entry *entry_out)
{
    const char *why = policy_sender_parse(text, entry_out);

    if (why == NULL && entry_out->form == POLICY_SENDER_LOOSE)
        return "bits are set behind its prefix";
    return why;
}

#define LIMIT_TEXT "these are more than %d DNS lists, or more senders than a hat may have"

static bool check_added(struct config_draft *d, const config_setting_t *at, enum status status)
{
    if (status != STATUS_LIMIT)
        return config_reader_check(&d->reader, at, status);
    config_reader_report(&d->reader, CONFIG_ERROR, at, LIMIT_TEXT, POLICY_HAT_LISTS_MAX);
    return false;
}

void config_read_senders(struct config_draft *d, struct policy_hat_draft *hat,
                         const config_setting_t *senders, struct config_senders_run *run)
{
    int count = config_setting_length(senders);

    run->settings = config_draft_take(d, (size_t)count, sizeof(*run->settings));
    for (int i = 0; run->settings != NULL && i < count; i++) {
        const config_setting_t *at = config_setting_get_elem(senders, (unsigned)i);
        const char *text = config_setting_get_string(at);
        struct policy_sender_entry entry;
        const char *why = why_not_sender(slice_from(text), &entry);

        if (why != NULL)
            config_reader_report(&d->reader, CONFIG_ERROR, at, "\"%s\" is not a sender: %s", text,
                                 why);
        else if (hat != NULL &&
                 check_added(d, at,
                             policy_builder_add_hat_entry(d->builder, hat, slice_from(text))))
            run->settings[run->count++] = at;
    }
}

/* What a line is besides blanks and comments; *why_out says what is wrong with them, or is NULL. */
static struct slice sender_of_line(struct slice line, const char **why_out)
{
    size_t at = 0;

    *why_out = NULL;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len > CONFIG_SENDERS_LINE_BYTES_MAX)
        *why_out = "the line is too long";
    else if (line.len > 0 && memchr(line.data, '\0', line.len) != NULL)
        *why_out = "the line has a NUL byte";
    if (*why_out != NULL)
        return (struct slice){ 0 };
    line = slice_trim(line);
    while (at < line.len && line.data[at] != '#' && line.data[at] != '(')
        at++;
    if (at < line.len && line.data[at] == '(' && line.data[line.len - 1] != ')')
        *why_out = "the comment in parentheses does not end with the line";
    return slice_trim(slice_first(line, at));
}

/* One file while it is read. */
struct file_reader {
    struct config_draft *d;
    struct policy_hat_draft *hat;
    struct config_senders_run *run;
    uint32_t *lines;
    uint32_t line;
};

static void refuse_line(struct file_reader *f, struct slice sender, const char *why)
{
    /* A long text would push the reason out of the problem. */
    struct slice shown = slice_first(sender, sender.len < 100 ? sender.len : 100);

    if (sender.len > 0)
        config_problems_add(f->d->reader.problems, CONFIG_ERROR, f->run->path, f->line,
                            "\"%.*s%s\" is not a sender: %s", SLICE_ARGS(shown),
                            shown.len < sender.len ? "..." : "", why);
    else
        config_problems_add(f->d->reader.problems, CONFIG_ERROR, f->run->path, f->line, "%s", why);
}

static void read_line(struct file_reader *f, struct slice line)
{
    struct config_reader *r = &f->d->reader;
    struct policy_sender_entry entry;
    const char *why;
    struct slice sender = sender_of_line(line, &why);
    enum status status;

    if (why == NULL && sender.len == 0)
        return;
    if (why == NULL)
        why = why_not_sender(sender, &entry);
    if (why == NULL && entry.form == POLICY_SENDER_ALL)
        why = "ALL stands only in the row itself";
    if (why != NULL) {
        refuse_line(f, sender, why);
        return;
    }
    if (f->hat == NULL)
        return;
    status = policy_builder_add_hat_entry(f->d->builder, f->hat, sender);
    if (status == STATUS_OK)
        f->lines[f->run->count++] = f->line;
    else if (status == STATUS_NO_MEMORY)
        r->is_out_of_memory = true;
    else if (status == STATUS_LIMIT)
        config_problems_add(r->problems, CONFIG_ERROR, f->run->path, f->line, LIMIT_TEXT,
                            POLICY_HAT_LISTS_MAX);
    else
        config_problems_add(r->problems, CONFIG_ERROR, f->run->path, f->line, "%s",
                            status_text(status));
}

static size_t count_lines(struct slice text)
{
    size_t count = 1;
    const char *at;

    while (text.len > 0 && (at = memchr(text.data, '\n', text.len)) != NULL) {
        text = slice_after(text, (size_t)(at - text.data) + 1);
        count++;
    }
    return count;
}

void config_read_senders_file(struct config_draft *d, struct policy_hat_draft *hat,
                              const config_setting_t *at, const char *path,
                              struct config_senders_run *run)
{
    struct file_reader f = { .d = d, .hat = hat, .run = run };
    struct buffer text;
    struct slice rest;

    run->path = path;
    if (d->reader.source->is_memory) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "senders_file is not possible here");
        return;
    }
    buffer_init(&text, CONFIG_SENDERS_FILE_BYTES_MAX);
    if (config_file_read(path, &text) != STATUS_OK) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot read the senders file %s: %m",
                             path);
    } else {
        rest = buffer_contents(&text);
        if (rest.len >= strlen(BYTE_ORDER_MARK) &&
            memcmp(rest.data, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
            rest = slice_after(rest, strlen(BYTE_ORDER_MARK));
        f.lines = config_draft_take(d, count_lines(rest), sizeof(*f.lines));
        run->lines = f.lines;
        for (f.line = 1; rest.len > 0 && !d->reader.is_out_of_memory; f.line++)
            read_line(&f, slice_cut(&rest, '\n'));
    }
    buffer_finish(&text);
}

const struct config_senders_run *config_senders_run_of(const struct config_table_draft *table,
                                                       size_t entry)
{
    size_t low = 0, high = table->runs_count; /* the last one that does not begin behind it */

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (table->runs[middle].first <= entry)
            low = middle;
        else
            high = middle;
    }
    ASSERT(entry - table->runs[low].first < table->runs[low].count);
    return &table->runs[low];
}

void config_senders_report(struct config_draft *d, const struct config_table_draft *table,
                           size_t entry, enum config_severity severity, const char *format, ...)
{
    const struct config_senders_run *run = config_senders_run_of(table, entry);
    char text[CONFIG_PROBLEM_TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (run->settings != NULL)
        config_reader_report(&d->reader, severity, run->settings[entry - run->first], "%s", text);
    else
        config_problems_add(d->reader.problems, severity, run->path, run->lines[entry - run->first],
                            "%s", text);
}
