#include "gateway/outbound_report.h"

#include <stdio.h>
#include <string.h>

#include "gateway/item.h"
#include "gateway/worker.h"

#define TLSA_TEXT_MAX                                                                              \
    160 /* NUL included; longer data are cut: the head of them tells which it is */

/* The texts of a policy, borrowed of the hops or of here. */
struct texts {
    struct slice lines[OBSERVE_TLS_TEXTS_MAX];
    size_t lines_count;
    struct slice patterns[OBSERVE_TLS_TEXTS_MAX];
    size_t patterns_count;
    char tlsa[DNS_TLSA_RECORDS_MAX][TLSA_TEXT_MAX];
};

static_assert(DNS_TLSA_RECORDS_MAX <= OBSERVE_TLS_TEXTS_MAX, "each record is a text");

/* "3 1 1 0123ab...", as RFC 8460 4.4 wants it. */
static void write_tlsa(const struct tls_dane_record *record, char text[static TLSA_TEXT_MAX])
{
    int fill = snprintf(text, TLSA_TEXT_MAX, "%u %u %u ", record->usage, record->selector,
                        record->matching);

    for (size_t i = 0; i < record->data.len && fill < TLSA_TEXT_MAX - 2; i++)
        fill += snprintf(text + fill, (size_t)(TLSA_TEXT_MAX - fill), "%02x",
                         (unsigned char)record->data.data[i]);
}

static void fill_tlsa(const struct gateway_next_tlsa *tlsa, struct texts *texts)
{
    for (size_t i = 0; i < tlsa->records_count; i++) {
        write_tlsa(&tlsa->records[i], texts->tlsa[i]);
        texts->lines[texts->lines_count++] = slice_from(texts->tlsa[i]);
    }
}

static void fill_sts(struct slice policy, struct texts *texts)
{
    struct slice rest = policy, pattern;

    while (policy_mta_sts_pattern_next(&rest, &pattern) &&
           texts->patterns_count < ARRAY_LEN(texts->patterns))
        texts->patterns[texts->patterns_count++] = pattern;
    while (policy.len > 0 && texts->lines_count < ARRAY_LEN(texts->lines)) {
        struct slice line = slice_trim(slice_cut(&policy, '\n'));

        if (line.len > 0)
            texts->lines[texts->lines_count++] = line;
    }
}

static void fill(struct observe_tls_result *result, struct texts *texts,
                 const struct gateway_next_tlsa *tlsa, struct slice sts_policy)
{
    texts->lines_count = texts->patterns_count = 0;
    if (tlsa != NULL) {
        result->policy_domain = slice_from(tlsa->base);
        fill_tlsa(tlsa, texts);
    } else {
        fill_sts(sts_policy, texts);
    }
    result->policy_strings = texts->lines;
    result->policy_strings_count = texts->lines_count;
    result->mx_patterns = texts->patterns;
    result->mx_patterns_count = texts->patterns_count;
}

/* Which policy the session was about, and what is wrong with the policy itself; else how the
 * session went stays. Returns its TLSA records, if it is DANE. */
static const struct gateway_next_tlsa *find_policy(const struct gateway_outbound *out,
                                                   struct observe_tls_result *result)
{
    const struct gateway_next_host *host = out->host;
    const struct gateway_next_hops *hops = out->hops;
    bool is_well = result->result_type == OBSERVE_TLS_SUCCESS;

    if (host->tlsa != NULL) {
        result->policy_type = OBSERVE_TLS_POLICY_TLSA;
        return host->tlsa;
    }
    if (hops->sts_policy.len > 0) {
        result->policy_type = OBSERVE_TLS_POLICY_STS;
        if (host->is_unlisted) {
            result->result_type = OBSERVE_TLS_VALIDATION_FAILURE;
            result->reason = slice_from(policy_tls_obstacle_text(POLICY_TLS_NOT_ALLOWED));
        }
    } else if (hops->sts_trouble != OBSERVE_TLS_SUCCESS) {
        result->policy_type = OBSERVE_TLS_POLICY_STS;
        result->result_type = hops->sts_trouble;
        result->reason = slice_from(hops->sts_reason);
    } else if (host->unusable != NULL) {
        result->policy_type = OBSERVE_TLS_POLICY_TLSA;
        if (is_well) {
            result->result_type = OBSERVE_TLS_TLSA_INVALID;
            result->reason = SLICE("no usable TLSA record");
        }
        return host->unusable;
    }
    return NULL;
}

/* No session with mail about trouble is told of (RFC 8460 3). Such mail has a destination of its
 * own only where it is treated in another way. first: what the session is for; NULL: not known. */
static bool is_about_trouble(const struct delivery_item *first)
{
    return first != NULL &&
           CONTAINER_OF(first, struct gateway_item, delivery)->lane->is_tls_optional;
}

static void report(const struct gateway_outbound *out, enum observe_tls_result_type type,
                   struct slice reason)
{
    char remote[IP_TEXT_MAX], local[IP_TEXT_MAX] = "";
    struct observe_tls_result result = {
        .policy_type = OBSERVE_TLS_POLICY_NONE,
        .result_type = type,
        .report_domain = delivery_destination_domain(out->delivery.destination),
        .reason = reason,
    };
    const struct gateway_next_tlsa *tlsa = find_policy(out, &result);
    struct ip_endpoint ours;
    struct texts texts;

    if (out->hops->is_tls_optional || out->hops->is_route)
        return; /* no policy of the domain's was applied */
    if (out->item == NULL &&
        is_about_trouble(delivery_destination_first(out->delivery.destination)))
        return;
    fill(&result, &texts, tlsa, out->hops->sts_policy);
    if (result.result_type != OBSERVE_TLS_SUCCESS) {
        if (engine_socket_local(&out->hop.channel.socket, &ours))
            (void)ip_format(&ours.address, local);
        result.mx_host = slice_from(out->host->name);
        result.receiving_ip = slice_from(ip_format(&out->remote.address, remote));
        result.sending_ip = slice_from(local);
    }
    gateway_tls_report_session(out->worker, &result);
}

void gateway_outbound_report_left_out(struct gateway_worker *worker,
                                      const struct delivery_destination *destination,
                                      const struct gateway_next_hops *hops)
{
    if (hops->is_route || is_about_trouble(delivery_destination_first(destination)))
        return;
    for (const struct gateway_left_out_host *host = hops->left_out; host != NULL;
         host = host->next) {
        bool is_dane = host->policy == OBSERVE_TLS_POLICY_TLSA;
        struct observe_tls_result result = {
            .policy_type = host->policy,
            .result_type = host->result,
            .report_domain = delivery_destination_domain(destination),
            .mx_host = slice_from(host->name),
            .reason = slice_from(host->reason),
        };
        struct texts texts;

        fill(&result, &texts, is_dane ? host->tlsa : NULL,
             is_dane ? (struct slice){ 0 } : hops->sts_policy);
        if (is_dane && host->tlsa == NULL)
            result.policy_domain = slice_from(host->name);
        gateway_tls_report_session(worker, &result);
    }
}

/* What stood in the way of a certificate, in the words of RFC 8460 4.3. */
static enum observe_tls_result_type type_of_unverified(const struct gateway_outbound *out)
{
    const char *problem = tls_session_verify_problem(out->tls.session);

    if (out->host->tlsa != NULL)
        return OBSERVE_TLS_VALIDATION_FAILURE;
    if (problem == NULL)
        return OBSERVE_TLS_CERTIFICATE_HOST_MISMATCH;
    return strstr(problem, "expired") != NULL ? OBSERVE_TLS_CERTIFICATE_EXPIRED
                                              : OBSERVE_TLS_CERTIFICATE_NOT_TRUSTED;
}

void gateway_outbound_report(const struct gateway_outbound *out)
{
    const struct gateway_hop_tls *tls = &out->tls;

    if (!gateway_channel_is_secure(&out->hop.channel)) {
        gateway_outbound_report_failed(out, POLICY_TLS_NOT_OFFERED);
        return;
    }
    if (!tls->is_compliant)
        report(out, type_of_unverified(out),
               slice_from(tls->tested[0] != '\0' ? tls->tested : tls->text));
    else
        report(out, OBSERVE_TLS_SUCCESS, (struct slice){ 0 });
}

void gateway_outbound_report_failed(const struct gateway_outbound *out, enum policy_tls_event how)
{
    switch (how) {
    case POLICY_TLS_NOT_OFFERED:
    case POLICY_TLS_REFUSED:
        report(out, OBSERVE_TLS_STARTTLS_NOT_SUPPORTED, slice_from(out->tls_trouble));
        break;
    case POLICY_TLS_FAILED_BEFORE:
    case POLICY_TLS_HANDSHAKE_FAILED:
        report(out, OBSERVE_TLS_VALIDATION_FAILURE, slice_from(out->tls_trouble));
        break;
    case POLICY_TLS_UNVERIFIED: /* told when it was judged */
    case POLICY_TLS_ESTABLISHED: break;
    }
}
