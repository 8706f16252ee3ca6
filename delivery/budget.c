#include "delivery/budget.h"

#include <assert.h>

#include "base/check.h"

static_assert(DELIVERY_BUDGET_ENTRIES <= UINT8_MAX, "places in the ring are bytes");
static_assert(DELIVERY_WINDOW_MS_MIN >= DELIVERY_BUDGET_PARTS, "a part is a millisecond at least");

/* The place of the n-th entry, counted from the oldest. */
static unsigned place(const struct delivery_budget *b, unsigned n)
{
    return (b->oldest + n) % DELIVERY_BUDGET_ENTRIES;
}

static bool is_back(const struct delivery_budget *b, unsigned n, struct delivery_rate rate,
                    uint64_t now_ms)
{
    return b->last_ms[place(b, n)] + rate.window_ms <= now_ms;
}

/* What is still counted at now_ms; *n_out is the first entry that is. */
static uint64_t counted(const struct delivery_budget *b, struct delivery_rate rate, uint64_t now_ms,
                        unsigned *n_out)
{
    uint64_t used = b->used;
    unsigned n = 0;

    while (n < b->count && is_back(b, n, rate, now_ms))
        used -= b->recipients[place(b, n++)];
    *n_out = n;
    return used;
}

uint32_t delivery_budget_room(const struct delivery_budget *b, struct delivery_rate rate,
                              uint64_t now_ms)
{
    uint64_t used;
    unsigned n;

    if (rate.recipients_max == 0)
        return DELIVERY_RECIPIENTS_NO_MAX;
    used = counted(b, rate, now_ms, &n);
    /* It may be above a maximum that was lowered. */
    return used < rate.recipients_max ? (uint32_t)(rate.recipients_max - used) : 0;
}

uint64_t delivery_budget_due(const struct delivery_budget *b, struct delivery_rate rate,
                             uint64_t now_ms)
{
    uint64_t used, due_ms = now_ms;
    unsigned n;

    if (rate.recipients_max == 0)
        return now_ms;
    used = counted(b, rate, now_ms, &n);
    for (; n < b->count && used >= rate.recipients_max; n++) {
        used -= b->recipients[place(b, n)];
        due_ms = b->last_ms[place(b, n)] + rate.window_ms;
    }
    return due_ms;
}

void delivery_budget_spend(struct delivery_budget *b, struct delivery_rate rate, uint64_t now_ms,
                           uint32_t recipients)
{
    uint32_t part_ms = (rate.window_ms + DELIVERY_BUDGET_PARTS - 1) / DELIVERY_BUDGET_PARTS;
    unsigned n;

    if (rate.recipients_max == 0)
        return;
    ASSERT(rate.window_ms >= DELIVERY_WINDOW_MS_MIN && rate.window_ms <= DELIVERY_WINDOW_MS_MAX);
    b->used = counted(b, rate, now_ms, &n);
    b->oldest = (uint8_t)place(b, n);
    b->count = (uint8_t)(b->count - n);
    if (b->count == 0 || (now_ms - b->first_ms >= part_ms && b->count < DELIVERY_BUDGET_ENTRIES)) {
        b->first_ms = now_ms;
        b->recipients[place(b, b->count)] = 0;
        b->count++;
    }
    n = place(b, b->count - 1u);
    b->last_ms[n] = now_ms;
    b->recipients[n] += recipients;
    b->used += recipients;
}

uint64_t delivery_budget_whole(const struct delivery_budget *b, struct delivery_rate rate)
{
    if (b->count == 0 || rate.recipients_max == 0)
        return 0;
    return b->last_ms[place(b, b->count - 1u)] + rate.window_ms;
}
