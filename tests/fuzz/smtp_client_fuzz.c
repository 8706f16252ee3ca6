/* Any server at all: no assertion falls, and the dialogue does not depend on how it is cut. */
#include <assert.h>
#include <stdint.h>

#include "tests/smtp/client_converse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_client_options options = { .hostname = { "out.example", 11 } };
static const struct smtp_client_recipient recipients[] = {
    { .address = { "a@x.example", 11 },
      .notify = SMTP_NOTIFY_FAILURE,
      .orcpt = { "rfc822;a@b", 10 } },
    { .address = { "b@x.example", 11 } },
    { .address = { "c@y.example", 11 } },
};
static const struct smtp_client_envelope envelopes[] = {
    { .sender = { "s@y.example", 11 },
      .recipients = recipients,
      .recipients_count = 2,
      .message_bytes = 1234,
      .has_8bit = true,
      .eight_bit_as_is = true },
    { .recipients = recipients,
      .recipients_count = 1,
      .ret = SMTP_RET_FULL,
      .envid = { "q", 1 },
      .may_chunk = true },
    { .sender = { "s@y.example", 11 },
      .recipients = recipients,
      .recipients_count = 3,
      .message_bytes = 1,
      .has_8bit = true,
      .smtputf8 = true,
      .may_chunk = true },
    { .recipients = recipients, .recipients_count = 3, .require_tls = true, .may_chunk = true },
};

/* At most one recipient at a time, as verify() wants it. */
static const struct smtp_client_envelope questions[] = {
    { .recipients = recipients, .recipients_count = 1 },
    { .recipients = recipients + 1, .recipients_count = 1 },
    { .sender = { "", 0 } },
    { .recipients = recipients, .recipients_count = 1, .require_tls = true },
};
static_assert(ARRAY_LEN(envelopes) == ARRAY_LEN(questions), "either is played");

/* All of the text, cut at two places. */
static void play(struct client_converse *c, bool only_asks, size_t count, bool wants_tls,
                 struct slice text, size_t first, size_t second)
{
    client_converse_start(c, &options, only_asks ? questions : envelopes, count, wants_tls);
    c->only_asks = only_asks;
    client_converse_feed(c, slice_first(text, first));
    client_converse_feed(c, slice_after(slice_first(text, second), first));
    client_converse_feed(c, slice_after(text, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_converse whole, cut, bytes;
    struct slice text;
    size_t first, second, count;
    bool wants_tls, only_asks;

    if (size < 3)
        return 0;
    wants_tls = (data[0] & 1) != 0;
    /* The top bit, so that the corpus of before says what it said. */
    only_asks = (data[0] & 0x80) != 0;
    count = data[0] % 0x80 / 2 % (ARRAY_LEN(envelopes) + 1);
    text = (struct slice){ (const char *)data + 3, size - 3 };
    first = data[1] % (text.len + 1);
    second = first + data[2] % (text.len - first + 1);

    play(&whole, only_asks, count, wants_tls, text, 0, 0);
    play(&cut, only_asks, count, wants_tls, text, first, second);
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
    play(&bytes, only_asks, count, wants_tls, SLICE(""), 0, 0);
    for (size_t i = 0; i < text.len; i++)
        client_converse_feed(&bytes, (struct slice){ text.data + i, 1 });
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&bytes.log)));
    client_converse_finish(&whole);
    client_converse_finish(&cut);
    client_converse_finish(&bytes);
    return 0;
}
