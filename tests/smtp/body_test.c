#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "smtp/block.h"
#include "smtp/body.h"

#define TEXT_MAX 4096

struct result {
    struct smtp_body facts;
    char text[TEXT_MAX];
    size_t len;
    size_t used;
    bool ended;
};

/* Feeds text in pieces of the given size. */
static void run(struct slice text, size_t piece_bytes, struct result *r)
{
    *r = (struct result){ 0 };
    smtp_body_init(&r->facts);
    while (text.len > 0 && !r->ended) {
        struct slice piece = slice_first(text, text.len < piece_bytes ? text.len : piece_bytes);

        text = slice_after(text, piece.len);
        while (piece.len > 0 && !r->ended) {
            struct slice out = { NULL, 0 };
            size_t used;
            enum smtp_body_result result = smtp_body_next(&r->facts, piece, &used, &out);

            piece = slice_after(piece, used);
            r->used += used;
            r->ended = result == SMTP_BODY_END;
            if (result != SMTP_BODY_RUN)
                continue;
            assert_true(out.len > 0 && r->len + out.len <= TEXT_MAX);
            memcpy(r->text + r->len, out.data, out.len);
            r->len += out.len;
        }
    }
}

/* Where the message ends, text.len when it does not. */
static size_t end_plainly(struct slice text)
{
    for (size_t i = 0; i + 3 <= text.len; i++) {
        bool at_start = i == 0 || (i >= 2 && memcmp(text.data + i - 2, "\r\n", 2) == 0);

        if (at_start && memcmp(text.data + i, ".\r\n", 3) == 0)
            return i;
    }
    return text.len;
}

static bool begins_received(struct slice text)
{
    return text.len >= 9 && slice_is_word(slice_first(text, 9), "Received:");
}

/* The same, said as plainly as possible: the whole text is at hand. */
static void run_plainly(struct slice text, struct result *r)
{
    size_t end = end_plainly(text), line = 0;
    bool in_header = true;

    *r = (struct result){ .ended = end < text.len, .len = end };
    r->used = r->ended ? end + 3 : end;
    memcpy(r->text, text.data, end);
    for (size_t i = 0; i < end; i++) {
        char c = text.data[i];
        bool after_cr = i > 0 && text.data[i - 1] == '\r';

        r->facts.has_8bit |= (c & 0x80) != 0;
        r->facts.has_8bit_header |= in_header && (c & 0x80) != 0;
        r->facts.has_bare_lf |= c == '\n' && !after_cr;
        r->facts.has_bare_cr |= c != '\n' && after_cr;
        if (i == line) {
            r->facts.dots_count += c == '.';
            r->facts.received_count +=
                in_header && begins_received(slice_first(slice_after(text, i), end - i));
        }
        if (i + 1 - line > r->facts.line_bytes_max)
            r->facts.line_bytes_max = (uint32_t)(i + 1 - line);
        if (c == '\n' && after_cr) {
            in_header = in_header && i + 1 - line > 2;
            line = i + 1;
        }
    }
    r->facts.bytes_count = end;
}

static void check_same(const struct result *a, const struct result *b, struct slice text)
{
    bool same = a->ended == b->ended && a->len == b->len && memcmp(a->text, b->text, a->len) == 0 &&
                a->used == b->used && a->facts.bytes_count == b->facts.bytes_count &&
                a->facts.dots_count == b->facts.dots_count &&
                a->facts.line_bytes_max == b->facts.line_bytes_max &&
                a->facts.received_count == b->facts.received_count &&
                a->facts.has_8bit == b->facts.has_8bit &&
                a->facts.has_8bit_header == b->facts.has_8bit_header &&
                a->facts.has_bare_lf == b->facts.has_bare_lf &&
                a->facts.has_bare_cr == b->facts.has_bare_cr;

    if (same)
        return;
    for (size_t i = 0; i < text.len; i++)
        print_error(text.data[i] >= ' ' && text.data[i] <= '~' ? "%c" : "\\x%02x",
                    (unsigned char)text.data[i]);
    fail_msg("ended %d %d, len %zu %zu, line %u %u", a->ended, b->ended, a->len, b->len,
             a->facts.line_bytes_max, b->facts.line_bytes_max);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t random_text(char text[static TEXT_MAX], uint64_t *state)
{
    static const char *const words[] = { "\r\n", "\r\n.",    ".", "..",        "\r",
                                         "\n",   "\r\n\r\n", "x", "Received:", "\r\nreceived: a",
                                         "\xe4", "\r\n.\r" };
    size_t len = 0, want = next_random(state) % 1000;
    bool is_wild = next_random(state) % 2 == 0;

    if (next_random(state) % 2 == 0)
        len = (size_t)snprintf(text, TEXT_MAX, "A: b\r\n\r\n");
    while (len < want) {
        const char *word = words[next_random(state) % ARRAY_LEN(words)];
        size_t run = next_random(state) % 90;

        if (!is_wild || next_random(state) % 2 == 0) {
            memset(text + len, 'a' + (int)(next_random(state) % 20), run);
            len += run;
        }
        if (!is_wild && (word[0] != '\r' || strlen(word) < 2))
            word = "\r\n";
        memcpy(text + len, word, strlen(word));
        len += strlen(word);
    }
    memcpy(text + len, "\r\n.\r\nQUIT", 9);
    return len + 9;
}

/* A body as a whole, without the line that ends it. */
static void check_looked_at(const struct result *plain, struct slice text)
{
    static struct result looked;

    looked = *plain;
    assert_true(smtp_body_look(slice_first(text, plain->len), &looked.facts));
    check_same(plain, &looked, text);
}

static void any_cut_and_the_fast_path_give_what_the_plain_words_say(void **unused)
{
    static struct result plain, cut;
    uint64_t seed = 0x5eed0001, state = seed;

    (void)unused;
    print_message("seed %llx\n", (unsigned long long)seed);
    for (int round = 0; round < 20000; round++) {
        char text[TEXT_MAX];
        struct slice s = { text, random_text(text, &state) };

        run_plainly(s, &plain);
        assert_true(plain.ended);
        run(s, s.len, &cut);
        check_same(&plain, &cut, s);
        run(s, 1, &cut);
        check_same(&plain, &cut, s);
        run(s, 1 + next_random(&state) % 130, &cut);
        check_same(&plain, &cut, s);
        check_looked_at(&plain, s);
    }
}

#if SMTP_BLOCK_HAS_AVX2
static struct smtp_block look_fast(const char *bytes)
{
    return __builtin_cpu_supports("avx2") ? smtp_block_look_avx2(bytes) : smtp_block_look(bytes);
}
#else
static struct smtp_block look_fast(const char *bytes)
{
    return smtp_block_look(bytes);
}
#endif

static void all_versions_of_a_block_look_alike(void **unused)
{
    uint64_t state = 0x5eed0002;

    (void)unused;
    for (int round = 0; round < 10000; round++) {
        static const char choice[] = "\r\n.a\x80\xff\x0b";
        char bytes[SMTP_BLOCK_BYTES];
        struct smtp_block a, b, c;
        unsigned kinds = round % 2 == 0 ? 4 : sizeof(choice) - 1; /* the first few are 7-bit */

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = choice[next_random(&state) % kinds];
        a = smtp_block_look(bytes);
        b = smtp_block_look_plain(bytes);
        c = look_fast(bytes);
        assert_true(a.cr == b.cr && a.lf == b.lf && a.dot == b.dot && a.has_high == b.has_high);
        assert_true(c.cr == b.cr && c.lf == b.lf && c.dot == b.dot && c.has_high == b.has_high);
    }
}

static void what_an_end_is_and_what_not(void **unused)
{
    static const struct {
        const char *text, *body; /* body NULL: no end */
    } cases[] = {
        { ".\r\n", "" },
        { "\r\n.\r\n", "\r\n" },
        { "a\r\n.\r\nb", "a\r\n" },
        { "..\r\n.\r\n", "..\r\n" },
        { ".\r.\r\n.\r\n", ".\r.\r\n" },
        { ".\n.\r\n", NULL },
        { "a\n.\r\n", NULL },
        { "a\r.\r\n", NULL },
        { "a\n.\n", NULL },
        { "a\r\n.\n", NULL },
        { "a\r\n.\r", NULL },
        { "a\r\n. \r\n", NULL },
    };
    static struct result r;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_from(cases[i].text);

        for (size_t piece = 1; piece <= text.len; piece++) {
            run(text, piece, &r);
            assert_int_equal(r.ended, cases[i].body != NULL);
            if (r.ended)
                assert_true(
                    slice_equal((struct slice){ r.text, r.len }, slice_from(cases[i].body)));
        }
    }
}

static void what_is_looked_at_is_a_whole_body(void **unused)
{
    static const struct {
        const char *text;
        bool is_body;
    } cases[] = { { "", true },        { "a\r\n", true },  { "..\r\n", true },
                  { "a", false },      { "a\r", false },   { "a\n", false },
                  { "a\r\n.", false }, { ".\r\n", false }, { "a\r\n.\r\nb\r\n", false } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_body facts = { .line_bytes_max = 77 };

        assert_int_equal(smtp_body_look(slice_from(cases[i].text), &facts), cases[i].is_body);
        if (!cases[i].is_body)
            assert_int_equal(facts.line_bytes_max, 77);
    }
}

static void the_header_is_told_from_what_is_behind_it(void **unused)
{
    static const struct {
        const char *text;
        bool has_8bit, has_8bit_header;
    } cases[] = {
        { "A: b\r\n\r\nc\r\n", false, false },
        { "A: \xc3\xa4\r\n\r\nc\r\n", true, true },
        { "A: b\r\n\r\n\xc3\xa4\r\n", true, false },
        { "A: b\r\n \xe4\r\n\r\n", true, true },
        { "A: b\r\n\r\n\r\n\xe4", true, false },
        { "\r\n\xe4\r\n", true, false },
        { "\xe4\r\n", true, true },
    };
    static struct result r;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_from(cases[i].text);

        for (size_t piece = 1; piece <= text.len; piece++) {
            run(text, piece, &r);
            assert_int_equal(r.facts.has_8bit, cases[i].has_8bit);
            assert_int_equal(r.facts.has_8bit_header, cases[i].has_8bit_header);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_end_is_and_what_not),
        cmocka_unit_test(what_is_looked_at_is_a_whole_body),
        cmocka_unit_test(the_header_is_told_from_what_is_behind_it),
        cmocka_unit_test(all_versions_of_a_block_look_alike),
        cmocka_unit_test(any_cut_and_the_fast_path_give_what_the_plain_words_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
