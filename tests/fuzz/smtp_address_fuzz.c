/* What the grammar takes keeps every promise of its header, and is taken again as it stands. */
#include <stdint.h>

#include "base/check.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct slice part, struct slice text)
{
    return part.len == 0 ||
           (part.data >= text.data && part.data + part.len <= text.data + text.len);
}

static void check_mailbox(const struct smtp_mailbox *m, struct slice text)
{
    bool has_high = false;

    ASSERT(is_within(m->whole, text) && is_within(m->local, text) && is_within(m->domain, text));
    ASSERT(m->whole.len <= SMTP_MAILBOX_BYTES_MAX && m->local.len <= SMTP_LOCAL_BYTES_MAX);
    ASSERT((m->domain.len == 0) == (m->domain_kind == SMTP_DOMAIN_NONE));
    for (size_t i = 0; i < m->whole.len; i++) {
        unsigned char c = (unsigned char)m->whole.data[i];

        ASSERT(c >= ' ' && c != 0x7f);
        ASSERT(m->is_quoted || (c != ' ' && c != '<' && c != '>' && c != '"'));
        has_high = has_high || c >= 0x80;
    }
    ASSERT(has_high == m->has_non_ascii);
    ASSERT(smtp_utf8_is_valid(m->whole));
}

static void check_path(struct slice text, enum smtp_path_kind kind)
{
    struct slice rest = text;
    struct smtp_mailbox m, again;

    if (!smtp_path_parse(&rest, kind, &m)) {
        ASSERT(rest.data == text.data && rest.len == text.len);
        return;
    }
    ASSERT(rest.len < text.len && rest.data[-1] == '>');
    check_mailbox(&m, text);
    if (m.domain.len > 0) {
        ASSERT(smtp_mailbox_parse(m.whole, &again));
        ASSERT(slice_equal(m.local, again.local) && slice_equal(m.domain, again.domain));
    } else {
        ASSERT(kind == SMTP_PATH_REVERSE ? m.whole.len == 0 : slice_is_word(m.local, "postmaster"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    struct smtp_mailbox m;

    check_path(text, SMTP_PATH_REVERSE);
    check_path(text, SMTP_PATH_FORWARD);
    if (smtp_mailbox_parse(text, &m)) {
        check_mailbox(&m, text);
        ASSERT(m.whole.len == size && m.domain.len > 0);
    }
    return 0;
}
