#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536

/* Where in the syntax a byte stands: an include is one only between settings. */
enum scan_state { SCAN_PLAIN, SCAN_STRING, SCAN_LINE_COMMENT, SCAN_COMMENT };

static enum status add_file(struct config_source *s, const char *path, unsigned depth,
                            const struct config_source_piece *from,
                            struct config_problems *problems);

void config_source_init(struct config_source *s)
{
    *s = (struct config_source){ 0 };
    buffer_init(&s->text, CONFIG_SOURCE_BYTES_MAX);
    arena_init(&s->arena, (size_t)16 << 20);
}

void config_source_finish(struct config_source *s)
{
    buffer_finish(&s->text);
    arena_finish(&s->arena);
    *s = (struct config_source){ 0 };
}

char *config_path_beside(struct arena *arena, const char *file, struct slice name)
{
    const char *slash = strrchr(file, '/');
    size_t folder = slash != NULL ? (size_t)(slash - file) + 1 : 0;
    char *path;

    if (name.len > 0 && name.data[0] == '/')
        folder = 0;
    path = arena_take(arena, folder + name.len + 1, 1);
    if (path == NULL)
        return NULL;
    memcpy(path, file, folder);
    if (name.len > 0)
        memcpy(path + folder, name.data, name.len);
    return path;
}

const char *config_source_where(const struct config_source *s, unsigned line, unsigned *line_out)
{
    size_t low = 0, high = s->pieces_count;

    ASSERT(high > 0);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (s->pieces[middle].first <= line)
            low = middle;
        else
            high = middle;
    }
    *line_out = line < s->pieces[low].first ? s->pieces[low].line
                                            : s->pieces[low].line + (line - s->pieces[low].first);
    return s->pieces[low].file;
}

/* The lines added from here on come from this line of this file. */
static enum status add_piece(struct config_source *s, const char *file, unsigned line)
{
    if (s->pieces == NULL)
        s->pieces = arena_take(&s->arena, CONFIG_SOURCE_PIECES_MAX, sizeof(*s->pieces));
    if (s->pieces == NULL)
        return STATUS_NO_MEMORY;
    if (s->pieces_count == CONFIG_SOURCE_PIECES_MAX)
        return STATUS_LIMIT;
    s->pieces[s->pieces_count++] =
        (struct config_source_piece){ .first = s->lines_count + 1, .line = line, .file = file };
    return STATUS_OK;
}

/* *begin is set to number, that of the line, where a string or a comment begins in it. */
static enum scan_state scan_line(enum scan_state state, struct slice line, unsigned number,
                                 unsigned *begin)
{
    if (state == SCAN_LINE_COMMENT)
        state = SCAN_PLAIN;
    for (size_t i = 0; i < line.len && state != SCAN_LINE_COMMENT; i++) {
        char c = line.data[i], next = i + 1 < line.len ? line.data[i + 1] : '\0';

        if (state == SCAN_STRING) {
            if (c == '"')
                state = SCAN_PLAIN;
            else if (c == '\\')
                i++;
        } else if (state == SCAN_COMMENT) {
            if (c == '*' && next == '/') {
                state = SCAN_PLAIN;
                i++;
            }
        } else if (c == '"') {
            state = SCAN_STRING;
            *begin = number;
        } else if (c == '#' || (c == '/' && next == '/')) {
            state = SCAN_LINE_COMMENT;
        } else if (c == '/' && next == '*') {
            state = SCAN_COMMENT;
            *begin = number;
            i++;
        }
    }
    return state;
}

/* Whether the line is an include; *name_out is then what stands between the quotes. */
static bool is_include(struct slice line, struct slice *name_out)
{
    const struct slice word = SLICE("@include");
    struct slice rest = slice_trim(line);

    if (rest.len < word.len || !slice_equal(slice_first(rest, word.len), word))
        return false;
    rest = slice_trim(slice_after(rest, word.len));
    if (rest.len == 0 || rest.data[0] != '"')
        return false;
    rest = slice_after(rest, 1);
    *name_out = slice_cut(&rest, '"');
    return true;
}

/* Adds the text of one file line by line. depth 0 means that includes are refused. */
static enum status add_text(struct config_source *s, const char *file, struct slice text,
                            unsigned depth, struct config_problems *problems)
{
    enum scan_state state = SCAN_PLAIN;
    struct config_source_piece at = { .file = file };
    unsigned begin = 0;
    unsigned long_begin = 0; /* of the first string that goes on behind its line */
    struct slice name;

    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL) {
        config_problems_add(problems, CONFIG_ERROR, file, 0, "is not text: it has a NUL byte");
        return STATUS_INVALID;
    }
    TRY(add_piece(s, file, 1));
    for (at.line = 1; text.len > 0; at.line++) {
        struct slice line = slice_cut(&text, '\n');

        if (state != SCAN_STRING && state != SCAN_COMMENT && is_include(line, &name)) {
            char *path = config_path_beside(&s->arena, file, name);

            if (path == NULL)
                return STATUS_NO_MEMORY;
            TRY(add_file(s, path, depth, &at, problems));
            TRY(add_piece(s, file, at.line + 1));
            continue;
        }
        state = scan_line(state, line, at.line, &begin);
        if (state == SCAN_STRING && long_begin == 0)
            long_begin = begin;
        TRY(buffer_append(&s->text, line));
        TRY(buffer_append(&s->text, SLICE("\n")));
        s->lines_count++;
    }
    if (state != SCAN_STRING && state != SCAN_COMMENT)
        return STATUS_OK;
    /* A quote that is missing earlier makes strings of all that is between strings. */
    if (state == SCAN_STRING && long_begin != begin)
        config_problems_add(problems, CONFIG_ERROR, file, at.line - 1,
                            "a string is not ended: it begins in line %u, or a quote is missing in "
                            "line %u",
                            begin, long_begin);
    else
        config_problems_add(problems, CONFIG_ERROR, file, at.line - 1,
                            "a %s is not ended: it begins in line %u",
                            state == SCAN_STRING ? "string" : "comment", begin);
    return STATUS_INVALID;
}

/* On failure errno says why. The configuration itself may come out of a pipe. */
static enum status read_all(const char *path, bool must_be_file, struct buffer *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO without a writer is empty */
    enum status status = STATUS_OK;
    ssize_t got = -1;
    struct stat info = { .st_mode = S_IFDIR };
    int error;

    if (fd < 0)
        return status_from_errno(errno);
    errno = EISDIR;
    if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode) && must_be_file && !S_ISREG(info.st_mode))
        errno = EINVAL;
    else if (!S_ISDIR(info.st_mode) && fcntl(fd, F_SETFL, O_RDONLY) == 0) {
        do {
            char *room;

            got = 0;
            status = buffer_reserve(text, READ_BYTES, &room);
            if (status == STATUS_OK)
                got = read(fd, room, READ_BYTES);
            if (got > 0)
                buffer_commit(text, (size_t)got);
        } while (got > 0);
    }
    if (status != STATUS_OK)
        errno = status == STATUS_LIMIT ? EFBIG : ENOMEM;
    else if (got < 0)
        status = STATUS_IO;
    error = errno;
    (void)close(fd);
    errno = error;
    return status;
}

enum status config_file_read(const char *path, struct buffer *text)
{
    return read_all(path, true, text);
}

/* from is the line of the include, or NULL for the first file. */
static enum status add_file(struct config_source *s, const char *path, unsigned depth,
                            const struct config_source_piece *from,
                            struct config_problems *problems)
{
    const char *file = from != NULL ? from->file : path;
    unsigned line = from != NULL ? from->line : 0;
    struct buffer text;
    enum status status;

    if (from != NULL && depth == 0) {
        config_problems_add(problems, CONFIG_ERROR, file, line,
                            "@include is not possible here, or more than %d deep",
                            CONFIG_SOURCE_DEPTH_MAX);
        return STATUS_INVALID;
    }
    buffer_init(&text, CONFIG_SOURCE_BYTES_MAX);
    status = read_all(path, false, &text);
    if (status != STATUS_OK)
        config_problems_add(problems, CONFIG_ERROR, file, line, "cannot read%s%s: %m",
                            from != NULL ? " " : "", from != NULL ? path : "");
    else
        status =
            add_text(s, path, buffer_contents(&text), from != NULL ? depth - 1 : depth, problems);
    buffer_finish(&text);
    return status;
}

/* Ends the text; a failure that has no problem yet gets one. */
static enum status close_text(struct config_source *s, const char *name, enum status status,
                              struct config_problems *problems)
{
    char *end;

    if (status == STATUS_OK)
        status = buffer_reserve(&s->text, 1, &end);
    if (status == STATUS_OK)
        *end = '\0';
    else if (problems->errors_count == 0)
        config_problems_add(problems, CONFIG_ERROR, name, 0, "%s", status_text(status));
    return status;
}

enum status config_source_read(struct config_source *s, const char *path,
                               struct config_problems *problems)
{
    char *name = arena_text(&s->arena, slice_from(path));
    enum status status = STATUS_NO_MEMORY;

    if (name != NULL)
        status = add_file(s, name, CONFIG_SOURCE_DEPTH_MAX, NULL, problems);
    return close_text(s, path, status, problems);
}

enum status config_source_take(struct config_source *s, const char *name, struct slice text,
                               struct config_problems *problems)
{
    char *copy = arena_text(&s->arena, slice_from(name));
    enum status status = copy != NULL ? add_text(s, copy, text, 0, problems) : STATUS_NO_MEMORY;

    s->is_memory = true;
    return close_text(s, name, status, problems);
}
