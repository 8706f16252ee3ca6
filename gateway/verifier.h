/* gateway/verifier.h - one connection on which a host is asked about recipients, one at a time.
 *
 *     open -> opened -> (ask -> answered)... -> quit, or idle for too long -> gone -> closed
 *
 * The hop (gateway/hop.h) is opened as for a delivery; then MAIL FROM:<> and one RCPT for each
 * recipient. No message is ever sent. OpenSSL makes the TLS records, never the kernel: a few
 * commands do not repay handing over the keys.
 *
 * Embedded in its owner, which gets events through a table of handlers. `answered` and `gone` may
 * run inside gateway_verifier_ask(), `gone` inside gateway_verifier_quit(); no other handler runs
 * inside a call of this module.
 *
 *     opened    may be asked
 *     answered  DONE of the SMTP machine; may be asked again. Stage RCPT: the reply to the
 *               recipient; MAIL, LOCAL: the host could not be asked about it
 *     gone      can be asked no more; what was asked is not answered. why: in one line, with the
 *               words of the peer, unescaped; empty when nothing was asked and nothing is wrong.
 *               gateway_verifier_is_curable(): another connection may go better
 *     closed    the last event, after `gone` or drop; nothing is in flight, the owner may free it
 *
 * While it opens and while it idles it keeps its own time; how long an answer may take is the
 * owner's business, who drops it when that time is over.
 */
#pragma once
#include "gateway/hop.h"
#include "gateway/hop_tls.h"
#include "gateway/next_hops.h"

#define GATEWAY_VERIFIER_IDLE_MS 5000 /* open without a question */

#define GATEWAY_VERIFIER_REPLY_MAX (SMTP_REPLY_TEXT_BYTES_MAX + 32) /* NUL included */

struct gateway_verifier;

struct gateway_verifier_handlers {
    void (*opened)(struct gateway_verifier *v);
    void (*answered)(struct gateway_verifier *v, const struct smtp_client_event *done);
    void (*gone)(struct gateway_verifier *v, struct slice why);
    void (*closed)(struct gateway_verifier *v);
};

enum gateway_verifier_state {
    GATEWAY_VERIFIER_OPENING,
    GATEWAY_VERIFIER_IDLE,
    GATEWAY_VERIFIER_ASKING,
    GATEWAY_VERIFIER_LEAVING /* the owner knows that it is gone */
};

struct gateway_verifier { /* Fields are private. */
    struct gateway_hop hop;
    struct gateway_hop_tls tls;
    struct smtp_client_envelope question;
    struct smtp_client_recipient recipient;
    const struct gateway_verifier_handlers *handlers;
    enum gateway_verifier_state state;
    bool is_curable;
    char why[GATEWAY_VERIFIER_REPLY_MAX + 32]; /* there is no TLS; "": it was not offered */
};

/* What is to be reached: a host of hops, for the recipients of the domain. Borrowed until `closed`.
 */
struct gateway_verifier_target {
    const struct gateway_view *view;
    const struct policy_destination *destination;
    struct slice domain;
    const struct gateway_next_hops *hops;
    size_t endpoint;
};

/* opening_ms: until `opened` at the latest. */
void gateway_verifier_open(struct gateway_verifier *v, struct gateway_worker *worker,
                           const struct gateway_verifier_handlers *handlers,
                           const struct gateway_verifier_target *target, uint64_t opening_ms);

/* In `gone`: the handshake failed as with hosts that stumble over a post-quantum key share; another
 * connection to this host goes without. */
static inline bool gateway_verifier_is_curable(const struct gateway_verifier *v)
{
    return v->is_curable;
}

/* While it is idle. Borrows the recipient until `answered` or `gone`, or until it is dropped. */
void gateway_verifier_ask(struct gateway_verifier *v, struct slice recipient, bool smtputf8);

/* Says QUIT; while it is idle. */
void gateway_verifier_quit(struct gateway_verifier *v);

/* "550 5.1.1 No such user", with the words of the peer as they are. Returns text. */
const char *gateway_verifier_reply_text(const struct smtp_reply *reply,
                                        char text[static GATEWAY_VERIFIER_REPLY_MAX]);

/* Resets the connection, at any time. Only `closed` follows. */
void gateway_verifier_drop(struct gateway_verifier *v);
