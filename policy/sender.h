/* policy/sender.h - what is known about a connecting host, and how sure it is.
 *
 * Facts are asked for only where they can change a verdict (policy/hat.h says which those are), so
 * each of them may be "not asked". A fact that was asked for and did not come in time has failed;
 * what that means for a HAT is said with each.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"

#define POLICY_SCORE_TENTHS_MIN     (-100) /* -10.0 */
#define POLICY_SCORE_TENTHS_MAX     100
#define POLICY_LISTED_ADDRESSES_MAX 8 /* answers of a DNS list that are looked at */

/* The double lookup: PTR, then A or AAAA of the name. Only a verified name is compared with the
 * names of a HAT; the other outcomes are senders of their own. */
enum policy_reverse {
    POLICY_REVERSE_UNKNOWN,   /* not asked */
    POLICY_REVERSE_VERIFIED,  /* one of the name's addresses is the host's */
    POLICY_REVERSE_NONE,      /* "nx.domain": there is no PTR record */
    POLICY_REVERSE_FAILED,    /* "serv.fail": the lookup of the PTR failed for now */
    POLICY_REVERSE_MISMATCHED /* "not.double.verified": the name does not lead back, or the lookup
                                 of its addresses failed */
};

/* A reputation between -10.0 and 10.0. */
enum policy_score_state {
    POLICY_SCORE_UNKNOWN, /* not asked */
    POLICY_SCORE_KNOWN,
    POLICY_SCORE_NONE,  /* the source has none for this address: "SBRS[none]" */
    POLICY_SCORE_FAILED /* it could not be asked: "SBRS[none]" too */
};

struct policy_score {
    enum policy_score_state state;
    int tenths; /* of KNOWN */
};

/* What one DNS list said. A list that failed does not match. */
enum policy_listing_state {
    POLICY_LISTING_UNKNOWN, /* not asked */
    POLICY_LISTING_LISTED,
    POLICY_LISTING_NOT_LISTED,
    POLICY_LISTING_FAILED
};

struct policy_listing {
    enum policy_listing_state state;
    struct ip_address addresses[POLICY_LISTED_ADDRESSES_MAX]; /* of LISTED */
    size_t addresses_count;
};

/* Zeroed but for the address: nothing was asked. */
struct policy_sender {
    struct ip_address address;
    enum policy_reverse reverse;
    struct slice name; /* of the PTR record; also known when it is not verified */
    struct policy_score score;
    bool is_country_known;                 /* asked: country is empty when the database has none */
    struct slice country;                  /* "DE", ISO 3166-1 alpha-2 */
    const struct policy_listing *listings; /* by the number of the list in the HAT; NULL: none */
    size_t listings_count;
};
