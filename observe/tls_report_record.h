/* observe/tls_report_record.h - where a domain wants its TLS reports: the TXT record of
 * _smtp._tls.DOMAIN, "v=TLSRPTv1; rua=mailto:reports@example.com". RFC 8460 3. Pure.
 */
#pragma once
#include "base/check.h"
#include "base/slice.h"

#define OBSERVE_TLS_RECORD_BYTES_MAX 4096 /* of the record; a longer one is none */
#define OBSERVE_TLS_URIS_MAX                                                                       \
    8                           /* those behind are not looked at: to deliver to one of            \
                                   them would do, RFC 8460 3 */
#define OBSERVE_TLS_URI_MAX 512 /* NUL included; a longer one is left out */

enum observe_tls_uri_kind { OBSERVE_TLS_MAILTO, OBSERVE_TLS_HTTPS };

struct observe_tls_uri {
    enum observe_tls_uri_kind kind;
    char text[OBSERVE_TLS_URI_MAX]; /* the address, plain and decoded; or the whole https: URI */
};

struct observe_tls_record {
    size_t uris_count; /* 0: a record that names nowhere that reports can go to */
    struct observe_tls_uri uris[OBSERVE_TLS_URIS_MAX];
};

/* Whether a TXT record begins as one of TLSRPT does. Where not exactly one does, the domain wants
 * no reports. */
bool observe_tls_record_is_one(struct slice text);

/* text: the strings of the record in one piece. False when it is not of the form. Fields other than
 * rua, schemes other than mailto and https, and addresses that would need quotes are left out, and
 * what was there before. What stands behind the "?" of a mailto (a subject, another recipient) does
 * not count. */
MUST_USE bool observe_tls_record_parse(struct slice text, struct observe_tls_record *record_out);
