#include "observe/tls_report_record.h"

#define VERSION SLICE("v=TLSRPTv1")
#define MAILTO  SLICE("mailto:")
#define HTTPS   SLICE("https://")

#define LOCAL_PART_MAX 64 /* RFC 5321 4.5.3.1.1 */

static bool begins(struct slice text, struct slice with)
{
    return text.len >= with.len && slice_equal_nocase(slice_first(text, with.len), with);
}

bool observe_tls_record_is_one(struct slice text)
{
    struct slice rest;

    /* The case of the version matters, RFC 8460 3: %s. */
    if (text.len > OBSERVE_TLS_RECORD_BYTES_MAX || text.len < VERSION.len ||
        !slice_equal(slice_first(text, VERSION.len), VERSION))
        return false;
    rest = slice_trim(slice_after(text, VERSION.len));
    return rest.len > 0 && rest.data[0] == ';';
}

static int hex_value(char c)
{
    c = ascii_lower(c);
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one character off, decoded (RFC 3986 2.1); -1: it is none. */
static int next_decoded(struct slice *text)
{
    int high, low, c = (unsigned char)text->data[0];

    if (c != '%') {
        *text = slice_after(*text, 1);
        return c;
    }
    if (text->len < 3)
        return -1;
    high = hex_value(text->data[1]);
    low = hex_value(text->data[2]);
    *text = slice_after(*text, 3);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* An address that goes into RCPT and a header as it is: what of RFC 5322 needs no quotes. */
static bool is_plain_address(struct slice address)
{
    struct slice domain = address, local = slice_cut(&domain, '@');

    if (local.len == 0 || local.len > LOCAL_PART_MAX || domain.len == 0 || domain.len > 253)
        return false;
    for (size_t i = 0; i < local.len; i++) {
        char c = local.data[i];

        if (!ascii_is_letter(c) && !ascii_is_digit(c) &&
            (c == '\0' || strchr("!#$%&'*+-/=?^_`{|}~.", c) == NULL))
            return false;
    }
    for (size_t i = 0; i < domain.len; i++) {
        char c = domain.data[i];

        if (!ascii_is_letter(c) && !ascii_is_digit(c) && c != '-' && c != '.')
            return false;
    }
    return local.data[0] != '.' && domain.data[0] != '.' && domain.data[0] != '-';
}

static bool read_mailto(struct slice text, struct observe_tls_uri *uri_out)
{
    size_t len = 0;

    text = slice_cut(&text, '?');
    while (text.len > 0) {
        int c = next_decoded(&text);

        if (c < 0x21 || c > 0x7e || len == sizeof(uri_out->text) - 1)
            return false;
        uri_out->text[len++] = (char)c;
    }
    uri_out->text[len] = '\0';
    uri_out->kind = OBSERVE_TLS_MAILTO;
    return is_plain_address((struct slice){ uri_out->text, len });
}

/* As it stands: who posts to it takes it apart. There is a host, and nothing that is no URI. */
static bool read_https(struct slice text, struct observe_tls_uri *uri_out)
{
    struct slice rest = slice_after(text, HTTPS.len);

    if (text.len >= sizeof(uri_out->text) || rest.len == 0 ||
        (!ascii_is_letter(rest.data[0]) && !ascii_is_digit(rest.data[0]) && rest.data[0] != '['))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c < 0x21 || c > 0x7e || strchr("\"<>\\^`{|}", c) != NULL)
            return false;
    }
    memcpy(uri_out->text, text.data, text.len);
    uri_out->text[text.len] = '\0';
    uri_out->kind = OBSERVE_TLS_HTTPS;
    return true;
}

/* The domain in an address has no case, and nobody means another one by the case of its local
 * part; a path does have one. */
static bool is_known(const struct observe_tls_record *record, const struct observe_tls_uri *uri)
{
    for (size_t i = 0; i < record->uris_count; i++) {
        const struct observe_tls_uri *known = &record->uris[i];
        struct slice a = slice_from(known->text), b = slice_from(uri->text);

        if (known->kind == uri->kind &&
            (uri->kind == OBSERVE_TLS_MAILTO ? slice_equal_nocase(a, b) : slice_equal(a, b)))
            return true;
    }
    return false;
}

static void read_uris(struct slice list, struct observe_tls_record *record)
{
    while (list.len > 0 && record->uris_count < OBSERVE_TLS_URIS_MAX) {
        struct slice text = slice_trim(slice_cut(&list, ','));
        struct observe_tls_uri *uri = &record->uris[record->uris_count];

        if ((begins(text, MAILTO) ? read_mailto(slice_after(text, MAILTO.len), uri)
                                  : begins(text, HTTPS) && read_https(text, uri)) &&
            !is_known(record, uri))
            record->uris_count++;
    }
}

/* RFC 8460 3: tlsrpt-ext-name; "rua" is one. */
static bool is_name(struct slice name)
{
    if (name.len == 0 || name.len > 32 ||
        !(ascii_is_letter(name.data[0]) || ascii_is_digit(name.data[0])))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_letter(name.data[i]) && !ascii_is_digit(name.data[i]) &&
            name.data[i] != '_' && name.data[i] != '-' && name.data[i] != '.')
            return false;
    return true;
}

bool observe_tls_record_parse(struct slice text, struct observe_tls_record *record_out)
{
    struct observe_tls_record record = { 0 };
    bool has_rua = false;

    if (!observe_tls_record_is_one(text))
        return false;
    (void)slice_cut(&text, ';');
    while (text.len > 0) {
        struct slice value = slice_trim(slice_cut(&text, ';')), name;

        if (value.len == 0 && text.len == 0)
            break; /* behind the last ";" */
        if (memchr(value.data, '=', value.len) == NULL)
            return false;
        name = slice_cut(&value, '=');
        if (!is_name(name) || value.len == 0)
            return false;
        if (!slice_equal(name, SLICE("rua")))
            continue;
        has_rua = true;
        read_uris(value, &record);
    }
    if (!has_rua)
        return false;
    *record_out = record;
    return true;
}
