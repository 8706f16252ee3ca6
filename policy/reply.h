/* policy/reply.h - a reply that the administrator may word, and the variables in its text.
 *
 * The text is all that follows the code, an enhanced status code included. "$Name" in it stands for
 * a fact of the session; names are those of AsyncOS, without regard to case. What is no known
 * name stays as it was written.
 */
#pragma once
#include "base/buffer.h"
#include "base/ip.h"
#include "base/slice.h"

#define POLICY_REPLY_TEXT_MAX     400 /* RFC 5321 4.5.3.1.5 allows 512 with code and CRLF */
#define POLICY_REPLY_EXPANDED_MAX 480 /* what does not fit into a reply line is cut off */

struct policy_reply {
    unsigned code; /* 200..599; which of them a reply may have is said where it is used */
    struct slice text;
};

/* Printable ASCII, at most POLICY_REPLY_TEXT_MAX bytes. */
bool policy_reply_text_is_valid(struct slice text);

/* What the variables stand for. An empty slice is written as said. */
struct policy_reply_facts {
    struct slice group;     /* $Group; "None" */
    struct slice hostname;  /* $Hostname: the verified name; "None", or "Unknown": see below */
    bool is_lookup_failed;  /* there may be a name, but the DNS did not say */
    struct slice remote_ip; /* $RemoteIP */
    struct slice hat_entry; /* $HATEntry; "None" */
    struct slice envelope_sender; /* $EnvelopeSender; "" */
};

/* Whether expanding changes the text at all. */
bool policy_reply_has_variables(struct slice text);

/* Writes the text with its variables replaced. What a peer chose (names, addresses) is written
 * without control characters and bytes above 0x7e. Returns the bytes written. */
size_t policy_reply_expand(struct slice text, const struct policy_reply_facts *facts,
                           char out[static POLICY_REPLY_EXPANDED_MAX]);
