#include "policy/hat_draft.h"

#include <assert.h>

#define CHUNK_BYTES_FIRST 512
#define CHUNK_BYTES_MAX   ((size_t)1 << 20)

struct text_chunk {
    struct text_chunk *next;
    size_t used;
    size_t capacity;
    char bytes[];
};

struct row_link {
    struct row_link *next;
    struct policy_hat_row row;
};

struct policy_hat_draft {
    struct slice name;
    struct arena *arena;
    struct arena *scratch;
    struct row_link *rows, *rows_last;
    struct text_chunk *texts, *texts_last;
    size_t rows_count;
    size_t entries_count;
    size_t text_bytes;
    struct slice zones[POLICY_HAT_LISTS_MAX];
    size_t zones_count;
};

enum status policy_hat_draft_create(struct slice name, struct arena *arena, struct arena *scratch,
                                    struct policy_hat_draft **draft_out)
{
    struct policy_hat_draft *d = arena_take(scratch, 1, sizeof(*d));

    if (d == NULL || !arena_copy(arena, name, &d->name))
        return STATUS_NO_MEMORY;
    d->arena = arena;
    d->scratch = scratch;
    *draft_out = d;
    return STATUS_OK;
}

enum status policy_hat_draft_add_row(struct policy_hat_draft *d, struct slice group,
                                     const struct policy_mail_flow *flow)
{
    struct row_link *link;

    ASSERT(flow != NULL);
    if (d->rows_count >= POLICY_HAT_ROWS_MAX)
        return STATUS_LIMIT;
    link = arena_take(d->scratch, 1, sizeof(*link));
    if (link == NULL || !arena_copy(d->arena, group, &link->row.group))
        return STATUS_NO_MEMORY;
    link->row.flow = flow;
    link->row.entries_first = (uint32_t)d->entries_count;
    if (d->rows == NULL)
        d->rows = link;
    else
        d->rows_last->next = link;
    d->rows_last = link;
    d->rows_count++;
    return STATUS_OK;
}

/* Chunks grow, so that a small HAT needs little and a large one few of them. */
static enum status add_chunk(struct policy_hat_draft *d)
{
    size_t capacity = d->texts == NULL ? CHUNK_BYTES_FIRST : 2 * d->texts_last->capacity;
    struct text_chunk *chunk;

    capacity = capacity < CHUNK_BYTES_MAX ? capacity : CHUNK_BYTES_MAX;
    chunk = arena_take(d->scratch, sizeof(*chunk) + capacity, 1);
    if (chunk == NULL)
        return STATUS_NO_MEMORY;
    chunk->capacity = capacity;
    if (d->texts == NULL)
        d->texts = chunk;
    else
        d->texts_last->next = chunk;
    d->texts_last = chunk;
    return STATUS_OK;
}

static_assert(CHUNK_BYTES_FIRST > POLICY_SENDER_BYTES_MAX, "every text fits into a new chunk");

static enum status keep_text(struct policy_hat_draft *d, struct slice text)
{
    struct text_chunk *chunk = d->texts_last;

    ASSERT(text.len <= POLICY_SENDER_BYTES_MAX);
    if (d->text_bytes + text.len + 1 > POLICY_HAT_TEXT_BYTES_MAX)
        return STATUS_LIMIT;
    if (chunk == NULL || chunk->capacity - chunk->used < text.len + 1)
        TRY(add_chunk(d));
    chunk = d->texts_last;
    memcpy(chunk->bytes + chunk->used, text.data, text.len); /* the NUL is there already */
    chunk->used += text.len + 1;
    d->text_bytes += text.len + 1;
    return STATUS_OK;
}

static enum status keep_zone(struct policy_hat_draft *d, struct slice zone)
{
    size_t i = 0;

    while (i < d->zones_count && !slice_equal_nocase(d->zones[i], zone))
        i++;
    if (i == POLICY_HAT_LISTS_MAX)
        return STATUS_LIMIT;
    if (i == d->zones_count) {
        if (!arena_copy(d->arena, zone, &d->zones[i]))
            return STATUS_NO_MEMORY;
        d->zones_count++;
    }
    d->rows_last->row.listings |= (uint64_t)1 << i;
    return STATUS_OK;
}

static_assert(POLICY_HAT_LISTS_MAX <= 64, "a bit each");

enum status policy_hat_draft_add_entry(struct policy_hat_draft *d, struct slice text)
{
    struct policy_sender_entry e;

    ASSERT(d->rows_last != NULL);
    if (policy_sender_parse(text, &e) != NULL)
        return STATUS_INVALID;
    if (d->entries_count >= POLICY_HAT_ENTRIES_MAX)
        return STATUS_LIMIT;
    if (e.form == POLICY_SENDER_LIST)
        TRY(keep_zone(d, e.name));
    TRY(keep_text(d, text));
    d->rows_last->row.entries_count++;
    d->rows_last->row.counts[e.form]++;
    d->entries_count++;
    return STATUS_OK;
}

/* One run of all texts, and where each begins. */
static enum status join_texts(const struct policy_hat_draft *d, struct policy_hat *hat)
{
    char *texts = arena_take(d->arena, d->text_bytes, 1);
    uint32_t *offsets = arena_take(d->arena, d->entries_count + 1, sizeof(*offsets));
    size_t used = 0;

    if (texts == NULL || offsets == NULL)
        return STATUS_NO_MEMORY;
    for (const struct text_chunk *chunk = d->texts; chunk != NULL; chunk = chunk->next) {
        memcpy(texts + used, chunk->bytes, chunk->used);
        used += chunk->used;
    }
    ASSERT(used == d->text_bytes);
    used = 0;
    for (size_t i = 0; i < d->entries_count; i++) {
        offsets[i] = (uint32_t)used;
        used += strlen(texts + used) + 1;
    }
    ASSERT(used == d->text_bytes);
    offsets[d->entries_count] = (uint32_t)used;
    hat->texts = texts;
    hat->offsets = offsets;
    hat->entries_count = d->entries_count;
    return STATUS_OK;
}

static enum status copy_lists(const struct policy_hat_draft *d, struct policy_hat *hat)
{
    hat->lists = arena_take(d->arena, d->zones_count, sizeof(*hat->lists));
    if (hat->lists == NULL)
        return STATUS_NO_MEMORY;
    hat->lists_count = d->zones_count;
    for (size_t i = 0; i < d->zones_count; i++)
        hat->lists[i].zone = d->zones[i];
    return STATUS_OK;
}

enum status policy_hat_draft_finish(const struct policy_hat_draft *d, struct policy_hat **hat_out)
{
    struct policy_hat *hat = arena_take(d->arena, 1, sizeof(*hat));
    size_t row = 0;

    if (hat == NULL)
        return STATUS_NO_MEMORY;
    *hat = (struct policy_hat){ .name = d->name, .rows_count = d->rows_count };
    hat->rows = arena_take(d->arena, d->rows_count, sizeof(*hat->rows));
    if (hat->rows == NULL)
        return STATUS_NO_MEMORY;
    for (const struct row_link *r = d->rows; r != NULL; r = r->next)
        hat->rows[row++] = r->row;
    TRY(join_texts(d, hat));
    TRY(copy_lists(d, hat));
    TRY(policy_hat_compile(hat, d->arena, d->scratch));
    *hat_out = hat;
    return STATUS_OK;
}
