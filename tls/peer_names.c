#include "tls/peer_names.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "tls/internal.h"

#define HOST_BYTES_MAX  253 /* RFC 1035 2.3.4, as text */
#define LABEL_BYTES_MAX 63

static struct slice without_final_dot(struct slice name)
{
    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

static bool is_wildcard(struct slice name)
{
    return name.len > 2 && name.data[0] == '*' && name.data[1] == '.';
}

static bool label_is_good(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_letter(label.data[i]) && !ascii_is_digit(label.data[i]) &&
            label.data[i] != '-' && label.data[i] != '_')
            return false;
    return true;
}

/* Whether all of it is labels, `least` of them or more, the last of which is no number: that would
 * be an address, which a dNSName cannot be (RFC 5280 4.2.1.6). */
static bool is_host(struct slice name, int least)
{
    struct slice label = { .len = 0 };
    int labels = 0;
    uint64_t number;

    if (name.len == 0 || name.len > HOST_BYTES_MAX || name.data[name.len - 1] == '.')
        return false;
    for (; name.len > 0; labels++) {
        label = slice_cut(&name, '.');
        if (!label_is_good(label))
            return false;
    }
    return labels >= least && !slice_to_number(label, UINT64_MAX, &number);
}

/* A host, or a wildcard above two labels or more. */
static bool is_name(struct slice name)
{
    return is_wildcard(name) ? is_host(slice_after(name, 2), 2) : is_host(name, 1);
}

/* The name without its first label. */
static struct slice above(struct slice name)
{
    (void)slice_cut(&name, '.');
    return name;
}

/* Both are names. With a wildcard on either side it stands for the one label of the other that it
 * takes the place of. */
static bool host_matches(struct slice has, struct slice wanted)
{
    if (is_wildcard(has) || is_wildcard(wanted))
        return slice_equal_nocase(above(has), above(wanted));
    return slice_equal_nocase(has, wanted);
}

/* RFC 5280 7.5 compares the local part letter by letter; but nobody who hands out certificates
 * gives Ann@ and ann@ to two people, and a list that is typed by hand has either. */
static bool mailbox_matches(struct slice has, struct slice wanted)
{
    for (size_t i = 0; i < has.len; i++)
        if (has.data[i] <= ' ' || has.data[i] > '~')
            return false;
    return slice_equal_nocase(without_final_dot(has), wanted);
}

static bool mailboxes_have(const struct tls_peer_names *names, struct slice wanted)
{
    struct slice domain = wanted;

    (void)slice_cut(&domain, '@');
    if (wanted.data[0] == '@' || !is_host(domain, 1))
        return false;
    for (size_t i = 0; i < names->mailboxes_count; i++)
        if (mailbox_matches(names->mailboxes[i], wanted))
            return true;
    return false;
}

bool tls_peer_host_matches(struct slice has, struct slice wanted)
{
    has = without_final_dot(has);
    wanted = without_final_dot(wanted);
    return is_name(has) && is_host(wanted, 1) && host_matches(has, wanted);
}

bool tls_peer_is_host(struct slice name)
{
    return is_host(without_final_dot(name), 1);
}

bool tls_peer_names_have(const struct tls_peer_names *names, struct slice wanted)
{
    struct slice common_name = without_final_dot(names->common_name);

    wanted = without_final_dot(wanted);
    if (wanted.len > 0 && memchr(wanted.data, '@', wanted.len) != NULL)
        return mailboxes_have(names, wanted);
    if (!is_name(wanted))
        return false;
    for (size_t i = 0; i < names->hosts_count; i++) {
        struct slice host = without_final_dot(names->hosts[i]);

        if (is_name(host) && host_matches(host, wanted))
            return true;
    }
    return !tls_peer_names_are_listed(names) && is_name(common_name) &&
           host_matches(common_name, wanted);
}

static void name_take(const GENERAL_NAME *name, int type, struct slice *list, size_t *count)
{
    int found;
    const ASN1_IA5STRING *text = GENERAL_NAME_get0_value(name, &found);

    if (found == type)
        list[(*count)++] = (struct slice){ (const char *)ASN1_STRING_get0_data(text),
                                           (size_t)ASN1_STRING_length(text) };
}

bool tls_peer_listing_of(X509 *certificate, const char *common_name, struct tls_peer_listing *l)
{
    int critical, count;

    *l = (struct tls_peer_listing){ .names = { .hosts = l->hosts, .mailboxes = l->mailboxes } };
    l->alternatives = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    ERR_clear_error();
    /* -1: there are none. Anything else that is NULL is there, but not fit to be read. */
    if (l->alternatives == NULL && critical != -1)
        return false;
    count = l->alternatives != NULL ? sk_GENERAL_NAME_num(l->alternatives) : 0;
    for (int i = 0; i < count && i < TLS_PEER_NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(l->alternatives, i);

        name_take(name, GEN_DNS, l->hosts, &l->names.hosts_count);
        name_take(name, GEN_EMAIL, l->mailboxes, &l->names.mailboxes_count);
    }
    l->names.is_cut = count > TLS_PEER_NAMES_MAX;
    if (common_name != NULL)
        l->names.common_name = slice_from(common_name);
    return true;
}

bool tls_peer_listing_take(const struct tls_session *s, struct tls_peer_listing *l)
{
    X509 *certificate = s->peer;

    if (certificate == NULL && s->ssl != NULL)
        certificate = SSL_get0_peer_certificate(s->ssl);
    return certificate != NULL && tls_peer_listing_of(certificate, s->common_name, l);
}

void tls_peer_listing_finish(struct tls_peer_listing *l)
{
    GENERAL_NAMES_free(l->alternatives);
}

bool tls_session_peer_has_name(const struct tls_session *s, struct slice wanted)
{
    struct tls_peer_listing listing;
    bool has;

    ASSERT(s->established);
    if (tls_session_verify_problem(s) != NULL || tls_dane_is_judge(s) ||
        !tls_peer_listing_take(s, &listing))
        return false;
    has = tls_peer_names_have(&listing.names, wanted);
    tls_peer_listing_finish(&listing);
    return has;
}
