#include "tests/observe/support.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* Writes texts as lines into a fresh log and returns what stands behind its two first lines. */
static char *write_texts(const struct slice *texts, size_t count, char **all_out)
{
    struct observe_log *log;
    char *rest;

    (void)unlink(log_path);
    log = open_log(log_path, 1);
    for (size_t i = 0; i < count; i++)
        observe_log_text(observe_log_writer(log, 0), OBSERVE_INFO, NOW_S, texts[i]);
    observe_log_destroy(log);
    *all_out = rest = read_file(log_path);
    skip_lines(&rest, 2);
    return rest;
}

static void a_file_begins_and_ends_as_asyncos_says(void **unused)
{
    struct observe_log *log;
    char *all, *rest;
    const char *const ends[] = { " Info: Begin Logfile", " Info: Version: " POSTERN_VERSION, NULL,
                                 " Info: End Logfile" };

    (void)unused;
    (void)unlink(log_path);
    log = open_log(log_path, 1);
    observe_log_line(observe_log_writer(log, 0), OBSERVE_WARNING, NOW_S, "%s %d", "hello", 7);
    observe_log_flush(observe_log_writer(log, 0));
    observe_log_destroy(log);
    all = rest = read_file(log_path);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        const char *line = next_line(&rest);

        assert_non_null(line);
        assert_true(strlen(line) > 24);
        assert_string_equal(i == 2 ? line : line + 24,
                            i == 2 ? "Sun Nov 22 17:54:00 2026 Warning: hello 7" : ends[i]);
    }
    assert_null(next_line(&rest));
    free(all);
}

static void every_level_has_its_word(void **unused)
{
    static const char *const words[] = { "Info: x", "Warning: x", "Critical: x", "Debug: x" };
    struct observe_log *log;
    char *all, *rest;

    (void)unused;
    (void)unlink(log_path);
    log = open_log(log_path, 1);
    for (unsigned level = OBSERVE_INFO; level <= OBSERVE_DEBUG; level++)
        observe_log_line(observe_log_writer(log, 0), level, NOW_S + level, "x");
    observe_log_destroy(log);
    all = rest = read_file(log_path);
    skip_lines(&rest, 2);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *line = next_line(&rest);

        assert_int_equal(line[18], '0' + (int)i); /* the second */
        assert_string_equal(line + 25, words[i]);
    }
    free(all);
}

static void a_peer_can_neither_forge_a_line_nor_drive_a_terminal(void **unused)
{
    static const struct {
        struct slice text;
        const char *line;
    } cases[] = {
#define CASE(text, line) { { text, sizeof(text) - 1 }, PREFIX line }
        CASE("a\nSun Nov 22 17:54:00 2026 Info: ICID 1 close",
             "a\\nSun Nov 22 17:54:00 2026 Info: ICID 1 close"),
        CASE("a\r\nb\tc", "a\\r\\nb\\tc"),
        CASE("\0\x01\x1b[31m\x7f", "\\x00\\x01\\x1b[31m\\x7f"),
        CASE("C:\\x", "C:\\x"),
        CASE("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x93\xa7", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x93\xa7"),
        CASE("\xc3", "\\xc3"),
        CASE("\xe2\x82", "\\xe2\\x82"),
        CASE("\xe4 latin", "\\xe4 latin"),
        CASE("\xc0\x8a \xe0\x80\x8a", "\\xc0\\x8a \\xe0\\x80\\x8a"), /* newlines, overlong */
        CASE("\xc2\x85 \xc2\x9b"
             "31m",
             "\\xc2\\x85 \\xc2\\x9b"
             "31m"), /* C1: NEL, CSI */
        CASE("\xe2\x80\xa8 \xe2\x80\xae", "\\xe2\\x80\\xa8 \\xe2\\x80\\xae"),
        CASE("\xed\xa0\x80 \xf4\x90\x80\x80 \xff", "\\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xff"),
#undef CASE
    };
    struct slice texts[ARRAY_LEN(cases)];
    char *all, *rest;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        texts[i] = cases[i].text;
    rest = write_texts(texts, ARRAY_LEN(cases), &all);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(next_line(&rest), cases[i].line);
    free(all);
}

static void every_byte_is_judged_alike_at_every_place(void **unused)
{
    static char texts[256 * 20][20];
    struct slice slices[ARRAY_LEN(texts)];
    char *all, *rest;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        memset(texts[i], 'x', sizeof(texts[i]));
        texts[i][i % 20] = (char)(i / 20);
        slices[i] = (struct slice){ texts[i], sizeof(texts[i]) };
    }
    rest = write_texts(slices, ARRAY_LEN(slices), &all);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *line = next_line(&rest);
        char escape[8];
        unsigned c = (unsigned)i / 20;

        (void)snprintf(escape, sizeof(escape),
                       c == '\n'   ? "\\n"
                       : c == '\r' ? "\\r"
                       : c == '\t' ? "\\t"
                                   : "\\x%02x",
                       c);
        if (c >= ' ' && c <= '~')
            (void)snprintf(escape, sizeof(escape), "%c", (int)c);
        assert_non_null(line);
        assert_int_equal(strlen(line), strlen(PREFIX) + 19 + strlen(escape));
        assert_memory_equal(line + strlen(PREFIX) + i % 20, escape, strlen(escape));
    }
    free(all);
}

static void a_long_line_is_cut_between_characters(void **unused)
{
    static const struct {
        const char *unit, *written;
    } cases[] = { { "x", "x" },
                  { "\xc3\xa4", "\xc3\xa4" },
                  { "\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7" },
                  { "\x01", "\\x01" },
                  { "\n", "\\n" } };
    static char text[10000];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t unit_len = strlen(cases[i].unit), written_len = strlen(cases[i].written);

        for (size_t shift = 0; shift < 4; shift++) {
            struct slice whole = { text, sizeof(text) };
            size_t len;
            char *all, *rest, *line;

            memset(text, '-', sizeof(text));
            for (size_t at = shift; at + unit_len <= sizeof(text); at += unit_len)
                memcpy(text + at, cases[i].unit, unit_len);
            rest = write_texts(&whole, 1, &all);
            line = next_line(&rest);
            len = strlen(line);
            assert_in_range(len, OBSERVE_LINE_BYTES_MAX - 5, OBSERVE_LINE_BYTES_MAX - 1);
            assert_string_equal(line + len - 3, "...");
            assert_memory_equal(line + len - 3 - written_len, cases[i].written, written_len);
            free(all);
        }
    }
}

static void a_formatted_line_of_any_length_is_safe(void **unused)
{
    struct observe_log *log;
    char *all, *rest, *line;

    (void)unused;
    (void)unlink(log_path);
    log = open_log(log_path, 1);
    observe_log_line(observe_log_writer(log, 0), OBSERVE_INFO, NOW_S, "%09999d", 7);
    observe_log_destroy(log);
    all = rest = read_file(log_path);
    skip_lines(&rest, 2);
    line = next_line(&rest);
    assert_int_equal(strlen(line), OBSERVE_LINE_BYTES_MAX - 1);
    assert_string_equal(line + OBSERVE_LINE_BYTES_MAX - 5, "0...");
    free(all);
}

#define THREADS      3
#define LINES_EACH   40000
#define LINES_A_TURN 7

static void *write_many(void *argument)
{
    struct observe_log_writer *w = argument;

    for (int i = 0; i < LINES_EACH; i++) {
        observe_log_line(w, OBSERVE_INFO, NOW_S + i / 1000, "W %p N %d", argument, i);
        if (i % LINES_A_TURN == 0)
            observe_log_flush(w);
    }
    observe_log_flush(w);
    return NULL;
}

static void threads_that_write_at_once_keep_their_lines_whole_and_in_order(void **unused)
{
    struct observe_log *log;
    pthread_t threads[THREADS];
    const void *seen[THREADS] = { NULL };
    long next[THREADS] = { 0 };
    uint64_t lines = 0, lost;
    char *all, *rest, *line;

    (void)unused;
    (void)unlink(log_path);
    log = open_log(log_path, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        seen[i] = observe_log_writer(log, i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, observe_log_writer(log, i)),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    lost = observe_log_lost(log);
    observe_log_destroy(log);
    all = rest = read_file(log_path);
    while ((line = next_line(&rest)) != NULL) {
        char *w = strstr(line, "W 0x"), *number = strstr(line, " N ");
        unsigned who = 0;

        if (w == NULL)
            continue;
        while (who < THREADS && (uintptr_t)seen[who] != strtoull(w + 2, NULL, 16))
            who++;
        assert_true(who < THREADS);
        assert_non_null(number);
        assert_true(strtol(number + 3, NULL, 10) >= next[who]);
        next[who] = strtol(number + 3, NULL, 10) + 1;
        lines++;
    }
    assert_int_equal(lines + lost, THREADS * LINES_EACH);
    free(all);
}

#define PLAYERS_MAX 4
#define HAND_OVERS  15000
#define RINGS       256 /* so many that looking at all of them takes longer than a hand-over */

/* Threads that hand a number on to each other, and each write it down before they do. */
struct game {
    struct observe_log *log;
    unsigned players;
    _Atomic unsigned number;
    _Atomic unsigned joined;
    sem_t turns[PLAYERS_MAX]; /* a player sleeps until it is its turn */
};

static unsigned player_of(const struct game *g, unsigned number)
{
    return number * 2654435761u / 65536 % g->players;
}

/* The last number is for everybody. */
static void hand_on(struct game *g, unsigned number)
{
    atomic_store_explicit(&g->number, number, memory_order_release);
    for (unsigned i = 0; i < g->players; i++)
        if (number == HAND_OVERS || player_of(g, number) == i)
            (void)sem_post(&g->turns[i]);
}

static void *play(void *argument)
{
    struct game *g = argument;
    unsigned me = atomic_fetch_add(&g->joined, 1);
    unsigned ring = me * (RINGS - 1) / (g->players - 1);
    struct observe_log_writer *w = observe_log_writer(g->log, ring);
    unsigned number;

    for (;;) {
        while (sem_wait(&g->turns[me]) != 0)
            continue;
        number = atomic_load_explicit(&g->number, memory_order_acquire);
        if (number == HAND_OVERS)
            return NULL;
        observe_log_line(w, OBSERVE_INFO, NOW_S, "N %u %0*d", number, (int)(number * 7 % 50), 0);
        hand_on(g, number + 1);
        if (number % LINES_A_TURN == 0)
            observe_log_flush(w);
    }
}

/* Each time the file is opened again the rings are drained, at any moment of the game. */
static void a_line_never_stands_before_one_that_caused_it(void **unused)
{
    (void)unused;
    for (unsigned players = 2; players <= PLAYERS_MAX; players++) {
        struct game g = { .log = NULL, .players = players };
        pthread_t threads[PLAYERS_MAX];
        uint64_t lost, lines = 0;
        long next = 0;
        char *all, *rest, *line;

        (void)unlink(log_path);
        g.log = open_log(log_path, RINGS);
        for (unsigned i = 0; i < players; i++) {
            assert_int_equal(sem_init(&g.turns[i], 0, 0), 0);
            assert_int_equal(pthread_create(&threads[i], NULL, play, &g), 0);
        }
        hand_on(&g, 0);
        while (atomic_load(&g.number) < HAND_OVERS)
            assert_int_equal(observe_log_reopen(g.log), STATUS_OK);
        for (unsigned i = 0; i < players; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        lost = observe_log_lost(g.log);
        observe_log_destroy(g.log);
        all = rest = read_file(log_path);
        while ((line = next_line(&rest)) != NULL) {
            char *number = strstr(line, " N ");

            if (number == NULL)
                continue;
            assert_true(strtol(number + 3, NULL, 10) >= next);
            next = strtol(number + 3, NULL, 10) + 1;
            lines++;
        }
        assert_int_equal(lines + lost, HAND_OVERS);
        assert_true(lines > HAND_OVERS / 2);
        free(all);
    }
}

struct reader {
    int fd;
    uint64_t lines;
    uint64_t lost_said;
};

static void *read_pipe(void *argument)
{
    struct reader *r = argument;
    FILE *file = fdopen(r->fd, "r");
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, file) > 0) {
        char *lost = strstr(line, " log lines lost\n");

        r->lines += strstr(line, "Info: N ") != NULL;
        if (lost != NULL)
            r->lost_said += strtoull(strstr(line, "Warning: ") + 9, NULL, 10);
    }
    free(line);
    (void)fclose(file);
    return NULL;
}

/* The log goes into a pipe that nobody reads until the ring has run over. */
static void a_full_ring_drops_lines_and_says_how_many(void **unused)
{
    const int lines = 100000; /* several times the ring and the pipe */
    struct reader reader = { 0 };
    struct observe_log *log;
    struct observe_log_writer *w;
    pthread_t thread;
    int ends[2];
    char path[PATH_MAX_BYTES];
    uint64_t lost;

    (void)unused;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
    log = open_log(path, 2);
    w = observe_log_writer(log, 1);
    for (int i = 0; i < lines; i++) {
        observe_log_line(w, OBSERVE_INFO, NOW_S, "N %d", i);
        observe_log_flush(w);
    }
    lost = observe_log_lost(log);
    assert_true(lost > 0 && lost < (uint64_t)lines);
    reader.fd = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, read_pipe, &reader), 0);
    observe_log_destroy(log);
    (void)close(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.lines + lost, lines);
    assert_int_equal(reader.lost_said, lost);
}

static void lines_that_the_disk_refuses_are_counted(void **unused)
{
    struct observe_log *log = open_log("/dev/full", 1);
    struct observe_log_writer *w = observe_log_writer(log, 0);

    (void)unused;
    for (int i = 0; i < 10; i++)
        observe_log_line(w, OBSERVE_INFO, NOW_S, "lost");
    observe_log_flush(w);
    while (observe_log_lost(log) < 12) /* with "Begin Logfile" and "Version" */
        (void)sched_yield();
    assert_int_equal(observe_log_lost(log), 12);
    observe_log_destroy(log);
}

static void after_a_rename_the_log_goes_on_in_a_new_file(void **unused)
{
    struct observe_log *log;
    struct observe_log_writer *w;
    const char *paths[] = { old_path, log_path };
    int expected = 0;

    (void)unused;
    (void)unlink(log_path);
    (void)unlink(old_path);
    log = open_log(log_path, 1);
    w = observe_log_writer(log, 0);
    for (int i = 0; i < 1000; i++)
        observe_log_line(w, OBSERVE_INFO, NOW_S, "N %d", i);
    observe_log_flush(w);
    assert_int_equal(rename(log_path, old_path), 0);
    assert_int_equal(observe_log_reopen(log), STATUS_OK);
    for (int i = 1000; i < 2000; i++)
        observe_log_line(w, OBSERVE_INFO, NOW_S, "N %d", i);
    observe_log_flush(w);
    observe_log_destroy(log);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *all = read_file(paths[i]), *rest = all, *line, *last = NULL;

        assert_non_null(strstr(next_line(&rest), "Info: Begin Logfile"));
        skip_lines(&rest, 1);
        while ((line = next_line(&rest)) != NULL) {
            last = line;
            if (strstr(line, "Info: N ") != NULL)
                assert_int_equal(strtol(strstr(line, " N ") + 3, NULL, 10), expected++);
        }
        assert_non_null(last);
        assert_non_null(strstr(last, "Info: End Logfile"));
        free(all);
    }
    assert_int_equal(expected, 2000);
}

static void what_cannot_be_opened_is_said(void **unused)
{
    static const struct {
        const char *path;
        unsigned writers;
        enum status status;
    } cases[] = {
        { "/nowhere/mail.log", 1, STATUS_NOT_FOUND },
        { "/", 1, STATUS_IO },
        { "-", 0, STATUS_LIMIT },
        { "-", OBSERVE_WRITERS_MAX + 1, STATUS_LIMIT },
        { "-", 1, STATUS_OK },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct observe_log *log = NULL;

        assert_int_equal(observe_log_create(cases[i].path, cases[i].writers, &log),
                         cases[i].status);
        observe_log_destroy(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_begins_and_ends_as_asyncos_says),
        cmocka_unit_test(every_level_has_its_word),
        cmocka_unit_test(a_peer_can_neither_forge_a_line_nor_drive_a_terminal),
        cmocka_unit_test(every_byte_is_judged_alike_at_every_place),
        cmocka_unit_test(a_long_line_is_cut_between_characters),
        cmocka_unit_test(a_formatted_line_of_any_length_is_safe),
        cmocka_unit_test(threads_that_write_at_once_keep_their_lines_whole_and_in_order),
        cmocka_unit_test(a_line_never_stands_before_one_that_caused_it),
        cmocka_unit_test(a_full_ring_drops_lines_and_says_how_many),
        cmocka_unit_test(lines_that_the_disk_refuses_are_counted),
        cmocka_unit_test(after_a_rename_the_log_goes_on_in_a_new_file),
        cmocka_unit_test(what_cannot_be_opened_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
