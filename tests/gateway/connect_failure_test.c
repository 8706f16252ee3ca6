#include "gateway/connect_failure.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_a_host_is_blamed_for_its_own_faults_and_for_the_way_to_it_and_we_for_ours(
    void **state)
{
    static const struct {
        int error;
        enum delivery_failure v4, v6;
    } cases[] = {
        { ECONNREFUSED, DELIVERY_FAILURE_REFUSED, DELIVERY_FAILURE_REFUSED },
        { ETIMEDOUT, DELIVERY_FAILURE_TIMEOUT, DELIVERY_FAILURE_TIMEOUT },
        { EHOSTUNREACH, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { ENETUNREACH, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { ECONNRESET, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { EAFNOSUPPORT, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { EACCES, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { EPERM, DELIVERY_FAILURE_UNREACHABLE, DELIVERY_FAILURE_UNREACHABLE },
        { EMFILE, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_LOCAL },
        { ENFILE, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_LOCAL },
        { ENOMEM, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_LOCAL },
        { ENOBUFS, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_LOCAL },
        { EAGAIN, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_LOCAL },
        { EADDRNOTAVAIL, DELIVERY_FAILURE_LOCAL, DELIVERY_FAILURE_UNREACHABLE },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(gateway_connect_failure(cases[i].error, true), cases[i].v4);
        assert_int_equal(gateway_connect_failure(cases[i].error, false), cases[i].v6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_a_host_is_blamed_for_its_own_faults_and_for_the_way_to_it_and_we_for_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
