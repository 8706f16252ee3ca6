#include "spool/salvage.h"

#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "spool/message.h"
#include "spool/record.h"

void spool_salvage_init(struct spool_salvage *s, struct slice bytes, uint64_t salt)
{
    *s = (struct spool_salvage){ .bytes = bytes, .salt = salt };
}

static bool is_message_at(struct spool_salvage *s, size_t at)
{
    const char *header = s->bytes.data + at;
    struct slice rest = slice_after(s->bytes, at + SPOOL_RECORD_HEADER);
    uint64_t mid;
    size_t bytes;

    if (spool_get_u64(header + SPOOL_RECORD_SALT_AT) != s->salt ||
        spool_message_measure(rest, &mid, &bytes) != STATUS_OK)
        return false;
    s->offset = at;
    s->mid = mid;
    s->payload = slice_first(rest, bytes);
    s->is_whole = spool_get_u32(header + SPOOL_RECORD_PAYLOAD_CRC_AT) ==
                  spool_crc32c(0, s->payload.data, s->payload.len);
    return true;
}

bool spool_salvage_next(struct spool_salvage *s)
{
    while (s->bytes.len - s->at > SPOOL_RECORD_HEADER) {
        size_t at = s->at;

        if (is_message_at(s, at)) {
            size_t taken = spool_record_bytes(s->payload.len);

            s->at += taken < s->bytes.len - at ? taken : s->bytes.len - at;
            return true;
        }
        s->at += SPOOL_RECORD_ALIGN;
        if (s->at > s->bytes.len)
            s->at = s->bytes.len;
    }
    return false;
}

bool spool_salvage_salt(struct slice segment, uint64_t *salt_out)
{
    struct spool_record r;

    for (size_t at = SPOOL_BLOCK_BYTES; at < segment.len; at += SPOOL_RECORD_ALIGN)
        if (spool_record_decode(slice_after(segment, at), &r) == STATUS_OK) {
            *salt_out = r.salt;
            return true;
        }
    return false;
}
