/* tests/config/sample.h - a good configuration, and what loading it with one line changed gives.
 *
 * For one test each: what it defines is static.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/load.h"

#define TEXT_MAX        8192
#define SAMPLE_TEXT_MAX ((size_t)1 << 17) /* of a configuration */

/* For mail to <postmaster>. */
#define MX_ROUTE "{ domain = \"mx.example.com\"; to = [ \"192.0.2.1:25\" ]; }"

/* A configuration without a problem; the cases change one line of it each. */
static const char *const good[] = {
    /* 1 */ "hostname = \"mx.example.com\";",
    /* 2 */ "spool = { path = \"spool\"; };",
    /* 3 */ "certificates = { mail = { chain = \"c.pem\"; key = \"/k/c.key\"; }; };",
    /* 4 */ "listeners = ( { name = \"In\"; type = \"public\"; address = \"127.0.0.1\";",
    /* 5 */ "  certificate = \"mail\"; hat = \"in\"; rat = \"in\"; } );",
    /* 6 */ "mail_flow_policies = { ACCEPTED = { access = \"accept\"; tls = \"preferred\"; };",
    /* 7 */ "  BLOCKED = { access = \"reject\"; }; GO_ON = { access = \"continue\"; }; };",
    /* 8 */
    "hat = { in = ( { group = \"G\"; senders = [ \"192.0.2.0/24\" ]; policy = \"BLOCKED\"; },",
    /* 9 */ "  { group = \"ALL\"; senders = [ \"ALL\" ]; policy = \"ACCEPTED\"; } ); };",
    /* 10 */ "rat = { in = ( { recipients = [ \"example.com\" ]; action = \"accept\"; } ); };",
    /* 11 */ "destinations = { };",
    /* 12 */ "routes = ( { domain = \"example.com\"; to = [ \"192.0.2.1:25\" ]; }, " MX_ROUTE " );",
    /* 13 */ "bounce_profiles = { };",
};

static inline size_t own_addresses(struct config_machine *machine,
                                   struct ip_address addresses[CONFIG_OWN_ADDRESSES_MAX])
{
    (void)machine;
    assert_true(ip_parse(SLICE("198.51.100.1"), &addresses[0]));
    return 1;
}

static struct config_machine machine = { .own_addresses = own_addresses };

static inline void append(struct buffer *b, const char *text)
{
    assert_int_equal(buffer_append_text(b, text), STATUS_OK);
    assert_int_equal(buffer_append_text(b, "\n"), STATUS_OK);
}

/* What replaces a line, from 1; 0: none. */
struct change {
    size_t line;
    const char *replacement;
};

static inline struct slice configuration_with(struct buffer *b, const struct change *changes,
                                              size_t count)
{
    buffer_init(b, SAMPLE_TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const char *text = good[i];

        for (size_t k = 0; k < count; k++)
            text = changes[k].line == i + 1 ? changes[k].replacement : text;
        append(b, text);
    }
    assert_int_equal(buffer_append(b, (struct slice){ "", 1 }), STATUS_OK);
    return buffer_contents(b);
}

/* The good configuration with one line replaced. */
static inline struct slice configuration(struct buffer *b, size_t line, const char *replacement)
{
    return configuration_with(b, &(struct change){ line, replacement }, 1);
}

/* Loads text and writes all problems, one a line, to lines. */
static inline enum status load(const char *text, struct config_loaded **loaded_out,
                               char lines[static TEXT_MAX])
{
    const struct config_load_options options = { .generation = 3,
                                                 .machine = &machine,
                                                 .skip_files = true };
    struct config_problems problems;
    enum status status;
    size_t used = 0;

    config_problems_init(&problems);
    status = config_load_text("/etc/p/t.conf", text, &options, loaded_out, &problems);
    lines[0] = '\0';
    for (size_t i = 0; i < problems.count; i++) {
        char line[TEXT_MAX];

        config_problem_format(&problems.items[i], line, sizeof(line));
        used += (size_t)snprintf(lines + used, TEXT_MAX - used, "%s%s", i > 0 ? "\n" : "",
                                 line + strlen("/etc/p/"));
        assert_true(used < TEXT_MAX);
    }
    assert_int_equal(status == STATUS_OK, problems.errors_count == 0);
    config_problems_finish(&problems);
    config_problems_finish(&problems);
    return status;
}

/* A configuration with one line replaced, and what is said of it. */
struct problem_case {
    size_t line;
    const char *replacement;
    const char *problems;
};

static inline void expect_problems(const struct problem_case *cases, size_t count)
{
    static char lines[TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        if (load(configuration(&text, cases[i].line, cases[i].replacement).data, &loaded, lines) ==
            STATUS_OK)
            config_loaded_destroy(loaded);
        else
            assert_null(loaded);
        if (strcmp(lines, cases[i].problems) != 0)
            fail_msg("case %zu, %s\n gives    %s\n expected %s", i, cases[i].replacement, lines,
                     cases[i].problems);
        buffer_finish(&text);
    }
}
