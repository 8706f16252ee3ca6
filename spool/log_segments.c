#include <stdlib.h>

#include "spool/log_parts.h"

size_t log_room(const struct spool_log *log)
{
    return log->current != NULL ? log->options.segment_bytes - log->current->fill : 0;
}

/* A segment is left only when the next record does not fit any more, so at most one record's
 * length of it is wasted. Whatever is promised within this bound finds its place. */
static size_t usable(const struct spool_log *log, size_t room)
{
    return room > log->options.record_bytes_max ? room - log->options.record_bytes_max : 0;
}

static size_t usable_spare(const struct spool_log *log)
{
    return usable(log, log->options.segment_bytes - SPOOL_BLOCK_BYTES);
}

size_t log_capacity(const struct spool_log *log, unsigned kept_back)
{
    size_t spares = log->spares_count > kept_back ? log->spares_count - kept_back : 0;

    return usable(log, log_room(log)) + spares * usable_spare(log);
}

void log_seal_segment(struct spool_log *log)
{
    if (log->current == NULL)
        return;
    ASSERT(!log->is_writing);
    log->current->fill = log->options.segment_bytes;
    log->storage->ops->segment_sealed(log->storage, &log->current->file);
    log->current->file.handle = -1;
    log->current = NULL;
}

bool log_open_segment(struct spool_log *log)
{
    struct list_node *n;

    ASSERT(!log->is_writing);
    n = list_take_first(&log->spares);
    if (n == NULL)
        return false;
    log_seal_segment(log);
    ASSERT(log->spares_count > 0);
    log->spares_count--;
    list_append(&log->chain, n);
    log->segments_count++;
    log->current = CONTAINER_OF(n, struct spool_segment, node);
    log->counters.segments_opened++;
    return true;
}

/* One for results, and as many as the promised messages need behind half a segment more. */
static unsigned spares_wanted(const struct spool_log *log)
{
    size_t each = usable_spare(log);
    /* Without a current segment the first spare will be it. */
    size_t here = log->current != NULL ? usable(log, log_room(log)) : each;
    size_t needed = log->reserved_bytes + log->waiting_bytes + each / 2;
    size_t wanted = log->current != NULL ? 1 : 2;

    if (needed > here)
        wanted += (needed - here + each - 1) / each;
    return wanted < SPOOL_SPARES_MAX ? (unsigned)wanted : SPOOL_SPARES_MAX;
}

static void prepare_failed(struct spool_log *log, enum status status)
{
    log->counters.prepare_failures++;
    log->prepare_waits = true;
    log_raise(log, SPOOL_LOG_EVENT_PREPARE_FAILED);
    /* Only after failed writes can messages wait without a place; their peers need an answer. */
    if (log->spares_count == 0 && !log_next_fits(log))
        log_fail_waiting(log, status);
}

void log_want_segments(struct spool_log *log)
{
    if (log->preparing != NULL || log->prepare_waits || log->is_holding)
        return;
    /* Only for a rescue, which has to write and finds no room. */
    if (log->state == SPOOL_LOG_STOPPED &&
        (buffer_len(&log->results) == 0 || log->spares_count > 0 || log_next_fits(log)))
        return;
    if (log->spares_count >= spares_wanted(log))
        return;
    /* Before its file, which would be nobody's else. */
    log->preparing = calloc(1, sizeof *log->preparing);
    if (log->preparing == NULL) {
        prepare_failed(log, STATUS_NO_MEMORY);
        return;
    }
    log->storage->ops->segment_prepare(log->storage);
}

struct spool_segment *spool_log_head(const struct spool_log *log)
{
    struct spool_segment *head;

    if (list_is_empty(&log->chain) || log->is_adopting)
        return NULL;
    head = CONTAINER_OF(log->chain.head.next, struct spool_segment, node);
    return head != log->current ? head : NULL;
}

/* Results can only be written once a segment has been had, and the storage has refused one. */
static bool results_lack_room(const struct spool_log *log)
{
    return log->prepare_waits && log->spares_count == 0 && !log_next_fits(log);
}

void log_release_head(struct spool_log *log)
{
    struct spool_segment *head = spool_log_head(log);

    if (head == NULL || head->messages > 0 || log->is_releasing || log->release_waits)
        return;
    /* A crash may have left copies of its messages further on, without their results. As long as
     * the DONE can be forgotten, what stands here has to tell that they are old. On a full disk
     * the DONE may need the very room that the head takes. */
    if (head->dones > log->results_committed && !results_lack_room(log))
        return;
    log->is_releasing = true;
    log->storage->ops->segment_release(log->storage, &head->file);
}

enum status spool_log_adopt(struct spool_log *log, const struct spool_segment_file *file,
                            size_t messages_living, struct spool_segment **segment_out)
{
    struct spool_segment *segment = calloc(1, sizeof *segment);
    struct list_node *next = &log->chain.head;

    ASSERT(log->is_adopting || (log->current == NULL && list_is_empty(&log->spares)));
    if (segment == NULL)
        return STATUS_NO_MEMORY;
    while (next->prev != &log->chain.head &&
           CONTAINER_OF(next->prev, struct spool_segment, node)->file.generation > file->generation)
        next = next->prev;
    segment->file = *file;
    segment->fill = log->options.segment_bytes;
    segment->messages = messages_living;
    list_insert_before(&segment->node, next);
    log->segments_count++;
    *segment_out = segment;
    return STATUS_OK;
}

void spool_log_adopted(struct spool_log *log)
{
    log->is_adopting = false;
}

/* Ready: a message can be promised a place, with a spare kept back for results. */
void log_check_ready(struct spool_log *log)
{
    if (log->state != SPOOL_LOG_STARTING || log_capacity(log, 1) == 0)
        return;
    log->state = SPOOL_LOG_READY;
    log_raise(log, SPOOL_LOG_EVENT_READY);
}

void spool_log_segment_ready(struct spool_log *log, enum status status,
                             const struct spool_segment_file *file)
{
    struct spool_segment *segment = log->preparing;

    ASSERT(segment != NULL);
    log->preparing = NULL;
    if (status != STATUS_OK) {
        free(segment);
        prepare_failed(log, status);
        return;
    }
    segment->file = *file;
    segment->fill = SPOOL_BLOCK_BYTES;
    list_append(&log->spares, &segment->node);
    log->spares_count++;
    log_check_ready(log);
}

void spool_log_segment_released(struct spool_log *log, enum status status)
{
    struct spool_segment *head = spool_log_head(log);

    ASSERT(log->is_releasing && head != NULL && head->messages == 0);
    log->is_releasing = false;
    if (status != STATUS_OK) {
        log->counters.release_failures++;
        log->release_waits = true;
        log_raise(log, SPOOL_LOG_EVENT_RELEASE_FAILED);
        return;
    }
    list_remove(&head->node);
    free(head);
    ASSERT(log->segments_count > 0);
    log->segments_count--;
    log->counters.segments_released++;
}

uint64_t spool_segment_generation(const struct spool_segment *segment)
{
    return segment->file.generation;
}

const struct spool_segment_file *spool_segment_file(const struct spool_segment *segment)
{
    return &segment->file;
}

size_t spool_segment_messages(const struct spool_segment *segment)
{
    return segment->messages;
}
