#include <stdio.h>
#include <string.h>

#include "cli/tls_check_report.h"

#define PREFERENCE_COLUMNS 5
#define CELL_MAX           24
#define GREEN              "\033[32m"
#define RED                "\033[31m"
#define PLAIN              "\033[0m"

/* By stage; the second line stands under the first. */
static const struct {
    const char *caption[2];
    int columns;
} stages[TLSCHECK_STAGES_COUNT] = {
    [TLSCHECK_CONNECT] = { { "Con-", "nect" }, 11 },
    [TLSCHECK_GREETING] = { { "Greet-", "ing" }, 11 },
    [TLSCHECK_EHLO] = { { "EHLO", "" }, 11 },
    [TLSCHECK_STARTTLS] = { { "TLS", "Adv" }, 5 },
    [TLSCHECK_HANDSHAKE] = { { "TLS", "Neg" }, 11 },
    [TLSCHECK_CERTIFICATE] = { { "Cert", "OK" }, 5 },
    [TLSCHECK_EHLO_AGAIN] = { { "EHLO", "again" }, 11 },
    [TLSCHECK_SENDER] = { { "Sndr", "OK" }, 0 },
};

/* columns 0: the last of its line. */
static void print_padded(const char *text, int columns, const char *colour)
{
    int len = (int)strlen(text);

    printf("%s%s%s", colour, text, colour[0] != '\0' ? PLAIN : "");
    if (columns > 0)
        printf("%*s", len < columns ? columns - len : 1, "");
}

static void print_cell(const struct tlscheck_report *r, const struct tlscheck_step *step,
                       int columns)
{
    char text[CELL_MAX] = "-";
    const char *colour = "";

    switch (step->result) {
    case TLSCHECK_NOT_TRIED: break;
    case TLSCHECK_OK:
        colour = GREEN;
        if (step->has_time)
            (void)snprintf(text, sizeof(text), "OK (%ums)", step->ms);
        else
            (void)snprintf(text, sizeof(text), "OK");
        break;
    case TLSCHECK_FAILED:
        colour = RED;
        (void)snprintf(text, sizeof(text), "FAIL");
        break;
    }
    print_padded(text, columns, r->has_colours ? colour : "");
}

static const char *endpoint_text(const struct tlscheck_address *a,
                                 char text[static IP_ENDPOINT_MAX + 4])
{
    char ip[IP_TEXT_MAX];

    (void)snprintf(text, IP_ENDPOINT_MAX + 4, "[%s:%u]", ip_format(&a->endpoint.address, ip),
                   a->endpoint.port);
    return text;
}

static void print_captions(bool is_route)
{
    for (size_t line = 0; line < 2; line++) {
        print_padded(line > 0 ? "" : is_route ? "Prio" : "Pref", PREFERENCE_COLUMNS, "");
        for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++)
            print_padded(stages[s].caption[line], stages[s].columns, "");
        putchar('\n');
    }
}

/* Names can be of any length: they stand on a line of their own. */
static void print_row(const struct tlscheck_report *r, const struct tlscheck_address *a)
{
    const struct tlscheck_host *host = &r->findings->hosts[a->host];
    char end[IP_ENDPOINT_MAX + 4], pref[8];

    (void)snprintf(pref, sizeof(pref), "%u",
                   r->findings->is_route ? host->priority : host->preference);
    printf("%s%s%s\n", host->name, host->name[0] != '\0' ? " " : "", endpoint_text(a, end));
    print_padded(pref, PREFERENCE_COLUMNS, "");
    for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++)
        print_cell(r, &a->steps[s], stages[s].columns);
    putchar('\n');
}

/* A host that is not talked to, behind those that are: its preference is no better. */
static void print_unused(const struct tlscheck_host *host)
{
    char pref[8];

    (void)snprintf(pref, sizeof(pref), "%u", host->preference);
    puts(host->name);
    print_padded(pref, PREFERENCE_COLUMNS, "");
    puts(host->is_ourselves ? "ourselves, not used" : "no better than ourselves, not used");
}

/* How many of all addresses have come through a stage, and in what time. */
static void print_averages(const struct tlscheck_findings *f)
{
    puts("Average");
    print_padded("", PREFERENCE_COLUMNS, "");
    for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++) {
        uint64_t ms = 0, timed = 0, passed = 0;
        char text[CELL_MAX];
        int len;

        for (size_t i = 0; i < f->addresses_count; i++) {
            const struct tlscheck_step *step = &f->addresses[i].steps[s];

            if (step->result != TLSCHECK_OK)
                continue;
            passed++;
            timed += step->has_time;
            ms += step->has_time ? step->ms : 0;
        }
        len = snprintf(text, sizeof(text), "%u%%", (unsigned)(100 * passed / f->addresses_count));
        if (timed > 0)
            (void)snprintf(text + len, sizeof(text) - (size_t)len, " %ums", (unsigned)(ms / timed));
        print_padded(text, stages[s].columns, "");
    }
    putchar('\n');
}

void tlscheck_print_table(const struct tlscheck_report *r)
{
    const struct tlscheck_findings *f = r->findings;
    bool has_unused = f->hosts_count > 0 && f->hosts[f->hosts_count - 1].is_unused;

    printf("TLS check of %s, %u.%03u s\n", f->target.text, f->ms / 1000, f->ms % 1000);
    if (f->addresses_count == 0 && !has_unused)
        return;
    printf("Confidence factor: %u\n\n", r->verdict->confidence);
    print_captions(f->is_route);
    for (size_t i = 0; i < f->addresses_count; i++)
        print_row(r, &f->addresses[i]);
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].is_unused)
            print_unused(&f->hosts[i]);
    if (f->addresses_count > 0)
        print_averages(f);
    if (f->addresses_left_out > 0)
        printf("%zu more addresses were not talked to.\n", f->addresses_left_out);
    if (f->is_out_of_time)
        printf("The time was over before all was done (--timeout).\n");
}
