#include "config/asyncos.h"

#include <stdarg.h>
#include <stdio.h>

#define ARENA_BYTES_MAX (2 * CONFIG_ASYNCOS_BYTES_MAX)
#define NAME_BYTES_MAX  64
#define NOTE_LINES_TEXT 256
#define LOOK_AHEAD_MAX  4096 /* bytes; more than any token may have */

_Static_assert(LOOK_AHEAD_MAX > 2 * CONFIG_ASYNCOS_TEXT_MAX, "a text can be told from its rest");

void config_asyncos_list_init(struct buffer *list, size_t items_max, size_t item_bytes)
{
    buffer_init(list, items_max * item_bytes);
}

bool config_asyncos_push(struct config_asyncos *a, struct buffer *list, const void *item,
                         size_t item_bytes)
{
    enum status status = buffer_append(list, (struct slice){ item, item_bytes });

    if (status == STATUS_OK)
        return true;
    if (a->status == STATUS_OK)
        a->status = status;
    return false;
}

void *config_asyncos_item(const struct buffer *list, size_t index, size_t item_bytes)
{
    ASSERT((index + 1) * item_bytes <= buffer_len(list));
    return (char *)buffer_contents(list).data + index * item_bytes;
}

struct slice config_asyncos_copy(struct config_asyncos *a, struct slice text)
{
    struct slice copy = { NULL, 0 };

    if (!arena_copy(&a->arena, text, &copy) && a->status == STATUS_OK)
        a->status = STATUS_NO_MEMORY;
    return copy;
}

bool config_asyncos_name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX || !ascii_is_letter(name.data[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char c = name.data[i];

        if (!ascii_is_letter(c) && !ascii_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return !slice_is_word(name, "true") && !slice_is_word(name, "false");
}

void config_asyncos_begin(struct config_asyncos *a, const struct config_asyncos_import *import,
                          struct config_problems *problems)
{
    const struct slice bom = SLICE("\xef\xbb\xbf");
    struct slice text = import->text;

    *a = (struct config_asyncos){ .file = import->file,
                                  .problems = problems,
                                  .line = 1,
                                  .is_line_empty = true,
                                  .is_at_margin = true };
    arena_init(&a->arena, ARENA_BYTES_MAX);
    config_asyncos_list_init(&a->comments, CONFIG_ASYNCOS_ITEMS_MAX,
                             sizeof(struct config_asyncos_comment));
    config_asyncos_list_init(&a->marks, 2 * CONFIG_ASYNCOS_ITEMS_MAX, sizeof(uint32_t));
    if (text.len >= bom.len && slice_equal(slice_first(text, bom.len), bom))
        text = slice_after(text, bom.len);
    if (text.len > CONFIG_ASYNCOS_BYTES_MAX)
        config_asyncos_error(a, 0, "is larger than %zu bytes", CONFIG_ASYNCOS_BYTES_MAX);
    else if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        config_asyncos_error(a, 0, "is not text: it has a NUL byte");
    else
        a->rest = text;
}

void config_asyncos_end(struct config_asyncos *a)
{
    buffer_finish(&a->comments);
    buffer_finish(&a->marks);
    arena_finish(&a->arena);
}

static void PRINTF_LIKE(4, 0) report(struct config_asyncos *a, enum config_severity severity,
                                     unsigned line, const char *format, va_list args)
{
    char text[CONFIG_PROBLEM_TEXT_MAX];

    (void)vsnprintf(text, sizeof(text), format, args);
    config_problems_add(a->problems, severity, a->file, line, "%s", text);
}

void config_asyncos_error(struct config_asyncos *a, unsigned line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(a, CONFIG_ERROR, line, format, args);
    va_end(args);
}

void config_asyncos_warn(struct config_asyncos *a, unsigned line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(a, CONFIG_WARNING, line, format, args);
    va_end(args);
}

void config_asyncos_no_row(struct config_asyncos *a)
{
    if (a->status == STATUS_OK && a->problems->errors_count == 0)
        config_asyncos_error(a, 0, "no row in it: it is empty, or has been cut off");
}

void config_asyncos_note(struct config_asyncos *a, struct slice key, const char *reason,
                         unsigned line)
{
    struct config_asyncos_note *note = a->notes;
    struct config_asyncos_note *end = a->notes + a->notes_count;

    while (note < end && (note->reason != reason || !slice_equal_nocase(note->key, key)))
        note++;
    if (note == end && a->notes_count == CONFIG_ASYNCOS_NOTES_MAX) {
        config_asyncos_warn(a, line, "%.*s: %s", SLICE_ARGS(key), reason);
        return;
    }
    if (note == end) {
        *note = (struct config_asyncos_note){ .key = key, .reason = reason };
        a->notes_count++;
    }
    if (note->count < CONFIG_ASYNCOS_LINES_MAX)
        note->lines[note->count] = line;
    note->count++;
}

/* " (also lines 4, 9 and 2 more)"; "" for a single line. */
static const char *other_lines(const struct config_asyncos_note *note, char text[NOTE_LINES_TEXT])
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 1; i < note->count && i < CONFIG_ASYNCOS_LINES_MAX; i++)
        used += (size_t)snprintf(text + used, NOTE_LINES_TEXT - used, "%s%u",
                                 i > 1             ? ", "
                                 : note->count > 2 ? " (also lines "
                                                   : " (also line ",
                                 note->lines[i]);
    if (note->count > CONFIG_ASYNCOS_LINES_MAX)
        (void)snprintf(text + used, NOTE_LINES_TEXT - used, " and %zu more)",
                       note->count - CONFIG_ASYNCOS_LINES_MAX);
    else if (note->count > 1)
        (void)snprintf(text + used, NOTE_LINES_TEXT - used, ")");
    return text;
}

void config_asyncos_report(struct config_asyncos *a)
{
    char lines[NOTE_LINES_TEXT];

    for (size_t i = 0; i < a->notes_count; i++)
        config_asyncos_warn(a, a->notes[i].lines[0], "%.*s: %s%s", SLICE_ARGS(a->notes[i].key),
                            a->notes[i].reason, other_lines(&a->notes[i], lines));
    a->notes_count = 0;
    config_problems_sort(a->problems);
}

static size_t comments_count(const struct config_asyncos *a)
{
    return buffer_len(&a->comments) / sizeof(struct config_asyncos_comment);
}

const struct config_asyncos_comment *config_asyncos_comment_at(const struct config_asyncos *a,
                                                               size_t index)
{
    return config_asyncos_item(&a->comments, index, sizeof(struct config_asyncos_comment));
}

static void add_comment(struct config_asyncos *a, struct slice text, bool is_trailing)
{
    const struct config_asyncos_comment comment = { .text = text, .is_trailing = is_trailing };

    (void)config_asyncos_push(a, &a->comments, &comment, sizeof(comment));
}

void config_asyncos_keep(struct config_asyncos *a, struct slice text)
{
    add_comment(a, text, false);
}

uint32_t config_asyncos_marks_count(const struct config_asyncos *a)
{
    return (uint32_t)(buffer_len(&a->marks) / sizeof(uint32_t));
}

uint32_t config_asyncos_mark(struct config_asyncos *a)
{
    uint32_t count = config_asyncos_marks_count(a), first;

    while (count > 0 && a->comments_used < a->token.comments &&
           config_asyncos_comment_at(a, a->comments_used)->is_trailing)
        a->comments_used++;
    first = (uint32_t)a->comments_used;
    a->comments_used = a->token.comments;
    return config_asyncos_push(a, &a->marks, &first, sizeof(first)) ? count
                                                                    : CONFIG_ASYNCOS_NO_MARK;
}

size_t config_asyncos_marked(const struct config_asyncos *a, uint32_t mark, size_t *first_out)
{
    uint32_t count = config_asyncos_marks_count(a);
    size_t end;

    *first_out = 0;
    if (mark >= count)
        return 0;
    *first_out = *(const uint32_t *)config_asyncos_item(&a->marks, mark, sizeof(uint32_t));
    end = mark + 1 < count
              ? *(const uint32_t *)config_asyncos_item(&a->marks, mark + 1, sizeof(uint32_t))
              : comments_count(a);
    return end - *first_out;
}

/* What is left of the current line, without its end; of a long one only the start, so that a file
 * of one line is not looked through again and again. */
static struct slice line_rest(const struct config_asyncos *a)
{
    struct slice rest =
        slice_first(a->rest, a->rest.len < LOOK_AHEAD_MAX ? a->rest.len : LOOK_AHEAD_MAX);

    return slice_cut(&rest, '\n');
}

static void read_comment(struct config_asyncos *a)
{
    struct slice rest = a->rest, line = slice_cut(&rest, '\n'), text = slice_after(line, 1);

    a->rest = slice_after(a->rest, line.len);
    if (text.len > 0 && text.data[text.len - 1] == '\r')
        text.len--;
    if (text.len > CONFIG_ASYNCOS_COMMENT_MAX)
        text.len = CONFIG_ASYNCOS_COMMENT_MAX;
    add_comment(a, slice_trim(text), !a->is_line_empty);
}

/* Passes over blanks, line ends and comments. */
static void skip_blanks(struct config_asyncos *a)
{
    while (a->rest.len > 0 && a->status == STATUS_OK) {
        char c = a->rest.data[0];

        if (c == '#') {
            read_comment(a);
            continue;
        }
        if (c == '\n') {
            a->line++;
            a->is_line_empty = a->is_at_margin = true;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            a->is_at_margin = false;
        } else {
            return;
        }
        a->rest = slice_after(a->rest, 1);
    }
}

/* Backslashes keep their meaning in front of a quote, of themselves and of an n; elsewhere they
 * are themselves. */
static struct slice unescape(struct config_asyncos *a, struct slice text)
{
    char room[CONFIG_ASYNCOS_TEXT_MAX];
    size_t used = 0;

    if (memchr(text.data, '\\', text.len) == NULL)
        return text;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], next = i + 1 < text.len ? text.data[i + 1] : '\0';

        if (c == '\\' && (next == '"' || next == '\\' || next == 'n')) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        room[used++] = c;
    }
    return config_asyncos_copy(a, (struct slice){ room, used });
}

static struct slice cut_long(struct config_asyncos *a, struct slice text, size_t max,
                             const char *what)
{
    if (text.len <= max)
        return text;
    config_asyncos_error(a, a->line, "%s is longer than %zu bytes", what, max);
    return slice_first(text, max);
}

/* At the opening quote. Returns the bytes that the string takes. */
static size_t read_string(struct config_asyncos *a)
{
    struct slice line = line_rest(a), text;
    size_t end = 1;

    while (end < line.len && line.data[end] != '"')
        end += line.data[end] == '\\' && end + 1 < line.len ? 2 : 1;
    if (end >= line.len) {
        config_asyncos_error(a, a->line, "a string is not ended on its line");
        end = line.len;
    }
    text = slice_first(slice_after(line, 1), end - 1);
    a->token.text = unescape(a, cut_long(a, text, CONFIG_ASYNCOS_TEXT_MAX, "a string"));
    return end < line.len ? end + 1 : end;
}

/* Whether a comment may end in front of what follows: nothing else on the line, the next entry,
 * or a block. */
static bool may_follow_text(struct slice rest)
{
    if (rest.len > 0 && rest.data[rest.len - 1] == '\r')
        rest.len--;
    rest = slice_trim(rest);
    return rest.len == 0 || strchr(",;#{(", rest.data[0]) != NULL;
}

/* The text may have parentheses of its own, not always in pairs ("see :-)"): it ends at a ")" that
 * could be the last, the one that makes pairs if there is one. 0: none ends it. */
static size_t text_end(struct slice line)
{
    size_t depth = 0, found = 0, last = 0;

    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '(')
            depth++;
        if (line.data[i] != ')')
            continue;
        last = i;
        if (depth > 0)
            depth--;
        if (!may_follow_text(slice_after(line, i + 1)))
            continue;
        if (depth == 0)
            return i;
        if (found == 0)
            found = i;
    }
    return found > 0 ? found : last;
}

/* At the "(". Returns the bytes that the text takes. */
static size_t read_text(struct config_asyncos *a)
{
    struct slice line = line_rest(a), text;
    size_t end = text_end(line);

    if (end == 0) {
        config_asyncos_error(a, a->line, "a comment in parentheses is not ended on its line");
        end = line.len;
    }
    text = slice_trim(slice_first(slice_after(line, 1), end - 1));
    a->token.text = cut_long(a, text, CONFIG_ASYNCOS_TEXT_MAX, "a comment in parentheses");
    return end < line.len ? end + 1 : end;
}

static bool ends_word(char c)
{
    return c == ' ' || strchr("\t\r\n,;(){}=\"#", c) != NULL;
}

static size_t read_word(struct config_asyncos *a)
{
    struct slice line = line_rest(a);
    size_t end = 0;

    while (end < line.len && !ends_word(line.data[end])) {
        const char *bracket = NULL;

        if (line.data[end] == '[')
            bracket = memchr(line.data + end, ']', line.len - end);
        end = bracket != NULL ? (size_t)(bracket - line.data) + 1 : end + 1;
    }
    a->token.text = cut_long(a, slice_first(line, end), CONFIG_ASYNCOS_WORD_MAX, "a word");
    return end;
}

static enum config_asyncos_kind kind_of(char c)
{
    switch (c) {
    case ',':
    case ';': return CONFIG_ASYNCOS_COMMA;
    case '=': return CONFIG_ASYNCOS_EQUALS;
    case '{': return CONFIG_ASYNCOS_OPEN;
    case '}': return CONFIG_ASYNCOS_CLOSE;
    case '"': return CONFIG_ASYNCOS_STRING;
    case '(': return CONFIG_ASYNCOS_TEXT;
    default: return CONFIG_ASYNCOS_WORD;
    }
}

void config_asyncos_next(struct config_asyncos *a)
{
    size_t len = 1;

    skip_blanks(a);
    while (a->rest.len > 0 && a->status == STATUS_OK &&
           (a->rest.data[0] == ')' || (unsigned char)a->rest.data[0] < ' ')) {
        config_asyncos_error(
            a, a->line, a->rest.data[0] == ')' ? "\")\" without \"(\"" : "a control character");
        a->rest = slice_after(a->rest, 1);
        a->is_line_empty = a->is_at_margin = false;
        skip_blanks(a);
    }
    a->token = (struct config_asyncos_token){ .kind = CONFIG_ASYNCOS_END,
                                              .line = a->line,
                                              .is_at_margin = a->is_at_margin,
                                              .comments = comments_count(a) };
    if (a->rest.len == 0 || a->status != STATUS_OK)
        return;
    a->token.kind = kind_of(a->rest.data[0]);
    a->token.text = slice_first(a->rest, 1);
    if (a->token.kind == CONFIG_ASYNCOS_STRING)
        len = read_string(a);
    else if (a->token.kind == CONFIG_ASYNCOS_TEXT)
        len = read_text(a);
    else if (a->token.kind == CONFIG_ASYNCOS_WORD)
        len = read_word(a);
    a->rest = slice_after(a->rest, len);
    a->is_line_empty = a->is_at_margin = false;
}

struct slice config_asyncos_take_text(struct config_asyncos *a)
{
    struct slice text = { NULL, 0 };

    if (a->token.kind == CONFIG_ASYNCOS_TEXT) {
        text = a->token.text;
        config_asyncos_next(a);
    }
    return text;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
            return true;
    return false;
}

/* Where the comment of a line begins; its length when it has none. */
static size_t comment_at(struct slice line)
{
    size_t at = 0;

    while (at < line.len && !((line.data[at] == '#' || line.data[at] == ';') &&
                              (at == 0 || is_blank(line.data[at - 1]))))
        at++;
    return at;
}

bool config_asyncos_line(struct config_asyncos *a, struct slice *line_out)
{
    while (a->rest.len > 0 && a->status == STATUS_OK) {
        struct slice line = slice_cut(&a->rest, '\n'), text, comment;
        size_t at;

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        at = comment_at(line);
        text = slice_trim(slice_first(line, at));
        comment = slice_after(line, at);
        a->token = (struct config_asyncos_token){ .kind = CONFIG_ASYNCOS_WORD,
                                                  .text = text,
                                                  .line = a->line++,
                                                  .comments = comments_count(a) };
        if (comment.len > CONFIG_ASYNCOS_COMMENT_MAX)
            comment.len = CONFIG_ASYNCOS_COMMENT_MAX;
        if (comment.len > 0)
            add_comment(a, slice_trim(slice_after(comment, 1)), text.len > 0);
        if (has_control(text)) {
            config_asyncos_error(a, a->token.line, "a control character");
            continue;
        }
        if (text.len == 0)
            continue;
        *line_out = text;
        return a->status == STATUS_OK;
    }
    a->token = (struct config_asyncos_token){ .kind = CONFIG_ASYNCOS_END,
                                              .line = a->line,
                                              .comments = comments_count(a) };
    return false;
}
