/* Whatever a TXT record or a policy file holds keeps the promises of policy/mta_sts.h. */
#include "base/check.h"
#include "policy/mta_sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(struct slice text)
{
    struct slice id = { 0 };

    if (!policy_mta_sts_record_id(text, &id))
        return;
    ASSERT(policy_mta_sts_is_record(text));
    ASSERT(id.len > 0 && id.len <= POLICY_MTA_STS_ID_MAX);
    ASSERT(id.data >= text.data && id.data + id.len <= text.data + text.len);
}

static void check_file(struct slice text)
{
    struct slice rest = text, pattern;
    struct policy_mta_sts p = { 0 };
    const char *why = NULL;
    size_t count = 0;

    if (!policy_mta_sts_parse(text, &p, &why)) {
        ASSERT(why != NULL && why[0] != '\0');
        return;
    }
    ASSERT(p.max_age_s <= POLICY_MTA_STS_AGE_S_MAX && p.mx_count <= POLICY_MTA_STS_MX_MAX);
    ASSERT(p.mx_count > 0 || p.mode == POLICY_MTA_STS_NONE);
    while (policy_mta_sts_pattern_next(&rest, &pattern)) {
        count++;
        ASSERT(pattern.len > 0);
        /* A pattern allows itself, and a longer name never. */
        ASSERT(policy_mta_sts_allows(&p, pattern));
    }
    ASSERT(count == p.mx_count);
    ASSERT(!policy_mta_sts_allows(&p, SLICE("")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };

    check_record(text);
    check_file(text);
    return 0;
}
