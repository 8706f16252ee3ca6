/* The readers of the spool stay inside whatever bytes they are given. The first byte chooses:
 * a payload of a message, or a segment. In a segment every place that looks like a record
 * is given the checksums it needs, so that the fuzzer gets behind them. */
#include <stdint.h>
#include <stdlib.h>

#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "spool/message.h"
#include "spool/salvage.h"
#include "spool/scan.h"

#define GENERATION 3
#define SALT       7
#define BYTES_MAX  (256u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void touch(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        sink += (unsigned char)s.data[i];
}

static void read_message(uint64_t mid, struct slice payload)
{
    struct spool_message *view = spool_message_view_create(), *m;
    enum status status = spool_message_view(view, mid, payload);

    if (spool_message_decode(mid, payload, &m) != STATUS_OK) {
        ASSERT(status == STATUS_CORRUPT);
        spool_message_destroy(view);
        return;
    }
    ASSERT(status == STATUS_OK && slice_equal(spool_message_payload(m), payload));
    ASSERT(spool_message_recipients_count(view) == spool_message_recipients_count(m));
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++)
        ASSERT(slice_equal(spool_message_recipient(view, rid), spool_message_recipient(m, rid)));
    ASSERT(slice_equal(spool_message_body(view), spool_message_body(m)));
    spool_message_destroy(view);
    touch(spool_message_sender(m));
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
        touch(spool_message_info(m, (enum spool_info)i));
    for (unsigned rid = 0; rid < spool_message_recipients_count(m); rid++) {
        touch(spool_message_recipient(m, rid));
        touch(spool_message_dsn(m, rid).orcpt);
    }
    touch(spool_message_trace(m));
    touch(spool_message_body(m));
    spool_message_destroy(m);
}

static void read_results(struct slice payload)
{
    struct spool_result result;

    while (spool_result_decode(payload, &result) == STATUS_OK)
        payload = slice_after(payload, SPOOL_RESULT_BYTES);
}

/* Makes a record of everything that has a record's type where a record may start. */
static void repair(char *bytes, size_t size)
{
    for (size_t at = SPOOL_BLOCK_BYTES; at + SPOOL_RECORD_HEADER <= size;
         at += SPOOL_RECORD_ALIGN) {
        char *r = bytes + at;
        size_t rest = size - at - SPOOL_RECORD_HEADER;
        uint32_t len = spool_get_u32(r + 8);

        if (memcmp(r, "PS", 2) != 0)
            continue;
        memcpy(r, "PSR1", 4);
        spool_put_u64(r + 16, GENERATION);
        spool_put_u64(r + 24, SALT);
        if (len <= rest)
            spool_put_u32(r + 12, spool_crc32c(0, r + SPOOL_RECORD_HEADER, len));
        spool_put_u32(r + 76, spool_crc32c(0, r, 76));
    }
}

static void read_segment(struct slice bytes)
{
    struct spool_scan s;
    size_t at = SPOOL_BLOCK_BYTES, items = 0;
    uint64_t batch = 0;

    spool_scan_init(&s, bytes, GENERATION, SALT);
    for (;;) {
        enum spool_scan_item item = spool_scan_next(&s);

        ASSERT(s.batch >= batch);
        batch = s.batch;
        if (item == SPOOL_SCAN_END)
            break;
        ASSERT(items++ <= 2 * bytes.len / SPOOL_RECORD_ALIGN + 2);
        ASSERT(s.offset >= at && s.item_bytes > 0);
        at = s.offset + s.item_bytes;
        if (item != SPOOL_SCAN_RECORD)
            continue;
        ASSERT(s.offset + SPOOL_RECORD_HEADER + s.payload.len <= bytes.len);
        if (s.record.type == SPOOL_RECORD_MESSAGE)
            read_message(s.record.mid, s.payload);
        if (s.record.type == SPOOL_RECORD_RESULT)
            read_results(s.payload);
    }
}

/* What is found lies in the bytes, one behind the other, and is a message. */
static void salvage(struct slice bytes)
{
    struct spool_salvage s;
    size_t at = 0;

    spool_salvage_init(&s, bytes, SALT);
    while (spool_salvage_next(&s)) {
        ASSERT(s.offset >= at && s.payload.data >= bytes.data + s.offset);
        at = s.offset + SPOOL_RECORD_HEADER + s.payload.len;
        ASSERT(at <= bytes.len);
        read_message(s.mid, s.payload);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spool_segment_header header;
    size_t bytes = size - 1;
    char *copy;

    if (size < 1 || size > BYTES_MAX)
        return 0;
    copy = calloc(1, SPOOL_BLOCK_BYTES + bytes);
    ASSERT(copy != NULL);
    memcpy(copy + SPOOL_BLOCK_BYTES, data + 1, bytes);
    if (data[0] % 2 == 0) {
        struct slice payload = { copy + SPOOL_BLOCK_BYTES, bytes };

        if (bytes >= 8)
            read_message(spool_get_u64(payload.data), payload);
        read_results(payload);
        if (spool_segment_header_decode(payload, &header) == STATUS_OK)
            sink += header.log_id;
    } else {
        repair(copy, SPOOL_BLOCK_BYTES + bytes);
        read_segment((struct slice){ copy, SPOOL_BLOCK_BYTES + bytes });
        salvage((struct slice){ copy, SPOOL_BLOCK_BYTES + bytes });
    }
    free(copy);
    return 0;
}
