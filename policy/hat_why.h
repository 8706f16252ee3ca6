/* policy/hat_why.h - phrases for a person: why a row of a HAT matches a host, and why not.
 *
 * For hat_explain.c. Each call appends to a text of POLICY_HAT_WHY_BYTES; what does not fit is left
 * out. A row with a million entries is told by its first few and their number.
 */
#pragma once
#include "policy/hat_table.h"

#define POLICY_HAT_WHY_BYTES 4096

void policy_hat_why(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                    uint32_t entry, const struct policy_sender *sender);
void policy_hat_why_not(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                        const struct policy_hat_row *row, const struct policy_sender *sender);

/* What a row behind the deciding one would have wanted to know. */
void policy_hat_why_unknown(char why[static POLICY_HAT_WHY_BYTES], const struct policy_hat *hat,
                            const struct policy_hat_needs *unknown);

void policy_hat_why_append(char why[static POLICY_HAT_WHY_BYTES], const char *format, ...)
    PRINTF_LIKE(2, 3);
