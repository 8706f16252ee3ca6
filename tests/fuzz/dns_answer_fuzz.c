/* The first byte chooses the type, the rest is a packet. */
#include "base/check.h"
#include "dns/answer.h"

#define TEXT_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name, bool may_be_empty)
{
    struct slice text = slice_from(name);

    ASSERT(dns_name_is_valid(text) || (may_be_empty && text.len == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_TYPE_A,  DNS_TYPE_AAAA, DNS_TYPE_PTR,  DNS_TYPE_TXT,
                                           DNS_TYPE_MX, DNS_TYPE_TLSA, DNS_TYPE_CNAME };
    struct dns_answer a;
    struct ip_address address;
    char name[DNS_NAME_MAX];
    char text[TEXT_MAX];
    uint16_t preference;
    struct dns_association association;
    size_t len;

    if (size == 0)
        return 0;
    struct slice packet = { (const char *)data + 1, size - 1 };
    dns_answer_parse(packet, types[data[0] % ARRAY_LEN(types)], &a);
    ASSERT((a.outcome == DNS_FOUND) == (a.records > 0) && a.records <= DNS_RECORDS_MAX);
    ASSERT((a.outcome == DNS_FAILED) == (a.reason[0] != '\0'));
    if (dns_answer_canonical(&a, name)) {
        ASSERT(a.outcome != DNS_FAILED);
        check_name(name, false);
    }
    for (size_t i = 0; i < a.records; i++) {
        struct slice raw = dns_answer_data(&a, i);

        ASSERT(raw.data >= packet.data && raw.data + raw.len <= packet.data + packet.len);
        (void)dns_answer_address(&a, i, &address);
        if (dns_answer_name(&a, i, name))
            check_name(name, false);
        if (dns_answer_exchange(&a, i, &preference, name))
            check_name(name, true);
        if (dns_answer_text(&a, i, text, sizeof(text), &len))
            ASSERT(len <= sizeof(text));
        if (dns_answer_association(&a, i, &association))
            ASSERT(association.data.len + 3 == raw.len);
    }
    return 0;
}
