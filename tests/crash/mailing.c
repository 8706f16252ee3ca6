#include "tests/crash/mailing.h"

#include "tests/crash/plants.h"
#include "tests/crash/queue.h"

#define BODY_SMALL_MAX 20000
#define BODY_FILE_MAX  1200000 /* more than two chunks */
#define PIECE_MAX      60000

#define SURVIVES_ONE_IN 16

static void destroy_message(struct ledger_mail *m)
{
    spool_message_destroy(m->message);
    m->message = NULL;
}

static struct gateway_worker *worker_of(const struct ledger_mail *m)
{
    return &m->ledger->run->workers[m->worker];
}

/* --- coming in ---------------------------------------------------------------------------------
 */

static void commit(struct ledger_mail *m)
{
    struct gateway_store *store = &worker_of(m)->store;
    bool is_reserved = m->reservation.bytes > 0;

    m->message = spool_draft_complete(&m->draft);
    queue_make(m, worker_of(m));
    if (gateway_store_append(store, m->message, is_reserved ? &m->reservation : NULL,
                             &queue_message(m)->errand->ticket) == STATUS_OK) {
        m->promise = PROMISE_NONE;
        return;
    }
    spool_log_unreserve(&store->log, &m->reservation);
    if (m->is_in_file)
        gateway_body_unlink(worker_of(m), m->mid);
    queue_drop(m);
    destroy_message(m);
}

static void committed(struct ledger_mail *m)
{
    const struct spool_ticket *ticket = &queue_message(m)->errand->ticket;
    struct ledger *l = m->ledger;

    if (l->run->is_ending)
        return;
    if (ticket->status == STATUS_OK) {
        l->counts->acknowledged++;
        m->promise = PROMISE_KEPT;
        m->is_living = true;
        queue_enter(m, m->message, &ticket->location, NULL);
        m->message = NULL;
        return;
    }
    queue_drop(m);
    destroy_message(m);
    l->counts->failed_writes++;
    if (m->is_in_file) {
        m->may_lack_body = true;
        gateway_body_unlink(worker_of(m), m->mid);
    }
}

void gateway_message_ticket_back(struct spool_ticket *ticket)
{
    struct gateway_message *message = CONTAINER_OF(ticket, struct gateway_errand, ticket)->message;
    struct ledger_mail *m = queue_mail(message);
    bool is_done = ticket->status == STATUS_OK;

    if (gateway_message_is_moved(message)) {
        gateway_compaction_ticket_back(message);
        return;
    }
    if (ticket->kind == SPOOL_TICKET_MESSAGE) {
        committed(m);
        return;
    }
    queue_drop(m);
    if (!is_done || m->ledger->run->is_ending)
        return;
    m->promise = PROMISE_GONE;
    if (m->is_in_file)
        gateway_body_unlink(worker_of(m), m->mid);
}

static void give_up_body(struct ledger_mail *m)
{
    gateway_body_abandon(m->body);
    m->body = NULL;
    spool_log_unreserve(&worker_of(m)->store.log, &m->reservation);
    spool_draft_finish(&m->draft);
}

static void give_body(struct ledger_mail *m)
{
    struct spool_body_file *file = &m->body->file;
    struct slice rest = slice_after(ledger_body(m), m->body_given);
    size_t room = spool_body_file_room(file);
    enum spool_body_state state;

    rest = slice_first(rest, rest.len < PIECE_MAX ? rest.len : PIECE_MAX);
    rest = slice_first(rest, rest.len < room ? rest.len : room);
    spool_body_file_append(file, rest);
    m->body_given += rest.len;
    state = spool_body_file_state(file);
    if (m->body_given == m->body_bytes && state == SPOOL_BODY_WRITING && !file->is_complete)
        spool_body_file_complete(file);
}

void gateway_receipt_body_moved(struct gateway_receipt *receipt)
{
    struct ledger_mail *m = CONTAINER_OF(receipt, struct ledger_mail, receipt);
    struct spool_body_file *file = &m->body->file;

    if (spool_body_file_state(file) == SPOOL_BODY_DURABLE) {
        spool_draft_set_body_file(&m->draft, spool_body_file_bytes(file),
                                  spool_body_file_crc(file));
        gateway_body_destroy(m->body);
        m->body = NULL;
        commit(m);
    } else if (spool_body_file_state(file) == SPOOL_BODY_FAILED) {
        m->ledger->counts->full_disks += spool_body_file_failure(file) == STATUS_NO_SPACE;
        give_up_body(m);
    } else {
        give_body(m);
    }
}

static void start_body(struct ledger_mail *m, uint64_t *random)
{
    uint64_t hint = sim_below(random, 2) == 0 ? m->body_bytes : 0;

    spool_draft_drop_body(&m->draft);
    if (gateway_body_create(worker_of(m), &m->receipt, m->mid, hint,
                            m->mid % 2 == 0 ? SPOOL_BODY_CHUNK : SPOOL_BODY_CHUNK_SMALL,
                            &m->body) != STATUS_OK) {
        spool_draft_finish(&m->draft);
        return;
    }
    give_body(m);
}

static void send_one(struct ledger *l, unsigned worker, uint64_t *random)
{
    struct ledger_mail *m = &l->mails[l->count];
    struct gateway_worker *w = &l->run->workers[worker];
    uint64_t mid;

    if (l->count == LEDGER_MAILS_MAX)
        return;
    mid = spool_ids_take(&l->run->process.ids, SPOOL_ID_MID);
    if (mid == 0)
        return;
    if (l->count > 0 && mid <= l->mails[l->count - 1].mid)
        ledger_fail(l, "MID %llu was given twice", (unsigned long long)mid);
    *m = (struct ledger_mail){
        .ledger = l,
        .mid = mid,
        .promise = PROMISE_GONE,
        .is_of_run = true,
        .is_in_file = sim_below(random, 10) == 0,
        .worker = worker,
        .recipients = 1 + (unsigned)sim_below(random, LEDGER_RECIPIENTS_MAX),
    };
    m->body_bytes = 1 + sim_below(random, sim_below(random, 4) == 0 ? BODY_SMALL_MAX : 4000);
    if (m->is_in_file)
        m->body_bytes *= 1 + sim_below(random, BODY_FILE_MAX / BODY_SMALL_MAX);
    l->count++;
    l->counts->sent++;
    ledger_draft(m);
    if (sim_below(random, 2) == 0 &&
        !gateway_store_reserve(&w->store, &m->reservation, 2048 + m->body_bytes % 20000)) {
        l->counts->full_disks++;
        spool_draft_finish(&m->draft);
    } else if (m->is_in_file) {
        start_body(m, random);
    } else if (spool_draft_body(&m->draft, ledger_body(m)) == STATUS_OK) {
        commit(m);
    }
}

/* --- going out ------------------------------------------------------------------------------- */

static struct ledger_mail *any_living(struct ledger *l, uint64_t *random)
{
    for (int tries = 0; tries < 16 && l->count > 0; tries++) {
        struct ledger_mail *m = &l->mails[sim_below(random, l->count)];

        if (m->is_living)
            return m;
    }
    return NULL;
}

static void try_one(struct ledger *l, uint64_t *random)
{
    struct ledger_mail *m = any_living(l, random);
    struct ledger_result *known;
    struct spool_result result;
    struct gateway_store *store;

    if (m == NULL)
        return;
    result.rid = (uint32_t)sim_below(random, m->recipients);
    known = &m->results[result.rid];
    if (known->delivered_at > 0)
        return;
    known->attempts++;
    result = (struct spool_result){
        .rid = result.rid,
        .state = SPOOL_RESULT_DEFERRED,
        .attempts = known->attempts,
        .next_attempt_wall_s = 1000 + 60 * (int64_t)known->attempts,
    };
    if (sim_below(random, 2) == 0) {
        result.state = SPOOL_RESULT_DELIVERED;
        known->delivered_at = known->attempts;
    }
    store = &worker_of(m)->store;
    gateway_store_results(store, m->mid, &result, 1);
    queue_remember(m, &result);
    known->position = store->log.results_appended;
    if (plant_is(PLANT_RESULTS_FORGOTTEN))
        known->position = 0;
}

static void end_one(struct ledger *l, uint64_t *random)
{
    struct ledger_mail *m = any_living(l, random);

    if (m == NULL || !queue_is_readable(m) || (l->has_survivors && m->mid % SURVIVES_ONE_IN == 0))
        return;
    queue_end(m);
}

static void drop_a_body(struct ledger *l, uint64_t *random)
{
    struct ledger_mail *m;

    if (l->count == 0)
        return;
    m = &l->mails[l->count - 1 - sim_below(random, l->count < 10 ? l->count : 10)];
    if (m->body != NULL)
        give_up_body(m);
}

/* Half a block of identifiers goes by. */
static void use_up_ids(struct ledger *l)
{
    struct spool_ids *ids = &l->run->process.ids;

    atomic_fetch_add(&ids->next[SPOOL_ID_MID], SPOOL_IDS_BLOCK / 2 + 1);
    if (spool_ids_need_extend(ids) && spool_ids_extend(ids) != STATUS_OK)
        l->counts->failed_writes++;
}

/* So late that compaction tries again what it could not read. */
static void look_at_segments(struct sim_run *run, unsigned worker)
{
    run->now_ms += GATEWAY_COMPACTION_RETRY_MS;
    gateway_compaction_check(&run->workers[worker]);
}

void mailing_step(struct ledger *l, uint64_t *random)
{
    unsigned worker = (unsigned)sim_below(random, l->run->process.workers_count);
    struct gateway_store *store = &l->run->workers[worker].store;

    switch (sim_below(random, 24)) {
    case 0:
        if (sim_below(random, 8) == 0)
            use_up_ids(l);
        else
            look_at_segments(l->run, worker);
        break;
    case 1: gateway_store_flush(store); break;
    case 2: gateway_store_resume(store); break;
    case 3: drop_a_body(l, random); break;
    case 4:
    case 5:
    case 6:
    case 7: try_one(l, random); break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13: end_one(l, random); break;
    default:
        if (l->has_survivors && sim_below(random, 3) == 0)
            end_one(l, random);
        else
            send_one(l, worker, random);
        break;
    }
}

/* --- start and end --------------------------------------------------------------------------- */

void mailing_adopt(struct ledger *l, struct gateway_worker *w, struct spool_message *message,
                   const struct spool_location *location,
                   const struct spool_recovered_message *found)
{
    struct ledger_mail *m = ledger_find(l, spool_message_mid(message));

    if (m == NULL) {
        spool_message_destroy(message);
        return;
    }
    m->worker = w->index;
    m->is_of_run = true;
    m->is_living = true;
    queue_make(m, w);
    queue_enter(m, message, location, found);
}

void mailing_abandon(struct ledger *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->mails[i].body != NULL)
            give_up_body(&l->mails[i]);
}

void mailing_forget(struct ledger *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct ledger_mail *m = &l->mails[i];

        queue_drop(m);
        destroy_message(m);
        m->reservation.bytes = 0;
        m->is_living = m->is_over = m->is_ending = m->is_of_run = false;
    }
}
