/* gateway/names.h - the resolver that a worker asks, counted by those who ask it.
 *
 * A reload with other DNS settings makes a new one; the old one stays for the questions that were
 * put to it and goes with the last of them. Belongs to the worker's thread, once it is made.
 */
#pragma once
#include "config/settings.h"
#include "gateway/resolver.h"

struct gateway_names; /* private */

/* Counted once, for the worker of the loop, of which it touches nothing: any thread may make it.
 * questions_max: in flight. Why it failed is in reason_out. */
MUST_USE enum status gateway_names_create(struct engine_loop *loop, const struct config_dns *dns,
                                          unsigned questions_max, struct gateway_names **names_out,
                                          struct dns_reason *reason_out);

struct gateway_names *gateway_names_acquire(struct gateway_names *names);
void gateway_names_release(
    struct gateway_names *names); /* the last one destroys it; NULL is fine */

struct dns_source *gateway_names_source(struct gateway_names *names);

/* Whether both settings ask the same. */
bool gateway_names_are_same(const struct config_dns *a, const struct config_dns *b);
