#include "spool/draft.h"

#include "base/pool.h"
#include "spool/bytes.h"
#include "spool/message_layout.h"

#define OWN_BYTES 512 /* of recipients and trace header, which most messages stay below */

#define CONTENT_FLAGS                                                                              \
    (SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_HAS_8BIT | SPOOL_MESSAGE_HAS_8BIT_HEADER)

void spool_draft_init(struct spool_draft *d)
{
    *d = (struct spool_draft){ .message = NULL, .stage = SPOOL_DRAFT_EMPTY };
}

void spool_draft_finish(struct spool_draft *d)
{
    spool_message_destroy(d->message);
    spool_draft_init(d);
}

/* Makes room for `more` bytes of payload; the message may move. */
static enum status make_room(struct spool_draft *d, size_t more)
{
    struct spool_message *m = d->message;
    size_t capacity = m->payload_capacity;

    ASSERT(m->payload_bytes <= m->payload_capacity);
    ASSERT(more <= MESSAGE_PAYLOAD_MAX - m->payload_bytes);
    if (capacity - m->payload_bytes >= more)
        return STATUS_OK;
    while (capacity - m->payload_bytes < more)
        capacity *= 2;
    if (capacity > MESSAGE_PAYLOAD_MAX)
        capacity = MESSAGE_PAYLOAD_MAX;
    m = pool_exchange(m, sizeof *m + m->payload_capacity, sizeof *m + m->payload_bytes,
                      sizeof *m + capacity);
    if (m == NULL)
        return STATUS_NO_MEMORY;
    m->payload = m->own;
    m->payload_capacity = (uint32_t)capacity;
    d->message = m;
    return STATUS_OK;
}

/* There is room. */
static void put(struct spool_message *m, struct slice bytes)
{
    ASSERT(m->payload_capacity - m->payload_bytes >= bytes.len);
    if (bytes.len > 0)
        memcpy(m->own + m->payload_bytes, bytes.data, bytes.len);
    m->payload_bytes += (uint32_t)bytes.len;
}

static void put_info(struct spool_message *m, struct slice text)
{
    spool_put_u16(m->own + m->payload_bytes, (uint16_t)text.len);
    m->payload_bytes += MESSAGE_INFO_HEAD;
    put(m, text);
}

static size_t info_bytes(const struct spool_envelope *envelope)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
        bytes += MESSAGE_INFO_HEAD + envelope->info[i].len;
    return bytes;
}

static bool envelope_is_within_limits(const struct spool_envelope *envelope)
{
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
        if (envelope->info[i].len > SPOOL_INFO_MAX)
            return false;
    return envelope->sender.len <= SPOOL_ADDRESS_MAX;
}

enum status spool_draft_begin(struct spool_draft *d, const struct spool_envelope *envelope,
                              size_t bytes_hint)
{
    size_t capacity = bytes_hint < SPOOL_DRAFT_HINT_MAX ? bytes_hint : SPOOL_DRAFT_HINT_MAX;
    struct spool_message *m;
    size_t needed;

    ASSERT(d->stage == SPOOL_DRAFT_EMPTY && d->message == NULL);
    ASSERT(envelope->mid != 0);
    ASSERT((envelope->flags & (SPOOL_MESSAGE_BODY_FILE | CONTENT_FLAGS)) == 0);
    ASSERT((envelope->flags & ~SPOOL_MESSAGE_FLAGS_ALL) == 0);
    ASSERT((envelope->flags & SPOOL_MESSAGE_RET_FULL) == 0 ||
           (envelope->flags & SPOOL_MESSAGE_RET_HDRS) == 0);
    if (!envelope_is_within_limits(envelope))
        return STATUS_LIMIT;

    needed = MESSAGE_FIXED_BYTES + envelope->sender.len + info_bytes(envelope);
    /* SIZE= says what the client sends; what is ours stands in front of it. Without room for that
     * each message with a true SIZE= would be copied to twice its size at its end. */
    capacity += needed + (bytes_hint > 0 ? OWN_BYTES : 0);
    if (capacity < SPOOL_DRAFT_HINT_MIN)
        capacity = SPOOL_DRAFT_HINT_MIN;
    m = pool_take(sizeof *m + capacity);
    if (m == NULL)
        return STATUS_NO_MEMORY;
    *m = (struct spool_message){
        .mid = envelope->mid,
        .flags = envelope->flags,
        .sender_bytes = (uint32_t)envelope->sender.len,
        .info_bytes = (uint32_t)info_bytes(envelope),
        .payload_bytes = MESSAGE_FIXED_BYTES,
        .payload_capacity = (uint32_t)capacity,
    };
    m->payload = m->own;
    memset(m->own, 0, MESSAGE_FIXED_BYTES);
    spool_put_u64(m->own + MESSAGE_MID, envelope->mid);
    spool_put_u64(m->own + MESSAGE_ICID, envelope->icid);
    spool_put_u64(m->own + MESSAGE_ARRIVAL, (uint64_t)envelope->arrival_wall_s);
    spool_put_u16(m->own + MESSAGE_SENDER_BYTES, (uint16_t)m->sender_bytes);
    spool_put_u16(m->own + MESSAGE_INFO_BYTES, (uint16_t)m->info_bytes);
    put(m, envelope->sender);
    for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
        put_info(m, envelope->info[i]);
    d->message = m;
    d->stage = SPOOL_DRAFT_RECIPIENTS;
    return STATUS_OK;
}

enum status spool_draft_add_recipient(struct spool_draft *d, struct slice address)
{
    return spool_draft_add_recipient_dsn(d, address, &(struct spool_dsn){ 0 });
}

enum status spool_draft_add_recipient_dsn(struct spool_draft *d, struct slice address,
                                          const struct spool_dsn *dsn)
{
    size_t bytes = MESSAGE_RECIPIENT_HEAD + address.len + dsn->orcpt.len;
    struct spool_message *m = d->message;

    ASSERT(d->stage == SPOOL_DRAFT_RECIPIENTS);
    ASSERT((dsn->notify & ~SPOOL_DSN_NOTIFY_ALL) == 0);
    if (address.len > SPOOL_ADDRESS_MAX || dsn->orcpt.len > SPOOL_ORCPT_MAX ||
        bytes > SPOOL_RECIPIENTS_BYTES - m->recipients_bytes)
        return STATUS_LIMIT;
    TRY(make_room(d, bytes));
    m = d->message;
    TRY(message_add_start(m, m->payload_bytes));
    spool_put_u16(m->own + m->payload_bytes,
                  (uint16_t)(dsn->notify | dsn->orcpt.len << MESSAGE_DSN_NOTIFY_BITS));
    spool_put_u16(m->own + m->payload_bytes + 2, (uint16_t)address.len);
    m->payload_bytes += MESSAGE_RECIPIENT_HEAD;
    put(m, address);
    put(m, dsn->orcpt);
    m->recipients_bytes += (uint32_t)bytes;
    return STATUS_OK;
}

struct slice spool_draft_sender(const struct spool_draft *d)
{
    return d->message != NULL ? spool_message_sender(d->message) : (struct slice){ 0 };
}

struct slice spool_draft_first_recipient(const struct spool_draft *d)
{
    return spool_draft_recipients_count(d) > 0 ? spool_message_recipient(d->message, 0)
                                               : (struct slice){ 0 };
}

unsigned spool_draft_recipients_count(const struct spool_draft *d)
{
    return d->message != NULL ? d->message->recipients_count : 0;
}

enum status spool_draft_trace(struct spool_draft *d, struct slice lines)
{
    ASSERT(d->stage == SPOOL_DRAFT_RECIPIENTS || d->stage == SPOOL_DRAFT_TRACE);
    if (lines.len > SPOOL_TRACE_MAX - d->message->trace_bytes)
        return STATUS_LIMIT;
    TRY(make_room(d, lines.len));
    put(d->message, lines);
    d->message->trace_bytes += (uint32_t)lines.len;
    d->stage = SPOOL_DRAFT_TRACE;
    return STATUS_OK;
}

enum status spool_draft_body(struct spool_draft *d, struct slice bytes)
{
    ASSERT(d->stage >= SPOOL_DRAFT_RECIPIENTS && d->stage <= SPOOL_DRAFT_BODY);
    if (bytes.len > SPOOL_BODY_INLINE_MAX - d->message->body_bytes)
        return STATUS_LIMIT;
    TRY(make_room(d, bytes.len));
    put(d->message, bytes);
    d->message->body_bytes += bytes.len;
    d->stage = SPOOL_DRAFT_BODY;
    return STATUS_OK;
}

uint64_t spool_draft_body_bytes(const struct spool_draft *d)
{
    return d->message != NULL ? d->message->body_bytes : 0;
}

struct slice spool_draft_body_so_far(const struct spool_draft *d)
{
    const struct spool_message *m = d->message;

    if (m == NULL || d->stage > SPOOL_DRAFT_BODY)
        return (struct slice){ NULL, 0 };
    return (struct slice){ m->own + m->payload_bytes - m->body_bytes, (size_t)m->body_bytes };
}

void spool_draft_drop_body(struct spool_draft *d)
{
    struct spool_message *m = d->message, *smaller;

    ASSERT(d->stage >= SPOOL_DRAFT_RECIPIENTS && d->stage <= SPOOL_DRAFT_BODY);
    m->payload_bytes -= (uint32_t)m->body_bytes;
    m->body_bytes = 0;
    smaller = pool_exchange(m, sizeof *m + m->payload_capacity, sizeof *m + m->payload_bytes,
                            sizeof *m + m->payload_bytes);
    if (smaller != NULL) { /* giving memory back cannot matter when it fails */
        smaller->payload = smaller->own;
        smaller->payload_capacity = smaller->payload_bytes;
        d->message = smaller;
    }
    d->stage = SPOOL_DRAFT_BODY_FILE;
}

void spool_draft_set_tls_optional(struct spool_draft *d)
{
    ASSERT(d->stage != SPOOL_DRAFT_EMPTY);
    if ((d->message->flags & SPOOL_MESSAGE_REQUIRE_TLS) == 0)
        d->message->flags |= SPOOL_MESSAGE_TLS_OPTIONAL;
}

void spool_draft_set_body_file(struct spool_draft *d, uint64_t bytes, uint32_t crc)
{
    ASSERT(d->stage == SPOOL_DRAFT_BODY_FILE && bytes <= SPOOL_BODY_BYTES_MAX);
    d->message->flags |= SPOOL_MESSAGE_BODY_FILE;
    d->message->body_bytes = bytes;
    spool_put_u32(d->message->own + MESSAGE_BODY_CRC, crc);
    d->stage = SPOOL_DRAFT_READY;
}

void spool_draft_set_content(struct spool_draft *d, const struct spool_content *content)
{
    struct spool_message *m = d->message;

    ASSERT(d->stage != SPOOL_DRAFT_EMPTY);
    ASSERT(content->has_8bit || !content->has_8bit_header);
    ASSERT(content->dots_count == 0 || (m->flags & SPOOL_MESSAGE_NOT_STUFFED) == 0);
    m->flags &= ~(uint32_t)CONTENT_FLAGS;
    m->flags |= SPOOL_MESSAGE_CONTENT_KNOWN | (content->has_8bit ? SPOOL_MESSAGE_HAS_8BIT : 0u) |
                (content->has_8bit_header ? SPOOL_MESSAGE_HAS_8BIT_HEADER : 0u);
    spool_put_u64(m->own + MESSAGE_DOTS_COUNT, content->dots_count);
}

size_t spool_draft_memory_bytes(const struct spool_draft *d)
{
    return d->message != NULL ? spool_message_memory_bytes(d->message) : 0;
}

uint64_t spool_draft_mid(const struct spool_draft *d)
{
    return d->message != NULL ? d->message->mid : 0;
}

size_t spool_draft_record_bytes(const struct spool_draft *d)
{
    return d->message != NULL ? spool_message_record_bytes(d->message) : 0;
}

struct spool_message *spool_draft_complete(struct spool_draft *d)
{
    struct spool_message *m = d->message;

    ASSERT(d->stage != SPOOL_DRAFT_EMPTY && d->stage != SPOOL_DRAFT_BODY_FILE);
    ASSERT(m->recipients_count > 0);
    ASSERT(spool_message_dots_count(m) <= m->body_bytes / 2);
    spool_put_u64(m->own + MESSAGE_BODY_BYTES, m->body_bytes);
    spool_put_u32(m->own + MESSAGE_FLAGS, m->flags);
    spool_put_u32(m->own + MESSAGE_RECIPIENTS_COUNT, m->recipients_count);
    spool_put_u32(m->own + MESSAGE_RECIPIENTS_BYTES, m->recipients_bytes);
    spool_put_u32(m->own + MESSAGE_TRACE_BYTES, m->trace_bytes);
    spool_draft_init(d);
    return m;
}
