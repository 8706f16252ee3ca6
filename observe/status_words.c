#include "observe/status_words.h"

#include "base/check.h"

const char *observe_status_words(struct slice enhanced)
{
    static const struct {
        const char *detail; /* RFC 3463: what follows the class */
        const char *words;
    } table[] = {
        { "1.0", "Unknown address error" },
        { "1.1", "Bad destination email address" },
        { "1.2", "Bad destination host" },
        { "1.3", "Bad destination email address syntax" },
        { "1.4", "Ambiguous destination email address" },
        { "1.6", "Destination mailbox has moved" },
        { "1.7", "Bad sender's email address syntax" },
        { "1.8", "Bad sender's host" },
        { "2.0", "Unknown mailbox error" },
        { "2.1", "Mailbox disabled" },
        { "2.2", "Mailbox full" },
        { "2.3", "Message too large" },
        { "2.4", "Mailing list expansion problem" },
        { "3.0", "Other mail system problem" },
        { "3.1", "Mail system full" },
        { "3.2", "System not accepting messages" },
        { "3.3", "System not capable of selected features" },
        { "3.4", "Message too big for system" },
        { "4.0", "Other network problem" },
        { "4.1", "No answer from host" },
        { "4.2", "Bad connection" },
        { "4.3", "Directory server failure" },
        { "4.4", "Unable to route" },
        { "4.5", "Mail system congestion" },
        { "4.6", "Routing loop detected" },
        { "4.7", "Delivery expired (message too old)" },
        { "5.0", "Other protocol problem" },
        { "5.1", "Invalid command" },
        { "5.2", "Syntax error" },
        { "5.3", "Too many recipients" },
        { "5.4", "Invalid command arguments" },
        { "6.0", "Other message content problem" },
        { "7.0", "Other security problem" },
        { "7.1", "Delivery not authorized" },
        { "7.4", "Security features not supported" },
        { "7.5", "Cryptographic failure" },
        { "7.10", "Encryption needed" },
        { "7.30", "REQUIRETLS support required" },
    };
    struct slice detail = enhanced;

    (void)slice_cut(&detail, '.');
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (slice_equal(detail, slice_from(table[i].detail)))
            return table[i].words;
    return "Unknown error";
}
