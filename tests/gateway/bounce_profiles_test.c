/* Which bounce profile holds, and the numbers by which the scheduler knows those of listeners. */
#include "gateway/bounce_profiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/builder.h"
#include "spool/draft.h"

static struct config_listener listeners[3] = { { .name = "A" }, { .name = "B" }, { .name = "C" } };
static struct config_loaded config;
static struct gateway_generation generation = { .config = &config };
static struct gateway_view view = { .generation = &generation };
static struct delivery_scheduler *scheduler;

static const struct policy_bounce_profile quick = { .name = SLICE("quick"), .max_retries = 1 };
static const struct policy_bounce_profile slow = { .name = SLICE("slow"), .max_retries = 99 };
static const struct policy_bounce_profile own = { .name = SLICE("own"), .max_retries = 7 };

static unsigned number_at(const struct gateway_bounce_profiles *b, const char *listener)
{
    return gateway_bounce_profiles_number(b, &view, slice_from(listener));
}

static void destinations_go_before_listeners_and_these_before_the_default(void **unused)
{
    static const struct {
        const char *listener, *domain, *profile;
    } cases[] = {
        { "A", "own.example", "own" },     { "A", "else.example", "quick" },
        { "C", "own.example", "own" },     { "C", "else.example", "default" },
        { "", "else.example", "default" }, { "gone", "else.example", "default" },
    };

    (void)unused;
    listeners[0].bounce_profile = &quick;
    listeners[2].bounce_profile = NULL;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_bounce_profile *p = gateway_bounce_profile_of(
            &view, slice_from(cases[i].listener), slice_from(cases[i].domain));

        assert_true(slice_equal(p->name, slice_from(cases[i].profile)));
    }
}

static void a_number_stays_with_its_name(void **unused)
{
    struct gateway_bounce_profiles b = { 0 };

    (void)unused;
    listeners[0].bounce_profile = listeners[1].bounce_profile = NULL;
    assert_int_equal(gateway_bounce_profiles_update(&b, &view, scheduler), STATUS_OK);
    assert_int_equal(number_at(&b, "A"), DELIVERY_PROFILE_DESTINATION);
    listeners[0].bounce_profile = &quick;
    listeners[1].bounce_profile = &slow;
    assert_int_equal(gateway_bounce_profiles_update(&b, &view, scheduler), STATUS_OK);
    assert_int_equal(number_at(&b, "A"), 1);
    assert_int_equal(number_at(&b, "B"), 2);
    assert_int_equal(number_at(&b, "C"), DELIVERY_PROFILE_DESTINATION);
    assert_int_equal(number_at(&b, "gone"), DELIVERY_PROFILE_DESTINATION);
    /* The first is no more, and the other is another listener's. */
    listeners[0].bounce_profile = &slow;
    listeners[1].bounce_profile = &own;
    assert_int_equal(gateway_bounce_profiles_update(&b, &view, scheduler), STATUS_OK);
    assert_int_equal(number_at(&b, "A"), 2);
    assert_int_equal(number_at(&b, "B"), 3);
    gateway_bounce_profiles_finish(&b);
}

static void warnings_are_off_unless_the_profile_says_so(void **unused)
{
    struct policy_bounce_profile p = policy_bounce_profile_default();

    (void)unused;
    assert_int_equal(gateway_bounce_profile_times(&p).warnings_max, 0);
    p.send_warnings = true;
    assert_int_equal(gateway_bounce_profile_times(&p).warnings_max, 1);
    assert_int_equal(gateway_bounce_profile_times(&p).warning_interval_ms, 14400000);
    assert_int_equal(gateway_bounce_profile_times(&p).age_ms_max, 259200000);
}

static int set_up(void **unused)
{
    const struct hash_seed seed = { 1, 2 };
    struct policy_destination d = { .has_bounce_profile = true };
    const struct policy_bounce_profile *kept;
    struct policy_builder *builder;

    (void)unused;
    config.settings.listeners = listeners;
    config.settings.listeners_count = ARRAY_LEN(listeners);
    if (policy_builder_create(1, 1u << 20, &builder) != STATUS_OK ||
        policy_builder_add_bounce_profile(builder, &own, &kept) != STATUS_OK)
        return -1;
    d.name = SLICE("own.example");
    d.bounce_profile = kept;
    if (policy_builder_add_destination(builder, &d) != STATUS_OK ||
        policy_builder_finish(builder, &config.policy) != STATUS_OK)
        return -1;
    policy_builder_destroy(builder);
    return delivery_scheduler_create(&seed, &scheduler) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **unused)
{
    (void)unused;
    delivery_scheduler_destroy(scheduler);
    policy_snapshot_destroy(config.policy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destinations_go_before_listeners_and_these_before_the_default),
        cmocka_unit_test(a_number_stays_with_its_name),
        cmocka_unit_test(warnings_are_off_unless_the_profile_says_so),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
