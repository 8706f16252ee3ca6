#include "smtp/body.h"

#include "base/check.h"
#include "smtp/block.h"

#define MATCH_FAILED 255

static const struct slice received = { "received:", 9 };

void smtp_body_init(struct smtp_body *b)
{
    *b = (struct smtp_body){ .in_header = true, .state = SMTP_BODY_STATE_LINE_START };
}

static bool has_high_bit(struct slice s)
{
    const uint64_t high_bits = 0x8080808080808080ull;
    uint64_t all = 0, word;
    size_t i = 0;

    for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
        memcpy(&word, s.data + i, sizeof(word));
        all |= word;
    }
    for (; i < s.len; i++)
        all |= (unsigned char)s.data[i];
    return (all & high_bits) != 0;
}

static uint32_t saturate(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Compares the start of a header line, which may come in pieces, with "Received:". */
static void header_look(struct smtp_body *b, struct slice piece)
{
    if (b->line_bytes == 0)
        b->matched_bytes = 0;
    for (size_t i = 0; i < piece.len && b->matched_bytes < received.len; i++) {
        if (ascii_lower(piece.data[i]) == received.data[b->matched_bytes])
            b->matched_bytes++;
        else
            b->matched_bytes = MATCH_FAILED;
    }
    if (b->matched_bytes == received.len) {
        b->received_count = saturate((uint64_t)b->received_count + 1);
        b->matched_bytes = MATCH_FAILED;
    }
}

static void line_end(struct smtp_body *b)
{
    if (b->line_bytes > b->line_bytes_max)
        b->line_bytes_max = b->line_bytes;
    if (b->line_bytes == 2)
        b->in_header = false;
    b->line_bytes = 0;
    b->state = SMTP_BODY_STATE_LINE_START;
}

/* Looks at part of a line: up to and with the next LF, or, without one, all there is. */
static void piece_look(struct smtp_body *b, struct slice piece, bool has_lf)
{
    struct slice text = slice_first(piece, piece.len - has_lf);
    bool was_cr = b->state == SMTP_BODY_STATE_WITHIN_CR;
    bool ends_in_cr = text.len > 0 ? text.data[text.len - 1] == '\r' : was_cr;

    if (b->in_header) {
        smtp_tls_required_look(&b->tls_required, piece, b->line_bytes == 0);
        header_look(b, piece);
    }
    if (!(b->in_header ? b->has_8bit_header : b->has_8bit) && has_high_bit(piece)) {
        b->has_8bit = true;
        b->has_8bit_header |= b->in_header;
    }
    if (was_cr && text.len > 0)
        b->has_bare_cr = true;
    if (!b->has_bare_cr && text.len > 1)
        b->has_bare_cr = memchr(text.data, '\r', text.len - 1) != NULL;
    b->line_bytes = saturate((uint64_t)b->line_bytes + piece.len);
    if (has_lf && ends_in_cr) {
        line_end(b);
        return;
    }
    b->has_bare_lf |= has_lf;
    b->state = !has_lf && ends_in_cr ? SMTP_BODY_STATE_WITHIN_CR : SMTP_BODY_STATE_WITHIN;
    if (b->line_bytes > b->line_bytes_max)
        b->line_bytes_max = b->line_bytes;
}

/* What was held back at the start of a line turned out to belong to the body. */
static enum smtp_body_result held_give(struct smtp_body *b, struct slice held,
                                       struct slice *run_out)
{
    b->state = SMTP_BODY_STATE_LINE_START;
    b->dots_count++;
    b->bytes_count += held.len;
    piece_look(b, held, false);
    *run_out = held;
    return SMTP_BODY_RUN;
}

/* What a dot at the start of a line is, as far as the bytes at hand tell. */
enum dot_kind { DOT_OF_BODY, DOT_OF_END, DOT_UNKNOWN };

static enum dot_kind dot_look(struct slice text)
{
    if (text.len >= 2 && text.data[1] != '\r')
        return DOT_OF_BODY;
    if (text.len < 3)
        return DOT_UNKNOWN;
    return text.data[2] == '\n' ? DOT_OF_END : DOT_OF_BODY;
}

/* The lines that end in this block; their lengths are all that is of interest. */
static void block_lines_look(struct smtp_body *b, uint64_t lf)
{
    unsigned start = 0;

    for (; lf != 0; lf &= lf - 1) {
        unsigned end = (unsigned)__builtin_ctzll(lf) + 1;

        b->line_bytes = saturate((uint64_t)b->line_bytes + end - start);
        if (b->line_bytes > b->line_bytes_max)
            b->line_bytes_max = b->line_bytes;
        b->line_bytes = 0;
        start = end;
    }
    b->line_bytes = saturate((uint64_t)b->line_bytes + SMTP_BLOCK_BYTES - start);
    if (b->line_bytes > b->line_bytes_max)
        b->line_bytes_max = b->line_bytes;
}

/* The fast path behind the header section: takes whole blocks as long as each CR and LF is part
 * of a CRLF and no line begins with a dot. Returns how many bytes that was. */
static inline __attribute__((always_inline)) size_t blocks_walk(
    struct smtp_body *b, struct slice text, struct smtp_block (*look)(const char *bytes))
{
    const uint64_t last = 1ull << (SMTP_BLOCK_BYTES - 1);
    size_t at = 0;

    while (text.len - at >= SMTP_BLOCK_BYTES) {
        struct smtp_block k = look(text.data + at);
        uint64_t after_cr = k.cr << 1 | (b->state == SMTP_BODY_STATE_WITHIN_CR);
        uint64_t line_starts = k.lf << 1 | (b->state == SMTP_BODY_STATE_LINE_START);

        if (after_cr != k.lf || (k.dot & line_starts) != 0)
            break;
        block_lines_look(b, k.lf);
        b->has_8bit |= k.has_high;
        b->state = (k.lf & last) != 0   ? SMTP_BODY_STATE_LINE_START
                   : (k.cr & last) != 0 ? SMTP_BODY_STATE_WITHIN_CR
                                        : SMTP_BODY_STATE_WITHIN;
        at += SMTP_BLOCK_BYTES;
    }
    return at;
}

#if SMTP_BLOCK_HAS_AVX2
__attribute__((target("avx2"))) static size_t blocks_look_avx2(struct smtp_body *b,
                                                               struct slice text)
{
    return blocks_walk(b, text, smtp_block_look_avx2);
}

static size_t blocks_look(struct smtp_body *b, struct slice text)
{
    if (__builtin_cpu_supports("avx2"))
        return blocks_look_avx2(b, text);
    return blocks_walk(b, text, smtp_block_look);
}
#else
static size_t blocks_look(struct smtp_body *b, struct slice text)
{
    return blocks_walk(b, text, smtp_block_look);
}
#endif

/* The length of the run that input begins with: all of it, or up to a line whose dot ends the
 * message or cannot be judged yet. */
static size_t run_look(struct smtp_body *b, struct slice input)
{
    size_t at = 0;

    while (at < input.len) {
        struct slice rest = slice_after(input, at);
        const char *lf;
        size_t len;

        if (!b->in_header && (len = blocks_look(b, rest)) > 0) {
            at += len;
            continue;
        }
        if (b->state == SMTP_BODY_STATE_LINE_START && rest.data[0] == '.') {
            if (dot_look(rest) != DOT_OF_BODY)
                break;
            b->dots_count++;
        }
        lf = memchr(rest.data, '\n', rest.len);
        len = lf != NULL ? (size_t)(lf - rest.data) + 1 : rest.len;
        piece_look(b, slice_first(rest, len), lf != NULL);
        at += len;
    }
    return at;
}

enum smtp_body_result smtp_body_next(struct smtp_body *b, struct slice input, size_t *used_out,
                                     struct slice *run_out)
{
    size_t at = 0, len;

    ASSERT(b->state != SMTP_BODY_STATE_ENDED);
    *used_out = 0;
    if (input.len == 0)
        return SMTP_BODY_MORE;

    if (b->state == SMTP_BODY_STATE_DOT) {
        if (input.data[0] != '\r')
            return held_give(b, SLICE("."), run_out);
        b->state = SMTP_BODY_STATE_DOT_CR;
        *used_out = at = 1;
        if (at == input.len)
            return SMTP_BODY_MORE;
    }
    if (b->state == SMTP_BODY_STATE_DOT_CR) {
        if (input.data[at] != '\n')
            return held_give(b, SLICE(".\r"), run_out);
        b->state = SMTP_BODY_STATE_ENDED;
        *used_out = at + 1;
        return SMTP_BODY_END;
    }

    len = run_look(b, input);
    if (len > 0) {
        *run_out = slice_first(input, len);
        *used_out = len;
        b->bytes_count += len;
        return SMTP_BODY_RUN;
    }
    if (dot_look(input) == DOT_OF_END) {
        b->state = SMTP_BODY_STATE_ENDED;
        *used_out = 3;
        return SMTP_BODY_END;
    }
    b->state = input.len == 1 ? SMTP_BODY_STATE_DOT : SMTP_BODY_STATE_DOT_CR;
    *used_out = input.len;
    return SMTP_BODY_MORE;
}

bool smtp_body_look(struct slice body, struct smtp_body *facts_out)
{
    struct smtp_body b;
    struct slice run;
    size_t used;

    smtp_body_init(&b);
    while (body.len > 0 && smtp_body_next(&b, body, &used, &run) == SMTP_BODY_RUN)
        body = slice_after(body, used);
    if (body.len > 0 || b.state != SMTP_BODY_STATE_LINE_START)
        return false;
    *facts_out = b;
    return true;
}
