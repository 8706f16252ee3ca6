#include "smtp/trace.h"

#include <stdio.h>

#define WORD_BYTES_MAX  (512 + IP_TEXT_MAX)
#define TRACE_BYTES_MAX 4096

/* Writes words with a space between them, and begins a new line where the column is reached. */
struct fold {
    struct buffer *out;
    size_t column;
};

/* A header must not be broken, nor a comment be closed, by what a peer says: RFC 5322 3.2.2. */
static char safe_char(char c)
{
    return c <= ' ' || c > '~' || c == '(' || c == ')' || c == '\\' ? '?' : c;
}

static size_t word_put(char *word, size_t at, struct slice text)
{
    for (size_t i = 0; i < text.len && at < WORD_BYTES_MAX; i++)
        word[at++] = text.data[i];
    return at;
}

static size_t word_put_safe(char *word, size_t at, struct slice text, size_t bytes_max)
{
    for (size_t i = 0; i < text.len && i < bytes_max && at < WORD_BYTES_MAX; i++)
        word[at++] = safe_char(text.data[i]);
    return at;
}

static enum status fold_word(struct fold *f, struct slice word)
{
    if (f->column + 1 + word.len > SMTP_TRACE_COLUMNS_MAX) {
        TRY(buffer_append(f->out, SLICE("\r\n ")));
        f->column = 1;
    } else {
        TRY(buffer_append(f->out, SLICE(" ")));
        f->column++;
    }
    f->column += word.len;
    return buffer_append(f->out, word);
}

/* Text of several words; their spaces are where it may be folded. */
static enum status fold_text(struct fold *f, struct slice text)
{
    while (text.len > 0) {
        struct slice word = slice_cut(&text, ' ');

        if (word.len > 0)
            TRY(fold_word(f, word));
    }
    return STATUS_OK;
}

/* "([192.0.2.1])", "(mail.example.com [IPv6:2001:db8::1])": RFC 5321 4.4, TCP-info. */
static enum status fold_peer(struct fold *f, const struct smtp_trace *t)
{
    char word[WORD_BYTES_MAX], ip[IP_TEXT_MAX];
    size_t len = word_put(word, 0, SLICE("("));

    if (t->peer_name.len > 0) {
        len = word_put_safe(word, len, t->peer_name, 255);
        TRY(fold_word(f, (struct slice){ word, len }));
        len = 0;
    }
    len = word_put(word, len, ip_is_v4(&t->peer) ? SLICE("[") : SLICE("[IPv6:"));
    len = word_put(word, len, slice_from(ip_format(&t->peer, ip)));
    len = word_put(word, len, SLICE("])"));
    return fold_word(f, (struct slice){ word, len });
}

static enum status fold_safe(struct fold *f, struct slice before, struct slice text,
                             struct slice after)
{
    char word[WORD_BYTES_MAX];
    size_t len = word_put(word, 0, before);

    len = word_put_safe(word, len, text, 255);
    len = word_put(word, len, after);
    return fold_word(f, (struct slice){ word, len });
}

/* RFC 5321 4.4, RFC 3848 and RFC 6531 4.3. There is no name for TLS without EHLO. */
static const char *protocol(const struct smtp_trace *t)
{
    if (t->smtputf8)
        return t->tls ? "UTF8SMTPS" : "UTF8SMTP";
    if (!t->esmtp)
        return "SMTP";
    return t->tls ? "ESMTPS" : "ESMTP";
}

/* The words of the comment, each made safe. */
static enum status fold_tls_detail(struct fold *f, struct slice detail)
{
    bool is_first = true;

    detail = slice_trim(detail);
    while (detail.len > 0) {
        struct slice word = slice_cut(&detail, ' ');

        detail = slice_trim(detail);
        TRY(fold_safe(f, is_first ? SLICE("(") : SLICE(""), word,
                      detail.len == 0 ? SLICE(")") : SLICE("")));
        is_first = false;
    }
    return STATUS_OK;
}

/* An address was parsed when it came, and stands as it is; UTF-8 is legal then (RFC 6532 3.2). */
static enum status fold_recipient(struct fold *f, struct slice recipient)
{
    char word[WORD_BYTES_MAX];
    size_t len = word_put(word, 0, SLICE("<"));

    for (size_t i = 0; i < recipient.len && len < WORD_BYTES_MAX - 1; i++) {
        char c = recipient.data[i];

        word[len++] = (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
    }
    word[len++] = '>';
    TRY(fold_word(f, SLICE("for")));
    return fold_word(f, (struct slice){ word, len });
}

static enum status received_write(struct buffer *out, const struct smtp_trace *t)
{
    struct fold f = { .out = out, .column = sizeof("Received:") - 1 };
    char text[64];

    TRY(buffer_append(out, SLICE("Received:")));
    TRY(fold_word(&f, SLICE("from")));
    TRY(fold_safe(&f, SLICE(""), t->helo.len > 0 ? t->helo : SLICE("unknown"), SLICE("")));
    TRY(fold_peer(&f, t));
    TRY(fold_word(&f, SLICE("by")));
    TRY(fold_safe(&f, SLICE(""), t->host, SLICE("")));
    (void)snprintf(text, sizeof(text), "with %s id %llu", protocol(t), (unsigned long long)t->mid);
    TRY(fold_text(&f, slice_from(text)));
    TRY(fold_tls_detail(&f, t->tls_detail));
    if (t->recipient.len > 0)
        TRY(fold_recipient(&f, t->recipient));
    (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(t->date));
    TRY(buffer_append(out, SLICE(";")));
    f.column++;
    TRY(fold_text(&f, slice_from(text)));
    return buffer_append(out, SLICE("\r\n"));
}

enum status smtp_trace_write(struct buffer *out, const struct smtp_trace *t)
{
    struct buffer line;
    enum status status;

    /* On the side, so that a line that cannot be written whole leaves nothing behind. */
    buffer_init(&line, TRACE_BYTES_MAX);
    status = received_write(&line, t);
    if (status == STATUS_OK)
        status = buffer_append(out, buffer_contents(&line));
    buffer_finish(&line);
    return status;
}
