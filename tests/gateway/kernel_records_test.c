/* Records that an ordinary peer would not send, against every combination of kernel and OpenSSL and
 * both roles of the channel: what it takes, what it answers, how it ends. */
#include "tests/gateway/kernel_rig.h"

#include <netinet/in.h>

#define TICKET "\4\0\0\3abc"
#define ANY    (-1)
#define STAYS  (-2) /* the session goes on */

/* --- what may be sent ------------------------------------------------------------------------ */

static void empty_records_in_between(struct rig *r)
{
    rig_far_data(r, SLICE(""));
    rig_far_data(r, SLICE("ab"));
    rig_far_data(r, SLICE(""));
    rig_far_data(r, SLICE(""));
    rig_far_data(r, SLICE("cd"));
    rig_far_data(r, SLICE(""));
    rig_flush(r);
}

static void the_longest_records(struct rig *r)
{
    static char most[16384];

    memset(most, 'm', sizeof(most));
    for (int i = 0; i < 3; i++)
        rig_far_data(r, (struct slice){ most, sizeof(most) });
    rig_flush(r);
}

static void one_byte_a_record(struct rig *r)
{
    for (int i = 0; i < 300; i++)
        rig_far_data(r, SLICE("1"));
    rig_flush(r);
}

static void one_byte_a_write(struct rig *r)
{
    struct slice bytes;

    rig_far_data(r, SLICE("first record"));
    rig_far_data(r, SLICE("second record"));
    bytes = buffer_contents(&r->far_out);
    for (size_t i = 0; i < bytes.len; i++) {
        rig_write(r, (struct slice){ bytes.data + i, 1 });
        rig_turn(r);
    }
    buffer_clear(&r->far_out);
}

static void padded_records(struct rig *r)
{
    for (size_t padding = 0; padding < 300; padding += 37)
        soft_seal_padded(&r->far_send, TYPE_DATA, SLICE("pad"), padding, &r->far_out);
    rig_flush(r);
}

static void tickets(struct rig *r)
{
    rig_far_record(r, HANDSHAKE, SLICE(TICKET));
    rig_far_record(r, HANDSHAKE, SLICE(TICKET TICKET));
    rig_far_data(r, SLICE("between"));
    rig_far_record(r, HANDSHAKE, SLICE(TICKET));
    rig_far_data(r, SLICE(" and behind"));
    rig_flush(r);
}

static void a_key_update(struct rig *r)
{
    rig_far_data(r, SLICE("old "));
    rig_far_record(r, HANDSHAKE, SLICE(UPDATE));
    rig_far_new_key(r);
    rig_far_data(r, SLICE("new"));
    rig_flush(r);
}

static void key_updates_that_ask(struct rig *r)
{
    for (int i = 0; i < 10; i++) {
        rig_far_record(r, HANDSHAKE, SLICE(ASKING));
        rig_far_new_key(r);
        rig_far_data(r, SLICE("k"));
    }
    rig_flush(r);
}

/* --- what ends a session --------------------------------------------------------------------- */

static void data_and_close_notify_at_once(struct rig *r)
{
    rig_far_data(r, SLICE("QUIT"));
    rig_far_record(r, ALERT, SLICE("\1\0"));
    rig_flush(r);
}

static void data_and_a_fatal_alert_at_once(struct rig *r)
{
    rig_far_data(r, SLICE("MAI"));
    rig_far_record(r, ALERT, SLICE("\2\x50"));
    rig_flush(r);
}

static void a_fin_alone(struct rig *r)
{
    rig_far_data(r, SLICE("data"));
    rig_flush(r);
    (void)shutdown(r->peer, SHUT_WR);
}

static void a_fin_within_a_record(struct rig *r)
{
    rig_far_data(r, SLICE("data"));
    rig_far_data(r, SLICE("never all of it"));
    rig_write(r, slice_first(buffer_contents(&r->far_out), buffer_len(&r->far_out) - 7));
    buffer_clear(&r->far_out);
    (void)shutdown(r->peer, SHUT_WR);
}

static void a_reset(struct rig *r)
{
    struct linger now = { .l_onoff = 1 };

    rig_far_data(r, SLICE("data"));
    rig_flush(r);
    RIG_UNTIL(r, buffer_len(&r->got) == 4);
    assert_int_equal(setsockopt(r->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(r->peer);
    r->peer = -1;
}

static void spoil(struct rig *r, size_t from_the_end)
{
    struct slice bytes = buffer_contents(&r->far_out);

    ((char *)(uintptr_t)bytes.data)[bytes.len - 1 - from_the_end] ^= 0x40;
    rig_flush(r);
}

static void a_bad_tag(struct rig *r)
{
    rig_far_data(r, SLICE("good"));
    rig_flush(r);
    rig_far_data(r, SLICE("bad"));
    spoil(r, 0);
}

static void a_lost_record(struct rig *r)
{
    rig_far_data(r, SLICE("good"));
    rig_flush(r);
    r->far_send.number++;
    rig_far_data(r, SLICE("a number too high"));
    rig_flush(r);
}

static void a_record_that_is_too_long(struct rig *r)
{
    static char bytes[5 + 20000] = { 23, 3, 3, 20000 / 256, (char)(20000 % 256) };

    rig_write(r, (struct slice){ bytes, sizeof(bytes) });
}

static void a_foreign_version(struct rig *r)
{
    rig_write(r, SLICE("\x17\2\0\0\x20 ................................"));
}

static void plain_text(struct rig *r)
{
    rig_write(r, SLICE("MAIL FROM:<in.the.clear@example.com>\r\n"));
}

static void change_cipher_spec(struct rig *r)
{
    rig_far_record(r, SSL3_RT_CHANGE_CIPHER_SPEC, SLICE("\1"));
    rig_flush(r);
}

static void a_flood_of_tickets(struct rig *r)
{
    for (int i = 0; i < 10 * TLS_CONTROL_RECORDS_MAX; i++)
        rig_far_record(r, HANDSHAKE, SLICE(TICKET));
    rig_flush(r);
}

static void a_flood_of_key_updates(struct rig *r)
{
    for (int i = 0; i < 10 * TLS_CONTROL_RECORDS_MAX; i++) {
        rig_far_record(r, HANDSHAKE, SLICE(UPDATE));
        rig_far_new_key(r);
    }
    rig_flush(r);
}

static void a_handshake_message_that_is_none(struct rig *r)
{
    rig_far_record(r, HANDSHAKE, SLICE("\xfe\0\0\1x"));
    rig_flush(r);
}

struct oddity {
    void (*send)(struct rig *r);
    const char *name;
    const char *got; /* what the channel hands up; NULL: not looked at */
    size_t got_bytes;
    int error; /* of `ended`; STAYS */
    int alert; /* that the far end gets; 0: none but close_notify, ANY: not looked at */
    bool of_12, of_13, to_server, to_client, by_kernel_only;
};

#define NAMED(function) function, #function

static const struct oddity oddities[] = {
    { NAMED(empty_records_in_between), "abcd", 4, STAYS, 0, true, true, true, true, false },
    { NAMED(the_longest_records), NULL, 49152, STAYS, 0, true, true, true, true, false },
    { NAMED(one_byte_a_record), NULL, 300, STAYS, 0, true, true, true, true, false },
    { NAMED(one_byte_a_write), "first recordsecond record", 25, STAYS, 0, true, true, true, true,
      false },
    { NAMED(padded_records), NULL, 27, STAYS, 0, false, true, true, true, false },
    { NAMED(tickets), "between and behind", 18, STAYS, 0, false, true, false, true, true },
    { NAMED(a_key_update), "old new", 7, STAYS, 0, false, true, true, true, false },
    { NAMED(key_updates_that_ask), "kkkkkkkkkk", 10, STAYS, 0, false, true, true, true, false },
    { NAMED(data_and_close_notify_at_once), "QUIT", 4, 0, 0, true, true, true, true, false },
    { NAMED(data_and_a_fatal_alert_at_once), "MAI", 3, EPROTO, 0, true, true, true, true, false },
    { NAMED(a_fin_alone), "data", 4, 0, 0, true, true, true, true, false },
    { NAMED(a_fin_within_a_record), "data", 4, 0, 0, true, true, true, true, false },
    { NAMED(a_reset), "data", 4, ECONNRESET, ANY, true, true, true, true, false },
    { NAMED(a_bad_tag), "good", 4, EPROTO, SSL3_AD_BAD_RECORD_MAC, true, true, true, true, false },
    { NAMED(a_lost_record), "good", 4, EPROTO, SSL3_AD_BAD_RECORD_MAC, true, true, true, true,
      false },
    { NAMED(a_record_that_is_too_long), "", 0, EPROTO, TLS1_AD_RECORD_OVERFLOW, true, true, true,
      true, false },
    { NAMED(a_foreign_version), "", 0, EPROTO, ANY, true, true, true, true, false },
    { NAMED(plain_text), "", 0, EPROTO, ANY, true, true, true, true, false },
    { NAMED(change_cipher_spec), "", 0, EPROTO, SSL3_AD_UNEXPECTED_MESSAGE, false, true, true, true,
      false },
    { NAMED(a_flood_of_tickets), "", 0, EPROTO, SSL3_AD_UNEXPECTED_MESSAGE, false, true, false,
      true, true },
    { NAMED(a_flood_of_key_updates), "", 0, EPROTO, SSL3_AD_UNEXPECTED_MESSAGE, false, true, true,
      true, true },
    { NAMED(a_handshake_message_that_is_none), "", 0, EPROTO, SSL3_AD_UNEXPECTED_MESSAGE, false,
      true, true, true, false },
};

static bool is_key_update(const struct oddity *o)
{
    return o->send == a_key_update || o->send == key_updates_that_ask ||
           o->send == a_flood_of_key_updates;
}

/* A kernel that cannot follow a key update ends the session there, in good order. */
static void expect_no_rekey(struct rig *r)
{
    RIG_UNTIL(r, r->ended == 1);
    assert_int_equal(r->ended_error, 0);
    assert_non_null(strstr(tls_session_ending(gateway_channel_tls(&r->channel)), "key update"));
    RIG_UNTIL(r, (rig_far_read(r), r->far_saw_end));
    assert_true(rig_far_heard_control(r, ALERT, ANY, SSL3_AD_CLOSE_NOTIFY));
}

static void expect_end(struct rig *r, const struct oddity *o)
{
    RIG_UNTIL(r, r->ended > 0);
    if (r->ended != 1 || r->ended_error != o->error)
        fail_msg("%s, kernel: %s: ended %u times, error %d", o->name, combo_names[r->combo],
                 r->ended, r->ended_error);
    if (o->error == EPROTO)
        assert_string_not_equal(tls_session_error(gateway_channel_tls(&r->channel)), "");
    if (o->alert == ANY)
        return;
    RIG_UNTIL(r, (rig_far_read(r), r->far_saw_end || r->far_error != 0));
    if (o->error == 0)
        assert_true(rig_far_heard_control(r, ALERT, ANY, SSL3_AD_CLOSE_NOTIFY));
    /* An alert that OpenSSL would have to send for the kernel's receiving is left out. */
    if (o->alert != 0 && r->combo != COMBO_RECEIVE &&
        !rig_far_heard_control(r, ALERT, TLS_ALERT_FATAL, o->alert))
        fail_msg("%s, kernel: %s: no alert %d", o->name, combo_names[r->combo], o->alert);
}

static void expect_more(struct rig *r, const struct oddity *o)
{
    if (o->send == key_updates_that_ask) {
        assert_int_equal(buffer_append_text(gateway_channel_output(&r->channel), "."), STATUS_OK);
        gateway_channel_flush(&r->channel);
        RIG_UNTIL(r, (rig_far_read(r), buffer_len(&r->heard) == 1));
        assert_true(rig_far_heard_control(r, HANDSHAKE, SSL3_MT_KEY_UPDATE, ANY));
    }
    buffer_clear(&r->heard);
    rig_far_data(r, SLICE("NOOP"));
    rig_flush(r);
    RIG_UNTIL(r, buffer_len(&r->got) == o->got_bytes + 4);
    assert_int_equal(buffer_append_text(gateway_channel_output(&r->channel), "250 ok"), STATUS_OK);
    gateway_channel_flush(&r->channel);
    RIG_UNTIL(r, (rig_far_read(r), buffer_len(&r->heard) == 6));
    assert_true(slice_equal(buffer_contents(&r->heard), SLICE("250 ok")));
    assert_int_equal(r->ended, 0);
}

static void meet(const struct oddity *o, enum combo combo, bool is_server,
                 const struct suite *suite)
{
    bool kernel_reads = combo == COMBO_RECEIVE || combo == COMBO_BOTH;
    bool cannot_follow = is_key_update(o) && combo != COMBO_USER && !rig_support.rekeys &&
                         (kernel_reads || o->send == key_updates_that_ask);
    struct rig r;

    if ((o->by_kernel_only && !kernel_reads) || (is_server ? !o->to_server : !o->to_client))
        return;
    rig_up(&r, combo, is_server, suite, (struct slice){ 0 });
    rig_settle(&r);
    r.closes_on_end = true;
    o->send(&r);
    if (cannot_follow)
        expect_no_rekey(&r);
    else if (o->error != STAYS)
        expect_end(&r, o);
    else
        RIG_UNTIL(&r, buffer_len(&r.got) >= o->got_bytes);
    if (!cannot_follow) {
        assert_int_equal(buffer_len(&r.got), o->got_bytes);
        if (o->got != NULL)
            assert_memory_equal(buffer_contents(&r.got).data, o->got, o->got_bytes);
    }
    if (!cannot_follow && o->error == STAYS)
        expect_more(&r, o);
    rig_down(&r);
}

static void each_oddity_is_met_alike_by_kernel_and_openssl(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(oddities); i++)
        for (unsigned combo = 0; combo < rig_combos(); combo++)
            for (int role = 0; role < 2; role++) {
                if (oddities[i].of_13)
                    meet(&oddities[i], (enum combo)combo, role == 0, suite_13);
                if (oddities[i].of_12)
                    meet(&oddities[i], (enum combo)combo, role == 0, suite_12);
            }
}

/* Whatever part of a record has come, an alert behind it is read as one. */
static void an_alert_may_come_behind_any_byte_of_a_command(void **unused)
{
    struct slice command = SLICE("MAIL FROM:<a@b.example>\r\n");

    (void)unused;
    for (unsigned combo = 0; combo < rig_combos(); combo++)
        for (size_t n = 0; n <= command.len; n += 3) {
            struct rig r;

            rig_up(&r, (enum combo)combo, true, suite_13, (struct slice){ 0 });
            rig_settle(&r);
            r.closes_on_end = true;
            if (n > 0)
                rig_far_data(&r, slice_first(command, n));
            rig_far_record(&r, ALERT, SLICE("\1\0"));
            rig_flush(&r);
            RIG_UNTIL(&r, r.ended == 1);
            assert_int_equal(r.ended_error, 0);
            assert_int_equal(buffer_len(&r.got), n);
            rig_down(&r);
        }
}

/* A ticket, an alert and a last word in the receive queue must not turn the close into a reset that
 * destroys our last reply (RFC 1122 4.2.2.13). */
static void the_last_reply_survives_what_the_peer_still_says(void **unused)
{
    (void)unused;
    for (unsigned combo = 0; combo < rig_combos(); combo++)
        for (int role = 0; role < 2; role++) {
            struct rig r;

            rig_up(&r, (enum combo)combo, role == 0, suite_13, (struct slice){ 0 });
            rig_settle(&r);
            assert_int_equal(buffer_append_text(gateway_channel_output(&r.channel), "221 bye"),
                             STATUS_OK);
            gateway_channel_close(&r.channel);
            for (int i = 0; i < 3; i++)
                rig_turn(&r);
            rig_far_data(&r, SLICE("one more thing"));
            if (role == 1)
                rig_far_record(&r, HANDSHAKE, SLICE(TICKET));
            rig_far_record(&r, ALERT, SLICE("\1\0"));
            rig_flush(&r);
            (void)shutdown(r.peer, SHUT_WR);
            RIG_UNTIL(&r, r.closed == 1);
            RIG_UNTIL(&r, (rig_far_read(&r), r.far_saw_end || r.far_error != 0));
            assert_int_equal(r.far_error, 0);
            assert_true(slice_equal(buffer_contents(&r.heard), SLICE("221 bye")));
            assert_true(rig_far_heard_control(&r, ALERT, ANY, SSL3_AD_CLOSE_NOTIFY));
            rig_down(&r);
        }
}

/* The socket takes a little at a time; records come out whole all the same. */
static void short_sends_lose_nothing(void **unused)
{
    size_t body_bytes = 200001;
    char *body = malloc(body_bytes);

    (void)unused;
    assert_non_null(body);
    for (size_t i = 0; i < body_bytes; i++)
        body[i] = (char)('a' + i % 26);
    for (unsigned combo = 0; combo < rig_combos(); combo++) {
        int little = 16384;
        struct rig r;

        rig_up(&r, (enum combo)combo, true, suite_13, (struct slice){ 0 });
        rig_settle(&r);
        assert_int_equal(setsockopt(engine_socket_fd(&r.channel.socket), SOL_SOCKET, SO_SNDBUF,
                                    &little, sizeof(little)),
                         0);
        assert_int_equal(setsockopt(r.peer, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
        gateway_channel_send_body(&r.channel, (struct slice){ body, body_bytes });
        for (int i = 0; i < 5; i++)
            rig_turn(&r); /* nobody reads */
        RIG_UNTIL(&r, (rig_far_read(&r), buffer_len(&r.heard) == body_bytes));
        assert_memory_equal(buffer_contents(&r.heard).data, body, body_bytes);
        rig_down(&r);
    }
    free(body);
}

/* However the last record of the handshake and the first data came, the kernel gets its turn. */
static void data_that_comes_with_the_handshake_only_puts_it_off(void **unused)
{
    (void)unused;
    for (unsigned combo = 0; combo < rig_combos(); combo++)
        for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
            struct rig r;

            rig_up(&r, (enum combo)combo, true, &suites[s], SLICE("EHLO early.example\r\n"));
            RIG_UNTIL(&r, buffer_len(&r.got) == 20);
            buffer_clear(&r.got);
            rig_settle(&r);
            rig_down(&r);
        }
}

/* The kernel holds it against the reply, which would be the first to fail. */
static void a_bad_record_right_behind_a_command_is_answered_by_an_alert(void **unused)
{
    (void)unused;
    for (unsigned combo = 0; combo < rig_combos(); combo++) {
        struct rig r;

        rig_up(&r, (enum combo)combo, true, suite_13, (struct slice){ 0 });
        rig_settle(&r);
        r.closes_on_end = r.replies = true;
        rig_far_data(&r, SLICE("NOOP"));
        rig_far_data(&r, SLICE("bad"));
        spoil(&r, 0);
        RIG_UNTIL(&r, r.ended > 0);
        assert_int_equal(r.ended_error, EPROTO);
        assert_int_equal(buffer_len(&r.got), 4);
        RIG_UNTIL(&r, (rig_far_read(&r), r.far_saw_end || r.far_error != 0));
        if (combo != COMBO_RECEIVE)
            assert_true(rig_far_heard_control(&r, ALERT, TLS_ALERT_FATAL, SSL3_AD_BAD_RECORD_MAC));
        assert_int_equal(r.controls_count <= 1, true);
        rig_down(&r);
    }
}

/* Nothing comes behind it that would make the channel look again. */
static void a_key_update_alone_is_followed_or_ends_the_session(void **unused)
{
    (void)unused;
    for (unsigned combo = 0; combo < rig_combos(); combo++)
        for (int role = 0; role < 2; role++) {
            struct rig r;

            rig_up(&r, (enum combo)combo, role == 0, suite_13, (struct slice){ 0 });
            rig_settle(&r);
            r.closes_on_end = true;
            rig_far_record(&r, HANDSHAKE, SLICE(ASKING));
            rig_far_new_key(&r);
            rig_flush(&r);
            if (combo != COMBO_USER && !rig_support.rekeys) {
                expect_no_rekey(&r);
            } else {
                rig_turn(&r);
                rig_turn(&r);
                rig_talk(&r);
            }
            rig_down(&r);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_oddity_is_met_alike_by_kernel_and_openssl),
        cmocka_unit_test(an_alert_may_come_behind_any_byte_of_a_command),
        cmocka_unit_test(the_last_reply_survives_what_the_peer_still_says),
        cmocka_unit_test(short_sends_lose_nothing),
        cmocka_unit_test(data_that_comes_with_the_handshake_only_puts_it_off),
        cmocka_unit_test(a_bad_record_right_behind_a_command_is_answered_by_an_alert),
        cmocka_unit_test(a_key_update_alone_is_followed_or_ends_the_session),
    };

    return cmocka_run_group_tests(tests, rig_begin, remove_certificates);
}
