/* The records of a stream are counted the same however it is cut, and the rest of a record is what
 * is missing to its end. */
#include <stdint.h>

#include "base/check.h"
#include "tls/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Passes the stream in pieces; each ends where the record ends, if the piece does not end before.
 */
static void by_rests(struct tls_records *r, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t rest = tls_records_rest(r), len = rest > 0 && rest < bytes.len ? rest : 1;
        uint64_t before = tls_records_next(r);

        tls_records_pass(r, slice_first(bytes, len));
        bytes = slice_after(bytes, len);
        if (rest > TLS_RECORD_HEADER_BYTES && rest == len)
            ASSERT(tls_records_rest(r) == 0 && tls_records_next(r) <= before + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_records whole = { 0 }, pieces = { 0 }, rests = { 0 };
    struct slice bytes;
    size_t piece_bytes;

    if (size < 1)
        return 0;
    piece_bytes = 1 + data[0] % 64u;
    bytes = (struct slice){ (const char *)data + 1, size - 1 };
    tls_records_pass(&whole, bytes);
    by_rests(&rests, bytes);
    while (bytes.len > 0) {
        size_t len = bytes.len < piece_bytes ? bytes.len : piece_bytes;

        tls_records_pass(&pieces, slice_first(bytes, len));
        bytes = slice_after(bytes, len);
    }
    ASSERT(tls_records_next(&whole) == tls_records_next(&pieces));
    ASSERT(tls_records_next(&whole) == tls_records_next(&rests));
    ASSERT(tls_records_rest(&whole) == tls_records_rest(&pieces));
    ASSERT(tls_records_rest(&whole) == tls_records_rest(&rests));
    ASSERT(tls_records_is_sure(&whole) == tls_records_is_sure(&pieces));
    ASSERT(memcmp(tls_records_nonce(&whole), tls_records_nonce(&rests), TLS_RECORD_NONCE_BYTES) ==
           0);
    tls_records_restart(&whole);
    ASSERT(tls_records_next(&whole) == 0);
    return 0;
}
