#include "spool/message.h"

#include <stdlib.h>

#include "base/pool.h"
#include "spool/bytes.h"
#include "spool/message_layout.h"

static_assert(MESSAGE_PAYLOAD_MAX <= SPOOL_RECORD_BYTES_MAX - SPOOL_RECORD_HEADER,
              "every message fits a record");
static_assert(SPOOL_INFO_COUNT * (MESSAGE_INFO_HEAD + SPOOL_INFO_MAX) <= UINT16_MAX,
              "the length of all info strings fits its field");
static_assert(SPOOL_ADDRESS_MAX <= UINT16_MAX, "so does that of an address");
static_assert(SPOOL_ORCPT_MAX < 1 << (16 - MESSAGE_DSN_NOTIFY_BITS), "and that of an ORCPT");
static_assert(SPOOL_DSN_NOTIFY_ALL < 1 << MESSAGE_DSN_NOTIFY_BITS, "and NOTIFY its bits");

void spool_message_destroy(struct spool_message *m)
{
    if (m == NULL)
        return;
    pool_give(m->starts, m->starts_capacity * sizeof *m->starts);
    if (m->payload == m->own)
        pool_give(m, sizeof *m + m->payload_capacity);
    else
        free(m); /* a view */
}

uint64_t spool_message_mid(const struct spool_message *m)
{
    return m->mid;
}

uint64_t spool_message_icid(const struct spool_message *m)
{
    return spool_get_u64(m->payload + MESSAGE_ICID);
}

int64_t spool_message_arrival_wall_s(const struct spool_message *m)
{
    return (int64_t)spool_get_u64(m->payload + MESSAGE_ARRIVAL);
}

unsigned spool_message_flags(const struct spool_message *m)
{
    return m->flags;
}

struct slice spool_message_sender(const struct spool_message *m)
{
    return (struct slice){ m->payload + MESSAGE_FIXED_BYTES, m->sender_bytes };
}

struct slice spool_message_info(const struct spool_message *m, enum spool_info which)
{
    const char *at = m->payload + MESSAGE_FIXED_BYTES + m->sender_bytes;

    ASSERT(which < SPOOL_INFO_COUNT);
    for (unsigned i = 0; i < which; i++)
        at += MESSAGE_INFO_HEAD + spool_get_u16(at);
    return (struct slice){ at + MESSAGE_INFO_HEAD, spool_get_u16(at) };
}

unsigned spool_message_recipients_count(const struct spool_message *m)
{
    return m->recipients_count;
}

struct slice spool_message_recipient(const struct spool_message *m, unsigned rid)
{
    const char *at;

    ASSERT(rid < m->recipients_count);
    at = m->payload + message_start(m, rid);
    return (struct slice){ at + MESSAGE_RECIPIENT_HEAD, spool_get_u16(at + 2) };
}

static size_t orcpt_bytes(const char *head)
{
    return spool_get_u16(head) >> MESSAGE_DSN_NOTIFY_BITS;
}

struct spool_dsn spool_message_dsn(const struct spool_message *m, unsigned rid)
{
    struct slice address = spool_message_recipient(m, rid);
    const char *head = address.data - MESSAGE_RECIPIENT_HEAD;

    return (struct spool_dsn){ .notify = spool_get_u16(head) & SPOOL_DSN_NOTIFY_ALL,
                               .orcpt = { address.data + address.len, orcpt_bytes(head) } };
}

static size_t trace_start(const struct spool_message *m)
{
    return (size_t)MESSAGE_FIXED_BYTES + m->sender_bytes + m->info_bytes + m->recipients_bytes;
}

struct slice spool_message_trace(const struct spool_message *m)
{
    return (struct slice){ m->payload + trace_start(m), m->trace_bytes };
}

struct slice spool_message_body(const struct spool_message *m)
{
    if (spool_message_body_in_file(m))
        return (struct slice){ NULL, 0 };
    return (struct slice){ m->payload + trace_start(m) + m->trace_bytes, (size_t)m->body_bytes };
}

bool spool_message_body_in_file(const struct spool_message *m)
{
    return (m->flags & SPOOL_MESSAGE_BODY_FILE) != 0;
}

uint64_t spool_message_body_bytes(const struct spool_message *m)
{
    return m->body_bytes;
}

uint32_t spool_message_body_crc(const struct spool_message *m)
{
    return spool_get_u32(m->payload + MESSAGE_BODY_CRC);
}

uint64_t spool_message_dots_count(const struct spool_message *m)
{
    return spool_get_u64(m->payload + MESSAGE_DOTS_COUNT);
}

uint64_t spool_message_size(const struct spool_message *m)
{
    return m->trace_bytes + m->body_bytes;
}

size_t spool_message_memory_bytes(const struct spool_message *m)
{
    return sizeof *m + m->payload_capacity + m->starts_capacity * sizeof *m->starts;
}

struct slice spool_message_payload(const struct spool_message *m)
{
    return (struct slice){ m->payload, m->payload_bytes };
}

size_t spool_message_record_bytes(const struct spool_message *m)
{
    return spool_record_bytes(m->payload_bytes);
}

enum status message_add_start(struct spool_message *m, uint32_t start)
{
    uint32_t capacity = m->starts_capacity > 0 ? 2 * m->starts_capacity : 32;
    uint32_t *starts;

    if (m->recipients_count >= SPOOL_RECIPIENTS_MAX)
        return STATUS_LIMIT;
    if (m->starts == NULL && m->recipients_count < MESSAGE_STARTS_INLINE) {
        m->starts_inline[m->recipients_count++] = start;
        return STATUS_OK;
    }
    if (m->recipients_count >= m->starts_capacity) {
        starts = pool_exchange(m->starts, m->starts_capacity * sizeof *starts,
                               m->starts_capacity * sizeof *starts, capacity * sizeof *starts);
        if (starts == NULL)
            return STATUS_NO_MEMORY;
        if (m->starts == NULL)
            memcpy(starts, m->starts_inline, sizeof m->starts_inline);
        m->starts = starts;
        m->starts_capacity = capacity;
    }
    m->starts[m->recipients_count++] = start;
    return STATUS_OK;
}

/* A dot that was added stands in front of another byte. */
static bool content_is_possible(unsigned flags, uint64_t body_bytes, uint64_t dots_count)
{
    bool is_known = (flags & SPOOL_MESSAGE_CONTENT_KNOWN) != 0;
    bool has_8bit = (flags & SPOOL_MESSAGE_HAS_8BIT) != 0;
    bool has_header = (flags & SPOOL_MESSAGE_HAS_8BIT_HEADER) != 0;
    bool may_have_dots = is_known && (flags & SPOOL_MESSAGE_NOT_STUFFED) == 0;

    return (is_known || !has_8bit) && (has_8bit || !has_header) &&
           dots_count <= (may_have_dots ? body_bytes / 2 : 0);
}

/* Reads the fixed part of at least so many bytes into m, whose payload is not used, and checks
 * each number. */
static enum status read_numbers(uint64_t mid, const char *from, struct spool_message *m)
{
    *m = (struct spool_message){
        .mid = spool_get_u64(from + MESSAGE_MID),
        .body_bytes = spool_get_u64(from + MESSAGE_BODY_BYTES),
        .flags = spool_get_u32(from + MESSAGE_FLAGS),
        .recipients_count = spool_get_u32(from + MESSAGE_RECIPIENTS_COUNT),
        .recipients_bytes = spool_get_u32(from + MESSAGE_RECIPIENTS_BYTES),
        .trace_bytes = spool_get_u32(from + MESSAGE_TRACE_BYTES),
        .sender_bytes = spool_get_u16(from + MESSAGE_SENDER_BYTES),
        .info_bytes = spool_get_u16(from + MESSAGE_INFO_BYTES),
    };
    if (m->mid != mid || mid == 0 || (m->flags & ~SPOOL_MESSAGE_FLAGS_ALL) != 0 ||
        !content_is_possible(m->flags, m->body_bytes, spool_get_u64(from + MESSAGE_DOTS_COUNT)))
        return STATUS_CORRUPT;
    if ((m->flags & SPOOL_MESSAGE_RET_FULL) != 0 && (m->flags & SPOOL_MESSAGE_RET_HDRS) != 0)
        return STATUS_CORRUPT;
    if (m->recipients_count == 0 || m->recipients_count > SPOOL_RECIPIENTS_MAX ||
        m->recipients_bytes > SPOOL_RECIPIENTS_BYTES || m->trace_bytes > SPOOL_TRACE_MAX ||
        m->sender_bytes > SPOOL_ADDRESS_MAX)
        return STATUS_CORRUPT;
    if (m->body_bytes > SPOOL_BODY_BYTES_MAX ||
        (!spool_message_body_in_file(m) && m->body_bytes > SPOOL_BODY_INLINE_MAX))
        return STATUS_CORRUPT;
    return STATUS_OK;
}

/* How long the payload is, by its numbers. */
static size_t sum_of_lengths(const struct spool_message *m)
{
    size_t body_here = spool_message_body_in_file(m) ? 0 : (size_t)m->body_bytes;

    return (size_t)MESSAGE_FIXED_BYTES + m->sender_bytes + m->info_bytes + m->recipients_bytes +
           m->trace_bytes + body_here;
}

/* The fixed part of a payload, whose lengths add up to all of it. */
static enum status read_fixed(uint64_t mid, struct slice payload, struct spool_message *m)
{
    if (payload.len < MESSAGE_FIXED_BYTES || payload.len > MESSAGE_PAYLOAD_MAX)
        return STATUS_CORRUPT;
    TRY(read_numbers(mid, payload.data, m));
    m->payload_bytes = (uint32_t)payload.len;
    m->payload_capacity = (uint32_t)payload.len;
    return sum_of_lengths(m) == payload.len ? STATUS_OK : STATUS_CORRUPT;
}

/* Exactly all info strings fill [at, end). */
static bool info_fills(const char *from, size_t at, size_t end)
{
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++) {
        size_t len;

        if (end - at < MESSAGE_INFO_HEAD)
            return false;
        len = spool_get_u16(from + at);
        if (len > SPOOL_INFO_MAX || end - at - MESSAGE_INFO_HEAD < len)
            return false;
        at += MESSAGE_INFO_HEAD + len;
    }
    return at == end;
}

static size_t recipient_bytes(const char *head)
{
    return MESSAGE_RECIPIENT_HEAD + (size_t)spool_get_u16(head + 2) + orcpt_bytes(head);
}

/* Exactly count recipients fill [at, end). */
static bool recipients_fill(const char *from, size_t at, size_t end, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *head = from + at;

        if (end - at < MESSAGE_RECIPIENT_HEAD)
            return false;
        if (spool_get_u16(head + 2) > SPOOL_ADDRESS_MAX || orcpt_bytes(head) > SPOOL_ORCPT_MAX ||
            end - at < recipient_bytes(head))
            return false;
        at += recipient_bytes(head);
    }
    return at == end;
}

static enum status read_envelope(uint64_t mid, struct slice payload, struct spool_message *m)
{
    size_t info, recipients;

    TRY(read_fixed(mid, payload, m));
    info = (size_t)MESSAGE_FIXED_BYTES + m->sender_bytes;
    recipients = info + m->info_bytes;
    if (!info_fills(payload.data, info, recipients) ||
        !recipients_fill(payload.data, recipients, recipients + m->recipients_bytes,
                         m->recipients_count))
        return STATUS_CORRUPT;
    return STATUS_OK;
}

enum status spool_message_from_record(uint64_t mid, uint64_t generation, struct slice bytes,
                                      struct spool_message **message_out)
{
    struct spool_record record;
    struct slice payload;

    TRY(spool_record_decode(bytes, &record));
    if (record.mid != mid || record.type != SPOOL_RECORD_MESSAGE ||
        record.generation != generation || !spool_record_payload_is_whole(&record, bytes, &payload))
        return STATUS_CORRUPT;
    return spool_message_decode(mid, payload, message_out);
}

enum status spool_message_measure(struct slice bytes, uint64_t *mid_out, size_t *bytes_out)
{
    struct spool_message m;
    uint64_t mid;

    if (bytes.len < MESSAGE_FIXED_BYTES)
        return STATUS_CORRUPT;
    mid = spool_get_u64(bytes.data + MESSAGE_MID);
    TRY(read_numbers(mid, bytes.data, &m));
    if (sum_of_lengths(&m) > bytes.len ||
        read_envelope(mid, slice_first(bytes, sum_of_lengths(&m)), &m) != STATUS_OK)
        return STATUS_CORRUPT;
    *mid_out = mid;
    *bytes_out = m.payload_bytes;
    return STATUS_OK;
}

/* recipients_count of them, which the payload holds. */
static enum status note_starts(struct spool_message *m)
{
    size_t at = (size_t)MESSAGE_FIXED_BYTES + m->sender_bytes + m->info_bytes;
    unsigned count = m->recipients_count;

    m->recipients_count = 0;
    for (unsigned rid = 0; rid < count; rid++) {
        TRY(message_add_start(m, (uint32_t)at));
        at += recipient_bytes(m->payload + at);
    }
    return STATUS_OK;
}

enum status spool_message_decode(uint64_t mid, struct slice payload,
                                 struct spool_message **message_out)
{
    struct spool_message head, *m;
    enum status status;

    TRY(read_envelope(mid, payload, &head));
    m = pool_take(sizeof *m + payload.len);
    if (m == NULL)
        return STATUS_NO_MEMORY;
    *m = head;
    memcpy(m->own, payload.data, payload.len);
    m->payload = m->own;
    status = note_starts(m);
    if (status != STATUS_OK) {
        spool_message_destroy(m);
        return status;
    }
    *message_out = m;
    return STATUS_OK;
}

struct spool_message *spool_message_view_create(void)
{
    return calloc(1, sizeof(struct spool_message));
}

enum status spool_message_view(struct spool_message *view, uint64_t mid, struct slice payload)
{
    struct spool_message head;

    TRY(read_envelope(mid, payload, &head));
    head.payload = payload.data;
    head.starts = view->starts; /* stays: most messages need none, and the next one may */
    head.starts_capacity = view->starts_capacity;
    *view = head;
    return note_starts(view);
}
