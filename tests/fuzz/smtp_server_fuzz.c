/* Any bytes at all: no assertion falls, and the dialogue does not depend on how they are cut. */
#include <stdint.h>

#include "tests/smtp/converse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const hello = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_server_options options = { .hostname = { "mx.example", 10 } };
    struct converse whole, cut;
    struct slice text;
    size_t first, second;

    if (size < 3)
        return 0;
    options.tls = (enum smtp_server_tls)(data[0] % 3);
    options.bare_newlines =
        data[0] & 4 ? SMTP_SERVER_BARE_NEWLINES_ACCEPT : SMTP_SERVER_BARE_NEWLINES_REFUSE;
    if (data[0] & 8)
        options.message_bytes_max = 64;
    options.xclient = (data[0] & 128) != 0;
    options.offers_dsn = options.offers_require_tls = (data[1] & 128) != 0;
    options.errors_max = data[0] & 16 ? 2 : 100;
    options.recipients_max = data[0] & 32 ? 1 : 10;
    text = (struct slice){ (const char *)data + 3, size - 3 };
    first = data[1] % (text.len + 1);
    second = first + data[2] % (text.len - first + 1);

    converse_start(&whole, &options);
    converse_start(&cut, &options);
    if (data[0] & 64) {
        converse_feed(&whole, slice_from(hello));
        converse_feed(&cut, slice_from(hello));
    }
    converse_feed(&whole, text);
    converse_feed(&cut, slice_first(text, first));
    converse_feed(&cut, slice_after(slice_first(text, second), first));
    converse_feed(&cut, slice_after(text, second));
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
    converse_finish(&whole);
    converse_finish(&cut);

    converse_bytes(&cut, &options, text);
    converse_cut(&whole, &options, text, 0, 0);
    ASSERT(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
    converse_finish(&whole);
    converse_finish(&cut);
    return 0;
}
