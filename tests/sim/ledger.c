#include "tests/sim/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

#define MESSAGES_MAX 4096
#define ENDS_MAX     256
#define LINE_MAX_    200
#define HEADER_SIM   "X-Sim: "

struct sim_counts sim_counts;
struct sim_ledger_rules sim_ledger_rules;
void (*sim_ledger_promised)(void);

static struct sim_message *messages[MESSAGES_MAX + 1]; /* by number, from 1 */
static unsigned messages_count;
static uint64_t ends_us[ENDS_MAX]; /* of lives that may have taken results with them */
static unsigned ends_count;
static bool session_refused[SIM_DOMAINS_MAX];

/* --- what is sent ---------------------------------------------------------------------------- */

const char *sim_message_sender(const struct sim_message *m, char text[static 64])
{
    if (m->has_sender)
        (void)snprintf(text, 64, "s%u@src.sim", m->number);
    else
        text[0] = '\0';
    return text;
}

const char *sim_message_recipient(const struct sim_message *m, unsigned i, char text[static 64])
{
    (void)snprintf(text, 64, "r%u-%u@d%u.sim", m->number, i, m->recipients[i].domain);
    return text;
}

/* Lines of all lengths, some with a stuffed dot, and some bytes beyond ASCII. */
static void make_body(struct sim_message *m, size_t bytes_max)
{
    size_t target = (size_t)sim_between(20, bytes_max), room = target + 2 * LINE_MAX_ + 64;
    char *at = sim_allocate(room);

    m->body = at;
    at += snprintf(at, 64, HEADER_SIM "%u\r\n\r\n", m->number);
    while ((size_t)(at - m->body) < target) {
        size_t len = (size_t)sim_below(LINE_MAX_);
        uint64_t bits = sim_random();

        if (bits % 16 == 0) {
            *at++ = '.';
            *at++ = '.';
        } else if (len > 0) { /* no dot at the beginning */
            *at++ = 'L';
        }
        for (size_t i = 0; i < len; i++) {
            bits = bits * 6364136223846793005ull + 1442695040888963407ull;
            *at++ = (char)(32 + (bits >> 33) % 95 + (bits >> 60 == 0 ? 128 : 0));
        }
        *at++ = '\r';
        *at++ = '\n';
    }
    m->body_bytes = (size_t)(at - m->body);
    ASSERT(m->body_bytes <= room);
}

struct sim_message *sim_ledger_message(size_t body_bytes_max)
{
    struct sim_message *m = sim_allocate(sizeof(*m));

    ASSERT(messages_count < MESSAGES_MAX);
    messages[++messages_count] = m;
    sim_counts.messages++;
    m->number = messages_count;
    m->begun_us = sim_now_us();
    m->has_sender = !sim_chance(50);
    m->recipients_count = sim_chance(600) ? 1 : (unsigned)sim_between(2, SIM_RECIPIENTS_MAX);
    for (unsigned i = 0; i < m->recipients_count; i++) {
        m->recipients[i].domain = (unsigned)sim_below(SIM_DOMAINS_MAX);
        if (sim_chance(150))
            m->recipients[i].notify = sim_chance(500) ? SIM_NOTIFY_NEVER : SIM_NOTIFY_SUCCESS;
    }
    make_body(m, body_bytes_max);
    return m;
}

void sim_ledger_answered(struct sim_message *m, unsigned code)
{
    if (m->promise != SIM_PROMISE_NONE)
        return;
    sim_note("ledger: message %u got %u", m->number, code);
    m->promise = code == 250 ? SIM_PROMISE_MADE : SIM_PROMISE_REFUSED;
    m->promised_us = sim_now_us();
    if (code != 250)
        return;
    sim_counts.acknowledged++;
    if (sim_ledger_promised != NULL)
        sim_ledger_promised();
}

/* --- what arrives ---------------------------------------------------------------------------- */

static bool take_number(struct slice *rest, unsigned *number_out)
{
    unsigned number = 0;
    size_t digits = 0;

    while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9' &&
           digits < 9)
        number = 10 * number + (unsigned)(rest->data[digits++] - '0');
    *rest = slice_after(*rest, digits);
    *number_out = number;
    return digits > 0;
}

struct sim_recipient *sim_ledger_recipient(struct slice address, struct sim_message **message_out)
{
    struct slice rest = slice_after(address, address.len > 0);
    unsigned number, index;
    char text[64];

    if (address.len == 0 || address.data[0] != 'r' || !take_number(&rest, &number) ||
        rest.len == 0 || rest.data[0] != '-' || number == 0 || number > messages_count)
        return NULL;
    rest = slice_after(rest, 1);
    if (!take_number(&rest, &index) || index >= messages[number]->recipients_count)
        return NULL;
    if (!slice_equal(address, slice_from(sim_message_recipient(messages[number], index, text))))
        return NULL;
    *message_out = messages[number];
    return &messages[number]->recipients[index];
}

static struct sim_message *sender_of(struct slice address)
{
    struct slice rest = slice_after(address, address.len > 0);
    unsigned number;
    char text[64];

    if (address.len == 0 || address.data[0] != 's' || !take_number(&rest, &number) || number == 0 ||
        number > messages_count)
        return NULL;
    return slice_equal(address, slice_from(sim_message_sender(messages[number], text)))
               ? messages[number]
               : NULL;
}

bool sim_ledger_is_sender(struct slice address)
{
    return sender_of(address) != NULL;
}

/* Our header lines may stand before it, and nothing else. */
static bool is_body_of(const struct sim_message *m, struct slice text)
{
    struct slice before;

    if (text.len <= m->body_bytes)
        return false;
    before = slice_first(text, text.len - m->body_bytes);
    return memcmp(text.data + before.len, m->body, m->body_bytes) == 0 && before.len > 10 &&
           memcmp(before.data, "Received: ", 10) == 0 &&
           memcmp(before.data + before.len - 2, "\r\n", 2) == 0;
}

struct sim_acceptance *sim_ledger_delivered(struct sim_message *m, struct sim_recipient *r,
                                            struct slice text)
{
    unsigned i = (unsigned)(r - m->recipients);
    struct sim_acceptance *a = sim_allocate(sizeof(*a));

    if (!m->is_complete)
        sim_fault("message %u is delivered, and its dot was never sent", m->number);
    if (!r->is_accepted)
        sim_fault("message %u is delivered to recipient %u, which was refused", m->number, i);
    if (m->promise == SIM_PROMISE_REFUSED && !sim_ledger_rules.disk_fails)
        sim_fault("message %u is delivered, and was refused", m->number);
    if (!is_body_of(m, text))
        sim_fault("message %u arrives changed, with %zu bytes for %zu", m->number, text.len,
                  m->body_bytes);
    sim_note("ledger: message %u accepted for recipient %u", m->number, i);
    r->deliveries++;
    a->at_us = sim_now_us();
    a->next = r->acceptances;
    r->acceptances = a;
    return a;
}

void sim_ledger_session_refused(unsigned domain)
{
    session_refused[domain] = true;
}

/* The gateway counts in whole seconds. */
static bool is_too_old(const struct sim_message *m)
{
    return sim_now_us() + 2 * SIM_S >= m->begun_us + sim_ledger_rules.max_age_us;
}

static void failed(struct sim_message *from, struct slice address)
{
    struct sim_message *m = NULL;
    struct sim_recipient *r = sim_ledger_recipient(address, &m);

    if (r == NULL || m != from || !r->is_accepted)
        sim_fault("a report tells the sender of message %u of %.*s", from->number,
                  SLICE_ARGS(address));
    if (r->notify != SIM_NOTIFY_UNSAID)
        sim_fault("the sender of message %u hears what he did not ask for", from->number);
    sim_note("ledger: the sender of message %u hears that recipient %u failed", m->number,
             (unsigned)(r - m->recipients));
    if (!r->is_refused_by_hop && !session_refused[r->domain] && !is_too_old(m))
        sim_fault("message %u fails for recipient %u, and nobody has said so", m->number,
                  (unsigned)(r - m->recipients));
    r->bounces++;
}

static bool begins(struct slice line, const char *with)
{
    return line.len >= strlen(with) && memcmp(line.data, with, strlen(with)) == 0;
}

/* Each recipient's block has its address first, and then what became of it (RFC 3464 2.3). */
void sim_ledger_told(struct slice to, struct slice text)
{
    static const char final[] = "Final-Recipient: rfc822; ";
    struct sim_message *from = sender_of(to);
    struct slice address = { 0 };

    if (from == NULL)
        sim_fault("a report goes to %.*s", SLICE_ARGS(to));
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (begins(line, final))
            address = slice_after(line, strlen(final));
        else if (begins(line, "Action: failed") && address.len > 0)
            failed(from, address);
    }
}

/* --- the judgement --------------------------------------------------------------------------- */

static void take_end(void)
{
    ASSERT(ends_count < ENDS_MAX);
    ends_us[ends_count++] = sim_now_us();
}

void sim_ledger_crashed(void)
{
    sim_counts.crashes++;
    take_end();
}

/* Nothing may be forgotten in order, whatever the disk did before. */
void sim_ledger_stopped(void)
{
    sim_counts.stops++;
    if (sim_ledger_rules.disk_well_us == SIM_EVER)
        take_end();
}

/* Nobody is to be told: the message has no sender, or he does not want to hear of a failure. */
static bool is_dropped(const struct sim_message *m, const struct sim_recipient *r)
{
    return (!m->has_sender || r->notify != SIM_NOTIFY_UNSAID) &&
           (r->is_refused_by_hop || session_refused[r->domain] || is_too_old(m));
}

static bool is_settled(const struct sim_message *m, const struct sim_recipient *r)
{
    return !r->is_accepted || r->deliveries > 0 || r->bounces > 0 || is_dropped(m, r);
}

bool sim_ledger_is_settled(void)
{
    for (unsigned n = 1; n <= messages_count; n++)
        for (unsigned i = 0; i < messages[n]->recipients_count; i++)
            if (messages[n]->promise == SIM_PROMISE_MADE &&
                !is_settled(messages[n], &messages[n]->recipients[i]))
                return false;
    return true;
}

/* The gateway cannot have known of it, or cannot have recorded it before it crashed. */
static bool may_come_again(const struct sim_acceptance *a)
{
    uint64_t well_us = sim_ledger_rules.disk_well_us;
    uint64_t recorded_us = a->read_us + sim_ledger_rules.record_us;

    if (a->read_us == 0 || well_us == SIM_EVER)
        return true;
    if (well_us > 0 && recorded_us < well_us + sim_ledger_rules.catch_up_us)
        recorded_us = well_us + sim_ledger_rules.catch_up_us;
    for (unsigned i = 0; i < ends_count; i++)
        if (ends_us[i] >= a->at_us && ends_us[i] < recorded_us)
            return true;
    return false;
}

static void judge_recipient(const struct sim_message *m, unsigned i)
{
    const struct sim_recipient *r = &m->recipients[i];
    unsigned most = 1;

    for (const struct sim_acceptance *a = r->acceptances; a != NULL; a = a->next)
        most += may_come_again(a);
    if (r->deliveries > most)
        sim_fault("message %u is delivered %u times to recipient %u, of which %u are explained",
                  m->number, r->deliveries, i, most);
    sim_counts.duplicates += r->deliveries > 1 ? r->deliveries - 1 : 0;
    if (m->promise != SIM_PROMISE_MADE) {
        sim_counts.unasked += r->deliveries > 0;
        return;
    }
    if (!r->is_accepted)
        return;
    sim_counts.recipients++;
    if (r->deliveries > 0)
        sim_counts.delivered++;
    else if (r->bounces > 0)
        sim_counts.bounced++;
    else if (is_dropped(m, r))
        sim_counts.dropped++;
    else
        sim_fault("message %u, promised at %llu s, is LOST for recipient %u", m->number,
                  (unsigned long long)(m->promised_us / SIM_S), i);
}

void sim_ledger_judge(void)
{
    for (unsigned n = 1; n <= messages_count; n++)
        for (unsigned i = 0; i < messages[n]->recipients_count; i++)
            judge_recipient(messages[n], i);
}
