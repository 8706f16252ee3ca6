/* gateway/mta_sts_txt.h - the MTA-STS record among the TXT records of _mta-sts.DOMAIN.
 *
 * Pure. RFC 8461 3.1: records of another form do not count, and more than one that does is none.
 */
#pragma once
#include "dns/answer.h"
#include "policy/mta_sts.h"

#define GATEWAY_MTA_STS_TXT_BYTES (POLICY_MTA_STS_RECORD_MAX + 1)

/* How many records count; the text of the last of them, a slice of `room`, with at least one. */
size_t gateway_mta_sts_txt_find(const struct dns_answer *a,
                                char room[static GATEWAY_MTA_STS_TXT_BYTES],
                                struct slice *text_out);
