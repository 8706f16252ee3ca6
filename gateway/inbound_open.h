/* gateway/inbound_open.h - from accept to greeting: who connects, which row of the HAT decides, and
 * whether there is room.
 *
 *     accept -> [header of a load balancer] -> [inquiry] -> verdict -> greeting, or the door
 *
 * A listed load balancer (listener: proxy_from) has to begin with a PROXY header; from anybody else
 * it is no command of ours. A host that the machine's own facts already refuse is reset at once. A
 * host is not greeted, and nothing that it says is read, before the verdict.
 */
#pragma once
#include "gateway/inbound.h"
#include "policy/reply.h"
#include "policy/sender.h"

/* How to open: code 0: with a greeting; else with this reply, and then close. */
struct gateway_opening {
    unsigned code;
    struct slice text;
    bool is_last; /* the connection is closed behind it, whatever the code */
};

/* For the inquiry: nothing more has to be known. */
void gateway_inbound_known(struct gateway_inbound *in);

/* Finds out what the HAT wants to know of in->client, beyond what is known, then judges and greets
 * it. The channel is paused. */
void gateway_inbound_inquire(struct gateway_inbound *in, const struct policy_sender *known);

/* The session has a verdict, so there is a policy. Before that it is of no generation's interest.
 */
bool gateway_inbound_is_judged(const struct gateway_inbound *in);

/* The sender group of its HAT row, once it is judged; empty when that has no name. */
struct slice gateway_inbound_group(const struct gateway_inbound *in);

/* What the variables of a reply stand for in this session; ip is room for its address. */
struct policy_reply_facts gateway_inbound_facts(const struct gateway_inbound *in,
                                                char ip[static IP_TEXT_MAX]);
