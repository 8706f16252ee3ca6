#include "observe/tls_results.h"

#include <assert.h>

static const char *const policy_names[] = { "no-policy-found", "sts", "tlsa" };

static const char *const result_names[] = {
    "",
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
};

static_assert(ARRAY_LEN(policy_names) == OBSERVE_TLS_POLICY_TYPES_COUNT, "each has a name");
static_assert(ARRAY_LEN(result_names) == OBSERVE_TLS_RESULT_TYPES_COUNT, "each has a name");

const char *observe_tls_policy_type_name(enum observe_tls_policy_type type)
{
    ASSERT(type < OBSERVE_TLS_POLICY_TYPES_COUNT);
    return policy_names[type];
}

const char *observe_tls_result_type_name(enum observe_tls_result_type type)
{
    ASSERT(type < OBSERVE_TLS_RESULT_TYPES_COUNT);
    return result_names[type];
}

/* A text as it is kept; it stands here while it is compared. */
struct clean {
    size_t len;
    char data[OBSERVE_TLS_TEXT_MAX];
};

static struct slice clean(struct slice text, struct clean *into)
{
    into->len = text.len < sizeof(into->data) ? text.len : sizeof(into->data);
    for (size_t i = 0; i < into->len; i++) {
        char c = text.data[i];

        into->data[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    return (struct slice){ into->data, into->len };
}

static bool is_text(const char *kept, struct slice text)
{
    struct clean c;

    return slice_equal(slice_from(kept), clean(text, &c));
}

/* NULL when there is no room. */
static const char *keep(struct observe_tls_results *r, struct slice text)
{
    struct clean c;

    return arena_text(&r->arena, clean(text, &c));
}

static size_t texts_max(size_t count)
{
    return count < OBSERVE_TLS_TEXTS_MAX ? count : OBSERVE_TLS_TEXTS_MAX;
}

static bool are_texts(const char *const *kept, size_t kept_count, const struct slice *texts,
                      size_t count)
{
    if (kept_count != texts_max(count))
        return false;
    for (size_t i = 0; i < kept_count; i++)
        if (!is_text(kept[i], texts[i]))
            return false;
    return true;
}

static bool keep_texts(struct observe_tls_results *r, const struct slice *texts, size_t count,
                       const char *const **kept_out, size_t *count_out)
{
    size_t max = texts_max(count);
    const char **kept = arena_take(&r->arena, max, sizeof(*kept));

    for (size_t i = 0; kept != NULL && i < max; i++) {
        kept[i] = keep(r, texts[i]);
        if (kept[i] == NULL)
            return false;
    }
    *kept_out = kept;
    *count_out = max;
    return kept != NULL;
}

enum status observe_tls_results_init(struct observe_tls_results *r, const struct hash_seed *seed)
{
    *r = (struct observe_tls_results){ .seed = *seed };
    list_init(&r->policies);
    arena_init(&r->arena, OBSERVE_TLS_BYTES_MAX);
    return table_init(&r->domains);
}

void observe_tls_results_finish(struct observe_tls_results *r)
{
    table_finish(&r->domains);
    arena_finish(&r->arena);
    *r = (struct observe_tls_results){ 0 };
}

const struct observe_tls_policy *observe_tls_results_of(const struct observe_tls_results *r,
                                                        struct slice domain,
                                                        const struct observe_tls_policy *before)
{
    struct table_node *n;

    if (before != NULL)
        return before->next_of_domain;
    n = table_find(&r->domains, hash_text_nocase(&r->seed, domain));
    for (; n != NULL; n = table_find_next(n)) {
        const struct observe_tls_policy *p = CONTAINER_OF(n, struct observe_tls_policy, by_domain);

        if (slice_equal_nocase(slice_from(p->domain), domain))
            return p;
    }
    return NULL;
}

static struct observe_tls_policy *find(const struct observe_tls_results *r, struct slice domain,
                                       struct slice policy_domain,
                                       const struct observe_tls_result *result)
{
    const struct observe_tls_policy *p = NULL;

    while ((p = observe_tls_results_of(r, domain, p)) != NULL)
        if (p->type == result->policy_type &&
            slice_equal(slice_from(p->policy_domain), policy_domain) &&
            are_texts(p->strings, p->strings_count, result->policy_strings,
                      result->policy_strings_count) &&
            are_texts(p->patterns, p->patterns_count, result->mx_patterns,
                      result->mx_patterns_count))
            break;
    return (struct observe_tls_policy *)p;
}

/* NULL when there is no room; what the arena gave for it stays unused then. */
static struct observe_tls_policy *add(struct observe_tls_results *r, struct slice domain,
                                      struct slice policy_domain,
                                      const struct observe_tls_result *result)
{
    const struct observe_tls_policy *other = NULL, *last = NULL;
    struct observe_tls_policy *p;
    size_t count = 0;

    for (; (other = observe_tls_results_of(r, domain, other)) != NULL; count++)
        last = other;
    if (r->policies_count == OBSERVE_TLS_POLICIES_MAX || count == OBSERVE_TLS_DOMAIN_POLICIES_MAX)
        return NULL;
    p = arena_take(&r->arena, 1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->type = result->policy_type;
    p->is_first = last == NULL;
    p->domain = arena_text(&r->arena, domain);
    p->policy_domain =
        slice_equal(policy_domain, domain) ? p->domain : arena_text(&r->arena, policy_domain);
    list_init(&p->details);
    if (p->domain == NULL || p->policy_domain == NULL ||
        !keep_texts(r, result->policy_strings, result->policy_strings_count, &p->strings,
                    &p->strings_count) ||
        !keep_texts(r, result->mx_patterns, result->mx_patterns_count, &p->patterns,
                    &p->patterns_count))
        return NULL;
    list_append(&r->policies, &p->node);
    r->policies_count++;
    if (last == NULL)
        table_insert(&r->domains, &p->by_domain, hash_text_nocase(&r->seed, domain));
    else
        ((struct observe_tls_policy *)last)->next_of_domain = p;
    return p;
}

static struct observe_tls_detail *find_detail(struct observe_tls_policy *p,
                                              const struct observe_tls_result *result)
{
    LIST_FOR_EACH (n, &p->details) {
        struct observe_tls_detail *d = CONTAINER_OF(n, struct observe_tls_detail, node);

        if (d->type == result->result_type && is_text(d->mx_host, result->mx_host) &&
            is_text(d->receiving_ip, result->receiving_ip) &&
            is_text(d->sending_ip, result->sending_ip) && is_text(d->reason, result->reason))
            return d;
    }
    return NULL;
}

static void add_detail(struct observe_tls_results *r, struct observe_tls_policy *p,
                       const struct observe_tls_result *result, uint64_t count)
{
    struct observe_tls_detail *d = find_detail(p, result);

    if (d == NULL && p->details_count < OBSERVE_TLS_DETAILS_MAX) {
        d = arena_take(&r->arena, 1, sizeof(*d));
        if (d == NULL)
            return;
        d->type = result->result_type;
        d->mx_host = keep(r, result->mx_host);
        d->receiving_ip = keep(r, result->receiving_ip);
        d->sending_ip = keep(r, result->sending_ip);
        d->reason = keep(r, result->reason);
        if (d->mx_host == NULL || d->receiving_ip == NULL || d->sending_ip == NULL ||
            d->reason == NULL)
            return;
        list_append(&p->details, &d->node);
        p->details_count++;
    }
    if (d != NULL)
        d->count += count;
}

/* The name of a domain as it is kept. */
static struct slice clean_name(struct slice name, struct clean *into)
{
    struct slice kept = clean(name, into);

    for (size_t i = 0; i < into->len; i++)
        into->data[i] = ascii_lower(into->data[i]);
    return kept;
}

/* The policy of a session; NULL, and count is dropped, when there is no room for it. */
static struct observe_tls_policy *policy_of(struct observe_tls_results *r,
                                            const struct observe_tls_result *result, uint64_t count)
{
    struct observe_tls_policy *p;
    struct clean told, found;
    struct slice domain = clean_name(result->report_domain, &told);
    struct slice policy_domain = clean_name(result->policy_domain, &found);

    ASSERT(result->policy_type < OBSERVE_TLS_POLICY_TYPES_COUNT);
    ASSERT(result->result_type < OBSERVE_TLS_RESULT_TYPES_COUNT);
    if (domain.len == 0)
        return NULL;
    if (policy_domain.len == 0)
        policy_domain = domain;
    p = find(r, domain, policy_domain, result);
    if (p == NULL)
        p = add(r, domain, policy_domain, result);
    if (p == NULL)
        r->dropped += count;
    return p;
}

void observe_tls_results_add_failures(struct observe_tls_results *r,
                                      const struct observe_tls_result *policy, uint64_t count)
{
    struct observe_tls_policy *p = policy_of(r, policy, count);

    if (p != NULL)
        p->failures += count;
}

void observe_tls_results_add(struct observe_tls_results *r, const struct observe_tls_result *result,
                             uint64_t count)
{
    struct observe_tls_policy *p = policy_of(r, result, count);

    if (p == NULL)
        return;
    if (result->result_type == OBSERVE_TLS_SUCCESS) {
        p->successes += count;
        return;
    }
    p->failures += count;
    add_detail(r, p, result, count);
}

static size_t slices_of(const char *const *texts, size_t count,
                        struct slice slices[static OBSERVE_TLS_TEXTS_MAX])
{
    for (size_t i = 0; i < count; i++)
        slices[i] = slice_from(texts[i]);
    return count;
}

void observe_tls_results_merge(struct observe_tls_results *into,
                               const struct observe_tls_results *from)
{
    struct slice strings[OBSERVE_TLS_TEXTS_MAX], patterns[OBSERVE_TLS_TEXTS_MAX];

    into->dropped += from->dropped;
    LIST_FOR_EACH (n, &from->policies) {
        const struct observe_tls_policy *p = CONTAINER_OF(n, struct observe_tls_policy, node);
        struct observe_tls_result result = {
            .policy_type = p->type,
            .report_domain = slice_from(p->domain),
            .policy_domain = slice_from(p->policy_domain),
            .policy_strings = strings,
            .policy_strings_count = slices_of(p->strings, p->strings_count, strings),
            .mx_patterns = patterns,
            .mx_patterns_count = slices_of(p->patterns, p->patterns_count, patterns),
        };
        uint64_t undetailed = p->failures;

        observe_tls_results_add(into, &result, p->successes);
        LIST_FOR_EACH (at, &p->details) {
            const struct observe_tls_detail *d = CONTAINER_OF(at, struct observe_tls_detail, node);

            result.result_type = d->type;
            result.mx_host = slice_from(d->mx_host);
            result.receiving_ip = slice_from(d->receiving_ip);
            result.sending_ip = slice_from(d->sending_ip);
            result.reason = slice_from(d->reason);
            observe_tls_results_add(into, &result, d->count);
            undetailed -= d->count;
        }
        observe_tls_results_add_failures(into, &result, undetailed);
    }
}
