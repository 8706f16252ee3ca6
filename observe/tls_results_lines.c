#include "observe/tls_results.h"

/* A policy is a line "P type successes failures domain"; "B policy-domain" follows where that is
 * another one; its strings are lines "S text" and "M pattern", and then its details "D type count
 * sending-ip TAB receiving-ip TAB host TAB reason". "X count" is what found no room. A text holds
 * no tab and no line end: tls_results.c. */

#define COUNT_MAX (UINT64_MAX / 4) /* so that a damaged file makes no sum wrap around */

static enum status write_policy(const struct observe_tls_policy *p, struct buffer *out)
{
    TRY(buffer_printf(out, "P %u %llu %llu %s\n", (unsigned)p->type,
                      (unsigned long long)p->successes, (unsigned long long)p->failures,
                      p->domain));
    if (p->policy_domain != p->domain)
        TRY(buffer_printf(out, "B %s\n", p->policy_domain));
    for (size_t i = 0; i < p->strings_count; i++)
        TRY(buffer_printf(out, "S %s\n", p->strings[i]));
    for (size_t i = 0; i < p->patterns_count; i++)
        TRY(buffer_printf(out, "M %s\n", p->patterns[i]));
    LIST_FOR_EACH (n, &p->details) {
        const struct observe_tls_detail *d = CONTAINER_OF(n, struct observe_tls_detail, node);

        TRY(buffer_printf(out, "D %u %llu %s\t%s\t%s\t%s\n", (unsigned)d->type,
                          (unsigned long long)d->count, d->sending_ip, d->receiving_ip, d->mx_host,
                          d->reason));
    }
    return STATUS_OK;
}

enum status observe_tls_results_write(const struct observe_tls_results *r, struct buffer *out)
{
    LIST_FOR_EACH (n, &r->policies) {
        TRY(write_policy(CONTAINER_OF(n, struct observe_tls_policy, node), out));
    }
    return buffer_printf(out, "X %llu\n", (unsigned long long)r->dropped);
}

/* A policy while its lines come in. */
struct reader {
    struct observe_tls_results *results;
    struct observe_tls_result result;
    bool is_open;     /* there was a P */
    bool has_details; /* and a D: the policy is complete */
    uint64_t successes;
    uint64_t failures; /* without those of details */
    struct slice strings[OBSERVE_TLS_TEXTS_MAX];
    struct slice patterns[OBSERVE_TLS_TEXTS_MAX];
};

static void end_policy(struct reader *r)
{
    if (!r->is_open)
        return;
    r->result.result_type = OBSERVE_TLS_SUCCESS;
    observe_tls_results_add(r->results, &r->result, r->successes);
    observe_tls_results_add_failures(r->results, &r->result, r->failures);
    r->is_open = false;
}

static bool read_policy(struct reader *r, struct slice line)
{
    struct slice type = slice_cut(&line, ' '), successes = slice_cut(&line, ' ');
    struct slice failures = slice_cut(&line, ' ');
    uint64_t number;

    end_policy(r);
    r->result = (struct observe_tls_result){ .policy_strings = r->strings,
                                             .mx_patterns = r->patterns,
                                             .report_domain = line };
    if (!slice_to_number(type, OBSERVE_TLS_POLICY_TYPES_COUNT - 1, &number) ||
        !slice_to_number(successes, COUNT_MAX, &r->successes) ||
        !slice_to_number(failures, COUNT_MAX, &r->failures) || line.len == 0)
        return false;
    r->result.policy_type = (enum observe_tls_policy_type)number;
    r->is_open = true;
    r->has_details = false;
    return true;
}

/* Before all the other lines of its policy. */
static bool read_policy_domain(struct reader *r, struct slice line)
{
    if (!r->is_open || r->has_details || r->result.policy_domain.len > 0 || line.len == 0)
        return false;
    r->result.policy_domain = line;
    return true;
}

static bool read_text(struct reader *r, struct slice line, struct slice *texts, size_t *count)
{
    if (!r->is_open || r->has_details || *count == OBSERVE_TLS_TEXTS_MAX)
        return false;
    texts[(*count)++] = line;
    return true;
}

static bool read_detail(struct reader *r, struct slice line)
{
    struct slice type = slice_cut(&line, ' '), count = slice_cut(&line, ' ');
    uint64_t number, sessions;

    if (!r->is_open || !slice_to_number(type, OBSERVE_TLS_RESULT_TYPES_COUNT - 1, &number) ||
        number == OBSERVE_TLS_SUCCESS || !slice_to_number(count, r->failures, &sessions))
        return false;
    r->has_details = true;
    r->failures -= sessions;
    r->result.result_type = (enum observe_tls_result_type)number;
    r->result.sending_ip = slice_cut(&line, '\t');
    r->result.receiving_ip = slice_cut(&line, '\t');
    r->result.mx_host = slice_cut(&line, '\t');
    r->result.reason = line;
    observe_tls_results_add(r->results, &r->result, sessions);
    return true;
}

static bool read_line(struct reader *r, struct slice line)
{
    struct slice letter = slice_cut(&line, ' ');
    uint64_t dropped;

    if (letter.len != 1)
        return false;
    switch (letter.data[0]) {
    case 'P': return read_policy(r, line);
    case 'B': return read_policy_domain(r, line);
    case 'S': return read_text(r, line, r->strings, &r->result.policy_strings_count);
    case 'M': return read_text(r, line, r->patterns, &r->result.mx_patterns_count);
    case 'D': return read_detail(r, line);
    case 'X':
        if (!slice_to_number(line, COUNT_MAX, &dropped))
            return false;
        r->results->dropped += dropped;
        return true;
    default: return false;
    }
}

enum status observe_tls_results_read(struct observe_tls_results *results, struct slice text)
{
    struct reader r = { .results = results };

    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (!read_line(&r, line))
            return STATUS_CORRUPT;
    }
    end_policy(&r);
    return STATUS_OK;
}
