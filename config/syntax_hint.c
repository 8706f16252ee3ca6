#include "config/syntax_hint.h"

#include <stdio.h>

#define DEPTH_MAX      64 /* of groups and lists; deeper ones get no hint */
#define SHOWN_MAX      40 /* bytes of what is shown */
#define CANDIDATES_MAX 64 /* names of one line that are looked for */

enum kind {
    KIND_END,
    KIND_NAME,
    KIND_VALUE, /* a number or a boolean */
    KIND_STRING,
    KIND_EQUALS,
    KIND_COMMA,
    KIND_SEMICOLON,
    KIND_OPEN,
    KIND_CLOSE,
    KIND_OTHER
};

struct token {
    enum kind kind;
    size_t start, end;
    unsigned first_line, line; /* of its start, and of its end */
};

struct scanner {
    struct slice text;
    size_t at;
    unsigned line;
};

enum expected { WANTS_NAME, WANTS_EQUALS, WANTS_VALUE, WANTS_FIRST, WANTS_MORE };

/* WANTS_FIRST: a value, or the end of a list that is empty. WANTS_MORE: behind a value. */
struct level {
    char open; /* '\0': the text as a whole */
    unsigned line;
    size_t start; /* of what is in it */
};

struct parser {
    struct scanner scanner;
    struct token token, before; /* the current one, and the one before it */
    struct level levels[DEPTH_MAX];
    size_t depth; /* levels are 0 to depth */
    enum expected expected;
    size_t value_at, value_end; /* of the last bare value */
    bool is_joined;             /* no blank since */
    unsigned string_line;       /* where a string of several lines began that ends in ... */
    unsigned string_end_line;   /* ... this line; 0: none */
};

static char byte_at(const struct scanner *s, size_t at)
{
    return at < s->text.len ? s->text.data[at] : '\0';
}

static bool is_name_byte(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '*';
}

static void pass(struct scanner *s)
{
    if (byte_at(s, s->at) == '\n')
        s->line++;
    s->at++;
}

static void skip_line(struct scanner *s)
{
    while (s->at < s->text.len && s->text.data[s->at] != '\n')
        s->at++;
}

static void skip_comment(struct scanner *s)
{
    s->at += 2;
    while (s->at < s->text.len && !(s->text.data[s->at] == '*' && byte_at(s, s->at + 1) == '/'))
        pass(s);
    s->at = s->at + 2 < s->text.len ? s->at + 2 : s->text.len;
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->text.len) {
        char c = s->text.data[s->at], next = byte_at(s, s->at + 1);

        if (c == '#' || (c == '/' && next == '/'))
            skip_line(s);
        else if (c == '/' && next == '*')
            skip_comment(s);
        else if (c == ' ' || (c >= '\t' && c <= '\r'))
            pass(s);
        else
            return;
    }
}

static void read_string(struct scanner *s)
{
    pass(s);
    while (s->at < s->text.len && s->text.data[s->at] != '"') {
        if (s->text.data[s->at] == '\\' && s->at + 1 < s->text.len)
            pass(s);
        pass(s);
    }
    if (s->at < s->text.len)
        pass(s);
}

static void skip_digits(struct scanner *s)
{
    while (ascii_is_digit(byte_at(s, s->at)))
        s->at++;
}

/* False, and nothing passed, when it is no number. "." is one to libconfig. */
static bool read_number(struct scanner *s)
{
    size_t start = s->at;

    if (byte_at(s, s->at) == '+' || byte_at(s, s->at) == '-')
        s->at++;
    if (!ascii_is_digit(byte_at(s, s->at)) && byte_at(s, s->at) != '.') {
        s->at = start;
        return false;
    }
    if (byte_at(s, s->at) == '0' && ascii_lower(byte_at(s, s->at + 1)) == 'x') {
        s->at += 2;
        while (ascii_is_digit(byte_at(s, s->at)) ||
               (ascii_lower(byte_at(s, s->at)) >= 'a' && ascii_lower(byte_at(s, s->at)) <= 'f'))
            s->at++;
    }
    skip_digits(s);
    if (byte_at(s, s->at) == '.') {
        s->at++;
        skip_digits(s);
    }
    while (byte_at(s, s->at) == 'L')
        s->at++;
    return true;
}

static enum kind kind_of(char c)
{
    switch (c) {
    case '=':
    case ':': return KIND_EQUALS;
    case ',': return KIND_COMMA;
    case ';': return KIND_SEMICOLON;
    case '{':
    case '(':
    case '[': return KIND_OPEN;
    case '}':
    case ')':
    case ']': return KIND_CLOSE;
    default: return KIND_OTHER;
    }
}

static struct slice text_of(const struct scanner *s, size_t start, size_t end)
{
    return slice_first(slice_after(s->text, start), end - start);
}

static struct token next_token(struct scanner *s)
{
    struct token t = { .kind = KIND_END };
    struct slice word;
    char c;

    skip_blanks(s);
    t.start = s->at;
    t.first_line = s->line;
    c = byte_at(s, s->at);
    if (s->at == s->text.len) {
        t.kind = KIND_END;
    } else if (c == '"') {
        t.kind = KIND_STRING;
        read_string(s);
    } else if (ascii_is_letter(c) || c == '*') {
        while (is_name_byte(byte_at(s, s->at)))
            s->at++;
        word = text_of(s, t.start, s->at);
        t.kind =
            slice_is_word(word, "true") || slice_is_word(word, "false") ? KIND_VALUE : KIND_NAME;
    } else if (read_number(s)) {
        t.kind = KIND_VALUE;
    } else {
        t.kind = kind_of(c);
        s->at++;
    }
    t.end = s->at;
    t.line = s->line;
    return t;
}

static char first_byte(const struct parser *p)
{
    return byte_at(&p->scanner, p->token.start);
}

static enum expected behind_value(const struct parser *p)
{
    char open = p->levels[p->depth].open;

    return open == '(' || open == '[' ? WANTS_MORE : WANTS_NAME;
}

static void note_value(struct parser *p)
{
    const struct token *t = &p->token;

    if (t->kind == KIND_STRING) {
        p->is_joined = false;
        if (t->first_line == t->line)
            return;
        p->string_line = t->first_line;
        p->string_end_line = t->line;
        return;
    }
    p->value_at = t->start;
    p->value_end = t->end;
    p->is_joined = true;
}

static bool open_level(struct parser *p)
{
    char open = first_byte(p);

    if (p->levels[p->depth].open == '[' || p->depth + 1 == DEPTH_MAX)
        return false;
    p->levels[++p->depth] =
        (struct level){ .open = open, .line = p->token.line, .start = p->token.end };
    p->expected = open == '{' ? WANTS_NAME : WANTS_FIRST;
    return true;
}

static bool close_level(struct parser *p)
{
    static const char pairs[] = "{}()[]";
    char open = p->levels[p->depth].open;

    if (open == '\0' || strchr(pairs, open)[1] != first_byte(p))
        return false;
    p->depth--;
    p->expected = behind_value(p);
    return true;
}

static bool take_value(struct parser *p)
{
    if (p->token.kind == KIND_OPEN)
        return open_level(p);
    if (p->token.kind == KIND_CLOSE && p->expected == WANTS_FIRST)
        return close_level(p);
    if (p->token.kind != KIND_VALUE && p->token.kind != KIND_STRING)
        return false;
    note_value(p);
    p->expected = behind_value(p);
    return true;
}

/* In a group: behind a value, or at its start. */
static bool take_name(struct parser *p)
{
    bool is_behind_value = p->before.kind == KIND_VALUE || p->before.kind == KIND_STRING ||
                           p->before.kind == KIND_CLOSE;

    switch (p->token.kind) {
    case KIND_NAME: p->expected = WANTS_EQUALS; return true;
    case KIND_CLOSE: return close_level(p);
    case KIND_COMMA:
    case KIND_SEMICOLON: return is_behind_value;
    case KIND_STRING: /* it goes on with the one before */
        note_value(p);
        return p->before.kind == KIND_STRING;
    case KIND_END:
    case KIND_VALUE:
    case KIND_EQUALS:
    case KIND_OPEN:
    case KIND_OTHER: return false;
    }
    return false;
}

static bool take_more(struct parser *p)
{
    if (p->token.kind == KIND_COMMA) {
        p->expected = WANTS_VALUE;
        return true;
    }
    if (p->token.kind == KIND_STRING && p->before.kind == KIND_STRING) {
        note_value(p);
        return true;
    }
    return p->token.kind == KIND_CLOSE && close_level(p);
}

/* Whether the current token fits. */
static bool take(struct parser *p)
{
    switch (p->expected) {
    case WANTS_NAME: return take_name(p);
    case WANTS_EQUALS: p->expected = WANTS_VALUE; return p->token.kind == KIND_EQUALS;
    case WANTS_VALUE:
    case WANTS_FIRST: return take_value(p);
    case WANTS_MORE: return take_more(p);
    }
    return false;
}

static void next(struct parser *p)
{
    p->before = p->token;
    p->token = next_token(&p->scanner);
    if (p->token.start != p->before.end)
        p->is_joined = false;
}

static bool ends_word(char c)
{
    return c == '\0' || strchr(" \t\r\n;,(){}[]=\"#", c) != NULL;
}

static struct slice word_from(const struct parser *p, size_t start)
{
    size_t end = start;

    while (end < p->scanner.text.len && !ends_word(p->scanner.text.data[end]))
        end++;
    return text_of(&p->scanner, start, end);
}

/* No more than the first line: what is said of an error is one. */
static struct slice shown(struct slice text)
{
    size_t len = 0;

    while (len < text.len && len < SHOWN_MAX && (unsigned char)text.data[len] >= ' ')
        len++;
    return slice_first(text, len);
}

/* Quotes of a word processor, in UTF-8: U+2018 to U+201F, and U+00AB and U+00BB. */
static bool is_curly(struct slice word)
{
    return (word.len >= 3 && memcmp(word.data, "\xe2\x80", 2) == 0 &&
            (unsigned char)word.data[2] >= 0x98 && (unsigned char)word.data[2] <= 0x9f) ||
           (word.len >= 2 && word.data[0] == '\xc2' &&
            (word.data[1] == '\xab' || word.data[1] == '\xbb'));
}

static bool begins_value(enum kind kind)
{
    return kind == KIND_OPEN || kind == KIND_STRING || kind == KIND_VALUE || kind == KIND_NAME;
}

/* A text without quotes: in place of a value, or going on behind one ("20M"). Empty: none. */
static struct slice bare_word(const struct parser *p, enum expected expected)
{
    struct slice word;

    if ((expected == WANTS_VALUE || expected == WANTS_FIRST) &&
        (p->token.kind == KIND_NAME || p->token.kind == KIND_OTHER))
        return word_from(p, p->token.start);
    if (!p->is_joined)
        return SLICE("");
    word = word_from(p, p->value_at);
    return word.len > p->value_end - p->value_at ? word : SLICE("");
}

static void explain_list(const struct parser *p, enum expected expected, char *text, unsigned *line)
{
    const struct level *level = &p->levels[p->depth];
    enum kind kind = p->token.kind;

    if (expected == WANTS_VALUE && kind == KIND_CLOSE && p->before.kind == KIND_COMMA) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                       "there is a comma too many behind the last entry");
        *line = p->before.line;
    } else if (expected == WANTS_MORE && begins_value(kind)) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "a comma is missing behind the entry");
        *line = p->before.line;
    } else if (expected == WANTS_MORE && kind == KIND_SEMICOLON) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                       "entries are parted by \",\" between \"%c\" and its end", level->open);
    } else if (level->open == '[' && kind == KIND_OPEN) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                       "[ ] has plain values; groups and lists stand in ( )");
    } else if (kind == KIND_CLOSE || kind == KIND_END) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "\"%c\" has to be closed before: it stands",
                       level->open);
        *line = level->line;
    } else {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                       expected == WANTS_MORE ? "a comma or the end of the list has to stand here"
                                              : "a value has to stand here");
    }
}

static void explain_group(const struct parser *p, enum expected expected, char *text,
                          unsigned *line)
{
    const struct level *level = &p->levels[p->depth];
    struct slice before = shown(text_of(&p->scanner, p->before.start, p->before.end));
    enum kind kind = p->token.kind;

    if (expected == WANTS_EQUALS)
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "\"=\" is missing behind %.*s",
                       SLICE_ARGS(before));
    else if (expected == WANTS_VALUE)
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "a value has to stand here");
    else if (kind == KIND_CLOSE && level->open == '\0')
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "nothing is open that it could close");
    else if (kind == KIND_CLOSE || kind == KIND_END) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "\"%c\" has to be closed before: it stands",
                       level->open);
        *line = level->line;
    } else
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "NAME = VALUE has to stand here");
}

static void explain(const struct parser *p, enum expected expected, char *text, unsigned *line)
{
    struct slice bare = shown(bare_word(p, expected));
    char open = p->levels[p->depth].open;

    if (is_curly(word_from(p, p->token.start))) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "quotes have to be plain ones: \"");
    } else if (p->string_end_line != 0 && p->string_end_line >= p->before.first_line) {
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                       "a quote may be missing behind the string that begins");
        *line = p->string_line;
    } else if (p->token.kind == KIND_NAME && expected != WANTS_EQUALS && open == '(') {
        struct scanner ahead = p->scanner;

        if (next_token(&ahead).kind == KIND_EQUALS) {
            (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX,
                           "in ( ) a setting stands in a group: { %.*s = ... }", SLICE_ARGS(bare));
            return;
        }
    }
    if (text[0] != '\0')
        return;
    if (bare.len > 0)
        (void)snprintf(text, CONFIG_SYNTAX_HINT_MAX, "text wants quotes: \"%.*s\"",
                       SLICE_ARGS(bare));
    else if (open == '(' || open == '[')
        explain_list(p, expected, text, line);
    else
        explain_group(p, expected, text, line);
}

static struct parser parser_of(struct slice text)
{
    return (struct parser){ .scanner = { .text = text, .line = 1 }, .expected = WANTS_NAME };
}

struct config_syntax_hint config_syntax_hint(struct slice text, unsigned line)
{
    struct config_syntax_hint hint = { "", 0 };
    struct parser p = parser_of(text);
    enum expected expected;
    char sentence[CONFIG_SYNTAX_HINT_MAX] = "";
    struct slice word;

    do {
        next(&p);
        expected = p.expected;
    } while (p.token.line <= line && take(&p));
    if (p.token.line != line || p.depth + 1 == DEPTH_MAX ||
        (p.token.kind == KIND_END && p.depth == 0 && expected == WANTS_NAME))
        return hint;
    explain(&p, expected, sentence, &hint.line);
    word = p.token.kind == KIND_OTHER ? word_from(&p, p.token.start)
                                      : text_of(&p.scanner, p.token.start, p.token.end);
    if (p.token.kind == KIND_END)
        (void)snprintf(hint.text, sizeof(hint.text), " at the end: %.200s", sentence);
    else if (p.token.kind == KIND_STRING)
        (void)snprintf(hint.text, sizeof(hint.text), " at %.*s: %.200s", SLICE_ARGS(shown(word)),
                       sentence);
    else
        (void)snprintf(hint.text, sizeof(hint.text), " at \"%.*s\": %.200s",
                       SLICE_ARGS(shown(word)), sentence);
    return hint;
}

/* Where a name stood first among the settings of a level; 0: nowhere before its own place. */
static unsigned first_line_of(const struct parser *p, const struct token *name)
{
    const struct level *level = &p->levels[p->depth];
    struct scanner s = { .text = p->scanner.text, .at = level->start, .line = level->line };
    struct slice word = text_of(&s, name->start, name->end);
    struct token t = next_token(&s);
    size_t depth = 0;

    for (; t.kind != KIND_END && t.start < name->start; t = next_token(&s)) {
        if (t.kind == KIND_OPEN)
            depth++;
        else if (t.kind == KIND_CLOSE && depth > 0)
            depth--;
        else if (t.kind == KIND_NAME && depth == 0 &&
                 slice_equal(text_of(&s, t.start, t.end), word))
            return t.line;
    }
    return 0;
}

struct config_syntax_hint config_syntax_hint_duplicate(struct slice text, unsigned line)
{
    struct config_syntax_hint hint = { "", 0 };
    struct parser p = parser_of(text);
    size_t candidates = 0;

    p.levels[0].line = 1;
    for (next(&p); p.token.line <= line && candidates < CANDIDATES_MAX; next(&p)) {
        bool is_name = p.expected == WANTS_NAME && p.token.kind == KIND_NAME;

        if (!take(&p))
            break;
        if (!is_name || p.token.line != line)
            continue;
        candidates++;
        hint.line = first_line_of(&p, &p.token);
        if (hint.line == 0)
            continue;
        (void)snprintf(hint.text, sizeof(hint.text), " \"%.*s\": it stands already",
                       SLICE_ARGS(shown(text_of(&p.scanner, p.token.start, p.token.end))));
        return hint;
    }
    return (struct config_syntax_hint){ "", 0 };
}
