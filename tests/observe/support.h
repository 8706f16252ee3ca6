/* tests/observe/support.h - what the tests of observe/ share: a log in a temporary folder, and
 * what stands in it afterwards. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "observe/maillog.h"

#define PREFIX         "Sun Nov 22 17:54:00 2026 Info: "
#define NOW_S          ((time_t)1795370040)
#define PATH_MAX_BYTES 64

static char folder[] = "/tmp/postern-observe-XXXXXX";
static char log_path[PATH_MAX_BYTES];
static char old_path[PATH_MAX_BYTES];

static inline int make_folder(void **unused)
{
    (void)unused;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(log_path, sizeof(log_path), "%s/mail.log", folder);
    (void)snprintf(old_path, sizeof(old_path), "%s/mail.log.1", folder);
    return 0;
}

static inline int remove_folder(void **unused)
{
    (void)unused;
    (void)unlink(log_path);
    (void)unlink(old_path);
    return rmdir(folder);
}

static inline struct observe_log *open_log(const char *path, unsigned writers_count)
{
    struct observe_log *log = NULL;

    assert_int_equal(observe_log_create(path, writers_count, &log), STATUS_OK);
    return log;
}

/* The whole file with a NUL behind it; the caller frees it. */
static inline char *read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    text[st.st_size] = '\0';
    (void)close(fd);
    return text;
}

/* Takes the first line off *rest and returns it without its newline; NULL at the end. */
static inline char *next_line(char **rest)
{
    char *line = *rest;
    char *newline = strchr(line, '\n');

    if (*line == '\0')
        return NULL;
    assert_non_null(newline);
    *newline = '\0';
    *rest = newline + 1;
    return line;
}

static inline void skip_lines(char **rest, int count)
{
    for (int i = 0; i < count; i++)
        assert_non_null(next_line(rest));
}
