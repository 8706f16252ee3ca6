#include "cli/tls_check_findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct tlscheck_findings *tlscheck_findings_create(const struct tlscheck_target *target,
                                                   struct slice domain)
{
    struct tlscheck_findings *f = calloc(1, sizeof(*f));

    if (f != NULL) {
        f->target = *target;
        f->domain = domain;
    }
    return f;
}

void tlscheck_findings_destroy(struct tlscheck_findings *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->hosts_count; i++)
        free(f->hosts[i].tlsa);
    for (size_t i = 0; i < f->addresses_count; i++)
        free(f->addresses[i].tls.chain);
    free(f->sts.text);
    free(f);
}

void tlscheck_text_clean(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

const char *tlscheck_date_text(time_t wall_s, char text[static TLSCHECK_DATE_MAX])
{
    struct tm parts;

    if (wall_s == -1 || gmtime_r(&wall_s, &parts) == NULL ||
        strftime(text, TLSCHECK_DATE_MAX, "%Y-%m-%d", &parts) == 0)
        (void)snprintf(text, TLSCHECK_DATE_MAX, "unknown");
    return text;
}

void tlscheck_note_trouble(struct tlscheck_address *a, const char *format, ...)
{
    va_list list;

    if (a->trouble[0] != '\0')
        return;
    va_start(list, format);
    (void)vsnprintf(a->trouble, sizeof(a->trouble), format, list);
    va_end(list);
    tlscheck_text_clean(a->trouble);
}
