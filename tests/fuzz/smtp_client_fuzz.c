/* Any server at all: no assertion falls, and the dialogue does not depend on how it is cut. */
#include <stdint.h>

#include "tests/smtp/client_converse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_client_options options = { .hostname = { "out.example", 11 } };
static const struct slice recipients[] = { { "a@x.example", 11 }, { "b@x.example", 11 } };
static const struct smtp_client_envelope envelopes[] = {
    { { "s@y.example", 11 }, recipients, 2, 1234, true, false },
    { { "", 0 }, recipients, 1, 0, false, false },
    { { "s@y.example", 11 }, recipients, 2, 1, true, true },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_converse whole, cut, bytes;
    struct slice text;
    size_t first, second, count;
    bool wants_tls;

    if (size < 3)
        return 0;
    wants_tls = (data[0] & 1) != 0;
    count = data[0] / 2 % (ARRAY_LEN(envelopes) + 1);
    text = (struct slice){ (const char *)data + 3, size - 3 };
    first = data[1] % (text.len + 1);
    second = first + data[2] % (text.len - first + 1);

    client_converse_cut(&whole, &options, envelopes, count, wants_tls, text, 0, 0);
    client_converse_cut(&cut, &options, envelopes, count, wants_tls, text, first, second);
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
    client_converse_start(&bytes, &options, envelopes, count, wants_tls);
    for (size_t i = 0; i < text.len; i++)
        client_converse_feed(&bytes, (struct slice){ text.data + i, 1 });
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&bytes.log)));
    client_converse_finish(&whole);
    client_converse_finish(&cut);
    client_converse_finish(&bytes);
    return 0;
}
