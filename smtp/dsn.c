#include "smtp/dsn.h"

#include <assert.h>

#include "base/check.h"
#include "smtp/address.h"
#include "smtp/xtext.h"

static const struct {
    const char *word;
    enum smtp_notify notify;
} words[] = {
    { "NEVER", SMTP_NOTIFY_NEVER },
    { "SUCCESS", SMTP_NOTIFY_SUCCESS },
    { "FAILURE", SMTP_NOTIFY_FAILURE },
    { "DELAY", SMTP_NOTIFY_DELAY },
};

bool smtp_notify_is_valid(unsigned notify)
{
    bool is_never = (notify & SMTP_NOTIFY_NEVER) != 0;

    return notify != 0 && (notify & ~SMTP_NOTIFY_ALL) == 0 &&
           (!is_never || notify == SMTP_NOTIFY_NEVER);
}

bool smtp_notify_wants_failure(unsigned notify)
{
    return !smtp_notify_is_valid(notify) || (notify & SMTP_NOTIFY_FAILURE) != 0;
}

bool smtp_notify_wants_delay(unsigned notify)
{
    return !smtp_notify_is_valid(notify) || (notify & SMTP_NOTIFY_DELAY) != 0;
}

bool smtp_notify_wants_success(unsigned notify)
{
    return smtp_notify_is_valid(notify) && (notify & SMTP_NOTIFY_SUCCESS) != 0;
}

static bool word_find(struct slice word, enum smtp_notify *notify_out)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_is_word(word, words[i].word)) {
            *notify_out = words[i].notify;
            return true;
        }
    return false;
}

bool smtp_notify_parse(struct slice value, unsigned *notify_out)
{
    bool ends_in_comma = value.len > 0 && value.data[value.len - 1] == ',';
    unsigned notify = 0;

    while (value.len > 0) {
        enum smtp_notify one;

        if (!word_find(slice_cut(&value, ','), &one))
            return false;
        notify |= one;
    }
    if (ends_in_comma || !smtp_notify_is_valid(notify))
        return false;
    *notify_out = notify;
    return true;
}

bool smtp_ret_parse(struct slice value, enum smtp_ret *ret_out)
{
    if (slice_is_word(value, "FULL"))
        *ret_out = SMTP_RET_FULL;
    else if (slice_is_word(value, "HDRS"))
        *ret_out = SMTP_RET_HDRS;
    else
        return false;
    return true;
}

/* xtext of at most SMTP_ORCPT_BYTES_MAX bytes that decodes to printable ASCII, at least one. */
static bool is_printable_xtext(struct slice text)
{
    char decoded[SMTP_ORCPT_BYTES_MAX];
    size_t len;

    if (text.len == 0 || text.len > sizeof(decoded) ||
        !smtp_xtext_decode(text, SMTP_XTEXT_CAPITALS, decoded, &len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (decoded[i] < ' ' || decoded[i] > '~')
            return false;
    return true;
}

bool smtp_envid_is_valid(struct slice value)
{
    return value.len <= SMTP_ENVID_BYTES_MAX && is_printable_xtext(value);
}

/* An atom (RFC 5322 3.2.3) that may stand in the value of a parameter: no "=". */
static bool is_address_type(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_letter(text.data[i]) && !ascii_is_digit(text.data[i]) &&
            memchr("!#$%&'*+-/?^_`{|}~", text.data[i], 18) == NULL)
            return false;
    return text.len > 0;
}

/* RFC 6533 section 3: xtext in which UTF-8 stands for itself. */
static bool is_printable_unitext(struct slice text)
{
    char ascii[SMTP_ORCPT_BYTES_MAX];

    if (text.len > sizeof(ascii) || !smtp_utf8_is_valid(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        ascii[i] = (unsigned char)text.data[i] < 0x80 ? text.data[i] : 'x';
    return is_printable_xtext((struct slice){ ascii, text.len });
}

bool smtp_orcpt_is_valid(struct slice value)
{
    struct slice rest = value, type = slice_cut(&rest, ';');

    if (value.len > SMTP_ORCPT_BYTES_MAX || !is_address_type(type))
        return false;
    return slice_is_word(type, "utf-8") ? is_printable_unitext(rest) : is_printable_xtext(rest);
}

const char *smtp_notify_text(unsigned notify)
{
    static const char *const lists[] = {
        NULL,    "SUCCESS",       "FAILURE",       "SUCCESS,FAILURE",
        "DELAY", "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY",
    };
    static_assert(SMTP_NOTIFY_SUCCESS == 2 && SMTP_NOTIFY_DELAY == 8, "the lists are in order");

    ASSERT(smtp_notify_is_valid(notify));
    return notify == SMTP_NOTIFY_NEVER ? "NEVER" : lists[notify >> 1];
}
