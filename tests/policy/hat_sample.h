/* tests/policy/hat_sample.h - a HAT out of rows that stand in a test.
 *
 * For one test each: what it defines is static.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/builder.h"

#define ENTRIES_MAX 12

struct row {
    const char *group;
    enum policy_access access;
    const char *entries[ENTRIES_MAX]; /* up to the first NULL */
};

/* Builds a HAT named "h" of these rows; the mail flow of a row is named as its group. */
static inline enum status build(const struct row *rows, size_t rows_count,
                                struct policy_snapshot **snapshot_out)
{
    struct policy_builder *b;
    struct policy_hat_draft *hat;
    enum status status;

    assert_int_equal(policy_builder_create(7, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_add_hat(b, SLICE("h"), &hat), STATUS_OK);
    for (size_t i = 0; i < rows_count; i++) {
        struct policy_mail_flow flow = policy_mail_flow_default();
        const struct policy_mail_flow *added;

        flow.name = slice_from(rows[i].group);
        flow.access = rows[i].access;
        assert_int_equal(policy_builder_add_mail_flow(b, &flow, &added), STATUS_OK);
        assert_int_equal(policy_builder_add_hat_row(b, hat, slice_from(rows[i].group), added),
                         STATUS_OK);
        for (size_t k = 0; k < ENTRIES_MAX && rows[i].entries[k] != NULL; k++)
            assert_int_equal(policy_builder_add_hat_entry(b, hat, slice_from(rows[i].entries[k])),
                             STATUS_OK);
    }
    status = policy_builder_finish(b, snapshot_out);
    policy_builder_destroy(b);
    return status;
}

/* A host with this address and, unless it is "", this verified name. */
static inline struct policy_sender sender_of(const char *address, const char *name)
{
    struct policy_sender s = { .name = slice_from(name),
                               .reverse = name[0] != '\0' ? POLICY_REVERSE_VERIFIED
                                                          : POLICY_REVERSE_UNKNOWN };

    assert_true(ip_parse(slice_from(address), &s.address));
    return s;
}
