#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtp/xclient.h"

/* What was understood, as "ATTRIBUTE value" for each, in the order of the attributes. */
static void text_of(const struct smtp_xclient *x, char *into, size_t room)
{
    static const char *const names[] = { "NAME", "ADDR",  "PORT",     "PROTO",
                                         "HELO", "LOGIN", "DESTADDR", "DESTPORT" };
    static const char *const states[] = { "", "", "unavailable", "temporary" };
    char address[IP_TEXT_MAX], destination[IP_TEXT_MAX], values[8][512];
    size_t len = 0;

    (void)snprintf(values[0], 512, "%.*s", SLICE_ARGS(x->name));
    (void)snprintf(values[1], 512, "%s", ip_format(&x->address, address));
    (void)snprintf(values[2], 512, "%u", x->port);
    (void)snprintf(values[3], 512, "%s", x->is_esmtp ? "ESMTP" : "SMTP");
    (void)snprintf(values[4], 512, "%.*s", SLICE_ARGS(x->helo));
    (void)snprintf(values[5], 512, "%.*s", SLICE_ARGS(x->login));
    (void)snprintf(values[6], 512, "%s", ip_format(&x->destination_address, destination));
    (void)snprintf(values[7], 512, "%u", x->destination_port);
    into[0] = '\0';
    for (size_t i = 0; i < 8; i++)
        if (x->states[i] != SMTP_XCLIENT_ABSENT)
            len += (size_t)snprintf(
                into + len, room - len, "%s%s %s", len > 0 ? ", " : "", names[i],
                x->states[i] == SMTP_XCLIENT_GIVEN ? values[i] : states[x->states[i]]);
}

static const struct {
    const char *arguments, *understood; /* NULL: 501 */
} cases[] = {
    { "NAME=mx.client.example", "NAME mx.client.example" },
    { "name=MX.client.example", "NAME MX.client.example" },
    { "NAME=[UNAVAILABLE]", "NAME unavailable" },
    { "NAME=[tempunavail]", "NAME temporary" },
    { "NAME=host_1", "NAME host_1" },
    { "ADDR=192.0.2.1", "ADDR 192.0.2.1" },
    { "ADDR=IPV6:2001:db8::1", "ADDR 2001:db8::1" },
    { "ADDR=ipv6:::1", "ADDR ::1" },
    { "ADDR=IPv6:::ffff:192.0.2.1", "ADDR 192.0.2.1" },
    { "ADDR=[UNAVAILABLE]", "ADDR unavailable" },
    { "PORT=1", "PORT 1" },
    { "PORT=65535", "PORT 65535" },
    { "PORT=[UNAVAILABLE]", "PORT unavailable" },
    { "PROTO=ESMTP", "PROTO ESMTP" },
    { "PROTO=smtp", "PROTO SMTP" },
    { "HELO=client.example", "HELO client.example" },
    { "HELO=[192.0.2.1]", "HELO [192.0.2.1]" },
    { "HELO=[UNAVAILABLE]", "HELO unavailable" },
    { "HELO=a+2Bb+3Dc", "HELO a+b=c" },
    { "HELO=a+2bb+3dc", "HELO a+b=c" },
    { "HELO=+5BUNAVAILABLE+5D", "HELO unavailable" },
    { "LOGIN=ann", "LOGIN ann" },
    { "LOGIN=ann+20b+C3+A4r@client.example", "LOGIN ann b\xc3\xa4r@client.example" },
    { "LOGIN=[UNAVAILABLE]", "LOGIN unavailable" },
    { "DESTADDR=198.51.100.2 DESTPORT=25", "DESTADDR 198.51.100.2, DESTPORT 25" },
    { "DESTADDR=IPV6:2001:db8::2", "DESTADDR 2001:db8::2" },
    { "DESTPORT=25 PORT=7 NAME=a ADDR=192.0.2.1 PROTO=ESMTP HELO=b LOGIN=c DESTADDR=192.0.2.2",
      "NAME a, ADDR 192.0.2.1, PORT 7, PROTO ESMTP, HELO b, LOGIN c, DESTADDR 192.0.2.2, "
      "DESTPORT 25" },
    { " NAME=a   HELO=b ", "NAME a, HELO b" },

    { "", NULL },
    { "  ", NULL },
    { "NAME", NULL },
    { "NAME=", NULL },
    { "=a", NULL },
    { "NAME =a", NULL },
    { "NAME= a", NULL },
    { "NAMES=a", NULL },
    { "REVERSE_NAME=a", NULL },
    { "NAME=a FOO=b", NULL },
    { "NAME=a NAME=a", NULL },
    { "NAME=a name=[UNAVAILABLE]", NULL },
    { "NAME=[192.0.2.1]", NULL },
    { "NAME=a..b", NULL },
    { "NAME=a+20b", NULL },
    { "NAME=a+C3+A4", NULL },
    { "NAME=a+0D+0Ab", NULL },
    { "NAME=a+00", NULL },
    { "NAME=a=b", NULL },
    { "NAME=a+", NULL },
    { "NAME=a+2", NULL },
    { "NAME=a+2G", NULL },
    { "NAME=a++2B", NULL },
    { "NAME=\xc3\xa4", NULL },
    { "NAME=[UNAVAILABLE", NULL },
    { "ADDR=2001:db8::1", NULL },
    { "ADDR=IPV6:192.0.2.1", NULL },
    { "ADDR=IPV6:", NULL },
    { "ADDR=[192.0.2.1]", NULL },
    { "ADDR=192.0.2.1:25", NULL },
    { "ADDR=192.0.2", NULL },
    { "ADDR=[TEMPUNAVAIL]", NULL },
    { "PORT=0", NULL },
    { "PORT=65536", NULL },
    { "PORT=000001", NULL },
    { "PORT=-1", NULL },
    { "PORT=", NULL },
    { "PROTO=LMTP", NULL },
    { "PROTO=", NULL },
    { "HELO=", NULL },
    { "HELO=a+20b", NULL },
    { "HELO=a+7F", NULL },
    { "HELO=[TEMPUNAVAIL]", NULL },
    { "LOGIN=a+09b", NULL },
    { "LOGIN=a+0Ab", NULL },
    { "LOGIN=+C3", NULL },
    { "DESTADDR=mx.example", NULL },
    { "DESTPORT=smtp", NULL },
};

/* From memory of just the size that is asked for. */
static bool parse(struct slice arguments, struct smtp_xclient *x, char **memory_out)
{
    *memory_out = malloc(arguments.len > 0 ? arguments.len : 1);
    assert_non_null(*memory_out);
    return smtp_xclient_parse(arguments, *memory_out, x);
}

static void arguments_are_understood_or_refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_xclient x;
        char text[2048], *memory;
        bool is_good = parse(slice_from(cases[i].arguments), &x, &memory);

        if (is_good)
            text_of(&x, text, sizeof(text));
        if (is_good != (cases[i].understood != NULL) ||
            (is_good && strcmp(text, cases[i].understood) != 0))
            fail_msg("%s: %s", cases[i].arguments, is_good ? text : "501");
        free(memory);
    }
}

static void texts_may_be_as_long_as_a_domain(void **unused)
{
    static const char *const forms[] = { "x", "+78" };

    (void)unused;
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        for (size_t count = SMTP_XCLIENT_TEXT_BYTES_MAX; count < 258; count++) {
            struct smtp_xclient x;
            char text[1024] = "HELO=", *memory;
            size_t len = 5;

            for (size_t i = 0; i < count; i++)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", forms[f]);
            assert_int_equal(parse((struct slice){ text, len }, &x, &memory),
                             count == SMTP_XCLIENT_TEXT_BYTES_MAX);
            free(memory);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_understood_or_refused),
        cmocka_unit_test(texts_may_be_as_long_as_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
