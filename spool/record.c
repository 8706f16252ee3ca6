#include "spool/record.h"

#include "spool/bytes.h"
#include "spool/crc32c.h"

#define SEGMENT_MAGIC      "POSTSEG\n"
#define SEGMENT_FLAG_FREE  1u
#define SEGMENT_CRC_AT     60
#define SEGMENT_HEADER_END 64

#define RECORD_CRC_AT 76

static_assert(SEGMENT_HEADER_END <= 512, "the header lies in one sector");
static_assert(RECORD_CRC_AT + 4 == SPOOL_RECORD_HEADER, "the checksum ends the header");
static_assert(SPOOL_RECORD_HEADER % SPOOL_RECORD_ALIGN == 0, "payloads are aligned");

static bool is_blocks(uint64_t bytes)
{
    return bytes > 0 && bytes % SPOOL_BLOCK_BYTES == 0;
}

static bool is_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

void spool_segment_header_encode(const struct spool_segment_header *h,
                                 char block[static SPOOL_BLOCK_BYTES])
{
    ASSERT(h->generation > 0 && h->log_id < SPOOL_LOGS_MAX);
    ASSERT(is_blocks(h->bytes) && h->bytes <= SPOOL_SEGMENT_BYTES_MAX);

    memset(block, 0, SPOOL_BLOCK_BYTES);
    memcpy(block, SEGMENT_MAGIC, 8);
    spool_put_u32(block + 8, SPOOL_FORMAT_VERSION);
    spool_put_u32(block + 12, h->is_free ? SEGMENT_FLAG_FREE : 0);
    spool_put_u64(block + 16, h->generation);
    spool_put_u64(block + 24, h->salt);
    spool_put_u32(block + 32, h->log_id);
    spool_put_u32(block + 36, h->bytes);
    spool_put_u32(block + SEGMENT_CRC_AT, spool_crc32c(0, block, SEGMENT_CRC_AT));
}

enum status spool_segment_header_decode(struct slice block, struct spool_segment_header *header_out)
{
    struct spool_segment_header h;
    uint32_t flags, version;

    if (block.len < SEGMENT_HEADER_END || memcmp(block.data, SEGMENT_MAGIC, 8) != 0)
        return STATUS_CORRUPT;
    if (spool_get_u32(block.data + SEGMENT_CRC_AT) != spool_crc32c(0, block.data, SEGMENT_CRC_AT))
        return STATUS_CORRUPT;
    version = spool_get_u32(block.data + 8);
    if (version == 0 || version > SPOOL_FORMAT_VERSION)
        return STATUS_UNSUPPORTED;

    flags = spool_get_u32(block.data + 12);
    h.is_free = (flags & SEGMENT_FLAG_FREE) != 0;
    h.generation = spool_get_u64(block.data + 16);
    h.salt = spool_get_u64(block.data + 24);
    h.log_id = spool_get_u32(block.data + 32);
    h.bytes = spool_get_u32(block.data + 36);
    if ((flags & ~SEGMENT_FLAG_FREE) != 0 || h.generation == 0 || h.log_id >= SPOOL_LOGS_MAX ||
        !is_blocks(h.bytes) || h.bytes > SPOOL_SEGMENT_BYTES_MAX)
        return STATUS_CORRUPT;
    *header_out = h;
    return STATUS_OK;
}

size_t spool_record_encode_payload(struct slice payload, char *to)
{
    size_t bytes = spool_record_bytes(payload.len);
    size_t end = SPOOL_RECORD_HEADER + payload.len;

    ASSERT(bytes <= SPOOL_RECORD_BYTES_MAX);
    memset(to, 0, SPOOL_RECORD_HEADER);
    spool_put_u32(to + 8, (uint32_t)payload.len);
    if (payload.len > 0)
        memcpy(to + SPOOL_RECORD_HEADER, payload.data, payload.len);
    memset(to + end, 0, bytes - end);
    /* The checksum is taken from the copy: it is what goes to disk, and it is warm. */
    spool_put_u32(to + 12, spool_crc32c(0, to + SPOOL_RECORD_HEADER, payload.len));
    return bytes;
}

size_t spool_record_encode_header(const struct spool_record *r, char *to)
{
    size_t bytes = spool_record_bytes(spool_get_u32(to + 8));

    ASSERT(bytes <= SPOOL_RECORD_BYTES_MAX && bytes <= r->batch_bytes);
    ASSERT(r->generation > 0 && r->batch > 0 && r->log_id < SPOOL_LOGS_MAX);
    ASSERT(is_blocks(r->batch_start) && is_blocks(r->batch_bytes));
    ASSERT((r->mid == 0) == (r->type == SPOOL_RECORD_PAD));

    spool_put_u32(to, SPOOL_RECORD_MAGIC);
    to[4] = (char)r->type;
    spool_put_u64(to + 16, r->generation);
    spool_put_u64(to + 24, r->salt);
    spool_put_u64(to + 32, r->batch);
    spool_put_u64(to + 40, r->sequence);
    spool_put_u64(to + 48, r->mid);
    spool_put_u32(to + 56, r->batch_start);
    spool_put_u32(to + 60, r->batch_bytes);
    spool_put_u32(to + 64, r->log_id);
    spool_put_u32(to + RECORD_CRC_AT, spool_crc32c(0, to, RECORD_CRC_AT));
    return bytes;
}

size_t spool_record_encode(const struct spool_record *r, struct slice payload, char *to)
{
    (void)spool_record_encode_payload(payload, to);
    return spool_record_encode_header(r, to);
}

static bool record_makes_sense(const struct spool_record *r)
{
    if (r->type < SPOOL_RECORD_MESSAGE || r->type > SPOOL_RECORD_PAD)
        return false;
    if (r->payload_bytes > SPOOL_RECORD_BYTES_MAX - SPOOL_RECORD_HEADER)
        return false;
    if (!is_blocks(r->batch_start) || !is_blocks(r->batch_bytes) ||
        r->batch_start >= SPOOL_SEGMENT_BYTES_MAX ||
        r->batch_bytes > SPOOL_SEGMENT_BYTES_MAX - r->batch_start ||
        spool_record_bytes(r->payload_bytes) > r->batch_bytes)
        return false;
    if (r->generation == 0 || r->batch == 0 || r->log_id >= SPOOL_LOGS_MAX)
        return false;
    return (r->mid == 0) == (r->type == SPOOL_RECORD_PAD);
}

enum status spool_record_decode(struct slice bytes, struct spool_record *record_out)
{
    const char *from = bytes.data;
    struct spool_record r;

    if (bytes.len < SPOOL_RECORD_HEADER || spool_get_u32(from) != SPOOL_RECORD_MAGIC)
        return STATUS_CORRUPT;
    if (spool_get_u32(from + RECORD_CRC_AT) != spool_crc32c(0, from, RECORD_CRC_AT))
        return STATUS_CORRUPT;
    if (!is_zero(from + 5, 3) || !is_zero(from + 68, 8))
        return STATUS_CORRUPT;

    r.type = (enum spool_record_type)(unsigned char)from[4];
    r.payload_bytes = spool_get_u32(from + 8);
    r.payload_crc = spool_get_u32(from + 12);
    r.generation = spool_get_u64(from + 16);
    r.salt = spool_get_u64(from + 24);
    r.batch = spool_get_u64(from + 32);
    r.sequence = spool_get_u64(from + 40);
    r.mid = spool_get_u64(from + 48);
    r.batch_start = spool_get_u32(from + 56);
    r.batch_bytes = spool_get_u32(from + 60);
    r.log_id = spool_get_u32(from + 64);
    if (!record_makes_sense(&r))
        return STATUS_CORRUPT;
    *record_out = r;
    return STATUS_OK;
}

bool spool_record_payload_is_whole(const struct spool_record *r, struct slice bytes,
                                   struct slice *payload_out)
{
    struct slice payload;

    ASSERT(bytes.len >= SPOOL_RECORD_HEADER);
    if (bytes.len - SPOOL_RECORD_HEADER < r->payload_bytes)
        return false;
    payload = (struct slice){ bytes.data + SPOOL_RECORD_HEADER, r->payload_bytes };
    if (spool_crc32c(0, payload.data, payload.len) != r->payload_crc)
        return false;
    *payload_out = payload;
    return true;
}

void spool_result_encode(const struct spool_result *result, char to[static SPOOL_RESULT_BYTES])
{
    ASSERT(result->rid < SPOOL_RECIPIENTS_MAX);
    ASSERT(result->state != SPOOL_RESULT_WAITING);

    memset(to, 0, SPOOL_RESULT_BYTES);
    spool_put_u32(to, result->rid);
    to[4] = (char)result->state;
    to[5] = (char)result->warnings;
    spool_put_u16(to + 6, result->holds);
    spool_put_u32(to + 8, result->attempts);
    spool_put_u32(to + 12, result->warned_wall_s);
    spool_put_u64(to + 16, (uint64_t)result->next_attempt_wall_s);
}

enum status spool_result_decode(struct slice bytes, struct spool_result *result_out)
{
    struct spool_result r;
    unsigned char state;

    if (bytes.len < SPOOL_RESULT_BYTES)
        return STATUS_CORRUPT;
    state = (unsigned char)bytes.data[4];
    r.rid = spool_get_u32(bytes.data);
    r.warnings = (uint8_t)bytes.data[5];
    r.holds = spool_get_u16(bytes.data + 6);
    r.attempts = spool_get_u32(bytes.data + 8);
    r.warned_wall_s = spool_get_u32(bytes.data + 12);
    r.next_attempt_wall_s = (int64_t)spool_get_u64(bytes.data + 16);
    if (r.rid >= SPOOL_RECIPIENTS_MAX || state < SPOOL_RESULT_DEFERRED ||
        state > SPOOL_RESULT_DELETED)
        return STATUS_CORRUPT;
    r.state = (enum spool_result_state)state;
    *result_out = r;
    return STATUS_OK;
}

void spool_result_merge(struct spool_result *known, const struct spool_result *said)
{
    bool newer = said->state > known->state;

    if (said->state == known->state)
        newer = said->attempts > known->attempts ||
                (said->attempts == known->attempts &&
                 said->next_attempt_wall_s > known->next_attempt_wall_s);
    if (said->warnings > known->warnings)
        known->warnings = said->warnings;
    if (said->warned_wall_s > known->warned_wall_s)
        known->warned_wall_s = said->warned_wall_s;
    if (said->holds > known->holds)
        known->holds = said->holds;
    if (!newer)
        return;
    known->state = said->state;
    known->attempts = said->attempts;
    known->next_attempt_wall_s = said->next_attempt_wall_s;
}
