/* smtp/dsn.h - what a sender asks of delivery status notifications: the parameters of RFC 3461.
 *
 *     MAIL FROM:<...> RET=FULL|HDRS ENVID=xtext                      sections 4.3, 4.4
 *     RCPT TO:<...> NOTIFY=NEVER | a list of SUCCESS FAILURE DELAY   section 4.1
 *                   ORCPT=address-type;xtext                         section 4.2
 *
 * ENVID and ORCPT are kept and passed on in the coding they came in; only who writes a report
 * decodes them (smtp/xtext.h). So that a report cannot be made to say what nobody said, values
 * that hold anything but printable characters when they are decoded are none. Pure.
 */
#pragma once
#include "base/slice.h"

/* As coded: 4.4, and 4.2 with the address type. */
#define SMTP_ENVID_BYTES_MAX 100
#define SMTP_ORCPT_BYTES_MAX 500

/* A set; empty: nothing was said, which means FAILURE, and DELAY as the server likes (4.1). */
enum smtp_notify {
    SMTP_NOTIFY_NEVER = 1 << 0, /* never together with another */
    SMTP_NOTIFY_SUCCESS = 1 << 1,
    SMTP_NOTIFY_FAILURE = 1 << 2,
    SMTP_NOTIFY_DELAY = 1 << 3
};
#define SMTP_NOTIFY_ALL 0xfu

/* How much of a message a report of its failure returns. */
enum smtp_ret {
    SMTP_RET_UNSAID, /* the server's choice, 4.3 */
    SMTP_RET_FULL,
    SMTP_RET_HDRS
};

/* What stands behind the "=". Words know no case; *..._out is written on success only. */
bool smtp_notify_parse(struct slice value, unsigned *notify_out);
bool smtp_ret_parse(struct slice value, enum smtp_ret *ret_out);

/* Not empty, within the maximum, xtext, printable ASCII when decoded. */
bool smtp_envid_is_valid(struct slice value);

/* The same with an address type in front. Behind "utf-8;" characters beyond ASCII may stand as
 * they are, which only a transaction with SMTPUTF8 may say (RFC 6533 section 3). */
bool smtp_orcpt_is_valid(struct slice value);

/* Whether the sender is to be told that delivery failed, may be told that it is late, is to be told
 * that it went well (4.1). Any value at all; what is no set stands for nothing said. */
bool smtp_notify_wants_failure(unsigned notify);
bool smtp_notify_wants_delay(unsigned notify);
bool smtp_notify_wants_success(unsigned notify);

/* A set that smtp_notify_parse() may give, not empty. */
bool smtp_notify_is_valid(unsigned notify);

/* Such a set as a value: "NEVER", "SUCCESS,DELAY". */
const char *smtp_notify_text(unsigned notify);
