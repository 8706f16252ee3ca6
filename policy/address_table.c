#include "policy/address_table.h"

#include "base/ip.h"
#include "policy/hat.h"

/* A local part with its "@", and room for a domain behind it. */
struct user {
    char text[POLICY_ADDRESS_LOCAL_BYTES_MAX + 1 + POLICY_NAME_BYTES_MAX];
    size_t len; /* with the "@"; 0: too long to match any pattern */
};

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

/* Printable, unquoted, without spaces: patterns are compared with the unquoted local part. */
static bool is_local(struct slice text)
{
    if (text.len == 0 || text.len > POLICY_ADDRESS_LOCAL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] == 0x7f || strchr("\"()<>@,;:\\*", text.data[i]))
            return false;
    return true;
}

enum policy_address_form policy_address_form(struct slice text)
{
    struct slice rest = text, local;

    if (slice_is_word(text, "ALL"))
        return POLICY_ADDRESS_ALL;
    if (policy_domain_is_partial(text))
        return POLICY_ADDRESS_PARTIAL;
    if (policy_domain_is_valid(text) || is_address_literal(text))
        return POLICY_ADDRESS_DOMAIN;
    local = slice_cut(&rest, '@');
    if (local.len == text.len || !is_local(local))
        return POLICY_ADDRESS_INVALID;
    if (rest.len == 0)
        return POLICY_ADDRESS_USER;
    return policy_domain_is_valid(rest) || is_address_literal(rest) ? POLICY_ADDRESS_WHOLE
                                                                    : POLICY_ADDRESS_INVALID;
}

/* Takes the quotes of RFC 5321 4.1.2 Quoted-string off. */
static void unquote(struct slice local, struct user *user)
{
    bool is_quoted = local.len >= 2 && local.data[0] == '"' && local.data[local.len - 1] == '"';
    size_t used = 0;

    user->len = 0;
    if (is_quoted)
        local = slice_after(slice_first(local, local.len - 1), 1);
    for (size_t i = 0; i < local.len; i++) {
        if (is_quoted && local.data[i] == '\\' && i + 1 < local.len)
            i++;
        if (used == POLICY_ADDRESS_LOCAL_BYTES_MAX)
            return;
        user->text[used++] = local.data[i];
    }
    user->text[used] = '@';
    user->len = used + 1;
}

bool policy_address_local_is(struct slice local, const char *word)
{
    struct user user;

    unquote(local, &user);
    return user.len > 0 && slice_is_word((struct slice){ user.text, user.len - 1 }, word);
}

static void keep_lowest(const struct policy_address_table *t, struct slice key, size_t *best)
{
    size_t number;

    if (policy_domain_map_get(&t->keys, key, &number) && number < *best)
        *best = number;
}

/* The lowest pattern but ALL that covers user and domain; each may be empty. */
static size_t find_lowest(const struct policy_address_table *t, struct user *user,
                          struct slice domain)
{
    struct policy_domain_walk walk = policy_domain_walk_begin(domain);
    size_t best = POLICY_ADDRESS_NONE;
    struct slice key;

    domain = policy_domain_normal(domain);
    if (user->len > 1) {
        keep_lowest(t, (struct slice){ user->text, user->len }, &best);
        if (domain.len > 0 && domain.len <= POLICY_NAME_BYTES_MAX) {
            memcpy(user->text + user->len, domain.data, domain.len);
            keep_lowest(t, (struct slice){ user->text, user->len + domain.len }, &best);
        }
    }
    while (policy_domain_walk_next(&walk, &key))
        keep_lowest(t, key, &best);
    return best;
}

static size_t or_all(const struct policy_address_table *t, size_t best)
{
    return t->lowest_all > 0 && t->lowest_all - 1 < best ? t->lowest_all - 1 : best;
}

size_t policy_address_table_find_named(const struct policy_address_table *t, struct slice local,
                                       struct slice domain)
{
    struct user user;

    unquote(local, &user);
    return find_lowest(t, &user, domain);
}

size_t policy_address_table_find(const struct policy_address_table *t, struct slice local,
                                 struct slice domain)
{
    return or_all(t, policy_address_table_find_named(t, local, domain));
}

bool policy_address_table_init(struct policy_address_table *t, struct arena *arena,
                               size_t patterns_max)
{
    t->lowest_all = 0;
    return policy_domain_map_init(&t->keys, arena, patterns_max);
}

void policy_address_table_add(struct policy_address_table *t, struct slice text, size_t number)
{
    if (!slice_is_word(text, "ALL"))
        policy_domain_map_add(&t->keys, policy_domain_normal(text), number);
    else if (t->lowest_all == 0)
        t->lowest_all = number + 1;
}

size_t policy_address_table_cover(const struct policy_address_table *t, struct slice text)
{
    struct slice rest = text, head = slice_cut(&rest, '@');
    struct user user = { .len = 0 };

    switch (policy_address_form(text)) {
    case POLICY_ADDRESS_INVALID:
    case POLICY_ADDRESS_ALL: return or_all(t, POLICY_ADDRESS_NONE);
    case POLICY_ADDRESS_DOMAIN:
    case POLICY_ADDRESS_PARTIAL: return or_all(t, find_lowest(t, &user, text));
    case POLICY_ADDRESS_WHOLE:
    case POLICY_ADDRESS_USER: break;
    }
    unquote(head, &user);
    return or_all(t, find_lowest(t, &user, rest));
}
