#include "tests/crash/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "gateway/recovery.h"

#define TEXT_BYTES ((size_t)3 << 20)

void ledger_fail(struct ledger *l, const char *format, ...)
{
    va_list arguments;

    if (l->failure[0] != '\0')
        return;
    va_start(arguments, format);
    (void)vsnprintf(l->failure, sizeof(l->failure), format, arguments);
    va_end(arguments);
}

struct ledger_mail *ledger_find(struct ledger *l, uint64_t mid)
{
    size_t first = 0, end = l->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (l->mails[middle].mid == mid)
            return &l->mails[middle];
        if (l->mails[middle].mid < mid)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

/* --- what it contains ------------------------------------------------------------------------- */

static size_t place_of(const struct ledger_mail *m)
{
    return (size_t)(m - m->ledger->mails);
}

/* A text without an end; bodies are parts of it. */
struct slice ledger_body(const struct ledger_mail *m)
{
    static char text[TEXT_BYTES];
    uint64_t state = 1;

    for (size_t i = 0; text[TEXT_BYTES - 1] == '\0' && i < TEXT_BYTES; i++)
        text[i] = (char)('!' + sim_below(&state, 94));
    return (struct slice){ text + place_of(m) * 509 % (TEXT_BYTES / 2), m->body_bytes };
}

static struct slice address_of(const struct ledger_mail *m, unsigned rid, char text[static 64])
{
    int len = snprintf(text, 64, "user%u.%zu@example.com", rid, place_of(m));

    return (struct slice){ text, (size_t)len };
}

static struct slice trace_of(const struct ledger_mail *m, char text[static 64])
{
    int len = snprintf(text, 64, "Received: by example; %zu\r\n", place_of(m));

    return (struct slice){ text, (size_t)len };
}

void ledger_draft(struct ledger_mail *m)
{
    struct spool_envelope e = { .mid = m->mid, .icid = place_of(m) + 1, .arrival_wall_s = 1000 };
    enum status status;
    char text[64];

    e.sender = SLICE("from@example.org");
    spool_draft_init(&m->draft);
    status = spool_draft_begin(&m->draft, &e, m->is_in_file ? 0 : m->body_bytes + 512);
    for (unsigned rid = 0; rid < m->recipients && status == STATUS_OK; rid++)
        status = spool_draft_add_recipient(&m->draft, address_of(m, rid, text));
    if (status == STATUS_OK)
        status = spool_draft_trace(&m->draft, trace_of(m, text));
    ASSERT(status == STATUS_OK);
}

static bool envelope_is_right(const struct ledger_mail *m, const struct spool_message *message)
{
    char text[64];

    if (spool_message_icid(message) != place_of(m) + 1 ||
        spool_message_recipients_count(message) != m->recipients ||
        !slice_equal(spool_message_sender(message), SLICE("from@example.org")) ||
        !slice_equal(spool_message_trace(message), trace_of(m, text)))
        return false;
    for (unsigned rid = 0; rid < m->recipients; rid++)
        if (!slice_equal(spool_message_recipient(message, rid), address_of(m, rid, text)))
            return false;
    return true;
}

/* The body file, read as delivery does. */
static bool file_is_right(const struct ledger_mail *m, const struct spool_message *message,
                          const struct spool_directory *d)
{
    struct slice expected = ledger_body(m);
    struct spool_body_reader reader;
    char *chunk = malloc(SPOOL_BODY_CHUNK);
    bool is_right = chunk != NULL;
    uint64_t offset;
    size_t want;
    int fd;

    if (spool_body_open(d, m->mid, O_RDONLY, &fd) != STATUS_OK) {
        free(chunk);
        return false;
    }
    spool_body_reader_init(&reader, spool_message_body_bytes(message),
                           spool_message_body_crc(message));
    while (is_right && (want = spool_body_reader_want(&reader, &offset)) > 0) {
        struct slice got = { chunk, want };

        is_right = pread(fd, chunk, want, (off_t)offset) == (ssize_t)want &&
                   offset + want <= expected.len &&
                   slice_equal(got, slice_first(slice_after(expected, offset), want)) &&
                   spool_body_reader_take(&reader, got) == STATUS_OK;
    }
    (void)close(fd);
    free(chunk);
    return is_right && reader.bytes == expected.len;
}

static bool body_is_right(const struct ledger_mail *m, const struct spool_recovered_message *found,
                          const struct spool_message *message, const struct spool_directory *d)
{
    if (spool_message_body_in_file(message) != m->is_in_file)
        return false;
    if (!m->is_in_file)
        return slice_equal(spool_message_body(message), ledger_body(m));
    if (found->body_missing && m->may_lack_body)
        return true;
    return file_is_right(m, message, d);
}

/* --- what was promised of it ------------------------------------------------------------------ */

static struct spool_log *log_of(const struct ledger_mail *m)
{
    struct sim_run *run = m->ledger->run;

    return run != NULL && m->is_of_run && !run->is_ending ? &run->workers[m->worker].store.log
                                                          : NULL;
}

/* What its log says is written. */
static void note_durable(struct ledger_mail *m)
{
    const struct spool_log *log = log_of(m);

    if (log == NULL)
        return;
    for (unsigned rid = 0; rid < m->recipients; rid++)
        if (m->results[rid].position <= log->results_committed)
            m->results[rid].attempts_durable = m->results[rid].attempts;
    if (m->is_ending && m->done_position <= log->results_committed)
        m->promise = PROMISE_GONE;
}

static bool result_is_right(const struct ledger_result *known, const struct spool_result *found)
{
    uint32_t attempts = found->state == SPOOL_RESULT_WAITING ? 0 : found->attempts;
    bool is_delivered = known->delivered_at > 0 && attempts == known->delivered_at;

    if (attempts < known->attempts_durable || attempts > known->attempts)
        return false;
    if (attempts == 0)
        return found->state == SPOOL_RESULT_WAITING;
    return found->state == (is_delivered ? SPOOL_RESULT_DELIVERED : SPOOL_RESULT_DEFERRED);
}

static struct spool_recovery *recovery_of(struct sim_run *started)
{
    return gateway_recovery_spool(started->process.recovery);
}

/* It came when the run had begun: recovery does not look for it. */
static bool is_newer(const struct ledger_mail *m, struct sim_run *started)
{
    return m->mid >= recovery_of(started)->mid_limit;
}

static void check_contents(struct ledger *l, const struct ledger_mail *m, struct sim_run *started,
                           const struct spool_recovered_message *found)
{
    struct spool_message *message;
    enum status status = spool_recovery_load(recovery_of(started), found, &message);

    if (status != STATUS_OK) {
        ledger_fail(l, "MID %llu cannot be read: %s", (unsigned long long)m->mid,
                    status_text(status));
        return;
    }
    if (!envelope_is_right(m, message))
        ledger_fail(l, "MID %llu has another envelope", (unsigned long long)m->mid);
    if (!body_is_right(m, found, message, &started->process.directory))
        ledger_fail(l, "MID %llu has another body%s", (unsigned long long)m->mid,
                    m->is_in_file ? ", in its file" : "");
    spool_message_destroy(message);
}

static void check_found(struct ledger *l, struct sim_run *started,
                        const struct spool_recovered_message *found)
{
    struct ledger_mail *m = ledger_find(l, found->mid);

    if (m == NULL || found->recipients_count != m->recipients) {
        ledger_fail(l, "MID %llu was never sent", (unsigned long long)found->mid);
        return;
    }
    m->seen = l->checks;
    l->counts->found++;
    if (m->promise == PROMISE_GONE)
        ledger_fail(l, "MID %llu has come back", (unsigned long long)m->mid);
    check_contents(l, m, started, found);
    for (unsigned rid = 0; rid < m->recipients; rid++) {
        struct spool_result result = spool_recovery_result(found, rid);

        if (!result_is_right(&m->results[rid], &result))
            ledger_fail(l,
                        "MID %llu RID %u: attempt %u, state %u; said were %u, of them durable %u",
                        (unsigned long long)m->mid, rid, result.attempts, (unsigned)result.state,
                        m->results[rid].attempts, m->results[rid].attempts_durable);
    }
}

static uint64_t number_of(const struct spool_recovered_message *found)
{
    uint64_t number = hash_number(found->mid);

    for (uint32_t rid = 0; rid < found->recipients_count; rid++)
        number = hash_number(number ^ spool_recovery_result(found, rid).attempts) +
                 spool_recovery_result(found, rid).state;
    return number;
}

static void check_damage(struct ledger *l, const struct spool_recovery *r)
{
    for (int kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++) {
        /* Of bodies, check_contents() knows better. */
        bool is_allowed = kind == SPOOL_DAMAGE_TORN || kind == SPOOL_DAMAGE_BODY ||
                          (kind == SPOOL_DAMAGE_HEADER && l->may_show_stale);

        if (!is_allowed && r->damage_counts[kind] > 0)
            ledger_fail(l, "damage that no power cut makes: %s",
                        spool_damage_text((enum spool_damage_kind)kind));
    }
}

uint64_t ledger_check(struct ledger *l, struct sim_run *started)
{
    uint64_t sum = 0;

    l->checks++;
    l->counts->starts++;
    check_damage(l, recovery_of(started));
    for (size_t i = 0; i < l->count; i++)
        note_durable(&l->mails[i]);
    TABLE_FOR_EACH (n, &recovery_of(started)->messages) {
        const struct spool_recovered_message *found =
            CONTAINER_OF(n, struct spool_recovered_message, node);

        if (found->is_done)
            continue;
        check_found(l, started, found);
        sum += number_of(found);
    }
    for (size_t i = 0; i < l->count; i++) {
        const struct ledger_mail *m = &l->mails[i];

        if (m->promise == PROMISE_KEPT && m->seen != l->checks && !is_newer(m, started))
            ledger_fail(l, "MID %llu was acknowledged and is lost", (unsigned long long)m->mid);
        if (m->is_aside && m->seen != l->checks && !is_newer(m, started) &&
            recovery_of(started)->quarantined == 0)
            ledger_fail(l, "MID %llu was put aside and is nowhere", (unsigned long long)m->mid);
    }
    return sum;
}

/* Nothing newer is known of it any more. */
static void settle_results(struct ledger *l, const struct spool_recovered_message *found)
{
    struct ledger_mail *m = ledger_find(l, found->mid);

    for (uint32_t rid = 0; m != NULL && rid < m->recipients; rid++) {
        struct spool_result result = spool_recovery_result(found, rid);

        m->results[rid] = (struct ledger_result){
            .attempts = result.attempts,
            .attempts_durable = result.attempts,
            .delivered_at = result.state == SPOOL_RESULT_DELIVERED ? result.attempts : 0,
        };
    }
}

void ledger_settle(struct ledger *l, struct sim_run *started)
{
    (void)ledger_check(l, started);
    if (l->failure[0] != '\0')
        return;
    TABLE_FOR_EACH (n, &recovery_of(started)->messages)
        settle_results(l, CONTAINER_OF(n, struct spool_recovered_message, node));
    for (size_t i = 0; i < l->count; i++) {
        struct ledger_mail *m = &l->mails[i];

        if (is_newer(m, started))
            continue;
        m->promise = m->seen == l->checks ? PROMISE_KEPT : PROMISE_GONE;
        m->is_aside = m->is_aside && m->promise == PROMISE_GONE;
    }
}

void ledger_check_quiet(struct ledger *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct ledger_mail *m = &l->mails[i];

        note_durable(m);
        if (m->is_over && !m->is_ending)
            ledger_fail(l, "MID %llu: its move does not end", (unsigned long long)m->mid);
        if (m->is_ending && m->promise != PROMISE_GONE)
            ledger_fail(l, "MID %llu: its DONE was not written", (unsigned long long)m->mid);
        for (unsigned rid = 0; rid < m->recipients && m->is_living; rid++)
            if (m->results[rid].attempts_durable != m->results[rid].attempts)
                ledger_fail(l, "MID %llu: a result was not written", (unsigned long long)m->mid);
    }
}
