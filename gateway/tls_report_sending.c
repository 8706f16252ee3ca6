#include "gateway/tls_report_sending.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "observe/gzip.h"

static_assert(OBSERVE_TLS_URIS_MAX <= 8, "a target has a bit for each");
static_assert(GATEWAY_TLS_LOOKUP_ADDRESSES_MAX <= GATEWAY_TLS_POST_ADDRESSES_MAX, "all are tried");

#define RECORD_LABELS "_smtp._tls." /* RFC 8460 3 */
#define REPORT_ID_MAX (GATEWAY_TLS_PART_NAME_MAX + 20 + GATEWAY_TLS_REPORT_HOST_MAX)
#define LOG_URI_MAX   200

static const char *domain_of(const struct gateway_tls_sending *s)
{
    return s->target->domain;
}

/* --- what is said ---------------------------------------------------------------------------- */

PRINTF_LIKE(4, 5)
static void say(const struct gateway_tls_sending *s, enum observe_level level, time_t now_s,
                const char *format, ...)
{
    char text[1024], date[GATEWAY_TLS_PART_DATE_MAX];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    observe_log_line(s->world->log, level, now_s, "TLS report: %s, %s: %s", domain_of(s),
                     gateway_tls_part_date(s->part->day_s, date), text);
}

static const char *uri_text(const struct gateway_tls_sending *s)
{
    return s->record.uris[s->uri].text;
}

static uint8_t uri_bit(const struct gateway_tls_sending *s)
{
    return (uint8_t)(1u << s->uri);
}

/* This URI is done with. */
static void next_uri(struct gateway_tls_sending *s)
{
    s->uri++;
    s->step = GATEWAY_TLS_SENDING_URI;
}

static void delivered(struct gateway_tls_sending *s, time_t now_s)
{
    s->target->done |= uri_bit(s);
    say(s, OBSERVE_INFO, now_s, "%s %.*s",
        s->record.uris[s->uri].kind == OBSERVE_TLS_MAILTO ? "is queued for" : "was taken by",
        LOG_URI_MAX, uri_text(s));
    next_uri(s);
}

static void failed(struct gateway_tls_sending *s, time_t now_s, const char *why)
{
    s->has_failed = true;
    say(s, OBSERVE_INFO, now_s, "%.*s: %s", LOG_URI_MAX, uri_text(s), why);
    next_uri(s);
}

/* Trying again would come to the same. */
static void refused(struct gateway_tls_sending *s, time_t now_s, const char *why)
{
    s->target->lost |= uri_bit(s);
    say(s, OBSERVE_WARNING, now_s, "%.*s gets none: %s", LOG_URI_MAX, uri_text(s), why);
    next_uri(s);
}

/* Whoever is asked so often to take reports may be the victim of those who say so. */
static bool may_send(struct gateway_tls_sending *s, struct slice host, time_t now_s)
{
    const char *why = gateway_tls_quota_take(s->world->quota, &s->record.uris[s->uri], host, now_s);

    if (why != NULL)
        refused(s, now_s, why);
    return why == NULL;
}

/* --- the report ------------------------------------------------------------------------------ */

/* The same for the same part, also after a restart: who gets it twice can tell. */
static const char *make_report_id(const struct gateway_tls_sending *s,
                                  const struct gateway_tls_report_settings *settings,
                                  char id[static REPORT_ID_MAX])
{
    static const struct hash_seed seed = { 0x7264636f70657274ull, 0x746c737270743031ull };
    char name[GATEWAY_TLS_PART_NAME_MAX], text[GATEWAY_TLS_REPORT_HOST_MAX + OBSERVE_TLS_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%s %s", settings->hostname, domain_of(s));
    (void)snprintf(id, REPORT_ID_MAX, "%s.%016" PRIx64 "@%s", gateway_tls_part_name(s->part, name),
                   hash_bytes(&seed, slice_from(text)), settings->domain);
    return id;
}

static struct observe_tls_report describe(const struct gateway_tls_sending *s,
                                          const struct gateway_tls_report_settings *settings,
                                          const char *id)
{
    return (struct observe_tls_report){
        .domain = slice_from(domain_of(s)),
        .organization = slice_from(settings->organization),
        .contact = slice_from(settings->contact),
        .submitter = slice_from(settings->domain),
        .report_id = slice_from(id),
        .day_s = s->part->day_s,
    };
}

/* Once for all URIs. */
static enum status write_report(struct gateway_tls_sending *s,
                                const struct gateway_tls_report_settings *settings)
{
    char id[REPORT_ID_MAX];
    struct observe_tls_report report = describe(s, settings, make_report_id(s, settings, id));
    struct buffer json;
    enum status status;

    if (buffer_len(&s->report) > 0)
        return STATUS_OK;
    buffer_init(&json, OBSERVE_TLS_REPORT_BYTES_MAX);
    status = observe_tls_report_json(&report, &s->part->results, &json);
    if (status == STATUS_OK)
        status = observe_gzip(buffer_contents(&json), &s->report);
    buffer_finish(&json);
    if (status != STATUS_OK)
        buffer_release(&s->report);
    return status;
}

/* RFC 8460 3: by the reporting domain. What cannot be signed does not go: nobody may believe it. */
static enum status sign(const struct gateway_tls_report_settings *settings, struct slice letter,
                        time_t now_s, struct buffer *out)
{
    static const char *const fields[] = { "From",         "To",
                                          "Subject",      "Date",
                                          "Message-ID",   "TLS-Report-Domain",
                                          "MIME-Version", "TLS-Report-Submitter",
                                          "Content-Type" };
    const struct tls_dkim_signing signing = {
        .key = settings->dkim_key,
        .domain = slice_from(settings->dkim_domain),
        .selector = slice_from(settings->dkim_selector),
        .now_s = now_s,
        .fields = fields,
        .fields_count = ARRAY_LEN(fields),
    };

    if (settings->dkim_key_path[0] == '\0')
        return STATUS_OK;
    return settings->dkim_key != NULL ? tls_dkim_sign(&signing, letter, out) : STATUS_IO;
}

/* The signature stands before what it signs. */
static enum status write_signed(struct gateway_tls_sending *s,
                                const struct gateway_tls_report_settings *settings,
                                const struct observe_tls_letter *letter)
{
    struct buffer text;
    enum status status;

    buffer_init(&text, SPOOL_BODY_INLINE_MAX);
    buffer_clear(&s->letter);
    status = observe_tls_report_letter(letter, &text);
    if (status == STATUS_OK)
        status = sign(settings, buffer_contents(&text), letter->now_s, &s->letter);
    if (status == STATUS_OK)
        status = buffer_append(&s->letter, buffer_contents(&text));
    buffer_finish(&text);
    return status;
}

/* The part of the id before the "@", the URI's number, and our own name. */
static enum status write_letter(struct gateway_tls_sending *s,
                                const struct gateway_tls_report_settings *settings, time_t now_s)
{
    char id[REPORT_ID_MAX], message_id[REPORT_ID_MAX + GATEWAY_TLS_REPORT_HOST_MAX];
    struct observe_tls_report report = describe(s, settings, make_report_id(s, settings, id));
    struct slice rest = slice_from(id), local = slice_cut(&rest, '@');
    struct observe_tls_letter letter = {
        .report = &report,
        .from = slice_from(settings->contact),
        .to = slice_from(uri_text(s)),
        .gzip = buffer_contents(&s->report),
        .now_s = now_s,
    };

    (void)snprintf(message_id, sizeof(message_id), "%.*s.%zu@%s", SLICE_ARGS(local), s->uri,
                   settings->hostname);
    letter.message_id = slice_from(message_id);
    return write_signed(s, settings, &letter);
}

/* --- by mail --------------------------------------------------------------------------------- */

/* On a worker's thread. */
static enum status compose(const struct gateway_own_mail *mail, uint64_t mid, time_t now_s,
                           struct buffer *text)
{
    const struct gateway_tls_sending *s = CONTAINER_OF(mail, struct gateway_tls_sending, mail);

    (void)mid, (void)now_s;
    return buffer_append(text, buffer_contents(&s->letter));
}

static void begin_mail(struct gateway_tls_sending *s,
                       const struct gateway_tls_report_settings *settings, time_t now_s)
{
    struct slice domain = slice_from(uri_text(s));
    enum status status;

    (void)slice_cut(&domain, '@');
    if (!may_send(s, domain, now_s))
        return;
    status = write_letter(s, settings, now_s);
    if (status == STATUS_LIMIT) {
        refused(s, now_s, "the report is too long for a message");
        return;
    }
    if (status != STATUS_OK) {
        failed(s, now_s, status_text(status));
        return;
    }
    (void)snprintf(s->sender, sizeof(s->sender), "%s", settings->contact);
    s->recipient = slice_from(uri_text(s));
    gateway_own_mail_init(&s->mail);
    s->mail.bell = s->world->bell;
    s->mail.flags = SPOOL_MESSAGE_TLS_OPTIONAL;
    s->mail.sender = slice_from(s->sender);
    s->mail.recipients = &s->recipient;
    s->mail.recipients_count = 1;
    s->mail.bytes_max = SPOOL_BODY_INLINE_MAX;
    s->mail.compose = compose;
    s->step = GATEWAY_TLS_SENDING_MAIL;
}

/* Returns whether it went on. */
static bool run_mail(struct gateway_tls_sending *s, time_t now_s)
{
    switch (gateway_own_mail_state_of(&s->mail)) {
    case GATEWAY_OWN_MAIL_WAITING: (void)s->world->ops->mail(s->world, &s->mail); return false;
    case GATEWAY_OWN_MAIL_POSTED: return false;
    case GATEWAY_OWN_MAIL_COMMITTED: delivered(s, now_s); return true;
    case GATEWAY_OWN_MAIL_REFUSED: failed(s, now_s, "the spool did not take it"); return true;
    }
    UNREACHABLE();
}

/* --- by HTTPS -------------------------------------------------------------------------------- */

static void begin_post(struct gateway_tls_sending *s, struct slice host,
                       const struct ip_address *addresses, size_t count,
                       const struct gateway_tls_report_settings *settings, time_t now_s)
{
    size_t allowed = 0;

    for (size_t i = 0; i < count && allowed < GATEWAY_TLS_LOOKUP_ADDRESSES_MAX; i++)
        if (settings->to_private || gateway_tls_post_is_public(&addresses[i]))
            s->addresses[allowed++] = addresses[i];
    if (allowed == 0) {
        refused(s, now_s, "its addresses are not of the public Internet");
        return;
    }
    if (!may_send(s, host, now_s))
        return;
    s->post = (struct gateway_tls_post){
        .url = uri_text(s),
        .body = buffer_contents(&s->report),
        .addresses = s->addresses,
        .addresses_count = allowed,
        .ca_path = settings->ca_path,
        .to_private = settings->to_private,
    };
    s->step = GATEWAY_TLS_SENDING_POST;
    s->world->ops->post(s->world, &s->post);
}

static void begin_https(struct gateway_tls_sending *s,
                        const struct gateway_tls_report_settings *settings, time_t now_s)
{
    struct ip_address literal;
    char host[DNS_NAME_MAX];
    uint16_t port;

    if (!gateway_tls_post_target(uri_text(s), host, &port)) {
        refused(s, now_s, "this address cannot be used");
        return;
    }
    if (ip_parse(slice_from(host), &literal)) {
        begin_post(s, slice_from(host), &literal, 1, settings, now_s);
        return;
    }
    gateway_tls_lookup_init(&s->lookup, GATEWAY_TLS_LOOKUP_ADDRESSES, s->world->bell);
    (void)snprintf(s->lookup.name, sizeof(s->lookup.name), "%s", host);
    s->step = GATEWAY_TLS_SENDING_ADDRESSES;
}

static bool run_post(struct gateway_tls_sending *s, time_t now_s)
{
    enum gateway_tls_post_state state = s->post.state;
    char reason[GATEWAY_TLS_POST_REASON_MAX];

    ASSERT(state != GATEWAY_TLS_POST_IDLE);
    if (state == GATEWAY_TLS_POST_RUNNING)
        return false;
    memcpy(reason, s->post.reason, sizeof(reason));
    gateway_tls_post_finish(&s->post);
    if (state == GATEWAY_TLS_POST_TAKEN)
        delivered(s, now_s);
    else
        failed(s, now_s, reason);
    return true;
}

/* --- the steps ------------------------------------------------------------------------------- */

/* Whether the lookup is done; begins it when it is not. */
static bool has_looked_up(struct gateway_tls_sending *s)
{
    if (gateway_tls_lookup_state_of(&s->lookup) == GATEWAY_TLS_LOOKUP_IDLE)
        (void)s->world->ops->look_up(s->world, &s->lookup);
    return gateway_tls_lookup_state_of(&s->lookup) == GATEWAY_TLS_LOOKUP_DONE;
}

/* 3: exactly one record, and one of the form. */
static bool run_record(struct gateway_tls_sending *s)
{
    const struct gateway_tls_lookup *l = &s->lookup;

    if (!has_looked_up(s))
        return false;
    s->has_failed = l->is_failed;
    s->is_unwanted =
        !l->is_failed &&
        (l->records_count != 1 ||
         !observe_tls_record_parse((struct slice){ l->record, l->record_bytes }, &s->record) ||
         s->record.uris_count == 0);
    s->step = s->has_failed || s->is_unwanted ? GATEWAY_TLS_SENDING_OVER : GATEWAY_TLS_SENDING_URI;
    return true;
}

static bool run_addresses(struct gateway_tls_sending *s,
                          const struct gateway_tls_report_settings *settings, time_t now_s)
{
    if (!has_looked_up(s))
        return false;
    if (s->lookup.addresses_count == 0)
        failed(s, now_s,
               s->lookup.is_failed ? "its addresses could not be looked up"
                                   : "the host has no address");
    else
        begin_post(s, slice_from(s->lookup.name), s->lookup.addresses, s->lookup.addresses_count,
                   settings, now_s);
    return true;
}

static void run_uri(struct gateway_tls_sending *s,
                    const struct gateway_tls_report_settings *settings, time_t now_s)
{
    enum status status;

    if (s->part->is_forgotten || s->uri >= s->record.uris_count) {
        s->step = GATEWAY_TLS_SENDING_OVER;
        return;
    }
    if (((s->target->done | s->target->lost) & uri_bit(s)) != 0) {
        next_uri(s);
        return;
    }
    status = write_report(s, settings);
    if (status == STATUS_LIMIT)
        refused(s, now_s, "the report is too long");
    else if (status != STATUS_OK)
        failed(s, now_s, status_text(status));
    else if (s->record.uris[s->uri].kind == OBSERVE_TLS_MAILTO)
        begin_mail(s, settings, now_s);
    else
        begin_https(s, settings, now_s);
}

static void end(struct gateway_tls_sending *s, time_t now_s)
{
    enum gateway_tls_target_state state = GATEWAY_TLS_TARGET_SENT;
    struct gateway_tls_target *t = s->target;

    if (s->is_unwanted) {
        state = GATEWAY_TLS_TARGET_UNWANTED;
    } else if (s->has_failed && !s->part->is_forgotten && ++t->tries < GATEWAY_TLS_REPORT_TRIES) {
        state = GATEWAY_TLS_TARGET_WAITING;
        t->next_s = now_s + ((time_t)GATEWAY_TLS_REPORT_RETRY_S << (t->tries - 1));
    } else if (s->has_failed || t->done == 0) {
        state = GATEWAY_TLS_TARGET_GIVEN_UP;
        if (s->has_failed)
            say(s, OBSERVE_WARNING, now_s, "is given up after %u tries", t->tries);
    }
    gateway_tls_part_enter(s->part, t, state);
}

bool gateway_tls_sending_run(struct gateway_tls_sending *s,
                             const struct gateway_tls_report_settings *settings, time_t now_s)
{
    bool goes_on = true;

    /* Each URI is visited once: it ends. */
    while (goes_on && s->step != GATEWAY_TLS_SENDING_OVER) {
        switch (s->step) {
        case GATEWAY_TLS_SENDING_RECORD: goes_on = run_record(s); break;
        case GATEWAY_TLS_SENDING_URI: run_uri(s, settings, now_s); break;
        case GATEWAY_TLS_SENDING_MAIL: goes_on = run_mail(s, now_s); break;
        case GATEWAY_TLS_SENDING_ADDRESSES: goes_on = run_addresses(s, settings, now_s); break;
        case GATEWAY_TLS_SENDING_POST: goes_on = run_post(s, now_s); break;
        case GATEWAY_TLS_SENDING_OVER: break;
        }
    }
    if (s->step != GATEWAY_TLS_SENDING_OVER)
        return false;
    end(s, now_s);
    return true;
}

bool gateway_tls_sending_is_held_up(const struct gateway_tls_sending *s)
{
    switch (s->step) {
    case GATEWAY_TLS_SENDING_RECORD:
    case GATEWAY_TLS_SENDING_ADDRESSES:
        return gateway_tls_lookup_state_of(&s->lookup) == GATEWAY_TLS_LOOKUP_IDLE;
    case GATEWAY_TLS_SENDING_MAIL:
        return gateway_own_mail_state_of(&s->mail) == GATEWAY_OWN_MAIL_WAITING;
    case GATEWAY_TLS_SENDING_URI:
    case GATEWAY_TLS_SENDING_POST:
    case GATEWAY_TLS_SENDING_OVER: return false;
    }
    UNREACHABLE();
}

enum status gateway_tls_sending_create(struct gateway_tls_world *world,
                                       struct gateway_tls_part *part,
                                       struct gateway_tls_target *target,
                                       struct gateway_tls_sending **sending_out)
{
    struct gateway_tls_sending *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->world = world;
    s->part = part;
    s->target = target;
    buffer_init(&s->report, OBSERVE_TLS_REPORT_BYTES_MAX);
    buffer_init(&s->letter, SPOOL_BODY_INLINE_MAX);
    gateway_own_mail_init(&s->mail);
    gateway_tls_lookup_init(&s->lookup, GATEWAY_TLS_LOOKUP_RECORD, world->bell);
    (void)snprintf(s->lookup.name, sizeof(s->lookup.name), RECORD_LABELS "%s", target->domain);
    gateway_tls_part_enter(part, target, GATEWAY_TLS_TARGET_ACTIVE);
    *sending_out = s;
    return STATUS_OK;
}

void gateway_tls_sending_destroy(struct gateway_tls_sending *s)
{
    ASSERT(!list_is_linked(&s->node));
    gateway_tls_post_finish(&s->post);
    buffer_finish(&s->report);
    buffer_finish(&s->letter);
    free(s);
}
