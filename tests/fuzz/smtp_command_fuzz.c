/* A command that is taken is well-formed, and says the same when it is said again. */
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL (SMTP_EXTENSION_DSN | SMTP_EXTENSION_REQUIRE_TLS)

static int mail_write(const struct smtp_command *c, char *line, size_t line_bytes)
{
    static const char *const rets[] = { "", " RET=FULL", " RET=HDRS" };

    ASSERT(c->envid.len == 0 || smtp_envid_is_valid(c->envid));
    return snprintf(line, line_bytes, "MAIL FROM:<%.*s> SIZE=%llu BODY=%s%s%s%s%s%.*s",
                    SLICE_ARGS(c->mailbox.whole), (unsigned long long)c->size_bytes,
                    c->body == SMTP_BODY_TYPE_8BITMIME ? "8BITMIME" : "7BIT",
                    c->smtputf8 ? " SMTPUTF8" : "", c->require_tls ? " REQUIRETLS" : "",
                    rets[c->ret], c->envid.len > 0 ? " ENVID=" : "", SLICE_ARGS(c->envid));
}

static int rcpt_write(const struct smtp_command *c, char *line, size_t line_bytes)
{
    ASSERT(c->orcpt.len == 0 || smtp_orcpt_is_valid(c->orcpt));
    return snprintf(line, line_bytes, "RCPT TO:<%.*s>%s%s%s%.*s", SLICE_ARGS(c->mailbox.whole),
                    c->notify != 0 ? " NOTIFY=" : "",
                    c->notify != 0 ? smtp_notify_text(c->notify) : "",
                    c->orcpt.len > 0 ? " ORCPT=" : "", SLICE_ARGS(c->orcpt));
}

/* MAIL and RCPT, put together anew from what was understood. */
static void check_again(const struct smtp_command *c)
{
    char line[2048];
    struct smtp_command again;
    int len = c->verb == SMTP_VERB_MAIL ? mail_write(c, line, sizeof(line))
                                        : rcpt_write(c, line, sizeof(line));

    ASSERT(len > 0 && (size_t)len < sizeof(line));
    smtp_command_parse((struct slice){ line, (size_t)len }, ALL, &again);
    ASSERT(again.verb == c->verb && again.error == SMTP_COMMAND_OK);
    ASSERT(slice_equal(again.mailbox.whole, c->mailbox.whole));
    ASSERT(slice_equal(again.mailbox.domain, c->mailbox.domain));
    ASSERT(again.size_bytes == c->size_bytes && again.body == c->body);
    ASSERT(again.smtputf8 == c->smtputf8 && again.require_tls == c->require_tls);
    ASSERT(again.ret == c->ret && slice_equal(again.envid, c->envid));
    ASSERT(again.notify == c->notify && slice_equal(again.orcpt, c->orcpt));
}

/* What was understood with fewer extensions is understood with all of them, and as the same. */
static void check_fewer(struct slice line, const struct smtp_command *all)
{
    for (unsigned extensions = 0; extensions < ALL; extensions++) {
        struct smtp_command c;

        smtp_command_parse(line, extensions, &c);
        ASSERT(c.verb == all->verb);
        if (c.error == SMTP_COMMAND_OK)
            ASSERT(all->error == SMTP_COMMAND_OK && all->envid.len == c.envid.len);
        if ((extensions & SMTP_EXTENSION_DSN) == 0)
            ASSERT(c.ret == SMTP_RET_UNSAID && c.envid.len + c.orcpt.len + c.notify == 0);
        if ((extensions & SMTP_EXTENSION_REQUIRE_TLS) == 0)
            ASSERT(!c.require_tls);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command c;

    smtp_command_parse((struct slice){ (const char *)data, size }, ALL, &c);
    ASSERT(c.verb < SMTP_VERBS_COUNT && smtp_verb_name(c.verb)[0] != '\0');
    check_fewer((struct slice){ (const char *)data, size }, &c);
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
