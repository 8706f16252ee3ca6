#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/config/sample.h"

#define MX "hostname = \"mx.example.com\";"

static void values_are_judged_at_their_line(void **unused)
{
    static const struct problem_case cases[] = {
        { 1, "", "t.conf: \"hostname\" is missing" },
        { 1, "hostname = \"mx 1\";", "t.conf:1: hostname = \"mx 1\" is not a host name" },
        { 1, "hostname = \"10.0.0.1\";", "t.conf:1: hostname = \"10.0.0.1\" is not a host name" },
        { 1, "hostname = 5;", "t.conf:1: hostname has to be a string" },
        { 1, MX " wrokers = 2;", "t.conf:1: unknown key \"wrokers\"; did you mean \"workers\"?" },
        { 1, MX " colour = 2;", "t.conf:1: unknown key \"colour\"" },
        { 1, MX " workers = 257;", "t.conf:1: workers has to be from 0 to 256" },
        { 1, MX " workers = -1;", "t.conf:1: workers has to be from 0 to 256" },
        { 1, MX " workers = 4294967297L;", "t.conf:1: workers has to be from 0 to 256" },
        { 1, MX " workers = \"two\";", "t.conf:1: workers has to be a number" },
        { 1, MX " workers = 2.5;", "t.conf:1: workers has to be a number" },
        { 1, MX " tls = \"on\";", "t.conf:1: tls has to be a group: { ... }" },
        { 1, MX " tls = { ktls = \"yes\"; };",
          "t.conf:1: ktls = \"yes\" is none of \"auto\", \"off\", \"tx\", \"both\"" },
        { 1, MX " tls = { ktls = \"bth\"; };",
          "t.conf:1: ktls = \"bth\" is none of \"auto\", \"off\", \"tx\", \"both\"; did you mean "
          "\"both\"?" },
        { 1, MX " tls = { min_version = \"1.1\"; };",
          "t.conf:1: min_version = \"1.1\" is none of \"1.2\", \"1.3\"; did you mean \"1.2\"?" },
        { 1, MX " log = { format = \"json\"; };",
          "t.conf:1: format = \"json\" is not supported by this version; \"asyncos\" is" },
        { 1, MX " log = { format = \"cef\"; };",
          "t.conf:1: format = \"cef\" is not supported by this version; \"asyncos\" is" },
        { 1, MX " session = { data_timeout = \"5\"; };",
          "t.conf:1: data_timeout has to be a duration like \"30s\", \"5m\", \"12h\" or \"3d\"" },
        { 1, MX " session = { data_timeout = 5; };",
          "t.conf:1: data_timeout has to be a duration like \"30s\", \"5m\", \"12h\" or \"3d\"" },
        { 1, MX " session = { data_timeout = \"2d\"; };",
          "t.conf:1: data_timeout has to be from 1s to 1h" },
        { 1, MX " memory = { messages = \"1X\"; };",
          "t.conf:1: messages has to be a size like \"64K\", \"20M\" or \"1G\"" },
        { 1, MX " memory = { messages = \"99999999999999999999G\"; };",
          "t.conf:1: messages has to be a size like \"64K\", \"20M\" or \"1G\"" },
        { 1, MX " memory = { messages = \"1M\"; };",
          "t.conf:1: messages has to be from 16M to 1024G" },
        { 2, "spool = { };", "t.conf:2: spool: \"path\" is missing" },
        { 2, "", "t.conf: \"spool\" is missing" },
        { 2, "spool = { path = \"s\"; max_size = \"1K\"; };",
          "t.conf:2: max_size has to be from 256M to 1048576G" },
        { 3, "", "t.conf:5: certificate \"mail\" is not in certificates" },
        { 3, "certificates = { mial = { chain = \"c\"; key = \"k\"; }; };",
          "t.conf:5: certificate \"mail\" is not in certificates; did you mean \"mial\"?" },
        { 3, "certificates = { mail = { chain = \"c\"; }; };",
          "t.conf:3: mail: \"key\" is missing" },
        { 3, "certificates = { mail = \"c\"; };",
          "t.conf:3: certificate \"mail\" has to be { chain = ...; key = ...; }, or a list of at "
          "most 2 of them" },
        { 3, "certificates = { mail = ( { chain = \"c\"; key = \"k\"; }, \"x\" ); };",
          "t.conf:3: has to be a group: { ... }" },
        { 3,
          "certificates = { mail = ( { chain = \"c\"; key = \"k\"; }, { chain = \"d\"; "
          "} ); };",
          "t.conf:3: mail: \"key\" is missing" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void listeners_are_judged(void **unused)
{
#define LISTENER "listeners = ( { name = \"In\"; type = \"public\"; address = \"127.0.0.1\"; "
    static const struct problem_case cases[] = {
        { 4, "listeners = ( { name = \"In\"; type = \"pubic\"; address = \"127.0.0.1\";",
          "t.conf:4: type = \"pubic\" is none of \"public\", \"private\"; did you mean "
          "\"public\"?" },
        { 4, "listeners = ( { name = \"In\"; type = \"private\"; address = \"127.0.0.1\";",
          "t.conf:5: private listener \"In\" cannot have a rat" },
        { 4, LISTENER "prot = 26;",
          "t.conf:4: unknown key \"prot\" in a listener; did you mean \"port\"?" },
        { 4, "listeners = ( { name = \"In\"; type = \"public\"; address = \"localhost\";",
          "t.conf:4: address = \"localhost\" is not an IPv4 or IPv6 address" },
        { 4, LISTENER "port = 0;", "t.conf:4: port has to be from 1 to 65535" },
        { 5, "  hat = \"in\"; rat = \"in\"; } );",
          "t.conf:4: listener \"In\" has no certificate, but a policy of its hat \"in\" "
          "offers TLS" },
        { 5, "  certificate = \"mail\"; hat = \"in\"; } );",
          "t.conf:4: public listener \"In\" has no rat: it would accept mail for anybody" },
        { 5, "  certificate = \"mail\"; hat = \"ni\"; rat = \"other\"; } );",
          "t.conf:5: hat \"ni\" is not defined\n"
          "t.conf:5: rat \"other\" is not defined" },
        { 5,
          "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; },\n"
          "{ name = \"In\"; type = \"public\"; address = \"127.0.0.1\"; certificate = \"mail\";\n"
          "  hat = \"in\"; rat = \"in\"; } );",
          "t.conf:6: listener \"In\" stands twice\n"
          "t.conf:6: listener \"In\" has the address of listener \"In\": 127.0.0.1:25" },
        { 4, "listeners = ( ); x = ( {",
          "t.conf:4: unknown key \"x\"\n"
          "t.conf:4: there have to be 1 to 64 listeners" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

#define NO_CLIENT_NAME(text)                                                                       \
    "\"" text "\" is not a name of a certificate: \"host.example.com\", \"*.example.com\" or "     \
    "\"user@example.com\""

static void policies_are_judged(void **unused)
{
    static const struct problem_case cases[] = {
        { 6, "mail_flow_policies = { ACCEPTED = { tls = \"preferred\"; };",
          "t.conf:6: ACCEPTED: \"access\" is missing" },
        { 6, "mail_flow_policies = { ACCEPTED = { access = \"acept\"; tls = \"preferred\"; };",
          "t.conf:6: access = \"acept\" is none of \"accept\", \"relay\", \"reject\", "
          "\"refuse\", "
          "\"continue\"; did you mean \"accept\"?" },
        { 6,
          "mail_flow_policies = { ACCEPTED = { access = \"accept\"; tls = "
          "\"required-verify\"; };",
          "t.conf:6: tls = \"required-verify\" is none of \"off\", \"preferred\", \"required\"" },
        { 6,
          "mail_flow_policies = { ACCEPTED = { access = \"accept\"; max_message_size = "
          "\"2G\"; };",
          "t.conf:6: max_message_size has to be from 1K to 1G" },
        { 6, "mail_flow_policies = { ACCEPTED = { access = \"accept\"; max_recipients = 3; };",
          "t.conf:6: unknown key \"max_recipients\" in ACCEPTED" },
        { 6, "mail_flow_policies = { ACCEPTED = { access = \"accept\"; }; ACCEPTED = { };",
          "t.conf:6: duplicate setting name \"ACCEPTED\": it stands already in line 6" },
        { 7,
          "  GO_ON = { access = \"reject\"; }; GO_ON = { access = \"continue\"; }; };\nrat = { };",
          "t.conf:7: duplicate setting name \"GO_ON\": it stands already in line 7" },
        { 13, "bounce_profiles = { };\nspool = { };",
          "t.conf:14: duplicate setting name \"spool\": it stands already in line 2" },
        { 6,
          "tls = { client_ca_file = \"c\"; }; mail_flow_policies = { ACCEPTED = {\n"
          "access = \"accept\"; tls = \"preferred\"; verify_client = \"optional\"; client_names = "
          "[ \"a.example\",\n\"*.a.example\", \"user@a.example\",\n\"@a.example\",\n\"*\" ]; };",
          "t.conf:9: " NO_CLIENT_NAME("@a.example") "\n"
                                                    "t.conf:10: " NO_CLIENT_NAME("*") },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void hats_are_judged(void **unused)
{
#define ALL_ROW "{ group = \"ALL\"; senders = [ \"ALL\" ]; policy = \"ACCEPTED\"; }"
    static const struct problem_case cases[] = {
        { 8,
          "hat = { in = ( { group = \"G\"; senders = [ \"192.0.2.0/24\" ]; policy = "
          "\"BLOKED\"; },",
          "t.conf:8: policy \"BLOKED\" is not in mail_flow_policies; did you mean \"BLOCKED\"?" },
        { 8, "hat = { in = ( { senders = [ \"192.0.2.1/24\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: \"192.0.2.1/24\" is not a sender: bits are set behind its prefix" },
        { 8, "hat = { in = ( { senders = [ \"192.0.2.1.\", \"a b\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: \"192.0.2.1.\" is not a sender: it has more than four octets\n"
          "t.conf:8: \"a b\" is not a sender: an address, a CIDR block, a range, a host name, "
          "\".domain\", dnslist[...], SBRS[...], geo[...] or \"ALL\"" },
        { 8, "hat = { in = ( { senders = [ ]; policy = \"BLOCKED\"; },",
          "t.conf:8: senders has to be a list of strings: [ \"...\", \"...\" ]" },
        { 8, "hat = { in = ( { senders = [ \"10.0.0.0/8\" ]; policy = \"GO_ON\"; },", "" },
        { 9, "  { group = \"ALL\"; senders = [ \"::/0\" ]; policy = \"ACCEPTED\"; } ); };",
          "t.conf:8: the last row of hat \"in\" has to have senders = [ \"ALL\" ] and a "
          "policy that "
          "does not continue" },
        { 9, "  { group = \"ALL\"; senders = [ \"ALL\" ]; policy = \"GO_ON\"; } ); };",
          "t.conf:8: the last row of hat \"in\" has to have senders = [ \"ALL\" ] and a "
          "policy that "
          "does not continue" },
        { 9,
          ALL_ROW ",\n{ group = \"X\"; senders = [ \"10.0.0.1\", \"10.0.0.2\" ]; policy = "
                  "\"BLOCKED\"; }, " ALL_ROW " ); };",
          "t.conf:10: warning: row 3 (X) of hat \"in\" is never reached: \"ALL\" of row 2 (ALL) "
          "comes first\n"
          "t.conf:10: warning: "
          "row 4 (ALL) of hat \"in\" is never reached: \"ALL\" of row 2 (ALL) comes "
          "first" },
        { 9,
          "{ senders = [ \"10.0.0.1\",\n \"192.0.2.9\" ]; policy = \"ACCEPTED\"; }, " ALL_ROW
          " ); };",
          "t.conf:10: warning: "
          "\"192.0.2.9\" in row 2 of hat \"in\" is never reached: \"192.0.2.0/24\" of "
          "row 1 (G) comes first" },
        { 9,
          "{ senders = [ \"10.0.0.1\", \"10.0.0.1\" ]; policy = \"ACCEPTED\"; }, " ALL_ROW " ); };",
          "t.conf:9: warning: \"10.0.0.1\" stands twice in row 2 of hat \"in\"" },
        { 9, ALL_ROW " ); out = ( " ALL_ROW " ); };",
          "t.conf:9: warning: hat \"out\" is used by no listener" },
        { 9, ALL_ROW " ); out = { }; };",
          "t.conf:9: hat \"out\" has to be a list of rows: ( { ... }, { ... } )" },
        { 9, "\"ALL\" ); };", "t.conf:9: has to be a group: { ... }" },
        { 7, "BLOCKED = { access = \"relay\"; }; };", "" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void what_a_row_may_hold_is_judged(void **unused)
{
    static const struct problem_case cases[] = {
        { 8, "hat = { in = ( { senders = [ \"SBO:5\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: \"SBO:5\" is not a sender: network owners (SBO) are not supported" },
        { 8, "hat = { in = ( { senders = [ \".a.example\" ]; policy = \"BLOCKED\"; },", "" },
        { 8, "hat = { in = ( { policy = \"BLOCKED\"; },",
          "t.conf:8: a HAT row: \"senders\" or \"senders_file\" is missing" },
        { 8, "hat = { in = ( { senders_file = \"x\"; policy = \"BLOCKED\"; },",
          "t.conf:8: senders_file is not possible here" },
        { 8,
          "hat = { in = ( { senders = [ \"b.a.example\", \"c.a.example\" ]; policy = \"BLOCKED\";\n"
          "comment = \"why\"; },",
          "" },
        { 8, "hat = { in = ( { senders = [ \"a.example\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: warning: \"a.example\" names one host; with a dot in front it would match the "
          "hosts below it" },
        { 8,
          "hat = { in = ( { senders = [ \"localhost\", \"NotDoubleVerified\", \"a.b.example\" ]; "
          "policy = \"BLOCKED\"; },",
          "t.conf:8: warning: \"localhost\" has no domain: no host of the DNS is named so\n"
          "t.conf:8: warning: \"NotDoubleVerified\" is no host; the word for a name that does not "
          "lead back is \"not.double.verified\"" },
        { 8,
          "hat = { in = ( { senders = [ \"a.example\", \".a.example\" ]; policy = "
          "\"BLOCKED\"; },",
          "" },
        { 8, "hat = { in = ( { senders = [ \"SBRS[-10:-3]\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: warning: hat \"in\" looks at reputations, but \"reputation\" names "
          "no source of them: every host is SBRS[none]" },
        { 8, "hat = { in = ( { senders = [ \"geo[DE]\" ]; policy = \"BLOCKED\"; },",
          "t.conf:8: warning: hat \"in\" looks at countries, but \"country\" names no "
          "database: geo[...] never matches" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void recipients_are_judged(void **unused)
{
    static const struct problem_case cases[] = {
        { 10,
          "rat = { in = ( { recipients = [ \"example.com\", \"a b\" ]; action = "
          "\"accept\"; } ); };",
          "t.conf:10: \"a b\" is not a recipient: \"example.com\", \".example.com\", "
          "\"user@example.com\", \"user@\" or \"ALL\"" },
        { 10, "rat = { in = ( { recipients = [ \"a.example\" ]; action = \"accept\"; } ); };",
          "t.conf:10: warning: \"a.example\" in rat \"in\" is accepted, but no route "
          "covers it: its "
          "MX may lead back here" },
        { 10, "rat = { in = ( { recipients = [ \".example.com\" ]; action = \"accept\"; } ); };",
          "t.conf:10: warning: \".example.com\" in rat \"in\" is accepted, but no route covers it: "
          "its MX may lead back here" },
        { 10, "rat = { in = ( { recipients = [ \"ALL\" ]; action = \"accept\"; } ); };",
          "t.conf:10: warning: \"ALL\" in rat \"in\" is accepted, but no route covers it: its MX "
          "may lead back here" },
        { 10,
          "rat = { in = ( { recipients = [ \"example.com\" ]; action = \"accept\";\n"
          " reply_code = 550; } ); };",
          "t.conf:11: a reply can only be given with action = \"reject\"" },
        { 10,
          "rat = { in = ( { recipients = [ \"example.com\" ]; action = \"reject\"; reply_code = "
          "250; } ); };",
          "t.conf:10: reply_code has to be from 400 to 599" },
        { 10,
          "rat = { in = ( { recipients = [ \"example.com\" ]; action = \"reject\"; reply_text = "
          "\"a\\nb\"; } ); };",
          "t.conf:10: reply_text has a control character" },
        { 10,
          "rat = { in = ( { recipients = [ \"example.com\", \"u@example.com\" ]; action = "
          "\"accept\"; },\n{ recipients = [ \"v@example.com\" ]; action = \"reject\"; } ); };",
          "t.conf:10: warning: \"u@example.com\" in rat \"in\" is covered by "
          "\"example.com\" of the "
          "same row\n"
          "t.conf:11: warning: "
          "\"v@example.com\" in rat \"in\" is never reached: \"example.com\" of row 1 "
          "comes first" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void delivery_is_judged(void **unused)
{
    static const struct problem_case cases[] = {
        { 11,
          "destinations = { domains = ( { domain = \"a.example\"; },\n{ domain = "
          "\"A.example.\"; } ); };",
          "t.conf:12: domain \"A.example.\" stands already in line 11" },
        { 11, "destinations = { domains = ( { domain = \"ALL@\"; max_connections = 1; } ); };",
          "t.conf:11: \"ALL@\" is not a domain or \".domain\"" },
        { 11,
          "destinations = { default = { bounce_profile = \"fast\"; max_connections = 1001; }; };",
          "t.conf:11: max_connections has to be from 1 to 1000\n"
          "t.conf:11: bounce_profile \"fast\" is not in bounce_profiles" },
        { 11, "destinations = { defualt = { }; };",
          "t.conf:11: unknown key \"defualt\" in destinations; did you mean \"default\"?" },
        { 12,
          "routes = ( { domain = \"example.com\"; to = [ \"192.0.2.1:25:1\", "
          "\"192.0.2.1\" ]; }, " MX_ROUTE " );",
          "t.conf:12: \"192.0.2.1:25:1\" is not a host: \"192.0.2.1:25\", \"[2001:db8::1]:25\", "
          "\"mx.example.com\", \"[mx.example.com]:25/pri=10\", \"USEDNS\" or \"/dev/null\"" },
        { 12,
          "routes = ( { domain = \"example.com\"; to = [ \"192.0.2.1\" ]; },\n"
          "{ domain = \"example.com\"; to = [ \"192.0.2.1\" ]; }, " MX_ROUTE " );",
          "t.conf:13: domain \"example.com\" stands already in line 12" },
        { 12,
          "routes = ( { domain = \"*\"; to = [ \"192.0.2.1\" ]; }, { domain = \"ALL\"; to = [ "
          "\"192.0.2.1\" ]; } );",
          "t.conf:12: \"*\" is not a domain, \".domain\" or \"ALL\"" },
        { 13, "bounce_profiles = { a = { initial_retry = \"2h\"; max_retry = \"1h\"; }; };",
          "t.conf:13: initial_retry is longer than max_retry" },
        { 13, "bounce_profiles = { a = { max_age = \"31d\"; max_retris = 1; }; b = 2; };",
          "t.conf:13: unknown key \"max_retris\" in a; did you mean \"max_retries\"?\n"
          "t.conf:13: max_age has to be from 1s to 30d\n"
          "t.conf:13: bounce profile \"b\" has to be a group" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void what_is_not_the_syntax_ends_at_its_line(void **unused)
{
    static const struct problem_case cases[] = {
        { 7, "  BLOCKED = { access == \"reject\"; }; };",
          "t.conf:7: syntax error at \"=\": a value has to stand here" },
        { 12,
          "routes = ( { domain = \"example.com\"; to = [ \"192.0.2.1:25\" ]; }\n" MX_ROUTE " );",
          "t.conf:13: syntax error at \"{\": a comma is missing behind the entry in line 12" },
        { 11, "destinations = { default = { tls = required-verify; }; };",
          "t.conf:11: syntax error at \"required-verify\": text wants quotes: "
          "\"required-verify\"" },
        { 13, "bounce_profiles = {",
          "t.conf:14: syntax error at the end: \"{\" has to be closed before: it stands in line "
          "13" },
        { 13, "bounce_profiles = { a = \"x",
          "t.conf:13: a string is not ended: it begins in line 13" },
        { 11, "/* x\n\"\n*/ destinations = {\"\n\n",
          "t.conf:17: a string is not ended: it begins in line 16, or a quote is missing in line "
          "13" },
        { 13, "/* bounce_profiles = { };",
          "t.conf:13: a comment is not ended: it begins in line 13" },
        { 13, "@include \"more.conf\"",
          "t.conf:13: @include is not possible here, or more than 10 deep" },
        { 13, "/* @include \"x\"\n@include \"y\" */ bounce_profiles = { };", "" },
        { 13, "# @include \"x\"\n// \" @include\nbounce_profiles = { };", "" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

/* A whole configuration with several problems in each section: each is told, and none that only
 * follows from another. */
static const char broken_text[] =
    /* 1 */
    "hostname = \"mx.example.com\"; workers = 999;\n"
    /* 2 */ "spool = { path = \"spool\"; max_size = \"1K\"; min_free = 3.5; };\n"
    /* 3 */ "certificates = { mail = { chain = 1; kye = \"k\"; }; };\n"
    /* 4 */ "listeners = (\n"
    /* 5 */ " { name = \"A\"; type = \"pub\"; address = \"300.1.1.1\";\n"
    /* 6 */ "   port = 99999; certificate = \"mial\";\n"
    /* 7 */ "   hat = \"ni\"; rat = \"nowhere\"; hostname = \"a b\"; },\n"
    /* 8 */ " { name = \"A\"; type = \"public\"; address = \"127.0.0.1\"; prot = 26;\n"
    /* 9 */ "   certificate = 3; hat = \"in\"; rat = 4; },\n"
    /* 10 */ " { name = \"B\"; type = \"public\"; address = \"127.0.0.1\"; backlog = 0;\n"
    /* 11 */ "   certificate = \"mail\"; hat = \"in\"; rat = \"in\"; } );\n"
    /* 12 */ "mail_flow_policies = { ACC = { access = \"acept\"; tls = \"prefered\";\n"
    /* 13 */ "   max_message_size = \"2G\"; }; ODD = 5; };\n"
    /* 14 */ "hat = { in = (\n"
    /* 15 */ " { group = \"G\"; senders = [ \"300.1.1.1\",\n"
    /* 16 */ "    \"192.0.2.1/24\" ];\n"
    /* 17 */ "   policy = \"BLOCKED\"; },\n"
    /* 18 */ " { senders = [ \"10.0.0.1\" ]; policy = \"ODD\"; },\n"
    /* 19 */ " { senders = [ \"ALL\" ]; policy = \"ACC\"; },\n"
    /* 20 */ " { sender = [ \"ALL\" ]; policy = \"ACC\"; } ); };\n"
    /* 21 */ "rat = { in = ( { recipients = [ \"a b\",\n"
    /* 22 */ "   \"example.com\", \"@\" ]; reply_code = 550;\n"
    /* 23 */ "   action = \"acept\"; },\n"
    /* 24 */ " { recipients = [ \"example.net\" ]; action = \"accept\"; } ); };\n"
    /* 25 */ "destinations = { default = { dane = \"maybe\"; }; domains = (\n"
    /* 26 */ " { domain = \"p.example\"; tls = \"requierd\";\n"
    /* 27 */ "   bounce_profile = \"zz\"; },\n"
    /* 28 */ " { domain = \"a b\"; max_connections = 0; bounce_profile = \"b\"; },\n"
    /* 29 */ " { domain = \"p.example\"; } ); };\n"
    /* 30 */ "routes = ( { domain = \"example.net\"; to = [ \"1.2.3.4.5:1\",\n"
    /* 31 */ "   \"/dev/null\" ]; },\n"
    /* 32 */ " { domain = \"example.net\"; to = [ \"192.0.2.1\" ]; x = 1; },\n"
    /* 33 */ " { domain = \"example.net\"; to = 5; } );\n"
    /* 34 */ "bounce_profiles = { a = { initial_retry = \"2h\"; max_retry = \"1h\";\n"
    /* 35 */ "   max_age = \"99d\"; }; b = 2;\n"
    /* 36 */ " c = { initial_retry = \"2h\"; max_retry = \"1\"; max_retries = -1; }; };\n";

static const char broken_problems[] =
    "t.conf:1: workers has to be from 0 to 256\n"
    "t.conf:2: max_size has to be from 256M to 1048576G\n"
    "t.conf:2: min_free has to be a size like \"64K\", \"20M\" or \"1G\"\n"
    "t.conf:3: unknown key \"kye\" in mail; did you mean \"key\"?\n"
    "t.conf:3: chain has to be a string\n"
    "t.conf:5: type = \"pub\" is none of \"public\", \"private\"\n"
    "t.conf:5: address = \"300.1.1.1\" is not an IPv4 or IPv6 address\n"
    "t.conf:6: port has to be from 1 to 65535\n"
    "t.conf:6: certificate \"mial\" is not in certificates; did you mean \"mail\"?\n"
    "t.conf:7: hostname = \"a b\" is not a host name\n"
    "t.conf:7: hat \"ni\" is not defined\n"
    "t.conf:7: rat \"nowhere\" is not defined\n"
    "t.conf:8: unknown key \"prot\" in a listener; did you mean \"port\"?\n"
    "t.conf:8: listener \"A\" stands twice\n"
    "t.conf:9: certificate has to be a string\n"
    "t.conf:9: rat has to be a string\n"
    "t.conf:10: backlog has to be from 1 to 65535\n"
    "t.conf:12: access = \"acept\" is none of \"accept\", \"relay\", \"reject\", "
    "\"refuse\", \"continue\"; did you mean \"accept\"?\n"
    "t.conf:12: tls = \"prefered\" is none of \"off\", \"preferred\", \"required\"; did "
    "you mean \"preferred\"?\n"
    "t.conf:13: max_message_size has to be from 1K to 1G\n"
    "t.conf:13: policy \"ODD\" has to be a group\n"
    "t.conf:15: \"300.1.1.1\" is not a sender: an octet is above 255\n"
    "t.conf:16: \"192.0.2.1/24\" is not a sender: bits are set behind its prefix\n"
    "t.conf:17: policy \"BLOCKED\" is not in mail_flow_policies\n"
    "t.conf:20: unknown key \"sender\" in a HAT row; did you mean \"senders\"?\n"
    "t.conf:21: \"a b\" is not a recipient: \"example.com\", \".example.com\", "
    "\"user@example.com\", \"user@\" or \"ALL\"\n"
    "t.conf:22: \"@\" is not a recipient: \"example.com\", \".example.com\", "
    "\"user@example.com\", \"user@\" or \"ALL\"\n"
    "t.conf:23: action = \"acept\" is none of \"accept\", \"reject\"; did you mean "
    "\"accept\"?\n"
    "t.conf:25: dane = \"maybe\" is none of \"off\", \"opportunistic\", \"mandatory\"\n"
    "t.conf:26: tls = \"requierd\" is none of \"off\", \"preferred\", \"required\", "
    "\"preferred-verify\", \"required-verify\", \"required-verify-hosted\"; did you "
    "mean \"required\"?\n"
    "t.conf:27: bounce_profile \"zz\" is not in bounce_profiles\n"
    "t.conf:28: max_connections has to be from 1 to 1000\n"
    "t.conf:28: \"a b\" is not a domain or \".domain\"\n"
    "t.conf:29: domain \"p.example\" stands already in line 26\n"
    "t.conf:30: \"1.2.3.4.5:1\" is not a host: \"192.0.2.1:25\", \"[2001:db8::1]:25\", "
    "\"mx.example.com\", \"[mx.example.com]:25/pri=10\", \"USEDNS\" or \"/dev/null\"\n"
    "t.conf:31: \"/dev/null\" stands alone in a route\n"
    "t.conf:32: unknown key \"x\" in a route\n"
    "t.conf:32: domain \"example.net\" stands already in line 30\n"
    "t.conf:33: to has to be a list of strings: [ \"...\", \"...\" ]\n"
    "t.conf:33: domain \"example.net\" stands already in line 30\n"
    "t.conf:34: initial_retry is longer than max_retry\n"
    "t.conf:35: max_age has to be from 1s to 30d\n"
    "t.conf:35: bounce profile \"b\" has to be a group\n"
    "t.conf:36: max_retry has to be a duration like \"30s\", \"5m\", \"12h\" or \"3d\"\n"
    "t.conf:36: max_retries has to be from 0 to 10000";

static void every_problem_of_every_section_is_told_at_once(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;

    (void)unused;
    assert_int_equal(load(broken_text, &loaded, lines), STATUS_INVALID);
    assert_string_equal(lines, broken_problems);
}

/* What is left out of a section that is wrong as a whole is not a problem of its own. */
static void a_section_that_is_wrong_has_no_other_problem(void **unused)
{
    static const struct problem_case cases[] = {
        { 3, "certficates = { mail = { chain = \"c\"; key = \"k\"; }; };",
          "t.conf:3: unknown key \"certficates\"; did you mean \"certificates\"?" },
        { 3, "certificates = 5;", "t.conf:3: certificates has to be a group: { ... }" },
        { 10, "rta = { in = ( { recipients = [ \"example.com\" ]; action = \"accept\"; } ); };",
          "t.conf:10: unknown key \"rta\"; did you mean \"rat\"?" },
        { 10, "rat = { in = 5; };",
          "t.conf:10: rat \"in\" has to be a list of rows: ( { ... }, { ... } )" },
        { 12, "rotes = ( );", "t.conf:12: unknown key \"rotes\"; did you mean \"routes\"?" },
        { 12, "routes = ( { domian = \"example.com\"; to = [ \"192.0.2.1\" ]; } );",
          "t.conf:12: unknown key \"domian\" in a route; did you mean \"domain\"?" },
        { 12, "routes = ( { domain = \"exam ple.com\"; to = [ \"192.0.2.1.2\" ]; }, 5 );",
          "t.conf:12: \"192.0.2.1.2\" is not a host: \"192.0.2.1:25\", \"[2001:db8::1]:25\", "
          "\"mx.example.com\", \"[mx.example.com]:25/pri=10\", \"USEDNS\" or \"/dev/null\"\n"
          "t.conf:12: \"exam ple.com\" is not a domain, \".domain\" or \"ALL\"\n"
          "t.conf:12: has to be a group: { ... }" },
        { 5, "  certficate = \"mail\"; hat = \"in\"; ratt = \"in\"; } );",
          "t.conf:5: unknown key \"certficate\" in a listener; did you mean \"certificate\"?\n"
          "t.conf:5: unknown key \"ratt\" in a listener; did you mean \"rat\"?" },
        { 4, "listners = ( { name = \"In\"; type = \"public\"; address = \"127.0.0.1\";",
          "t.conf:4: unknown key \"listners\"; did you mean \"listeners\"?" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void mail_that_could_not_leave_is_warned_of(void **unused)
{
#define NO_POSTMASTER                                                                              \
    "t.conf:5: warning: listener \"In\" accepts mail for <postmaster>, but no route is for the "   \
    "hostname \"mx.example.com\" or ALL: its MX may lead back here"
#define EXAMPLE_ROUTE "{ domain = \"example.com\"; to = [ \"192.0.2.1:25\" ]; }"
    static const struct problem_case cases[] = {
        { 12, "routes = ( " EXAMPLE_ROUTE " );", NO_POSTMASTER },
        { 12,
          "routes = ( " EXAMPLE_ROUTE ", { domain = \".example.com\"; to = [ \"192.0.2.1\" ]; } );",
          "" },
        { 12, "routes = ( { domain = \"ALL\"; to = [ \"192.0.2.1:25\" ]; } );", "" },
        { 10,
          "rat = { in = ( { recipients = [ \"postmaster@\" ]; action = \"reject\"; },\n"
          "{ recipients = [ \"example.com\" ]; action = \"accept\"; } ); }; /*\n*/",
          "" },
        { 12,
          "routes = ( " MX_ROUTE ", { domain = \"example.com\"; to = [ \"192.0.2.1\",\n"
          "\"127.0.0.1:25\" ]; } );",
          "t.conf:13: warning: \"127.0.0.1:25\" is our own listener \"In\": mail for this route "
          "would go in a circle" },
        { 12,
          "routes = ( " MX_ROUTE ", { domain = \"example.com\"; to = [ \"127.0.0.1:26\" ]; } );",
          "" },
        { 12,
          "routes = ( " MX_ROUTE ", { domain = \"example.com\"; to = [ \"mx.example.com:26\",\n"
          "\"mx.example.net\", \"[MX.example.com]\" ]; } );",
          "t.conf:13: warning: \"[MX.example.com]\" is our own listener \"In\": mail for this "
          "route would go in a circle" },
        { 12,
          "routes = ( " MX_ROUTE ", " EXAMPLE_ROUTE ",\n"
          "{ domain = \"ALL\"; to = [ \"127.0.0.1\" ]; } );",
          "t.conf:13: warning: \"127.0.0.1\" is our own listener \"In\": mail for this route would "
          "go in a circle" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void a_listener_on_all_addresses_is_found_behind_any_of_them(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    buffer_init(&text, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        append(&text,
               i == 3 ? "listeners = ( { name = \"In\"; type = \"public\"; address = \"0.0.0.0\";"
               : i == 11 ? "routes = ( { domain = \"ALL\"; to = [ \"192.0.2.1\",\n"
                           "\"198.51.100.1\",\n\"127.0.0.2\",\n\"::1\" ]; } );"
                         : good[i]);
    assert_int_equal(buffer_append(&text, (struct slice){ "", 1 }), STATUS_OK);
    assert_int_equal(load(buffer_contents(&text).data, &loaded, lines), STATUS_OK);
    assert_string_equal(lines, "t.conf:13: warning: \"198.51.100.1\" is our own listener \"In\": "
                               "mail for this route would go in a circle\n"
                               "t.conf:14: warning: \"127.0.0.2\" is our own listener \"In\": mail "
                               "for this route would go in a circle");
    config_loaded_destroy(loaded);
    buffer_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_judged_at_their_line),
        cmocka_unit_test(listeners_are_judged),
        cmocka_unit_test(policies_are_judged),
        cmocka_unit_test(hats_are_judged),
        cmocka_unit_test(what_a_row_may_hold_is_judged),
        cmocka_unit_test(recipients_are_judged),
        cmocka_unit_test(delivery_is_judged),
        cmocka_unit_test(what_is_not_the_syntax_ends_at_its_line),
        cmocka_unit_test(every_problem_of_every_section_is_told_at_once),
        cmocka_unit_test(a_section_that_is_wrong_has_no_other_problem),
        cmocka_unit_test(mail_that_could_not_leave_is_warned_of),
        cmocka_unit_test(a_listener_on_all_addresses_is_found_behind_any_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
