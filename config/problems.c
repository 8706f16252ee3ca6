#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>

void config_problems_init(struct config_problems *p)
{
    *p = (struct config_problems){ 0 };
    /* Bounded by the number and the length of the texts; file names come on top. */
    arena_init(&p->arena, (size_t)4 << 20);
}

void config_problems_finish(struct config_problems *p)
{
    arena_finish(&p->arena);
    p->count = p->errors_count = p->dropped_count = 0;
}

/* What comes from the file may hold anything; a problem is one line of text for a terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static const char *keep_name(struct config_problems *p, const char *file)
{
    if (p->count > 0 && strcmp(p->items[p->count - 1].file, file) == 0)
        return p->items[p->count - 1].file;
    return arena_text(&p->arena, slice_from(file));
}

/* Makes room for an error by giving up the last warning; false when there is none. The text of
 * the warning stays in the arena, which has room for that: it happens once for each item. */
static bool give_up_warning(struct config_problems *p)
{
    for (size_t i = p->count; i-- > 0;) {
        if (p->items[i].severity != CONFIG_WARNING)
            continue;
        memmove(&p->items[i], &p->items[i + 1], (p->count - i - 1) * sizeof(p->items[0]));
        p->count--;
        p->dropped_count++;
        return true;
    }
    return false;
}

void config_problems_add(struct config_problems *p, enum config_severity severity, const char *file,
                         unsigned line, const char *format, ...)
{
    char text[CONFIG_PROBLEM_TEXT_MAX];
    struct config_problem *item;
    va_list args;

    if (severity == CONFIG_ERROR)
        p->errors_count++;
    if (p->count == CONFIG_PROBLEMS_MAX && (severity != CONFIG_ERROR || !give_up_warning(p))) {
        p->dropped_count++;
        return;
    }
    item = &p->items[p->count];
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    make_printable(text);
    *item = (struct config_problem){ .severity = severity,
                                     .line = line,
                                     .file = keep_name(p, file),
                                     .text = arena_text(&p->arena, slice_from(text)) };
    if (item->file == NULL || item->text == NULL)
        p->dropped_count++;
    else
        p->count++;
}

/* The number of the first problem of the same file. */
static size_t file_rank(const struct config_problems *p, const struct config_problem *item)
{
    size_t i = 0;

    while (strcmp(p->items[i].file, item->file) != 0)
        i++;
    return i;
}

void config_problems_sort(struct config_problems *p)
{
    size_t ranks[CONFIG_PROBLEMS_MAX];

    for (size_t i = 0; i < p->count; i++)
        ranks[i] = file_rank(p, &p->items[i]);
    for (size_t i = 1; i < p->count; i++) {
        struct config_problem item = p->items[i];
        size_t rank = ranks[i], at = i;

        while (at > 0 && (ranks[at - 1] > rank ||
                          (ranks[at - 1] == rank && p->items[at - 1].line > item.line))) {
            p->items[at] = p->items[at - 1];
            ranks[at] = ranks[at - 1];
            at--;
        }
        p->items[at] = item;
        ranks[at] = rank;
    }
}

const char *config_problem_format(const struct config_problem *problem, char *text,
                                  size_t text_bytes)
{
    const char *kind = problem->severity == CONFIG_WARNING ? "warning: " : "";

    if (problem->line > 0)
        (void)snprintf(text, text_bytes, "%s:%u: %s%s", problem->file, problem->line, kind,
                       problem->text);
    else
        (void)snprintf(text, text_bytes, "%s: %s%s", problem->file, kind, problem->text);
    return text;
}
