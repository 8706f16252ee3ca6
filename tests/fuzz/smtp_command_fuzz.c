/* A command that is taken is well-formed, and says the same when it is said again. */
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* MAIL and RCPT, put together anew from what was understood. */
static void check_again(const struct smtp_command *c)
{
    char line[1024];
    struct smtp_command again;
    int len;

    if (c->verb == SMTP_VERB_MAIL)
        len = snprintf(line, sizeof(line), "MAIL FROM:<%.*s> SIZE=%llu BODY=%s%s",
                       SLICE_ARGS(c->mailbox.whole), (unsigned long long)c->size_bytes,
                       c->body == SMTP_BODY_TYPE_8BITMIME ? "8BITMIME" : "7BIT",
                       c->smtputf8 ? " SMTPUTF8" : "");
    else
        len = snprintf(line, sizeof(line), "RCPT TO:<%.*s>", SLICE_ARGS(c->mailbox.whole));
    ASSERT(len > 0 && (size_t)len < sizeof(line));
    smtp_command_parse((struct slice){ line, (size_t)len }, &again);
    ASSERT(again.verb == c->verb && again.error == SMTP_COMMAND_OK);
    ASSERT(slice_equal(again.mailbox.whole, c->mailbox.whole));
    ASSERT(slice_equal(again.mailbox.domain, c->mailbox.domain));
    ASSERT(again.size_bytes == c->size_bytes && again.body == c->body);
    ASSERT(again.smtputf8 == c->smtputf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command c;

    smtp_command_parse((struct slice){ (const char *)data, size }, &c);
    ASSERT(c.verb < SMTP_VERBS_COUNT && smtp_verb_name(c.verb)[0] != '\0');
    if (c.error != SMTP_COMMAND_OK)
        return 0;
    for (size_t i = 0; i < size; i++)
        ASSERT(data[i] >= ' ' || data[i] == '\t');
    if (c.verb == SMTP_VERB_EHLO || c.verb == SMTP_VERB_HELO)
        ASSERT(c.argument.len > 0 && c.argument.len <= SMTP_HELO_BYTES_MAX);
    if (c.verb == SMTP_VERB_MAIL || c.verb == SMTP_VERB_RCPT)
        check_again(&c);
    if (c.verb == SMTP_VERB_MAIL)
        ASSERT(!c.mailbox.has_non_ascii || c.smtputf8);
    return 0;
}
