/* smtp/server_verbs.h - inside the server session: what each command does, one verb a row. */
#pragma once
#include "smtp/server.h"

/* In a state that reads commands. Returns REPLIED, ASK_MAIL, ASK_RCPT, ASK_DATA, STARTTLS or
 * CLOSE. */
struct smtp_server_event smtp_server_run(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out);

uint64_t smtp_server_message_bytes_max(const struct smtp_server *s);
