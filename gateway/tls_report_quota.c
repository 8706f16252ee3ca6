#include "gateway/tls_report_quota.h"

#include <assert.h>
#include <stdlib.h>

#include "base/rates.h"
#include "observe/tls_results.h"

/* Two for each URI of each domain of a day, and the words that the table wants for each. */
#define WORDS       ((size_t)1 << 20)
#define SWEEP_STEPS 4 /* in ten minutes: the whole table in two days */

static_assert(WORDS >= (size_t)4 * 2 * OBSERVE_TLS_URIS_MAX * OBSERVE_TLS_POLICIES_MAX,
              "what is not counted is let through");

enum kind { KIND_ADDRESS, KIND_HOST };

struct gateway_tls_quota {
    struct rates_table *rates;
};

enum status gateway_tls_quota_create(const struct hash_seed *seed,
                                     struct gateway_tls_quota **quota_out)
{
    struct gateway_tls_quota *quota = calloc(1, sizeof(*quota));

    if (quota == NULL)
        return STATUS_NO_MEMORY;
    if (rates_create(WORDS, seed, &quota->rates) != STATUS_OK) {
        free(quota);
        return STATUS_NO_MEMORY;
    }
    *quota_out = quota;
    return STATUS_OK;
}

void gateway_tls_quota_destroy(struct gateway_tls_quota *quota)
{
    if (quota == NULL)
        return;
    rates_destroy(quota->rates);
    free(quota);
}

const char *gateway_tls_quota_take(struct gateway_tls_quota *quota,
                                   const struct observe_tls_uri *uri, struct slice host,
                                   time_t now_s)
{
    uint64_t address = rates_key_text(quota->rates, KIND_ADDRESS, slice_from(uri->text));
    uint64_t whole = rates_key_text(quota->rates, KIND_HOST, host);
    uint64_t now = (uint64_t)now_s;

    if (!rates_add(quota->rates, address, 1, GATEWAY_TLS_ADDRESS_REPORTS_MAX, GATEWAY_TLS_QUOTA_S,
                   now)
             .allowed)
        return "too many reports for it within a day";
    if (rates_add(quota->rates, whole, 1, GATEWAY_TLS_HOST_REPORTS_MAX, GATEWAY_TLS_QUOTA_S, now)
            .allowed)
        return NULL;
    rates_take_back(quota->rates, address, 1, now);
    return "too many reports for its host within a day";
}

void gateway_tls_quota_sweep(struct gateway_tls_quota *quota, time_t now_s)
{
    for (int i = 0; i < SWEEP_STEPS; i++)
        rates_sweep(quota->rates, (uint64_t)now_s);
}
