#include "tls/records.h"

#define TYPE_FIRST              20
#define TYPE_CHANGE_CIPHER_SPEC 20
#define TYPE_LAST               24
#define VERSION_MAJOR           3

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void record_over(struct tls_records *r)
{
    size_t nonce_len = (size_t)r->have - TLS_RECORD_HEADER_BYTES;

    memset(r->last_nonce, 0, sizeof(r->last_nonce));
    memcpy(r->last_nonce, r->head + TLS_RECORD_HEADER_BYTES, nonce_len);
    if (r->head[0] == TYPE_CHANGE_CIPHER_SPEC && !r->is_pinned)
        r->count = 0;
    else
        r->count++;
    r->have = 0;
}

static size_t take_header(struct tls_records *r, struct slice bytes)
{
    size_t len = least(bytes.len, (size_t)TLS_RECORD_HEADER_BYTES - r->have);

    memcpy(r->head + r->have, bytes.data, len);
    r->have = (uint8_t)(r->have + len);
    if (r->have < TLS_RECORD_HEADER_BYTES)
        return len;
    r->body_left = (uint32_t)r->head[3] << 8 | r->head[4];
    if (r->head[0] < TYPE_FIRST || r->head[0] > TYPE_LAST || r->head[1] != VERSION_MAJOR)
        r->is_foreign = true;
    return len;
}

static size_t take_body(struct tls_records *r, struct slice bytes)
{
    size_t len = least(bytes.len, r->body_left);
    size_t head_len = least(len, sizeof(r->head) - r->have);

    memcpy(r->head + r->have, bytes.data, head_len);
    r->have = (uint8_t)(r->have + head_len);
    r->body_left -= (uint32_t)len;
    return len;
}

void tls_records_pass(struct tls_records *r, struct slice bytes)
{
    while (bytes.len > 0) {
        bool in_header = r->have < TLS_RECORD_HEADER_BYTES;

        bytes = slice_after(bytes, in_header ? take_header(r, bytes) : take_body(r, bytes));
        if (r->have >= TLS_RECORD_HEADER_BYTES && r->body_left == 0)
            record_over(r);
    }
}

void tls_records_restart(struct tls_records *r)
{
    if (tls_records_rest(r) != 0)
        r->is_foreign = true;
    r->count = 0;
    r->is_pinned = true;
}

size_t tls_records_rest(const struct tls_records *r)
{
    if (r->have == 0)
        return 0;
    return r->have < TLS_RECORD_HEADER_BYTES ? (size_t)TLS_RECORD_HEADER_BYTES - r->have
                                             : r->body_left;
}

bool tls_records_is_sure(const struct tls_records *r)
{
    return !r->is_foreign;
}

uint64_t tls_records_next(const struct tls_records *r)
{
    return r->count;
}

const unsigned char *tls_records_nonce(const struct tls_records *r)
{
    return r->last_nonce;
}
