#include "policy/hat_table.h"
#include "policy/hat_why.h"

static bool name_is_below(struct slice name, struct slice partial)
{
    return name.len > partial.len && slice_ends_nocase(name, partial);
}

static bool score_matches(const struct policy_sender_entry *e, const struct policy_score *score)
{
    if (e->form == POLICY_SENDER_NO_SCORE)
        return score->state == POLICY_SCORE_NONE || score->state == POLICY_SCORE_FAILED;
    return score->state == POLICY_SCORE_KNOWN && e->tenths_min <= score->tenths &&
           score->tenths <= e->tenths_max;
}

static bool listing_matches(const struct policy_hat *hat, const struct policy_sender_entry *e,
                            const struct policy_sender *sender)
{
    size_t list = policy_hat_list_find(hat, e->name);
    const struct policy_listing *listing;

    ASSERT(list < hat->lists_count);
    if (list >= sender->listings_count)
        return false;
    listing = &sender->listings[list];
    if (listing->state != POLICY_LISTING_LISTED || !e->has_answer)
        return listing->state == POLICY_LISTING_LISTED;
    for (size_t i = 0; i < listing->addresses_count; i++)
        if (policy_address_range_holds(&e->range, &listing->addresses[i]))
            return true;
    return false;
}

bool policy_hat_entry_matches(const struct policy_hat *hat, const struct policy_sender_entry *e,
                              const struct policy_sender *sender)
{
    struct slice name = policy_hat_known_name(sender);

    if (sender->reverse != POLICY_REVERSE_VERIFIED)
        name.len = 0;
    switch (e->form) {
    case POLICY_SENDER_INVALID: break;
    case POLICY_SENDER_ALL: return true;
    case POLICY_SENDER_ADDRESS:
    case POLICY_SENDER_LOOSE: return policy_address_range_holds(&e->range, &sender->address);
    case POLICY_SENDER_NAME: return name.len > 0 && slice_equal_nocase(name, e->name);
    case POLICY_SENDER_PARTIAL: return name_is_below(name, e->name);
    case POLICY_SENDER_LIST: return listing_matches(hat, e, sender);
    case POLICY_SENDER_REVERSE: return e->reverse == sender->reverse;
    case POLICY_SENDER_SCORE:
    case POLICY_SENDER_NO_SCORE: return score_matches(e, &sender->score);
    case POLICY_SENDER_COUNTRY:
        return sender->is_country_known &&
               slice_equal_nocase(sender->country, (struct slice){ e->country, 2 });
    }
    return false;
}

/* The first entry of the row that matches. "ALL" is left out where it is no news. */
static uint32_t find_in_row(const struct policy_hat *hat, const struct policy_hat_row *row,
                            const struct policy_sender *sender, bool with_all)
{
    for (uint32_t i = 0; i < row->entries_count; i++) {
        struct policy_sender_entry e = policy_hat_entry(hat, row->entries_first + i);

        if ((with_all || e.form != POLICY_SENDER_ALL) && policy_hat_entry_matches(hat, &e, sender))
            return row->entries_first + i;
    }
    return POLICY_HAT_NONE;
}

static void note_facts(const struct policy_hat_row *row, const struct policy_sender *sender,
                       struct policy_hat_step *step)
{
    struct policy_hat_needs uses = {
        .reverse = row->counts[POLICY_SENDER_NAME] + row->counts[POLICY_SENDER_PARTIAL] +
                       row->counts[POLICY_SENDER_REVERSE] >
                   0,
        .score = row->counts[POLICY_SENDER_SCORE] + row->counts[POLICY_SENDER_NO_SCORE] > 0,
        .country = row->counts[POLICY_SENDER_COUNTRY] > 0,
        .listings = row->listings,
    };
    struct policy_hat_needs unknown = {
        .reverse = uses.reverse && sender->reverse == POLICY_REVERSE_UNKNOWN,
        .score = uses.score && sender->score.state == POLICY_SCORE_UNKNOWN,
        .country = uses.country && !sender->is_country_known,
        .listings = uses.listings,
    };

    for (size_t i = 0; i < sender->listings_count && i < POLICY_HAT_LISTS_MAX; i++)
        if (sender->listings[i].state != POLICY_LISTING_UNKNOWN)
            unknown.listings &= ~((uint64_t)1 << i);
    uses.any = uses.reverse || uses.score || uses.country || uses.listings != 0;
    unknown.any = unknown.reverse || unknown.score || unknown.country || unknown.listings != 0;
    step->uses = uses;
    step->unknown = unknown;
}

static struct policy_hat_step begin_step(const struct policy_hat *hat, size_t row,
                                         const struct policy_sender *sender)
{
    struct policy_hat_step step = { .row = row,
                                    .group = hat->rows[row].group,
                                    .flow = hat->rows[row].flow };

    note_facts(&hat->rows[row], sender, &step);
    return step;
}

/* The verdict is known, so no deciding row before it matches, and only one that continues has to
 * be searched. */
static void explain_row(const struct policy_hat *hat, size_t row, uint32_t verdict,
                        const struct policy_sender *sender, struct policy_hat_visitor *visitor)
{
    struct policy_hat_step step = begin_step(hat, row, sender);
    char why[POLICY_HAT_WHY_BYTES] = "";
    uint32_t entry = POLICY_HAT_NONE;

    if (!policy_hat_row_decides(&hat->rows[row]))
        entry = find_in_row(hat, &hat->rows[row], sender, true);
    else if (row == policy_hat_row_of(hat, verdict))
        entry = verdict;
    if (entry != POLICY_HAT_NONE) {
        step.matched = true;
        step.entry = policy_hat_text(hat, entry);
        policy_hat_why(why, hat, entry, sender);
    } else {
        policy_hat_why_not(why, hat, &hat->rows[row], sender);
    }
    step.why = slice_from(why);
    visitor->step(visitor, &step);
}

static void explain_behind(const struct policy_hat *hat, size_t row, uint32_t verdict,
                           const struct policy_sender *sender, struct policy_hat_visitor *visitor)
{
    struct policy_hat_step step = begin_step(hat, row, sender);
    uint32_t entry = find_in_row(hat, &hat->rows[row], sender, false);
    size_t by = policy_hat_row_of(hat, verdict);
    struct slice group = hat->rows[by].group;
    char why[POLICY_HAT_WHY_BYTES] = "";

    step.is_behind = true;
    if (entry != POLICY_HAT_NONE) {
        step.matched = true;
        step.entry = policy_hat_text(hat, entry);
        policy_hat_why(why, hat, entry, sender);
        policy_hat_why_append(why, ", but this is hidden");
    } else if (step.unknown.any) {
        policy_hat_why_unknown(why, hat, &step.unknown);
    } else {
        return;
    }
    policy_hat_why_append(why, ": row %zu%s%.*s%s matches %.*s first", by + 1,
                          group.len > 0 ? " (" : "", SLICE_ARGS(group), group.len > 0 ? ")" : "",
                          SLICE_ARGS(policy_hat_text(hat, verdict)));
    step.why = slice_from(why);
    visitor->step(visitor, &step);
}

void policy_hat_explain(const struct policy_hat *hat, const struct policy_sender *sender,
                        struct policy_hat_visitor *visitor)
{
    struct policy_sender_verdict verdict = policy_hat_find(hat, sender);

    for (size_t i = 0; i <= verdict.row; i++)
        explain_row(hat, i, (uint32_t)verdict.number, sender, visitor);
    for (size_t i = verdict.row + 1; i < hat->rows_count; i++)
        if (policy_hat_row_decides(&hat->rows[i]))
            explain_behind(hat, i, (uint32_t)verdict.number, sender, visitor);
}
