#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>

#include "dns/event.h"
#include "tests/dns/fake_world.h"

#define FD 7

static struct world world;
static struct dns_events events;
static struct ub_event *event;
static unsigned fired;
static short fired_bits;
static int fired_fd;
static enum { NOTHING, DELETE, FREE, ADD } in_callback;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    dns_events_init(&events, &world.dns);
    fired = 0;
    in_callback = NOTHING;
    return 0;
}

static void callback(int fd, short bits, void *arg)
{
    assert_ptr_equal(arg, &fired);
    fired++;
    fired_bits = bits;
    fired_fd = fd;
    if (in_callback == DELETE)
        event->vmt->del(event);
    if (in_callback == FREE)
        event->vmt->free(event);
    if (in_callback == ADD)
        assert_int_equal(event->vmt->add(event, NULL), 0);
}

static struct ub_event *make(int fd, short bits)
{
    event = events.base.vmt->new_event(&events.base, fd, bits, callback, &fired);
    assert_non_null(event);
    assert_int_equal(event->magic, UB_EVENT_MAGIC);
    return event;
}

static void release(void)
{
    event->vmt->free(event);
    assert_int_equal(world_running(&world), 0);
    assert_int_equal(events.events, 0);
}

static void a_persistent_event_fires_again_and_again(void **state)
{
    (void)state;
    make(FD, UB_EV_READ | UB_EV_PERSIST);
    assert_int_equal(world_running(&world), 0); /* not before it was added */
    assert_int_equal(event->vmt->add(event, NULL), 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(world_find(&world, FD)->events, POLLIN);
        world_ready(&world, FD, POLLIN);
        assert_int_equal(fired, i);
        assert_int_equal(fired_bits, UB_EV_READ);
        assert_int_equal(fired_fd, FD);
    }
    event->vmt->del(event);
    assert_int_equal(world_running(&world), 0);
    event->vmt->del(event);
    release();
}

static void any_other_event_fires_once(void **state)
{
    struct timeval limit = { 1, 0 };

    (void)state;
    make(FD, UB_EV_WRITE);
    assert_int_equal(event->vmt->add(event, &limit), 0);
    assert_int_equal(world_find(&world, FD)->events, POLLOUT);
    world_ready(&world, FD, POLLOUT);
    assert_int_equal(fired_bits, UB_EV_WRITE);
    assert_int_equal(world_running(&world), 0); /* its time limit is over as well */
    release();
}

static void bits_and_descriptor_can_be_changed(void **state)
{
    (void)state;
    make(-1, UB_EV_READ | UB_EV_PERSIST);
    event->vmt->set_fd(event, FD);
    event->vmt->add_bits(event, UB_EV_WRITE);
    assert_int_equal(event->vmt->add(event, NULL), 0);
    assert_int_equal(world_find(&world, FD)->events, POLLIN | POLLOUT);
    world_ready(&world, FD, POLLOUT);
    assert_int_equal(fired_bits, UB_EV_WRITE);
    event->vmt->del(event);
    event->vmt->del_bits(event, UB_EV_READ);
    assert_int_equal(event->vmt->add(event, NULL), 0);
    assert_int_equal(world_find(&world, FD)->events, POLLOUT);
    release();
}

static void an_error_is_readiness_for_what_was_asked(void **state)
{
    (void)state;
    make(FD, UB_EV_WRITE | UB_EV_PERSIST);
    assert_int_equal(event->vmt->add(event, NULL), 0);
    world_ready(&world, FD, POLLERR | POLLHUP);
    assert_int_equal(fired_bits, UB_EV_WRITE);
    world_ready(&world, FD, -12);
    assert_int_equal(fired, 1);
    release();
}

static void a_limit_starts_anew_whenever_the_event_fires(void **state)
{
    struct timeval limit = { 0, 500001 };

    (void)state;
    make(FD, UB_EV_READ | UB_EV_PERSIST | UB_EV_TIMEOUT);
    assert_int_equal(event->vmt->add(event, &limit), 0);
    world_pass(&world, 500); /* never early */
    assert_int_equal(fired, 0);
    world_ready(&world, FD, POLLIN);
    world_pass(&world, 500);
    assert_int_equal(fired, 1);
    world_pass(&world, 1);
    assert_int_equal(fired, 2);
    assert_int_equal(fired_bits, UB_EV_TIMEOUT);
    assert_non_null(world_find(&world, FD)); /* persistent: still there */
    world_pass(&world, 501);
    assert_int_equal(fired, 3);
    release();
}

static void a_timer_fires_once_and_can_be_set_again(void **state)
{
    struct timeval limit = { 2, 0 };

    (void)state;
    make(-1, UB_EV_TIMEOUT);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(event->vmt->add_timer(event, &events.base, callback, &fired, &limit), 0);
        world_pass(&world, 1999);
        assert_int_equal(fired, i - 1);
        world_pass(&world, 1);
        assert_int_equal(fired, i);
        assert_int_equal(fired_fd, -1);
        world_pass(&world, 5000);
    }
    assert_int_equal(event->vmt->add_timer(event, &events.base, callback, &fired, &limit), 0);
    event->vmt->del_timer(event);
    world_pass(&world, 5000);
    assert_int_equal(fired, 2);
    release();
}

static void a_callback_may_stop_free_and_start_its_event(void **state)
{
    struct timeval limit = { 1, 0 };

    (void)state;
    make(FD, UB_EV_READ | UB_EV_PERSIST);
    in_callback = DELETE;
    assert_int_equal(event->vmt->add(event, &limit), 0);
    world_ready(&world, FD, POLLIN);
    assert_int_equal(world_running(&world), 0);

    in_callback = ADD;
    assert_int_equal(event->vmt->add(event, &limit), 0);
    world_ready(&world, FD, POLLIN);
    assert_int_equal(world_running(&world), 1); /* without a limit this time */

    in_callback = FREE;
    world_ready(&world, FD, POLLIN);
    assert_int_equal(world_running(&world), 0);
    assert_int_equal(events.events, 0);
    assert_int_equal(fired, 3);
}

static void without_memory_an_event_is_refused_or_stops(void **state)
{
    struct timeval limit = { 1, 0 };

    (void)state;
    make(FD, UB_EV_READ | UB_EV_PERSIST);
    world.is_out_of_memory = true;
    assert_int_equal(event->vmt->add(event, &limit), -1);
    assert_int_equal(world_running(&world), 0);
    world.is_out_of_memory = false;
    assert_int_equal(event->vmt->add(event, &limit), 0);
    world.is_out_of_memory = true;
    world_ready(&world, FD, POLLIN);
    assert_int_equal(fired, 1);
    assert_int_equal(world_running(&world), 0);
    world.is_out_of_memory = false;
    release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_persistent_event_fires_again_and_again, setup),
        cmocka_unit_test_setup(any_other_event_fires_once, setup),
        cmocka_unit_test_setup(bits_and_descriptor_can_be_changed, setup),
        cmocka_unit_test_setup(an_error_is_readiness_for_what_was_asked, setup),
        cmocka_unit_test_setup(a_limit_starts_anew_whenever_the_event_fires, setup),
        cmocka_unit_test_setup(a_timer_fires_once_and_can_be_set_again, setup),
        cmocka_unit_test_setup(a_callback_may_stop_free_and_start_its_event, setup),
        cmocka_unit_test_setup(without_memory_an_event_is_refused_or_stops, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
