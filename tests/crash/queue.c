#include "tests/crash/queue.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/known.h"
#include "tests/crash/plants.h"

#define FAILS_ONE_IN 16 /* of the reads from the shelf, for now */
#define ROTS_ONE_IN  8  /* of the messages on it */
#define ROTTEN_MAX   8  /* of a history: the quarantine has room for 32 segments */

struct mailing_queued {
    struct ledger_mail *mail;
    bool has_ticket; /* of its DONE */
    bool is_rotten;  /* no read of it goes well any more */
    struct gateway_message message;
};

struct reading {
    struct engine_job job;
    struct gateway_message *message;
    struct spool_message *spool;
    enum status status;
};

static struct mailing_queued *queued_of(struct gateway_message *message)
{
    return CONTAINER_OF(message, struct mailing_queued, message);
}

static struct sim_run *run_of(const struct gateway_message *message)
{
    return CONTAINER_OF(message->home->process, struct sim_run, process);
}

struct ledger_mail *queue_mail(struct gateway_message *message)
{
    return queued_of(message)->mail;
}

struct gateway_message *queue_message(struct ledger_mail *m)
{
    return &m->queued->message;
}

void queue_make(struct ledger_mail *m, struct gateway_worker *home)
{
    struct mailing_queued *q = calloc(1, sizeof(*q) + m->recipients * sizeof(struct gateway_known));

    ASSERT(q != NULL && m->queued == NULL);
    q->mail = m;
    q->message.home = home;
    q->message.mid = m->mid;
    q->message.recipients_count = (uint16_t)m->recipients;
    if (gateway_message_begin_errand(&q->message) != STATUS_OK)
        UNREACHABLE();
    m->queued = q;
}

void queue_enter(struct ledger_mail *m, struct spool_message *spool,
                 const struct spool_location *location, const struct spool_recovered_message *found)
{
    struct gateway_message *message = queue_message(m);
    struct gateway_worker *w = message->home;
    bool is_on_shelf = sim_below(run_of(message)->random, 2) == 0;
    uint64_t rots_one_in = plant_is(PLANT_ASIDE_USED_AGAIN) ? 2 : ROTS_ONE_IN;

    message->location = *location;
    w->living_bytes += location->bytes;
    for (unsigned rid = 0; found != NULL && found->results != NULL && rid < m->recipients; rid++)
        queue_remember(m, &found->results[rid]);
    if (is_on_shelf)
        spool_message_destroy(spool);
    else
        message->spool = spool;
    m->queued->is_rotten = is_on_shelf && m->ledger->rotten < ROTTEN_MAX &&
                           sim_below(run_of(message)->random, rots_one_in) == 0;
    m->ledger->rotten += m->queued->is_rotten;
    slim_list_append(is_on_shelf ? &w->shelf.messages : &w->messages, &message->node);
}

bool queue_is_readable(const struct ledger_mail *m)
{
    return !m->queued->is_rotten;
}

void queue_remember(struct ledger_mail *m, const struct spool_result *result)
{
    struct gateway_message *message = queue_message(m);

    if (plant_is(PLANT_RESULTS_NOT_COPIED))
        return;
    gateway_known_merge(&gateway_message_known(message)[result->rid], result);
}

void queue_drop(struct ledger_mail *m)
{
    struct gateway_message *message;

    if (m->queued == NULL)
        return;
    message = queue_message(m);
    slim_list_remove(&message->node);
    spool_message_destroy(message->spool);
    free(message->errand);
    free(m->queued);
    m->queued = NULL;
}

/* --- its end --------------------------------------------------------------------------------- */

static void record_end(struct ledger_mail *m)
{
    struct gateway_message *message = queue_message(m);
    struct gateway_store *store = &message->home->store;
    bool with_ticket = m->is_in_file || m->queued->has_ticket;

    m->promise = PROMISE_NONE;
    m->is_ending = true;
    message->home->living_bytes -= message->location.bytes;
    slim_list_remove(&message->node);
    gateway_store_done(store, m->mid, &message->location,
                       with_ticket ? &message->errand->ticket : NULL);
    m->done_position = store->log.results_appended;
    if (m->is_in_file && plant_is(PLANT_DONE_TAKEN_FOR_DURABLE))
        gateway_body_unlink(message->home, m->mid);
    if (!with_ticket)
        queue_drop(m);
}

void queue_end(struct ledger_mail *m)
{
    m->is_living = false;
    m->is_over = true;
    m->queued->has_ticket = sim_below(run_of(queue_message(m))->random, 2) == 0;
    if (!gateway_message_is_moved(queue_message(m)))
        record_end(m);
}

/* --- for gateway/compaction.c ---------------------------------------------------------------- */

struct gateway_known *gateway_message_known(const struct gateway_message *message)
{
    return (struct gateway_known *)&message->items[message->items_count];
}

/* As long as the message, here. */
enum status gateway_message_begin_errand(struct gateway_message *message)
{
    message->errand = calloc(1, sizeof(*message->errand));
    ASSERT(message->errand != NULL);
    message->errand->message = message;
    return STATUS_OK;
}

void gateway_message_end_errand(struct gateway_message *message)
{
    message->errand->is_move = false;
}

/* No message has items. */
uint32_t *gateway_item_warned_wall_s(const struct gateway_item *item)
{
    (void)item;
    UNREACHABLE();
}

const uint16_t *gateway_item_all(const struct gateway_item *item)
{
    (void)item;
    UNREACHABLE();
}

bool gateway_message_is_over(const struct gateway_message *message)
{
    return CONTAINER_OF(message, struct mailing_queued, message)->mail->is_over;
}

void gateway_message_moved(struct gateway_message *message)
{
    struct ledger_mail *m = queue_mail(message);

    if (message->is_aside) {
        m->ledger->counts->aside++;
        m->promise = PROMISE_NONE;
        m->is_aside = true;
        m->is_living = m->is_over = false;
        queue_drop(m);
    } else if (m->is_over && !run_of(message)->is_ending) {
        record_end(m);
    }
}

bool gateway_message_hold(struct gateway_message *message)
{
    return message->spool != NULL;
}

void gateway_message_let_go(struct gateway_message *message)
{
    ASSERT(message->spool != NULL);
}

static enum status read_record(const struct gateway_message *message, char *bytes,
                               struct spool_message **spool_out)
{
    const struct spool_location *at = &message->location;
    uint32_t number = spool_segment_file(at->segment)->number;
    ssize_t got;
    int fd;

    TRY(spool_segment_open(&message->home->process->directory, number, O_RDONLY, &fd));
    got = pread(fd, bytes, at->bytes, (off_t)at->offset);
    (void)close(fd);
    if (got != (ssize_t)at->bytes)
        return STATUS_IO;
    return spool_message_from_record(message->mid, spool_segment_generation(at->segment),
                                     (struct slice){ bytes, at->bytes }, spool_out);
}

static void run_reading(struct engine_job *job)
{
    struct reading *r = CONTAINER_OF(job, struct reading, job);
    char *bytes = malloc(r->message->location.bytes);

    ASSERT(bytes != NULL);
    r->status = queued_of(r->message)->is_rotten ? STATUS_CORRUPT
                                                 : read_record(r->message, bytes, &r->spool);
    free(bytes);
}

static void end_reading(struct engine_loop *loop, struct engine_job *job)
{
    struct reading *r = CONTAINER_OF(job, struct reading, job);
    struct gateway_message *message = r->message;
    struct sim_run *run = run_of(message);
    enum status status = r->status;

    (void)loop;
    if (status != STATUS_OK && !queued_of(message)->is_rotten && !run->is_ending &&
        !sim_disk_is_dead(run->disk))
        ledger_fail(queue_mail(message)->ledger, "MID %llu cannot be read to be moved: %s",
                    (unsigned long long)message->mid, status_text(status));
    if (status == STATUS_OK) {
        message->spool = r->spool;
        slim_list_remove(&message->node);
        slim_list_append(&message->home->messages, &message->node);
    }
    free(r);
    gateway_compaction_fetched(message, status);
}

void gateway_shelf_fetch_for_compaction(struct gateway_message *message)
{
    struct sim_run *run = run_of(message);
    struct reading *r;

    if (sim_below(run->random, FAILS_ONE_IN) == 0) {
        gateway_compaction_fetched(message, STATUS_NO_MEMORY);
        return;
    }
    r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->message = message;
    r->job.run = run_reading;
    r->job.done = end_reading;
    if (engine_helper_submit(&run->segments, message->home->loop, &r->job) != STATUS_OK)
        UNREACHABLE();
}
