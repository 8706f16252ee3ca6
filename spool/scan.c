#include "spool/scan.h"

#include "spool/bytes.h"

void spool_scan_init(struct spool_scan *s, struct slice bytes, uint64_t generation, uint64_t salt)
{
    *s = (struct spool_scan){
        .bytes = bytes,
        .generation = generation,
        .salt = salt,
        .at = SPOOL_BLOCK_BYTES,
        .batch_end = SPOOL_BLOCK_BYTES,
    };
}

/* Whether a header found at this offset is of this segment, and of the batch we are in or a
 * later one behind it. */
static bool belongs(const struct spool_scan *s, const struct spool_record *r, size_t offset)
{
    size_t batch_end = (size_t)r->batch_start + r->batch_bytes;

    if (r->generation != s->generation || r->salt != s->salt)
        return false;
    if (offset < r->batch_start || offset > batch_end ||
        batch_end - offset < spool_record_bytes(r->payload_bytes))
        return false;
    if (r->batch == s->batch)
        return batch_end == s->batch_end;
    return r->batch > s->batch && r->batch_start >= s->batch_end;
}

static bool header_at(const struct spool_scan *s, size_t offset, struct spool_record *record_out)
{
    struct spool_record r;

    if (offset > s->bytes.len)
        return false;
    if (spool_record_decode(slice_after(s->bytes, offset), &r) != STATUS_OK ||
        !belongs(s, &r, offset))
        return false;
    *record_out = r;
    return true;
}

static void enter_batch(struct spool_scan *s, const struct spool_record *r)
{
    ASSERT(r->batch >= s->batch);
    s->batch = r->batch;
    s->batch_end = (size_t)r->batch_start + r->batch_bytes;
}

/* Whether a record begins here whose header was damaged: it has our salt, which nothing else in a
 * segment has, and it lies in one sector, so that no power cut has left it half. */
static bool is_spoilt(const struct spool_scan *s, size_t offset)
{
    struct spool_record r;

    return offset % SPOOL_BLOCK_BYTES == 0 && offset < s->bytes.len &&
           s->bytes.len - offset >= SPOOL_RECORD_HEADER && s->salt != 0 &&
           spool_get_u64(s->bytes.data + offset + SPOOL_RECORD_SALT_AT) == s->salt &&
           spool_record_decode(slice_after(s->bytes, offset), &r) != STATUS_OK;
}

static enum spool_scan_item hole(struct spool_scan *s, size_t end, uint64_t batch, uint64_t mid)
{
    ASSERT(end > s->at);
    s->offset = s->at;
    s->item_bytes = end - s->at;
    s->hole_batch = batch;
    s->hole_mid = mid;
    s->hole_is_spoilt = is_spoilt(s, s->at);
    s->at = end;
    return SPOOL_SCAN_HOLE;
}

/* A batch of which no header is left. It is as long as the damaged one says, if that can be. */
static enum spool_scan_item spoilt_batch(struct spool_scan *s)
{
    uint32_t said = spool_get_u32(s->bytes.data + s->at + SPOOL_RECORD_BATCH_BYTES_AT);
    bool is_possible = said > 0 && said % SPOOL_BLOCK_BYTES == 0 && said <= s->bytes.len - s->at;

    if (s->batch > 0 && s->batch < UINT64_MAX)
        s->batch++;
    s->batch_end = s->at + (is_possible ? said : SPOOL_BLOCK_BYTES);
    return hole(s, s->batch_end, s->batch, 0);
}

/* Nothing readable is at s->at: finds where reading can go on. */
static enum spool_scan_item search(struct spool_scan *s)
{
    size_t from = s->nothing_follows ? s->bytes.len : s->at + SPOOL_RECORD_ALIGN;
    size_t end = s->batch_end;
    struct spool_record r;

    for (size_t at = from; at + SPOOL_RECORD_HEADER <= s->bytes.len; at += SPOOL_RECORD_ALIGN) {
        /* Most of a segment may be zeros: no call for each of them. */
        if (spool_get_u32(s->bytes.data + at) != SPOOL_RECORD_MAGIC || !header_at(s, at, &r))
            continue;
        if (r.batch == s->batch)
            return hole(s, at, r.batch, 0);
        /* What is missing of the batch we were in, or between it and the one found. */
        if (s->at < s->batch_end)
            return hole(s, s->batch_end, s->batch, 0);
        if (s->at < r.batch_start) {
            s->batch = r.batch - 1;
            s->batch_end = r.batch_start;
            return hole(s, r.batch_start, s->batch, 0);
        }
        enter_batch(s, &r);
        return hole(s, at, r.batch, 0);
    }
    s->nothing_follows = true;
    if (s->at < end)
        return hole(s, end, s->batch, 0);
    return is_spoilt(s, s->at) ? spoilt_batch(s) : SPOOL_SCAN_END;
}

/* What is left of the last block of a batch when no record header fits in. */
static void skip_batch_rest(struct spool_scan *s)
{
    if (s->at < s->batch_end && s->batch_end - s->at < SPOOL_RECORD_HEADER)
        s->at = s->batch_end;
}

enum spool_scan_item spool_scan_next(struct spool_scan *s)
{
    struct spool_record r;

    ASSERT(s->at % SPOOL_RECORD_ALIGN == 0 && s->at <= s->batch_end);
    for (;;) {
        skip_batch_rest(s);
        if (!header_at(s, s->at, &r))
            return search(s);
        enter_batch(s, &r);
        s->item_bytes = spool_record_bytes(r.payload_bytes);
        if (!spool_record_payload_is_whole(&r, slice_after(s->bytes, s->at), &s->payload))
            return hole(s, s->at + s->item_bytes, r.batch, r.mid);
        s->offset = s->at;
        s->at += s->item_bytes;
        if (r.type != SPOOL_RECORD_PAD) {
            s->record = r;
            return SPOOL_SCAN_RECORD;
        }
    }
}
