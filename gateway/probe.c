#include "gateway/probe.h"

#include <stdio.h>

#include "engine/probe.h"
#include "gateway/kernel_tls.h"

int gateway_probe(void)
{
    static struct engine_probe_report report;
    enum status status = engine_probe(".", &report);
    struct tls_kernel_support kernel;
    char text[GATEWAY_KERNEL_TLS_TEXT_MAX];

    for (unsigned i = 0; i < report.findings_count; i++) {
        const struct engine_probe_finding *f = &report.findings[i];

        printf("%-28s %-3s %s%s\n", f->name, f->yes ? "yes" : "no", f->detail,
               !f->yes && f->required ? " (required)" : "");
    }
    gateway_kernel_tls_probe(&kernel);
    printf("%s\n", gateway_kernel_tls_text(&kernel, text));
    if (status != STATUS_OK)
        fprintf(stderr, "postern: %s\n", report.reason.text);
    return status == STATUS_OK ? 0 : 1;
}
