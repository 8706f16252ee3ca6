#include "policy/reply.h"

#define NAME_BYTES_MAX 32 /* longer than any name */

bool policy_reply_text_is_valid(struct slice text)
{
    if (text.len > POLICY_REPLY_TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return true;
}

static struct slice or_word(struct slice value, const char *word)
{
    return value.len > 0 ? value : slice_from(word);
}

/* The value of the variable; false when there is none of that name. */
static bool value_of(struct slice name, const struct policy_reply_facts *facts,
                     struct slice *value_out)
{
    if (slice_is_word(name, "Group"))
        *value_out = or_word(facts->group, "None");
    else if (slice_is_word(name, "Hostname"))
        *value_out = or_word(facts->hostname, facts->is_lookup_failed ? "Unknown" : "None");
    else if (slice_is_word(name, "RemoteIP"))
        *value_out = facts->remote_ip;
    else if (slice_is_word(name, "HATEntry"))
        *value_out = or_word(facts->hat_entry, "None");
    else if (slice_is_word(name, "EnvelopeSender"))
        *value_out = facts->envelope_sender;
    else
        return false;
    return true;
}

/* The letters behind a "$" at the start of rest. */
static struct slice name_at(struct slice rest)
{
    size_t len = 1;

    while (len < rest.len && len <= NAME_BYTES_MAX && ascii_is_letter(rest.data[len]))
        len++;
    return slice_after(slice_first(rest, len), 1);
}

bool policy_reply_has_variables(struct slice text)
{
    const struct policy_reply_facts none = { 0 };
    struct slice value;

    for (; text.len > 0; text = slice_after(text, 1))
        if (text.data[0] == '$' && value_of(name_at(text), &none, &value))
            return true;
    return false;
}

static size_t append_printable(char *out, size_t used, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len && used < POLICY_REPLY_EXPANDED_MAX; i++)
        out[used++] = bytes.data[i] >= ' ' && bytes.data[i] <= '~' ? bytes.data[i] : '?';
    return used;
}

size_t policy_reply_expand(struct slice text, const struct policy_reply_facts *facts,
                           char out[static POLICY_REPLY_EXPANDED_MAX])
{
    size_t used = 0;

    while (text.len > 0) {
        struct slice name = text.data[0] == '$' ? name_at(text) : (struct slice){ 0 }, value;

        if (name.len > 0 && value_of(name, facts, &value)) {
            used = append_printable(out, used, value);
            text = slice_after(text, name.len + 1);
        } else {
            used = append_printable(out, used, slice_first(text, 1));
            text = slice_after(text, 1);
        }
    }
    return used;
}
