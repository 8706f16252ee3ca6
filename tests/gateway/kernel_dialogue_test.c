/* The same dialogues, drawn from a seed, through all four combinations of kernel and OpenSSL, with
 * the channel as server and as client: each side must hear exactly what the other has said. */
#include "tests/gateway/kernel_rig.h"

#define DIALOGUES  3 /* of each combination, role and suite */
#define STEPS_MAX  24
#define RECORD_MAX 16384
#define SAYING_MAX 70000
#define BODY_MIN   40000

static char letters[SAYING_MAX];
static uint64_t dice;

static uint64_t roll(uint64_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % sides;
}

/* Sizes around the limits of records come often. */
static size_t some_size(size_t max)
{
    static const size_t edges[] = {
        1, 2, 5, 16, 512, 4095, 4096, 4097, 16383, 16384, 16385, 32768
    };
    size_t size = roll(2) == 0 ? edges[roll(ARRAY_LEN(edges))] : 1 + (size_t)roll(max);

    return size < max ? size : max;
}

static struct slice some_text(size_t max)
{
    size_t size = some_size(max);

    return (struct slice){ letters + roll(SAYING_MAX - size + 1), size };
}

/* In records of any size, and in writes that have nothing to do with records. */
static void far_says(struct rig *r, struct slice text, struct buffer *said)
{
    struct slice rest = text, bytes;

    assert_int_equal(buffer_append(said, text), STATUS_OK);
    while (rest.len > 0) {
        size_t len = roll(4) == 0 ? 1 + (size_t)roll(100) : some_size(RECORD_MAX);

        if (len > rest.len)
            len = rest.len;
        soft_seal(&r->far_send, TYPE_DATA, slice_first(rest, len), &r->far_out);
        rest = slice_after(rest, len);
    }
    bytes = buffer_contents(&r->far_out);
    while (bytes.len > 0) {
        size_t len = roll(3) == 0 ? 1 + (size_t)roll(30) : some_size(SAYING_MAX);

        if (len > bytes.len)
            len = bytes.len;
        rig_write(r, slice_first(bytes, len));
        bytes = slice_after(bytes, len);
        if (roll(3) == 0)
            rig_turn(r);
    }
    buffer_clear(&r->far_out);
}

static void near_says(struct rig *r, struct slice text, struct buffer *said)
{
    assert_int_equal(buffer_append(said, text), STATUS_OK);
    if (text.len >= BODY_MIN) {
        unsigned before = r->drained;

        gateway_channel_send_body(&r->channel, text);
        RIG_UNTIL(r, (rig_far_read(r), r->drained > before));
        return;
    }
    assert_int_equal(buffer_append(gateway_channel_output(&r->channel), text), STATUS_OK);
    if (roll(3) != 0)
        gateway_channel_flush(&r->channel);
    if (roll(2) == 0)
        rig_turn(r);
    rig_far_read(r);
}

static void assert_heard(const struct rig *r, const struct buffer *heard, const struct buffer *said,
                         uint64_t seed)
{
    if (!slice_equal(buffer_contents(heard), buffer_contents(said)))
        fail_msg("seed %llu, kernel: %s, near is %s: heard %zu bytes of %zu, or others",
                 (unsigned long long)seed, combo_names[r->combo],
                 r->is_server ? "server" : "client", buffer_len(heard), buffer_len(said));
}

/* How both ends part. */
static void part(struct rig *r)
{
    if (roll(2) == 0) { /* the near end is first: close_notify, then FIN */
        gateway_channel_close(&r->channel);
        RIG_UNTIL(r, (rig_far_read(r), r->far_saw_end));
        assert_true(rig_far_heard_control(r, SSL3_RT_ALERT, -1, SSL3_AD_CLOSE_NOTIFY));
        assert_int_equal(r->far_error, 0);
        (void)close(r->peer);
        r->peer = -1;
        RIG_UNTIL(r, r->closed == 1);
        return;
    }
    /* The far end closes half of the connection, with or without a word, and reads on. */
    if (roll(2) == 0) {
        soft_seal(&r->far_send, SSL3_RT_ALERT, SLICE("\1\0"), &r->far_out);
        rig_flush(r);
    }
    (void)shutdown(r->peer, SHUT_WR);
    RIG_UNTIL(r, r->ended > 0);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->ended_error, 0);
    assert_int_equal(buffer_append_text(gateway_channel_output(&r->channel), "last"), STATUS_OK);
    buffer_clear(&r->heard);
    gateway_channel_close(&r->channel);
    RIG_UNTIL(r, (rig_far_read(r), r->far_saw_end));
    assert_true(slice_equal(buffer_contents(&r->heard), SLICE("last")));
    assert_true(rig_far_heard_control(r, SSL3_RT_ALERT, -1, SSL3_AD_CLOSE_NOTIFY));
    assert_int_equal(r->far_error, 0);
}

static void dialogue(enum combo combo, bool is_server, const struct suite *suite, uint64_t seed)
{
    struct buffer near_said, far_said;
    struct slice first = { 0 };
    struct rig r;

    dice = seed;
    buffer_init(&near_said, RIG_BYTES_MAX);
    buffer_init(&far_said, RIG_BYTES_MAX);
    if (is_server && roll(2) == 0)
        first = some_text(20000);
    assert_int_equal(buffer_append(&far_said, first), STATUS_OK);
    rig_up(&r, combo, is_server, suite, first);
    for (uint64_t steps = 1 + roll(STEPS_MAX); steps > 0; steps--) {
        if (roll(2) == 0)
            near_says(&r, some_text(SAYING_MAX), &near_said);
        else
            far_says(&r, some_text(SAYING_MAX), &far_said);
        if (roll(8) == 0) {
            gateway_channel_pause(&r.channel);
            rig_turn(&r);
            gateway_channel_resume(&r.channel);
        }
    }
    gateway_channel_flush(&r.channel);
    RIG_UNTIL(&r, buffer_len(&r.got) >= buffer_len(&far_said));
    RIG_UNTIL(&r, (rig_far_read(&r), buffer_len(&r.heard) >= buffer_len(&near_said)));
    assert_heard(&r, &r.got, &far_said, seed);
    assert_heard(&r, &r.heard, &near_said, seed);
    buffer_clear(&r.got);
    buffer_clear(&r.heard);
    rig_settle(&r);
    part(&r);
    buffer_finish(&near_said);
    buffer_finish(&far_said);
    rig_down(&r);
}

static void every_combination_hears_the_same(void **unused)
{
    struct timespec now;
    const char *wish = getenv("POSTERN_SEED");
    uint64_t seed;

    (void)unused;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    seed = wish != NULL ? strtoull(wish, NULL, 10) : (uint64_t)now.tv_nsec * 2 + 1;
    print_message("seed %llu (POSTERN_SEED)\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof(letters); i++)
        letters[i] = (char)(' ' + i * 7 % 95);
    for (unsigned n = 0; n < DIALOGUES; n++)
        for (size_t s = 0; s < ARRAY_LEN(suites); s++)
            for (unsigned role = 0; role < 2; role++)
                for (unsigned combo = 0; combo < rig_combos(); combo++)
                    dialogue((enum combo)combo, role == 0, &suites[s],
                             seed + 1000 * (n + 1) + 10 * s + role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_hears_the_same),
    };

    return cmocka_run_group_tests(tests, rig_begin, remove_certificates);
}
