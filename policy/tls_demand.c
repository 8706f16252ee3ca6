#include "policy/tls_demand.h"

#include "base/check.h"

static enum policy_tls_check check_of(enum policy_tls tls)
{
    switch (tls) {
    case POLICY_TLS_OFF:
    case POLICY_TLS_PREFERRED:
    case POLICY_TLS_REQUIRED: return POLICY_TLS_CHECK_NONE;
    case POLICY_TLS_PREFERRED_VERIFY:
    case POLICY_TLS_REQUIRED_VERIFY: return POLICY_TLS_CHECK_VERIFY;
    case POLICY_TLS_REQUIRED_VERIFY_HOSTED: return POLICY_TLS_CHECK_HOSTED;
    }
    UNREACHABLE();
}

static struct policy_tls_demand demand_of_table(const struct policy_destination *d)
{
    struct policy_tls_demand demand = {
        .authority = POLICY_TLS_BY_TABLE,
        .check = check_of(d->tls),
        .is_wanted = policy_tls_is_wanted(d->tls),
        .is_required = policy_tls_is_required(d->tls),
    };

    demand.is_check_required = demand.is_required && demand.check != POLICY_TLS_CHECK_NONE;
    demand.may_fall_back = !demand.is_required && d->clear_after_failed_handshake;
    return demand;
}

static struct policy_tls_demand demand_of(enum policy_tls_authority authority,
                                          enum policy_tls_check check)
{
    return (struct policy_tls_demand){
        .authority = authority,
        .check = check,
        .is_wanted = true,
        .is_required = true,
        .is_check_required = check != POLICY_TLS_CHECK_NONE,
    };
}

bool policy_tls_is_ignorable(const struct policy_destination *destination)
{
    switch (destination->dane) {
    case POLICY_DANE_OFF: return destination->mta_sts;
    case POLICY_DANE_OPPORTUNISTIC: return true;
    case POLICY_DANE_MANDATORY: return false;
    }
    UNREACHABLE();
}

/* RFC 8689 4.2.2: STARTTLS is tried, and that it fails, in whatever way, is no reason not to send.
 */
static struct policy_tls_demand demand_of_optional(const struct policy_destination *destination)
{
    struct policy_tls_demand demand = demand_of_table(destination);

    demand.may_fall_back = !demand.is_required;
    return demand;
}

struct policy_tls_demand policy_tls_demand_of(const struct policy_destination *destination,
                                              const struct policy_tls_facts *facts)
{
    struct policy_tls_demand demand;

    if (facts->is_optional && policy_tls_is_ignorable(destination))
        return demand_of_optional(destination);
    if (destination->dane != POLICY_DANE_OFF && facts->dane == POLICY_DANE_USABLE)
        return demand_of(POLICY_TLS_BY_DANE, POLICY_TLS_CHECK_DANE);
    if (destination->dane == POLICY_DANE_MANDATORY) {
        demand = demand_of(POLICY_TLS_BY_DANE, POLICY_TLS_CHECK_DANE);
        demand.obstacle = POLICY_TLS_NO_DANE;
        return demand;
    }
    if (destination->mta_sts && facts->sts == POLICY_STS_ENFORCED) {
        demand = demand_of(POLICY_TLS_BY_MTA_STS, POLICY_TLS_CHECK_MTA_STS);
        if (!facts->is_host_of_sts)
            demand.obstacle = POLICY_TLS_NOT_ALLOWED;
        return demand;
    }
    demand = demand_of_table(destination);
    if (destination->dane != POLICY_DANE_OFF && facts->dane == POLICY_DANE_UNUSABLE &&
        !demand.is_required) {
        /* RFC 7672 2.2: the host has said that it does TLS; whose it is cannot be checked. */
        demand = demand_of(POLICY_TLS_BY_DANE, POLICY_TLS_CHECK_NONE);
    }
    return demand;
}

const char *policy_tls_obstacle_text(enum policy_tls_obstacle obstacle)
{
    switch (obstacle) {
    case POLICY_TLS_NO_OBSTACLE: return NULL;
    case POLICY_TLS_NO_DANE: return "DANE is mandatory and the host has no usable TLSA records";
    case POLICY_TLS_NOT_ALLOWED: return "the MTA-STS policy does not list the host";
    }
    UNREACHABLE();
}

const char *policy_tls_authority_text(enum policy_tls_authority authority)
{
    switch (authority) {
    case POLICY_TLS_BY_TABLE: return "table";
    case POLICY_TLS_BY_DANE: return "DANE";
    case POLICY_TLS_BY_MTA_STS: return "MTA-STS";
    }
    UNREACHABLE();
}

enum policy_tls_action policy_tls_outcome(const struct policy_tls_demand *demand,
                                          enum policy_tls_event event)
{
    switch (event) {
    case POLICY_TLS_NOT_OFFERED:
    case POLICY_TLS_REFUSED:
    case POLICY_TLS_FAILED_BEFORE:
        return demand->is_required ? POLICY_TLS_TRY_NEXT : POLICY_TLS_SEND_CLEAR;
    case POLICY_TLS_HANDSHAKE_FAILED:
        return demand->may_fall_back ? POLICY_TLS_TRY_CLEAR : POLICY_TLS_TRY_NEXT;
    case POLICY_TLS_UNVERIFIED:
        return demand->is_check_required ? POLICY_TLS_TRY_NEXT : POLICY_TLS_SEND_ENCRYPTED;
    case POLICY_TLS_ESTABLISHED: return POLICY_TLS_SEND_ENCRYPTED;
    }
    UNREACHABLE();
}
