#include "gateway/inquiry.h"

#include <stdlib.h>

#include "dns/host.h"
#include "gateway/inbound_open.h"
#include "gateway/worker.h"

#define SCORE_TEXT_MAX 32

/* One DNS list of the HAT. */
struct listing {
    struct gateway_inquiry *inquiry;
    struct dns_query query;
    bool asked;
};

struct gateway_inquiry {
    struct gateway_worker *worker;
    struct gateway_inbound *inbound;
    struct gateway_names *names;
    const struct policy_hat *hat;
    const struct config_settings *settings; /* of the session's view */
    struct policy_sender sender;
    struct dns_host host;
    struct dns_query score;
    struct engine_timer deadline;
    struct engine_task finish; /* also when there is no answer to wait for */
    bool asked_host;
    bool asked_score;
    size_t lists_count;
    struct policy_listing *answers; /* behind the listings, in the same piece of memory */
    struct listing listings[];
};

bool gateway_inquiry_is_private(const struct ip_address *address)
{
    static const char *const blocks[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16" };
    struct ip_prefix prefix;

    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        if (ip_prefix_parse(slice_from(blocks[i]), &prefix, NULL) &&
            ip_prefix_contains(&prefix, address))
            return true;
    return false;
}

struct policy_sender gateway_inquiry_local(const struct gateway_view *view,
                                           const struct ip_address *address)
{
    const struct config_loaded *config = view->generation->config;
    const struct config_reputation *reputation = &config->settings.reputation;
    struct policy_sender sender = { .address = *address };
    struct slice name;

    if (reputation->has_file) {
        sender.score = policy_score_find(config->policy, address);
        /* What the file does not know the zone may. */
        if (sender.score.state == POLICY_SCORE_NONE && reputation->zone[0] != '\0')
            sender.score.state = POLICY_SCORE_UNKNOWN;
    }
    if (sender.score.state == POLICY_SCORE_UNKNOWN &&
        (reputation->zone[0] == '\0' || gateway_inquiry_is_private(address)))
        sender.score.state = POLICY_SCORE_NONE;
    sender.is_country_known = true;
    if (config->country != NULL)
        (void)config_country_find(config->country, address, &sender.country, &name);
    return sender;
}

/* --- answers --------------------------------------------------------------------------------- */

static void step(struct gateway_inquiry *q);

static void on_host(struct dns_host *host)
{
    struct gateway_inquiry *q = CONTAINER_OF(host, struct gateway_inquiry, host);

    switch (dns_host_outcome(host)) {
    case DNS_HOST_VERIFIED: q->sender.reverse = POLICY_REVERSE_VERIFIED; break;
    case DNS_HOST_NONE: q->sender.reverse = POLICY_REVERSE_NONE; break;
    case DNS_HOST_FAILED: q->sender.reverse = POLICY_REVERSE_FAILED; break;
    case DNS_HOST_MISMATCHED: q->sender.reverse = POLICY_REVERSE_MISMATCHED; break;
    }
    q->sender.name = dns_host_name(host);
    step(q);
}

/* The first record that is a score. */
static bool read_score(const struct dns_answer *answer, enum config_reputation_answer form,
                       int *tenths_out)
{
    for (size_t i = 0; i < answer->records; i++) {
        struct ip_address address;
        char text[SCORE_TEXT_MAX];
        size_t len;

        if (form == CONFIG_REPUTATION_A) {
            if (dns_answer_address(answer, i, &address) &&
                policy_score_from_address(&address, tenths_out))
                return true;
        } else if (dns_answer_text(answer, i, text, sizeof(text), &len) &&
                   policy_score_parse(slice_trim((struct slice){ text, len }), tenths_out)) {
            return true;
        }
    }
    return false;
}

static void on_score(struct dns_query *query, const struct dns_answer *answer)
{
    struct gateway_inquiry *q = CONTAINER_OF(query, struct gateway_inquiry, score);
    struct policy_score *score = &q->sender.score;

    score->state = POLICY_SCORE_NONE;
    if (answer->outcome == DNS_FAILED)
        score->state = POLICY_SCORE_FAILED;
    else if (read_score(answer, q->settings->reputation.answer, &score->tenths))
        score->state = POLICY_SCORE_KNOWN;
    step(q);
}

static void on_listing(struct dns_query *query, const struct dns_answer *answer)
{
    struct listing *l = CONTAINER_OF(query, struct listing, query);
    struct gateway_inquiry *q = l->inquiry;
    struct policy_listing *said = &q->answers[l - q->listings];

    said->state = answer->outcome == DNS_FAILED ? POLICY_LISTING_FAILED : POLICY_LISTING_NOT_LISTED;
    for (size_t i = 0; i < answer->records && said->addresses_count < POLICY_LISTED_ADDRESSES_MAX;
         i++)
        if (dns_answer_address(answer, i, &said->addresses[said->addresses_count]))
            said->addresses_count++;
    if (said->addresses_count > 0)
        said->state = POLICY_LISTING_LISTED;
    step(q);
}

/* --- questions ------------------------------------------------------------------------------- */

static void ask_score(struct gateway_inquiry *q)
{
    const struct config_reputation *reputation = &q->settings->reputation;
    char name[DNS_NAME_MAX];

    q->asked_score = true;
    if (dns_name_listed(&q->sender.address, slice_from(reputation->zone), name))
        dns_query_start(&q->score, gateway_names_source(q->names), slice_from(name),
                        reputation->answer == CONFIG_REPUTATION_A ? DNS_TYPE_A : DNS_TYPE_TXT,
                        on_score);
    else
        q->sender.score.state = POLICY_SCORE_NONE;
}

static void ask_list(struct gateway_inquiry *q, size_t number)
{
    struct listing *l = &q->listings[number];
    char name[DNS_NAME_MAX];

    l->asked = true;
    if (dns_name_listed(&q->sender.address, policy_hat_list_zone(q->hat, number), name))
        dns_query_start(&l->query, gateway_names_source(q->names), slice_from(name), DNS_TYPE_A,
                        on_listing);
    else
        q->answers[number].state = POLICY_LISTING_NOT_LISTED;
}

static void on_finish(struct engine_task *task)
{
    struct gateway_inquiry *q = CONTAINER_OF(task, struct gateway_inquiry, finish);

    gateway_inbound_known(q->inbound);
}

static void stop_asking(struct gateway_inquiry *q)
{
    dns_host_cancel(&q->host);
    dns_query_cancel(&q->score);
    for (size_t i = 0; i < q->lists_count; i++)
        dns_query_cancel(&q->listings[i].query);
    engine_timer_stop(q->worker->loop, &q->deadline);
}

/* Asks for what is needed and was not asked for; ends when nothing is needed. A question that
 * cannot be put is answered at once, which may make others needless or needed. */
static void step(struct gateway_inquiry *q)
{
    struct policy_hat_needs needs;
    bool has_put = true;

    while (has_put) {
        has_put = false;
        policy_hat_needs(q->hat, &q->sender, &needs);
        if (needs.reverse && !q->asked_host) {
            q->asked_host = has_put = true;
            dns_host_start(&q->host, gateway_names_source(q->names), &q->sender.address, on_host);
        }
        if (needs.score && !q->asked_score) {
            has_put = true;
            ask_score(q);
        }
        for (size_t i = 0; i < q->lists_count; i++) {
            if ((needs.listings >> i & 1) == 0 || q->listings[i].asked)
                continue;
            has_put = true;
            ask_list(q, i);
        }
    }
    if (needs.any)
        return;
    stop_asking(q);
    engine_loop_defer(q->worker->loop, &q->finish, on_finish);
}

static void on_deadline(struct engine_timer *timer)
{
    struct gateway_inquiry *q = CONTAINER_OF(timer, struct gateway_inquiry, deadline);

    /* The lookups of a name that was found do not answer: it does not lead back. */
    if (dns_host_is_running(&q->host)) {
        q->sender.name = dns_host_name(&q->host);
        q->sender.reverse =
            q->sender.name.len > 0 ? POLICY_REVERSE_MISMATCHED : POLICY_REVERSE_FAILED;
    }
    if (dns_query_is_running(&q->score))
        q->sender.score.state = POLICY_SCORE_FAILED;
    for (size_t i = 0; i < q->lists_count; i++)
        if (dns_query_is_running(&q->listings[i].query))
            q->answers[i].state = POLICY_LISTING_FAILED;
    stop_asking(q);
    gateway_inbound_known(q->inbound);
}

enum status gateway_inquiry_start(struct gateway_inbound *inbound,
                                  const struct policy_sender *local,
                                  struct gateway_inquiry **inquiry_out)
{
    struct gateway_worker *worker = inbound->worker;
    const struct policy_hat *hat = gateway_inbound_listener(inbound)->hat;
    size_t lists_count = policy_hat_lists_count(hat);
    struct gateway_inquiry *q;

    if (worker->names == NULL)
        return STATUS_UNSUPPORTED;
    q = calloc(1, sizeof(*q) + lists_count * (sizeof(q->listings[0]) + sizeof(q->answers[0])));
    if (q == NULL)
        return STATUS_NO_MEMORY;
    q->worker = worker;
    q->inbound = inbound;
    q->names = gateway_names_acquire(worker->names);
    q->hat = hat;
    q->settings = gateway_view_settings(inbound->view);
    q->sender = *local;
    q->lists_count = lists_count;
    q->answers = (struct policy_listing *)(void *)&q->listings[lists_count];
    q->sender.listings = q->answers;
    q->sender.listings_count = lists_count;
    for (size_t i = 0; i < lists_count; i++)
        q->listings[i].inquiry = q;
    engine_timer_start(worker->loop, &q->deadline,
                       (uint64_t)q->settings->dns.sender_timeout_s * 1000, on_deadline);
    step(q);
    *inquiry_out = q;
    return STATUS_OK;
}

const struct policy_sender *gateway_inquiry_sender(const struct gateway_inquiry *inquiry)
{
    return &inquiry->sender;
}

void gateway_inquiry_destroy(struct gateway_inquiry *inquiry)
{
    if (inquiry == NULL)
        return;
    stop_asking(inquiry);
    engine_loop_defer_cancel(inquiry->worker->loop, &inquiry->finish);
    gateway_names_release(inquiry->names);
    free(inquiry);
}
