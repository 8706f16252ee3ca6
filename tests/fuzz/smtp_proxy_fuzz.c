/* What the PROXY header says does not depend on how it is cut, and nothing behind it is taken. */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "smtp/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds pieces from memory of just their size. */
static enum smtp_proxy_result cut(struct smtp_proxy_header *h, struct slice text, size_t piece,
                                  size_t *used_out)
{
    enum smtp_proxy_result result = SMTP_PROXY_MORE;
    size_t total = 0;

    smtp_proxy_header_init(h);
    while (result == SMTP_PROXY_MORE && total < text.len) {
        size_t len = text.len - total < piece ? text.len - total : piece;
        char *copy = malloc(len);
        size_t used;

        ASSERT(copy != NULL);
        memcpy(copy, text.data + total, len);
        result = smtp_proxy_header_feed(h, (struct slice){ copy, len }, &used);
        ASSERT(used <= len && (result != SMTP_PROXY_MORE || used == len));
        total += used;
        free(copy);
    }
    *used_out = total;
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data + 1, size - 1 };
    struct smtp_proxy_header whole, pieces;
    enum smtp_proxy_result result;
    size_t used, used_again;

    if (size < 2)
        return 0;
    result = cut(&whole, text, SIZE_MAX, &used);
    ASSERT(cut(&pieces, text, 1 + data[0] % 64u, &used_again) == result);
    ASSERT(used == used_again);
    ASSERT(used <=
           (text.data[0] == '\r' ? 16 + SMTP_PROXY_V2_REST_BYTES_MAX : SMTP_PROXY_V1_BYTES_MAX));
    if (result != SMTP_PROXY_DONE)
        return 0;
    ASSERT(whole.kind == pieces.kind);
    ASSERT(ip_endpoint_equal(&whole.source, &pieces.source));
    ASSERT(ip_endpoint_equal(&whole.destination, &pieces.destination));
    /* It stands on its own, and is not over before its last byte. */
    ASSERT(cut(&pieces, slice_first(text, used), SIZE_MAX, &used_again) == SMTP_PROXY_DONE);
    ASSERT(cut(&pieces, slice_first(text, used - 1), SIZE_MAX, &used_again) == SMTP_PROXY_MORE);
    return 0;
}
