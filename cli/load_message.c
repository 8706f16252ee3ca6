#include "cli/load_message.h"

#include <stdio.h>

#include "base/hash.h"

#define LINE_BYTES 78 /* CRLF included, RFC 5322 2.1.1 */
#define TEXT_BYTES (LINE_BYTES - 2)

/* Twice the length of a line, so that a line can begin anywhere in its first half. */
static const char filler[] =
    "The quick brown fox jumps over the lazy dog, again and again, until the "
    "day ends; then it sleeps below the old oak, and dreams of 0123456789 "
    "hens that sing.";

_Static_assert(sizeof(filler) - 1 >= (size_t)TEXT_BYTES * 2, "a line can begin at 0..TEXT_BYTES-1");

const char *load_message_id(uint64_t run, uint64_t number, char text[static LOAD_MESSAGE_ID_MAX])
{
    (void)snprintf(text, LOAD_MESSAGE_ID_MAX, "%016llx-%llu", (unsigned long long)run,
                   (unsigned long long)number);
    return text;
}

void load_message_init(struct load_message *m, const struct load_message_facts *f)
{
    char id[LOAD_MESSAGE_ID_MAX];
    int len;

    ASSERT(f->body_bytes <= LOAD_MESSAGE_BODY_MAX);
    load_message_id(f->run, f->number, id);
    m->body_bytes = m->body_left = f->body_bytes == 1 ? 2 : f->body_bytes;
    m->random = hash_number(f->run + f->number);
    m->dots = f->dots;
    m->is_header_out = false;
    len = snprintf(m->header, sizeof(m->header),
                   "From: <%.*s>\r\nTo: <%.*s>\r\nSubject: load %llu\r\nDate: %.*s\r\n"
                   "Message-ID: <%s@load.invalid>\r\nX-Postern-Load-Id: %s\r\n\r\n",
                   SLICE_ARGS(f->sender), SLICE_ARGS(f->recipient), (unsigned long long)f->number,
                   SLICE_ARGS(f->date), id, id);
    ASSERT(len > 0 && (size_t)len < sizeof(m->header));
    m->header_bytes = (size_t)len;
}

uint64_t load_message_bytes(const struct load_message *m)
{
    return m->header_bytes + m->body_bytes;
}

/* A line of `bytes`, CRLF included, that says something else each time and begins with a dot, or
 * is nothing but dots, now and then. */
static size_t make_varied(struct load_message *m, size_t bytes, char line[static LINE_BYTES + 1])
{
    size_t text = bytes - 2, used = 0;

    m->random = hash_number(m->random + 0x9e3779b97f4a7c15u);
    if (text > 0 && (m->random & 3) == 0) {
        size_t dots = 1 + (m->random >> 8) % 3;

        dots = dots < text ? dots : text;
        memset(line, '.', dots + 1); /* one more: the stuffing */
        used = dots + 1;
        text -= dots;
    }
    memcpy(line + used, filler + (m->random >> 16) % TEXT_BYTES, text);
    memcpy(line + used + text, "\r\n", 2);
    return used + text + 2;
}

static size_t make_line(struct load_message *m, char line[static LINE_BYTES + 1])
{
    size_t bytes = m->body_left < LINE_BYTES ? (size_t)m->body_left : LINE_BYTES;

    if (m->body_left - bytes == 1)
        bytes--; /* what is left must hold a CRLF */
    ASSERT(bytes >= 2);
    m->body_left -= bytes;
    if (m->dots)
        return make_varied(m, bytes, line);
    memcpy(line, filler, bytes - 2);
    memcpy(line + bytes - 2, "\r\n", 2);
    return bytes;
}

enum status load_message_next(struct load_message *m, size_t bytes, struct buffer *out,
                              bool *done_out)
{
    size_t added = 0;

    if (!m->is_header_out) {
        TRY(buffer_append(out, (struct slice){ m->header, m->header_bytes }));
        added = m->header_bytes;
        m->is_header_out = true;
    }
    while (m->body_left > 0 && added < bytes) {
        size_t len;
        char *line;

        TRY(buffer_reserve(out, LINE_BYTES + 1, &line));
        len = make_line(m, line);
        buffer_commit(out, len);
        added += len;
    }
    *done_out = m->body_left == 0;
    return STATUS_OK;
}
