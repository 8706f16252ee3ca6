#include "tests/config/asyncos_sample.h"
#include "tests/config/import.h"

#define HAT(rows)       "$P\n  ACCEPT\n" rows "\nALL\n  $P\n"
#define BLOCK(settings) "$P\n  ACCEPT {" settings "}\nALL\n  $P\n"

/* A text, a part of what is written (or "" for all that is not looked at), and the whole report. */
struct good_case {
    const char *text;
    const char *written;
    const char *report;
};

static void expect_written(import_function *function, const struct good_case *cases, size_t count)
{
    static struct imported i;

    for (size_t k = 0; k < count; k++) {
        import_text(&i, function, slice_from(cases[k].text));
        if (i.status != STATUS_OK || strcmp(i.lines, cases[k].report) != 0 ||
            strstr(buffer_contents(&i.text).data, cases[k].written) == NULL)
            fail_msg("case %zu:\n%s\ngives\n%s\n%s\nexpected\n%s\n%s", k, cases[k].text,
                     buffer_contents(&i.text).data, i.lines, cases[k].written, cases[k].report);
        expect_syntax(&i);
        imported_finish(&i);
    }
}

static void the_sample_of_the_guide_is_carried_over(void **unused)
{
    static struct imported i;

    (void)unused;
    import_text(&i, config_import_hat, slice_from(guide_hat));
    assert_int_equal(i.status, STATUS_OK);
    assert_string_equal(buffer_contents(&i.text).data, guide_hat_written);
    assert_string_equal(i.lines, guide_hat_report);
    expect_syntax(&i);
    imported_finish(&i);
}

#define SENDER(theirs, ours)                                                                       \
    {                                                                                              \
        HAT(theirs "\n  $P"), "senders = [ \"" ours "\" ];", ""                                    \
    }
#define SAME(entry) SENDER(entry, entry)
#define LOST(entry, why)                                                                           \
    {                                                                                              \
        HAT(entry ", a.example\n  $P"), "# not carried over: " entry "\n",                         \
            "t.txt:3: warning: \"" entry "\" is not carried over: " why                            \
    }

static void every_form_of_sender_is_ours_too(void **unused)
{
    static const struct good_case cases[] = {
        SAME("192.0.2.1"),
        SAME("192.0.2."),
        SAME("192.0.2"),
        SAME("10."),
        SAME("10"),
        SAME("10.1.1.10-20"),
        SAME("10.1.1-3."),
        SAME("10-11"),
        SAME("10/8"),
        SAME("10.1/16"),
        SAME("192.0.2.0/24"),
        SAME("2001:db8:0:0:0:0:0:1"),
        SAME("2001:db8::1-ff"),
        SAME("2001:db8:1-f:0:0:0:0:1"),
        SAME("2001:db8::1-2001:db8::ff"),
        SAME("2001:db8::/32"),
        SAME("mail.example.com"),
        SENDER("mail.example.com.", "mail.example.com"),
        SAME(".example.com"),
        SAME("a_b.example"),
        SENDER("sbrs[-10.0:-3.0]", "SBRS[-10.0:-3.0]"),
        SENDER("SBRS[ -3 : +2.5 ]", "SBRS[-3.0:2.5]"),
        SENDER("sbrs[NONE]", "SBRS[none]"),
        SENDER("DNSLIST[zen.spamhaus.org]", "dnslist[zen.spamhaus.org]"),
        SENDER("geo[Germany]", "geo[DE]"),
        SENDER("GEO[united states]", "geo[US]"),
        SENDER("geo[Korea, Republic of]", "geo[KR]"),
        SENDER("geo[fr]", "geo[FR]"),
        SENDER("NX.domain", "nx.domain"),
        SAME("serv.fail"),
        SAME("not.double.verified"),
        { HAT("10.1.1.5/24\n  $P"), "[ \"10.1.1.0/24\" ]",
          "t.txt:3: warning: \"10.1.1.5/24\" has bits set behind its prefix: written as "
          "\"10.1.1.0/24\"" },
        { HAT("2001:db8::1/32\n  $P"), "[ \"2001:db8::/32\" ]",
          "t.txt:3: warning: \"2001:db8::1/32\" has bits set behind its prefix: written as "
          "\"2001:db8::/32\"" },
        LOST("SBO:123", "network owners are known to SenderBase only"),
        LOST("etf[source]", "Postern has no such condition"),
        LOST("geo[Atlantis]", "no country of that name in ISO 3166-1; write geo[XX] with its code"),
    };

    (void)unused;
    expect_written(config_import_hat, cases, ARRAY_LEN(cases));
}

#define NO_ENTRIES(line, group)                                                                    \
    "t.txt:" line ": warning: sender group " group " has no entries: it is written as a comment"

static void rows_come_in_many_shapes(void **unused)
{
    static const struct good_case cases[] = {
        /* entries parted by commas, by lines, by both */
        { HAT("G:\n  10.0.0.1, 10.0.0.2,\n  10.0.0.3\n  $P"),
          "\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"", "" },
        { HAT("10.0.0.1\n10.0.0.2\n  $P"), "\"10.0.0.1\", \"10.0.0.2\"", "" },
        { HAT("G: 10.0.0.1 $P"), "group = \"G\";\n      senders = [ \"10.0.0.1\" ];", "" },
        /* CRLF and tabs */
        { "$P\r\n\tACCEPT\r\nG:\r\n\t10.0.0.1 (ours)\r\n\t$P (all ours)\r\nALL\r\n\t$P\r\n",
          "\"10.0.0.1\"  # ours\n", "" },
        { "\xef\xbb\xbf$P\n  ACCEPT\nALL\n  $P\n", "policy = \"P\"", "" },
        /* comments in parentheses */
        { HAT("G: (one)\n  10.0.0.1\n  $P (two)"), "comment = \"one; two\";", "" },
        { HAT("10.0.0.1 (a (b), c), 10.0.0.2 (see :-)\n  $P"), "\"10.0.0.1\",  # a (b), c\n", "" },
        { HAT("10.0.0.1 (a \"quoted\\path\")\n  $P (a \"quoted\\path\")"),
          "comment = \"a \\\"quoted\\\\path\\\"\";", "" },
        /* comments of lines */
        { "# Z\xc3\xbcrich\n#\n#two\n$P\n  ACCEPT\nALL\n  $P\n# end",
          "  # Z\xc3\xbcrich\n  #\n  # two\n  P = {", "" },
        { HAT("G:\n  10.0.0.1 # one\n  # two\n  10.0.0.2\n  $P"),
          "        # one\n        \"10.0.0.1\",\n        # two\n        \"10.0.0.2\"\n", "" },
        { HAT("# of the row\n10.0.0.1\n  # of the policy\n  $P"),
          "    # of the row\n    {\n      senders = [ \"10.0.0.1\" ];\n      # of the policy\n",
          "" },
        { "$P\n  ACCEPT {\n # of a key that is ignored\n spam_check = \"on\"\n tls = \"on\" }\n"
          "ALL\n  $P\n",
          "    # of a key that is ignored\n    tls = \"preferred\";",
          "t.txt:4: warning: spam_check: ignored: Postern does not scan for spam" },
        /* policies behind their rows */
        { "10.0.0.1\n  $P\nALL\n  $P\n$P\n  ACCEPT\n", "policy = \"P\"", "" },
        /* inline rules: an equal policy, or a new one for all that are equal */
        { HAT("10.0.0.1\n  ACCEPT"), "senders = [ \"10.0.0.1\" ];\n      policy = \"P\"", "" },
        { HAT("10.0.0.1\n REJECT\n10.0.0.2\n TCPREFUSE (no)\n10.0.0.3\n reject\n10.0.0.4\n "
              "CONTINUE"),
          "  BLOCKED_ROW_1 = {\n    access = \"reject\";\n  };\n"
          "  # Made for rows of the export that name no policy.\n"
          "  REFUSED_ROW_2 = {\n    access = \"refuse\";\n  };\n"
          "  # Made for rows of the export that name no policy.\n"
          "  CONTINUE_ROW_4 = {\n    access = \"continue\";\n  };\n",
          "" },
        { HAT("10.0.0.1\n REJECT\n10.0.0.3\n REJECT {}"),
          "\"10.0.0.3\" ];\n      policy = \"BLOCKED_ROW_1\"", "" },
        { HAT("10.0.0.1\n RELAY { tls = \"required\" }\n10.0.0.3\n RELAY { tls = required }"),
          "\"10.0.0.3\" ];\n      policy = \"RELAYED_ROW_1\"", "" },
        /* groups without entries */
        { HAT("G:\n  $P (why)"),
          "# { group = \"G\"; senders = [ ]; policy = \"P\"; comment = \"why\"; },",
          NO_ENTRIES("3", "G") },
    };

    (void)unused;
    expect_written(config_import_hat, cases, ARRAY_LEN(cases));
}

#define SUGGESTED(line, name)                                                                      \
    "t.txt:" line ": warning: policy $" name                                                       \
    " is not in the file: written with the values that AsyncOS suggests"
#define RENAMED(line, theirs, ours)                                                                \
    "t.txt:" line ": warning: policy $" theirs " is written as " ours                              \
    ": our names have letters, digits, \"-\" and \"_\""

static void the_row_of_all_and_the_policies_are_made_whole(void **unused)
{
    static const struct good_case cases[] = {
        { "ALL\n  ACCEPT { tls = \"required\" }\n", "group = \"ALL\";\n      senders = [ \"ALL\" ]",
          "" },
        { "ALL, 10.0.0.1\n  REJECT\n10.0.0.2\n  ACCEPT\n",
          "      policy = \"ACCEPTED_ROW_1\";\n    },\n    {\n      group = \"ALL\";\n"
          "      senders = [\n        \"ALL\", \"10.0.0.1\"\n      ];",
          "t.txt:1: warning: ALL stands before other rows (the first is in line 3): it is asked "
          "last on an ESA, and written last" },
        { "ALL:\n  REJECT\n", "group = \"ALL\";\n      senders = [ \"ALL\" ]", "" },
        { "10.0.0.1\n  REJECT\n", "# Not in the export: the default of a public listener.",
          "t.txt: warning: has no row for ALL: written with policy ACCEPTED, the default of a "
          "public listener; a private one rejects\n"
          "t.txt: warning: policy $ACCEPTED is not in the file: written with the values that "
          "AsyncOS suggests" },
        { "$P\n ACCEPT\nALL\n $P\n10.0.0.1\n $P\n",
          "\"10.0.0.1\" ];\n      policy = \"P\";\n    },",
          "t.txt:3: warning: ALL stands before other rows (the first is in line 5): it is asked "
          "last on an ESA, and written last" },
        /* default parameters */
        { "$P\n ACCEPT { max_concurrency = 5 }\n$Q\n REJECT\nALL\n $P\n"
          " ACCEPT {\n  max_concurrency = 9\n  tls = \"on\"\n }\n",
          "    max_connections_per_ip = 5;\n    # from the default policy parameters:\n"
          "    tls = \"preferred\";\n  };\n  Q = {\n    access = \"reject\";\n  };",
          "" },
        { "$P\n ACCEPT { tls = \"required\" }\nALL\n $P\n ACCEPT { tls = \"on_verify\" }\n",
          "    tls = \"required\";\n  };", "" },
        { "$P\n ACCEPT\n$Q\n REJECT\nALL\n $P\n"
          " ACCEPT { reject_banner_code = 550 smtp_banner_code = 221 }\n",
          "    banner_code = 221;\n  };\n  Q = {\n    access = \"reject\";\n"
          "    # from the default policy parameters:\n    reject_code = 550;\n  };",
          "" },
        { "$P\n ACCEPT { use_override_hostname = off }\nALL\n $P\n"
          " ACCEPT { override_hostname = \"mx.example\" }\n",
          "    access = \"accept\";\n  };", "" },
        /* policies that every ESA has */
        { "10.0.0.1\n $THROTTLED\nALL\n REJECT\n",
          "    max_messages_per_connection = 10;\n    max_recipients_per_message = 20;\n"
          "    max_connections_per_ip = 10;\n    max_message_size = \"1M\";\n"
          "    max_recipients_per_hour = 20;\n",
          SUGGESTED("1", "THROTTLED") },
        { "10.0.0.1\n $RELAYED\nALL\n REJECT\n",
          "    access = \"relay\";\n    max_recipients_per_hour = 0;\n",
          SUGGESTED("1", "RELAYED") },
        { "10.0.0.1\n $BLOCKED\nALL\n REJECT\n", "policy = \"BLOCKED\";\n    },\n",
          SUGGESTED("1", "BLOCKED") },
        /* names */
        { "$my.policy\n ACCEPT\nALL\n $my.policy\n", "policy = \"my_policy\"",
          RENAMED("1", "my.policy", "my_policy") },
        { "$a.b\n ACCEPT\n$a_b\n REJECT\nALL\n $a_b\n", "policy = \"a_b_2\"",
          RENAMED("1", "a.b", "a_b") "\n" RENAMED("3", "a_b", "a_b_2") },
        { "$1st\n ACCEPT\nALL\n $1st\n", "P_1st = {", RENAMED("1", "1st", "P_1st") },
        { "$TRUE\n ACCEPT\nALL\n $TRUE\n", "TRUE_ = {", RENAMED("1", "TRUE", "TRUE_") },
        { "$\xc3\xa4\n ACCEPT\nALL\n $\xc3\xa4\n", "P___ = {", RENAMED("1", "\xc3\xa4", "P___") },
    };

    (void)unused;
    expect_written(config_import_hat, cases, ARRAY_LEN(cases));
}

#define SET(theirs, ours)                                                                          \
    {                                                                                              \
        BLOCK(theirs), "    access = \"accept\";\n    " ours "\n  };", ""                          \
    }
#define IGNORED(theirs, report)                                                                    \
    {                                                                                              \
        BLOCK(theirs), "    access = \"accept\";\n  };", "t.txt:2: warning: " report               \
    }

static void every_setting_has_its_key(void **unused)
{
    static const struct good_case cases[] = {
        SET("max_msgs_per_session = 7", "max_messages_per_connection = 7;"),
        SET("max_rcpts_per_msg = \"7\"", "max_recipients_per_message = 7;"),
        SET("MAX_CONCURRENCY=7", "max_connections_per_ip = 7;"),
        SET("max_concurrency = 7;", "max_connections_per_ip = 7;"),
        SET("max_message_size = 20M", "max_message_size = \"20M\";"),
        SET("max_message_size = 1500", "max_message_size = \"1500\";"),
        SET("max_rcpts_per_hour = -1", "max_recipients_per_hour = 0;"),
        SET("max_rcpts_per_hour = 30", "max_recipients_per_hour = 30;"),
        SET("max_rcpts_per_hour_code = 451", "max_recipients_per_hour_code = 451;"),
        SET("max_rcpts_per_hour_text = \"Too many, $Group\"",
            "max_recipients_per_hour_text = \"Too many, $Group\";"),
        SET("max_concurrency_text = \"a \\\"b\\\" \\\\\"",
            "max_connections_per_ip_text = \"a \\\"b\\\" \\\\\";"),
        SET("significant_bits = 24", "significant_bits = 24;"),
        SET("signficant_bits = 24", "significant_bits = 24;"),
        SET("dhap_limit = 0", "max_invalid_recipients_per_hour = 0;"),
        SET("dhap_limit = 25, dhap_action = \"drop\"",
            "max_invalid_recipients_per_hour = 25;\n    drop_invalid_recipients = true;"),
        SET("dhap_code = 550 dhap_message = \"no\"",
            "max_invalid_recipients_per_hour_code = 550;\n"
            "    max_invalid_recipients_per_hour_text = \"no\";"),
        SET("env_sender_rate_limit = 100 env_sender_rate_limit_period = 60",
            "max_recipients_per_sender = 100;\n    sender_interval = \"1h\";"),
        SET("sender_vrfy = \"on\"", "verify_sender = true;"),
        SET("sender_vrfy_bad_domain_smtp_code = 553", "sender_malformed_code = 553;"),
        SET("sender_vrfy_nxdomain_smtp_text = \"#5.1.8 no\"",
            "sender_nonexistent_text = \"#5.1.8 no\";"),
        SET("sender_vrfy_servfail_smtp_code = 451", "sender_temporary_code = 451;"),
        SET("domain_exception = \"off\"", "use_exception_table = false;"),
        SET("smtp_banner_code = 220 smtp_banner_text = \"hello\"",
            "banner_code = 220;\n    banner_text = \"hello\";"),
        SET("override_hostname = \"mx.example\"", "hostname = \"mx.example\";"),
        SET("tls = \"off\"", "tls = \"off\";"),
        SET("tls = \"on\"", "tls = \"preferred\";"),
        SET("tls = \"required\"", "tls = \"required\";"),
        SET("tls = \"on_verify\"", "tls = \"preferred\";\n    verify_client = \"optional\";"),
        SET("tls = \"require_verify\"", "tls = \"required\";\n    verify_client = \"required\";"),
        SET("tls_verify = on tls = \"required\"",
            "tls = \"required\";\n    verify_client = \"required\";"),
        { BLOCK("use_override_hostname = \"off\" override_hostname = \"mx.example\""),
          "    access = \"accept\";\n  };", "" },
        { BLOCK("tls = \"default\" max_concurrency = \"default\""),
          "    access = \"accept\";\n  };", "" },
        { "$P\n REJECT { smtp_banner_code = 554 smtp_banner_text = \"go away\" }\nALL\n $P\n",
          "    reject_code = 554;\n    reject_text = \"go away\";", "" },
    };

    (void)unused;
    expect_written(config_import_hat, cases, ARRAY_LEN(cases));
}

static void what_a_setting_loses_is_told(void **unused)
{
    static const struct good_case cases[] = {
        { BLOCK("max_message_size = 2G"), "max_message_size = \"1G\";",
          "t.txt:2: warning: max_message_size = 2G is written as 1G, the highest size here" },
        { BLOCK("max_concurrency = 5000000"), "max_connections_per_ip = 1000000;",
          "t.txt:2: warning: max_concurrency = 5000000 is written as 1000000, the highest value "
          "here" },
        { BLOCK("max_rcpts_per_hour = 0"), "max_recipients_per_hour = 0;",
          "t.txt:2: warning: max_rcpts_per_hour: 0 is read as \"no limit\", like -1" },
        { BLOCK("smtp_banner_text = \"one\\ntwo\""), "banner_text = \"one two\";",
          "t.txt:2: warning: the line ends in smtp_banner_text became blanks" },
        { BLOCK("env_sender_rate_limit_exceptions = \"friends\""),
          "sender_exceptions = \"friends\";",
          "t.txt:2: warning: env_sender_rate_limit_exceptions: the export names an address list "
          "and does not hold it: write the list" },
        IGNORED("max_concurrency = 0",
                "max_concurrency = 0 is not carried over: the lowest value is 1"),
        IGNORED("significant_bits = 0",
                "significant_bits = 0 is not carried over: it has to be from 1 to 32"),
        IGNORED("smtp_banner_text = \"\xc3\xa4\"",
                "smtp_banner_text is not carried over: a reply has to be ASCII"),
        IGNORED("smtp_banner_text = \"\"",
                "smtp_banner_text: it is empty, so that Postern's own text is used"),
        IGNORED("max_rcpts_per_hour_code = 250",
                "max_rcpts_per_hour_code = 250 is not carried over: it has to be from 400 to 599"),
        IGNORED("smtpauth_whatever = 1", "smtpauth_whatever: ignored: Postern does not offer SMTP "
                                         "AUTH"),
        IGNORED("colour = \"red\"", "colour: not carried over: not a setting that Postern knows"),
        { "$P\n ACCEPT {\n spam_check = \"on\" }\n$Q\n ACCEPT {\n spam_check = \"off\" }\n"
          "ALL\n ACCEPT {\n  Spam_Check = \"off\" }\n",
          "",
          "t.txt:3: warning: spam_check: ignored: Postern does not scan for spam (also lines "
          "6, 9)" },
    };

    (void)unused;
    expect_written(config_import_hat, cases, ARRAY_LEN(cases));
}

static void every_form_of_recipient_is_carried_over(void **unused)
{
    static const struct good_case cases[] = {
        { "# File exported by the GUI at 20060530T220526\n.example.com ACCEPT\nALL REJECT\n",
          "        # File exported by the GUI at 20060530T220526\n        \".example.com\"\n", "" },
        { "a.example ACCEPT\r\nb.example\tACCEPT\r\n",
          "        \"a.example\", \"b.example\"\n      ];\n      action = \"accept\";\n    }\n"
          "    # ALL is not in the export: all other recipients are rejected.\n",
          "" },
        { "a.example, b@ REJECT { smtp_response_code = 551, smtp_response_text = \"5.1.1 gone\" }",
          "        \"a.example\", \"b@\"\n      ];\n      action = \"reject\";\n"
          "      reply_code = 551;\n      reply_text = \"5.1.1 gone\";\n",
          "" },
        { "a@b.example ACCEPT {\n  bypass_receiving_control = \"on\"\n}\nALL REJECT\n",
          "[ \"a@b.example\" ];\n      action = \"accept\";\n      bypass_limits = true;\n    },",
          "" },
        { "postmaster@ ACCEPT (Bypass Receiving Control) (ours)",
          "bypass_limits = true;\n"
          "      comment = \"ours\";",
          "" },
        { "[192.0.2.1] ACCEPT\na@[IPv6:2001:db8::1] ACCEPT",
          "\"[192.0.2.1]\", \"a@[IPv6:2001:db8::1]\"", "" },
        { "[2001:db8::1] ACCEPT\nb@[2001:db8::2] ACCEPT",
          "\"[IPv6:2001:db8::1]\", \"b@[IPv6:2001:db8::2]\"", "" },
        { "a.example ACCEPT # ours\n", "      # ours\n      action = \"accept\";", "" },
        { "ALL REJECT { smtp_response_code = 450 }",
          "[ \"ALL\" ];\n      action = \"reject\";\n      reply_code = 450;\n    }\n", "" },
        { "ALL REJECT\na.example ACCEPT\n",
          "[ \"a.example\" ];\n      action = \"accept\";\n    },\n",
          "t.txt:1: warning: ALL: stands before other entries: it is asked last on an ESA, and "
          "written last" },
        { "a.example ACCEPT\nALL REJECT\nb.example ACCEPT\n",
          "[ \"a.example\" ];\n      action = \"accept\";\n    },\n    {\n"
          "      recipients = [ \"b.example\" ];\n",
          "t.txt:2: warning: ALL: stands before other entries: it is asked last on an ESA, and "
          "written last" },
        { "all accept", "[ \"ALL\" ];\n      action = \"accept\";",
          "t.txt:1: warning: ALL ACCEPT takes mail for every domain of the world, as on the ESA: "
          "an open relay, where a route covers them" },
        { "a.example ACCEPT { bypass_ldap_accept = 1 smtp_response_code = 250\n colour = 1 }",
          "[ \"a.example\" ];\n      action = \"accept\";\n    }\n",
          "t.txt:1: warning: bypass_ldap_accept: ignored: Postern asks no LDAP server about "
          "recipients\n"
          "t.txt:1: warning: smtp_response_code: not carried over: only a rejection has its own "
          "reply\n"
          "t.txt:2: warning: colour: not carried over: not an attribute that Postern knows" },
    };

    (void)unused;
    expect_written(config_import_rat, cases, ARRAY_LEN(cases));
}

static const char rest[] =
    "hostname = \"mx.example.com\"; spool = { path = \"spool\"; };\n"
    "certificates = { mail = { chain = \"c.pem\"; key = \"/k/c.key\"; }; };\n"
    "tls = { client_ca_file = \"ca.pem\"; };\n"
    "listeners = ( { name = \"In\"; type = \"public\"; address = \"127.0.0.1\";\n"
    "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; } );\n"
    "routes = ( { domain = \"ALL\"; to = [ \"192.0.2.1:25\" ]; } );\n";

static const char loadable_hat[] =
    "$ACCEPTED\n ACCEPT { tls = \"on_verify\" smtp_banner_text = \"hi\" significant_bits = 24 }\n"
    "$my.policy\n ACCEPT { max_rcpts_per_hour = 20 max_concurrency = 5 }\n"
    "RELAYS:\n 10.1.1.0/24 (stores)\n # mail hosts\n .example.com\n 2001:db8::5\n $RELAYED (ok)\n"
    "BAD:\n 192.0.2.7, bad.example.net\n REJECT { smtp_banner_text = \"no\" }\n"
    "EMPTY:\n $my.policy\n10.3.0.0/16\n $my.policy\nALL\n $ACCEPTED\n";

static void what_is_written_is_a_configuration(void **unused)
{
    static const struct {
        const char *address, *group, *policy;
    } cases[] = {
        { "10.1.1.77", "RELAYS", "RELAYED" },   { "10.1.2.77", "ALL", "ACCEPTED" },
        { "2001:db8::5", "RELAYS", "RELAYED" }, { "192.0.2.7", "BAD", "BLOCKED_ROW_2" },
        { "10.3.255.255", "", "my_policy" },    { "198.51.100.1", "ALL", "ACCEPTED" },
    };
    static struct imported hat, rat;
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    import_text(&hat, config_import_hat, slice_from(loadable_hat));
    import_text(&rat, config_import_rat,
                SLICE("# ours\n.example.com, example.com ACCEPT\nold@example.net REJECT "
                      "{ smtp_response_code = 551 smtp_response_text = \"5.1.1 gone\" }\n"
                      "postmaster@ ACCEPT (bypass receiving control)\nALL REJECT (the rest)\n"));
    buffer_init(&text, 4 * TEXT_MAX);
    assert_int_equal(buffer_append_text(&text, rest), STATUS_OK);
    assert_int_equal(buffer_append_text(&text, buffer_contents(&hat.text).data), STATUS_OK);
    assert_int_equal(buffer_append_text(&text, buffer_contents(&rat.text).data), STATUS_OK);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    if (load(buffer_contents(&text).data, &loaded, lines) != STATUS_OK)
        fail_msg("%s of\n%s", lines, buffer_contents(&text).data);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_sender sender = { 0 };
        struct policy_sender_verdict v;

        assert_true(ip_parse(slice_from(cases[i].address), &sender.address));
        v = policy_hat_find(loaded->settings.listeners[0].hat, &sender);
        if (!slice_equal(v.group, slice_from(cases[i].group)) ||
            !slice_equal(v.flow->name, slice_from(cases[i].policy)))
            fail_msg("%s: group %.*s, policy %.*s", cases[i].address, SLICE_ARGS(v.group),
                     SLICE_ARGS(v.flow->name));
    }
    config_loaded_destroy(loaded);
    buffer_finish(&text);
    imported_finish(&hat);
    imported_finish(&rat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_of_the_guide_is_carried_over),
        cmocka_unit_test(every_form_of_sender_is_ours_too),
        cmocka_unit_test(rows_come_in_many_shapes),
        cmocka_unit_test(the_row_of_all_and_the_policies_are_made_whole),
        cmocka_unit_test(every_setting_has_its_key),
        cmocka_unit_test(what_a_setting_loses_is_told),
        cmocka_unit_test(every_form_of_recipient_is_carried_over),
        cmocka_unit_test(what_is_written_is_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
