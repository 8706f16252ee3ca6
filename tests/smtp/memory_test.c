#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtp/client.h"
#include "smtp/server.h"

/* All memory of this folder comes through struct buffer, and that takes it from the thread's pool.
 * The linker has this stand in between; the count says which call fails. */
static size_t calls_until_failure;
static bool is_counting;

void *__real_pool_exchange(void *memory, size_t bytes, size_t used, size_t new_bytes);
void *__wrap_pool_exchange(void *memory, size_t bytes, size_t used, size_t new_bytes);

void *__wrap_pool_exchange(void *memory, size_t bytes, size_t used, size_t new_bytes)
{
    if (is_counting && calls_until_failure-- == 0)
        return NULL;
    return __real_pool_exchange(memory, bytes, used, new_bytes);
}

static const char *const client_says =
    "EHLO a\r\nXCLIENT NAME=x HELO=y\r\nEHLO a\r\nXCLIENT ADDR=[UNAVAILABLE]\r\n"
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.y\r\n.\r\nNOOP\r\nQUIT\r\n";
static const char *const servers[] = {
    "220 mx\r\n250-mx\r\n250 PIPELINING\r\n550 no\r\n503 seq\r\n554 none\r\n221 bye\r\n",
    "220 mx\r\n250-mx\r\n250-DSN\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n552 big\r\n221 bye\r\n",
    "220 mx\r\n250-mx\r\n250 SIZE 8\r\n221 bye\r\n", /* of which nothing is sent */
};
static const char *server_says;

/* True when the session went to its regular end. */
static bool server_run(size_t *events_out)
{
    static const struct smtp_server_options options = { .hostname = { "mx", 2 }, .xclient = true };
    static char room[8192];
    struct smtp_server s;
    struct buffer out;
    struct smtp_server_event e;
    bool is_regular;

    buffer_init(&out, sizeof(room));
    smtp_server_init(&s, &options);
    e = smtp_server_greet(&s, &out);
    *events_out = 0;
    for (const char *p = client_says; *p != '\0' && e.kind != SMTP_SERVER_CLOSE; p++) {
        size_t used = 0;

        while (used == 0 && e.kind != SMTP_SERVER_CLOSE) {
            e = smtp_server_feed(&s, (struct slice){ p, 1 }, &used, &out);
            if (e.kind == SMTP_SERVER_ASK_MAIL || e.kind == SMTP_SERVER_ASK_RCPT ||
                e.kind == SMTP_SERVER_ASK_DATA || e.kind == SMTP_SERVER_END)
                e = smtp_server_answer(&s, &SMTP_ANSWER_ACCEPTED, &out);
            if (e.kind == SMTP_SERVER_XCLIENT) {
                smtp_server_restart(&s, &options);
                e = smtp_server_greet(&s, &out);
            }
            ++*events_out;
        }
    }
    is_regular = e.reason == SMTP_CLOSE_QUIT;
    if (!is_regular)
        assert_int_equal(e.reason, SMTP_CLOSE_NO_MEMORY);
    smtp_server_finish(&s);
    buffer_finish(&out);
    return is_regular;
}

static bool client_run(size_t *events_out)
{
    static const struct smtp_client_options options = { .hostname = { "out", 3 } };
    static const struct smtp_client_recipient recipients[] = { { .address = { "c@d", 3 },
                                                                 .notify = SMTP_NOTIFY_NEVER } };
    static const struct smtp_client_envelope envelope = {
        .sender = { "a@b", 3 },
        .recipients = recipients,
        .recipients_count = 1,
        .message_bytes = 9,
        .may_chunk = true,
    };
    struct smtp_client c;
    struct buffer out;
    struct smtp_client_event e = { 0 };

    buffer_init(&out, 8192);
    smtp_client_init(&c, &options);
    *events_out = 0;
    for (const char *p = server_says; *p != '\0' && e.kind != SMTP_CLIENT_FAILED; p++) {
        size_t used, given = 1;

        do {
            e = smtp_client_feed(&c, (struct slice){ p, given }, &used, &out);
            given -= used;
            if (e.kind == SMTP_CLIENT_READY)
                e = smtp_client_send(&c, &envelope, &out);
            if (e.kind == SMTP_CLIENT_BODY_WANTED)
                e = smtp_client_body_sent(&c, &out);
            if (e.kind == SMTP_CLIENT_DONE)
                e = smtp_client_quit(&c, &out);
            ++*events_out;
        } while (e.kind == SMTP_CLIENT_RECIPIENT);
        if (e.kind == SMTP_CLIENT_BYE)
            break;
    }
    if (e.kind != SMTP_CLIENT_BYE) {
        assert_int_equal(e.kind, SMTP_CLIENT_FAILED);
        assert_int_equal(e.failure, SMTP_CLIENT_FAILURE_NO_MEMORY);
    }
    smtp_client_finish(&c);
    buffer_finish(&out);
    return e.kind == SMTP_CLIENT_BYE;
}

/* Fails the first call for memory, then the second... until none is left that could fail. */
static void fail_each(bool (*run)(size_t *events_out))
{
    size_t events, n;
    bool had_failure = true;

    for (n = 0; had_failure && n < 1000; n++) {
        calls_until_failure = n;
        is_counting = true;
        (void)run(&events);
        is_counting = false;
        had_failure = calls_until_failure > n;
    }
    assert_true(n > 5 && n < 1000);
    assert_true(run(&events));
}

static void a_server_without_memory_ends_the_session(void **unused)
{
    (void)unused;
    fail_each(server_run);
}

static void a_client_without_memory_fails_the_session(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        server_says = servers[i];
        fail_each(client_run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_without_memory_ends_the_session),
        cmocka_unit_test(a_client_without_memory_fails_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
