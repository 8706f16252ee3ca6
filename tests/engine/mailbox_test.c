#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/mailbox.h"
#include "engine/thread.h"
#include "tests/engine/peer.h"

#define MESSAGES 100000
#define SENDERS  3

struct letter {
    struct engine_message message;
    unsigned sender;
    unsigned number;
};

/* Everything here is written by the receiving loop's thread only. */
struct inbox {
    unsigned next[SENDERS];
    unsigned received;
    bool out_of_order;
};

static struct inbox inbox;

static void take_letter(struct engine_loop *here, struct engine_message *m)
{
    struct letter *l = CONTAINER_OF(m, struct letter, message);

    (void)here;
    inbox.out_of_order |= l->number != inbox.next[l->sender];
    inbox.next[l->sender] = l->number + 1;
    inbox.received++;
}

/* A thread that posts, with a loop of its own or without. */
struct sender {
    struct engine_thread thread;
    struct engine_loop *to;
    unsigned number;
    bool has_loop;
    struct letter *letters;
};

static void post_all(struct engine_thread *thread)
{
    struct sender *s = CONTAINER_OF(thread, struct sender, thread);
    struct engine_loop *own = s->has_loop ? peer_loop(NULL) : NULL;

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct letter *l = &s->letters[i];

        l->sender = s->number;
        l->number = i;
        l->message.deliver = take_letter;
        engine_mailbox_post(s->to, own, &l->message);
        if (own != NULL && i % 64 == 0)
            peer_poll(own);
    }
    if (own != NULL)
        peer_poll(own); /* the last bell */
    engine_loop_destroy(own);
}

static void messages_from_other_threads_come_in_order(void **unused)
{
    static struct sender senders[SENDERS];
    struct engine_loop *loop = peer_loop(NULL);

    (void)unused;
    inbox = (struct inbox){ .received = 0 };
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .to = loop, .number = i, .has_loop = i != 1 };
        senders[i].letters = calloc(MESSAGES, sizeof(struct letter));
        assert_non_null(senders[i].letters);
        assert_int_equal(
            engine_thread_start(&senders[i].thread, "sender", ENGINE_THREAD_ANY_CPU, post_all),
            STATUS_OK);
    }
    peer_turn_until(loop, &inbox.received, SENDERS * MESSAGES);
    assert_false(inbox.out_of_order);
    for (unsigned i = 0; i < SENDERS; i++) {
        engine_thread_join(&senders[i].thread);
        assert_int_equal(inbox.next[i], MESSAGES);
        free(senders[i].letters);
    }
    engine_loop_destroy(loop);
}

/* ---- one ball between two loops: every stroke has to wake a sleeping loop ---- */

#define STROKES 2000

struct court {
    struct engine_thread thread;
    struct engine_message ball;
    struct engine_loop *loops[2];
    unsigned strokes;
    _Atomic bool open; /* the second loop is there */
    bool over[2];
};

static void stroke(struct engine_loop *here, struct engine_message *m)
{
    struct court *c = CONTAINER_OF(m, struct court, ball);
    unsigned side = here == c->loops[1];

    c->strokes++;
    c->over[side] = c->strokes >= STROKES - 1;
    if (c->strokes < STROKES)
        engine_mailbox_post(c->loops[!side], here, m);
}

static void play(struct engine_thread *thread)
{
    struct court *c = CONTAINER_OF(thread, struct court, thread);

    c->loops[1] = peer_loop(NULL);
    c->open = true;
    while (!c->over[1])
        engine_loop_turn(c->loops[1]);
    peer_poll(c->loops[1]);
    engine_loop_destroy(c->loops[1]);
}

static void each_loop_wakes_the_other(void **unused)
{
    struct court c = { .ball = { .deliver = stroke } };

    (void)unused;
    c.loops[0] = peer_loop(NULL);
    assert_int_equal(engine_thread_start(&c.thread, "player", ENGINE_THREAD_ANY_CPU, play),
                     STATUS_OK);
    while (!c.open)
        continue;
    engine_mailbox_post(c.loops[1], c.loops[0], &c.ball);
    while (!c.over[0])
        engine_loop_turn(c.loops[0]);
    peer_poll(c.loops[0]);
    engine_thread_join(&c.thread);
    assert_int_equal(c.strokes, STROKES);
    engine_loop_destroy(c.loops[0]);
}

static void posting_to_oneself_needs_no_bell(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct engine_counters counters;
    struct letter letters[3];

    (void)unused;
    inbox = (struct inbox){ .received = 0 };
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++) {
        letters[i] = (struct letter){ .message = { .deliver = take_letter }, .number = i };
        engine_mailbox_post(loop, loop, &letters[i].message);
    }
    assert_int_equal(inbox.received, 0);
    engine_loop_turn(loop);
    assert_int_equal(inbox.received, 3);
    assert_false(inbox.out_of_order);
    engine_loop_counters(loop, &counters);
    assert_int_equal(counters.doorbells, 0);
    assert_int_equal(counters.messages, 3);
    engine_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_from_other_threads_come_in_order),
        cmocka_unit_test(each_loop_wakes_the_other),
        cmocka_unit_test(posting_to_oneself_needs_no_bell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
