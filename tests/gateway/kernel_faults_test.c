/* A kernel that does later what its self-test did not show: it refuses a key, fails to give out a
 * record. In place of the kernel by injection, into sessions that it has. */
#include "tests/gateway/kernel_rig.h"

#include <netinet/in.h>

#include "engine/kernel_tls.h"

/* What the kernel was found to do it may fail at later. The session ends, and says why. */
static void a_kernel_that_fails_later_ends_the_session(void **unused)
{
    static const int errors[] = { EAGAIN, ENOMEM, EPROTO };

    (void)unused;
    for (unsigned combo = COMBO_RECEIVE; combo < rig_combos(); combo++)
        for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
            struct rig r;

            rig_up(&r, (enum combo)combo, true, suite_13, (struct slice){ 0 });
            rig_settle(&r);
            r.closes_on_end = true;
            rig_record_error = errors[i];
            rig_far_record(&r, HANDSHAKE, SLICE(UPDATE));
            rig_flush(&r);
            RIG_UNTIL(&r, r.ended > 0);
            assert_int_equal(r.ended_error, EPROTO);
            assert_non_null(strstr(tls_session_error(gateway_channel_tls(&r.channel)), "kernel: "));
            RIG_UNTIL(&r, r.closed == 1);
            rig_down(&r);
        }
}

/* The peer has been told of a key that the kernel then does not take: nothing may follow. */
static void a_new_key_that_is_refused_ends_the_session(void **unused)
{
    (void)unused;
    if (!rig_support.rekeys)
        return;
    for (int of_send = 0; of_send < 2; of_send++) {
        struct rig r;

        rig_up(&r, COMBO_BOTH, true, suite_13, (struct slice){ 0 });
        rig_settle(&r);
        r.closes_on_end = true;
        rig_refuses[of_send ? ENGINE_TLS_SEND : ENGINE_TLS_RECEIVE] = true;
        rig_far_record(&r, HANDSHAKE, SLICE(ASKING));
        rig_far_new_key(&r);
        rig_far_data(&r, SLICE("behind"));
        rig_flush(&r);
        RIG_UNTIL(&r, r.ended > 0);
        assert_int_equal(r.ended_error, EPROTO);
        assert_non_null(strstr(tls_session_error(gateway_channel_tls(&r.channel)), "kernel: "));
        RIG_UNTIL(&r, r.closed == 1);
        rig_down(&r);
    }
}

/* The kernel reads over records without data in one go: a peer may have few of them on their way.
 */
static void the_window_of_a_socket_that_the_kernel_decrypts_is_bounded(void **unused)
{
    (void)unused;
    for (unsigned combo = COMBO_RECEIVE; combo < rig_combos(); combo++) {
        int window = 0;
        socklen_t len = sizeof(window);
        struct rig r;

        rig_up(&r, (enum combo)combo, true, suite_13, (struct slice){ 0 });
        rig_settle(&r);
        assert_int_equal(getsockopt(engine_socket_fd(&r.channel.socket), IPPROTO_TCP,
                                    TCP_WINDOW_CLAMP, &window, &len),
                         0);
        assert_in_range(window, 1, ENGINE_KERNEL_TLS_WINDOW_BYTES);
        rig_down(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_that_fails_later_ends_the_session),
        cmocka_unit_test(a_new_key_that_is_refused_ends_the_session),
        cmocka_unit_test(the_window_of_a_socket_that_the_kernel_decrypts_is_bounded),
    };

    return cmocka_run_group_tests(tests, rig_begin, remove_certificates);
}
