/* tls/records.h - counts the records of a stream of ciphertext that passes by.
 *
 * One for each direction of a session. What the kernel is given with a key is the number of the
 * next record under it, and a key may change hands only between two records: this is where both
 * are known. Bytes may come in any pieces. Keeps no bytes but a header and, for TLS 1.2 with
 * AES-GCM, the nonce that stands in front of the record (RFC 5288 3).
 *
 * Pure. Under TLS 1.2 the key changes with ChangeCipherSpec, which is seen here; under TLS 1.3 it
 * changes silently, and tls_records_restart() says when.
 */
#pragma once
#include "base/slice.h"

#define TLS_RECORD_HEADER_BYTES 5
#define TLS_RECORD_NONCE_BYTES  8

struct tls_records { /* Fields are private; start from all zero. */
    uint64_t count;
    uint32_t body_left;
    uint8_t have; /* bytes of `head`: header and start of the body of the record under way */
    bool is_pinned;
    bool is_foreign;
    unsigned char head[TLS_RECORD_HEADER_BYTES + TLS_RECORD_NONCE_BYTES];
    unsigned char last_nonce[TLS_RECORD_NONCE_BYTES];
};

void tls_records_pass(struct tls_records *r, struct slice bytes);

/* The next record is number 0 of a new key; said between two records. From now on a
 * ChangeCipherSpec, an empty gesture in TLS 1.3 (RFC 8446 D.4), starts no new count. */
void tls_records_restart(struct tls_records *r);

/* Bytes to the end of the record under way, as far as it is known: of its header, then of its
 * body. 0: the stream stands between two records. */
size_t tls_records_rest(const struct tls_records *r);

/* False when something passed that has not the form of TLS records (the ClientHello of SSL 2, for
 * one, which OpenSSL understands): then nothing here is to be relied on. */
bool tls_records_is_sure(const struct tls_records *r);

/* The number of the next record under the current key. */
uint64_t tls_records_next(const struct tls_records *r);

/* The first bytes of the last record's body. */
const unsigned char *tls_records_nonce(const struct tls_records *r);
