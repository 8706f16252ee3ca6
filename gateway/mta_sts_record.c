#include "gateway/mta_sts_record.h"

#include <stdio.h>

#include "spool/crc32c.h"

#define MAGIC           "postern mta-sts 1 "
#define HEAD_BYTES      (sizeof(MAGIC) - 1 + CHECKSUM_DIGITS + 1)
#define CHECKSUM_DIGITS 8

enum status gateway_mta_sts_record_write(const struct gateway_mta_sts_record *record,
                                         struct buffer *to)
{
    char head[HEAD_BYTES + 1];
    size_t start = buffer_len(to);
    struct slice body;
    enum status status;

    status = buffer_printf(to, "%*s", (int)HEAD_BYTES, ""); /* filled in below */
    if (status == STATUS_OK)
        status = buffer_printf(
            to, "domain: %.*s\nid: %.*s\nfetched: %llu\nexpires: %llu\ntried: %llu\n\n",
            SLICE_ARGS(record->domain), SLICE_ARGS(record->id),
            (unsigned long long)record->fetched_s, (unsigned long long)record->expires_s,
            (unsigned long long)record->tried_s);
    if (status == STATUS_OK)
        status = buffer_append(to, record->text);
    if (status != STATUS_OK)
        return status;
    body = slice_after(buffer_contents(to), start + HEAD_BYTES);
    (void)snprintf(head, sizeof(head), MAGIC "%08x\n",
                   (unsigned)spool_crc32c(0, body.data, body.len));
    memcpy((char *)body.data - HEAD_BYTES, head, HEAD_BYTES);
    return STATUS_OK;
}

/* The value of the next line, which has to be the one of this name. */
static bool take(struct slice *rest, const char *name, struct slice *value_out)
{
    struct slice line = slice_cut(rest, '\n');

    if (!slice_equal(slice_cut(&line, ':'), slice_from(name)) || line.len < 2 ||
        line.data[0] != ' ')
        return false;
    *value_out = slice_after(line, 1);
    return true;
}

static bool take_time(struct slice *rest, const char *name, uint64_t *value_out)
{
    struct slice value;

    return take(rest, name, &value) && slice_to_number(value, INT64_MAX, value_out);
}

static bool is_sound(struct slice head, struct slice body)
{
    char expected[HEAD_BYTES + 1];

    (void)snprintf(expected, sizeof(expected), MAGIC "%08x\n",
                   (unsigned)spool_crc32c(0, body.data, body.len));
    return slice_equal(head, (struct slice){ expected, HEAD_BYTES });
}

bool gateway_mta_sts_record_read(struct slice file, struct gateway_mta_sts_record *record_out)
{
    struct gateway_mta_sts_record r;
    struct slice rest;

    if (file.len <= HEAD_BYTES || file.len > GATEWAY_MTA_STS_RECORD_BYTES_MAX)
        return false;
    rest = slice_after(file, HEAD_BYTES);
    if (!is_sound(slice_first(file, HEAD_BYTES), rest))
        return false;
    if (!take(&rest, "domain", &r.domain) || !take(&rest, "id", &r.id) ||
        !take_time(&rest, "fetched", &r.fetched_s) || !take_time(&rest, "expires", &r.expires_s) ||
        !take_time(&rest, "tried", &r.tried_s) || slice_cut(&rest, '\n').len > 0)
        return false;
    r.text = rest;
    /* Sound, but not what was written by us. */
    if (!dns_name_is_valid(r.domain) || r.id.len > POLICY_MTA_STS_ID_MAX ||
        r.text.len > POLICY_MTA_STS_TEXT_MAX)
        return false;
    *record_out = r;
    return true;
}
