/* smtp/server_state.h - inside the server session: its states, and the steps between them.
 *
 * For server.c and server_verbs.c only.
 */
#pragma once
#include "smtp/server.h"

#define SMTP_SERVER_IN(state) (1u << SMTP_SERVER_STATE_##state)

/* The only place that assigns the state. The line cutter, the body and an XCLIENT that is thought
 * about share memory; entering and leaving their states switches between them. */
void smtp_server_enter(struct smtp_server *s, enum smtp_server_state next);

/* Frees the name, and leaves none. */
void smtp_server_helo_finish(char **helo);

/* Goes to next and appends a reply: REPLIED, or CLOSE when it could not be appended. */
struct smtp_server_event smtp_server_step(struct smtp_server *s, enum smtp_server_state next,
                                          unsigned code, const char *enhanced, struct slice text,
                                          struct buffer *out);

/* The same, and ends the session. */
struct smtp_server_event smtp_server_close(struct smtp_server *s, enum smtp_close_reason reason,
                                           unsigned code, const char *enhanced, struct slice text,
                                           struct buffer *out);

/* A mistake of the peer: the reply, or 421 when it was one too many. */
struct smtp_server_event smtp_server_error(struct smtp_server *s, unsigned code,
                                           const char *enhanced, struct slice text,
                                           struct buffer *out);

/* What EHLO offers now, of enum smtp_extension. */
static inline unsigned smtp_server_extensions(const struct smtp_server *s)
{
    /* RFC 8689 section 2: not advertised outside of TLS. */
    return (s->options->offers_dsn ? SMTP_EXTENSION_DSN : 0u) |
           (s->options->offers_require_tls && s->tls ? SMTP_EXTENSION_REQUIRE_TLS : 0u);
}

static inline enum smtp_server_state smtp_server_state_now(const struct smtp_server *s)
{
    return (enum smtp_server_state)s->state;
}

static inline bool smtp_server_is_in(const struct smtp_server *s, unsigned states)
{
    return (states & (1u << s->state)) != 0;
}

static inline uint32_t smtp_server_limit(uint32_t value, uint32_t value_default)
{
    return value > 0 ? value : value_default;
}
