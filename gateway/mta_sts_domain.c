#include "gateway/mta_sts_domain.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/mta_sts_txt.h"
#include "gateway/worker.h"

static uint64_t now_ms(const struct gateway_mta_sts_domain *d)
{
    return gateway_worker_now_ms(d->sts->worker);
}

static uint64_t now_s(const struct gateway_mta_sts_domain *d)
{
    return (uint64_t)gateway_worker_now_s(d->sts->worker);
}

static const struct config_settings *settings_of(const struct gateway_mta_sts_domain *d)
{
    return gateway_view_settings(d->sts->worker->view);
}

static void keep_id(char to[static POLICY_MTA_STS_ID_MAX + 1], const char *id)
{
    (void)snprintf(to, POLICY_MTA_STS_ID_MAX + 1, "%s", id);
}

/* --- the policy that counts ------------------------------------------------------------------ */

static bool has_policy(const struct gateway_mta_sts_domain *d)
{
    return d->held != NULL && now_s(d) < d->expires_s;
}

/* One that protects: mode none needs no care of its own. */
static bool is_protected(const struct gateway_mta_sts_domain *d)
{
    return has_policy(d) && d->held->policy.mode != POLICY_MTA_STS_NONE;
}

static uint64_t refresh_at_s(const struct gateway_mta_sts_domain *d)
{
    uint64_t half_s = d->held->policy.max_age_s / 2;

    if (half_s > GATEWAY_MTA_STS_REFRESH_S)
        half_s = GATEWAY_MTA_STS_REFRESH_S;
    return d->fetched_s + (half_s > GATEWAY_MTA_STS_RETRY_S ? half_s : GATEWAY_MTA_STS_RETRY_S);
}

/* Takes the policy of a text. False, with why: it is none, or there is no memory. */
static bool adopt(struct gateway_mta_sts_domain *d, struct slice text,
                  enum observe_tls_result_type *trouble_out, const char **why_out)
{
    struct gateway_mta_sts *sts = d->sts;
    struct gateway_mta_sts_held *held = malloc(sizeof(*held) + text.len);

    *why_out = "no memory";
    *trouble_out = OBSERVE_TLS_SUCCESS;
    if (held == NULL)
        return false;
    *trouble_out = OBSERVE_TLS_STS_POLICY_INVALID;
    if (text.len > 0)
        memcpy(held->text, text.data, text.len);
    held->users_count = 1;
    if (!policy_mta_sts_parse((struct slice){ held->text, text.len }, &held->policy, why_out)) {
        free(held);
        return false;
    }
    if (d->held != NULL)
        sts->bytes -= d->held->policy.text.len;
    gateway_mta_sts_held_release(d->held);
    d->held = held;
    sts->bytes += text.len;
    gateway_mta_sts_has_grown(sts);
    return true;
}

/* --- its file -------------------------------------------------------------------------------- */

static void begin_file(struct gateway_mta_sts_domain *d, enum gateway_mta_sts_file_verb verb);

static void file_destroy(struct gateway_mta_sts_file_work *work)
{
    if (work == NULL)
        return;
    buffer_finish(&work->file.bytes);
    free(work);
}

/* What was fetched before this process began. */
static void take_loaded(struct gateway_mta_sts_domain *d, struct slice bytes)
{
    struct gateway_mta_sts_record r;
    uint64_t now = now_s(d), latest = now + POLICY_MTA_STS_AGE_S_MAX, waited_s;
    enum observe_tls_result_type trouble;
    const char *why;

    if (!gateway_mta_sts_record_read(bytes, &r) || !slice_equal(r.domain, slice_from(d->name)) ||
        r.expires_s <= now || !adopt(d, r.text, &trouble, &why)) {
        observe_log_line(d->sts->worker->log, OBSERVE_INFO, gateway_worker_now_s(d->sts->worker),
                         "MTA-STS: %s: the policy on disk is damaged or expired", d->name);
        return;
    }
    (void)snprintf(d->id, sizeof(d->id), "%.*s", SLICE_ARGS(r.id));
    d->fetched_s = r.fetched_s < now ? r.fetched_s : now; /* a clock that was wrong */
    d->expires_s = r.expires_s < latest ? r.expires_s : latest;
    d->tried_s = r.tried_s < now ? r.tried_s : now;
    waited_s = now - d->tried_s;
    if (d->tried_s <= d->fetched_s || waited_s >= GATEWAY_MTA_STS_RETRY_S)
        return;
    d->failures = 1;
    keep_id(d->failed_id, d->id);
    d->retry_at_ms = now_ms(d) + (GATEWAY_MTA_STS_RETRY_S - waited_s) * 1000;
}

static void on_file(struct gateway_mta_sts_file *file)
{
    struct gateway_mta_sts_file_work *work =
        CONTAINER_OF(file, struct gateway_mta_sts_file_work, file);
    struct gateway_mta_sts_domain *d = work->domain;
    struct gateway_worker *w = d->sts->worker;

    ASSERT(d->file == work);
    d->file = NULL;
    if (file->status != STATUS_OK && file->status != STATUS_NOT_FOUND)
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "MTA-STS: %s: the policy on disk: %s", d->name, status_text(file->status));
    if (file->verb == GATEWAY_MTA_STS_LOAD) {
        d->is_loaded = true;
        if (file->status == STATUS_OK)
            take_loaded(d, buffer_contents(&file->bytes));
    }
    file_destroy(work);
    if (d->is_store_wanted)
        begin_file(d, GATEWAY_MTA_STS_STORE);
    gateway_mta_sts_domain_advance(d);
}

/* The policy as it is now. */
static enum status write_record(const struct gateway_mta_sts_domain *d, struct buffer *to)
{
    const struct gateway_mta_sts_record r = {
        .domain = slice_from(d->name),
        .id = slice_from(d->id),
        .fetched_s = d->fetched_s,
        .expires_s = d->expires_s,
        .tried_s = d->tried_s,
        .text = d->held->policy.text,
    };

    return gateway_mta_sts_record_write(&r, to);
}

/* To store is to remove where nothing is to be protected. What cannot be begun is not done: the
 * policy is in memory, and a domain that is not loaded stays so. */
static void begin_file(struct gateway_mta_sts_domain *d, enum gateway_mta_sts_file_verb verb)
{
    struct gateway_mta_sts_file_work *work;
    enum status status = STATUS_OK;

    if (d->sts->is_stopping)
        return;
    if (d->file != NULL) {
        ASSERT(verb == GATEWAY_MTA_STS_STORE);
        d->is_store_wanted = true;
        return;
    }
    d->is_store_wanted = false;
    work = calloc(1, sizeof(*work));
    if (work == NULL)
        return;
    if (verb == GATEWAY_MTA_STS_STORE && !is_protected(d))
        verb = GATEWAY_MTA_STS_REMOVE;
    work->domain = d;
    work->file.verb = verb;
    work->file.fetched_s = d->fetched_s;
    work->file.done = on_file;
    (void)snprintf(work->file.domain, sizeof(work->file.domain), "%s", d->name);
    buffer_init(&work->file.bytes, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    if (verb == GATEWAY_MTA_STS_STORE)
        status = write_record(d, &work->file.bytes);
    d->file = work; /* it may be done inside, but for the call of done() */
    if (status == STATUS_OK)
        status = d->sts->ops->file(d->sts->worker, &work->file);
    if (status == STATUS_OK)
        return;
    d->file = NULL;
    file_destroy(work);
}

/* --- the TXT record -------------------------------------------------------------------------- */

static void release_txt(struct gateway_mta_sts_domain *d)
{
    gateway_names_release(d->txt_names);
    d->txt_names = NULL;
}

static void set_txt(struct gateway_mta_sts_domain *d, enum gateway_mta_sts_txt txt,
                    const char *reason, uint64_t ttl_s)
{
    if (ttl_s < GATEWAY_MTA_STS_RECORD_S_MIN)
        ttl_s = GATEWAY_MTA_STS_RECORD_S_MIN;
    if (ttl_s > GATEWAY_MTA_STS_RECORD_S_MAX)
        ttl_s = GATEWAY_MTA_STS_RECORD_S_MAX;
    d->txt = txt;
    d->txt_reason = reason;
    d->txt_until_ms = now_ms(d) + ttl_s * 1000;
}

static void take_records(struct gateway_mta_sts_domain *d, const struct dns_answer *a)
{
    char room[GATEWAY_MTA_STS_TXT_BYTES];
    struct slice text, id;
    size_t count = gateway_mta_sts_txt_find(a, room, &text);

    if (count != 1) {
        set_txt(d, GATEWAY_MTA_STS_TXT_NONE,
                count == 0 ? "no MTA-STS record" : "more than one MTA-STS record", a->ttl_s);
    } else if (!policy_mta_sts_record_id(text, &id)) {
        set_txt(d, GATEWAY_MTA_STS_TXT_NONE, "the MTA-STS record is malformed", a->ttl_s);
    } else {
        (void)snprintf(d->txt_id, sizeof(d->txt_id), "%.*s", SLICE_ARGS(id));
        set_txt(d, GATEWAY_MTA_STS_TXT_ID, "", a->ttl_s);
    }
}

static void on_txt(struct dns_query *query, const struct dns_answer *a)
{
    struct gateway_mta_sts_domain *d =
        CONTAINER_OF(query, struct gateway_mta_sts_domain, txt_query);

    switch (a->outcome) {
    case DNS_FOUND: take_records(d, a); break;
    case DNS_NO_NAME:
    case DNS_NO_DATA: set_txt(d, GATEWAY_MTA_STS_TXT_NONE, "no MTA-STS record", a->ttl_s); break;
    case DNS_FAILED:
        set_txt(d, GATEWAY_MTA_STS_TXT_FAILED, "the MTA-STS record could not be looked up", 0);
        break;
    }
    release_txt(d);
    gateway_mta_sts_domain_advance(d);
}

static void begin_txt(struct gateway_mta_sts_domain *d)
{
    char name[sizeof(POLICY_MTA_STS_TXT_LABEL) + DNS_NAME_MAX];
    struct dns_source *source;

    if (dns_query_is_running(&d->txt_query) ||
        (d->txt != GATEWAY_MTA_STS_TXT_UNKNOWN && now_ms(d) < d->txt_until_ms))
        return;
    source = d->sts->ops->source(d->sts->worker, &d->txt_names);
    if (source == NULL) {
        set_txt(d, GATEWAY_MTA_STS_TXT_FAILED, "no DNS to ask", 0);
        return;
    }
    (void)snprintf(name, sizeof(name), POLICY_MTA_STS_TXT_LABEL "%s", d->name);
    dns_query_start(&d->txt_query, source, slice_from(name), DNS_TYPE_TXT, on_txt);
}

/* --- the fetch ------------------------------------------------------------------------------- */

static void attempt_destroy(struct gateway_mta_sts_attempt *a)
{
    if (a == NULL)
        return;
    gateway_names_release(a->names);
    gateway_mta_sts_fetch_finish(&a->fetch);
    free(a);
}

static void note_failure(struct gateway_mta_sts_domain *d, const char *id,
                         enum observe_tls_result_type trouble, const char *reason)
{
    struct gateway_worker *w = d->sts->worker;
    uint64_t wait_s = GATEWAY_MTA_STS_RETRY_S;

    if (strcmp(d->failed_id, id) != 0)
        d->failures = 0;
    for (unsigned i = 0; i < d->failures && wait_s < GATEWAY_MTA_STS_RETRY_S_MAX; i++)
        wait_s *= 2;
    if (wait_s > GATEWAY_MTA_STS_RETRY_S_MAX)
        wait_s = GATEWAY_MTA_STS_RETRY_S_MAX;
    d->failures++;
    keep_id(d->failed_id, id);
    d->failed_trouble = trouble;
    (void)snprintf(d->failed_reason, sizeof(d->failed_reason), "%s", reason);
    d->retry_at_ms = now_ms(d) + wait_s * 1000;
    d->tried_s = now_s(d);
    if (!is_protected(d)) {
        observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                         "MTA-STS: %s: the policy cannot be fetched: %s", d->name, reason);
        return;
    }
    /* 10.2: somebody may keep it from us until it expires. */
    observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                     "MTA-STS: %s: the policy cannot be refreshed, failure %u in a row, it expires "
                     "in %llu s: %s",
                     d->name, d->failures, (unsigned long long)(d->expires_s - now_s(d)), reason);
    begin_file(d, GATEWAY_MTA_STS_STORE);
}

static void note_policy(struct gateway_mta_sts_domain *d, const char *id)
{
    struct gateway_worker *w = d->sts->worker;
    uint64_t age_s = d->held->policy.max_age_s;

    if (strcmp(d->id, id) != 0)
        observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                         "MTA-STS: %s: policy %s, mode %s, max_age %llu, %zu mx", d->name, id,
                         policy_mta_sts_mode_text(d->held->policy.mode), (unsigned long long)age_s,
                         d->held->policy.mx_count);
    if (age_s < GATEWAY_MTA_STS_AGE_S_MIN)
        age_s = GATEWAY_MTA_STS_AGE_S_MIN; /* no fetch for each message */
    keep_id(d->id, id);
    d->fetched_s = d->tried_s = now_s(d);
    d->expires_s = d->fetched_s + age_s;
    d->failures = 0;
    d->retry_at_ms = 0;
    d->failed_id[0] = '\0';
    d->failed_trouble = OBSERVE_TLS_SUCCESS;
    begin_file(d, GATEWAY_MTA_STS_STORE);
}

/* With its end: a policy, or a reason. */
static void attempt_end(struct gateway_mta_sts_attempt *a)
{
    struct gateway_mta_sts_domain *d = a->domain;
    struct gateway_mta_sts *sts = d->sts;
    char text[GATEWAY_MTA_STS_REASON_MAX];
    enum observe_tls_result_type trouble = a->fetch.trouble;
    const char *why = "";

    ASSERT(d->attempt == a && sts->fetches_count > 0);
    d->attempt = NULL;
    sts->fetches_count--;
    if (sts->is_stopping) {
        attempt_destroy(a);
        return;
    }
    if (!a->fetch.is_ok) {
        note_failure(d, a->id, trouble, a->fetch.reason);
    } else if (adopt(d, buffer_contents(&a->fetch.body), &trouble, &why)) {
        note_policy(d, a->id);
    } else {
        (void)snprintf(text, sizeof(text), "not a policy: %s", why);
        note_failure(d, a->id, trouble, text);
    }
    attempt_destroy(a);
    gateway_mta_sts_domain_advance(d);
    gateway_mta_sts_next_turn(sts);
}

/* Trouble of our own. */
static void attempt_fail(struct gateway_mta_sts_attempt *a, const char *reason)
{
    a->fetch.is_ok = false;
    a->fetch.trouble = OBSERVE_TLS_SUCCESS;
    (void)snprintf(a->fetch.reason, sizeof(a->fetch.reason), "%s", reason);
    attempt_end(a);
}

static void on_fetched(struct gateway_mta_sts_fetch *fetch)
{
    struct gateway_mta_sts_attempt *a = CONTAINER_OF(fetch, struct gateway_mta_sts_attempt, fetch);

    attempt_end(a);
}

static void begin_request(struct gateway_mta_sts_attempt *a)
{
    const struct config_settings *settings = settings_of(a->domain);
    const char *ca_path =
        settings->mta_sts.ca_path[0] != '\0' ? settings->mta_sts.ca_path : settings->tls_ca_path;

    gateway_names_release(a->names);
    a->names = NULL;
    if (a->fetch.addresses_count == 0) {
        attempt_end(a);
        return;
    }
    a->fetch.port = (uint16_t)settings->mta_sts.port;
    a->fetch.timeout_ms = settings->mta_sts.timeout_s * 1000;
    a->fetch.done = on_fetched;
    a->is_fetching = true;
    if (ca_path[0] != '\0')
        a->fetch.ca_path = strdup(ca_path);
    /* Without the list of the configuration another one would count. */
    if (ca_path[0] != '\0' && a->fetch.ca_path == NULL)
        attempt_fail(a, "no memory");
    else if (a->domain->sts->ops->fetch(a->domain->sts->worker, &a->fetch) != STATUS_OK)
        attempt_fail(a, "too many fetches at once");
}

static void on_addresses(struct gateway_mta_sts_attempt *a, const struct dns_answer *answer)
{
    struct gateway_mta_sts_fetch *fetch = &a->fetch;
    size_t room = GATEWAY_MTA_STS_ADDRESSES_MAX / ARRAY_LEN(a->queries);

    for (size_t i = 0; i < answer->records && room > 0; i++) {
        struct ip_address *address = &fetch->addresses[fetch->addresses_count];

        if (dns_answer_address(answer, i, address)) {
            fetch->addresses_count++;
            room--;
        }
    }
    fetch->trouble = OBSERVE_TLS_STS_POLICY_FETCH_ERROR;
    if (answer->outcome == DNS_FAILED || fetch->reason[0] == '\0')
        (void)snprintf(fetch->reason, sizeof(fetch->reason), "the address of its host: %s",
                       answer->outcome == DNS_FAILED ? answer->reason : "there is none");
    a->queries_count--;
    if (a->queries_count == 0)
        begin_request(a);
}

static void on_a(struct dns_query *query, const struct dns_answer *answer)
{
    on_addresses(CONTAINER_OF(query, struct gateway_mta_sts_attempt, queries[0]), answer);
}

static void on_aaaa(struct dns_query *query, const struct dns_answer *answer)
{
    on_addresses(CONTAINER_OF(query, struct gateway_mta_sts_attempt, queries[1]), answer);
}

static void begin_fetch(struct gateway_mta_sts_domain *d, const char *id)
{
    struct gateway_mta_sts *sts = d->sts;
    char host[sizeof(POLICY_MTA_STS_HOST_LABEL) + DNS_NAME_MAX];
    struct gateway_mta_sts_attempt *a;
    struct dns_source *source;

    if (sts->fetches_count >= GATEWAY_MTA_STS_FETCHES_MAX) {
        list_append(&sts->turns, &d->turn);
        return;
    }
    (void)snprintf(host, sizeof(host), POLICY_MTA_STS_HOST_LABEL "%s", d->name);
    if (strlen(host) >= DNS_NAME_MAX) {
        note_failure(d, id, OBSERVE_TLS_STS_POLICY_FETCH_ERROR, "the name of its host is too long");
        return;
    }
    a = calloc(1, sizeof(*a));
    source = a != NULL ? sts->ops->source(sts->worker, &a->names) : NULL;
    if (source == NULL) {
        free(a);
        note_failure(d, id, OBSERVE_TLS_SUCCESS, "no memory, or no DNS to ask");
        return;
    }
    gateway_mta_sts_fetch_init(&a->fetch);
    a->domain = d;
    keep_id(a->id, id);
    (void)snprintf(a->fetch.host, sizeof(a->fetch.host), "%s", host);
    d->attempt = a;
    sts->fetches_count++;
    a->queries_count = 2;
    dns_query_start(&a->queries[0], source, slice_from(host), DNS_TYPE_A, on_a);
    dns_query_start(&a->queries[1], source, slice_from(host), DNS_TYPE_AAAA, on_aaaa);
}

/* --- what is to be done ---------------------------------------------------------------------- */

/* The id for which a policy is to be fetched now; NULL: none is. */
static const char *wanted_id(const struct gateway_mta_sts_domain *d)
{
    bool has_id = d->txt == GATEWAY_MTA_STS_TXT_ID;
    const char *id = NULL;

    if (has_id && (!has_policy(d) || strcmp(d->txt_id, d->id) != 0))
        id = d->txt_id;
    else if (is_protected(d) && now_s(d) >= refresh_at_s(d))
        id = d->id; /* 10.2: also when there is no record any more */
    if (id != NULL && now_ms(d) < d->retry_at_ms && strcmp(id, d->failed_id) == 0)
        return NULL;
    return id;
}

static void on_deadline(struct engine_timer *timer)
{
    struct gateway_mta_sts_domain *d = CONTAINER_OF(timer, struct gateway_mta_sts_domain, deadline);

    if (!d->is_loaded)
        gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_UNKNOWN, "the disk did not answer");
    else
        gateway_mta_sts_domain_has_none(
            d, d->attempt != NULL ? OBSERVE_TLS_STS_POLICY_FETCH_ERROR : OBSERVE_TLS_SUCCESS,
            "no policy was found in time");
}

static void answer_or_wait(struct gateway_mta_sts_domain *d)
{
    bool is_busy =
        dns_query_is_running(&d->txt_query) || d->attempt != NULL || list_is_linked(&d->turn);

    if (is_protected(d))
        gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_FOUND, "");
    else if (has_policy(d))
        gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_ABSENT, "the policy has mode none");
    else if (!is_busy && d->txt == GATEWAY_MTA_STS_TXT_ID)
        gateway_mta_sts_domain_has_none(d, d->failed_trouble, d->failed_reason);
    else if (!is_busy)
        gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_ABSENT, d->txt_reason);
}

static void set_deadline(struct gateway_mta_sts_domain *d)
{
    struct engine_loop *loop = d->sts->worker->loop;

    if (list_is_empty(&d->waiting))
        engine_timer_stop(loop, &d->deadline);
    else if (!engine_timer_is_running(&d->deadline))
        engine_timer_start(loop, &d->deadline, (uint64_t)settings_of(d)->mta_sts.timeout_s * 1000,
                           on_deadline);
}

static void on_refresh(struct engine_timer *timer)
{
    gateway_mta_sts_domain_advance(CONTAINER_OF(timer, struct gateway_mta_sts_domain, refresh));
}

static void set_refresh(struct gateway_mta_sts_domain *d)
{
    uint64_t at_s, delay_ms = 0;

    if (!is_protected(d) || d->attempt != NULL || list_is_linked(&d->turn)) {
        engine_timer_stop(d->sts->worker->loop, &d->refresh);
        return;
    }
    at_s = refresh_at_s(d);
    if (at_s > now_s(d))
        delay_ms = (at_s - now_s(d)) * 1000;
    if (d->retry_at_ms > now_ms(d) + delay_ms)
        delay_ms = d->retry_at_ms - now_ms(d);
    engine_timer_start(d->sts->worker->loop, &d->refresh, delay_ms + 1, on_refresh);
}

void gateway_mta_sts_domain_advance(struct gateway_mta_sts_domain *d)
{
    const char *id;

    if (d->sts->is_stopping)
        return;
    if (!d->is_loaded) {
        if (d->file == NULL)
            begin_file(d, GATEWAY_MTA_STS_LOAD);
        if (d->file == NULL)
            gateway_mta_sts_domain_answer(d, GATEWAY_MTA_STS_UNKNOWN, "too many files at once");
        set_deadline(d);
        return;
    }
    begin_txt(d);
    id = wanted_id(d);
    if (id != NULL && d->attempt == NULL && !list_is_linked(&d->turn))
        begin_fetch(d, id);
    answer_or_wait(d);
    set_deadline(d);
    set_refresh(d);
}

bool gateway_mta_sts_domain_is_idle(const struct gateway_mta_sts_domain *d)
{
    return list_is_empty(&d->waiting) && d->file == NULL && d->attempt == NULL &&
           !list_is_linked(&d->turn) && !dns_query_is_running(&d->txt_query);
}

void gateway_mta_sts_domain_stop(struct gateway_mta_sts_domain *d)
{
    struct gateway_mta_sts_attempt *a = d->attempt;

    list_remove(&d->turn);
    engine_timer_stop(d->sts->worker->loop, &d->deadline);
    engine_timer_stop(d->sts->worker->loop, &d->refresh);
    dns_query_cancel(&d->txt_query);
    release_txt(d);
    if (a == NULL || a->is_fetching)
        return;
    for (size_t i = 0; i < ARRAY_LEN(a->queries); i++)
        dns_query_cancel(&a->queries[i]);
    d->attempt = NULL;
    d->sts->fetches_count--;
    attempt_destroy(a);
}

void gateway_mta_sts_domain_free_work(struct gateway_mta_sts_domain *d)
{
    file_destroy(d->file);
    attempt_destroy(d->attempt);
    d->file = NULL;
    d->attempt = NULL;
}
