#include "smtp/reply_parser.h"

void smtp_reply_parser_init(struct smtp_reply_parser *p)
{
    *p = (struct smtp_reply_parser){ .is_done = true };
    smtp_line_init(&p->line);
    buffer_init(&p->text, SMTP_REPLY_TEXT_BYTES_MAX);
}

void smtp_reply_parser_finish(struct smtp_reply_parser *p)
{
    smtp_line_finish(&p->line);
    buffer_finish(&p->text);
}

void smtp_reply_parser_release(struct smtp_reply_parser *p)
{
    smtp_line_release(&p->line);
    if (p->is_done)
        buffer_clear(&p->text); /* its memory is for the next one */
}

bool smtp_reply_parser_is_idle(const struct smtp_reply_parser *p)
{
    return p->is_done && p->line.bytes == 0;
}

/* Adds a line to the text, as much of it as fits. */
static enum status text_append(struct smtp_reply_parser *p, struct slice line)
{
    bool is_first = p->lines_count == 0;
    size_t room = SMTP_REPLY_TEXT_BYTES_MAX - buffer_len(&p->text);
    struct smtp_enhanced enhanced;
    size_t skip = smtp_enhanced_parse(line, &enhanced);
    char *at;

    /* A status code counts when its class is that of the reply (RFC 2034 section 4); the others
     * are words like any. */
    if (skip > 0 && enhanced.class != p->code / 100)
        skip = 0;
    if (skip > 0 && is_first)
        p->enhanced = enhanced;
    line = slice_after(line, skip);
    if (line.len == 0)
        return STATUS_OK;
    if (buffer_len(&p->text) > 0 && room > 0) {
        TRY(buffer_append(&p->text, SLICE(" ")));
        room--;
    }
    if (line.len > room)
        line.len = room;
    if (line.len == 0)
        return STATUS_OK;
    TRY(buffer_reserve(&p->text, line.len, &at));
    for (size_t i = 0; i < line.len; i++)
        at[i] = (unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f ? '?' : line.data[i];
    buffer_commit(&p->text, line.len);
    return STATUS_OK;
}

/* Reads "250", "250 text" or "250-text". RFC 5321 4.2 gives the second digit as 0 to 5; servers in
 * use answer 571 and the like, and only the first digit decides anything (4.3.2). */
static bool line_parse(struct slice line, uint16_t *code_out, bool *is_last_out)
{
    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' || !ascii_is_digit(line.data[1]) ||
        !ascii_is_digit(line.data[2]))
        return false;
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return false;
    *code_out =
        (uint16_t)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0'));
    *is_last_out = line.len == 3 || line.data[3] == ' ';
    return true;
}

static enum smtp_reply_result line_take(struct smtp_reply_parser *p, struct slice line,
                                        struct slice *line_out, struct smtp_reply *reply_out)
{
    uint16_t code;
    bool is_last;

    if (!line_parse(line, &code, &is_last))
        return SMTP_REPLY_BAD;
    if (p->is_done) {
        buffer_clear(&p->text);
        p->enhanced = (struct smtp_enhanced){ 0 };
        p->lines_count = 0;
        p->code = code;
        p->is_done = false;
    }
    /* RFC 5321 4.2.1: "the reply code on each line MUST be the same". */
    if (code != p->code || p->lines_count == SMTP_REPLY_LINES_MAX)
        return SMTP_REPLY_BAD;
    line = slice_after(line, line.len > 3 ? 4 : 3);
    if (text_append(p, line) != STATUS_OK)
        return SMTP_REPLY_NO_MEMORY;
    p->lines_count++;
    *line_out = line;
    if (!is_last)
        return SMTP_REPLY_LINE;
    p->is_done = true;
    *reply_out = (struct smtp_reply){ .code = p->code,
                                      .enhanced = p->enhanced,
                                      .text = buffer_contents(&p->text) };
    return SMTP_REPLY_DONE;
}

enum smtp_reply_result smtp_reply_parser_next(struct smtp_reply_parser *p, struct slice input,
                                              size_t *used_out, struct slice *line_out,
                                              struct smtp_reply *reply_out)
{
    enum smtp_reply_result result = SMTP_REPLY_BAD;
    struct slice line;

    *used_out = 0;
    if (p->is_bad)
        return SMTP_REPLY_BAD;
    switch (smtp_line_next(&p->line, input, used_out, &line)) {
    case SMTP_LINE_PARTIAL: return SMTP_REPLY_MORE;
    case SMTP_LINE_DONE: result = line_take(p, line, line_out, reply_out); break;
    case SMTP_LINE_NO_MEMORY: result = SMTP_REPLY_NO_MEMORY; break;
    case SMTP_LINE_BARE_LF:
    case SMTP_LINE_TOO_LONG:
    case SMTP_LINE_ENDLESS: break;
    }
    p->is_bad = result == SMTP_REPLY_BAD;
    return result;
}
