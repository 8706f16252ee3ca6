#include "smtp/client_capabilities.h"

#define ASTERISKS_MIN 8 /* fewer may be decoration */

/* A SIZE that is no number is as good as one without a value. */
static void size_read(struct smtp_client_capabilities *can, struct slice value)
{
    can->size = true;
    if (!slice_to_number(value, UINT64_MAX, &can->size_bytes_max))
        can->size_bytes_max = 0;
}

/* RFC 9422 section 4: "NAME=value" parted by spaces; who does not know a limit, or finds that its
 * value is none, ignores it. */
static void limits_read(struct smtp_client_capabilities *can, struct slice rest)
{
    while ((rest = slice_trim(rest)).len > 0) {
        struct slice value = slice_cut(&rest, ' '), name = slice_cut(&value, '=');
        uint64_t limit;

        if (!slice_to_number(value, SMTP_LIMIT_MAX, &limit) || value.data[0] == '0')
            continue;
        if (slice_is_word(name, "MAILMAX"))
            can->mails_max = (uint32_t)limit;
        else if (slice_is_word(name, "RCPTMAX"))
            can->recipients_max = (uint32_t)limit;
        else if (slice_is_word(name, "RCPTDOMAINMAX"))
            can->recipient_domains_max = (uint32_t)limit;
    }
}

void smtp_client_capabilities_read(struct smtp_client_capabilities *can, struct slice line,
                                   bool is_tls)
{
    struct slice rest = line, keyword = slice_cut(&rest, ' ');
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        { "STARTTLS", &can->starttls },
        { "PIPELINING", &can->pipelining },
        { "8BITMIME", &can->eight_bit_mime },
        { "SMTPUTF8", &can->smtputf8 },
        { "ENHANCEDSTATUSCODES", &can->enhanced_status_codes },
        { "CHUNKING", &can->chunking },
        { "DSN", &can->dsn },
    };

    if (slice_is_word(keyword, "SIZE"))
        size_read(can, slice_trim(rest));
    else if (slice_is_word(keyword, "LIMITS"))
        limits_read(can, rest);
    else if (slice_is_word(keyword, "REQUIRETLS"))
        can->require_tls = is_tls;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (slice_is_word(keyword, flags[i].word))
            *flags[i].flag = true;
}

bool smtp_client_line_is_masked(struct slice line)
{
    struct slice keyword = slice_cut(&line, ' ');
    const struct slice mask = SLICE("XXXXXXX");

    return keyword.len == strlen("STARTTLS") && slice_equal(slice_first(keyword, mask.len), mask) &&
           keyword.data[mask.len] >= 'A' && keyword.data[mask.len] <= 'Z';
}

/* "220 ************2******0*0*00": digits that stand in the mask of the firewall are left. */
bool smtp_client_greeting_is_masked(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '*')
            count++;
        else if (text.data[i] != ' ' && !ascii_is_digit(text.data[i]))
            return false;
    }
    return count >= ASTERISKS_MIN;
}
