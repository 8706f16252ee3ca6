#include "policy/rat.h"

#include "base/ip.h"
#include "policy/hat.h"
#include "policy/rat_table.h"

#define LOCAL_BYTES_MAX 256 /* four times what RFC 5321 4.5.3.1.1 allows */

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", RFC 5321 4.1.3. */
static bool is_address_literal(struct slice text)
{
    const struct slice tag = SLICE("IPv6:");
    struct ip_address address;

    if (text.len < 2 || text.data[0] != '[' || text.data[text.len - 1] != ']')
        return false;
    text = slice_after(slice_first(text, text.len - 1), 1);
    if (text.len > tag.len && slice_equal_nocase(slice_first(text, tag.len), tag))
        return ip_parse(slice_after(text, tag.len), &address) && !ip_is_v4(&address);
    return ip_parse(text, &address) && ip_is_v4(&address);
}

/* Printable, unquoted, without spaces: entries are compared with the unquoted local part. */
static bool is_local(struct slice text)
{
    if (text.len == 0 || text.len > LOCAL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] == 0x7f || strchr("\"()<>@,;:\\*", text.data[i]))
            return false;
    return true;
}

enum policy_recipient_form policy_recipient_form(struct slice text)
{
    struct slice rest = text, local;

    if (slice_is_word(text, "ALL"))
        return POLICY_RECIPIENT_ALL;
    if (policy_domain_is_partial(text))
        return POLICY_RECIPIENT_PARTIAL;
    if (policy_domain_is_valid(text) || is_address_literal(text))
        return POLICY_RECIPIENT_DOMAIN;
    local = slice_cut(&rest, '@');
    if (local.len == text.len || !is_local(local))
        return POLICY_RECIPIENT_INVALID;
    if (rest.len == 0)
        return POLICY_RECIPIENT_USER;
    return policy_domain_is_valid(rest) || is_address_literal(rest) ? POLICY_RECIPIENT_ADDRESS
                                                                    : POLICY_RECIPIENT_INVALID;
}

/* Takes the quotes of RFC 5321 4.1.2 Quoted-string off, so that "us\er"@ is not a way around
 * an entry for user@. Returns the bytes written; longer local parts match no user entry. */
static size_t unquote(struct slice local, char out[static LOCAL_BYTES_MAX + 1])
{
    bool is_quoted = local.len >= 2 && local.data[0] == '"' && local.data[local.len - 1] == '"';
    size_t used = 0;

    if (is_quoted)
        local = slice_after(slice_first(local, local.len - 1), 1);
    for (size_t i = 0; i < local.len; i++) {
        if (is_quoted && local.data[i] == '\\' && i + 1 < local.len)
            i++;
        if (used == LOCAL_BYTES_MAX)
            return 0;
        out[used++] = local.data[i];
    }
    out[used] = '@';
    return used + 1;
}

static void keep_lowest(const struct policy_rat *rat, struct slice key, size_t *best)
{
    size_t number;

    if (policy_domain_map_get(&rat->keys, key, &number) && number < *best)
        *best = number;
}

/* The lowest entry that covers local@domain; each side may be empty. user has room for the
 * domain behind its user_len bytes, of which the last is "@". */
static size_t find_lowest(const struct policy_rat *rat, char *user, size_t user_len,
                          struct slice domain, size_t best)
{
    struct policy_domain_walk walk = policy_domain_walk_begin(domain);
    struct slice key;

    domain = policy_domain_normal(domain);
    if (user_len > 1) {
        keep_lowest(rat, (struct slice){ user, user_len }, &best);
        if (domain.len > 0 && domain.len <= POLICY_NAME_BYTES_MAX) {
            memcpy(user + user_len, domain.data, domain.len);
            keep_lowest(rat, (struct slice){ user, user_len + domain.len }, &best);
        }
    }
    while (policy_domain_walk_next(&walk, &key))
        keep_lowest(rat, key, &best);
    return best;
}

struct policy_rat_verdict policy_rat_find(const struct policy_rat *rat, struct slice local,
                                          struct slice domain)
{
    struct policy_rat_verdict verdict = { .action = POLICY_RAT_REJECT,
                                          .index = POLICY_RAT_IMPLICIT_ENTRY,
                                          .entry = SLICE("ALL"),
                                          .reply = { POLICY_RAT_REJECT_CODE,
                                                     SLICE(POLICY_RAT_REJECT_TEXT) } };
    char user[LOCAL_BYTES_MAX + 1 + POLICY_NAME_BYTES_MAX];
    size_t user_len = unquote(local, user);
    bool is_postmaster = domain.len == 0 && user_len > 0 &&
                         slice_is_word((struct slice){ user, user_len }, "postmaster@");
    size_t best = find_lowest(rat, user, user_len, domain,
                              is_postmaster ? POLICY_RAT_IMPLICIT_ENTRY : rat->lowest_all);

    if (best != POLICY_RAT_IMPLICIT_ENTRY) {
        verdict.action = rat->entries[best].action;
        verdict.index = best;
        verdict.entry = rat->entries[best].text;
        verdict.reply = rat->entries[best].reply;
    } else if (is_postmaster) {
        verdict.action = POLICY_RAT_ACCEPT;
        verdict.entry = SLICE("postmaster");
    }
    return verdict;
}

enum status policy_rat_compile(struct policy_rat *rat, struct arena *arena)
{
    rat->lowest_all = POLICY_RAT_IMPLICIT_ENTRY;
    if (!policy_domain_map_init(&rat->keys, arena, rat->entries_count))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < rat->entries_count; i++) {
        const struct policy_rat_entry *e = &rat->entries[i];

        if (e->form != POLICY_RECIPIENT_ALL)
            policy_domain_map_add(&rat->keys, policy_domain_normal(e->text), i);
        else if (rat->lowest_all == POLICY_RAT_IMPLICIT_ENTRY)
            rat->lowest_all = i;
    }
    return STATUS_OK;
}

size_t policy_rat_entry_shadowed_by(const struct policy_rat *rat, size_t entry)
{
    char user[LOCAL_BYTES_MAX + 1 + POLICY_NAME_BYTES_MAX];
    size_t user_len = 0, best = rat->lowest_all;

    ASSERT(entry < rat->entries_count);
    const struct policy_rat_entry *e = &rat->entries[entry];
    struct slice rest = e->text, head = slice_cut(&rest, '@');

    switch (e->form) {
    case POLICY_RECIPIENT_INVALID: UNREACHABLE();
    case POLICY_RECIPIENT_ALL: break;
    case POLICY_RECIPIENT_DOMAIN:
    case POLICY_RECIPIENT_PARTIAL: best = find_lowest(rat, user, 0, e->text, best); break;
    case POLICY_RECIPIENT_ADDRESS:
    case POLICY_RECIPIENT_USER:
        user_len = unquote(head, user);
        best = find_lowest(rat, user, user_len, rest, best);
        break;
    }
    return best < entry ? best : POLICY_RAT_IMPLICIT_ENTRY;
}

struct slice policy_rat_entry_text(const struct policy_rat *rat, size_t entry)
{
    ASSERT(entry < rat->entries_count);
    return rat->entries[entry].text;
}

struct slice policy_rat_name(const struct policy_rat *rat)
{
    return rat->name;
}
