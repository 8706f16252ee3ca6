#include "cli/spool_text.h"

#include <stdio.h>

#include "smtp/address.h"

/* How many bytes of the text, from its start, may be printed as they are. */
static size_t clean_run(struct slice text)
{
    unsigned char first = (unsigned char)text.data[0];
    size_t len;

    if (first < 0x80)
        return first >= 0x20 && first < 0x7f ? 1 : 0;
    len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (len > text.len || !smtp_utf8_is_valid(slice_first(text, len)))
        return 0;
    /* U+0080 to U+009F are controls too. */
    return first == 0xc2 && (unsigned char)text.data[1] < 0xa0 ? 0 : len;
}

const char *cli_spool_clean(struct slice text, char *to, size_t room)
{
    size_t fill = 0;

    ASSERT(room > 0);
    while (text.len > 0) {
        size_t len = clean_run(text);
        size_t taken = len > 0 ? len : 1;

        if (fill + taken >= room)
            break;
        if (len > 0)
            memcpy(to + fill, text.data, len);
        else
            to[fill] = '?';
        fill += taken;
        text = slice_after(text, taken);
    }
    to[fill] = '\0';
    return to;
}

const char *cli_spool_address(struct slice address, char text[static CLI_SPOOL_ADDRESS_MAX])
{
    size_t len;

    text[0] = '<';
    (void)cli_spool_clean(address, text + 1, CLI_SPOOL_ADDRESS_MAX - 2);
    len = strlen(text);
    text[len] = '>';
    text[len + 1] = '\0';
    return text;
}

const char *cli_spool_state(enum spool_result_state state)
{
    switch (state) {
    case SPOOL_RESULT_WAITING: return "waiting";
    case SPOOL_RESULT_DEFERRED: return "deferred";
    case SPOOL_RESULT_BOUNCED: return "bounced";
    case SPOOL_RESULT_DELIVERED: return "delivered";
    case SPOOL_RESULT_DELETED: return "deleted";
    }
    UNREACHABLE();
}

const char *cli_spool_flag(unsigned index)
{
    static const char *const names[] = {
        "8BITMIME",     "SMTPUTF8",      "not dot-stuffed", "body in a file",      "bounce",
        "relayed",      "RET=FULL",      "RET=HDRS",        "REQUIRETLS",          "double bounce",
        "TLS optional", "content known", "has 8-bit bytes", "has an 8-bit header",
    };

    static_assert(SPOOL_MESSAGE_FLAGS_ALL == (1u << ARRAY_LEN(names)) - 1, "every flag has a name");
    return index < ARRAY_LEN(names) ? names[index] : NULL;
}

const char *cli_spool_info_name(enum spool_info which)
{
    switch (which) {
    case SPOOL_INFO_LISTENER: return "listener";
    case SPOOL_INFO_CLIENT_IP: return "client";
    case SPOOL_INFO_CLIENT_NAME: return "client_name";
    case SPOOL_INFO_HELO: return "helo";
    case SPOOL_INFO_GROUP: return "sender_group";
    case SPOOL_INFO_TLS: return "tls";
    case SPOOL_INFO_ENVELOPE_ID: return "envelope_id";
    case SPOOL_INFO_TEXT: return "text";
    case SPOOL_INFO_COUNT: break;
    }
    UNREACHABLE();
}
