/* config/asyncos_sender.h - one entry of a Host Access Table of AsyncOS.
 *
 * The forms of both tables are nearly the same (policy/hat.h). What differs: AsyncOS names
 * countries and we take their codes; it takes networks with bits behind the prefix; and it knows
 * conditions that only its own services can answer.
 */
#pragma once
#include "base/slice.h"

#define CONFIG_ASYNCOS_SENDER_MAX 256 /* bytes, NUL included */

enum config_asyncos_sender_result {
    CONFIG_ASYNCOS_SENDER_SAME,    /* the text is our entry */
    CONFIG_ASYNCOS_SENDER_SPELT,   /* our entry says the same in other letters */
    CONFIG_ASYNCOS_SENDER_CHANGED, /* our entry is what was meant; why says what differs */
    CONFIG_ASYNCOS_SENDER_FOREIGN, /* Postern cannot ask for that; why says what */
    CONFIG_ASYNCOS_SENDER_INVALID  /* no sender at all; why says how it looks to us */
};

/* For SPELT and CHANGED entry holds ours. *why_out is static, and set unless SAME or SPELT. */
enum config_asyncos_sender_result config_asyncos_sender_convert(
    struct slice text, char entry[static CONFIG_ASYNCOS_SENDER_MAX], const char **why_out);
