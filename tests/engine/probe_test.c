#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "engine/probe.h"

static void every_finding_has_a_name_and_a_detail(void **unused)
{
    static const char *const directories[] = { NULL, "/tmp", "/nonexistent" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        struct engine_probe_report report;
        enum status status = engine_probe(directories[i], &report);
        bool lacks = false;

        assert_true(report.findings_count > 0);
        for (unsigned k = 0; k < report.findings_count; k++) {
            const struct engine_probe_finding *f = &report.findings[k];

            print_message("%-40s %-3s %s\n", f->name, f->yes ? "yes" : "no", f->detail);
            assert_true(strlen(f->name) > 0 && strlen(f->detail) > 0);
            lacks |= f->required && !f->yes;
        }
        assert_int_equal(status != STATUS_OK, lacks);
        assert_int_equal(strlen(report.reason.text) > 0, lacks);
    }
}

static void a_refusal_says_who_refused(void **unused)
{
    static const struct {
        int error;
        enum status status;
    } cases[] = {
        { EPERM, STATUS_DENIED },     { EACCES, STATUS_DENIED }, { EINVAL, STATUS_UNSUPPORTED },
        { ENOMEM, STATUS_NO_MEMORY }, { EMFILE, STATUS_LIMIT },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine_reason reason = { .text = "" };

        assert_int_equal(engine_probe_explain(cases[i].error, &reason), cases[i].status);
        assert_true(strlen(reason.text) > 10);
        assert_null(strchr(reason.text, '\n'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_finding_has_a_name_and_a_detail),
        cmocka_unit_test(a_refusal_says_who_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
