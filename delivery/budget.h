/* delivery/budget.h - how many recipients may be handed over now, when no window of time may see
 * more than a maximum.
 *
 * A sliding window, not one that starts anew each N minutes: that one lets twice the maximum
 * through within a moment around its border. What is handed over comes back when it is older
 * than the window.
 *
 * To keep it small, recipients that are handed over within one part (a 32nd) of the window share
 * an entry of a ring, and come back together, when the last of them is old enough:
 *
 *   - Never exceeded: what is handed over in (t, t + window] for any t stays counted until the
 *     end of it, because an entry comes back a whole window after its last recipient, at the
 *     earliest. Each hand-over was within the maximum of what was counted then.
 *   - At least 97 % are used: an entry is open for less than one part, so each recipient comes
 *     back within window * (1 + 1/32). As long as there is a backlog it is used again at once;
 *     in a long time T each of them is used T / (window * 33/32) times.
 *   - The ring is large enough: entries begin at least one part apart, and one that still counts
 *     began less than 33 parts ago. (If the window is changed meanwhile and it is full after all,
 *     the newest entry takes more: that errs on the safe side.)
 *
 * Pure; embedded; zeroed is empty. now_ms never goes back.
 */
#pragma once
#include "base/slice.h"

#define DELIVERY_BUDGET_PARTS      32u
#define DELIVERY_BUDGET_ENTRIES    (DELIVERY_BUDGET_PARTS + 1)
#define DELIVERY_WINDOW_MS_MIN     1000u
#define DELIVERY_WINDOW_MS_MAX     86400000u
#define DELIVERY_RECIPIENTS_NO_MAX UINT32_MAX /* room where there is no limit */

struct delivery_budget { /* Fields are private. */
    uint64_t first_ms;   /* of the newest entry */
    uint64_t used;       /* in all entries */
    uint64_t last_ms[DELIVERY_BUDGET_ENTRIES];
    uint32_t recipients[DELIVERY_BUDGET_ENTRIES];
    uint8_t oldest;
    uint8_t count;
};

/* A maximum for each window; recipients_max 0: none. window_ms is brought into
 * DELIVERY_WINDOW_MS_MIN.._MAX by who makes it. */
struct delivery_rate {
    uint32_t recipients_max;
    uint32_t window_ms;
};

/* How many recipients may be handed over at now_ms. */
uint32_t delivery_budget_room(const struct delivery_budget *b, struct delivery_rate rate,
                              uint64_t now_ms);

/* When there is room for one at least: now_ms, or exactly when it comes back. */
uint64_t delivery_budget_due(const struct delivery_budget *b, struct delivery_rate rate,
                             uint64_t now_ms);

/* They are handed over; at most what there is room for. Nothing is noted without a maximum. */
void delivery_budget_spend(struct delivery_budget *b, struct delivery_rate rate, uint64_t now_ms,
                           uint32_t recipients);

/* When all has come back, so that it need not be remembered any longer; 0: it is empty. */
uint64_t delivery_budget_whole(const struct delivery_budget *b, struct delivery_rate rate);
