/* cli/spool_text.h - what lies in a spool, as texts for a person.
 *
 * What a peer once sent is printed without anything that a terminal would obey.
 */
#pragma once
#include "spool/message.h"
#include "spool/record.h"

#define CLI_SPOOL_ADDRESS_MAX (SPOOL_ADDRESS_MAX + 3) /* brackets and NUL included */

/* Printable ASCII and UTF-8 above U+009F as they are, everything else as "?". Cut at the room.
 * Returns to. */
const char *cli_spool_clean(struct slice text, char *to, size_t room);

/* "<user@example.com>", "<>", cleaned. */
const char *cli_spool_address(struct slice address, char text[static CLI_SPOOL_ADDRESS_MAX]);

/* "waiting", "deferred", "bounced", "delivered", "deleted". */
const char *cli_spool_state(enum spool_result_state state);

/* The names of the flags of a message, from 0 on; NULL behind the last. Each belongs to bit
 * 1 << index. */
const char *cli_spool_flag(unsigned index);

/* "listener", "client", "client_name", "helo", "sender_group", "tls", "envelope_id", "text". */
const char *cli_spool_info_name(enum spool_info which);
