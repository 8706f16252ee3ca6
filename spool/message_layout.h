/* spool/message_layout.h - the payload of a MESSAGE record; private to message.c and draft.c.
 *
 * Fixed part of 64 bytes, then sender, info strings, recipients, trace, body, without gaps. Each
 * info string and each recipient has a head of 2 and 4 bytes. A recipient is its address and,
 * behind it, its ORCPT.
 */
#pragma once
#include "spool/message.h"

enum {
    MESSAGE_MID = 0,               /* u64 */
    MESSAGE_ICID = 8,              /* u64 */
    MESSAGE_ARRIVAL = 16,          /* i64, seconds since 1970 */
    MESSAGE_BODY_BYTES = 24,       /* u64 */
    MESSAGE_FLAGS = 32,            /* u32 */
    MESSAGE_RECIPIENTS_COUNT = 36, /* u32 */
    MESSAGE_RECIPIENTS_BYTES = 40, /* u32, heads included */
    MESSAGE_TRACE_BYTES = 44,      /* u32 */
    MESSAGE_BODY_CRC = 48,         /* u32, of a body file, else 0 */
    MESSAGE_SENDER_BYTES = 52,     /* u16 */
    MESSAGE_INFO_BYTES = 54,       /* u16, heads included */
    MESSAGE_DOTS_COUNT = 56,       /* u64; 0 up to format 2 */
    MESSAGE_FIXED_BYTES = 64
};

#define MESSAGE_INFO_HEAD      2 /* u16 length */
#define MESSAGE_RECIPIENT_HEAD 4 /* u16 notify and length of the ORCPT, u16 length */

/* The first of them: NOTIFY in the lower bits, and above it the length of the ORCPT. Format 1 had
 * zeros there, which mean the same: nothing was said. */
#define MESSAGE_DSN_NOTIFY_BITS 4

#define MESSAGE_PAYLOAD_MAX                                                                        \
    (MESSAGE_FIXED_BYTES + SPOOL_ADDRESS_MAX +                                                     \
     SPOOL_INFO_COUNT * (MESSAGE_INFO_HEAD + SPOOL_INFO_MAX) + SPOOL_RECIPIENTS_BYTES +            \
     SPOOL_TRACE_MAX + SPOOL_BODY_INLINE_MAX)

/* Where recipients start, for those that are found without a table. */
#define MESSAGE_STARTS_INLINE 4

struct spool_message {
    uint64_t mid;
    uint64_t body_bytes;
    uint32_t flags;
    uint32_t recipients_count;
    uint32_t sender_bytes;
    uint32_t info_bytes;
    uint32_t recipients_bytes;
    uint32_t trace_bytes;
    uint32_t payload_bytes;
    uint32_t payload_capacity;
    uint32_t starts_capacity; /* of the table; 0: the inline one serves */
    uint32_t starts_inline[MESSAGE_STARTS_INLINE];
    uint32_t *starts;    /* recipient rid's head, from the start of the payload; NULL: inline */
    const char *payload; /* own, or of whom it is a view */
    char own[];
};

static inline uint32_t message_start(const struct spool_message *m, unsigned rid)
{
    return m->starts != NULL ? m->starts[rid] : m->starts_inline[rid];
}

/* Notes where the next recipient starts; grows the table. */
MUST_USE enum status message_add_start(struct spool_message *m, uint32_t start);
