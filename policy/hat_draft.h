/* policy/hat_draft.h - a HAT while it is put together, for builder.c.
 *
 * Rows and entries come one by one and their numbers are not known before the end, so rows are a
 * list, and texts fill chunks; a million entries cost their texts and nothing besides. All of
 * it lives in the scratch arena given at the start, but for the names of the HAT and its
 * groups. Errors are those of policy/builder.h.
 */
#pragma once
#include "policy/hat_table.h"

struct policy_hat_draft;

MUST_USE enum status policy_hat_draft_create(struct slice name, struct arena *arena,
                                             struct arena *scratch,
                                             struct policy_hat_draft **draft_out);
MUST_USE enum status policy_hat_draft_add_row(struct policy_hat_draft *d, struct slice group,
                                              const struct policy_mail_flow *flow);
MUST_USE enum status policy_hat_draft_add_entry(struct policy_hat_draft *d, struct slice text);

/* Moves it to a compiled HAT in the arena. */
MUST_USE enum status policy_hat_draft_finish(const struct policy_hat_draft *d,
                                             struct policy_hat **hat_out);
