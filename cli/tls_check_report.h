/* cli/tls_check_report.h - the findings of `postern tls-check` on standard output.
 *
 * For a person: a table in the shape of CheckTLS, one row for each address with its stages, then
 * everything that is known of each, what Postern would do, and the verdict. For a program: all of
 * it as one JSON object.
 */
#pragma once
#include "cli/tls_check_verdict.h"

struct tlscheck_report { /* Borrowed. */
    const struct tlscheck_findings *findings;
    const struct tlscheck_verdict *verdict;
    const struct policy_destination *destination; /* the entry of a configuration; NULL: none */
    const char *config;                           /* its file; NULL: none */
    bool has_colours;
};

void tlscheck_print_table(const struct tlscheck_report *r);   /* tls_check_table.c */
void tlscheck_print_details(const struct tlscheck_report *r); /* tls_check_details.c */

/* STATUS_NO_MEMORY: nothing was written. */
MUST_USE enum status tlscheck_print_json(const struct tlscheck_report *r); /* tls_check_json.c */
