/* policy/builder.h - puts a snapshot together.
 *
 * Call order: create, any number of adds (a mail flow before the HAT rows that use it, a bounce
 * profile before the destinations that use it), finish. Every text and array is copied. A
 * failed add changes nothing that a later finish would see, but the caller is expected to give
 * up then. Errors of all calls: STATUS_NO_MEMORY when the memory or bytes_max is used up,
 * STATUS_LIMIT when a named maximum is, STATUS_INVALID for a text that is not of its form. Names
 * are not checked for being unique; the first wins.
 */
#pragma once
#include "base/status.h"
#include "policy/snapshot.h"

#define POLICY_BUILDER_BYTES_DEFAULT ((size_t)1 << 30)

struct policy_builder;
struct policy_hat_draft;
struct policy_rat_draft;

MUST_USE enum status policy_builder_create(uint64_t generation, size_t bytes_max,
                                           struct policy_builder **builder_out);
void policy_builder_destroy(struct policy_builder *b); /* accepts NULL */

/* The lists that it names are of this builder; its texts and names are copied, its index is set. */
MUST_USE enum status policy_builder_add_mail_flow(struct policy_builder *b,
                                                  const struct policy_mail_flow *flow,
                                                  const struct policy_mail_flow **flow_out);

/* Complete at once: a mail flow that is added later may name it. */
MUST_USE enum status policy_builder_add_address_list(struct policy_builder *b, struct slice name,
                                                     const struct slice *patterns, size_t count,
                                                     const struct policy_address_list **list_out);

/* The local reputations, at most once. Sorts the entries. */
MUST_USE enum status policy_builder_set_scores(struct policy_builder *b,
                                               struct policy_score_entry *entries, size_t count);

/* The exception table, pattern i with rule i; at most once. A reply of code 0 is the default of
 * policy/address_list.h; otherwise it is 400 to 599. */
MUST_USE enum status policy_builder_set_exceptions(struct policy_builder *b,
                                                   const struct slice *patterns,
                                                   const struct policy_exception_rule *rules,
                                                   size_t count);

MUST_USE enum status policy_builder_add_bounce_profile(
    struct policy_builder *b, const struct policy_bounce_profile *profile,
    const struct policy_bounce_profile **profile_out);

/* Rows are added in the order of evaluation, entries (policy/sender_form.h) to the row added last.
 * flow is one that policy_builder_add_mail_flow() gave. STATUS_LIMIT for the zone of a DNS list
 * when the HAT has POLICY_HAT_LISTS_MAX others. */
MUST_USE enum status policy_builder_add_hat(struct policy_builder *b, struct slice name,
                                            struct policy_hat_draft **hat_out);
MUST_USE enum status policy_builder_add_hat_row(struct policy_builder *b,
                                                struct policy_hat_draft *hat, struct slice group,
                                                const struct policy_mail_flow *flow);
MUST_USE enum status policy_builder_add_hat_entry(struct policy_builder *b,
                                                  struct policy_hat_draft *hat, struct slice text);

MUST_USE enum status policy_builder_add_rat(struct policy_builder *b, struct slice name,
                                            struct policy_rat_draft **rat_out);
/* A reply of code 0 is the default of policy/rat.h; otherwise it is 400 to 599. */
MUST_USE enum status policy_builder_add_rat_entry(struct policy_builder *b,
                                                  struct policy_rat_draft *rat, struct slice text,
                                                  const struct policy_rat_rule *rule);

/* destination->name is ignored by set_default, and is the domain for add. A NULL bounce_profile
 * means the default's, or policy_bounce_profile_default(). */
MUST_USE enum status policy_builder_set_destination_default(
    struct policy_builder *b, const struct policy_destination *destination);
MUST_USE enum status policy_builder_add_destination(struct policy_builder *b,
                                                    const struct policy_destination *destination);

/* route->name is the domain; hosts are copied. They are there exactly for POLICY_ROUTE_HOSTS. */
MUST_USE enum status policy_builder_add_route(struct policy_builder *b,
                                              const struct policy_route *route);

/* Compiles. STATUS_INVALID when a HAT's last row does not match everybody with a policy that
 * decides. On success the builder is empty and only to be destroyed. */
MUST_USE enum status policy_builder_finish(struct policy_builder *b,
                                           struct policy_snapshot **snapshot_out);
