/* gateway/mta_sts_record.h - what is kept on disk of one domain's MTA-STS policy.
 *
 * One small file for each domain, SPOOL/mta-sts/DOMAIN:
 *
 *     postern mta-sts 1 CHECKSUM      CRC32C, 8 hexadecimal digits, of all that follows this line
 *     domain: example.com
 *     id: 20160831085700Z
 *     fetched: 1700000000             seconds since 1970, as the next two
 *     expires: 1700604800
 *     tried: 1700000000               when it was last fetched, or tried to
 *
 *     version: STSv1                  the policy file as it came
 *     ...
 *
 * Pure. A file that is damaged in any way is no record: whoever reads it goes on as if there were
 * none.
 */
#pragma once
#include "base/buffer.h"
#include "dns/name.h"
#include "policy/mta_sts.h"

#define GATEWAY_MTA_STS_RECORD_BYTES_MAX (POLICY_MTA_STS_TEXT_MAX + 1024)

struct gateway_mta_sts_record {
    struct slice domain; /* a name in lower case, without a final dot */
    struct slice id;     /* 1..POLICY_MTA_STS_ID_MAX letters and digits */
    uint64_t fetched_s, expires_s, tried_s;
    struct slice text; /* at most POLICY_MTA_STS_TEXT_MAX bytes */
};

/* Appends the file. to has room for GATEWAY_MTA_STS_RECORD_BYTES_MAX. */
MUST_USE enum status gateway_mta_sts_record_write(const struct gateway_mta_sts_record *record,
                                                  struct buffer *to);

/* False: it is none. Borrows file. */
bool gateway_mta_sts_record_read(struct slice file, struct gateway_mta_sts_record *record_out);
