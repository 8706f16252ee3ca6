#include "observe/line.h"

#include "base/check.h"

#define END           "...\n"
#define TEXT_MAX      (OBSERVE_LINE_BYTES_MAX - (sizeof(END) - 1))
#define UTF8_BYTES    4  /* of the longest character */
#define NUMBER_DIGITS 20 /* of the largest uint64_t */

static const char *const levels[] = {
    [OBSERVE_INFO] = " Info: ",
    [OBSERVE_WARNING] = " Warning: ",
    [OBSERVE_CRITICAL] = " Critical: ",
    [OBSERVE_DEBUG] = " Debug: ",
};

/* All of it or nothing; once something did not fit, nothing follows. */
static void put_whole(struct observe_line *l, const char *bytes, size_t len)
{
    if (l->full || len > TEXT_MAX - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->bytes + l->len, bytes, len);
    l->len += len;
}

/* As much as fits; may be cut anywhere, so plain ASCII only. */
static void put_ascii(struct observe_line *l, const char *bytes, size_t len)
{
    size_t room = TEXT_MAX - l->len;

    put_whole(l, bytes, len < room ? len : room);
    l->full = l->full || len > room;
}

void observe_line_init(struct observe_line *l)
{
    l->len = 0;
    l->date_len = 0;
}

void observe_line_begin(struct observe_line *l, enum observe_level level, time_t wall_s)
{
    if (l->date_len == 0 || l->date_s != wall_s) {
        l->date_s = wall_s;
        l->date_len = strlen(clock_format_log(wall_s, l->date));
    }
    ASSERT((size_t)level < ARRAY_LEN(levels));
    l->len = 0;
    l->full = false;
    put_whole(l, l->date, l->date_len);
    observe_line_text(l, levels[level]);
}

struct slice observe_line_end(struct observe_line *l)
{
    const char *end = l->full ? END : "\n";
    size_t len = strlen(end);

    ASSERT(l->len <= TEXT_MAX);
    memcpy(l->bytes + l->len, end, len);
    return (struct slice){ l->bytes, l->len + len };
}

void observe_line_text(struct observe_line *l, const char *text)
{
    put_ascii(l, text, strlen(text));
}

void observe_line_number(struct observe_line *l, uint64_t number)
{
    char digits[NUMBER_DIGITS];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_whole(l, digits + at, sizeof(digits) - at);
}

static bool is_continuation(struct slice text, size_t at)
{
    return at < text.len && ((unsigned char)text.data[at] & 0xc0) == 0x80;
}

/* How many bytes the UTF-8 character at the start of text has (RFC 3629 4); 0 when there is
 * none, or when it is one that must not reach a terminal: a C1 control, a line separator, or a
 * mark that turns the direction of writing and so lets a text look like another one. */
static size_t printable_utf8(struct slice text)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = (unsigned char)text.data[0];
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = first & (0xffu >> (len + 1));

    if (first < 0xc2 || first > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (!is_continuation(text, i))
            return 0;
        c = c << 6 | ((unsigned char)text.data[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    if (c < 0xa0 || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069))
        return 0;
    return len;
}

static void put_escape(struct observe_line *l, char c)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)c;
    char escape[] = { '\\', 'x', digits[byte >> 4], digits[byte & 15] };

    switch (c) {
    case '\n': put_whole(l, "\\n", 2); break;
    case '\r': put_whole(l, "\\r", 2); break;
    case '\t': put_whole(l, "\\t", 2); break;
    default: put_whole(l, escape, sizeof(escape)); break;
    }
}

static bool is_plain(char c, char quote)
{
    return c >= ' ' && c <= '~' && (quote == '\0' || (c != quote && c != '\\'));
}

/* How many bytes at the start of text need no escape. Eight at a time where there is no quote to
 * look for: nearly all text is plain, and looking at each byte costs as much as all the rest. */
static size_t plain_run(struct slice text, char quote)
{
    const uint64_t ones = 0x0101010101010101, tops = ones << 7;
    size_t run = 0;

    while (quote == '\0' && text.len - run >= sizeof(uint64_t)) {
        uint64_t word, below_space, above_tilde;

        memcpy(&word, text.data + run, sizeof(word));
        below_space = (word - ones * ' ') & ~word;
        above_tilde = word | (word + ones);
        if (((below_space | above_tilde) & tops) != 0)
            break;
        run += sizeof(word);
    }
    while (run < text.len && is_plain(text.data[run], quote))
        run++;
    return run;
}

/* quote: the character that stands around the text and has a backslash inside it; or NUL. */
static void put_escaped(struct observe_line *l, struct slice text, char quote)
{
    while (text.len > 0 && !l->full) {
        size_t run = plain_run(text, quote);

        put_ascii(l, text.data, run);
        text = slice_after(text, run);
        if (text.len == 0)
            break;
        run = printable_utf8(text);
        ASSERT(run <= UTF8_BYTES);
        if (run > 0) {
            put_whole(l, text.data, run);
        } else if (text.data[0] >= ' ' && text.data[0] <= '~') {
            put_whole(l, (char[]){ '\\', text.data[0] }, 2);
            run = 1;
        } else {
            put_escape(l, text.data[0]);
            run = 1;
        }
        text = slice_after(text, run);
    }
}

void observe_line_escaped(struct observe_line *l, struct slice text)
{
    put_escaped(l, text, '\0');
}

void observe_line_quoted(struct observe_line *l, struct slice text)
{
    bool single = text.len > 0 && memchr(text.data, '\'', text.len) != NULL;
    bool twofold = text.len > 0 && memchr(text.data, '"', text.len) != NULL;
    char quote = single && !twofold ? '"' : '\'';

    put_whole(l, &quote, 1);
    put_escaped(l, text, quote);
    put_whole(l, &quote, 1);
}
