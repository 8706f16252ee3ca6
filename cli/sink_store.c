#include "cli/sink_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_MAX_BYTES 40

static const char *name_of(uint64_t number, const char *end, char text[static NAME_MAX_BYTES])
{
    (void)snprintf(text, NAME_MAX_BYTES, "%llu.%s", (unsigned long long)number, end);
    return text;
}

enum status sink_store_unstuff(struct slice bytes, bool *at_line_start, struct buffer *out)
{
    bool at_start = *at_line_start;

    while (bytes.len > 0) {
        const char *newline = memchr(bytes.data, '\n', bytes.len);
        size_t len = newline != NULL ? (size_t)(newline - bytes.data) + 1 : bytes.len;
        struct slice line = slice_first(bytes, len);

        if (at_start && line.data[0] == '.')
            line = slice_after(line, 1);
        TRY(buffer_append(out, line));
        at_start = newline != NULL;
        bytes = slice_after(bytes, len);
    }
    *at_line_start = at_start;
    return STATUS_OK;
}

enum status sink_store_open(struct sink_store *s, int directory, uint64_t number, struct slice head)
{
    char name[NAME_MAX_BYTES];

    *s = (struct sink_store){ .directory = directory, .number = number, .at_line_start = true };
    s->fd = openat(directory, name_of(number, "part", name),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (s->fd < 0)
        return status_from_errno(errno);
    buffer_init(&s->lines, SINK_STORE_BYTES_MAX);
    if (buffer_append(&s->lines, head) == STATUS_OK)
        return STATUS_OK;
    sink_store_drop(s);
    return STATUS_NO_MEMORY;
}

static enum status write_out(struct sink_store *s)
{
    while (buffer_len(&s->lines) > 0) {
        struct slice lines = buffer_contents(&s->lines);
        ssize_t written = write(s->fd, lines.data, lines.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? status_from_errno(errno) : STATUS_NO_SPACE;
        buffer_consume(&s->lines, (size_t)written);
    }
    return STATUS_OK;
}

enum status sink_store_write(struct sink_store *s, struct slice bytes)
{
    enum status status = STATUS_OK;

    if (s->fd < 0)
        return STATUS_IO;
    while (status == STATUS_OK && bytes.len > 0) {
        size_t len = bytes.len < SINK_STORE_BYTES_MAX / 2 ? bytes.len : SINK_STORE_BYTES_MAX / 2;

        if (len > buffer_room(&s->lines))
            status = write_out(s);
        if (status == STATUS_OK)
            status = sink_store_unstuff(slice_first(bytes, len), &s->at_line_start, &s->lines);
        bytes = slice_after(bytes, len);
    }
    if (status != STATUS_OK)
        sink_store_drop(s);
    return status;
}

enum status sink_store_close(struct sink_store *s)
{
    char part[NAME_MAX_BYTES], whole[NAME_MAX_BYTES];
    enum status status = s->fd >= 0 ? write_out(s) : STATUS_IO;

    if (status == STATUS_OK && renameat(s->directory, name_of(s->number, "part", part),
                                        s->directory, name_of(s->number, "eml", whole)) != 0)
        status = status_from_errno(errno);
    if (status != STATUS_OK) {
        sink_store_drop(s);
        return status;
    }
    (void)close(s->fd);
    s->fd = -1;
    buffer_finish(&s->lines);
    return STATUS_OK;
}

void sink_store_drop(struct sink_store *s)
{
    char name[NAME_MAX_BYTES];

    if (s->fd < 0)
        return;
    (void)close(s->fd);
    (void)unlinkat(s->directory, name_of(s->number, "part", name), 0);
    s->fd = -1;
    buffer_finish(&s->lines);
}
