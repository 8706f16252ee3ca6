#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "engine/helper.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

#define JOBS 5000

struct sum {
    struct engine_job job;
    unsigned input;
    uint64_t result;
    unsigned *done_count;
    pthread_mutex_t *gate; /* held by the test to keep a helper busy; NULL: none */
};

static void run_sum(struct engine_job *job)
{
    struct sum *s = CONTAINER_OF(job, struct sum, job);

    if (s->gate != NULL) {
        (void)pthread_mutex_lock(s->gate);
        (void)pthread_mutex_unlock(s->gate);
    }
    for (unsigned i = 1; i <= s->input; i++)
        s->result += i;
}

static void sum_done(struct engine_loop *loop, struct engine_job *job)
{
    struct sum *s = CONTAINER_OF(job, struct sum, job);

    (void)loop;
    (*s->done_count)++;
}

static void init_sum(struct sum *s, unsigned input, unsigned *done_count)
{
    *s = (struct sum){ .job = { .run = run_sum, .done = sum_done },
                       .input = input,
                       .done_count = done_count };
}

static void jobs_come_back_to_the_loop_that_posted_them(void **unused)
{
    static struct sum sums[JOBS];
    static const unsigned threads[] = { 0, 1, 4 };

    (void)unused;
    for (size_t k = 0; k < ARRAY_LEN(threads); k++) {
        struct engine_loop *loop = peer_loop(NULL);
        struct engine_helper *helper = NULL;
        unsigned done_count = 0;

        assert_int_equal(engine_helper_create(threads[k], JOBS, &helper), STATUS_OK);
        for (unsigned i = 0; i < JOBS; i++) {
            init_sum(&sums[i], i, &done_count);
            assert_int_equal(engine_helper_submit(helper, loop, &sums[i].job), STATUS_OK);
        }
        assert_int_equal(done_count, 0);
        peer_turn_until(loop, &done_count, JOBS);
        for (unsigned i = 0; i < JOBS; i++)
            assert_int_equal(sums[i].result, (uint64_t)i * (i + 1) / 2);
        engine_helper_destroy(helper);
        engine_loop_destroy(loop);
    }
}

static void a_full_queue_takes_no_more(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct engine_helper *helper = NULL;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct sum sums[5];
    unsigned done_count = 0;
    unsigned taken = 0;

    (void)unused;
    assert_int_equal(engine_helper_create(1, 2, &helper), STATUS_OK);
    (void)pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < ARRAY_LEN(sums); i++) {
        enum status status;

        init_sum(&sums[i], i, &done_count);
        sums[i].gate = &gate;
        status = engine_helper_submit(helper, loop, &sums[i].job);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        taken += status == STATUS_OK;
    }
    assert_true(taken == 2 || taken == 3); /* one may run already */
    (void)pthread_mutex_unlock(&gate);
    engine_helper_destroy(helper); /* runs what it took */
    peer_turn_until(loop, &done_count, taken);
    assert_int_equal(done_count, taken);
    engine_loop_destroy(loop);
    engine_helper_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back_to_the_loop_that_posted_them),
        cmocka_unit_test(a_full_queue_takes_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
