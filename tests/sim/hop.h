/* tests/sim/hop.h - the next hops: small SMTP servers that accept, refuse, hang and break off.
 *
 * Each domain of the ledger has two hosts, and the senders' domain one. What they do is drawn for
 * each connection and each command. A message counts as accepted when the host has decided so,
 * whatever becomes of its 250.
 */
#pragma once
#include <stdbool.h>

struct sim_hop_faults {      /* chances out of 1000 */
    unsigned refuses;        /* the connection */
    unsigned is_silent;      /* does not even answer that */
    unsigned defers;         /* 4xx, at each step */
    unsigned fails;          /* 5xx, at MAIL, RCPT, DATA and the dot */
    unsigned fails_session;  /* 5xx as the greeting or to EHLO */
    unsigned hangs;          /* at each step, for ever */
    unsigned drops;          /* at each step */
    unsigned drops_accepted; /* after it has accepted a message, and before the 250 is read */
    unsigned is_late;        /* answers after up to late_s */
    unsigned late_s;
};

extern struct sim_hop_faults sim_hop_faults;

/* Called when a message was accepted, just before its 250 leaves. */
extern void (*sim_hop_accepted)(void);

void sim_hops_begin(void);

/* "{ domain = ...; to = ...; }, ..." for the routes of a configuration. */
const char *sim_hops_routes(void);
