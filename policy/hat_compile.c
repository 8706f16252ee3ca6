#include "policy/hat_table.h"

/* An answer of a DNS list that an entry takes. */
struct list_answer {
    size_t list;
    struct policy_range range;
};

/* What is gathered while the entries are gone through. */
struct compilation {
    struct policy_hat *hat;
    struct arena *arena;
    struct arena *scratch;
    struct policy_range *v4, *v6;
    struct list_answer *answers;
    size_t v4_count, v6_count, answers_count;
};

static void keep_lowest(uint32_t *lowest, uint32_t number)
{
    if (number < *lowest)
        *lowest = number;
}

static uint32_t *take_table(struct arena *arena, size_t count)
{
    uint32_t *table = arena_take(arena, count, sizeof(*table));

    for (size_t i = 0; table != NULL && i < count; i++)
        table[i] = POLICY_HAT_NONE;
    return table;
}

/* The last row has to settle every host that no other row did. */
static bool settles_all(const struct policy_hat *hat)
{
    const struct policy_hat_row *last =
        hat->rows_count > 0 ? &hat->rows[hat->rows_count - 1] : NULL;

    return last != NULL && policy_hat_row_decides(last) && last->counts[POLICY_SENDER_ALL] > 0;
}

static size_t count_forms(const struct policy_hat *hat, enum policy_sender_form a,
                          enum policy_sender_form b, enum policy_sender_form c)
{
    size_t count = 0;

    for (size_t i = 0; i < hat->rows_count; i++) {
        const struct policy_hat_row *row = &hat->rows[i];

        if (policy_hat_row_decides(row))
            count += row->counts[a] + (b != a ? row->counts[b] : 0) +
                     (c != a && c != b ? row->counts[c] : 0);
    }
    return count;
}

static size_t count_form(const struct policy_hat *hat, enum policy_sender_form form)
{
    return count_forms(hat, form, form, form);
}

/* No fewer than the IPv6 entries, most of which a block list does not have. */
static size_t count_colons(const struct policy_hat *hat)
{
    size_t count = 0;

    for (uint32_t i = 0; i < hat->entries_count; i++) {
        struct slice text = policy_hat_text(hat, i);

        count += memchr(text.data, ':', text.len) != NULL ? 1 : 0;
    }
    return count;
}

static enum status prepare(struct compilation *c)
{
    struct policy_hat *hat = c->hat;
    size_t alls = count_form(hat, POLICY_SENDER_ALL);
    size_t addresses =
        count_forms(hat, POLICY_SENDER_ADDRESS, POLICY_SENDER_LOOSE, POLICY_SENDER_ADDRESS);
    size_t colons = count_colons(hat);
    size_t names =
        count_forms(hat, POLICY_SENDER_NAME, POLICY_SENDER_PARTIAL, POLICY_SENDER_PARTIAL);

    hat->names_lowest = hat->scores_lowest = hat->countries_lowest = POLICY_HAT_NONE;
    for (size_t i = 0; i < POLICY_HAT_REVERSES; i++)
        hat->reverses[i] = POLICY_HAT_NONE;
    for (size_t i = 0; i < hat->lists_count; i++)
        hat->lists[i].lowest = hat->lists[i].lowest_any = POLICY_HAT_NONE;
    c->v4 = arena_take(c->scratch, addresses + alls, sizeof(*c->v4));
    c->v6 =
        arena_take(c->scratch, (colons < addresses ? colons : addresses) + alls, sizeof(*c->v6));
    c->answers = arena_take(c->scratch, count_form(hat, POLICY_SENDER_LIST), sizeof(*c->answers));
    if (c->v4 == NULL || c->v6 == NULL || c->answers == NULL ||
        !policy_domain_map_init(&hat->names, c->arena, names))
        return STATUS_NO_MEMORY;
    if (count_forms(hat, POLICY_SENDER_SCORE, POLICY_SENDER_NO_SCORE, POLICY_SENDER_SCORE) > 0) {
        hat->scores = take_table(c->arena, POLICY_HAT_SCORE_NONE + 1);
        if (hat->scores == NULL)
            return STATUS_NO_MEMORY;
    }
    if (count_form(hat, POLICY_SENDER_COUNTRY) > 0) {
        hat->countries = take_table(c->arena, POLICY_HAT_COUNTRIES);
        if (hat->countries == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static void add_address(struct compilation *c, const struct policy_sender_entry *e, uint32_t number)
{
    if (ip_is_v4(&e->range.first))
        c->v4[c->v4_count++] = policy_hat_range(&e->range, number);
    else
        c->v6[c->v6_count++] = policy_hat_range(&e->range, number);
}

static void add_all(struct compilation *c, uint32_t number)
{
    c->v4[c->v4_count++] = (struct policy_range){ .last = UINT32_MAX, .number = number };
    c->v6[c->v6_count++] = (struct policy_range){ .last = ~(unsigned __int128)0, .number = number };
}

static void add_list(struct compilation *c, const struct policy_sender_entry *e, uint32_t number)
{
    size_t i = policy_hat_list_find(c->hat, e->name);
    struct policy_hat_list *list = &c->hat->lists[i];

    ASSERT(i < c->hat->lists_count);
    keep_lowest(&list->lowest, number);
    if (e->has_answer)
        c->answers[c->answers_count++] =
            (struct list_answer){ .list = i, .range = policy_hat_range(&e->range, number) };
    else
        keep_lowest(&list->lowest_any, number);
}

static void add_score(struct policy_hat *hat, const struct policy_sender_entry *e, uint32_t number)
{
    for (int tenths = e->tenths_min; tenths <= e->tenths_max; tenths++)
        keep_lowest(&hat->scores[tenths - POLICY_SCORE_TENTHS_MIN], number);
    keep_lowest(&hat->scores_lowest, number);
}

static void add_entry(struct compilation *c, uint32_t number)
{
    struct policy_hat *hat = c->hat;
    struct policy_sender_entry e = policy_hat_entry(hat, number);

    switch (e.form) {
    case POLICY_SENDER_INVALID: UNREACHABLE();
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE: add_address(c, &e, number); break;
    case POLICY_SENDER_NAME:
    case POLICY_SENDER_PARTIAL:
        policy_domain_map_add(&hat->names, e.name, number);
        keep_lowest(&hat->names_lowest, number);
        break;
    case POLICY_SENDER_LIST: add_list(c, &e, number); break;
    case POLICY_SENDER_REVERSE: keep_lowest(&hat->reverses[e.reverse], number); break;
    case POLICY_SENDER_SCORE: add_score(hat, &e, number); break;
    case POLICY_SENDER_NO_SCORE:
        keep_lowest(&hat->scores[POLICY_HAT_SCORE_NONE], number);
        keep_lowest(&hat->scores_lowest, number);
        break;
    case POLICY_SENDER_COUNTRY:
        keep_lowest(&hat->countries[26 * (e.country[0] - 'A') + (e.country[1] - 'A')], number);
        keep_lowest(&hat->countries_lowest, number);
        break;
    case POLICY_SENDER_ALL: add_all(c, number); break;
    }
}

/* The numbers of a row are a range too. */
static enum status compile_rows(struct compilation *c)
{
    struct policy_hat *hat = c->hat;
    struct policy_range *ranges = arena_take(c->scratch, hat->rows_count, sizeof(*ranges));
    size_t count = 0;

    if (ranges == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < hat->rows_count; i++) {
        const struct policy_hat_row *row = &hat->rows[i];

        if (row->entries_count > 0)
            ranges[count++] =
                (struct policy_range){ .first = row->entries_first,
                                       .last = row->entries_first + row->entries_count - 1,
                                       .number = (uint32_t)i };
    }
    return policy_range_map_init(&hat->row_of, false, ranges, count, c->arena, c->scratch);
}

static enum status compile_lists(struct compilation *c)
{
    for (size_t i = 0; i < c->hat->lists_count; i++) {
        struct policy_range *ranges;
        size_t count = 0;

        for (size_t k = 0; k < c->answers_count; k++)
            count += c->answers[k].list == i ? 1 : 0;
        if (count == 0)
            continue;
        ranges = arena_take(c->scratch, count, sizeof(*ranges));
        if (ranges == NULL)
            return STATUS_NO_MEMORY;
        count = 0;
        for (size_t k = 0; k < c->answers_count; k++)
            if (c->answers[k].list == i)
                ranges[count++] = c->answers[k].range;
        TRY(policy_range_map_init(&c->hat->lists[i].answers, false, ranges, count, c->arena,
                                  c->scratch));
    }
    return STATUS_OK;
}

enum status policy_hat_compile(struct policy_hat *hat, struct arena *arena, struct arena *scratch)
{
    struct compilation c = { .hat = hat, .arena = arena, .scratch = scratch };

    if (!settles_all(hat))
        return STATUS_INVALID;
    ASSERT(hat->entries_count <= POLICY_HAT_ENTRIES_MAX);
    TRY(prepare(&c));
    for (size_t i = 0; i < hat->rows_count; i++) {
        const struct policy_hat_row *row = &hat->rows[i];

        for (uint32_t k = 0; policy_hat_row_decides(row) && k < row->entries_count; k++)
            add_entry(&c, row->entries_first + k);
    }
    TRY(compile_rows(&c));
    TRY(compile_lists(&c));
    TRY(policy_range_map_init(&hat->v4, false, c.v4, c.v4_count, arena, scratch));
    return policy_range_map_init(&hat->v6, true, c.v6, c.v6_count, arena, scratch);
}
