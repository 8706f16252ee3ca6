#include <stdio.h>
#include <string.h>

#include "cli/tls_check_report.h"

#define NAME_COLUMNS_MAX 44
#define CELL_MAX         24
#define GREEN            "\033[32m"
#define RED              "\033[31m"
#define PLAIN            "\033[0m"

/* By stage; the second line stands under the first. */
static const struct {
    const char *caption[2];
    int columns;
} stages[TLSCHECK_STAGES_COUNT] = {
    [TLSCHECK_CONNECT] = { { "Con-", "nect" }, 11 },
    [TLSCHECK_GREETING] = { { "Greet-", "ing" }, 11 },
    [TLSCHECK_EHLO] = { { "EHLO", "" }, 11 },
    [TLSCHECK_STARTTLS] = { { "TLS", "Adv" }, 6 },
    [TLSCHECK_HANDSHAKE] = { { "TLS", "Neg" }, 11 },
    [TLSCHECK_CERTIFICATE] = { { "Cert", "OK" }, 6 },
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

static int name_columns(const struct tlscheck_findings *f)
{
    size_t most = strlen("Mail server");
    char text[IP_ENDPOINT_MAX + 4];

    for (size_t i = 0; i < f->addresses_count; i++) {
        const struct tlscheck_address *a = &f->addresses[i];
        size_t name = strlen(f->hosts[a->host].name), end = strlen(endpoint_text(a, text));

        most = name > most ? name : most;
        most = end > most ? end : most;
    }
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].is_unused && strlen(f->hosts[i].name) > most)
            most = strlen(f->hosts[i].name);
    return (int)(most < NAME_COLUMNS_MAX ? most : NAME_COLUMNS_MAX) + 2;
}

static void print_captions(bool is_route, int columns)
{
    for (size_t line = 0; line < 2; line++) {
        print_padded(line == 0 ? "Mail server" : "", columns, "");
        print_padded(line > 0 ? "" : is_route ? "Prio" : "Pref", 6, "");
        for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++)
            print_padded(stages[s].caption[line], stages[s].columns, "");
        putchar('\n');
    }
}

static void print_row(const struct tlscheck_report *r, const struct tlscheck_address *a,
                      int columns)
{
    const struct tlscheck_host *host = &r->findings->hosts[a->host];
    char end[IP_ENDPOINT_MAX + 4], pref[8];

    (void)endpoint_text(a, end);
    (void)snprintf(pref, sizeof(pref), "%u",
                   r->findings->is_route ? host->priority : host->preference);
    print_padded(host->name[0] != '\0' ? host->name : end, columns, "");
    print_padded(pref, 6, "");
    for (size_t s = 0; s < TLSCHECK_STAGES_COUNT; s++)
        print_cell(r, &a->steps[s], stages[s].columns);
    if (host->name[0] != '\0')
        printf("\n%s", end);
    putchar('\n');
}

/* A host that is not talked to, behind those that are: its preference is no better. */
static void print_unused(const struct tlscheck_host *host, int columns)
{
    char pref[8];

    (void)snprintf(pref, sizeof(pref), "%u", host->preference);
    print_padded(host->name, columns, "");
    print_padded(pref, 6, "");
    puts(host->is_ourselves ? "ourselves, not used" : "no better than ourselves, not used");
}

/* How many of all addresses have come through a stage, and in what time. */
static void print_averages(const struct tlscheck_findings *f, int columns)
{
    print_padded("Average", columns, "");
    print_padded("", 6, "");
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
    int columns = name_columns(f);
    bool has_unused = f->hosts_count > 0 && f->hosts[f->hosts_count - 1].is_unused;

    printf("TLS check of %s, %u.%03u s\n", f->target.text, f->ms / 1000, f->ms % 1000);
    if (f->addresses_count == 0 && !has_unused)
        return;
    printf("Confidence factor: %u\n\n", r->verdict->confidence);
    print_captions(f->is_route, columns);
    for (size_t i = 0; i < f->addresses_count; i++)
        print_row(r, &f->addresses[i], columns);
    for (size_t i = 0; i < f->hosts_count; i++)
        if (f->hosts[i].is_unused)
            print_unused(&f->hosts[i], columns);
    if (f->addresses_count > 0)
        print_averages(f, columns);
    if (f->addresses_left_out > 0)
        printf("%zu more addresses were not talked to.\n", f->addresses_left_out);
    if (f->is_out_of_time)
        printf("The time was over before all was done (--timeout).\n");
}
