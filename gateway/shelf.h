/* gateway/shelf.h - which messages are in memory, and which are on disk only: on the shelf.
 *
 * The setting memory.messages bounds what envelopes and bodies take in memory. When all workers
 * together come near it, each puts its messages on the shelf that nobody reads, those first that
 * have been in memory the longest, until there is room again. What stays is struct
 * gateway_message with its items, so that schedules, limits and order know no difference. Who
 * wants to read a message holds it, and where that fails has it fetched from its segment:
 *
 *     gateway_message_hold -> read -> gateway_message_let_go
 *                  false: gateway_item_fetch -> ... -> gateway_outbound_fetched, held
 *
 * Readers are counted in the one field of a message that several workers write. The home makes it
 * SHELVED only where it finds 0, and frees the memory after that; a message that is being
 * committed is held. (STYLE 7 wants nothing shared: a message to the home and back before each
 * delivery would be the price, paid by all for the few that were on the shelf.)
 *
 * Fetches of a worker are bounded, in number and by the same budget: at least one goes on, the
 * others wait in order. One that fails is asked for again later by who wants it: the item by its
 * back-off, a bounce every GATEWAY_SHELF_RETRY_MS. When compaction has put the message aside the
 * answer is STATUS_NOT_FOUND, for good.
 */
#pragma once
#include "engine/loop.h"
#include "engine/timer.h"
#include "gateway/message.h"

#define GATEWAY_SHELF_HIGH_PERCENT 75u /* of memory.messages: more, and messages are put away */
#define GATEWAY_SHELF_LOW_PERCENT  65u /* until there is no more than this */
/* What recovery finds may fill so much of it: until it has a home it cannot be put away, and new
 * mail would find no room. The rest of it is on disk. */
#define GATEWAY_SHELF_RECOVERED_PERCENT 25u

#define GATEWAY_SHELF_STEPS_MAX   512u /* messages looked at in one go */
#define GATEWAY_SHELF_FETCHES_MAX 64u  /* reads in flight */
#define GATEWAY_SHELF_RETRY_MS    10000u
#define GATEWAY_SHELF_PAUSE_MS    100u /* when all that is in memory is being read */

struct gateway_outbound;

struct gateway_shelf { /* Fields are private. */
    struct gateway_worker *worker;
    struct slim_list messages; /* on disk only; those in memory are worker->messages */
    struct list waiting;       /* struct gateway_fetch */
    unsigned reading;          /* fetches under way */
    struct engine_task sweep;
    struct engine_timer pause;
};

void gateway_shelf_init(struct gateway_shelf *shelf, struct gateway_worker *worker);

/* More than GATEWAY_SHELF_HIGH_PERCENT is used. */
bool gateway_shelf_is_high(const struct gateway_worker *worker);

/* --- for the home ---------------------------------------------------------------------------- */

/* A message that is made takes `spool` and is held by the caller. */
void gateway_shelf_enter(struct gateway_message *m, struct spool_message *spool);

/* One that recovery has found, and that has no home yet: copies the view where messages together
 * stay below the share of that budget, and there is memory. Any thread. Then, on the home's. */
void gateway_shelf_keep(struct gateway_message *m, const struct spool_message *view,
                        uint64_t budget);
void gateway_shelf_settle(struct gateway_message *m);

/* It is freed. */
void gateway_shelf_leave(struct gateway_message *m);

/* Looks whether messages have to be put away, at the end of the turn. */
void gateway_shelf_check(struct gateway_worker *worker);

/* gateway_bounce_start(), held, as soon as the message is in memory. gateway_message_bounced()
 * lets go. */
void gateway_shelf_begin_bounce(struct gateway_message *m, struct gateway_report *report);

/* gateway_compaction_fetched() comes, held or not. For one that is on the shelf. */
void gateway_shelf_fetch_for_compaction(struct gateway_message *m);

/* --- for all workers ------------------------------------------------------------------------- */

/* False: it is on disk only. */
MUST_USE bool gateway_message_hold(struct gateway_message *m);
void gateway_message_let_go(struct gateway_message *m);

/* For the owner of an item: gateway_outbound_fetched() comes for `wanted_by`, unless it is
 * forgotten before; with a fetch under way already, when that ends. STATUS_NO_MEMORY: it does not
 * come. */
MUST_USE enum status gateway_item_fetch(struct gateway_item *item, struct engine_loop *from,
                                        struct gateway_outbound *wanted_by);
void gateway_item_forget_fetch(struct gateway_item *item);
