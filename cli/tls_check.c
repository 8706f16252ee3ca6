#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/options.h"
#include "cli/tls_check_report.h"
#include "cli/tls_check_run.h"
#include "cli/values.h"
#include "policy/domain_map.h"

#define SMTP_PORT         25
#define HTTPS_PORT        443
#define TIMEOUT_S_DEFAULT 60
#define TIMEOUT_S_MIN     2
#define TIMEOUT_S_MAX     600
#define QUERY_S           10 /* a DNS answer is waited for, without a configuration */
#define STS_S             20 /* a policy is waited for, without a configuration */

/* As they were typed; NULL: it was not given. */
static struct {
    const char *domain, *port, *timeout, *route, *mx;
} typed;

static const struct cli_option options[] = {
    { .name = "port",
      .argument = "N",
      .help = "of hosts without one (25, or delivery.port)",
      .value = &typed.port },
    { .name = "route", .help = "fail where the domain has no route", .value = &typed.route },
    { .name = "mx", .help = "the MX of the domain, even where it has a route", .value = &typed.mx },
    { .name = "domain",
      .argument = "NAME",
      .help = "of the recipients, when a host is given",
      .value = &typed.domain },
    { .name = "timeout",
      .argument = "SECONDS",
      .help = "for all of it (60)",
      .value = &typed.timeout },
};

static const struct cli_usage usage = {
    .name = "tls-check",
    .operands = "DOMAIN|HOST[:PORT]",
    .about =
        "Talks to each mail server of a domain, or to one host, and says stage by stage what its\n"
        "TLS is worth: the certificate by both name algorithms, DANE, MTA-STS, and what becomes\n"
        "of mail under each setting of tls. Sends no message, and names no recipient.\n"
        "\"mx.example.com:25\" and \"[mx.example.com]\" are hosts, \"example.com\" is a domain.\n"
        "Where the configuration routes the domain, the hosts of its route are looked at.\n"
        "Where there is no configuration, the resolvers and the authorities of the system count.\n"
        "Exit status 0: mail goes encrypted, to hosts that prove who they are.\n",
    .has_config = true,
    .has_json = true,
    .options = options,
    .options_count = ARRAY_LEN(options),
    .operands_min = 1,
    .operands_max = 1,
};

struct request {
    struct cli_arguments arguments;
    struct tlscheck_target target;
    struct slice domain;
    uint64_t port, timeout_s;     /* port 0: none was given */
    struct config_loaded *loaded; /* NULL: there is no configuration */
};

/* --- what was typed -------------------------------------------------------------------------- */

static int read_request(int argc, char **argv, struct request *r)
{
    int code;

    memset(&typed, 0, sizeof(typed)); /* commands may parse more than once in a process */
    code = cli_parse(&usage, argc, argv, &r->arguments);
    if (code != CLI_GO_ON)
        return code;
    r->timeout_s = TIMEOUT_S_DEFAULT;
    if (!cli_value_number(usage.name, "port", typed.port, 1, UINT16_MAX, &r->port) ||
        !cli_value_number(usage.name, "timeout", typed.timeout, TIMEOUT_S_MIN, TIMEOUT_S_MAX,
                          &r->timeout_s))
        return CLI_EXIT_MISUSE;
    if (!tlscheck_target_parse(slice_from(r->arguments.operands[0]), &r->target))
        return cli_misuse(usage.name, "\"%s\" is neither a domain nor a host (names in A-form)",
                          r->arguments.operands[0]);
    if (typed.domain != NULL && !policy_domain_is_valid(slice_from(typed.domain)))
        return cli_misuse(usage.name, "--domain \"%s\" is not a domain", typed.domain);
    if (typed.domain != NULL && !r->target.is_host)
        return cli_misuse(usage.name, "--domain is for a host, and \"%s\" is a domain",
                          r->target.text);
    if ((typed.route != NULL || typed.mx != NULL) && r->target.is_host)
        return cli_misuse(usage.name, "--%s is for a domain, and \"%s\" is a host",
                          typed.mx != NULL ? "mx" : "route", r->target.text);
    if (typed.route != NULL && typed.mx != NULL)
        return cli_misuse(usage.name, "either --route or --mx");
    /* As tlsverify of AsyncOS has it: of a host alone its name is the domain, too. */
    r->domain = slice_from(typed.domain != NULL ? typed.domain : r->target.name);
    return CLI_GO_ON;
}

/* The configuration is optional only where it was not named. */
static int load(struct request *r)
{
    const char *path = r->arguments.config;

    if (strcmp(path, CLI_CONFIG_DEFAULT) == 0 && access(path, F_OK) != 0) {
        if (typed.route != NULL)
            return cli_misuse(usage.name, "--route wants a configuration: -c FILE");
        return CLI_GO_ON;
    }
    return cli_load(path, &r->loaded) ? CLI_GO_ON : CLI_EXIT_FAILED;
}

/* --- what it is done with -------------------------------------------------------------------- */

static const char *first_readable(const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (paths[i] != NULL && access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

static bool set_up_by_system(struct tlscheck_setup *setup)
{
    const char *const lists[] = {
        getenv("SSL_CERT_FILE"),              /* as OpenSSL takes it */
        "/etc/ssl/certs/ca-certificates.crt", /* Debian */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/ca-bundle.pem",             /* SUSE */
        "/etc/ssl/cert.pem",                  /* Alpine */
    };
    static const char *const anchors[] = { "/usr/share/dns/root.key", "/var/lib/unbound/root.key" };
    const char *anchor = first_readable(anchors, ARRAY_LEN(anchors));

    setup->port = SMTP_PORT;
    setup->dns = (struct config_dns){ .trust_anchor_path = anchor != NULL ? anchor : "",
                                      .sender_timeout_s = QUERY_S };
    setup->trust.ca_file = first_readable(lists, ARRAY_LEN(lists));
    setup->sts = (struct config_mta_sts){ .ca_path = "", .timeout_s = STS_S, .port = HTTPS_PORT };
    return cli_value_hostname(usage.name, NULL, "localhost", &setup->hostname);
}

static const char *path_or_null(const char *path)
{
    return path[0] != '\0' ? path : NULL;
}

static void set_up_by_config(const struct request *r, const struct policy_destination *destination,
                             struct tlscheck_setup *setup)
{
    const struct config_settings *s = &r->loaded->settings;

    setup->settings = s;
    setup->hostname = slice_from(s->hostname);
    setup->port = (uint16_t)s->delivery_port;
    setup->dns = s->dns;
    setup->trust = (struct tls_trust_files){
        .ca_file = path_or_null(s->tls_ca_path),
        .custom_ca_file = path_or_null(s->tls_custom_ca_path),
        .crl_files = s->tls_crl_paths,
        .crl_files_count = s->tls_crl_paths_count,
    };
    setup->client = &s->tls_clients[destination->tls_client];
    setup->sts = s->mta_sts;
    if (setup->sts.ca_path[0] == '\0')
        setup->sts.ca_path = s->tls_ca_path;
}

static int report(const struct request *r, const struct policy_destination *destination,
                  struct tlscheck_findings *findings)
{
    struct tlscheck_verdict verdict;
    const struct tlscheck_report shown = {
        .findings = findings,
        .verdict = &verdict,
        .destination = destination,
        .config = destination != NULL ? r->arguments.config : NULL,
        .has_colours = isatty(STDOUT_FILENO) == 1,
    };

    tlscheck_judge(findings, destination, &verdict);
    if (r->arguments.json) {
        if (tlscheck_print_json(&shown) != STATUS_OK)
            return cli_error(usage.name, "no memory");
    } else {
        tlscheck_print_table(&shown);
        tlscheck_print_details(&shown);
    }
    return cli_finish(verdict.is_safe ? CLI_EXIT_OK : CLI_EXIT_FAILED);
}

/* The one that mail to the domain goes by; NULL: the DNS decides. Whoever names a host wants to
 * know about that. */
static const struct policy_route *find_route(const struct request *r)
{
    const struct policy_route *route = NULL;

    if (r->loaded != NULL && !r->target.is_host)
        route = policy_route_find(r->loaded->policy, r->domain);
    return route != NULL && route->action != POLICY_ROUTE_USEDNS ? route : NULL;
}

static int check(const struct request *r)
{
    const struct policy_destination *destination = NULL;
    const struct policy_route *route = find_route(r);
    struct tlscheck_findings *findings;
    struct tlscheck_setup setup = { .timeout_s = (uint32_t)r->timeout_s };
    int code = CLI_EXIT_FAILED;

    if (r->loaded != NULL) {
        destination = policy_destination_find(r->loaded->policy, r->domain);
        set_up_by_config(r, destination, &setup);
    } else if (!set_up_by_system(&setup)) {
        return CLI_EXIT_MISUSE;
    }
    if (typed.route != NULL && route == NULL)
        return cli_error(usage.name, "%s has no route in %s", r->target.text, r->arguments.config);
    if (r->port != 0)
        setup.port = (uint16_t)r->port;
    setup.route = typed.mx == NULL ? route : NULL;
    /* MTA-STS is about the MX of a domain: RFC 8461 2. */
    setup.wants_sts = setup.route == NULL && (!r->target.is_host || typed.domain != NULL);
    setup.has_progress = isatty(STDERR_FILENO) == 1;
    findings = tlscheck_findings_create(&r->target, r->domain);
    if (findings == NULL)
        return cli_error(usage.name, "no memory");
    findings->is_routed_elsewhere = typed.mx != NULL && route != NULL;
    if (tlscheck_run(&setup, findings))
        code = report(r, destination, findings);
    tlscheck_findings_destroy(findings);
    return code;
}

static int run(int argc, char **argv)
{
    struct request r = { .port = 0 };
    int code = read_request(argc, argv, &r);

    if (code == CLI_GO_ON)
        code = load(&r);
    if (code != CLI_GO_ON)
        return code;
    /* While there is no other thread. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        code = cli_error("https", "libcurl cannot be used");
    else
        code = check(&r);
    config_loaded_destroy(r.loaded);
    return code;
}

const struct cli_command cli_tls_check = { "tls-check",
                                           "look at the TLS of a domain's mail servers", run };
