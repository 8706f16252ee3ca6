#include "bench/micro/hot_workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/load_histogram.h"
#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/reply_parser.h"
#include "smtp/stuffing.h"
#include "spool/crc32c.h"
#include "spool/draft.h"

#define LINE_BYTES  78
#define PIECE_BYTES 4096 /* of a receive */

struct hot_body {
    struct slice text; /* with the line that ends it */
    char *record;
    char *memory;
};

static const char dialog[] = "MAIL FROM:<newsletter-bounces+someone=example.org@lists.example.com>"
                             " SIZE=4096 BODY=8BITMIME\r\n"
                             "RCPT TO:<someone@example.org>\r\n"
                             "DATA\r\n";
static const char ehlo_reply[] = "250-mx.example.org\r\n250-PIPELINING\r\n250 SIZE 20971520\r\n";
static struct load_histogram histogram;

static void require(bool it_is, const char *what)
{
    if (it_is)
        return;
    fprintf(stderr, "postern: bench: %s\n", what);
    exit(1);
}

static size_t for_each_line(void (*use)(struct slice line))
{
    struct slice rest = slice_from(dialog), line;
    struct smtp_line lines;
    size_t used, count = 0;

    smtp_line_init(&lines);
    while (rest.len > 0) {
        require(smtp_line_next(&lines, rest, &used, &line) == SMTP_LINE_DONE, "lines");
        rest = slice_after(rest, used);
        count++;
        if (use != NULL)
            use(line);
    }
    smtp_line_finish(&lines);
    require(count == 3, "lines are three");
    return sizeof(dialog) - 1;
}

size_t hot_lines_cut(void)
{
    return for_each_line(NULL);
}

static void parse(struct slice line)
{
    struct smtp_command command;

    smtp_command_parse(line, SMTP_EXTENSION_DSN, &command);
    require(command.error == SMTP_COMMAND_OK, "a command");
}

size_t hot_commands_parse(void)
{
    return for_each_line(parse);
}

static size_t path(struct slice text, enum smtp_path_kind kind)
{
    struct slice rest = text;
    struct smtp_mailbox mailbox;

    require(smtp_path_parse(&rest, kind, &mailbox) && rest.len == 0, "a path");
    return text.len;
}

size_t hot_paths_parse(void)
{
    return path(SLICE("<newsletter-bounces+someone=example.org@lists.example.com>"),
                SMTP_PATH_REVERSE) +
           path(SLICE("<someone@example.org>"), SMTP_PATH_FORWARD);
}

size_t hot_reply_parse(void)
{
    struct slice rest = slice_from(ehlo_reply), line;
    struct smtp_reply_parser parser;
    enum smtp_reply_result result = SMTP_REPLY_MORE;
    struct smtp_reply reply;

    smtp_reply_parser_init(&parser);
    while (rest.len > 0) {
        size_t used;

        result = smtp_reply_parser_next(&parser, rest, &used, &line, &reply);
        rest = slice_after(rest, used);
    }
    require(result == SMTP_REPLY_DONE, "a reply");
    smtp_reply_parser_finish(&parser);
    return sizeof(ehlo_reply) - 1;
}

struct hot_body *hot_body_create(size_t bytes, size_t dotted)
{
    struct hot_body *b = calloc(1, sizeof(*b));

    require(b != NULL, "memory");
    b->memory = malloc(bytes + LINE_BYTES + 3);
    b->record = malloc(spool_record_bytes(bytes + LINE_BYTES));
    require(b->memory != NULL && b->record != NULL, "memory");
    for (size_t lines = 0; b->text.len < bytes; lines++) {
        char *line = b->memory + b->text.len;

        memset(line, 'x', LINE_BYTES - 2);
        memcpy(line + LINE_BYTES - 2, "\r\n", 2);
        if (dotted > 0 && lines % dotted == 0)
            memset(line, '.', 2);
        b->text.len += LINE_BYTES;
    }
    memcpy(b->memory + b->text.len, ".\r\n", 3);
    b->text = (struct slice){ b->memory, b->text.len + 3 };
    return b;
}

void hot_body_destroy(struct hot_body *b)
{
    free(b->memory);
    free(b->record);
    free(b);
}

/* Without the line that ends it. */
static struct slice body_of(const struct hot_body *b)
{
    return slice_first(b->text, b->text.len - 3);
}

size_t hot_body_frame(struct hot_body *b)
{
    enum smtp_body_result result = SMTP_BODY_MORE;
    struct slice rest = b->text, run;
    struct smtp_body body;

    smtp_body_init(&body);
    while (result != SMTP_BODY_END) {
        struct slice piece = slice_first(rest, rest.len < PIECE_BYTES ? rest.len : PIECE_BYTES);

        require(rest.len > 0, "a body has an end");
        do {
            size_t used;

            result = smtp_body_next(&body, piece, &used, &run);
            piece = slice_after(piece, used);
            rest = slice_after(rest, used);
        } while (result == SMTP_BODY_RUN);
    }
    return b->text.len;
}

size_t hot_body_unstuff(struct hot_body *b)
{
    struct slice rest = body_of(b);
    struct smtp_stuffing stuffing;
    size_t kept = 0;

    smtp_stuffing_init(&stuffing);
    while (rest.len > 0) {
        size_t used;

        kept += smtp_stuffing_undo(&stuffing, rest, &used).len;
        rest = slice_after(rest, used);
    }
    require(kept > 0, "a body without dots");
    return b->text.len;
}

size_t hot_body_checksum(struct hot_body *b)
{
    struct slice body = body_of(b);
    volatile uint32_t crc = spool_crc32c(0, body.data, body.len);

    (void)crc;
    return body.len;
}

size_t hot_body_checksum_plain(struct hot_body *b)
{
    struct slice body = body_of(b);
    volatile uint32_t crc = spool_crc32c_plain(0, body.data, body.len);

    (void)crc;
    return body.len;
}

static size_t blocks(size_t bytes)
{
    return (bytes + SPOOL_BLOCK_BYTES - 1) / SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
}

size_t hot_body_record(struct hot_body *b)
{
    struct slice body = body_of(b);
    const struct spool_record record = {
        .type = SPOOL_RECORD_MESSAGE,
        .generation = 1,
        .salt = 2,
        .batch = 3,
        .mid = 4,
        .batch_start = SPOOL_BLOCK_BYTES,
        .batch_bytes = (uint32_t)blocks(spool_record_bytes(body.len)),
    };

    return spool_record_encode(&record, body, b->record);
}

size_t hot_body_message(struct hot_body *b)
{
    const struct spool_envelope envelope = {
        .mid = 1,
        .sender = SLICE("sender@example.com"),
        .info = { [SPOOL_INFO_CLIENT_IP] = SLICE("192.0.2.1") },
    };
    struct slice body = body_of(b);
    struct spool_message *message;
    struct spool_draft draft;
    size_t bytes;

    spool_draft_init(&draft);
    require(spool_draft_begin(&draft, &envelope, body.len) == STATUS_OK &&
                spool_draft_add_recipient(&draft, SLICE("someone@example.org")) == STATUS_OK &&
                spool_draft_trace(&draft, SLICE("Received: by mx.example.org\r\n")) == STATUS_OK &&
                spool_draft_body(&draft, body) == STATUS_OK,
            "a draft");
    message = spool_draft_complete(&draft);
    bytes = spool_message_payload(message).len;
    spool_message_destroy(message);
    return bytes;
}

void hot_histogram_record(uint64_t value)
{
    load_histogram_record(&histogram, value);
}

uint64_t hot_histogram_percentile(void)
{
    return load_histogram_percentile(&histogram, 990000);
}
