#include "smtp/server_verbs.h"

#include <stdio.h>

#include "base/pool.h"
#include "smtp/server_state.h"

#define IN(state)    SMTP_SERVER_IN(state)
#define IN_GREETED   (IN(READY) | IN(MAIL) | IN(RCPT))
#define IN_ANY       (IN(NEW) | IN_GREETED)
#define IN_REJECTED  IN(REJECTED)
#define STAY(server) smtp_server_state_now(server)

uint64_t smtp_server_message_bytes_max(const struct smtp_server *s)
{
    uint64_t bytes_max = s->options->message_bytes_max;

    return bytes_max > 0 ? bytes_max : SMTP_SERVER_MESSAGE_BYTES;
}

static struct smtp_answer or_usual(struct smtp_answer given, uint16_t code, const char *enhanced,
                                   const char *text)
{
    if (given.code != 0)
        return given;
    return (struct smtp_answer){ .code = code, .enhanced = enhanced, .text = slice_from(text) };
}

struct smtp_answer smtp_server_size_answer(const struct smtp_server *s)
{
    return or_usual(s->options->size_reply, 552, "5.3.4", "Message size exceeds limit");
}

struct smtp_server_event smtp_server_limited(struct smtp_server *s, enum smtp_server_state next,
                                             const struct smtp_answer *answer,
                                             enum smtp_close_reason reason, struct buffer *out)
{
    if (answer->code == 421)
        return smtp_server_close(s, reason, answer->code, answer->enhanced, answer->text, out);
    return smtp_server_step(s, next, answer->code, answer->enhanced, answer->text, out);
}

static struct smtp_server_event ask(struct smtp_server *s, enum smtp_server_state next,
                                    enum smtp_server_event_kind kind, const struct smtp_command *c)
{
    smtp_server_enter(s, next);
    return (struct smtp_server_event){ .kind = kind, .command = *c };
}

static struct smtp_server_event no_memory(struct smtp_server *s, struct buffer *out)
{
    return smtp_server_close(s, SMTP_CLOSE_NO_MEMORY, 421, "4.3.0",
                             SLICE("Insufficient system resources"), out);
}

/* Keeps the name in just the memory it needs; the grammar lets no NUL into it. */
static enum status helo_keep(char **helo, struct slice name)
{
    smtp_server_helo_finish(helo);
    *helo = pool_take(name.len + 1);
    if (*helo == NULL)
        return STATUS_NO_MEMORY;
    memcpy(*helo, name.data, name.len);
    (*helo)[name.len] = '\0';
    return STATUS_OK;
}

/* RFC 5321 4.1.4: EHLO or HELO in a session that was greeted resets it as RSET does. */
static struct smtp_server_event run_ehlo(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    char text[SMTP_DOMAIN_BYTES_MAX + 256];
    unsigned extensions = smtp_server_extensions(s);
    bool may_start_tls = s->options->tls != SMTP_SERVER_TLS_OFF && !s->tls;
    struct slice name = s->options->hostname;

    if (helo_keep(&s->helo, c->argument) != STATUS_OK)
        return no_memory(s, out);
    if (name.len > SMTP_DOMAIN_BYTES_MAX)
        name.len = SMTP_DOMAIN_BYTES_MAX;
    s->esmtp = c->verb == SMTP_VERB_EHLO;
    if (!s->esmtp)
        return smtp_server_step(s, SMTP_SERVER_STATE_READY, 250, NULL, name, out);
    (void)snprintf(text, sizeof(text),
                   "%.*s\nPIPELINING\nSIZE %llu\n%s%s%s%s"
                   "8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nHELP",
                   SLICE_ARGS(name), (unsigned long long)smtp_server_message_bytes_max(s),
                   may_start_tls ? "STARTTLS\n" : "",
                   s->options->xclient ? "XCLIENT " SMTP_XCLIENT_ATTRIBUTES "\n" : "",
                   (extensions & SMTP_EXTENSION_DSN) != 0 ? "DSN\n" : "",
                   (extensions & SMTP_EXTENSION_REQUIRE_TLS) != 0 ? "REQUIRETLS\n" : "");
    return smtp_server_step(s, SMTP_SERVER_STATE_READY, 250, NULL, slice_from(text), out);
}

static struct smtp_server_event run_mail(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    uint32_t messages_max = smtp_server_limit(s->options->messages_max, SMTP_SERVER_MESSAGES_MAX);

    struct smtp_answer answer;

    if (s->messages_count >= messages_max) {
        answer = or_usual(s->options->messages_reply, 421, "4.7.0",
                          "Too many messages on this connection");
        return smtp_server_limited(s, STAY(s), &answer, SMTP_CLOSE_MESSAGES, out);
    }
    /* RFC 1870 6.1 (3): refused before it is sent. */
    if (c->size_bytes > smtp_server_message_bytes_max(s)) {
        answer = smtp_server_size_answer(s);
        return smtp_server_limited(s, STAY(s), &answer, SMTP_CLOSE_OVERSIZE, out);
    }
    s->smtputf8 = c->smtputf8;
    s->recipients_count = 0;
    return ask(s, SMTP_SERVER_STATE_ASK_MAIL, SMTP_SERVER_ASK_MAIL, c);
}

static struct smtp_server_event run_rcpt(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    uint32_t recipients_max =
        smtp_server_limit(s->options->recipients_max, SMTP_SERVER_RECIPIENTS_MAX);

    /* RFC 5321 4.5.3.1.10: the client sends the message to those accepted, and comes again. */
    if (s->recipients_count >= recipients_max) {
        struct smtp_answer answer =
            or_usual(s->options->recipients_reply, 452, "4.5.3", "Too many recipients");

        return smtp_server_limited(s, STAY(s), &answer, SMTP_CLOSE_ANSWER, out);
    }
    if (c->mailbox.has_non_ascii && !s->smtputf8)
        return smtp_server_error(s, 553, "5.6.7", SLICE("Non-ASCII address needs SMTPUTF8"), out);
    /* RFC 6533 section 3: elsewhere they have to be coded. */
    if (smtp_has_non_ascii(c->orcpt) && !s->smtputf8)
        return smtp_server_error(s, 501, "5.5.4", SLICE("Non-ASCII ORCPT needs SMTPUTF8"), out);
    return ask(s, SMTP_SERVER_STATE_ASK_RCPT, SMTP_SERVER_ASK_RCPT, c);
}

static struct smtp_server_event run_data(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    /* RFC 5321 3.3; a pipelining client says DATA before it knows (RFC 2920 section 3.1), so this
     * is no mistake to be counted. */
    if (smtp_server_is_in(s, IN(MAIL)))
        return smtp_server_step(s, STAY(s), 554, "5.5.1", SLICE("No valid recipients"), out);
    return ask(s, SMTP_SERVER_STATE_ASK_DATA, SMTP_SERVER_ASK_DATA, c);
}

static struct smtp_server_event run_rset(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    (void)c;
    return smtp_server_step(
        s, smtp_server_is_in(s, IN(NEW)) ? SMTP_SERVER_STATE_NEW : SMTP_SERVER_STATE_READY, 250,
        "2.0.0", SLICE("Ok"), out);
}

static struct smtp_server_event run_noop(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    (void)c;
    return smtp_server_step(s, STAY(s), 250, "2.0.0", SLICE("Ok"), out);
}

static struct smtp_server_event run_quit(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    (void)c;
    return smtp_server_close(s, SMTP_CLOSE_QUIT, 221, "2.0.0", SLICE("Bye"), out);
}

/* RFC 5321 3.5.3 and 7.3: tells nobody who exists. */
static struct smtp_server_event run_vrfy(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    (void)c;
    return smtp_server_step(s, STAY(s), 252, "2.0.0",
                            SLICE("Cannot VRFY user, but will accept message"), out);
}

static struct smtp_server_event run_help(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    (void)c;
    return smtp_server_step(
        s, STAY(s), 214, "2.0.0",
        SLICE("Commands: EHLO HELO STARTTLS MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"), out);
}

static struct smtp_server_event run_starttls(struct smtp_server *s, const struct smtp_command *c,
                                             struct buffer *out)
{
    struct smtp_server_event e;

    (void)c;
    if (s->options->tls == SMTP_SERVER_TLS_OFF)
        return smtp_server_error(s, 502, "5.5.1", SLICE("Command not implemented"), out);
    if (s->tls)
        return smtp_server_error(s, 503, "5.5.1", SLICE("TLS is already active"), out);
    if (s->tls_unavailable)
        return smtp_server_step(s, STAY(s), 454, "4.7.0",
                                SLICE("TLS not available due to temporary reason"), out);
    e = smtp_server_step(s, SMTP_SERVER_STATE_TLS, 220, "2.0.0", SLICE("Ready to start TLS"), out);
    if (e.kind == SMTP_SERVER_REPLIED)
        e.kind = SMTP_SERVER_STARTTLS;
    return e;
}

/* Postfix, XCLIENT_README. Its texts are decoded into memory of the session, because the line may
 * be the caller's. */
static struct smtp_server_event run_xclient(struct smtp_server *s, const struct smtp_command *c,
                                            struct buffer *out)
{
    struct smtp_server_event e = { .kind = SMTP_SERVER_XCLIENT };
    struct smtp_server_xclient x = { .before = s->state };
    char *room = NULL;

    if (c->argument.len == 0)
        return smtp_server_error(s, 501, "5.5.4", SLICE("Bad XCLIENT attribute"), out);
    buffer_init(&x.memory, c->argument.len);
    if (buffer_reserve(&x.memory, x.memory.bytes_max, &room) != STATUS_OK)
        return no_memory(s, out);
    if (!smtp_xclient_parse(c->argument, room, &e.xclient)) {
        buffer_finish(&x.memory);
        return smtp_server_error(s, 501, "5.5.4", SLICE("Bad XCLIENT attribute"), out);
    }
    buffer_commit(&x.memory, c->argument.len);
    if (e.xclient.helo.len > 0 && helo_keep(&x.helo, e.xclient.helo) != STATUS_OK) {
        buffer_finish(&x.memory);
        return no_memory(s, out);
    }
    smtp_server_enter(s, SMTP_SERVER_STATE_ASK_XCLIENT);
    s->xclient = x;
    return e;
}

static struct smtp_server_event run_other(struct smtp_server *s, const struct smtp_command *c,
                                          struct buffer *out)
{
    (void)c;
    return smtp_server_error(s, 502, "5.5.1", SLICE("Command not implemented"), out);
}

static struct smtp_server_event run_unknown(struct smtp_server *s, const struct smtp_command *c,
                                            struct buffer *out)
{
    (void)c;
    return smtp_server_error(s, 500, "5.5.1", SLICE("Command not recognized"), out);
}

/* The order of commands, RFC 5321 4.1.4. */
static const struct verb {
    unsigned allowed;     /* set of states */
    bool is_before_tls;   /* served although TLS is required and not there, RFC 3207 section 4 */
    const char *if_early; /* what is missing when it is not allowed */
    struct smtp_server_event (*run)(struct smtp_server *s, const struct smtp_command *c,
                                    struct buffer *out);
} verbs[SMTP_VERBS_COUNT] = {
    [SMTP_VERB_UNKNOWN] = { IN_ANY, false, "", run_unknown },
    [SMTP_VERB_EHLO] = { IN_ANY, true, "", run_ehlo },
    [SMTP_VERB_HELO] = { IN_ANY, true, "", run_ehlo },
    [SMTP_VERB_MAIL] = { IN(READY), false, "Sender already specified", run_mail },
    [SMTP_VERB_RCPT] = { IN(MAIL) | IN(RCPT), false, "Need MAIL command first", run_rcpt },
    [SMTP_VERB_DATA] = { IN(MAIL) | IN(RCPT), false, "Need RCPT command first", run_data },
    [SMTP_VERB_RSET] = { IN_ANY, false, "", run_rset },
    [SMTP_VERB_NOOP] = { IN_ANY, true, "", run_noop },
    [SMTP_VERB_QUIT] = { IN_ANY | IN_REJECTED, true, "", run_quit },
    [SMTP_VERB_VRFY] = { IN_ANY, false, "", run_vrfy },
    [SMTP_VERB_HELP] = { IN_ANY, false, "", run_help },
    [SMTP_VERB_STARTTLS] = { IN(READY), true, "Not within a mail transaction", run_starttls },
    [SMTP_VERB_XCLIENT] = { IN(NEW) | IN(READY), true, "Not within a mail transaction",
                            run_xclient },
    [SMTP_VERB_OTHER] = { IN_ANY, false, "", run_other },
};

static struct smtp_server_event run_misplaced(struct smtp_server *s, const struct verb *verb,
                                              struct buffer *out)
{
    struct slice text = slice_from(verb->if_early);

    /* RFC 2920 section 3.1: these were on their way before the client knew. Counting them would
     * end the sessions of clients that do nothing wrong. */
    if (smtp_server_is_in(s, IN(READY)) && s->mail_refused)
        return smtp_server_step(s, STAY(s), 503, "5.5.1", text, out);
    if (smtp_server_is_in(s, IN(NEW)))
        text = SLICE("Send EHLO or HELO first");
    else if (smtp_server_is_in(s, IN_REJECTED))
        text = SLICE("Access denied, only QUIT is served");
    return smtp_server_error(s, 503, "5.5.1", text, out);
}

static struct smtp_server_event run_malformed(struct smtp_server *s, const struct smtp_command *c,
                                              struct buffer *out)
{
    static const struct {
        unsigned code;
        const char *enhanced;
        const char *text;
    } replies[] = {
        [SMTP_COMMAND_BAD_BYTES] = { 500, "5.5.2", "Control characters in command" },
        [SMTP_COMMAND_BAD_SYNTAX] = { 501, "5.5.4", "Syntax error in arguments" },
        [SMTP_COMMAND_BAD_SENDER] = { 501, "5.1.7", "Bad sender address syntax" },
        [SMTP_COMMAND_BAD_RECIPIENT] = { 501, "5.1.3", "Bad recipient address syntax" },
        [SMTP_COMMAND_BAD_PARAMETER] = { 501, "5.5.4", "Bad parameter value" },
        [SMTP_COMMAND_UNKNOWN_PARAMETER] = { 555, "5.5.4", "Unsupported parameter" },
        [SMTP_COMMAND_NEEDS_SMTPUTF8] = { 553, "5.6.7", "Non-ASCII address needs SMTPUTF8" },
    };

    struct smtp_answer answer = { (uint16_t)replies[c->error].code, replies[c->error].enhanced,
                                  slice_from(replies[c->error].text) };
    struct smtp_server_event e;

    if (c->error == SMTP_COMMAND_BAD_SENDER && s->options->bad_sender_reply.code != 0)
        answer = s->options->bad_sender_reply;
    if (answer.code == 421)
        return smtp_server_close(s, SMTP_CLOSE_ANSWER, answer.code, answer.enhanced, answer.text,
                                 out);
    e = smtp_server_error(s, answer.code, answer.enhanced, answer.text, out);
    if (c->error == SMTP_COMMAND_BAD_SENDER && e.kind == SMTP_SERVER_REPLIED) {
        e.is_bad_sender = true;
        e.command = *c;
    }
    return e;
}

struct smtp_server_event smtp_server_run(struct smtp_server *s, const struct smtp_command *c,
                                         struct buffer *out)
{
    bool is_offered = c->verb != SMTP_VERB_XCLIENT || s->options->xclient;
    const struct verb *verb = &verbs[is_offered ? c->verb : SMTP_VERB_UNKNOWN];
    bool is_barred = s->options->tls == SMTP_SERVER_TLS_REQUIRED && !s->tls &&
                     !smtp_server_is_in(s, IN_REJECTED);

    /* Until the answer, which may never come. */
    if (c->verb == SMTP_VERB_MAIL)
        s->mail_refused = true;
    else if (c->verb != SMTP_VERB_RCPT && c->verb != SMTP_VERB_DATA)
        s->mail_refused = false;
    s->commands_count++;
    if (s->commands_count > smtp_server_limit(s->options->commands_max, SMTP_SERVER_COMMANDS_MAX))
        return smtp_server_close(s, SMTP_CLOSE_COMMANDS, 421, "4.7.0",
                                 SLICE("Too many commands on this connection"), out);
    if (is_barred && !verb->is_before_tls)
        return smtp_server_error(s, 530, "5.7.0", SLICE("Must issue a STARTTLS command first"),
                                 out);
    if (!smtp_server_is_in(s, verb->allowed))
        return run_misplaced(s, verb, out);
    if (c->error != SMTP_COMMAND_OK)
        return run_malformed(s, c, out);
    return verb->run(s, c, out);
}
