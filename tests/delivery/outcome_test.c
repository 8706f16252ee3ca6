#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/outcome.h"

#define STAGE(name)   DELIVERY_STAGE_##name
#define VERDICT(name) DELIVERY_VERDICT_##name
#define SCOPE(name)   DELIVERY_SCOPE_##name

static const struct {
    enum delivery_stage stage;
    unsigned code;
    const char *enhanced, *text;
    enum delivery_verdict verdict;
    enum delivery_scope scope;
    const char *reason;
} replies[] = {
    { STAGE(FINAL), 250, "2.0.0", "queued", VERDICT(DELIVERED), SCOPE(MESSAGE),
      "2.0.0 - Delivered" },
    { STAGE(RCPT), 250, "", "ok", VERDICT(DELIVERED), SCOPE(RECIPIENT), "2.0.0 - Delivered" },
    { STAGE(RCPT), 251, "", "will forward", VERDICT(DELIVERED), SCOPE(RECIPIENT),
      "2.0.0 - Delivered" },
    { STAGE(DATA), 354, "", "go on", VERDICT(DELIVERED), SCOPE(MESSAGE), "2.0.0 - Delivered" },
    /* AsyncOS, from the logs of its users */
    { STAGE(RCPT), 550, "", "<g@d>... Relaying denied", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.0 - Unknown address error" },
    { STAGE(RCPT), 451, "", "greylisted", VERDICT(DEFERRED), SCOPE(RECIPIENT),
      "4.1.0 - Unknown address error" },
    { STAGE(RCPT), 550, "5.1.1", "no such user", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.1 - Bad destination email address" },
    { STAGE(RCPT), 550, "", "5.1.1 <a@b> no such user", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.1 - Bad destination email address" },
    { STAGE(GREETING), 431, "", "Mail system full", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.3.1 - Mail system full" },
    { STAGE(RCPT), 452, "", "try later", VERDICT(DEFERRED), SCOPE(RECIPIENT),
      "4.3.1 - Mail system full" },
    { STAGE(RCPT), 552, "5.2.2", "over quota", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.2.2 - Mailbox full" },
    /* RFC 5321 4.5.3.1.10 */
    { STAGE(RCPT), 552, "", "too many recipients", VERDICT(DEFERRED), SCOPE(RECIPIENT),
      "4.5.3 - Too many recipients" },
    { STAGE(RCPT), 552, "5.5.3", "too many", VERDICT(DEFERRED), SCOPE(RECIPIENT),
      "4.5.3 - Too many recipients" },
    { STAGE(MAIL), 552, "", "too big", VERDICT(FAILED), SCOPE(MESSAGE),
      "5.3.4 - Message too big for system" },
    { STAGE(FINAL), 554, "", "no", VERDICT(FAILED), SCOPE(MESSAGE),
      "5.3.0 - Other mail system problem" },
    { STAGE(FINAL), 554, "5.7.1", "spam", VERDICT(FAILED), SCOPE(MESSAGE),
      "5.7.1 - Delivery not authorized, message refused" },
    { STAGE(FINAL), 451, "", "local error", VERDICT(DEFERRED), SCOPE(MESSAGE),
      "4.3.0 - Other mail system problem" },
    /* the basic code decides when the two disagree */
    { STAGE(RCPT), 450, "5.1.1", "?", VERDICT(DEFERRED), SCOPE(RECIPIENT),
      "4.1.0 - Unknown address error" },
    { STAGE(RCPT), 550, "5.99.123", "?", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.99.123 - Other undefined status" },
    { STAGE(RCPT), 550, "5.1.99", "?", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.99 - Unknown address error" },
    { STAGE(RCPT), 550, "5.1.1111", "?", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.0 - Unknown address error" },
    { STAGE(RCPT), 550, "", "192.0.2.1 is listed", VERDICT(FAILED), SCOPE(RECIPIENT),
      "5.1.0 - Unknown address error" },
    /* 421 ends the connection wherever it comes */
    { STAGE(MAIL), 421, "", "bye", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.3.2 - Not accepting messages at this time" },
    { STAGE(FINAL), 421, "4.4.5", "bye", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.4.5 - Mail system congestion" },
    /* what a host says before it saw the mail does not fail it */
    { STAGE(GREETING), 554, "", "no service", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.3.0 - Other mail system problem" },
    { STAGE(GREETING), 521, "", "no mail", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.3.2 - Not accepting messages at this time" },
    { STAGE(EHLO), 550, "5.7.1", "bad name", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.7.1 - Delivery not authorized, message refused" },
    { STAGE(STARTTLS), 454, "", "TLS not available due to temporary reason", VERDICT(DEFERRED),
      SCOPE(CONNECTION), "4.7.5 - TLS required" },
    { STAGE(STARTTLS), 0, "", "", VERDICT(DEFERRED), SCOPE(CONNECTION), "4.7.5 - TLS required" },
    /* no reply, or one out of place */
    { STAGE(CONNECT), 0, "", "", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.4.0 - Other network problem" },
    { STAGE(CONNECT), 250, "", "", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.5.0 - Other SMTP protocol error" },
    { STAGE(DATA), 0, "", "", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.4.0 - Other network problem" },
    { STAGE(DATA), 250, "", "ok", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.5.0 - Other SMTP protocol error" },
    { STAGE(FINAL), 354, "", "go on", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.5.0 - Other SMTP protocol error" },
    { STAGE(RCPT), 999, "", "", VERDICT(DEFERRED), SCOPE(CONNECTION),
      "4.5.0 - Other SMTP protocol error" },
};

static void each_reply_has_its_verdict_its_scope_and_its_reason(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct delivery_reply reply = { replies[i].code, slice_from(replies[i].enhanced),
                                        slice_from(replies[i].text) };
        struct delivery_outcome o;

        delivery_outcome_classify(replies[i].stage, &reply, &o);
        assert_string_equal(o.reason, replies[i].reason);
        assert_int_equal(o.verdict, replies[i].verdict);
        assert_int_equal(o.scope, replies[i].scope);
        assert_memory_equal(o.status, o.reason, strlen(o.status));
    }
}

static void only_a_loss_after_the_final_dot_may_have_delivered(void **unused)
{
    (void)unused;
    for (enum delivery_stage s = DELIVERY_STAGE_CONNECT; s <= DELIVERY_STAGE_FINAL; s++) {
        struct delivery_reply reply = { 0, SLICE(""), SLICE("") };
        struct delivery_outcome o;

        delivery_outcome_classify(s, &reply, &o);
        assert_int_equal(o.verdict, DELIVERY_VERDICT_DEFERRED);
        assert_int_equal(o.maybe_delivered, s == DELIVERY_STAGE_FINAL);
        reply.code = 550;
        delivery_outcome_classify(s, &reply, &o);
        assert_false(o.maybe_delivered);
    }
}

static void each_cause_of_our_own_has_its_reason(void **unused)
{
    static const struct {
        enum delivery_cause cause;
        enum delivery_verdict verdict;
        const char *reason;
    } cases[] = {
        { DELIVERY_CAUSE_EXPIRED, VERDICT(FAILED), "5.4.7 - Delivery expired (message too old)" },
        { DELIVERY_CAUSE_RETRIES, VERDICT(FAILED), "5.4.7 - Delivery expired (message too old)" },
        { DELIVERY_CAUSE_BAD_HOST, VERDICT(FAILED), "5.1.2 - Bad destination host" },
        { DELIVERY_CAUSE_DNS, VERDICT(DEFERRED), "4.4.3 - Directory server failure" },
        { DELIVERY_CAUSE_HOST_DOWN, VERDICT(DEFERRED), "4.4.1 - No answer from host" },
        { DELIVERY_CAUSE_TLS_REQUIRED, VERDICT(DEFERRED), "4.7.5 - TLS required" },
        { DELIVERY_CAUSE_LOCAL, VERDICT(DEFERRED), "4.3.0 - Other mail system problem" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_outcome o;

        delivery_outcome_for(cases[i].cause, &o);
        assert_string_equal(o.reason, cases[i].reason);
        assert_int_equal(o.verdict, cases[i].verdict);
    }
}

static void any_bytes_of_a_peer_give_a_status_of_the_verdicts_class(void **unused)
{
    static const char bytes[] = "2455..0119 a\r\n\xff";
    uint64_t seed = 1;

    (void)unused;
    for (unsigned i = 0; i < 200000; i++) {
        char text[12], enhanced[12];
        struct delivery_reply reply;
        struct delivery_outcome o;
        char class;

        for (size_t k = 0; k < sizeof text; k++) {
            text[k] = bytes[hash_number(seed++) % (sizeof bytes - 1)];
            enhanced[k] = bytes[hash_number(seed++) % (sizeof bytes - 1)];
        }
        reply = (struct delivery_reply){
            .code = (unsigned)(hash_number(seed) % 700),
            .enhanced = { enhanced, hash_number(seed + 1) % sizeof enhanced },
            .text = { text, hash_number(seed + 2) % sizeof text },
        };
        seed += 3;
        delivery_outcome_classify((enum delivery_stage)(i % (DELIVERY_STAGE_FINAL + 1)), &reply,
                                  &o);
        class = "245"[o.verdict];
        assert_int_equal(o.status[0], class);
        assert_int_equal(o.reason[0], class);
        assert_non_null(strstr(o.reason, " - "));
        assert_true(strlen(o.status) < DELIVERY_STATUS_TEXT_MAX);
    }
}

static void a_refusal_of_mail_for_now_may_speak_of_the_host(void **unused)
{
    static const struct {
        enum delivery_stage stage;
        unsigned code;
        const char *enhanced;
        bool about_host;
    } cases[] = {
        { STAGE(MAIL), 451, "4.3.2", true },  { STAGE(MAIL), 452, "4.3.1", true },
        { STAGE(MAIL), 450, "4.7.1", true },  { STAGE(MAIL), 451, "4.4.3", true },
        { STAGE(MAIL), 451, "", true },       { STAGE(MAIL), 452, "", true },
        { STAGE(MAIL), 450, "", false },      { STAGE(MAIL), 451, "4.1.8", false },
        { STAGE(MAIL), 452, "4.2.2", false }, { STAGE(MAIL), 550, "5.7.1", false },
        { STAGE(MAIL), 250, "2.3.0", false }, { STAGE(MAIL), 421, "4.3.2", false },
        { STAGE(MAIL), 0, "", false },        { STAGE(RCPT), 451, "4.3.2", false },
        { STAGE(DATA), 451, "4.3.2", false }, { STAGE(FINAL), 451, "4.3.2", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_reply reply = { .code = cases[i].code,
                                        .enhanced = slice_from(cases[i].enhanced) };
        struct delivery_outcome o;

        delivery_outcome_classify(cases[i].stage, &reply, &o);
        assert_int_equal(o.about_host, cases[i].about_host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_of_mail_for_now_may_speak_of_the_host),
        cmocka_unit_test(each_reply_has_its_verdict_its_scope_and_its_reason),
        cmocka_unit_test(only_a_loss_after_the_final_dot_may_have_delivered),
        cmocka_unit_test(each_cause_of_our_own_has_its_reason),
        cmocka_unit_test(any_bytes_of_a_peer_give_a_status_of_the_verdicts_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
