/* gateway/inbound_proxy.h - sessions that another host speaks for: load balancers and proxies.
 *
 * A load balancer that the listener lists (proxy_from) begins with a PROXY header; from anybody
 * else that is no command of ours. A host that the listener lists (xclient_from) may say XCLIENT,
 * once or several times: the session then begins anew with the client that it names, under an ICID
 * of its own.
 */
#pragma once
#include "gateway/inbound.h"
#include "smtp/proxy_header.h"
#include "smtp/xclient.h"

#define GATEWAY_INBOUND_HEADER_MS 10000 /* for the header of a load balancer */

bool gateway_inbound_is_proxy(const struct config_listener *listener,
                              const struct ip_address *address);

/* Waits for the header, then inquires about the client. */
void gateway_inbound_await_header(struct gateway_inbound *in);

/* There is none, or a wrong one: the connection is reset. */
void gateway_inbound_no_header(struct gateway_inbound *in);

/* Bytes of the header; returns how many were taken. */
size_t gateway_inbound_take_header(struct gateway_inbound *in, struct slice bytes);

/* Whether a host may say XCLIENT: the other end, or the client that a PROXY header named, whose
 * words these are. Not the client of an XCLIENT before. */
bool gateway_inbound_is_xclient(const struct config_listener *listener,
                                const struct ip_address *address);

/* It has said who the client is. */
void gateway_inbound_become(struct gateway_inbound *in, const struct smtp_xclient *xclient);
