#include "tests/observe/support.h"

#include <regex.h>

#include "observe/mail_events.h"
#include "observe/status_words.h"

static const uint16_t rids[] = { 0, 1 };
static const struct observe_rids one = { rids, 1 };
static const struct observe_rids two = { rids, 2 };

static void write_inbound(struct observe_log_writer *w)
{
    observe_icid_new(w, NOW_S,
                     &(struct observe_icid_new){ 590125205, SLICE("Data 1"), SLICE("192.168.1.1"),
                                                 SLICE("10.0.0.1"), SLICE("mail.example.com"),
                                                 true });
    observe_icid_new(w, NOW_S,
                     &(struct observe_icid_new){ .icid = 244323261,
                                                 .interface_name = SLICE("NAME"),
                                                 .interface_ip = SLICE("143.166.148.150"),
                                                 .address = SLICE("220.93.58.10") });
    observe_icid_access(w, NOW_S,
                        &(struct observe_icid_access){ .icid = 3160, .match = SLICE("ALL") });
    observe_icid_access(w, NOW_S,
                        &(struct observe_icid_access){ 824108, OBSERVE_ACCEPT, SLICE("ACCEPTLIST"),
                                                       SLICE("sbrs[0.0:10.0]"), SLICE("3.4"),
                                                       SLICE("United States") });
    observe_icid_access(w, NOW_S,
                        &(struct observe_icid_access){ .icid = 5,
                                                       .access = OBSERVE_RELAY,
                                                       .group = SLICE("RELAYLIST"),
                                                       .match = SLICE("10.0.0.0/8") });
    observe_icid_access(w, NOW_S,
                        &(struct observe_icid_access){
                            .icid = 6, .access = OBSERVE_REJECT, .group = SLICE("BLACKLIST") });
    observe_icid_access(
        w, NOW_S,
        &(struct observe_icid_access){ .access = OBSERVE_TCPREFUSE,
                                       .group = SLICE("RBLBlacklist"),
                                       .match = SLICE("dnslist[sbl-xbl.spamhaus.org]") });
    observe_icid_tls_success(w, NOW_S, 824108, SLICE("TLSv1.2"),
                             SLICE("ECDHE-RSA-AES256-GCM-SHA384"));
    observe_icid_tls_failed(w, NOW_S, 590052584,
                            SLICE("(336109761, 'error:1408A0C1:SSL "
                                  "routines:SSL3_GET_CLIENT_HELLO:no shared cipher')"));
    observe_icid_tls_failed(w, NOW_S, 282204971, SLICE(""));
    observe_icid_tls_missing(w, NOW_S, 8);
    observe_icid_receiving_failed(w, NOW_S, 440090, SLICE("Message size exceeds limit"));
    observe_icid_unknown_command(w, NOW_S, 7, SLICE("XYZZY \x1b[2J"));
    observe_icid_bad_syntax(w, NOW_S, 7, SLICE("MAIL FROM a"));
    observe_icid_disconnected(w, NOW_S, 3, SLICE("10.1.1.101"),
                              SLICE("no messages injected within timeout period"));
    observe_icid_sender_rejected(w, NOW_S, 3248, SLICE("user"),
                                 SLICE("envelope sender domain missing"));
    observe_icid_lost(w, NOW_S, 590052584);
    observe_icid_close(w, NOW_S, 590052584);
}

static void write_message(struct observe_log_writer *w)
{
    observe_mid_start(w, NOW_S, 6, 5);
    observe_mid_from(w, NOW_S, 6, 5, SLICE("sender@remotehost.com"));
    observe_mid_from(w, NOW_S, 7, 0, SLICE(""));
    observe_mid_to(w, NOW_S, 6, 5, 0, SLICE("mary@yourdomain.com"));
    observe_mid_rejected(w, NOW_S, 1, 2, SLICE("postmaster@corestaff.com"), "RAT");
    observe_mid_message_id(w, NOW_S, 71897, SLICE("<322n7l$266p@stable.mfg>"));
    observe_mid_message_id(w, NOW_S, 71898, SLICE("<o'b\\c@x>"));
    observe_mid_message_id(w, NOW_S, 71899, SLICE("<o'\"@x>"));
    observe_mid_ready(w, NOW_S, 6, 100, SLICE("sender@remotehost.com"));
    observe_mid_queued(w, NOW_S, 9);
    observe_mid_aborted(w, NOW_S, 10, SLICE(""));
    observe_mid_aborted(w, NOW_S, 11, SLICE("Injection aborted"));
    observe_mid_bounce_generated(w, NOW_S, 13, 12);
    observe_mid_notice_generated(w, NOW_S, 14, "delay warning", 12);
    observe_mid_finished(w, NOW_S, 18446744073709551615ull);
}

static const struct observe_tls verified = { .dcid = 9,
                                             .protocol = SLICE("TLSv1.3"),
                                             .cipher = SLICE("TLS_AES_256_GCM_SHA384"),
                                             .authority = SLICE("DANE"),
                                             .verified = SLICE("matched 3 1 1 (DANE-EE)") };

static void write_connection(struct observe_log_writer *w)
{
    observe_dcid_new(w, NOW_S, 41014367, SLICE("192.168.1.1"), SLICE("10.0.0.1"), 25);
    observe_dcid_tls_success(w, NOW_S,
                             &(struct observe_tls){ .dcid = 41014367,
                                                    .protocol = SLICE("TLSv1.2"),
                                                    .cipher = SLICE("ECDHE-RSA-AES256-GCM-SHA384"),
                                                    .authority = SLICE("table") });
    observe_dcid_tls_success(w, NOW_S, &verified);
    observe_dcid_tls_failed(w, NOW_S, 40986669, SLICE("STARTTLS unexpected response"));
    observe_dcid_tls_unverified(w, NOW_S, 5, SLICE("self-signed certificate"));
    observe_dcid_tls_required(w, NOW_S, 8, SLICE("204.15.82.140"));
    observe_dcid_error(
        w, NOW_S,
        &(struct observe_dcid_error){ 40986669, SLICE("example.com"), SLICE("10.0.0.1"), 25, 454,
                                      SLICE("TLS not available due to temporary reason"),
                                      SLICE("192.168.1.1"), SLICE("unexpected SMTP response") });
    observe_dcid_error(
        w, NOW_S,
        &(struct observe_dcid_error){ 299, SLICE("example.com"), SLICE("192.168.1.10"), 25, 431,
                                      SLICE("mx ESMTP\nMail system full"), SLICE("192.168.1.10"),
                                      SLICE("unexpected SMTP response") });
    observe_dcid_error(w, NOW_S,
                       &(struct observe_dcid_error){
                           263, SLICE("example.com"), SLICE("128.242.110.90"), 25, 0, SLICE("EOF"),
                           SLICE("128.197.12.246"), SLICE("network error") });
    observe_dcid_close(w, NOW_S, 8);
}

static void write_delivery(struct observe_log_writer *w)
{
    observe_delivery_start(w, NOW_S, 8, 6, one);
    observe_delivery_start(w, NOW_S, 8, 6, two);
    observe_delivery_done(w, NOW_S, 6, one, &(struct observe_tls){ .dcid = 8 });
    observe_delivery_done(w, NOW_S, 7, one, &verified);
    observe_delivery_response(w, NOW_S, 9, one, SLICE("2.6.0 <id@host> Queued mail for delivery"));
    observe_delivery_bounced(
        w, NOW_S, 3, 4, 0,
        &(struct observe_reply){ 550, SLICE(""),
                                 SLICE("<george@yourdomain.com>... Relaying denied") });
    observe_delivery_bounced(w, NOW_S, 0, 8, 0,
                             &(struct observe_reply){ 0, SLICE("5.1.2"),
                                                      SLICE("DNS Hard Error looking up X (MX):  "
                                                            "NXDomain") });
    observe_delivery_bounced(
        w, NOW_S, 2, 3, 1,
        &(struct observe_reply){ 550, SLICE("5.7.1"), SLICE("5.7.1 first\n5.7.1 second") });
    observe_delivery_delayed(
        w, NOW_S, 4370, 10800, 0,
        &(struct observe_reply){ 0, SLICE(""), SLICE("[Errno 54] Connection reset by peer") });
    observe_delivery_delayed(w, NOW_S, 1, 2, 0,
                             &(struct observe_reply){ 451, SLICE(""), SLICE("") });
    observe_delivery_double_bounce(
        w, NOW_S, 12222130, 0,
        &(struct observe_reply){ 501, SLICE("5.1.0"), SLICE("5.5.4 Invalid Address") });
    observe_delivery_double_bounce(w, NOW_S, 5, 1, &(struct observe_reply){ 0, SLICE("5.4.7") });
    observe_delivery_pending(w, NOW_S, 548799, one, NOW_S + 60);
    observe_delivery_deleted(w, NOW_S, 3, one);
}

static const char *const golden[] = {
    "New SMTP ICID 590125205 interface Data 1 (192.168.1.1) address 10.0.0.1 reverse dns host "
    "mail.example.com verified yes",
    "New SMTP ICID 244323261 interface NAME (143.166.148.150) address 220.93.58.10 reverse dns "
    "host unknown verified no",
    "ICID 3160 ACCEPT SG None match ALL SBRS not enabled country not enabled",
    "ICID 824108 ACCEPT SG ACCEPTLIST match sbrs[0.0:10.0] SBRS 3.4 country United States",
    "ICID 5 RELAY SG RELAYLIST match 10.0.0.0/8 SBRS not enabled country not enabled",
    "ICID 6 REJECT SG BLACKLIST SBRS not enabled country not enabled",
    "ICID 0 TCPREFUSE SG RBLBlacklist match dnslist[sbl-xbl.spamhaus.org] SBRS not enabled "
    "country not enabled",
    "ICID 824108 TLS success protocol TLSv1.2 cipher ECDHE-RSA-AES256-GCM-SHA384",
    "ICID 590052584 TLS failed: (336109761, 'error:1408A0C1:SSL "
    "routines:SSL3_GET_CLIENT_HELLO:no shared cipher')",
    "ICID 282204971 TLS failed",
    "ICID 8 TLS was required but remote host did not initiate it",
    "ICID 440090 Receiving Failed: Message size exceeds limit",
    "ICID 7 Unknown command: XYZZY \\x1b[2J",
    "ICID 7 Bad syntax for command: MAIL FROM a",
    "ICID 3 disconnected address 10.1.1.101, no messages injected within timeout period",
    "ICID 3248 Address: <user> sender rejected, envelope sender domain missing",
    "ICID 590052584 lost",
    "ICID 590052584 close",
    "Start MID 6 ICID 5",
    "MID 6 ICID 5 From: <sender@remotehost.com>",
    "MID 7 ICID 0 From: <>",
    "MID 6 ICID 5 RID 0 To: <mary@yourdomain.com>",
    "MID 1 ICID 2 To: <postmaster@corestaff.com> Rejected by RAT",
    "MID 71897 Message-ID '<322n7l$266p@stable.mfg>'",
    "MID 71898 Message-ID \"<o'b\\\\c@x>\"",
    "MID 71899 Message-ID '<o\\'\"@x>'",
    "MID 6 ready 100 bytes from <sender@remotehost.com>",
    "MID 9 queued for delivery",
    "Message aborted MID 10 Receiving aborted",
    "Message aborted MID 11 Injection aborted",
    "MID 13 generated for bounce of MID 12",
    "MID 14 generated for delay warning of MID 12",
    "Message finished MID 18446744073709551615 done",
    "New SMTP DCID 41014367 interface 192.168.1.1 address 10.0.0.1 port 25",
    "DCID 41014367 TLS success protocol TLSv1.2 cipher ECDHE-RSA-AES256-GCM-SHA384",
    "DCID 9 TLS success protocol TLSv1.3 cipher TLS_AES_256_GCM_SHA384 verified by DANE: matched "
    "3 1 1 (DANE-EE)",
    "DCID 40986669 TLS failed: STARTTLS unexpected response",
    "DCID 5 TLS deferring: verify error: self-signed certificate",
    "DCID 8 IP 204.15.82.140 TLS was required but could not be successfully negotiated",
    "Connection Error: DCID 40986669 domain: example.com IP: 10.0.0.1 port: 25 details: 454-'TLS "
    "not available due to temporary reason' interface: 192.168.1.1 reason: unexpected SMTP "
    "response",
    "Connection Error: DCID 299 domain: example.com IP: 192.168.1.10 port: 25 details: 431-'mx "
    "ESMTP\\nMail system full' interface: 192.168.1.10 reason: unexpected SMTP response",
    "Connection Error: DCID 263 domain: example.com IP: 128.242.110.90 port: 25 details: EOF "
    "interface: 128.197.12.246 reason: network error",
    "DCID 8 close",
    "Delivery start DCID 8 MID 6 to RID [0]",
    "Delivery start DCID 8 MID 6 to RID [0, 1]",
    "Message done DCID 8 MID 6 to RID [0]",
    "Message done DCID 9 MID 7 to RID [0] [('TLS', 'TLSv1.3'), ('Cipher', "
    "'TLS_AES_256_GCM_SHA384'), ('Verified', 'matched 3 1 1 (DANE-EE)'), ('Policy', 'DANE')]",
    "MID 9 RID [0] Response '2.6.0 <id@host> Queued mail for delivery'",
    "Bounced: DCID 3 MID 4 to RID 0 - 5.1.0 - Unknown address error ('550', "
    "['<george@yourdomain.com>... Relaying denied']) []",
    "Bounced: DCID 0 MID 8 to RID 0 - 5.1.2 - Bad destination host ('000', ['DNS Hard Error "
    "looking up X (MX):  NXDomain']) []",
    "Bounced: DCID 2 MID 3 to RID 1 - 5.7.1 - Delivery not authorized ('550', ['5.7.1 first', "
    "'5.7.1 second']) []",
    "Delayed: DCID 4370 MID 10800 to RID 0 - 4.4.0 - Other network problem ('000', ['[Errno 54] "
    "Connection reset by peer']) []",
    "Delayed: DCID 1 MID 2 to RID 0 - 4.1.0 - Unknown address error ('451', ['']) []",
    "Double bounce: MID 12222130 to RID 0 - 5.1.0 - Unknown address error "
    "501-'5.5.4 Invalid Address'",
    "Double bounce: MID 5 to RID 1 - 5.4.7 - Delivery expired (message too old)",
    "Message 548799 to RID [0] pending till Sun Nov 22 17:55:00 2026",
    "Deleted: MID 3 to [0]",
};

static void write_all(void)
{
    struct observe_log *log;
    struct observe_log_writer *w;

    (void)unlink(log_path);
    log = open_log(log_path, 1);
    w = observe_log_writer(log, 0);
    write_inbound(w);
    write_message(w);
    write_connection(w);
    write_delivery(w);
    observe_log_destroy(log);
}

static void every_line_is_byte_for_byte_that_of_asyncos(void **unused)
{
    char *all, *rest;

    (void)unused;
    write_all();
    all = rest = read_file(log_path);
    skip_lines(&rest, 2);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        const char *line = next_line(&rest);

        assert_non_null(line);
        assert_memory_equal(line, PREFIX, strlen(PREFIX));
        assert_string_equal(line + strlen(PREFIX), golden[i]);
    }
    assert_non_null(strstr(next_line(&rest), "End Logfile"));
    assert_null(next_line(&rest));
    free(all);
}

/* The expressions of Cisco's findevent, over the text behind the level. */
static void the_patterns_of_findevent_match(void **unused)
{
    static const struct {
        const char *pattern;
        int lines;
    } cases[] = {
        { "^New SMTP ICID ([0-9]+)", 2 },
        { "^ICID ([0-9]+) ACCEPT|ICID ([0-9]+) RELAY", 3 },
        { "^ICID ([0-9]+) close", 1 },
        { "^Start MID ([0-9]+) ICID ([0-9]+)", 1 },
        { "^New SMTP DCID ([0-9]+) interface", 1 },
        { "^DCID ([0-9]+) TLS success", 2 },
        { "^Delivery start DCID ([0-9]+) MID ([0-9]+)", 2 },
        { "^Message finished MID ([0-9]+) done", 1 },
        { "^DCID ([0-9]+) close", 1 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        regex_t regex;
        int lines = 0;
        char *all, *rest, *line;

        write_all();
        all = rest = read_file(log_path);
        assert_int_equal(regcomp(&regex, cases[i].pattern, REG_EXTENDED | REG_NOSUB), 0);
        while ((line = next_line(&rest)) != NULL)
            lines += regexec(&regex, strstr(line, "Info: ") + 6, 0, NULL, 0) == 0;
        assert_int_equal(lines, cases[i].lines);
        regfree(&regex);
        free(all);
    }
}

static void a_long_list_of_recipients_goes_on_in_the_next_line(void **unused)
{
    static uint16_t many[2 * OBSERVE_RIDS_PER_LINE_MAX + 1];
    struct observe_log *log;
    char *all, *rest;
    uint32_t next = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (uint16_t)(UINT16_MAX - i);
    (void)unlink(log_path);
    log = open_log(log_path, 1);
    observe_delivery_done(observe_log_writer(log, 0), NOW_S, 18446744073709551615ull,
                          (struct observe_rids){ many, ARRAY_LEN(many) },
                          &(struct observe_tls){ .dcid = 18446744073709551615ull });
    observe_log_destroy(log);
    all = rest = read_file(log_path);
    skip_lines(&rest, 2);
    for (int lines = 0; lines < 3; lines++) {
        char *line = next_line(&rest);
        char *at = strchr(line, '[');

        assert_non_null(strstr(line, "Message done DCID 18446744073709551615 MID "));
        assert_non_null(at);
        while (*at != ']') {
            assert_int_equal(strtoul(at + 1, &at, 10), many[next++]);
            assert_true(*at == ',' || *at == ']');
        }
    }
    assert_int_equal(next, ARRAY_LEN(many));
    free(all);
}

static void statuses_have_the_words_of_asyncos(void **unused)
{
    static const struct {
        const char *enhanced, *words;
    } cases[] = {
        { "5.1.0", "Unknown address error" },
        { "4.1.0", "Unknown address error" },
        { "5.1.1", "Bad destination email address" },
        { "4.3.1", "Mail system full" },
        { "5.4.7", "Delivery expired (message too old)" },
        { "4.7.99", "Unknown error" },
        { "", "Unknown error" },
        { "garbage", "Unknown error" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(observe_status_words(slice_from(cases[i].enhanced)), cases[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_is_byte_for_byte_that_of_asyncos),
        cmocka_unit_test(the_patterns_of_findevent_match),
        cmocka_unit_test(a_long_list_of_recipients_goes_on_in_the_next_line),
        cmocka_unit_test(statuses_have_the_words_of_asyncos),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
