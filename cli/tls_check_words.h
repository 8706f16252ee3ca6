/* cli/tls_check_words.h - the verdict of `postern tls-check` in sentences for a person. Pure.
 *
 * For tls_check_verdict.c, which weighs the addresses and decides all but the words.
 */
#pragma once
#include "cli/tls_check_verdict.h"

/* The address that decides, and what all have in common. */
struct tlscheck_weighing {
    struct tlscheck_plan open; /* all that can be had is used, nothing of it demanded */
    unsigned common;           /* proofs */
    size_t unproved;           /* an address that gets mail and proves nothing */
    bool has_unproved;
    bool is_taken;                           /* some host takes the sender, or was not asked */
    bool is_unknown[TLSCHECK_ADDRESSES_MAX]; /* it may get mail, and has not shown its TLS */
};

/* Appends to the text of the verdict, all else of which is settled. destination: of a verdict that
 * has a plan. */
void tlscheck_say_verdict(const struct tlscheck_findings *f,
                          const struct policy_destination *destination,
                          const struct tlscheck_weighing *w, struct tlscheck_verdict *v);
