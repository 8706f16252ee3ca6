/* smtp/server_verbs.h - inside the server session: what each command does, one verb a row. */
#pragma once
#include "smtp/server.h"

/* In a state that reads commands. Returns REPLIED, ASK_MAIL, ASK_RCPT, ASK_DATA, STARTTLS,
 * XCLIENT or CLOSE. */
struct smtp_server_event smtp_server_run(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out);

uint64_t smtp_server_message_bytes_max(const struct smtp_server *s);

/* What is said about a message that is too large. */
struct smtp_answer smtp_server_size_answer(const struct smtp_server *s);

/* Says that a limit is reached: goes on in `next`, or closes for `reason` when the answer is 421.
 */
struct smtp_server_event smtp_server_limited(struct smtp_server *s, enum smtp_server_state next,
                                             const struct smtp_answer *answer,
                                             enum smtp_close_reason reason, struct buffer *out);
