/* gateway/channel_tls.h - who makes the TLS records of a channel. For gateway/channel*.c only.
 *
 * OpenSSL makes them at first, in memory: plain bytes become ciphertext in `cipher`, received bytes
 * become plain ones. When a direction stands between two records its key is offered to the kernel
 * (tls/kernel.h). Where the kernel takes it, the channel sends from `output` and delivers what it
 * receives, as in the clear; only records that are not data still come by here.
 */
#pragma once
#include "gateway/channel.h"

/* Whether bytes go to the socket as they are: in the clear, or because the kernel seals them. */
bool gateway_channel_sends_plain(const struct gateway_channel *c);
bool gateway_channel_receives_plain(const struct gateway_channel *c);

/* Encrypts output and body, in that order, until enough ciphertext waits. There is traffic. False:
 * it failed. */
bool gateway_channel_encrypt(struct gateway_channel *c);

/* Before a send, none being in flight: offers the kernel the key if it is time. */
void gateway_channel_offer_send(struct gateway_channel *c);

/* The channel closes: what is not decided by now will not be. */
void gateway_channel_settle(struct gateway_channel *c);

/* Before a receive: offers the kernel the key if it is time. Otherwise says how many bytes the
 * receive may bring so that it will be, 0: any number. */
size_t gateway_channel_offer_receive(struct gateway_channel *c);

/* Starts to send a record that is not data, if one has to be said. False when there is none. */
bool gateway_channel_send_control(struct gateway_channel *c);

/* It has left. False: the key behind it could not be set, and nothing more may be sent. */
bool gateway_channel_control_sent(struct gateway_channel *c);

/* A receive has run into a record that is not data. What follows from it. */
enum tls_control gateway_channel_take_control(struct gateway_channel *c);
