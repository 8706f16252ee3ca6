/* policy/mta_sts.h - MTA-STS (RFC 8461): what a domain's TXT record and its policy file say.
 *
 * Pure readers of foreign bytes: whatever they hold, the answer is false with a reason, or values
 * that are safe to use. Names are those of section 3.1 (the TXT record), 3.2 (the file) and 4.1
 * (which hosts a policy allows). How a policy is found, fetched and kept: gateway/mta_sts.h.
 */
#pragma once
#include "base/slice.h"

#define POLICY_MTA_STS_ID_MAX     32       /* bytes of an id, 3.1 */
#define POLICY_MTA_STS_TEXT_MAX   65536    /* bytes of a policy file; 3.3 suggests as many */
#define POLICY_MTA_STS_MX_MAX     256      /* patterns in one policy */
#define POLICY_MTA_STS_AGE_S_MAX  31557600 /* 3.2: about a year */
#define POLICY_MTA_STS_RECORD_MAX 4096     /* bytes of a TXT record that are looked at */

/* One label is put in front of the domain for each of them. */
#define POLICY_MTA_STS_TXT_LABEL  "_mta-sts." /* 3.1: has the TXT record */
#define POLICY_MTA_STS_HOST_LABEL "mta-sts."  /* 3.3: has the policy */

enum policy_mta_sts_mode { /* section 5 */
                           POLICY_MTA_STS_NONE,
                           POLICY_MTA_STS_TESTING,
                           POLICY_MTA_STS_ENFORCE
};

struct policy_mta_sts {
    struct slice text; /* the whole file; borrowed, and the patterns lie in it */
    enum policy_mta_sts_mode mode;
    uint32_t max_age_s; /* 0..POLICY_MTA_STS_AGE_S_MAX */
    size_t mx_count;    /* 0 only in mode none */
};

/* Whether a TXT record is to be counted: 3.1 discards those that begin with anything but
 * "v=STSv1;". record: its strings in one piece. Exactly one of a domain's has to remain. */
bool policy_mta_sts_is_record(struct slice record);

/* The id of a record. False: it is not of the form of 3.1, so the domain has no policy. *id_out
 * lies in record, 1..POLICY_MTA_STS_ID_MAX letters and digits. Of several ids the first counts, as
 * with the fields of the file. */
bool policy_mta_sts_record_id(struct slice record, struct slice *id_out);

/* Reads a policy file as 3.2 has it, with CRLF or LF. Unknown fields are not looked at; of a
 * repeated one, except for mx, the first counts; an empty line is nothing. One line that is no
 * field, or one value that is not of its form, and the whole file is no policy: false, with a
 * lower-case phrase in *why_out. Borrows text. */
bool policy_mta_sts_parse(struct slice text, struct policy_mta_sts *policy_out,
                          const char **why_out);

/* Whether mail for the domain may be handed to an MX host of this name (4.1, RFC 6125): a pattern
 * is the name, or "*." stands for its first label. The case of ASCII does not count, nor does a dot
 * at the end of the host. The mode is the caller's to look at. */
bool policy_mta_sts_allows(const struct policy_mta_sts *policy, struct slice mx_host);

/* The patterns, for a report (RFC 8460 4.4 "mx-host"). *rest begins as policy->text. False: there
 * are no more. */
bool policy_mta_sts_pattern_next(struct slice *rest, struct slice *pattern_out);

const char *policy_mta_sts_mode_text(enum policy_mta_sts_mode mode); /* "enforce" */
