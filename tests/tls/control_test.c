/* Records that are not data, while the kernel has one direction or both. */
#include "tests/tls/link.h"

#include <errno.h>

/* Both keys change, again and again, at the wish of either side, with OpenSSL's objects gone. */
static void key_updates_are_followed(void **unused)
{
    static char room[SOFT_MAX];

    (void)unused;
    for (size_t i = 0; i < 6; i++) {
        bool asks = i % 2 == 0;
        struct soft send, receive;
        struct link l;

        link_to_kernel(&l, i < 3, &suites[i % 3], &able, &send, &receive);
        for (int round = 0; round < 5; round++) {
            struct tls_control_record record;
            uint8_t type;
            struct slice bytes;
            size_t len;

            assert_int_equal(SSL_key_update(l.far.session->ssl, asks
                                                                    ? SSL_KEY_UPDATE_REQUESTED
                                                                    : SSL_KEY_UPDATE_NOT_REQUESTED),
                             1);
            say(&l.far, SLICE("under a new key"));
            bytes = buffer_contents(&l.far.output);
            assert_true(soft_open(&receive, &bytes, &type, room, &len));
            buffer_consume(&l.far.output, buffer_len(&l.far.output) - bytes.len);
            assert_int_equal(tls_kernel_control(l.near.session, type, (struct slice){ room, len }),
                             TLS_CONTROL_KEY);
            take(&l.near, TLS_RECEIVE, &receive);
            opens(&receive, &l.far, TYPE_DATA, SLICE("under a new key"));
            tls_kernel_data(l.near.session);

            assert_int_equal(tls_kernel_has_record(l.near.session), asks);
            if (asks) {
                assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
                assert_true(record.changes_key);
                soft_seal(&send, record.type,
                          (struct slice){ (const char *)record.bytes, record.len }, &l.near.output);
                take(&l.near, TLS_SEND, &send);
            }
            soft_seal(&send, TYPE_DATA, SLICE("answer"), &l.near.output);
            hears(&l.far, &l.near, SLICE("answer"));
        }
        finish(&l);
    }
}

/* The kernel sends, OpenSSL receives: who answers the peer's wish for a new key? */
static void a_key_update_read_by_openssl_is_answered_through_the_kernel(void **unused)
{
    for (int rekeys = 0; rekeys < 2; rekeys++) {
        struct tls_kernel_support support = able;
        struct tls_control_record record;
        struct soft send;
        struct link l;

        (void)unused;
        support.rekeys = rekeys;
        link_up(&l, true, &suites[1], &support, TLS_KERNEL_TX);
        hears(&l.far, &l.near, SLICE(""));
        take(&l.near, TLS_SEND, &send);
        assert_int_equal(SSL_key_update(l.far.session->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        say(&l.far, SLICE("and on"));
        if (!rekeys) {
            char room[64];
            struct slice input = buffer_contents(&l.far.output);
            size_t len;

            while (tls_session_read(l.near.session, &input, &l.near.output, room, sizeof(room),
                                    &len) == TLS_DONE)
                continue;
            assert_non_null(tls_session_ending(l.near.session));
            assert_false(tls_kernel_has_record(l.near.session));
            assert_int_equal(buffer_len(&l.near.output), 0);
            finish(&l);
            continue;
        }
        hears(&l.near, &l.far, SLICE("and on"));
        assert_int_equal(buffer_len(&l.near.output), 0);
        assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
        soft_seal(&send, record.type, (struct slice){ (const char *)record.bytes, record.len },
                  &l.near.output);
        take(&l.near, TLS_SEND, &send);
        soft_seal(&send, TYPE_DATA, SLICE("good"), &l.near.output);
        hears(&l.far, &l.near, SLICE("good"));
        assert_null(tls_session_ending(l.near.session));
        finish(&l);
    }
}

#define TICKET "\4\0\0\3abc"
#define UPDATE "\x18\0\0\1\0"

/* Slices of constants. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static const struct {
    uint8_t type;
    struct slice bytes;
    bool is_server, is_13, rekeys;
    enum tls_control control;
    int alert; /* that is then said; -1: none */
} meanings[] = {
    { 21, BYTES("\1\0"), true, true, true, TLS_CONTROL_CLOSED, -1 },
    { 21, BYTES("\2\0"), true, false, true, TLS_CONTROL_CLOSED, -1 },
    { 21, BYTES("\1\x5a"), true, true, true, TLS_CONTROL_DONE, -1 }, /* user_canceled */
    { 21, BYTES("\1\x64"), true, false, true, TLS_CONTROL_DONE, -1 },
    { 21, BYTES("\1\x64"), true, true, true, TLS_CONTROL_FAILED, -1 },
    { 21, BYTES("\2\x28"), false, false, true, TLS_CONTROL_FAILED, -1 },
    { 21, BYTES("\2"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 21, BYTES(""), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 21, BYTES("\1\0\0"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES(TICKET), false, true, true, TLS_CONTROL_DONE, -1 },
    { 22, BYTES(TICKET TICKET), false, true, true, TLS_CONTROL_DONE, -1 },
    { 22, BYTES(TICKET), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES(UPDATE), true, true, true, TLS_CONTROL_KEY, -1 },
    { 22, BYTES(TICKET UPDATE), false, true, true, TLS_CONTROL_KEY, -1 },
    { 22, BYTES(UPDATE TICKET), false, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES(UPDATE UPDATE), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES(UPDATE), true, true, false, TLS_CONTROL_CLOSED, -1 },
    { 22, BYTES("\x18\0\0\1\2"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_ILLEGAL_PARAMETER },
    { 22, BYTES("\x18\0\0\0"), true, true, true, TLS_CONTROL_FAILED, SSL_AD_DECODE_ERROR },
    { 22, BYTES("\x18\0\0\2\0\0"), true, true, true, TLS_CONTROL_FAILED, SSL_AD_DECODE_ERROR },
    { 22, BYTES("\x18\0\0\1"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES("\x18\0"), true, true, true, TLS_CONTROL_FAILED, SSL_AD_DECODE_ERROR },
    { 22, BYTES("\xd\0\0\0"), false, true, true, TLS_CONTROL_FAILED,
      SSL3_AD_UNEXPECTED_MESSAGE }, /* CertificateRequest */
    { 22, BYTES(""), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 22, BYTES("\0\0\0\0"), false, false, true, TLS_CONTROL_DONE,
      TLS1_AD_NO_RENEGOTIATION }, /* HelloRequest */
    { 22, BYTES("\1\0\0\0"), true, false, true, TLS_CONTROL_DONE, TLS1_AD_NO_RENEGOTIATION },
    { 20, BYTES("\1"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 24, BYTES("\1\0\0"), true, false, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
    { 99, BYTES("?"), true, true, true, TLS_CONTROL_FAILED, SSL3_AD_UNEXPECTED_MESSAGE },
};

static void each_control_record_has_its_meaning(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        struct tls_kernel_support support = able;
        struct tls_control_record record = { 0 };
        struct soft send, receive;
        struct link l;

        support.rekeys = meanings[i].rekeys;
        link_to_kernel(&l, meanings[i].is_server, &suites[meanings[i].is_13 ? 0 : 3], &support,
                       &send, &receive);
        assert_int_equal(tls_kernel_control(l.near.session, meanings[i].type, meanings[i].bytes),
                         meanings[i].control);
        assert_int_equal(tls_session_error(l.near.session)[0] != '\0',
                         meanings[i].control == TLS_CONTROL_FAILED);
        assert_int_equal(tls_session_ending(l.near.session) != NULL,
                         meanings[i].control == TLS_CONTROL_CLOSED && meanings[i].type == 22);
        assert_int_equal(tls_kernel_has_record(l.near.session), meanings[i].alert >= 0);
        if (meanings[i].alert >= 0) {
            assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
            assert_int_equal(record.type, 21);
            assert_int_equal(record.bytes[1], meanings[i].alert);
            assert_int_equal(record.bytes[0], meanings[i].control == TLS_CONTROL_FAILED ? 2 : 1);
        }
        finish(&l);
    }
}

/* A ticket may be longer than a record. */
static void a_ticket_may_go_on_in_the_next_record(void **unused)
{
    struct soft send, receive;
    struct link l;

    (void)unused;
    link_to_kernel(&l, false, &suites[0], &able, &send, &receive);
    assert_int_equal(tls_kernel_control(l.near.session, 22, SLICE("\4\0\0\6ab")), TLS_CONTROL_DONE);
    assert_int_equal(tls_kernel_control(l.near.session, 22, SLICE("cd")), TLS_CONTROL_DONE);
    assert_int_equal(tls_kernel_control(l.near.session, 22, SLICE("ef" UPDATE)), TLS_CONTROL_KEY);
    assert_int_equal(tls_kernel_control(l.near.session, 22, SLICE("\4\0\0\6ab")), TLS_CONTROL_DONE);
    assert_int_equal(tls_kernel_control(l.near.session, 21, SLICE("\1\0")), TLS_CONTROL_FAILED);
    finish(&l);
}

static void a_flood_of_control_records_ends_the_session(void **unused)
{
    const struct slice floods[] = { SLICE(TICKET), SLICE("\x18\0\0\1\1") };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        struct soft send, receive;
        struct link l;

        link_to_kernel(&l, false, &suites[0], &able, &send, &receive);
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < TLS_CONTROL_RECORDS_MAX; k++)
                assert_int_not_equal(tls_kernel_control(l.near.session, 22, floods[i]),
                                     TLS_CONTROL_FAILED);
            tls_kernel_data(l.near.session);
        }
        for (int k = 0; k < TLS_CONTROL_RECORDS_MAX; k++)
            (void)!tls_kernel_control(l.near.session, 22, floods[i]);
        assert_int_equal(tls_kernel_control(l.near.session, 22, floods[i]), TLS_CONTROL_FAILED);
        finish(&l);
    }
}

static void a_bad_record_is_told_to_the_peer(void **unused)
{
    const struct {
        int error;
        int alert;
        const char *words;
    } cases[] = {
        { EBADMSG, SSL3_AD_BAD_RECORD_MAC, "bad record mac" },
        { EMSGSIZE, TLS1_AD_RECORD_OVERFLOW, "too long" },
        { EINVAL, TLS1_AD_PROTOCOL_VERSION, "wrong version" },
        { EKEYEXPIRED, -1, "kernel: " },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_control_record record;
        struct soft send, receive;
        struct link l;

        link_to_kernel(&l, true, &suites[0], &able, &send, &receive);
        tls_kernel_receive_failed(l.near.session, cases[i].error);
        assert_non_null(strstr(tls_session_error(l.near.session), cases[i].words));
        assert_int_equal(tls_kernel_has_record(l.near.session), cases[i].alert >= 0);
        if (cases[i].alert >= 0) {
            assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
            assert_int_equal(record.bytes[1], cases[i].alert);
        }
        finish(&l);
    }
}

/* The alert of a session of which OpenSSL only reads, and its close_notify, go through the kernel.
 */
static void what_openssl_wants_to_say_goes_through_the_kernel(void **unused)
{
    struct tls_control_record record;
    struct soft send;
    struct link l;
    char room[64];
    size_t len;

    (void)unused;
    link_up(&l, true, &suites[0], &able, TLS_KERNEL_TX);
    hears(&l.far, &l.near, SLICE(""));
    take(&l.near, TLS_SEND, &send);
    say(&l.far, SLICE("a record that breaks"));
    {
        struct slice input = buffer_contents(&l.far.output);

        ((char *)(uintptr_t)input.data)[input.len - 1] ^= 1;
        assert_int_equal(
            tls_session_read(l.near.session, &input, &l.near.output, room, sizeof(room), &len),
            TLS_FAILED);
    }
    assert_int_equal(buffer_len(&l.near.output), 0);
    assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
    assert_int_equal(record.bytes[0], TLS_ALERT_FATAL);
    assert_int_equal(record.bytes[1], SSL3_AD_BAD_RECORD_MAC);
    finish(&l);

    link_up(&l, true, &suites[0], &able, TLS_KERNEL_TX);
    hears(&l.far, &l.near, SLICE(""));
    take(&l.near, TLS_SEND, &send);
    tls_session_close(l.near.session, &l.near.output);
    assert_int_equal(tls_kernel_next_record(l.near.session, &record), STATUS_OK);
    soft_seal(&send, record.type, (struct slice){ (const char *)record.bytes, record.len },
              &l.near.output);
    {
        struct slice input = buffer_contents(&l.near.output);

        assert_int_equal(
            tls_session_read(l.far.session, &input, &l.far.output, room, sizeof(room), &len),
            TLS_CLOSED);
        assert_false(tls_session_was_truncated(l.far.session));
    }
    finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_updates_are_followed),
        cmocka_unit_test(a_key_update_read_by_openssl_is_answered_through_the_kernel),
        cmocka_unit_test(each_control_record_has_its_meaning),
        cmocka_unit_test(a_ticket_may_go_on_in_the_next_record),
        cmocka_unit_test(a_flood_of_control_records_ends_the_session),
        cmocka_unit_test(a_bad_record_is_told_to_the_peer),
        cmocka_unit_test(what_openssl_wants_to_say_goes_through_the_kernel),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
