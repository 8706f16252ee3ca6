#include "delivery/outcome.h"

#include <stdio.h>

#include "base/check.h"

/* What follows "4." or "5." in RFC 3463, in the words that AsyncOS logs. The detail 0 of each
 * subject stands for details that are not in the table. */
static const struct {
    uint16_t subject;
    uint16_t detail;
    const char *phrase;
} phrases[] = {
    { 0, 0, "Other undefined status" },
    { 1, 0, "Unknown address error" },
    { 1, 1, "Bad destination email address" },
    { 1, 2, "Bad destination host" },
    { 1, 3, "Bad destination email address syntax" },
    { 1, 4, "Destination email address ambiguous" },
    { 1, 6, "Destination mailbox has moved" },
    { 1, 7, "Bad sender's email address syntax" },
    { 1, 8, "Bad sender's system address" },
    { 1, 10, "Destination accepts no mail" },
    { 2, 0, "Other or undefined mailbox status" },
    { 2, 1, "Mailbox disabled" },
    { 2, 2, "Mailbox full" },
    { 2, 3, "Message too long for mailbox" },
    { 2, 4, "Mailing list expansion problem" },
    { 3, 0, "Other mail system problem" },
    { 3, 1, "Mail system full" },
    { 3, 2, "Not accepting messages at this time" },
    { 3, 3, "Mail system is not capable of this feature" },
    { 3, 4, "Message too big for system" },
    { 3, 5, "Mail system is incorrectly configured" },
    { 4, 0, "Other network problem" },
    { 4, 1, "No answer from host" },
    { 4, 2, "Bad connection" },
    { 4, 3, "Directory server failure" },
    { 4, 4, "Unable to route" },
    { 4, 5, "Mail system congestion" },
    { 4, 6, "Routing loop detected" },
    { 4, 7, "Delivery expired (message too old)" },
    { 5, 0, "Other SMTP protocol error" },
    { 5, 1, "Invalid command" },
    { 5, 2, "Syntax error" },
    { 5, 3, "Too many recipients" },
    { 5, 4, "Invalid command arguments" },
    { 5, 5, "Wrong protocol version" },
    { 6, 0, "Other message content problem" },
    { 6, 1, "Media not supported" },
    { 6, 2, "Conversion required and prohibited" },
    { 6, 3, "Conversion required but not supported" },
    { 6, 7, "Non-ASCII addresses not permitted" },
    { 7, 0, "Other or undefined security status" },
    { 7, 1, "Delivery not authorized, message refused" },
    { 7, 2, "Mailing list expansion prohibited" },
    { 7, 4, "Security features not supported" },
    { 7, 5, "TLS required" },
    { 7, 8, "Authentication failed" },
    { 7, 10, "Encryption needed" },
    { 7, 30, "REQUIRETLS support required" },
};

struct status_code {
    unsigned class;
    unsigned subject;
    unsigned detail;
};

/* "5.1.1": class 2, 4 or 5, the others up to three digits (RFC 3463 2). */
static bool parse_status(struct slice text, struct status_code *code_out)
{
    struct slice class = slice_cut(&text, '.'), subject = slice_cut(&text, '.');
    uint64_t numbers[3];

    if (class.len != 1 || subject.len > 3 || text.len > 3 ||
        !slice_to_number(class, 5, &numbers[0]) || !slice_to_number(subject, 999, &numbers[1]) ||
        !slice_to_number(text, 999, &numbers[2]))
        return false;
    if (numbers[0] != 2 && numbers[0] != 4 && numbers[0] != 5)
        return false;
    *code_out =
        (struct status_code){ (unsigned)numbers[0], (unsigned)numbers[1], (unsigned)numbers[2] };
    return true;
}

static const char *phrase_of(const struct status_code *code)
{
    const char *found = phrases[0].phrase;

    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        if (phrases[i].subject != code->subject)
            continue;
        if (phrases[i].detail == code->detail)
            return phrases[i].phrase;
        if (phrases[i].detail == 0)
            found = phrases[i].phrase;
    }
    return found;
}

const char *delivery_outcome_phrase(struct slice status)
{
    struct status_code code;

    return parse_status(status, &code) ? phrase_of(&code) : phrases[0].phrase;
}

static void set_status(struct delivery_outcome *o, const struct status_code *code)
{
    const char *phrase = phrase_of(code);

    (void)snprintf(o->status, sizeof o->status, "%u.%u.%u", code->class % 10, code->subject % 1000,
                   code->detail % 1000);
    (void)snprintf(o->reason, sizeof o->reason, "%s - %s", o->status, phrase);
}

static bool is_before_mail(enum delivery_stage stage)
{
    return stage < DELIVERY_STAGE_MAIL;
}

/* What a code means that came without an enhanced one: AsyncOS speaks of addresses while they
 * are the subject, and of the mail system later. */
static struct status_code status_for_code(enum delivery_stage stage, unsigned code)
{
    bool is_about_rcpt = stage == DELIVERY_STAGE_RCPT;
    bool is_about_address = is_about_rcpt || stage == DELIVERY_STAGE_MAIL;

    switch (code) {
    case 421: return (struct status_code){ 4, 3, 2 };
    case 431:
    case 452: return (struct status_code){ 4, 3, 1 };
    case 500:
    case 502:
    case 503: return (struct status_code){ 5, 5, 1 };
    case 501:
    case 504:
    case 555: return (struct status_code){ 5, 5, 4 };
    case 521: return (struct status_code){ 5, 3, 2 };
    case 530:
    case 534:
    case 538: return (struct status_code){ 5, 7, 0 };
    case 535: return (struct status_code){ 5, 7, 8 };
    case 551: return (struct status_code){ 5, 1, 6 };
    case 552:
        return is_about_rcpt ? (struct status_code){ 5, 2, 2 } : (struct status_code){ 5, 3, 4 };
    case 553: return (struct status_code){ 5, 1, 3 };
    case 554: return (struct status_code){ 5, 3, 0 };
    case 556: return (struct status_code){ 5, 1, 10 };
    default: return (struct status_code){ code / 100, is_about_address ? 1 : 3, 0 };
    }
}

/* The enhanced code of the reply, if it has one that agrees with its basic code. */
static bool find_status(const struct delivery_reply *reply, struct status_code *code_out)
{
    struct slice text = reply->enhanced;

    if (text.len == 0) {
        text = reply->text;
        for (size_t i = 0; i < text.len; i++)
            if (!ascii_is_digit(text.data[i]) && text.data[i] != '.')
                text.len = i;
    }
    return parse_status(text, code_out) && code_out->class == reply->code / 100;
}

static bool is_success(enum delivery_stage stage, unsigned code)
{
    if (stage == DELIVERY_STAGE_DATA)
        return code == 354;
    return code >= 200 && code <= 299;
}

static enum delivery_scope scope_of(enum delivery_stage stage, unsigned code)
{
    if (is_before_mail(stage) || code == 421)
        return DELIVERY_SCOPE_CONNECTION;
    return stage == DELIVERY_STAGE_RCPT ? DELIVERY_SCOPE_RECIPIENT : DELIVERY_SCOPE_MESSAGE;
}

/* No reply, or one that does not belong here. */
static void lose(enum delivery_stage stage, const struct delivery_reply *reply,
                 struct delivery_outcome *o)
{
    struct status_code code = { 4, 5, 0 };

    if (reply->code == 0)
        code = (struct status_code){ 4, 4, 0 };
    o->verdict = DELIVERY_VERDICT_DEFERRED;
    o->scope = DELIVERY_SCOPE_CONNECTION;
    o->maybe_delivered = stage == DELIVERY_STAGE_FINAL;
    if (stage == DELIVERY_STAGE_STARTTLS)
        code = (struct status_code){ 4, 7, 5 };
    set_status(o, &code);
}

/* Whether a refusal of MAIL for now comes from the state of the host. */
static bool is_about_host(unsigned code, bool has_status, const struct status_code *status)
{
    if (!has_status)
        return code == 451 || code == 452;
    return status->subject == 3 || status->subject == 4 || status->subject == 7;
}

void delivery_outcome_classify(enum delivery_stage stage, const struct delivery_reply *reply,
                               struct delivery_outcome *outcome_out)
{
    struct delivery_outcome *o = outcome_out;
    struct status_code code;
    bool has_status;

    *o = (struct delivery_outcome){ .scope = scope_of(stage, reply->code) };
    if (stage != DELIVERY_STAGE_CONNECT && is_success(stage, reply->code)) {
        o->verdict = DELIVERY_VERDICT_DELIVERED;
        set_status(o, &(struct status_code){ 2, 0, 0 });
        (void)snprintf(o->reason, sizeof o->reason, "2.0.0 - Delivered");
        return;
    }
    if (stage == DELIVERY_STAGE_CONNECT || reply->code < 400 || reply->code > 599) {
        lose(stage, reply, o);
        return;
    }
    has_status = find_status(reply, &code);
    if (!has_status)
        code = status_for_code(stage, reply->code);
    o->verdict = reply->code < 500 ? DELIVERY_VERDICT_DEFERRED : DELIVERY_VERDICT_FAILED;
    if (stage == DELIVERY_STAGE_STARTTLS)
        code = (struct status_code){ 4, 7, 5 };
    if (is_before_mail(stage))
        o->verdict = DELIVERY_VERDICT_DEFERRED;
    /* Old hosts say 552 for too many recipients, and a later try with fewer succeeds (RFC 5321
     * 4.5.3.1.10); one that means a full mailbox says so by an enhanced code. */
    if (stage == DELIVERY_STAGE_RCPT && reply->code == 552 && (!has_status || code.subject == 5)) {
        o->verdict = DELIVERY_VERDICT_DEFERRED;
        code = (struct status_code){ 4, 5, 3 };
    }
    if (o->verdict == DELIVERY_VERDICT_DEFERRED)
        code.class = 4;
    o->about_host = stage == DELIVERY_STAGE_MAIL && o->scope == DELIVERY_SCOPE_MESSAGE &&
                    o->verdict == DELIVERY_VERDICT_DEFERRED &&
                    is_about_host(reply->code, has_status, &code);
    set_status(o, &code);
}

void delivery_outcome_for(enum delivery_cause cause, struct delivery_outcome *outcome_out)
{
    static const struct {
        enum delivery_verdict verdict;
        enum delivery_scope scope;
        struct status_code code;
    } causes[] = {
        [DELIVERY_CAUSE_EXPIRED] = { DELIVERY_VERDICT_FAILED, DELIVERY_SCOPE_MESSAGE, { 5, 4, 7 } },
        [DELIVERY_CAUSE_RETRIES] = { DELIVERY_VERDICT_FAILED, DELIVERY_SCOPE_MESSAGE, { 5, 4, 7 } },
        [DELIVERY_CAUSE_BAD_HOST] = { DELIVERY_VERDICT_FAILED,
                                      DELIVERY_SCOPE_MESSAGE,
                                      { 5, 1, 2 } },
        [DELIVERY_CAUSE_NO_MAIL] = { DELIVERY_VERDICT_FAILED,
                                     DELIVERY_SCOPE_MESSAGE,
                                     { 5, 1, 10 } },
        [DELIVERY_CAUSE_NO_HOST] = { DELIVERY_VERDICT_FAILED, DELIVERY_SCOPE_MESSAGE, { 5, 4, 4 } },
        [DELIVERY_CAUSE_LOOP] = { DELIVERY_VERDICT_FAILED, DELIVERY_SCOPE_MESSAGE, { 5, 4, 6 } },
        [DELIVERY_CAUSE_RETURNED] = { DELIVERY_VERDICT_FAILED,
                                      DELIVERY_SCOPE_MESSAGE,
                                      { 5, 7, 1 } },
        [DELIVERY_CAUSE_DNS] = { DELIVERY_VERDICT_DEFERRED, DELIVERY_SCOPE_MESSAGE, { 4, 4, 3 } },
        [DELIVERY_CAUSE_HOST_DOWN] = { DELIVERY_VERDICT_DEFERRED,
                                       DELIVERY_SCOPE_MESSAGE,
                                       { 4, 4, 1 } },
        [DELIVERY_CAUSE_TLS_REQUIRED] = { DELIVERY_VERDICT_DEFERRED,
                                          DELIVERY_SCOPE_CONNECTION,
                                          { 4, 7, 5 } },
        [DELIVERY_CAUSE_LOCAL] = { DELIVERY_VERDICT_DEFERRED, DELIVERY_SCOPE_MESSAGE, { 4, 3, 0 } },
    };

    ASSERT((size_t)cause < ARRAY_LEN(causes));
    *outcome_out =
        (struct delivery_outcome){ .verdict = causes[cause].verdict, .scope = causes[cause].scope };
    set_status(outcome_out, &causes[cause].code);
}
