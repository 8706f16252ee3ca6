/* cli/tls_check_probe.h - one address of a mail server, looked at stage by stage.
 *
 *     init -> start -> done        once, never from inside start; it may be started again then
 *                 \-> cut -> done  soon, or from inside
 *
 * First the name of the address is asked for, which Verify wants to know. Then one connection goes
 * all the way, as a delivery does that prefers TLS and demands nothing, so that what comes after a
 * failure is seen, too: the greeting, EHLO, STARTTLS, the handshake, EHLO, and MAIL FROM:<>, RSET,
 * QUIT. It never says RCPT or DATA. Where the host has usable TLSA records a second one makes a
 * session that is judged by these (tls/dane.h: a session is judged by the authorities or by the
 * records), and leaves after its EHLO. A handshake that failed before any answer is tried once more
 * without the post-quantum key share, as deliveries do.
 */
#pragma once
#include "cli/tls_check_findings.h"
#include "gateway/hop.h"

#define TLSCHECK_PTR_MS   5000  /* for the name of the address */
#define TLSCHECK_PROBE_MS 30000 /* until a connection is open */
#define TLSCHECK_REPLY_MS 15000 /* then, for the reply to MAIL */

/* What all probes use; borrowed. */
struct tlscheck_tools {
    struct engine_loop *loop;
    struct dns_source *source; /* for PTR */
    struct tls_context *tls;
    struct slice hostname; /* ours, for EHLO */
};

enum tlscheck_purpose {
    TLSCHECK_ALL_STAGES,
    TLSCHECK_ALL_STAGES_CLASSIC, /* without a post-quantum key share */
    TLSCHECK_DANE
};

struct tlscheck_probe { /* Fields are private. */
    struct gateway_hop hop;
    const struct tlscheck_tools *tools;
    struct tlscheck_findings *findings;
    struct tlscheck_address *address; /* NULL: it does not run */
    enum tlscheck_purpose purpose;
    enum tlscheck_stage stage;   /* that is under way */
    uint64_t stage_ns;           /* since when */
    struct tls_session *session; /* the hop's */
    bool is_blaming_post_quantum;
    bool is_cut;
    struct dns_host ptr;
    struct engine_timer ptr_time;
    struct smtp_client_envelope sender;
    char why[TLSCHECK_TEXT_MAX]; /* there is no TLS */
    void (*done)(struct tlscheck_probe *p);
};

void tlscheck_probe_init(struct tlscheck_probe *p, const struct tlscheck_tools *tools,
                         struct tlscheck_findings *findings);

/* Fills in the address of that index. */
void tlscheck_probe_start(struct tlscheck_probe *p, size_t address,
                          void (*done)(struct tlscheck_probe *p));

static inline bool tlscheck_probe_is_running(const struct tlscheck_probe *p)
{
    return p->address != NULL;
}

/* There is no time left. Does nothing to one that does not run. */
void tlscheck_probe_cut(struct tlscheck_probe *p);
