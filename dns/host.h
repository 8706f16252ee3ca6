/* dns/host.h - the double lookup: the name of a connecting host, believed only if it leads back.
 *
 *     start -> done(host)      once, never from inside start
 *          \-> cancel          done is not called any more
 *
 * Asks for the PTR of an address, then for A (of an IPv4 address) or AAAA of the first
 * DNS_HOST_NAMES_MAX names, all at once. Of several names that lead back the first wins; it does
 * not wait for names behind one that did. The order is that of the answer.
 */
#pragma once
#include "dns/query.h"

#define DNS_HOST_NAMES_MAX 4

enum dns_host_outcome {
    DNS_HOST_VERIFIED,  /* one of the name's addresses is the host's */
    DNS_HOST_NONE,      /* no PTR record, or none with a name in it */
    DNS_HOST_FAILED,    /* the PTR could not be asked for now */
    DNS_HOST_MISMATCHED /* no name leads back, or asking for its addresses failed; the name is the
                           first that was tried */
};

struct dns_host { /* Fields are private. Zeroed at first. */
    struct dns_source *source;
    struct ip_address address;
    void (*done)(struct dns_host *h);
    struct dns_query reverse;
    struct dns_host_forward {
        struct dns_host *host;
        struct dns_query query;
        bool leads_back;
        char name[DNS_NAME_MAX];
    } forward[DNS_HOST_NAMES_MAX];
    size_t names;
    size_t name; /* the index of the one that is told */
    enum dns_host_outcome outcome;
};

/* h is not running. */
void dns_host_start(struct dns_host *h, struct dns_source *source, const struct ip_address *address,
                    void (*done)(struct dns_host *h));

/* Does nothing to a host that is not running. */
void dns_host_cancel(struct dns_host *h);
bool dns_host_is_running(const struct dns_host *h);

/* After done(): */
enum dns_host_outcome dns_host_outcome(const struct dns_host *h);

/* In lower case, without a final dot; empty when there is none. Lives as long as h and
 * until it is started again. Before done(), too, for who waits no longer: the first name that was
 * found, empty as long as the PTR is awaited. */
struct slice dns_host_name(const struct dns_host *h);
