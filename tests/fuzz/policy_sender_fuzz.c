/* What a HAT row may hold keeps every promise of policy/sender_form.h, and a HAT compiles it. */
#include "policy/builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct policy_sender_entry *e, struct slice text)
{
    ASSERT(e->form != POLICY_SENDER_INVALID && text.len <= POLICY_SENDER_BYTES_MAX);
    if (e->form == POLICY_SENDER_ADDRESS || e->form == POLICY_SENDER_LOOSE || e->has_answer) {
        ASSERT(policy_address_range_holds(&e->range, &e->range.first));
        /* "::/80" ends with what is an IPv4 address by itself. */
        ASSERT(policy_address_range_holds(&e->range, &e->range.last) || !ip_is_v4(&e->range.first));
    }
    if (e->form == POLICY_SENDER_NAME || e->form == POLICY_SENDER_PARTIAL ||
        e->form == POLICY_SENDER_LIST)
        ASSERT(e->name.len > 0 && e->name.data >= text.data &&
               e->name.data + e->name.len <= text.data + text.len);
    if (e->form == POLICY_SENDER_SCORE)
        ASSERT(POLICY_SCORE_TENTHS_MIN <= e->tenths_min && e->tenths_min <= e->tenths_max &&
               e->tenths_max <= POLICY_SCORE_TENTHS_MAX);
}

/* A HAT that has the sender in its first row gives that row to the first address of its range. */
static void check_compiled(const struct policy_sender_entry *e, struct slice text)
{
    struct policy_mail_flow flow = policy_mail_flow_default();
    const struct policy_mail_flow *added;
    struct policy_hat_draft *draft;
    struct policy_snapshot *snapshot;
    struct policy_builder *b;
    struct policy_sender sender = { .address = e->range.first };

    ASSERT(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b) == STATUS_OK);
    ASSERT(policy_builder_add_mail_flow(b, &flow, &added) == STATUS_OK);
    ASSERT(policy_builder_add_hat(b, SLICE("h"), &draft) == STATUS_OK);
    ASSERT(policy_builder_add_hat_row(b, draft, SLICE("a"), added) == STATUS_OK);
    ASSERT(policy_builder_add_hat_entry(b, draft, text) == STATUS_OK);
    ASSERT(policy_builder_add_hat_row(b, draft, SLICE("b"), added) == STATUS_OK);
    ASSERT(policy_builder_add_hat_entry(b, draft, SLICE("ALL")) == STATUS_OK);
    ASSERT(policy_builder_finish(b, &snapshot) == STATUS_OK);
    policy_builder_destroy(b);
    const struct policy_hat *hat = policy_snapshot_hat(snapshot, SLICE("h"));
    bool is_address = e->form == POLICY_SENDER_ADDRESS || e->form == POLICY_SENDER_LOOSE;

    ASSERT(policy_hat_find(hat, &sender).row ==
           (is_address || e->form == POLICY_SENDER_ALL ? 0u : 1u));
    policy_snapshot_destroy(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    struct policy_sender_entry e;
    const char *why = policy_sender_parse(text, &e);

    if (why != NULL) {
        ASSERT(why[0] != '\0');
        return 0;
    }
    check_entry(&e, text);
    check_compiled(&e, text);
    return 0;
}
